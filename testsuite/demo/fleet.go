package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

const (
	fleetSize   = 20
	sideBySide  = 5 // submissions
	patience    = 100 * time.Second
	runEvery    = 6 * time.Second // as a schedule would, only sooner
	mostTrouble = 2               // faults for one order
)

// mischief is a kind of fault with the calls that it may strike.
type mischief struct {
	kind simulator.FaultKind
	on   []string
}

// writes are the calls that change a system in an order's life.
var writes = []string{
	"payment.authorize", "payment.capture", "inventory.reserve", "inventory.commit", "warehouse.request",
	"erp.record", "erp.invoice", "erp.receipt", "crm.upsert", "mail.send",
}

// menu is every kind of trouble that an order must get through without a person
// and without a second effect. Each strikes at least one of the orders. Left out
// are a mail that is delivered twice behind our back, which nobody can take back,
// and what is tried again only after a minute: refused credentials, and a mail
// relay that says "later".
func menu() (gentle, rough []mischief) {
	butMail := slices.DeleteFunc(slices.Clone(writes), func(on string) bool { return on == "mail.send" })
	gentle = []mischief{
		{simulator.Refused, writes},
		{simulator.Unavailable, writes},
		{simulator.ResponseLost, writes},
		{simulator.ResponseError, writes},
		{simulator.RateLimited, butMail},
		{simulator.Garbage, writes},
		{simulator.Twice, butMail},
	}
	rough = []mischief{ // one of these is enough for one order
		{simulator.Late, []string{"payment.capture", "inventory.reserve", "warehouse.request", "erp.record", "crm.upsert"}},
		{simulator.Foreign, []string{"payment.authorize", "inventory.reserve", "warehouse.request", "erp.record"}},
		{simulator.ReplaysError, []string{"payment.authorize", "payment.capture"}},
		{simulator.Stale, []string{"inventory.lookup", "warehouse.lookup", "erp.lookup", "crm.lookup"}},
		{simulator.Vanishes, []string{"erp.record", "crm.upsert"}},
		{simulator.Rejected, []string{"payment.authorize"}},
		{simulator.EmptyList, []string{"warehouse.list"}},
		{simulator.NotListed, []string{"erp.list"}},
	}
	return gentle, rough
}

// trouble is one fault for one order, or for a system's lists when it has none.
type trouble struct {
	system order.System
	fault  simulator.Fault // with the id under which it was injected
}

func (t trouble) String() string {
	return string(t.system) + "." + string(t.fault.Operation) + " " + string(t.fault.Kind)
}

// voyage is one order of the fleet and what became of it.
type voyage struct {
	order   order.Order
	trouble []trouble

	sent    time.Time
	took    time.Duration // until all six agreed and nothing was left to do
	ended   bool
	verdict reconcile.Verdict
	wrong   []string
}

// plan is the fleet with its trouble: the same seed makes the same plan.
func plan(seed uint64, now time.Time) (fleet []*voyage, lists []trouble) {
	r := rand.New(rand.NewPCG(seed, 7)) // a plan that can be repeated is the point
	for n := range fleetSize {
		fleet = append(fleet, &voyage{order: randomOrder(r, n+1, now)})
	}
	gentle, rough := menu()
	kinds := slices.Concat(gentle, rough)
	for i, n := range r.Perm(fleetSize) {
		if i >= len(kinds) {
			break
		}
		t := pick(r, kinds[i], fleet[n].order.ID)
		if t.fault.Operation == "list" {
			t.fault.Order, t.fault.Times = "", 2
			lists = append(lists, t)
			continue
		}
		fleet[n].trouble = append(fleet[n].trouble, t)
	}
	for _, v := range fleet {
		for len(v.trouble) < mostTrouble && r.IntN(3) > 0 {
			t := pick(r, gentle[r.IntN(len(gentle))], v.order.ID)
			if !slices.ContainsFunc(v.trouble, func(o trouble) bool { return o.String() == t.String() }) {
				v.trouble = append(v.trouble, t)
			}
		}
	}
	return fleet, lists
}

func pick(r *rand.Rand, m mischief, of order.ID) trouble {
	system, operation, _ := strings.Cut(m.on[r.IntN(len(m.on))], ".")
	t := trouble{order.System(system), simulator.Fault{Operation: order.Operation(operation), Kind: m.kind, Times: 1, Order: of}}
	switch m.kind {
	case simulator.Late:
		t.fault.Delay = time.Second
	case simulator.Stale:
		t.fault.Delay = 5 * time.Second
	case simulator.Refused, simulator.Unavailable:
		t.fault.Times = 1 + r.IntN(3)
	}
	return t
}

// randomOrder is an order of one to three lines.
func randomOrder(r *rand.Rand, n int, now time.Time) order.Order {
	o := articleOrder(now)
	who := fmt.Sprintf("fleet-%02d", n)
	o.ID, o.CartID = order.ID(who), ""
	o.Customer = order.Customer{ID: "customer-" + who, Email: who + "@example.com", Name: "Captain " + who}
	o.Lines, o.Shipping, o.Total = nil, int64(r.IntN(3))*250, 0
	skus := []string{"MUG", "TSHIRT", "POSTER"}
	for _, i := range r.Perm(len(skus))[:1+r.IntN(len(skus))] {
		l := order.Line{SKU: skus[i], Quantity: 1 + int64(r.IntN(3)), UnitPrice: 500 + int64(r.IntN(4500)), Tax: int64(r.IntN(300))}
		l.Discount = int64(r.IntN(100))
		o.Lines = append(o.Lines, l)
		o.Total += l.Quantity*l.UnitPrice - l.Discount + l.Tax
	}
	o.Total += o.Shipping
	return o
}

// fleet sends twenty orders through random faults and shows what became of them.
func (d *demo) fleet(ctx context.Context) error {
	fleet, lists := plan(d.seed, time.Now())
	d.head("twenty orders with random faults; go run ./testsuite/demo -seed %d makes the same plan", d.seed)
	for i := range lists {
		if err := d.inject(ctx, &lists[i]); err != nil {
			return err
		}
	}
	for _, v := range fleet {
		for i := range v.trouble {
			if err := d.inject(ctx, &v.trouble[i]); err != nil {
				return err
			}
		}
	}
	if err := d.submitFleet(ctx, fleet); err != nil {
		return err
	}
	if err := d.awaitFleet(ctx, fleet); err != nil {
		return err
	}
	return d.showFleet(ctx, fleet, lists)
}

func (d *demo) inject(ctx context.Context, t *trouble) error {
	id, err := d.desks.inject(ctx, t.system, t.fault)
	t.fault.ID = id
	return err
}

func (d *demo) submitFleet(ctx context.Context, fleet []*voyage) error {
	var group sync.WaitGroup
	free := make(chan struct{}, sideBySide)
	errs := make(chan error, len(fleet))
	for _, v := range fleet {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			v.sent = time.Now()
			status, body, err := d.desks.submit(ctx, v.order)
			if err == nil && status/100 != 2 {
				err = fmt.Errorf("submit order %s: %d %s", v.order.ID, status, body.Error)
			}
			if err != nil {
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// awaitFleet waits until each order has ended and all systems agree about it.
// Meanwhile reconciliation runs, as its schedule would have it.
func (d *demo) awaitFleet(ctx context.Context, fleet []*voyage) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	runs, all := make(chan string, 100), 0
	go func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(runEvery):
			}
			if text, _, err := d.trueup(ctx, "reconcile"); err == nil {
				runs <- text
			}
		}
	}()
	_, err := until(ctx, patience, func() (bool, error) {
		under := 0
		for _, v := range fleet {
			if v.ended {
				continue
			}
			var err error
			if v.verdict, err = d.desks.verdict(ctx, v.order.ID); err != nil {
				return false, err
			}
			done := v.verdict.Phase == order.PhaseDelivered || v.verdict.Outcome == reconcile.Failed
			if v.ended = done && v.verdict.Agreement == reconcile.Agreed; v.ended {
				v.took = time.Since(v.sent)
			} else {
				under++
			}
		}
		for len(runs) > 0 {
			all++
			d.sayRun(<-runs)
		}
		select { // twenty questions are asked at a time
		case <-ctx.Done():
		case <-time.After(400 * time.Millisecond):
		}
		return under == 0, nil
	})
	d.says("reconcile", "%d runs meanwhile", all)
	return err
}

// sayRun says what a run's report says that it found and did, if anything.
func (d *demo) sayRun(report string) {
	if !strings.Contains(report, "\n  - ") {
		return
	}
	for _, l := range strings.Split(report, "\n") {
		l = strings.TrimSpace(l)
		if text, ok := strings.CutPrefix(l, "found"); ok {
			d.says("reconcile", "%s", text)
		} else if strings.HasPrefix(l, "- ") {
			d.says("", "%s", l)
		}
	}
}

func (d *demo) showFleet(ctx context.Context, fleet []*voyage, lists []trouble) error {
	fired, err := d.fired(ctx)
	if err != nil {
		return err
	}
	hit := func(t trouble) bool { return fired[fmt.Sprintf("%s/%d", t.system, t.fault.ID)] > 0 }
	struck := map[simulator.FaultKind]bool{}
	rows := [][]string{{"ORDER", "FAULTS THAT HIT IT", "OUTCOME", "AGREEMENT", "ONCE", "AFTER"}}
	for _, v := range fleet {
		held, err := d.desks.records(ctx, v.order.ID)
		if err != nil {
			return err
		}
		v.wrong = check(v.order, held)
		doubled, err := d.doubled(ctx, v.order.ID)
		if err != nil {
			return err
		}
		v.wrong = append(v.wrong, doubled...)
		var hits []string
		for _, t := range v.trouble {
			if hit(t) {
				hits = append(hits, t.String())
				struck[t.fault.Kind] = true
			}
		}
		once, after := "yes", v.took.Round(100*time.Millisecond).String()
		if len(v.wrong) > 0 {
			once = "NO"
		}
		if !v.ended {
			after = "-"
		}
		rows = append(rows, []string{
			string(v.order.ID), dash(strings.Join(hits, ", ")), string(v.verdict.Outcome), string(v.verdict.Agreement), once, after,
		})
	}
	d.table(rows)
	for _, t := range lists {
		if hit(t) {
			struck[t.fault.Kind] = true
			d.says("feeds", "%s", t)
		}
	}
	for _, v := range fleet {
		d.expect(v.ended, "order %s has ended and all systems agree (%s)", v.order.ID, v.verdict.Summary)
		d.expect(len(v.wrong) == 0, "order %s has each effect once: %s", v.order.ID, strings.Join(v.wrong, "; "))
	}
	gentle, rough := menu()
	for _, m := range slices.Concat(gentle, rough) {
		d.expect(struck[m.kind], "the fault %s struck somewhere", m.kind)
	}
	return d.checkStock(ctx)
}

// fired says how often each fault struck, by system and id.
func (d *demo) fired(ctx context.Context) (map[string]int, error) {
	all := map[string]int{}
	for _, system := range order.Systems() {
		faults, err := d.desks.faults(ctx, system)
		if err != nil {
			return nil, err
		}
		for _, f := range faults {
			all[fmt.Sprintf("%s/%d", system, f.ID)] = f.Fired
		}
	}
	return all, nil
}

// checkStock holds inventory's levels against the warehouse's shelves, and these
// against what was there, what people counted, and what has left.
func (d *demo) checkStock(ctx context.Context) error {
	held, err := d.desks.records(ctx, "")
	if err != nil {
		return err
	}
	entries, err := d.desks.ledger(ctx, order.SystemWarehouse, "")
	if err != nil {
		return err
	}
	for _, sku := range []string{"MUG", "TSHIRT", "POSTER"} {
		left, corrected := int64(0), int64(0)
		for _, s := range held.warehouse.Shipments {
			for _, l := range s.Lines {
				if s.State == "done" && l.SKU == sku {
					left += l.Quantity
				}
			}
		}
		for _, e := range entries {
			if e.Kind == simulator.EntryEdit && e.Operation == "count" && e.Record == sku {
				corrected += e.Amount
			}
		}
		there := held.warehouse.OnHand[sku]
		d.says(strings.ToLower(sku), "%d at first %+d by hand %+d shipped = %d in the warehouse; %d in inventory",
			initialStock, corrected, -left, there, level(held, sku))
		d.expect(initialStock+corrected-left == there, "the warehouse's count of %s adds up", sku)
		d.expect(level(held, sku) == there, "inventory and warehouse agree about %s (%d and %d)", sku, level(held, sku), there)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
