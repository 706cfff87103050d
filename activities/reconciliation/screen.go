package reconciliation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Screen asks what does not agree, among these orders alone when there are any.
type Screen struct {
	Orders []order.ID `json:"orders,omitempty"`
	Now    time.Time  `json:"now"`
}

// Screened is what a screening found. It only suspects: the orders' own
// workflows confirm.
type Screened struct {
	From       time.Time      `json:"from"`
	To         time.Time      `json:"to"`
	Looked     int            `json:"looked"`
	Records    int            `json:"records"`
	Settling   int            `json:"settling"`
	Suspects   []Suspect      `json:"suspects,omitempty"`
	Stock      []StockSuspect `json:"stock,omitempty"`
	Short      []Shortage     `json:"short,omitempty"`
	Compared   int            `json:"compared"` // levels
	Unread     []order.System `json:"unread,omitempty"`
	Exceptions []order.ID     `json:"exceptions,omitempty"`
	Truncated  bool           `json:"truncated,omitempty"` // there was more than one run takes
	SKUs       []string       `json:"skus,omitempty"`
	Gone       []Gone         `json:"gone,omitempty"`
	Policy     string         `json:"policy"`
	Rules      int            `json:"rules"`
	Full       bool           `json:"full"`     // not of some orders alone
	Verified   time.Time      `json:"verified"` // through when, before this run
	// Since is the moment before which nothing is judged, and TooOld how many
	// orders were placed before it.
	Since  time.Time `json:"since,omitzero"`
	TooOld int       `json:"too_old,omitempty"`
}

// Shortage is an order for which there is not enough of a SKU any more: what the
// warehouse counts was promised to older orders.
type Shortage struct {
	Order   order.ID `json:"order"`
	SKU     string   `json:"sku"`
	Missing int64    `json:"missing"` // pieces
	Count   int64    `json:"count"`   // what the warehouse counts
}

// StockSuspect is a level that differs from what the warehouse counted.
type StockSuspect struct {
	SKU         string `json:"sku"`
	Level       int64  `json:"level"`
	Count       int64  `json:"count"`
	Uncommitted int64  `json:"uncommitted"`
}

// Gone is a SKU that a system does not know any more.
type Gone struct {
	SKU    string       `json:"sku"`
	System order.System `json:"system"`
}

// Report carries the screening into the report of its run.
func (s Screened) Report(r RunReport) RunReport {
	r.From, r.To, r.Policy, r.Rules = s.From, s.To, s.Policy, s.Rules
	r.Looked, r.Records, r.Suspects, r.Settling = s.Looked, s.Records, len(s.Suspects), s.Settling
	r.Unread, r.Exceptions, r.SKUs, r.Truncated = s.Unread, s.Exceptions, s.SKUs, s.Truncated
	for _, g := range s.Gone {
		r.Gone = append(r.Gone, g.SKU)
		r.Lines = append(r.Lines, fmt.Sprintf("stock %s is not known in %s: its level is not compared; it is not watched any more while no order has it", g.SKU, g.System))
	}
	r.Stock, r.Only = StockReport{Compared: s.Compared, Found: len(s.Stock)}, !s.Full
	r.Since, r.TooOld, r.VerifiedThrough = s.Since, s.TooOld, s.Verified
	if s.TooOld > 0 {
		r.Lines = append(r.Lines, fmt.Sprintf("%d orders were placed before %s and are not judged", s.TooOld, s.Since.Format(time.RFC3339)))
	}
	for _, short := range s.Short {
		r.Lines = append(r.Lines, fmt.Sprintf("%s: %d of %s are missing, for the warehouse counts %d: a person decides", short.Order, short.Missing, short.SKU, short.Count))
	}
	return r
}

const (
	screenOverlap = 5 * time.Minute // behind the last verified moment
	mostOrders    = 10_000          // of one run; the next goes on
	mostSuspects  = 500
	sideBySide    = 4 // orders read at once
)

// ScreenChanges walks what changed in each system since the last verified
// moment, adds the orders that changed or do not agree by their own word, and
// compares each with what it means the systems to say.
func (a *Activities) ScreenChanges(ctx context.Context, in Screen) (Screened, error) {
	status, err := a.Keeper.Status(ctx)
	if err != nil {
		return Screened{}, fmt.Errorf("screen changes: read the status of reconciliation: %w", err)
	}
	now := a.Now()
	out := Screened{From: status.VerifiedThrough.Add(-screenOverlap), To: now, Policy: a.Policy.Version(), Rules: reconcile.RulesVersion, Full: len(in.Orders) == 0,
		Verified: status.VerifiedThrough, Since: a.Since}
	ids := in.Orders
	if out.Full {
		more, err := a.membersOf(ctx, status.Groups)
		if err != nil {
			return Screened{}, err
		}
		ids = append(a.changed(ctx, &out), more...)
	}
	known, err := a.Keeper.Intents(ctx, IntentQuery{Since: out.From, Limit: mostOrders, IDs: in.Orders})
	if err != nil {
		return Screened{}, fmt.Errorf("screen changes: list orders: %w", err)
	}
	if out.Full {
		if known, err = a.withIDs(ctx, known, ids); err != nil {
			return Screened{}, err
		}
	}
	if err := a.compareAll(ctx, out.youngEnough(known), &out); err != nil {
		return Screened{}, err
	}
	out.SKUs = skus(known, status.SKUs)
	a.compareStock(ctx, known, &out)
	slices.SortFunc(out.Suspects, func(x, y Suspect) int { return compareIDs(x.Order, y.Order) })
	slices.Sort(out.Exceptions)
	out.Exceptions = slices.Compact(out.Exceptions)
	if len(out.Suspects) > mostSuspects || len(known) >= mostOrders {
		// The others stay unagreed, and are found by the next run. Those of an incident
		// that is stopped keep nobody else from being looked at.
		slices.SortStableFunc(out.Suspects, func(x, y Suspect) int { return cmp.Compare(x.stopped(status.Groups), y.stopped(status.Groups)) })
		out.Suspects, out.Truncated = out.Suspects[:min(len(out.Suspects), mostSuspects)], true
	}
	return out, nil
}

// before says that an order was placed before a moment.
func (k Known) before(moment time.Time) bool {
	return !k.Intent.PlacedAt.IsZero() && k.Intent.PlacedAt.Before(moment)
}

// youngEnough returns the orders that were not placed before anything is judged,
// where an operator has said when that is: else whatever was submitted to this
// engine is judged, also what it took over from before its memory began. The
// stock is compared with all of them, for what they hold is held. One that has not
// said when it was placed was submitted just now.
func (s *Screened) youngEnough(known []Known) []Known {
	young := make([]Known, 0, len(known))
	for _, k := range known {
		if k.before(s.Since) {
			s.TooOld++
			continue
		}
		young = append(young, k)
	}
	return young
}

// membersOf returns the orders of the incidents that are not over: each run
// looks at them again, whether they changed or not.
func (a *Activities) membersOf(ctx context.Context, groups []Group) ([]order.ID, error) {
	levels := map[int]bool{} // of SKUs, by number; only looked up
	open := false
	for _, g := range groups {
		levels[g.N] = g.Kind.Field == reconcile.InventoryLevel
		open = open || !g.Over()
	}
	if !open {
		return nil, nil
	}
	all, err := a.Keeper.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("screen changes: list the orders of incidents: %w", err)
	}
	var ids []order.ID
	for _, m := range all {
		for _, one := range m.Of {
			if !levels[m.Group] {
				ids = append(ids, order.ID(one))
			}
		}
	}
	return ids, nil
}

// stopped is 1 when all that the order is suspected of is stopped, else 0.
func (s Suspect) stopped(groups []Group) int {
	for _, b := range s.Breaks {
		if g, found := groupOf(groups, b.Kind()); !found || !g.State.Stops() {
			return 0
		}
	}
	return 1
}

func compareIDs(x, y order.ID) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// changed walks each system's changes and returns the orders they belong to. A
// system that cannot be read makes the run partial.
func (a *Activities) changed(ctx context.Context, out *Screened) []order.ID {
	var ids []order.ID
	for _, r := range a.Readers {
		request := reconcile.ListRequest{By: reconcile.ListChanged, From: out.From, To: out.To}
		for {
			page, err := r.Reader.List(ctx, request)
			if err != nil {
				out.Unread = append(out.Unread, r.System)
				activity.GetLogger(ctx).Warn("changes could not be listed; the run is partial", "system", r.System, "error", err)
				break
			}
			out.Records += len(page.Observations) + len(page.Orphans)
			for _, o := range page.Observations {
				ids = append(ids, o.Order)
			}
			if page.Next == "" {
				break
			}
			request.Cursor = page.Next
			activity.RecordHeartbeat(ctx, string(r.System), page.Next)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// withIDs adds the orders that the systems named and visibility has not listed.
func (a *Activities) withIDs(ctx context.Context, known []Known, ids []order.ID) ([]Known, error) {
	var missing []order.ID
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if !slices.ContainsFunc(known, func(k Known) bool { return k.Intent.Order == id }) {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return known, nil
	}
	more, err := a.Keeper.Intents(ctx, IntentQuery{IDs: missing, Limit: len(missing)})
	if err != nil {
		return nil, fmt.Errorf("screen changes: list %d orders by id: %w", len(missing), err)
	}
	return append(known, more...), nil
}

// compareAll reads each order in all six systems and compares.
func (a *Activities) compareAll(ctx context.Context, known []Known, out *Screened) error {
	var restful []Known
	for _, k := range known {
		if k.Intent.PlacedAt.IsZero() { // it has not said yet what it means the systems to say
			out.Looked++
			out.Exceptions = append(out.Exceptions, k.Intent.Order)
			continue
		}
		restful = append(restful, k)
	}
	known = restful
	results := make([]reconcile.Comparison, len(known))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	together := min(max(1, len(known)/sideBySide), lookedUpTogether)
	for from := 0; from < len(known); from += together {
		these := known[from:min(from+together, len(known))]
		g.Go(func() error {
			ahead := a.together(inner, these)
			for i, k := range these {
				results[from+i] = a.compareOne(inner, k, ahead)
				activity.RecordHeartbeat(inner, from+i)
			}
			return inner.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("screen changes: %w", err)
	}
	for i, c := range results {
		id := known[i].Intent.Order
		out.Looked++
		if len(c.Settling) > 0 || len(c.Unread) > 0 {
			out.Settling += len(c.Settling)
			out.Exceptions = append(out.Exceptions, id)
		}
		for _, system := range c.Unread {
			if !slices.Contains(out.Unread, system) {
				out.Unread = append(out.Unread, system)
			}
		}
		if len(c.Breaks) > 0 {
			out.Suspects = append(out.Suspects, Suspect{Order: id, Breaks: c.Breaks, Systems: systemsOf(c.Breaks), Subject: known[i].Subject})
		}
	}
	return nil
}

func (a *Activities) compareOne(ctx context.Context, k Known, ahead aheadOf) reconcile.Comparison {
	observations := make([]reconcile.Observation, len(a.Readers))
	g, inner := errgroup.WithContext(ctx)
	for i, r := range a.Readers {
		if o, known := ahead[r.System][k.Intent.Order]; known {
			observations[i] = o
			continue
		}
		g.Go(func() error {
			at := a.Now()
			seen, err := r.Reader.Lookup(inner, k.Subject)
			observations[i] = reconcile.Read(r.System, k.Intent.Order, at, seen, err)
			return nil
		})
	}
	_ = g.Wait()
	return reconcile.Compare(k.Intent, a.Policy, observations, nil, nil, a.Now())
}

func systemsOf(breaks []reconcile.Break) []order.System {
	var systems []order.System
	for _, s := range order.Systems() {
		if slices.ContainsFunc(breaks, func(b reconcile.Break) bool { return b.System == s }) {
			systems = append(systems, s)
		}
	}
	return systems
}

// skus returns the SKUs of the orders and those seen by earlier runs, sorted.
func skus(known []Known, seen []string) []string {
	all := slices.Clone(seen)
	for _, k := range known {
		for _, q := range k.Intent.Reserved {
			all = append(all, q.SKU)
		}
		for _, s := range k.Intent.Shipments {
			for _, q := range s.Lines {
				all = append(all, q.SKU)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compareStock holds inventory's level of each SKU against the warehouse's
// count, with what has left and is not committed yet.
func (a *Activities) compareStock(ctx context.Context, known []Known, out *Screened) {
	for _, sku := range out.SKUs {
		level, err := a.Levels.Level(ctx, sku)
		if out.uncompared(sku, order.SystemInventory, err) {
			continue
		}
		count, err := a.Counts.Count(ctx, sku)
		if out.uncompared(sku, order.SystemWarehouse, err) {
			continue
		}
		if a.moving(known, sku) {
			continue // its goods are on their way between the two: the next run compares them
		}
		out.Compared++
		if is := count.Quantity + uncommitted(known, sku); level.Stocked != is || level.Reserved > is {
			a.atOdds(ctx, level, count, out)
		}
	}
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
	}
	return true
}

// moving says that an order with the SKU is at work, or was within the time that
// stock takes to settle: then level and count are in motion.
func (a *Activities) moving(known []Known, sku string) bool {
	settling := a.Policy.Rule(reconcile.InventoryLevel).Settling
	has := func(q order.Quantity) bool { return q.SKU == sku }
	for _, k := range known {
		concerned := slices.ContainsFunc(k.Intent.Reserved, has)
		for _, s := range k.Intent.Shipments {
			concerned = concerned || slices.ContainsFunc(s.Lines, has)
		}
		if !concerned {
			continue
		}
		for _, c := range k.Intent.Changed {
			if c.System == order.SystemInventory && a.Now().Sub(c.At) < settling {
				return true
			}
		}
		if slices.Contains(k.Intent.Busy, order.SystemInventory) {
			return true
		}
	}
	return false
}

// uncommitted is what has left the warehouse and is still promised: of each
// order what is promised beyond what is yet to leave. An order of which a part
// has left and was committed promises only the rest.
func uncommitted(known []Known, sku string) int64 {
	n := int64(0)
	for _, k := range known {
		out, toLeave, reserved := int64(0), int64(0), int64(0)
		for _, s := range k.Intent.Shipments {
			for _, q := range s.Lines {
				switch {
				case q.SKU != sku:
				case s.State == reconcile.ShipmentShipped || s.State == reconcile.ShipmentDelivered:
					out += q.Quantity
				default:
					toLeave += q.Quantity
				}
			}
		}
		for _, r := range k.Intent.Reserved {
			if r.SKU == sku {
				reserved += r.Quantity
			}
		}
		n += min(out, max(0, reserved-toLeave))
	}
	return n
}

func appendNew(systems []order.System, s order.System) []order.System {
	if slices.Contains(systems, s) {
		return systems
	}
	return append(systems, s)
}

// fingerprint tells two listings of one order apart by their content.
func fingerprint(o reconcile.Observation) string {
	o.At, o.Changed = time.Time{}, time.Time{}
	data, err := json.Marshal(o)
	if err != nil { // observations hold nothing that cannot be marshalled
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// changedAt is when the listed records changed, by the system's clock; where it
// does not say, now, so that they are read.
func changedAt(o reconcile.Observation, now time.Time) time.Time {
	if o.Changed.IsZero() || o.Changed.After(now) {
		return now
	}
	return o.Changed
}
