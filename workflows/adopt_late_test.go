package workflows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// scripted is a walk on which nothing is left to chance, of an order of two
// lines: two at 25.00 each, one at 40.00, shipping 5.00.
func scripted(t *testing.T, capture order.CaptureMode) *walk {
	w := newWalk(t)
	w.calm = true
	w.Order.Payment.Capture, w.Order.Payment.Multicapture = capture, true
	w.Order.Lines = []order.Line{{SKU: "MUG", Quantity: 2, UnitPrice: 2500}, {SKU: "TSHIRT", Quantity: 1, UnitPrice: 4000}}
	w.Order.Shipping = 500
	w.Order.Total, _ = w.Order.Sum()
	w.sys.level = map[string]int64{"MUG": 10, "TSHIRT": 10}
	return w
}

// rests lets everything happen that is due by now.
func (w *walk) rests() {
	for busy := true; busy; {
		w.now = w.now.Add(time.Second)
		w.seeAll()
		w.turn()
		busy = false
		for _, system := range order.Systems() {
			busy = w.begin(system) || busy
			busy = w.answer(system) || busy
		}
	}
}

// arrives lets every shipment that lives be delivered.
func (w *walk) arrives() {
	for _, to := range []reconcile.ShipmentState{reconcile.ShipmentShipped, reconcile.ShipmentDelivered} {
		w.rests()
		w.now = w.now.Add(time.Hour)
		for i := range w.sys.shipments {
			if sh := &w.sys.shipments[i]; sh.State.Live() && sh.LostAt.IsZero() {
				sh.State, sh.ShippedAt = to, w.now
			}
		}
	}
	w.rests()
}

// comesBack lets goods be announced, received and restocked.
func (w *walk) comesBack(lines ...order.Quantity) {
	w.takeReturn(w.now, Return{Asked: w.asked(), Lines: lines})
	w.rests()
	for _, to := range []reconcile.ReturnState{reconcile.ReturnReceived, reconcile.ReturnRestocked} {
		w.sys.returns[len(w.sys.returns)-1].State = to
		w.rests()
	}
}

// halves lets the warehouse split the mugs and give one part up before the other
// leaves: it is requested anew.
func (w *walk) halves() {
	w.rests()
	all := w.sys.shipments[0]
	one, rest := all, all
	one.Lines, rest.Lines = []order.Quantity{{Line: 1, SKU: "MUG", Quantity: 1}}, []order.Quantity{{Line: 1, SKU: "MUG", Quantity: 1}, theShirt()}
	one.State, one.ShippedAt = reconcile.ShipmentShipped, w.now
	rest.ID, rest.State = all.ID+"-rest", reconcile.ShipmentCancelled
	w.sys.shipments = []reconcile.Shipment{one, rest}
	w.rests()
}

// drops gives pieces up before they are packed.
func (w *walk) drops(lines ...order.Quantity) {
	w.rests()
	w.takeAmendment(w.now, Amend{Asked: w.asked(), Drop: lines})
	w.rests()
}

// losesIt lets the only parcel be lost, and a person decide.
func (w *walk) losesIt(as Decision) {
	w.rests()
	sh := &w.sys.shipments[0]
	sh.State, sh.ShippedAt = reconcile.ShipmentShipped, w.now
	w.rests()
	w.sys.shipments[0].LostAt = w.now
	w.rests()
	w.decided(w.now, w.openCases()[0], Decide{Asked: w.asked(), Case: w.openCases()[0].N, As: as})
	w.rests()
}

// losesInDispute lets the bank take a part of the money, for good.
func (w *walk) losesInDispute(amount int64) {
	w.sys.attempts[0].Disputed += amount
	w.rests()
	w.sys.attempts[0].Lost += amount
	w.rests()
}

// turnsUp lets goods come back that nobody announced.
func (w *walk) turnsUp(lines ...order.Quantity) {
	w.sys.returns = append(w.sys.returns, reconcile.Return{ID: w.sys.id("in"), State: reconcile.ReturnRestocked, Lines: lines, ReceivedAt: w.now})
	w.rests()
}

// tookTwo lets what was done first of a kind have been done under the second key:
// under the first it was refused, and left no record, or an attempt that is closed.
func (w *walk) tookTwo(operation order.Operation) {
	key := func(n int) string { return order.Intent{Order: w.Order.ID, Operation: operation, N: n}.Key() }
	anew := func(k *string) {
		if *k == key(1) {
			*k = key(2)
		}
	}
	for i := range w.sys.attempts {
		anew(&w.sys.attempts[i].Key)
		for k := range w.sys.attempts[i].Refunds {
			anew(&w.sys.attempts[i].Refunds[k].Key)
		}
	}
	for i := range w.sys.shipments {
		anew(&w.sys.shipments[i].Key)
	}
	for i := range w.sys.returns {
		anew(&w.sys.returns[i].Key)
	}
	if operation == order.Authorize {
		w.sys.attempts = append(w.sys.attempts, reconcile.Attempt{
			ID: w.sys.id("pi_"), Key: key(1), State: reconcile.AttemptVoided, Amount: w.Order.Total, Currency: w.Order.Currency, Created: w.Order.PlacedAt,
		})
	}
	w.now = w.now.Add(time.Second)
	w.seeAll()
}

// numbered holds that the intents of each kind are numbered from 1 on, each once:
// what counts them, and what means another, rests on it.
func (w *walk) numbered() {
	for _, op := range w.Operations {
		same := 0
		for _, other := range w.Operations {
			if other.Operation == op.Operation && other.N == op.N {
				same++
			}
		}
		if same != 1 || op.N > w.count(op.Operation) {
			w.fatal("%s is one of %d, and there %d times", w.Key(op), w.count(op.Operation), same)
		}
	}
}

func bothMugs() order.Quantity { return order.Quantity{Line: 1, SKU: "MUG", Quantity: 2} }
func theShirt() order.Quantity { return order.Quantity{Line: 2, SKU: "TSHIRT", Quantity: 1} }

// forgotten is the order as it is submitted again after a while, when our memory of
// it is lost.
func (w *walk) forgotten(after time.Duration) *walk {
	return &walk{
		process: &process{State: &State{Order: w.Order, Phase: order.PhaseReceived, Since: w.now, Adopted: true, Observed: w.Observed}, settings: w.settings},
		t:       w.t, now: w.now.Add(after), moves: map[Move]bool{}, sys: w.sys, calm: true,
	}
}

// written is what the systems hold that somebody wrote on purpose.
func (y *systems) written() string {
	return fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v\n%+v\n%+v", y.attempts, y.promised, y.shipments, y.returns, y.books, y.deal, y.messages)
}

func TestAdopt_AfterAWholeLife_NothingIsDueAgain(t *testing.T) {
	t.Parallel()
	lives := map[string]func(w *walk){
		"delivered":                           func(w *walk) { w.arrives() },
		"partly returned":                     func(w *walk) { w.arrives(); w.comesBack(theShirt()) },
		"returned in two parts":               func(w *walk) { w.arrives(); w.comesBack(theShirt()); w.comesBack(bothMugs()) },
		"wholly returned":                     func(w *walk) { w.arrives(); w.comesBack(bothMugs(), theShirt()) },
		"refunded in part":                    func(w *walk) { w.arrives(); w.takeRefund(w.now, Refund{Asked: w.asked(), Amount: 1000}); w.rests() },
		"refunded wholly":                     func(w *walk) { w.arrives(); w.takeRefund(w.now, Refund{Asked: w.asked()}); w.rests() },
		"a line dropped":                      func(w *walk) { w.drops(theShirt()); w.arrives() },
		"dropped and returned":                func(w *walk) { w.drops(theShirt()); w.arrives(); w.comesBack(bothMugs()) },
		"lost and given back":                 func(w *walk) { w.losesIt(DecideRefund) },
		"a part given up, and requested anew": func(w *walk) { w.halves(); w.arrives() },
		"lost and sent once more":             func(w *walk) { w.losesIt(DecideShip); w.arrives() },
		"came back and nobody announced it":   func(w *walk) { w.arrives(); w.turnsUp(theShirt()) },
		"the second return was unannounced":   func(w *walk) { w.arrives(); w.comesBack(theShirt()); w.turnsUp(bothMugs()) },
		"the first return was refused":        func(w *walk) { w.arrives(); w.comesBack(theShirt()); w.tookTwo(order.Return) },
		"the first request was refused":       func(w *walk) { w.arrives(); w.tookTwo(order.Request) },
		"the first card was declined":         func(w *walk) { w.arrives(); w.tookTwo(order.Authorize) },
		"a part lost in a dispute":            func(w *walk) { w.arrives(); w.losesInDispute(3000) },
		"a part lost in a dispute, and one refunded": func(w *walk) {
			w.arrives()
			w.losesInDispute(3000)
			w.takeRefund(w.now, Refund{Asked: w.asked(), Amount: 1000})
			w.rests()
		},
		"the first refund was declined": func(w *walk) {
			w.arrives()
			w.takeRefund(w.now, Refund{Asked: w.asked(), Amount: 1000})
			w.rests()
			w.tookTwo(order.Refund)
		},
	}
	for name, live := range lives {
		for _, capture := range []order.CaptureMode{order.CaptureOnShip, order.CaptureAtOnce} {
			t.Run(name+", "+string(capture), func(t *testing.T) {
				t.Parallel()
				w := scripted(t, capture)
				live(w)
				before := w.sys.written()
				again := w.forgotten(20 * 24 * time.Hour)
				again.adopt(again.now)
				again.numbered()
				again.rests()
				if after := again.sys.written(); after != before {
					again.fatal("adopting it wrote:\n%s\nwhere there was:\n%s", after, before)
				}
				if len(again.Cases)+len(again.Questions) > 0 {
					again.fatal("adopting it asked %+v and %+v", again.Cases, again.Questions)
				}
				if !again.Phase.PastPivot() || len(again.Departures) != len(w.Departures) {
					again.fatal("it was adopted as %s with %d of %d parcels", again.Phase, len(again.Departures), len(w.Departures))
				}
			})
		}
	}
}

// What is meant after an adoption is an intent of its own, with a key that was
// never used and the money that is meant.
func TestAdopt_WithoutTheFirstRefund_TheNextIsANewOne(t *testing.T) {
	t.Parallel()
	w := scripted(t, order.CaptureOnShip)
	w.arrives()
	w.takeRefund(w.now, Refund{Asked: w.asked(), Amount: 1000})
	w.rests()
	w.tookTwo(order.Refund)
	again := w.forgotten(0)
	again.adopt(again.now)
	again.rests()
	n := again.takeRefund(again.now, Refund{Asked: w.asked(), Amount: 500})
	again.rests()
	if a := again.sys.attempts[0]; n != 3 || a.Refunded != 1500 || a.Refunds[len(a.Refunds)-1].Amount != 500 {
		t.Errorf("as refund %d went back: %+v", n, a)
	}
}

// Near its end an authorization is renewed once, under a key that was never used:
// not under that of an attempt which was closed, or which waits for nobody any more.
func TestAdopt_OneOfTwoAttemptsHolds_RenewedOnceUnderItsOwnKey(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]func(w *walk){
		"the second": func(w *walk) { w.tookTwo(order.Authorize) },
		"the first": func(w *walk) {
			w.sys.attempts = append(w.sys.attempts, reconcile.Attempt{
				ID: w.sys.id("pi_"), Key: "order/1/authorize/2", State: reconcile.AttemptOpen, Amount: w.Order.Total, Currency: w.Order.Currency, Created: w.now,
			})
			w.now = w.now.Add(time.Second)
			w.seeAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, order.CaptureOnShip)
			w.Order.Payment.Reusable = true
			w.rests()
			live(w)
			again := w.forgotten(0)
			again.adopt(again.now)
			again.numbered()
			again.now = again.sys.attempts[0].HeldUntil.Add(-time.Hour)
			again.rests()
			made := again.sys.attempts[len(again.sys.attempts)-1]
			if len(again.sys.attempts) != 3 || made.Key != "order/1/authorize/3" || made.Held != w.Order.Total {
				t.Errorf("the attempts are %+v", again.sys.attempts)
			}
		})
	}
}

// A bank takes days about one attempt and another was left open: whoever submits the order
// again hears at once what it waits for.
func TestAdopt_OneProcessingAndOneOpen_TheSubmissionIsAnswered(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	key := func(n int) string { return order.Intent{Order: "1", Operation: order.Authorize, N: n}.Key() }
	p := &process{settings: Settings{Policy: reconcile.Default()}, State: &State{
		Order: order.Order{ID: "1", Currency: "EUR", Lines: []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 9000}}, Total: 9000}, Phase: order.PhasePaying,
		Observed: []reconcile.Observation{{System: order.SystemPayment, Order: "1", State: reconcile.Present, At: now, Payment: &reconcile.Payment{Attempts: []reconcile.Attempt{
			{ID: "pi_1", Key: key(1), State: reconcile.AttemptProcessing, Amount: 9000, Currency: "EUR", Created: now},
			{ID: "pi_2", Key: key(2), State: reconcile.AttemptOpen, Amount: 9000, Currency: "EUR", Created: now.Add(time.Minute)},
		}}}},
	}}
	p.adoptMoney(now)
	if op := p.find(order.Authorize, 2); op == nil || op.Status != Unsent {
		t.Fatalf("the second attempt was adopted as %+v", op)
	}
	if !p.hasAnswer() {
		t.Errorf("nobody is answered: the operations are %+v", p.Operations)
	}
}

// A number that somebody typed, as a date, is no number of ours: what carries it is adopted
// as a record without a key, and nothing is counted up to it.
func TestAdopt_ANumberThatWeNeverGave_IsNoKeyOfOurs(t *testing.T) {
	t.Parallel()
	const typed = 20260501
	for name, write := range map[string]func(y *systems, key func(order.Operation) string){
		"an invoice": func(y *systems, key func(order.Operation) string) {
			y.books.Invoices = append(y.books.Invoices, reconcile.Document{ID: "77", Key: key(order.Invoice), State: reconcile.DocumentPosted, Total: 100})
		},
		"a return": func(y *systems, key func(order.Operation) string) {
			y.returns = append(y.returns, reconcile.Return{ID: "77", Key: key(order.Return), State: reconcile.ReturnExpected, Lines: []order.Quantity{theShirt()}})
		},
		"a shipment": func(y *systems, key func(order.Operation) string) {
			y.shipments = append(y.shipments, reconcile.Shipment{ID: "77", Key: key(order.Request), State: reconcile.ShipmentCancelled, Lines: []order.Quantity{theShirt()}})
		},
		"a refund": func(y *systems, key func(order.Operation) string) {
			a := &y.attempts[0]
			a.Refunded += 100
			a.Refunds = append(a.Refunds, reconcile.Refund{ID: "re_77", Key: key(order.Refund), State: reconcile.RefundSucceeded, Amount: 100})
		},
		"an attempt": func(y *systems, key func(order.Operation) string) {
			y.attempts = append(y.attempts, reconcile.Attempt{ID: "pi_77", Key: key(order.Authorize), State: reconcile.AttemptOpen, Amount: 100, Currency: "EUR", Created: y.attempts[0].Created})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, order.CaptureOnShip)
			w.arrives()
			write(&w.sys, func(operation order.Operation) string {
				return order.Intent{Order: w.Order.ID, Operation: operation, N: typed}.Key()
			})
			w.now = w.now.Add(time.Second)
			w.seeAll()
			again := w.forgotten(0)
			again.adopt(again.now)
			again.numbered()
			if len(again.Operations) > 50 || len(again.Returns) > 1 {
				t.Errorf("%d operations and %d returns were adopted", len(again.Operations), len(again.Returns))
			}
			if !slices.ContainsFunc(again.Audit, func(e Entry) bool { return strings.Contains(e.What, strconv.Itoa(typed)) }) {
				t.Errorf("nothing is noted: %+v", again.Audit)
			}
		})
	}
}

// A delivery that waits under a key that nobody gave may be the one that was requested: the
// same goods are not requested beside it, but once it is cancelled.
func TestAdopt_WaitsUnderAKeyThatWeNeverGave_NotRequestedBesideIt(t *testing.T) {
	t.Parallel()
	w := scripted(t, order.CaptureOnShip)
	w.rests()
	for n := range w.sys.shipments {
		w.sys.shipments[n].Key = order.Intent{Order: w.Order.ID, Operation: order.Request, N: 20260501}.Key()
	}
	w.now = w.now.Add(time.Second)
	w.seeAll()
	again := w.forgotten(0)
	again.adopt(again.now)
	if due := again.dueRequest(); due != nil || again.Phase != order.PhaseAccepted {
		t.Fatalf("in phase %s is due %+v beside %+v", again.Phase, due, again.sys.shipments)
	}
	again.attend(again.now)
	k := again.openCaseOf(reconcile.WarehouseShipment, unclaimedItem)
	if k == nil || again.proposed(*k) != DecideAccept {
		t.Fatalf("the cases are %+v", again.Cases)
	}
	if !slices.ContainsFunc(again.mails(), func(m reconcile.MailIntent) bool { return m.Template == reconcile.MailConfirmation }) {
		t.Errorf("the mails are %+v", again.mails())
	}
	for n := range again.sys.shipments {
		again.sys.shipments[n].State = reconcile.ShipmentCancelled
	}
	again.now = again.now.Add(time.Second)
	again.seeAll()
	if due := again.dueRequest(); due == nil {
		t.Fatal("it was cancelled, and nothing is due")
	}
	if again.attend(again.now); again.openCaseOf(reconcile.WarehouseShipment, unclaimedItem) != nil {
		t.Errorf("it was cancelled, and the cases are %+v", again.Cases)
	}
}

// What went back in other amounts may have been for what came back: it is named, and no
// more than the rest is proposed.
func TestAdopt_CameBackAndOtherRefundsAreKnown_TheRestIsProposed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refunds   []int64
		twice     bool // and the whole was paid a second time, which went back
		want      int64
		operation order.Operation
	}{
		"in two parts": {[]int64{3000, 1000}, false, 0, ""}, "a part of it": {[]int64{3000}, false, 1000, order.Refund}, "more": {[]int64{4500}, false, 0, ""},
		"of a second payment": {nil, true, 4000, order.Refund},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, order.CaptureOnShip)
			w.arrives()
			w.sys.returns = append(w.sys.returns, reconcile.Return{ID: w.sys.id("in"), State: reconcile.ReturnRestocked, Lines: []order.Quantity{theShirt()}, ReceivedAt: w.now})
			paid := &w.sys.attempts[0]
			for _, amount := range tt.refunds {
				paid.Refunds = append(paid.Refunds, reconcile.Refund{ID: w.sys.id("re"), Amount: amount, State: reconcile.RefundSucceeded})
				paid.Refunded += amount
			}
			if tt.twice {
				all := paid.Captured
				w.sys.attempts = append(w.sys.attempts, reconcile.Attempt{
					ID: w.sys.id("pi"), State: reconcile.AttemptCaptured, Currency: "EUR", Amount: all, Captured: all, Refunded: all, Created: w.now,
					Refunds: []reconcile.Refund{{ID: w.sys.id("re"), Amount: all, State: reconcile.RefundSucceeded}},
				})
			}
			w.now = w.now.Add(time.Second)
			w.seeAll()
			again := w.forgotten(0)
			again.adopt(again.now)
			again.rests()
			cases := slices.DeleteFunc(again.openCases(), func(k reconcile.Case) bool {
				return k.Step.Break.Field != reconcile.PaymentRefunded || k.Step.Break.Situation != reconcile.Missing
			})
			if len(cases) != 1 || cases[0].Step.Amount != tt.want || cases[0].Step.Operation != tt.operation || strings.Contains(cases[0].Step.Why, "went back for no return") == tt.twice {
				t.Fatalf("the cases are %+v", cases)
			}
		})
	}
}

// What came back while nobody remembered the order is not paid back by itself, for it may
// have been before: a person is asked, once, and what they decide is done.
func TestAdopt_CameBackAndNoRefundIsKnown_APersonIsAsked(t *testing.T) {
	t.Parallel()
	for as, back := range map[Decision]int64{DecideRepair: 4000, DecideRefund: 1000, DecideAccept: 0, DecideByHand: 0} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			w := scripted(t, order.CaptureOnShip)
			w.arrives()
			w.sys.returns = append(w.sys.returns, reconcile.Return{ID: w.sys.id("in"), State: reconcile.ReturnRestocked, Lines: []order.Quantity{theShirt()}, ReceivedAt: w.now})
			w.now = w.now.Add(time.Second)
			w.seeAll()
			again := w.forgotten(0)
			again.adopt(again.now)
			again.rests()
			cases := again.openCases()
			if len(cases) != 1 || cases[0].Step.Break.Field != reconcile.PaymentRefunded || cases[0].Step.Amount != 4000 || again.sys.attempts[0].Refunded != 0 {
				t.Fatalf("the cases are %+v, and the attempts %+v", cases, again.sys.attempts)
			}
			d := Decide{Asked: w.asked(), Case: cases[0].N, As: as}
			if as == DecideRefund {
				d.Amount = back
			}
			if err := again.feasible("", cases[0], d); err != nil {
				t.Error(err)
			}
			again.decided(again.now, cases[0], d)
			again.rests()
			credited := again.sum(order.Credit, nil)
			if open := again.openCases(); len(open) != 0 || again.sys.attempts[0].Refunded != back || credited != back {
				t.Errorf("%d went back and %d was credited, and open is %+v", again.sys.attempts[0].Refunded, credited, open)
			}
		})
	}
}
