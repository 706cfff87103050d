package reconcile

import (
	"cmp"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Judge answers "did the order succeed?" with its proof. It is made from what
// the systems said, never from how far our own process believes to be: not
// failed or cancelled while money or stock is held, an attempt is open or goods are out,
// and a system that cannot be read makes the answer say so with the last known
// value and its age. Give it the observations that the comparison was made from.
func Judge(i Intent, p Policy, observations []Observation, c Comparison, cases []Case, fresh bool, now time.Time) Verdict {
	x := &judging{intent: i, policy: p, comparison: c, now: now}
	for _, s := range order.Systems() {
		if o, found := latest(observations, s, strongest); found {
			x.read = append(x.read, o)
		}
	}
	for _, k := range cases {
		if k.Open() {
			x.cases = append(x.cases, k)
		}
	}
	slices.SortFunc(x.cases, func(a, b Case) int { return cmp.Compare(a.N, b.N) })
	x.expected = Expect(i, p, now)
	x.plan()
	v := Verdict{
		Order: i.Order, Phase: i.Phase, Currency: i.Currency, At: now, Fresh: fresh,
		Breaks: c.Breaks, Settle: c.Settling, Cases: x.cases,
		Policy: p.Version(), Rules: RulesVersion,
	}
	v.Outcome = x.outcome()
	v.Agreement = x.agreement()
	v.Rows = x.rows()
	v.Read = x.readings()
	v.Summary = x.summary(v)
	return v
}

type judging struct {
	intent     Intent
	policy     Policy
	comparison Comparison
	cases      []Case // open ones
	now        time.Time
	read       []Observation // the best of each system
	expected   []Expectation
	steps      []Step // what would be done once the breaks are confirmed
}

// plan works out what happens next about each break. What is not confirmed yet
// is planned as if it were, so that the answer can say what to expect.
func (x *judging) plan() {
	confirmed := slices.Clone(x.comparison.Breaks)
	for n := range confirmed {
		if confirmed[n].Confirmed.IsZero() {
			confirmed[n].Confirmed = x.now
		}
	}
	x.steps = Plan(x.policy, x.intent, confirmed, x.read, nil)
}

func (x *judging) observation(s order.System) (Observation, bool) {
	for _, o := range x.read {
		if o.System == s {
			return o, true
		}
	}
	return Observation{}, false
}

// known returns what a system was last known to say, and whether that is newer
// than our own last write to it: only then is it proof.
func (x *judging) known(s order.System) (Observation, bool) {
	o, found := x.observation(s)
	if !found {
		return Observation{}, false
	}
	memory, readable := o.lastKnown()
	if !readable {
		return Observation{}, false
	}
	changed, written := x.intent.changed(s)
	return memory, !written || !memory.At.Before(changed)
}

// outcome follows the words of the design: see Outcome.
func (x *judging) outcome() Outcome {
	i := x.intent
	switch i.Phase {
	case order.PhaseReceived, order.PhasePaying:
		if x.inDoubt(order.SystemPayment, order.SystemInventory) {
			return OutcomeInDoubt
		}
		return InProgress
	case order.PhaseCancelling, order.PhaseFailing:
		if x.inDoubt(order.SystemPayment, order.SystemInventory, order.SystemWarehouse) {
			return OutcomeInDoubt
		}
		return InProgress
	case order.PhaseAccepted, order.PhaseShipped, order.PhaseDelivered, order.PhaseClosed:
		switch {
		case i.Underway:
			return InProgress
		case i.Phase == order.PhaseAccepted:
			return x.accepted()
		}
		return Succeeded
	case order.PhaseCancelled:
		return x.ended(Cancelled)
	case order.PhaseFailed:
		return x.ended(Failed)
	}
	return InProgress
}

func (x *judging) inDoubt(systems ...order.System) bool {
	return slices.ContainsFunc(systems, func(s order.System) bool { return slices.Contains(x.intent.InDoubt, s) })
}

// accepted: past the pivot an order has succeeded as soon as every line is on
// its way, which is when the warehouse has a live request for it.
func (x *judging) accepted() Outcome {
	memory, proof := x.known(order.SystemWarehouse)
	var under []order.Quantity
	for _, s := range x.intent.Shipments {
		// The intent has only requests that the warehouse took; what was read
		// since then may say otherwise.
		if proof && exceeds(s.Lines, liveLines(memory, s.Key)) {
			return InProgress
		}
		// What has left but is not committed yet is still reserved.
		if !s.State.out() || x.intent.busy(order.SystemInventory) {
			under = append(under, s.Lines...)
		}
	}
	waiting := len(x.intent.Shipments) == 0 || exceeds(x.intent.Reserved, under)
	switch {
	case !waiting:
		return Succeeded
	case x.inDoubt(order.SystemWarehouse):
		return OutcomeInDoubt
	}
	return InProgress
}

// liveLines returns what is in the live shipments of a request.
func liveLines(o Observation, key string) []order.Quantity {
	var lines []order.Quantity
	for _, s := range of(o.Warehouse).Shipments {
		if s.Key == key && s.State.Live() {
			lines = append(lines, s.Lines...)
		}
	}
	return lines
}

// ended gives an order up only with proof: the gateway and the warehouse were
// read after our last write and nothing is held, open or out. What inventory was last
// seen to hold counts too, and it need not be read for that: stock is no money.
func (x *judging) ended(outcome Outcome) Outcome {
	payment, paid := x.known(order.SystemPayment)
	warehouse, shipped := x.known(order.SystemWarehouse)
	inventory, released := x.known(order.SystemInventory)
	switch {
	case x.intent.Underway, payment.Payment != nil && holdsMoney(*payment.Payment), warehouse.Warehouse != nil && holdsGoods(*warehouse.Warehouse),
		released && inventory.Inventory != nil && holdsStock(*inventory.Inventory):
		return InProgress
	case x.inDoubt(order.SystemPayment, order.SystemInventory, order.SystemWarehouse):
		return OutcomeInDoubt
	case !paid || !shipped && x.asked(order.SystemWarehouse):
		return OutcomeInDoubt
	}
	return outcome
}

// asked says that the order ever had anything to do with a system.
func (x *judging) asked(s order.System) bool {
	_, written := x.intent.changed(s)
	_, read := x.observation(s)
	return written || read
}

// holdsMoney says that money is held, was kept, or can still be taken. A refund
// counts only when it succeeded; money in dispute is nobody's.
func holdsMoney(p Payment) bool {
	for _, a := range p.Attempts {
		pending := int64(0)
		for _, r := range a.Refunds {
			if r.State == RefundPending {
				pending += r.Amount
			}
		}
		if a.takesMoney() || a.Held > 0 || a.State == AttemptAuthorized || a.Captured-a.Refunded+pending-a.Disputed > 0 {
			return true
		}
	}
	return false
}

// holdsGoods says that goods are out, or that the warehouse is about to ship.
func holdsGoods(w Warehouse) bool {
	return slices.ContainsFunc(w.Shipments, func(s Shipment) bool { return s.State.Live() })
}

// holdsStock says that goods are promised to the order, so that nobody else can have them.
func holdsStock(i Inventory) bool {
	return slices.ContainsFunc(i.Reservations, func(r Reservation) bool { return r.Quantity > 0 })
}

// agreement: what needs a person most comes first.
func (x *judging) agreement() Agreement {
	switch {
	case len(x.cases) > 0:
		return NeedsPerson
	case len(x.comparison.Breaks) > 0:
		return Disagreeing
	case slices.ContainsFunc(order.Systems(), x.unreadable):
		return AgreeUnknown
	case len(x.read) == 0, len(x.comparison.Settling) > 0, slices.ContainsFunc(order.Systems(), x.settling):
		return AgreeSettle
	}
	return Agreed
}

// cares says that the order expects something of a system: the need not to be
// there counts only where strict is false.
func (x *judging) cares(s order.System, strict bool) bool {
	for _, e := range x.expected {
		if e.System == s && (e.Need == Must || e.Need == AtLeast || e.Need == MustNot && !strict) && x.policy.Rule(e.Field).Mode != ModeIgnore {
			return true
		}
	}
	return false
}

// unreadable says that a system which matters could not be read: it was tried
// in vain, or was never read although its answer has been due for long.
func (x *judging) unreadable(s order.System) bool {
	if !slices.Contains(x.comparison.Unread, s) {
		return false
	}
	if _, tried := x.observation(s); tried {
		// An installation without a journal cannot read mail at all; that says
		// something about an order only once a mail is due.
		return s != order.SystemMail || x.cares(s, true)
	}
	return x.cares(s, true) && !x.early(s)
}

// early says that the order's last write to a system is still settling.
func (x *judging) early(s order.System) bool {
	changed, written := x.intent.changed(s)
	if !written {
		changed = x.intent.PlacedAt
	}
	return x.intent.busy(s) || changed.Add(x.policy.MaxSettling(s)).After(x.now)
}

// settling says that a system agrees or was not read, but cannot be judged yet:
// an operation is open, or it was read before our last write.
func (x *judging) settling(s order.System) bool {
	if x.intent.busy(s) {
		return true
	}
	o, found := x.observation(s)
	if !found {
		return x.cares(s, true)
	}
	changed, written := x.intent.changed(s)
	return written && o.State != Unreadable && o.At.Before(changed)
}

func (x *judging) readings() []Reading {
	var all []Reading
	for _, o := range x.read {
		r := Reading{System: o.System, State: o.State, At: o.At, Why: o.Why}
		if !o.LastRead.IsZero() {
			r.Why += "; last read " + age(x.now.Sub(o.LastRead)) + " ago"
		}
		all = append(all, r)
	}
	return all
}

// Attributes returns what is searched by: the outcome and the agreement, an
// entry "system.field.kind" for each kind of break, sorted and at most twenty,
// and when the oldest was first seen (zero without any).
func Attributes(v Verdict, breaks []Break) (outcome, agreement string, kinds []string, oldest time.Time) {
	for _, b := range breaks {
		kinds = append(kinds, string(b.Field)+"."+string(b.Situation))
		if oldest.IsZero() || b.FirstSeen.Before(oldest) {
			oldest = b.FirstSeen
		}
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	if len(kinds) > maxKinds {
		kinds = kinds[:maxKinds]
	}
	return string(v.Outcome), string(v.Agreement), kinds, oldest
}

// maxKinds keeps the search attribute small.
const maxKinds = 20
