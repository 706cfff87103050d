package workflows

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// walk is an order whose systems are played by a few rules, without an engine:
// what is due is begun and answered as the lanes do it, and people and systems do
// what they like in between.
type walk struct {
	*process
	t   tester
	now time.Time
	log []string
	sys systems
	// calm is set when nothing goes wrong any more.
	calm   bool
	moves  map[Move]bool
	wishes int
	// byHand: money moved because a person said so; lostMoney: a dispute was lost;
	// wroteOff: a person has accepted that something does not add up.
	byHand, lostMoney, wroteOff bool
}

type tester interface {
	Helper()
	Fatalf(format string, a ...any)
}

// pick draws one of so many: the first is what usually happens.
func (w *walk) pick(of int, label string) int {
	if t, random := w.t.(*rapid.T); random && of > 1 {
		return rapid.IntRange(0, of-1).Draw(t, label)
	}
	return 0
}

func (w *walk) unlucky(oneIn int, label string) bool {
	return !w.calm && w.pick(oneIn, label) == oneIn-1
}

func newWalk(t tester) *walk {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	w := &walk{t: t, now: now, moves: map[Move]bool{}, sys: systems{level: map[string]int64{}, others: map[string]int64{}}}
	o := order.Order{
		ID: "1", Currency: "EUR", Channel: "shop", Customer: order.Customer{ID: "c-1", Email: "ada@example.com"}, PlacedAt: now,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip, Multicapture: w.pick(2, "multicapture") == 1, Reusable: w.pick(3, "reusable") != 2},
	}
	if w.pick(3, "at once") == 2 {
		o.Payment.Capture = order.CaptureAtOnce
	}
	for i := range 1 + w.pick(3, "lines") {
		l := order.Line{SKU: fmt.Sprintf("SKU-%d", i), Quantity: int64(2 + w.pick(3, "quantity")), UnitPrice: int64(1000 + w.pick(5000, "price"))}
		l.Discount, l.Tax = int64(w.pick(500, "line discount")), int64(w.pick(700, "tax"))
		o.Lines = append(o.Lines, l)
		w.sys.level[l.SKU] = 10
		if w.pick(4, "scarce") == 3 {
			w.sys.level[l.SKU] = int64(w.pick(int(l.Quantity), "there is"))
		}
	}
	o.Shipping, o.ShippingTax = int64(w.pick(900, "shipping")), int64(w.pick(90, "shipping tax"))
	o.Discount = int64(w.pick(600, "discount"))
	o.Total, _ = o.Sum()
	policy := reconcile.Default()
	for i := range policy.Rules {
		if policy.Rules[i].Field == reconcile.PaymentAttempts && w.pick(2, "surplus goes back by itself") == 0 {
			policy.Rules[i].Mode = reconcile.ModeAuto
		}
	}
	w.process = &process{State: &State{Order: o, Phase: order.PhaseReceived, Since: now, Run: 1}, settings: Settings{Policy: policy}}
	return w
}

func (w *walk) say(format string, a ...any) {
	w.log = append(w.log, w.now.Format("01-02 15:04:05 ")+string(w.Phase)+": "+fmt.Sprintf(format, a...))
}

func (w *walk) fatal(format string, a ...any) {
	w.t.Helper()
	text := fmt.Sprintf(format, a...) + "\nthe walk:\n"
	for _, line := range w.log {
		text += "  " + line + "\n"
	}
	w.t.Fatalf("%s", text)
}

// turn does what advance does: it takes up what the systems said, and lets the
// phases follow.
func (w *walk) turn() {
	cases, questions := len(w.Cases), len(w.Questions)
	for range 10 {
		w.attend(w.now)
		next, why := w.after(w.now)
		for ; cases < len(w.Cases); cases++ {
			w.say("case %d: %s", w.Cases[cases].N, w.Cases[cases].Step.Why)
		}
		for ; questions < len(w.Questions); questions++ {
			w.say("question %d: %+v", questions+1, w.Questions[questions])
		}
		if next == w.Phase && w.readsStock() {
			continue
		}
		if next == w.Phase {
			w.sound()
			return
		}
		i := slices.IndexFunc(Moves(), func(m Move) bool { return m.From == w.Phase && m.To == next })
		if i < 0 {
			w.fatal("%s → %s (%s) is no move", w.Phase, next, why)
		}
		w.moves[Moves()[i]] = true
		w.say("→ %s %s", next, why)
		w.enter(w.now, next)
	}
	w.fatal("the phases never come to rest")
}

// readsStock reads inventory where the order waits for its word, as the order's
// own reader does at once; it says whether it did.
func (w *walk) readsStock() bool {
	if !slices.ContainsFunc(w.Hints, func(h Hint) bool { return h.System == order.SystemInventory }) || w.openIn(order.SystemInventory) != nil {
		return false
	}
	w.forget(order.SystemInventory)
	w.see(order.SystemInventory)
	return true
}

// begin takes up what is due in a system, held against what must have come
// before it. It says whether anything was.
func (w *walk) begin(system order.System) bool {
	if w.openIn(system) != nil {
		return false
	}
	op := w.due(system, w.now)
	if op == nil {
		return false
	}
	known := w.find(op.Operation, op.N)
	if known != nil && known.Status != Lost && known.Status != Meant {
		w.fatal("%s is due again although it is %s", w.Key(*op), known.Status)
	}
	w.before(*op)
	if known == nil {
		op.First = w.now
		w.Operations = append(w.Operations, *op)
		known = &w.Operations[len(w.Operations)-1]
	}
	if known.Status == Meant {
		known.First = w.now
	}
	known.Status = Open
	return true
}

// answer lets a system answer the operation that is open there.
func (w *walk) answer(system order.System) bool {
	op := w.openIn(system)
	if op == nil {
		return false
	}
	w.now = w.now.Add(time.Second)
	w.holdsEnd()
	asked := *op
	r := w.carryOut(asked)
	op = w.find(asked.Operation, asked.N)
	op.Status, op.Code, op.Ended, op.Conflict = r.status, r.code, w.now, r.code == "conflict"
	w.say("%s %s %s%d of %d %s %v", w.Key(*op), op.Status, op.Code, op.Amount, op.Of, op.About, op.Lines)
	if r.status == Refused {
		op.Why = "it says no: " + r.code
		w.refused(w.now, op)
	}
	w.turn() // no lane goes on before the answer was taken up
	return true
}

// settle lets everything happen that still can, and nothing go wrong any more.
func (w *walk) settle() {
	w.calm = true
	for range 400 {
		w.now = w.now.Add(time.Second)
		w.holdsEnd()
		w.turn()
		busy := false
		for _, system := range order.Systems() {
			busy = w.answer(system) || w.begin(system) || busy
		}
		if busy || w.asksSupply() {
			continue
		}
		before := w.standstill()
		if w.Phase.Ended() && len(w.openCases()) == 0 && w.everythingRests() && w.read() == before {
			return
		}
		w.lets()
	}
	w.fatal("the order never comes to rest")
}

// standstill tells two moments at rest apart.
func (w *walk) standstill() string {
	return fmt.Sprint(w.Phase, len(w.Operations), len(w.Cases), len(w.Departures), len(w.Returns), len(w.Questions))
}

// read reads everything and lets the order follow.
func (w *walk) read() string {
	w.now = w.now.Add(time.Minute)
	w.seeAll()
	w.turn()
	return w.standstill()
}

// everythingRests says that no system is in the middle of anything.
func (w *walk) everythingRests() bool {
	for _, a := range w.sys.attempts {
		if a.Review || a.Disputed > a.Lost || slices.ContainsFunc(a.Refunds, func(r reconcile.Refund) bool { return r.State == reconcile.RefundPending }) {
			return false
		}
	}
	return !slices.ContainsFunc(w.sys.returns, func(r reconcile.Return) bool { return r.State == reconcile.ReturnReceived })
}

// lets lets the systems and people come to an end with what they began.
func (w *walk) lets() {
	w.now = w.now.Add(time.Hour)
	if w.Phase == order.PhaseDelivered && w.pick(3, "the window ends") != 2 {
		w.now = w.now.Add(31 * 24 * time.Hour)
	}
	if w.waits(w.now) {
		w.now = w.now.Add(24 * time.Hour)
	}
	for i := range w.sys.attempts {
		a := &w.sys.attempts[i]
		a.Review = false
		if a.State == reconcile.AttemptProcessing {
			a.State, a.Failure = reconcile.AttemptOpen, "bank_declined"
		}
		if a.Disputed = a.Lost; a.Held > 0 && w.pick(4, "a day passes") == 3 {
			w.now = w.now.Add(24 * time.Hour)
		}
		for k := range a.Refunds {
			if a.Refunds[k].State == reconcile.RefundPending {
				a.Refunds[k].State = reconcile.RefundSucceeded
			}
		}
	}
	w.holdsEnd()
	w.warehouseMoves()
	for i := range w.sys.returns {
		if r := &w.sys.returns[i]; r.State == reconcile.ReturnReceived {
			r.State = reconcile.ReturnRestocked
		} else if r.State == reconcile.ReturnExpected {
			r.State = reconcile.ReturnReceived
		}
	}
	w.seeAll()
	w.turn()
	w.decides()
}

// walkOnce takes an order through a life to its end.
func walkOnce(t tester, steps int) *walk {
	w := newWalk(t)
	for range steps {
		w.now = w.now.Add(time.Duration(w.pick(20, "minutes")) * time.Minute)
		if w.pick(20, "days") == 19 {
			w.now = w.now.Add(30 * time.Hour)
		}
		w.holdsEnd()
		w.turn()
		switch w.pick(4, "somebody else") {
		case 3:
			w.happen()
		case 2:
			w.asksSupply()
			w.answer(order.Systems()[w.pick(6, "answers")])
		default:
			for _, system := range order.Systems() {
				if w.begin(system) && w.pick(5, "answered later") != 4 {
					w.answer(system)
				}
			}
		}
		w.turn()
		w.survives()
	}
	w.settle()
	w.addsUp()
	return w
}

func TestDue_AnyWalk_EndsAndAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { walkOnce(t, rapid.IntRange(0, 60).Draw(t, "steps")) })
}

func TestMoves_EachIsTakenBySomeWalk(t *testing.T) {
	t.Parallel()
	walks := rapid.Custom(func(t *rapid.T) map[Move]bool { return walkOnce(t, rapid.IntRange(0, 60).Draw(t, "steps")).moves })
	taken := map[Move]bool{}
	for seed := 0; seed < 1000 && len(taken) < len(Moves()); seed++ {
		maps.Copy(taken, walks.Example(seed))
	}
	for _, m := range Moves() {
		// What comes after an end, or in the moment before one, is rare in a walk.
		late := m.From == order.PhaseCancelled || m.From == order.PhaseFailed || m.From == order.PhaseFailing && m.To != order.PhaseFailed
		if !taken[m] && !late {
			t.Errorf("no walk went %s → %s", m.From, m.To)
		}
	}
}

// What is due and what is meant agree on how late a mail may be: as the policy says.
func TestDueMail_LateAsThePolicySays(t *testing.T) {
	t.Parallel()
	accepted := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, within := range []time.Duration{time.Hour, 48 * time.Hour} {
		p := &process{State: &State{Phase: order.PhaseAccepted}, settings: Settings{Policy: reconcile.Policy{MailWithin: within}}}
		p.Operations = []Operation{{System: order.SystemWarehouse, Operation: order.Request, N: 1, Status: Done, Ended: accepted}}
		for _, late := range []time.Duration{0, time.Nanosecond} {
			now := accepted.Add(within + late)
			due, meant := p.dueMail(now) != nil, len(p.intent(now).Mails) > 0
			if want := late == 0; due != want || meant != want {
				t.Errorf("%s after its event, within %s: due %v, meant %v", within+late, within, due, meant)
			}
		}
	}
}

func TestAdopt_OwnRecords_NothingIsDueAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := walkOnce(t, rapid.IntRange(0, 20).Draw(t, "steps"))
		// What was decided, dropped or moved by hand is in no system's records under
		// a key of ours, and an order that no gateway knows is new.
		if len(w.attempts()) == 0 || len(w.Cases)+len(w.Dropped)+len(w.Returns)+len(w.Questions)+w.Moves > 0 || w.byHand || w.lostMoney {
			return
		}
		again := &walk{
			process: &process{State: &State{Order: w.Order, Phase: order.PhaseReceived, Since: w.now, Adopted: true, Observed: w.Observed}, settings: w.settings},
			t:       t, now: w.now, moves: map[Move]bool{}, sys: w.sys,
		}
		again.adopt(again.now)
		again.numbered()
		again.turn()
		for _, system := range order.Systems() {
			if op := again.due(system, again.now); op != nil && op.Operation != order.Release {
				again.log = append(w.log, again.log...)
				again.fatal("%s is due again after adopting an order that was %s; phase %s", again.Key(*op), w.Phase, again.Phase)
			}
		}
	})
}
