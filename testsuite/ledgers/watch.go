package ledgers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Law is what no ledger may ever pass through by our doing, whatever the file
// says. Changes that people make, and what a fault of the file does to a system,
// are not our doing.
type Law string

// The laws.
const (
	// AboveTotal is more money taken than the order costs.
	AboveTotal Law = "captured above the order's total"
	// RefundedTooMuch is more money given back than was taken.
	RefundedTooMuch Law = "refunded more than was captured"
	// BelowZero is stock that is promised or gone and was never there.
	BelowZero Law = "stock below zero"
	// GoodsTwice is the same goods in two live shipments.
	GoodsTwice Law = "the same goods in two live shipments"
	// Unpaid is goods that were sent, or asked for, without their money.
	Unpaid Law = "goods unpaid"
	// TooEarly is a confirmation before stock was reserved, the payment
	// authorized and no review open.
	TooEarly Law = "a confirmation before the order was certain"
	// MailTwice is an identical mail twice.
	MailTwice Law = "an identical mail twice"
	// MailUntrue is a mail that tells what has not happened.
	MailUntrue Law = "a mail that is not true"
	// EffectTwice is an intent with two effects.
	EffectTwice Law = "one intent, two effects"
	// NotOurs is an effect under a key that is none of the order's.
	NotOurs Law = "an effect under a key that is none of the order's"
	// BooksTwice is more in the books than was sold and taken.
	BooksTwice Law = "more in the books than was sold"
	// MoneyForGoods is money kept for other goods than the customer has.
	MoneyForGoods Law = "the money is not that of the goods"
	// PromisedTooMuch is more stock promised to an order than it asked for.
	PromisedTooMuch Law = "more reserved than was ordered"
	// DealBack is a deal that we had won or lost and opened again.
	DealBack Law = "a deal goes back"
	// ClosedChanged is a closed order changed without a case or a repair on record.
	ClosedChanged Law = "a closed order changed without a case or a repair on record"
	// Untrue is an order that is said to be failed or cancelled while money is
	// held, an attempt is open or goods are out.
	Untrue Law = "failed or cancelled, and it is not over"
	// NeverSaid is an outcome that the file says may never be given.
	NeverSaid Law = "an outcome that may never be given"
)

// Violation is a law that was broken.
type Violation struct {
	Law   Law
	Order string
	What  string
	At    time.Time
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: %s: %s (%s)", v.Order, v.Law, v.What, v.At.UTC().Format("2006-01-02 15:04:05"))
}

// Watch reads the ledgers as they grow and holds them against the laws.
type Watch struct {
	file   *script.File
	desks  Desks
	seen   map[order.System]int64
	orders map[string]*tally
	stock  map[string]*level
	fresh  []Violation
	told   map[string]bool // each violation once
	skewed bool            // a clock is wrong, so that moments of two systems do not compare
	writes int
}

// NewWatch begins to watch a story that has not begun.
func NewWatch(f *script.File, d Desks) *Watch {
	w := &Watch{
		file: f, desks: d, seen: map[order.System]int64{}, orders: map[string]*tally{}, stock: map[string]*level{}, told: map[string]bool{},
	}
	for _, o := range f.Orders {
		w.orders[o.Name] = newTally(o)
	}
	for sku, n := range f.World.Stock {
		w.stock[sku] = &level{stocked: int64(n), known: true}
	}
	for _, s := range f.Steps {
		if _, is := s.Do.(script.Clock); is {
			w.skewed = true
		}
	}
	return w
}

// entry is one line of a ledger, and whose.
type entry struct {
	simulator.Entry
	system order.System
}

// After reads what came since it was asked last, and returns the laws that were
// broken by it.
func (w *Watch) After() ([]Violation, error) {
	news, err := w.news()
	if err != nil {
		return nil, err
	}
	touched := map[string]bool{}
	for _, e := range news {
		w.note(e)
		if t := w.orders[string(e.Order)]; t != nil && e.Kind == simulator.EntryEffect {
			touched[string(e.Order)] = true
			t.at = e.At
		}
	}
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		if err := w.records(w.orders[name], news); err != nil {
			return nil, fmt.Errorf("watch order %s: %w", name, err)
		}
	}
	return w.broken(), nil
}

// broken hands over what was found.
func (w *Watch) broken() []Violation {
	found := w.fresh
	w.fresh = nil
	return found
}

// news is what came since, in the order in which it happened. Where two systems'
// moments do not tell, money comes before goods and goods before mails.
func (w *Watch) news() ([]entry, error) {
	var all []entry
	for _, s := range order.Systems() {
		entries, err := w.desks.Frame(s).Ledger(w.seen[s], "")
		if err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
		for _, e := range entries {
			w.seen[s] = e.Seq
			all = append(all, entry{e, s})
		}
	}
	if !w.skewed {
		slices.SortStableFunc(all, func(a, b entry) int { return a.At.Compare(b.At) })
	}
	return all, nil
}

// note lets one entry change what is known, and holds it against the laws.
func (w *Watch) note(e entry) {
	if e.Kind == simulator.EntryEffect {
		w.writes++
	}
	if e.system == order.SystemInventory {
		w.level(e)
	}
	t := w.orders[string(e.Order)]
	if t == nil {
		return
	}
	if e.Kind == simulator.EntryRequest && e.Fault != simulator.NoFault {
		t.suffered[e.system] = append(t.suffered[e.system], e.Entry)
	}
	w.once(t, e)
	switch e.system {
	case order.SystemPayment:
		w.money(t, e)
	case order.SystemInventory:
		w.promises(t, e)
	case order.SystemWarehouse:
		w.parcels(t, e)
	case order.SystemMail:
		w.mails(t, e)
	case order.SystemCRM:
		w.deal(t, e)
	case order.SystemERP: // by its records
	}
	if t.money() > 0 && t.promised && !t.review {
		t.certain = true
	}
	if t.closed && e.Kind == simulator.EntryEffect && e.Detail != draft {
		t.changed = append(t.changed, fmt.Sprintf("%s.%s", e.system, e.Operation))
	}
}

// deal: what is won or lost is never open again by our doing. From one to the
// other it may go: an order is cancelled late, or paid after all.
func (w *Watch) deal(t *tally, e entry) {
	_, changed, _ := strings.Cut(e.Detail, " changed: ")
	for property := range strings.SplitSeq(changed, ", ") {
		stage, is := strings.CutPrefix(property, "stage ")
		if !is {
			continue
		}
		stage, _, _ = strings.Cut(stage, " ") // behind it stands the revenue
		was := t.stages[e.Record]
		t.stages[e.Record] = stage
		if e.Kind == simulator.EntryEffect && (was == "won" || was == "lost") && stage != "won" && stage != "lost" && !w.edited(order.SystemCRM, t.Name) {
			w.violate(t, e.At, DealBack, "deal %s was %s and is %s", e.Record, was, stage)
		}
	}
}

// draft marks an effect of which nothing follows yet.
const draft = "draft"

// tally is what the ledgers have said of one order so far.
type tally struct {
	script.Order
	at       time.Time // of the last effect
	effects  map[string]int
	suffered map[order.System][]simulator.Entry // calls that met a fault

	attempts map[string]*attempt // by the gateway's id
	refunds  map[string]int64
	disputed bool
	review   bool // one is open
	lost     string

	promised  bool             // stock was, at some time
	shipments map[string]goods // that we asked for, by the warehouse's id
	back      goods            // that the warehouse received
	shipped   bool
	mailed    map[string]bool   // ids of the messages that we sent
	stages    map[string]string // of deals, by record

	certain bool
	closed  bool
	cases   int // on record when it closed
	repairs int
	changed []string // since it closed
}

type attempt struct{ held, captured, before, last int64 }

type goods map[string]int64

func newTally(o script.Order) *tally {
	return &tally{
		Order: o, effects: map[string]int{}, suffered: map[order.System][]simulator.Entry{}, attempts: map[string]*attempt{},
		refunds: map[string]int64{}, shipments: map[string]goods{}, back: goods{}, mailed: map[string]bool{}, stages: map[string]string{},
	}
}

func (w *Watch) violate(t *tally, at time.Time, law Law, format string, args ...any) {
	v := Violation{Law: law, Order: t.Name, What: fmt.Sprintf(format, args...), At: at}
	if key := string(v.Law) + v.Order + v.What; !w.told[key] {
		w.told[key] = true
		w.fresh = append(w.fresh, v)
	}
}

// met says that a call about the order met one of these faults.
func (t *tally) met(s order.System, op order.Operation, kinds ...simulator.FaultKind) bool {
	return slices.ContainsFunc(t.suffered[s], func(e simulator.Entry) bool {
		return (op == "" || e.Operation == op) && slices.Contains(kinds, e.Fault)
	})
}

// edited says that a step of the file changes the order in a system by hand.
func (w *Watch) edited(s order.System, name string) bool {
	return slices.ContainsFunc(w.file.Steps, func(step script.Step) bool {
		e, is := step.Do.(script.Edit)
		return is && e.System == s && e.Order == name
	})
}

// Writes is how many effects requests have had so far, in all systems: a second
// reconciliation must not add to it.
func (w *Watch) Writes() int { return w.writes }

// single are the operations of which an intent has one effect. A surplus
// reservation is given back in the same step, and a deal may be set as often as
// one likes: what is left of those is the proof.
var single = map[order.System][]order.Operation{
	order.SystemPayment:   {order.Authorize, order.Capture, order.Void, order.Refund},
	order.SystemWarehouse: {order.Request, order.Cancel},
	order.SystemERP:       {order.Record, order.Invoice, order.Receipt, order.Credit},
}

// vanished takes back what was done under the key of a record that is gone.
func (t *tally) vanished(e entry) {
	for _, o := range single[e.system] {
		intent := intentOf(e.system, o, e.Key)
		t.effects[intent] = max(0, t.effects[intent]-1)
	}
}

// intentOf names an intent; a key that follows a spent one names the same.
func intentOf(system order.System, operation order.Operation, key string) string {
	key, _, _ = strings.Cut(key, "/again/")
	return fmt.Sprintf("%s.%s %s", system, operation, key)
}

// once: an intent has one effect. What the system lost may come again, and with a
// record that vanished when it was changed goes what had made it.
func (w *Watch) once(t *tally, e entry) {
	if e.Kind == simulator.EntryRequest && e.Fault == simulator.Vanishes {
		t.vanished(e)
		return
	}
	if !slices.Contains(single[e.system], e.Operation) {
		return
	}
	key, _, _ := strings.Cut(e.Key, "/again/")
	intent := intentOf(e.system, e.Operation, e.Key)
	switch {
	case e.Kind != simulator.EntryEffect || e.Detail == draft || e.system == order.SystemPayment && e.Operation != order.Void && e.Amount <= 0:
	default:
		if named, ours := order.ParseKey(key); !ours || string(named.Order) != t.Name {
			w.violate(t, e.At, NotOurs, "%s.%s under %q", e.system, e.Operation, e.Key)
			return
		}
		if t.effects[intent]++; t.effects[intent] > 1 {
			w.violate(t, e.At, EffectTwice, "%s had %d effects", intent, t.effects[intent])
		}
	}
}
