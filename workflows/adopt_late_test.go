package workflows

import (
	"fmt"
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

func bothMugs() order.Quantity { return order.Quantity{Line: 1, SKU: "MUG", Quantity: 2} }
func theShirt() order.Quantity { return order.Quantity{Line: 2, SKU: "TSHIRT", Quantity: 1} }

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
	}
	for name, live := range lives {
		for _, capture := range []order.CaptureMode{order.CaptureOnShip, order.CaptureAtOnce} {
			t.Run(name+", "+string(capture), func(t *testing.T) {
				t.Parallel()
				w := scripted(t, capture)
				live(w)
				before := w.sys.written()
				again := &walk{
					process: &process{State: &State{Order: w.Order, Phase: order.PhaseReceived, Since: w.now, Adopted: true, Observed: w.Observed}, settings: w.settings},
					t:       t, now: w.now.Add(20 * 24 * time.Hour), moves: map[Move]bool{}, sys: w.sys, calm: true,
				}
				again.adopt(again.now)
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
