package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What lies in storage, beside what inventory says of it. The level of a SKU must be
// what the warehouse counts of it, and what has left and is still promised. That is
// cheap to see with the orders of the run. Where it does not go together, it is looked
// at again with every order to which the SKU is promised, and with what the warehouse
// says of these now: what left a moment ago is in no count any more, and its order may
// not know it yet.
//
// Goods of an order that is at work, or was a moment ago, are in motion between the
// two. They explain a difference of as many pieces and no greater one, so that a level
// is not left alone for as long as somebody buys.
//
// The policy of inventory.level is obeyed: ignore compares nothing, and a difference
// of at most its tolerance is none.

// ManyLevels is an inventory.Reader that reads several levels in the calls of one.
// What is missing from its answer is asked one by one.
type ManyLevels interface {
	Levels(ctx context.Context, skus []string) (map[string]reconcile.Level, error)
}

// ManyCounts is a warehouse.Reader that counts several SKUs in the calls of one.
// What is missing from its answer is asked one by one.
type ManyCounts interface {
	CountMany(ctx context.Context, skus []string) (map[string]reconcile.Count, error)
}

// comparing is the stock of one run.
type comparing struct {
	a    *Activities
	look *looking
	out  *Screened
	rule reconcile.Rule // of levels
	// settled are the SKUs of which it is known who goes without, if anybody does.
	settled map[string]bool
	// asked is when it was asked what is promised of what is at odds.
	asked time.Time
}

// compareStock holds inventory's level of each SKU against the warehouse's count.
func (a *Activities) compareStock(ctx context.Context, known []Known, out *Screened) {
	c := comparing{a: a, look: a.looking(a.Sweeps.RunPerSecond), out: out, rule: a.Policy.Rule(reconcile.InventoryLevel), settled: map[string]bool{}}
	defer func() { c.sayEnough(known) }()
	if c.rule.Mode == reconcile.ModeIgnore {
		out.Ignored = true
		return
	}
	orders := bySKU(known)
	var odd []string
	for skus := range slices.Chunk(out.SKUs, batch) {
		for _, s := range c.read(ctx, skus) {
			switch s.with(a, orders[s.sku]).judge(c.rule) {
			case agrees:
				out.Compared++
				c.settled[s.sku] = true
			case inMotion:
				out.InMotion = append(out.InMotion, s.sku)
			case atOdds:
				out.Compared++
				odd = append(odd, s.sku)
			}
		}
	}
	if len(odd) == 0 {
		return
	}
	if more := len(odd) - mostOdd; more > 0 {
		odd = turned(odd, a.Now().UTC().Format(time.RFC3339Nano))
		out.Unseen, odd = append(out.Unseen, odd[mostOdd:]...), odd[:mostOdd]
		out.Missed = append(out.Missed, fmt.Sprintf("stock: %d levels are at odds besides the %d that one run takes, and wait for one of the next; what causes so many is looked for first", more, mostOdd))
	}
	if err := c.again(ctx, odd); err != nil {
		out.Unseen = append(out.Unseen, odd...)
		activity.GetLogger(ctx).Warn("stock that is at odds could not be looked at again; the next run compares it", "skus", odd, "error", err)
	}
}

// mostOdd levels that are at odds are taken by one run: what it hands over of each must
// fit into what the engine takes. Those that wait stay as they were, and are no reason
// to verify nothing else: they belong to no order.
const mostOdd = 1000

// turned begins a list at another place in each run, so that each of a list that is
// too long has its turn.
func turned(all []string, run string) []string {
	n := turn(len(all), run)
	return slices.Concat(all[n:], all[:n])
}

// turn is with which of n a run begins, of at least one.
func turn(n int, run string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(run))
	return int(h.Sum32() % uint32(max(1, n)))
}

// shelf is one SKU as it was read, and what orders have of it.
type shelf struct {
	sku   string
	level reconcile.Level
	count reconcile.Count
	// Pieces that have left and are still promised, and pieces in motion.
	uncommitted, moving int64
}

func (s shelf) with(a *Activities, known []Known) shelf {
	s.uncommitted, s.moving = uncommitted(known, s.sku), a.moving(known, s.sku)
	return s
}

// standing is how a shelf is.
type standing int

const (
	agrees   standing = iota
	inMotion          // nobody can say, for as many pieces as differ are on their way
	atOdds
)

func (s shelf) judge(rule reconcile.Rule) standing {
	is := s.count.Quantity + s.uncommitted
	differs, missing := max(s.level.Stocked-is, is-s.level.Stocked), s.level.Reserved-is
	switch {
	case rule.Tolerates(differs) && missing <= 0:
		return agrees
	case differs <= s.moving+rule.Tolerance && missing <= s.moving:
		return inMotion
	}
	return atOdds
}

// again looks again at stock that is at odds. What is promised of all of it is listed
// once, and then levels and counts are read anew, a few at a time with the shipments
// of those orders.
func (c comparing) again(ctx context.Context, odd []string) error {
	c.asked = c.a.Now()
	all, err := c.promised(ctx, odd)
	if err != nil {
		return err
	}
	for skus := range slices.Chunk(odd, batch) {
		concerned := slices.DeleteFunc(slices.Clone(all), func(k Known) bool { return !k.Promises(skus...) })
		if err := c.asShipped(ctx, concerned); err != nil {
			c.out.Unread = appendNew(c.out.Unread, order.SystemWarehouse)
			return err
		}
		orders := bySKU(concerned)
		for _, s := range c.read(ctx, skus) {
			c.suspect(s.with(c.a, orders[s.sku]), orders[s.sku])
		}
	}
	return nil
}

// suspect notes a level that differs, and the orders that go without.
func (c comparing) suspect(s shelf, orders []Known) {
	switch s.judge(c.rule) {
	case agrees:
		c.settled[s.sku] = true
		return
	case inMotion:
		c.out.Compared--
		c.out.InMotion = append(c.out.InMotion, s.sku)
		return
	case atOdds:
	}
	if !c.rule.Tolerates(s.level.Stocked - s.count.Quantity - s.uncommitted) {
		c.out.Stock = append(c.out.Stock, StockSuspect{
			SKU: s.sku, Level: s.level.Stocked, Count: s.count.Quantity, Uncommitted: s.uncommitted, Moving: s.moving, Asked: c.asked, Seen: c.a.Now(),
		})
	}
	if s.moving > 0 {
		return
	}
	c.settled[s.sku] = true
	if s.level.Reserved > s.count.Quantity+s.uncommitted {
		shortages(orders, s.count, c.out)
	}
}

// sayEnough names the orders that were said to be short of a SKU and are not any more.
// Only a run over all that has compared everything knows that.
func (c comparing) sayEnough(known []Known) {
	if !c.out.Full || c.out.Behind || c.out.Truncated || len(c.out.Unread) > 0 {
		return
	}
	for _, k := range known {
		if !k.Short {
			continue
		}
		these := slices.DeleteFunc(skus([]Known{k}, nil), func(sku string) bool {
			return !c.settled[sku] || slices.ContainsFunc(c.out.Short, func(s Shortage) bool { return s.Order == k.Intent.Order && s.SKU == sku })
		})
		if len(these) > 0 {
			c.out.Enough = append(c.out.Enough, Enough{Order: k.Intent.Order, SKUs: these})
		}
	}
}

// promised returns the orders to which any of the SKUs is promised, the oldest first. For
// that every order that is remembered is walked past, which may take minutes.
func (c comparing) promised(ctx context.Context, skus []string) (all []Known, err error) {
	err = beatingWhile(ctx, "promised", func() (err error) {
		all, err = c.a.Keeper.Intents(ctx, IntentQuery{SKUs: skus, Limit: mostOrders + 1})
		return err
	})
	if err != nil {
		c.out.Unread = appendNew(c.out.Unread, order.SystemInventory)
		return nil, fmt.Errorf("list the orders to which %d SKUs are promised: %w", len(skus), err)
	}
	if len(all) > mostOrders { // the oldest may not be among them
		c.out.missed(fmt.Sprintf("stock: %d SKUs are at odds, and promised to more than %d orders", len(skus), mostOrders))
	}
	slices.SortFunc(all, func(x, y Known) int {
		return cmp.Or(x.Intent.PlacedAt.Compare(y.Intent.PlacedAt), cmp.Compare(x.Intent.Order, y.Intent.Order))
	})
	return all, nil
}

// Promises says that a piece of one of the SKUs is promised to the order.
func (k Known) Promises(skus ...string) bool {
	return slices.ContainsFunc(k.Intent.Reserved, func(q order.Quantity) bool { return slices.Contains(skus, q.SKU) })
}

// asShipped puts what the warehouse says now in the place of what the orders last
// knew of their shipments.
func (c comparing) asShipped(ctx context.Context, all []Known) error {
	n := slices.IndexFunc(c.a.Readers, func(r SystemReader) bool { return r.System == order.SystemWarehouse })
	if n < 0 {
		return nil
	}
	for these := range slices.Chunk(all, batch) {
		seen, err := c.lookUp(ctx, c.a.Readers[n].Reader, these)
		if err != nil {
			return fmt.Errorf("look up the shipments of %d orders: %w", len(these), err)
		}
		for i, o := range seen {
			these[i].Intent.Shipments = nil
			if o.Warehouse == nil {
				continue
			}
			for _, sh := range o.Warehouse.Shipments {
				if sh.State.Live() {
					these[i].Intent.Shipments = append(these[i].Intent.Shipments, reconcile.ShipmentIntent{Key: sh.Key, Lines: sh.Lines, State: sh.State})
				}
			}
		}
	}
	return nil
}

// lookUp looks orders up in the warehouse, together where that can be.
func (c comparing) lookUp(ctx context.Context, reader Reader, known []Known) (seen []reconcile.Observation, err error) {
	subjects := make([]reconcile.Subject, len(known))
	for i, k := range known {
		subjects[i] = k.Subject
	}
	if many, can := reader.(ManyReader); can {
		err = c.look.call(ctx, order.SystemWarehouse, func(ctx context.Context) (err error) {
			seen, err = many.LookupMany(ctx, subjects)
			return err
		})
		if err == nil && len(seen) == len(subjects) {
			return seen, nil
		}
	}
	seen = make([]reconcile.Observation, len(subjects))
	for i, s := range subjects {
		if seen[i], _, err = c.look.lookup(ctx, order.SystemWarehouse, s); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// shortages names the orders that can no longer be filled after the stock of a
// SKU was corrected: the oldest order is served first.
func shortages(all []Known, count reconcile.Count, out *Screened) {
	left := count.Quantity
	for _, k := range all {
		for _, q := range k.Intent.Reserved {
			if q.SKU != count.SKU {
				continue
			}
			// What has left is not in the count, and still reserved until it is committed.
			needs := q.Quantity - uncommitted([]Known{k}, count.SKU)
			if needs > left {
				out.Short = append(out.Short, Shortage{Order: k.Intent.Order, SKU: q.SKU, Missing: needs - max(0, left), Count: count.Quantity, Asked: k.Short})
			}
			left = max(0, left-needs)
		}
	}
}

// read reads levels and counts, together in the systems that can, and leaves out what
// cannot be compared.
func (c comparing) read(ctx context.Context, skus []string) []shelf {
	var levels map[string]reconcile.Level
	var counts map[string]reconcile.Count
	var g errgroup.Group
	shelves := c.look.shelves
	if many, can := c.a.Levels.(ManyLevels); can && len(skus) > 1 && shelves[order.SystemInventory].missed() == nil {
		g.Go(func() error {
			return shelves[order.SystemInventory].heard(c.look.call(ctx, order.SystemInventory, func(ctx context.Context) (err error) {
				levels, err = many.Levels(ctx, skus)
				return err
			}))
		})
	}
	if many, can := c.a.Counts.(ManyCounts); can && len(skus) > 1 && shelves[order.SystemWarehouse].missed() == nil {
		g.Go(func() error {
			return shelves[order.SystemWarehouse].heard(c.look.call(ctx, order.SystemWarehouse, func(ctx context.Context) (err error) {
				counts, err = many.CountMany(ctx, skus)
				return err
			}))
		})
	}
	if err := g.Wait(); err != nil {
		activity.GetLogger(ctx).Warn("levels could not be read together; they are read one by one", "error", err)
	}
	var all []shelf
	for _, sku := range skus {
		s := shelf{sku: sku}
		var found bool
		var err error
		if s.level, found = levels[sku]; !found {
			if s.level, err = c.look.level(ctx, sku); c.out.uncompared(sku, order.SystemInventory, err) {
				continue
			}
		}
		if s.count, found = counts[sku]; !found {
			if s.count, err = c.look.count(ctx, sku); c.out.uncompared(sku, order.SystemWarehouse, err) {
				continue
			}
		}
		all = append(all, s)
	}
	return all
}

// bySKU returns the orders that each SKU concerns.
func bySKU(known []Known) map[string][]Known {
	all := map[string][]Known{}
	for _, k := range known {
		for _, sku := range skus([]Known{k}, nil) {
			all[sku] = append(all[sku], k)
		}
	}
	return all
}

// uncompared says that a level cannot be compared: its system cannot be read, or
// does not know the SKU, which is no reason to verify nothing else.
func (s *Screened) uncompared(sku string, system order.System, err error) bool {
	switch {
	case err == nil:
		return false
	case apierr.CodeOf(err) == apierr.NotFound:
		s.Gone = append(s.Gone, Gone{sku, system})
	default:
		s.Unread = appendNew(s.Unread, system)
		s.Unseen = append(s.Unseen, sku)
	}
	return true
}

// moving is how many pieces of a SKU are in motion, at most: those of the orders that
// are at work, or were within the time that stock takes to settle.
func (a *Activities) moving(known []Known, sku string) int64 {
	n := int64(0)
	for _, k := range known {
		if !a.atWork(k.Intent) {
			continue
		}
		n += piecesOf(k.Intent.Reserved, sku)
		for _, s := range k.Intent.Shipments {
			n += piecesOf(s.Lines, sku)
		}
	}
	return n
}

// piecesOf counts the pieces of one SKU.
func piecesOf(lines []order.Quantity, sku string) int64 {
	n := int64(0)
	for _, q := range lines {
		if q.SKU == sku {
			n += q.Quantity
		}
	}
	return n
}

// atWork says that an order is changing the stock, or did a moment ago.
func (a *Activities) atWork(i reconcile.Intent) bool {
	settling := a.Policy.Rule(reconcile.InventoryLevel).Settling
	return slices.Contains(i.Busy, order.SystemInventory) || slices.ContainsFunc(i.Changed, func(c reconcile.Changed) bool {
		return c.System == order.SystemInventory && a.Now().Sub(c.At) < settling
	})
}

// uncommitted is what has left the warehouse and is still promised: of each
// order what is promised beyond what is yet to leave. An order of which a part
// has left and was committed promises only the rest.
func uncommitted(known []Known, sku string) int64 {
	n := int64(0)
	for _, k := range known {
		out, toLeave := int64(0), int64(0)
		for _, s := range k.Intent.Shipments {
			if s.State == reconcile.ShipmentShipped || s.State == reconcile.ShipmentDelivered {
				out += piecesOf(s.Lines, sku)
			} else {
				toLeave += piecesOf(s.Lines, sku)
			}
		}
		n += min(out, max(0, piecesOf(k.Intent.Reserved, sku)-toLeave))
	}
	return n
}
