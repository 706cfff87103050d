package reconcile

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

var (
	firstRequest = key(order.Request, 1)
	firstReturn  = key(order.Return, 1)
)

func TestSituations_Returns(t *testing.T) {
	t.Parallel()
	state := func(s ReturnState) func(*Intent, *world) {
		return func(_ *Intent, w *world) { w.warehouse.Returns[0].State = s }
	}
	come := func(i Intent) func() Intent {
		return func() Intent {
			i.Returns[0].State = ReturnReceived
			return i
		}
	}
	gone := func(_ *Intent, w *world) { w.warehouse.Returns = nil }
	unasked := func(r Return) func(*Intent, *world) {
		return func(_ *Intent, w *world) {
			r.ID, r.Lines = "77", []order.Quantity{{SKU: "A", Quantity: 1}}
			w.warehouse.Returns = append(w.warehouse.Returns, r)
		}
	}
	runSituations(t, []situationCase{
		{"the announcement was lost", comingBack, gone, nil, []string{"warehouse.return.missing." + firstReturn}, repaired, op(order.Return)},
		{"only a draft is there", comingBack, state(ReturnDraft), nil, []string{"warehouse.return.missing." + firstReturn}, repaired, op(order.Return)},
		{"what had come is unknown", come(comingBack()), gone, nil, []string{"warehouse.return.missing." + firstReturn}, asked, op("")},
		{"further is news", comingBack, state(ReturnRestocked), nil, nil, nil, nil},
		{"it went back", come(comingBack()), state(ReturnExpected), nil, []string{"warehouse.return.mismatch." + firstReturn}, asked, op("")},
		{"cancelled by them", comingBack, state(ReturnCancelled), nil, []string{"warehouse.return.mismatch." + firstReturn}, asked, op(order.Return)},
		{"the same goods twice", comingBack, unasked(Return{Key: firstReturn, State: ReturnReceived}), nil,
			[]string{"warehouse.return.duplicate." + firstReturn}, asked, op("")},
		{"sent back in two parcels", func() Intent {
			i := comingBack()
			i.Returns[0].Lines = []order.Quantity{{SKU: "A", Quantity: 2}}
			return i
		}, func(_ *Intent, w *world) {
			one := Return{ID: "1", Key: firstReturn, State: ReturnExpected, Lines: []order.Quantity{{SKU: "A", Quantity: 1}}}
			other := one
			other.ID, other.State = "2", ReturnReceived
			w.warehouse.Returns = []Return{other, one}
		}, nil, nil, nil, nil},
		{"sent without asking", shippedOrder, unasked(Return{State: ReturnReceived}), nil, []string{"warehouse.return.unexpected.id 77"}, adopted, nil},
		{"under a key that nobody knows", shippedOrder, unasked(Return{Key: "order/42/return/9", State: ReturnExpected}), nil,
			[]string{"warehouse.return.unexpected.order/42/return/9"}, adopted, nil},
		{"a cancelled one is nothing", shippedOrder, unasked(Return{State: ReturnCancelled}), nil, nil, nil, nil},
		{"a draft is nothing", shippedOrder, unasked(Return{State: ReturnDraft}), nil, nil, nil, nil},
		{"taken up under its name", func() Intent {
			i := shippedOrder()
			i.Returns = []ReturnIntent{{Key: Return{ID: "77"}.Name(), Lines: []order.Quantity{{SKU: "A", Quantity: 1}}, State: ReturnReceived}}
			return i
		}, func(_ *Intent, w *world) { w.warehouse.Returns[0].ID, w.warehouse.Returns[0].Key = "77", "" }, nil, nil, nil, nil},
	})
}

func TestCompare_Return_AtLeast(t *testing.T) {
	t.Parallel()
	states := []ReturnState{ReturnExpected, ReturnReceived, ReturnRestocked}
	for n, meant := range states {
		for m, said := range append(slices.Clone(states), ReturnCancelled, "lost by the parcel service") {
			i := comingBack()
			i.Returns[0].State = meant
			w := agreeing(i)
			w.warehouse.Returns[0].State = said
			breaks := Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Breaks
			if agrees := m >= n && m < len(states); agrees != (len(breaks) == 0) {
				t.Errorf("meant %s, the warehouse says %q: breaks are %+v", meant, said, breaks)
			}
		}
	}
}

func TestCompare_UnaskedReturn_SettlesFromWhenItCame(t *testing.T) {
	t.Parallel()
	settles := auto().Rule(WarehouseReturn).Settling
	for came, want := range map[time.Time]int{now.Add(-settles / 2): 0, now.Add(-settles): 1, now.Add(time.Hour): 1, {}: 1} {
		i := shippedOrder()
		w := agreeing(i)
		w.warehouse.Returns = []Return{{ID: "1", State: ReturnReceived, Lines: i.Shipments[0].Lines, ReceivedAt: came}}
		c := Compare(i, auto(), w.read(i.Order, now), nil, nil, now)
		if len(c.Breaks) != want || len(c.Settling) != 1-want {
			t.Errorf("received at %s: breaks %+v, settling %+v", came, c.Breaks, c.Settling)
		}
	}
}

func TestSituations_SeveralShipments(t *testing.T) {
	t.Parallel()
	a, b := []order.Quantity{{SKU: "A", Quantity: 2}}, []order.Quantity{{SKU: "B", Quantity: 1}}
	parts := func(first, second Shipment) func(*Intent, *world) {
		return func(_ *Intent, w *world) {
			first.ID, first.Key, second.ID, second.Key = "1", firstRequest, "2", firstRequest
			w.warehouse.Shipments = []Shipment{second, first}
		}
	}
	out := func() Intent {
		i := accepted()
		i.Shipments[0].State = ShipmentShipped
		return i
	}
	runSituations(t, []situationCase{
		{"split by the warehouse", accepted, parts(Shipment{State: ShipmentShipped, Lines: a}, Shipment{State: ShipmentAssigned, Lines: b}), nil, nil, nil, nil},
		{"split, and a part is not out", out, parts(Shipment{State: ShipmentShipped, Lines: a}, Shipment{State: ShipmentPacked, Lines: b}), nil,
			[]string{"warehouse.shipment.mismatch." + firstRequest}, asked, op("")},
		{"split, and a part was cancelled", accepted, parts(Shipment{State: ShipmentShipped, Lines: a}, Shipment{State: ShipmentCancelled, Lines: b}), nil,
			[]string{"warehouse.lines.mismatch." + firstRequest}, asked, op("")},
		{"split, with one piece too many", accepted, parts(Shipment{State: ShipmentShipped, Lines: append(b, a...)}, Shipment{State: ShipmentAssigned, Lines: b}), nil,
			[]string{"warehouse.duplicate.duplicate." + firstRequest}, asked, op("")},
		{"a cancelled one beside it is nothing", accepted, parts(Shipment{State: ShipmentRequested, Lines: append(b, a...)}, Shipment{State: ShipmentCancelled, Lines: a}),
			nil, nil, nil, nil},
		{"the second request was lost", inParts, func(_ *Intent, w *world) { w.warehouse.Shipments = w.warehouse.Shipments[:1] }, nil,
			[]string{"warehouse.shipment.missing." + key(order.Request, 2)}, repaired, op(order.Request)},
		{"the one that left is unknown", inParts, func(_ *Intent, w *world) { w.warehouse.Shipments = w.warehouse.Shipments[1:] }, nil,
			[]string{"warehouse.shipment.missing." + firstRequest}, asked, op("")},
	})
}

func TestJudge_Accepted_APartOfASplitWasCancelled(t *testing.T) {
	t.Parallel()
	i := accepted()
	w := agreeing(i)
	part := w.warehouse.Shipments[0]
	w.warehouse.Shipments[0].Lines = part.Lines[:1]
	part.ID, part.Lines = "2", part.Lines[1:]
	w.warehouse.Shipments = append(w.warehouse.Shipments, part)
	if v := verdictOf(i, w); v.Outcome != Succeeded {
		t.Fatalf("split, it is %s", v.Outcome)
	}
	w.warehouse.Shipments[1].State = ShipmentCancelled
	if v := verdictOf(i, w); v.Outcome != InProgress {
		t.Fatalf("a part was cancelled, and it is %s", v.Outcome)
	}
}

func TestVerdict_Underway_SaysWhat(t *testing.T) {
	t.Parallel()
	i := returned()
	i.Underway = true
	w := agreeing(i)
	if v := verdictOf(i, w); v.Summary != "in progress, a change or a refund is under way; all systems agree" {
		t.Errorf("the summary is %q", v.Summary)
	}
	w.payment.Attempts[0].Refunds = []Refund{{ID: "re_1", Amount: 2500, State: RefundPending}, {ID: "re_0", Amount: 2500, State: RefundFailed}}
	v := verdictOf(i, w)
	if v.Summary != "in progress, a refund of 25.00 EUR is under way; all systems agree" {
		t.Errorf("the summary is %q", v.Summary)
	}
	if got := said(t, v, "money refunded"); got != "25.00 EUR (25.00 pending) (25.00 failed)" {
		t.Errorf("refunded is %q", got)
	}
	const question = "B is not there: amend, wait or cancel, until 2026-03-03T12:00:00Z"
	asking := v.Asking(question)
	if asking.Question != question || asking.Summary != "in progress, the customer is asked: "+question+"; all systems agree" {
		t.Errorf("asking %q, the summary is %q", asking.Question, asking.Summary)
	}
	v.Question = question
	for name, text := range map[string]string{
		"table": v.Table(), "markdown": v.Markdown(), "table of Asking": asking.Table(), "markdown of Asking": asking.Markdown(),
	} {
		if strings.Count(strings.Join(strings.Fields(text), " "), "the customer is asked: "+question) != 1 {
			t.Errorf("the %s does not say once what the customer is asked:\n%s", name, text)
		}
	}
	checkText(t, v)
}

// said returns what the first system says to a question.
func said(t *testing.T, v Verdict, field string) string {
	t.Helper()
	for _, r := range v.Rows {
		if r.Field == field {
			return r.Cells[0].Value
		}
	}
	t.Fatalf("there is no row %q:\n%s", field, v.Table())
	return ""
}

func TestVerdict_Returns(t *testing.T) {
	t.Parallel()
	i := comingBack()
	i.Returns = append(i.Returns, ReturnIntent{Key: key(order.Return, 2), Lines: []order.Quantity{{SKU: "B", Quantity: 1}}, State: ReturnReceived})
	w := agreeing(i)
	w.warehouse.Returns[1].State = ReturnRestocked
	v := verdictOf(i, w)
	if got := said(t, v, "goods returned"); got != "A×1 expected, B×1 restocked" || v.Agreement != Agreed {
		t.Fatalf("it says %q, %s:\n%s", got, v.Agreement, v.Table())
	}
	w.warehouse.Returns = w.warehouse.Returns[1:]
	v = verdictOf(i, w)
	n := slices.IndexFunc(v.Rows, func(r Row) bool { return r.Field == "goods returned" })
	if v.Rows[n].State != "disagrees" || v.Rows[n].Expected != "A×1 expected, B×1 received" || v.Rows[n].Right != "warehouse" {
		t.Fatalf("the row is %+v", v.Rows[n])
	}
	if v = verdictOf(shippedOrder(), agreeing(shippedOrder())); slices.ContainsFunc(v.Rows, func(r Row) bool { return r.Field == "goods returned" }) {
		t.Fatalf("nothing came back, and there is a row:\n%s", v.Table())
	}
}

// The workflow opens the case of a dispute at once, by this id.
func TestCompare_Dispute_HasTheIDOfItsCase(t *testing.T) {
	t.Parallel()
	for name, life := range map[string]func() Intent{"accepted": accepted, "shipped": shippedOrder, "cancelled": cancelledOrder, "paying": paying} {
		i := life()
		w := agreeing(i)
		w.payment.Attempts = append(w.payment.Attempts, Attempt{ID: "x", State: AttemptCaptured, Captured: 100, Disputed: 100, Currency: "EUR"})
		want := Break{Field: PaymentDisputed, Situation: Unexpected}.ID()
		if c := Compare(i, auto(), w.read(i.Order, now), nil, nil, now); !slices.ContainsFunc(c.Breaks, func(b Break) bool { return b.ID() == want }) {
			t.Errorf("%s: breaks are %+v", name, c.Breaks)
		}
	}
}

func TestCompare_LostDispute_IsTheRefund(t *testing.T) {
	t.Parallel()
	refunded := func(i Intent, n int64) Intent {
		i.Refunded, i.Revenue = n, i.Captured-n
		i.Receipts = append(slices.Clone(i.Receipts), DocumentIntent{Key: key(order.Receipt, 2), Total: -n})
		i.Credits = []DocumentIntent{{Key: key(order.Credit, 1), Total: n}}
		return i
	}
	second := Attempt{ID: "pi_2", State: AttemptCaptured, Amount: 9980, Captured: 9980, Currency: "EUR", Created: placed.Add(time.Minute)}
	lose := func(a Attempt, n int64) Attempt {
		a.Disputed, a.Lost = n, n
		return a
	}
	whole, part := refunded(shippedOrder(), 9980), refunded(shippedOrder(), 100)
	own := func(i Intent) Attempt { a := agreeing(i).payment.Attempts[0]; a.Refunded = 0; return a }
	tests := []struct {
		name     string
		intent   Intent
		attempts []Attempt
		want     []string
	}{
		{"all of it", whole, []Attempt{lose(own(whole), 9980)}, nil},
		{"a part of it", part, []Attempt{lose(own(part), 100)}, nil},
		{"not taken up yet", shippedOrder(), []Attempt{lose(own(whole), 100)}, []string{"payment.refunded.unexpected"}},
		{"the second capture was disputed", shippedOrder(), []Attempt{own(whole), lose(second, 9980)}, nil},
		{"the same, taken up as a refund", whole, []Attempt{own(whole), lose(second, 9980)}, nil},
		{"the first of two captures was disputed in part", part, []Attempt{lose(own(part), 100), second}, []string{"payment.attempts.duplicate.pi_2"}},
	}
	for _, tt := range tests {
		for _, relies := range [][]string{nil, {own(whole).ID}} {
			i := tt.intent
			i.Attempts = relies
			w := agreeing(i)
			w.payment.Attempts = tt.attempts
			var ids []string
			for _, b := range Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Breaks {
				ids = append(ids, b.ID())
				if b.Field == PaymentAttempts && number(b.Observed) > 9880 {
					t.Errorf("%s: %s is taken for a surplus, with what was lost", tt.name, b.Observed)
				}
			}
			if !slices.Equal(ids, tt.want) {
				t.Errorf("%s, relying on %v: breaks are %q, want %q", tt.name, relies, ids, tt.want)
			}
		}
	}
}

// What was taken twice and given back may be in the order's own numbers or not;
// neither makes the money that pays for the order a surplus.
func TestCompare_SurplusGivenBack_IsOver(t *testing.T) {
	t.Parallel()
	second := Attempt{ID: "pi_2", State: AttemptCaptured, Amount: 9980, Captured: 9980, Refunded: 9980, Currency: "EUR", Created: placed.Add(time.Minute)}
	tests := []struct {
		name         string
		meant, given int64 // of the order's own refunds
		want         []string
	}{
		{"not counted", 0, 0, nil},
		{"counted", 9980, 0, nil},
		{"not counted, and a return besides", 2500, 2500, nil},
		{"counted, and a return besides", 12480, 2500, nil},
		{"not counted, and the refund of a return was lost", 2500, 0, []string{"payment.refunded.missing"}},
		{"counted, and the refund of a return was lost", 12480, 0, []string{"payment.refunded.mismatch"}},
	}
	for _, tt := range tests {
		i := shippedOrder()
		w := agreeing(i)
		i.Refunded, i.Attempts = tt.meant, []string{w.payment.Attempts[0].ID}
		w.payment.Attempts[0].Refunded = tt.given
		w.payment.Attempts = append(w.payment.Attempts, second)
		var ids []string
		for _, b := range Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Breaks {
			ids = append(ids, b.ID())
		}
		if !slices.Equal(ids, tt.want) {
			t.Errorf("%s: breaks are %q, want %q", tt.name, ids, tt.want)
		}
	}
}

// What of a second capture was given back is not given back again because a
// refund of the order's own was lost.
func TestCompare_SurplusGivenBack_OwnRefundLost_IsNoSurplus(t *testing.T) {
	t.Parallel()
	i := returned() // of 99.80, 25.00 should have gone back
	w := agreeing(i)
	i.Attempts = []string{"gone", "pi_2"}
	half, second := i.Total/2, i.Total
	w.payment.Attempts = []Attempt{
		{ID: "pi_2", State: AttemptCaptured, Amount: half, Captured: half, Currency: "EUR", Created: placed},
		{ID: "pi_3", State: AttemptCaptured, Amount: second, Captured: second, Refunded: half, Currency: "EUR", Created: placed.Add(time.Minute)},
	}
	for _, b := range Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Breaks {
		if b.Field == PaymentAttempts {
			t.Errorf("%s of %s is taken for a surplus: %d was, and went back", b.Observed, b.Item, half)
		}
	}
}

func TestSituations_Authorizations(t *testing.T) {
	t.Parallel()
	// B was dropped: only 50.00 of the 99.80 that are held will be captured.
	dropped := func() Intent {
		i := accepted()
		i.Attempts = []string{"r1"}
		i.Reserved = i.Reserved[:1]
		i.Shipments[0].Lines = i.Reserved
		return i
	}
	captured := func() Intent {
		i := dropped()
		i.Held, i.Captured, i.Revenue = 4980, 5000, 5000
		return i
	}
	older := func(a Attempt) func(*Intent, *world) {
		return func(_ *Intent, w *world) {
			a.ID, a.Amount, a.Currency, a.Created = "old", 9980, "EUR", placed.Add(-time.Hour)
			w.payment.Attempts = append(w.payment.Attempts, a)
		}
	}
	nothing := func(*Intent, *world) {}
	uncaptured := func(_ *Intent, w *world) {
		a := &w.payment.Attempts[0]
		a.Held, a.Captured, a.State = 9980, 0, AttemptAuthorized
	}
	lost := []Base{{Field: PaymentCaptured, Value: "0"}}
	runSituations(t, []situationCase{
		{"more is held than is to be captured", dropped, nothing, nil, nil, nil, nil},
		{"our capture was lost, and the rest is still to be released", captured, uncaptured, lost, []string{"payment.captured.missing"}, repaired, op(order.Capture)},
		{"the same, and held is what the gateway holds", func() Intent { i := captured(); i.Held = 9980; return i }, uncaptured, lost,
			[]string{"payment.captured.missing"}, repaired, op(order.Capture)},
		{"our last capture was lost", func() Intent { i := captured(); i.Held = 0; return i }, uncaptured, lost,
			[]string{"payment.captured.missing"}, repaired, op(order.Capture)},
		{"renewed, and the older one is still there", dropped, older(Attempt{State: AttemptAuthorized, Held: 9980}), nil,
			[]string{"payment.open.unexpected.old"}, repaired, op(order.Void)},
		{"renewed, the older one is just being voided", func() Intent {
			i := dropped()
			i.Busy = []order.System{order.SystemPayment}
			return i
		}, older(Attempt{State: AttemptAuthorized, Held: 9980}), nil, nil, nil, nil},
		{"renewed, and the older one has died", dropped, older(Attempt{State: AttemptVoided}), nil, nil, nil, nil},
		{"the rest authorized anew after a first capture", func() Intent {
			i := inParts()
			i.Attempts = []string{"old", "r1"}
			return i
		}, func(_ *Intent, w *world) {
			w.payment.Attempts[0].Captured, w.payment.Attempts[0].Amount = 0, 7480
			older(Attempt{State: AttemptCaptured, Captured: 2500})(nil, w)
		}, nil, nil, nil, nil},
		{"it died, and another one is there", dropped, func(_ *Intent, w *world) {
			w.payment.Attempts[0].Held, w.payment.Attempts[0].State = 0, AttemptVoided
			older(Attempt{State: AttemptAuthorized, Held: 9980})(nil, w)
		}, nil, nil, nil, nil},
		{"ended, and money is held after all", cancelledOrder, older(Attempt{State: AttemptAuthorized, Held: 9980}), nil,
			[]string{"payment.open.unexpected.old"}, repaired, op(order.Void)},
		{"ended, and it was captured after all", cancelledOrder, older(Attempt{State: AttemptCaptured, Captured: 9980}), nil,
			[]string{"payment.captured.unexpected"}, adopted, nil},
	})
}

// The proposal of a case is an operation wherever the order can carry it out.
func TestPlan_Ask_NamesTheOperation(t *testing.T) {
	t.Parallel()
	type means struct {
		system    order.System
		operation order.Operation
		key       string
		amount    int64
	}
	attempt := func(change func(a *Attempt)) func(*world) {
		return func(w *world) { change(&w.payment.Attempts[0]) }
	}
	died := func(a *Attempt) { a.Held, a.State = 0, AttemptVoided }
	takenBack := func(a *Attempt) { a.Held, a.Captured, a.State = 9980, 0, AttemptAuthorized }
	invoice := key(order.Invoice, 1)
	second := Attempt{ID: "pi_2", State: AttemptCaptured, Captured: 9980, Currency: "EUR", Created: placed.Add(time.Minute)}
	tests := []struct {
		name   string
		intent func() Intent
		spoil  func(w *world)
		bases  []Base
		about  string
		want   means
	}{
		{"authorize again", accepted, attempt(died), nil, "payment.held.missing", means{order.SystemPayment, order.Authorize, "", 9980}},
		{"too much is held", func() Intent { i := accepted(); i.Held = 5000; return i }, attempt(func(a *Attempt) { a.Held, a.Captured = 6000, 1 }), nil,
			"payment.held.mismatch", means{}},
		{"capture what is still held", shippedOrder, attempt(takenBack), nil, "payment.captured.missing", means{order.SystemPayment, order.Capture, "", 9980}},
		{"what had been captured is gone", shippedOrder, attempt(func(a *Attempt) { a.Captured, a.State = 0, AttemptVoided }), nil, "payment.captured.missing", means{}},
		{"a capture was lost while a dispute runs that somebody let run", func() Intent {
			i := inParts()
			i.Accepted = []Base{{Field: PaymentDisputed, Value: "100"}}
			return i
		}, attempt(func(a *Attempt) { a.Held, a.Captured, a.Disputed = 9880, 100, 100 }), []Base{}, "payment.captured.mismatch", means{}},
		{"charge the stored method again", shippedOrder, attempt(func(a *Attempt) { a.Captured, a.State = 0, AttemptVoided }), []Base{},
			"payment.captured.missing", means{order.SystemPayment, order.Authorize, "", 9980}},
		{"what is held is for what has not left", inParts, attempt(func(a *Attempt) { a.Captured = 0 }), []Base{},
			"payment.captured.missing", means{order.SystemPayment, order.Authorize, "", 2500}},
		{"refund again", returned, attempt(func(a *Attempt) { a.Refunded = 0 }), nil, "payment.refunded.missing", means{order.SystemPayment, order.Refund, "", 2500}},
		{"a dispute is for a person", shippedOrder, attempt(func(a *Attempt) { a.Disputed = 9980 }), nil, "payment.disputed.unexpected", means{}},
		{"a surplus beside an open dispute", shippedOrder, func(w *world) {
			w.payment.Attempts[0].Disputed = 100
			w.payment.Attempts = append(w.payment.Attempts, second)
		}, nil, "payment.attempts.duplicate.pi_2", means{}},
		{"a surplus after a lost dispute", shippedOrder, func(w *world) {
			w.payment.Attempts[0].Disputed, w.payment.Attempts[0].Lost = 100, 100
			w.payment.Attempts = append(w.payment.Attempts, second)
		}, nil, "payment.attempts.duplicate.pi_2", means{order.SystemPayment, order.Refund, "", 9880}},
		{"release what is too much", accepted, func(w *world) { w.inventory.Reservations[0].Quantity = 5 }, nil, "inventory.reserved.mismatch.A",
			means{order.SystemInventory, order.Release, "", 0}},
		{"both changed what is reserved", accepted, func(w *world) { w.inventory.Reservations[0].Quantity = 1 },
			[]Base{{Field: InventoryReserved, Item: "A", Value: "3"}}, "inventory.reserved.conflict.A", means{order.SystemInventory, order.Reserve, "", 0}},
		{"request it again", accepted, func(w *world) { w.warehouse.Shipments[0].State = ShipmentCancelled }, nil,
			"warehouse.shipment.mismatch." + firstRequest, means{order.SystemWarehouse, order.Request, firstRequest, 0}},
		{"request it again, in dispute", accepted, func(w *world) { w.warehouse.Shipments = nil; w.payment.Attempts[0].Disputed = 1 }, nil,
			"warehouse.shipment.missing." + firstRequest, means{order.SystemWarehouse, order.Request, firstRequest, 0}},
		{"not before it is paid", accepted, func(w *world) { w.warehouse.Shipments[0].State = ShipmentCancelled; died(&w.payment.Attempts[0]) }, nil,
			"warehouse.shipment.mismatch." + firstRequest, means{}},
		{"what had left is unknown", shippedOrder, func(w *world) { w.warehouse.Shipments = nil }, nil, "warehouse.shipment.missing." + firstRequest, means{}},
		{"what was packed may have left", accepted, func(w *world) { w.warehouse.Shipments = nil },
			[]Base{{Field: WarehouseShipment, Item: firstRequest, Value: string(ShipmentPacked)}}, "warehouse.shipment.missing." + firstRequest,
			means{order.SystemWarehouse, order.Request, firstRequest, 0}},
		{"what was seen to leave is not requested again", accepted, func(w *world) { w.warehouse.Shipments = nil },
			[]Base{{Field: WarehouseShipment, Item: firstRequest, Value: string(ShipmentShipped)}}, "warehouse.shipment.missing." + firstRequest, means{}},
		{"announce it again", comingBack, func(w *world) { w.warehouse.Returns[0].State = ReturnCancelled }, nil,
			"warehouse.return.mismatch." + firstReturn, means{order.SystemWarehouse, order.Return, firstReturn, 0}},
		{"book it again", shippedOrder, func(w *world) { w.erp.Invoices = nil }, nil, "erp.invoices.missing." + invoice,
			means{order.SystemERP, order.Invoice, invoice, 0}},
		{"what is booked is never changed", shippedOrder, func(w *world) { w.erp.Invoices[0].Total = 1 }, nil, "erp.invoices.mismatch." + invoice, means{}},
		{"set it to", returned, func(w *world) { w.crm.Deals[0].Revenue = 1 }, []Base{{Field: CRMRevenue, Value: "9980"}}, "crm.revenue.conflict",
			means{order.SystemCRM, order.Upsert, "", 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := tt.intent()
			w := agreeing(i)
			bases := tt.bases
			if bases == nil {
				bases = Compare(i, auto(), w.read(i.Order, now), nil, nil, now).Agreed
			}
			tt.spoil(w)
			for _, s := range plan(i, w, bases) {
				if s.Break.ID() != tt.about {
					continue
				}
				if got := (means{s.System, s.Operation, s.Key, s.Amount}); s.Decision != Ask || got != tt.want {
					t.Fatalf("%s: %s %+v, want %+v", s.Decision, s.Proposal, got, tt.want)
				}
				return
			}
			t.Fatalf("there is no step about %s: %+v", tt.about, plan(i, w, bases))
		})
	}
}

// Setting a CRM value that was edited there is an upsert.
func TestPlan_Ask_EditedInTheCRM(t *testing.T) {
	t.Parallel()
	p := auto()
	for n := range p.Rules {
		if p.Rules[n].Field == CRMDeal {
			p.Rules[n].Strength = EnforceOurs
		}
	}
	i := accepted()
	w := agreeing(i)
	bases := Compare(i, p, w.read(i.Order, now), nil, nil, now).Agreed
	w.crm.Deals[0].Stage = DealLost
	if s := Plan(p, i, believed(i, p, w, bases, now), w.read(i.Order, now), bases)[0]; s.Decision != Ask || s.Operation != order.Upsert || s.System != order.SystemCRM {
		t.Fatalf("the step is %+v", s)
	}
}

func TestFold_Returns_AddUpOnce(t *testing.T) {
	t.Parallel()
	page := func(ids ...int) Observation {
		o := Observation{System: order.SystemWarehouse, Order: "42", State: Present, At: now, Warehouse: &Warehouse{}}
		for _, id := range ids {
			o.Warehouse.Returns = append(o.Warehouse.Returns, Return{ID: strconv.Itoa(id), State: ReturnExpected})
		}
		return o
	}
	if sum := Fold(page(1, 2), page(2, 3)); len(sum.Warehouse.Returns) != 3 {
		t.Fatalf("the pages add up to %+v", sum.Warehouse.Returns)
	}
}

func TestComparison_Over_OnlyWhenItWasJudged(t *testing.T) {
	t.Parallel()
	shipped := shippedOrder()
	spoiled := agreeing(shipped)
	spoiled.payment.Attempts[0].Disputed = 100
	opened := Case{Step: Step{Break: Compare(shipped, auto(), spoiled.read("42", now), nil, nil, now).Breaks[0]}}
	tests := []struct {
		name   string
		change func(i *Intent, k *Case, seen []Observation)
		still  bool // in dispute
		want   bool
	}{
		{"it is gone", func(*Intent, *Case, []Observation) {}, false, true},
		{"it is still there", func(*Intent, *Case, []Observation) {}, true, false},
		{"it is still there and settles", func(i *Intent, _ *Case, _ []Observation) {
			i.Changed = []Changed{{order.SystemPayment, now.Add(-time.Second)}}
		}, true, false},
		{"an operation is open", func(i *Intent, _ *Case, _ []Observation) { i.Busy = []order.System{order.SystemPayment} }, false, false},
		{"it was read before our last write", func(i *Intent, _ *Case, seen []Observation) {
			i.Changed = []Changed{{order.SystemPayment, now.Add(-time.Second)}}
			seen[0].At = now.Add(-time.Minute)
		}, false, false},
		{"it cannot be read", func(_ *Intent, _ *Case, seen []Observation) { seen[0].State = Unreadable }, false, false},
		{"no comparison finds it", func(_ *Intent, k *Case, _ []Observation) { k.Stays = true }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i, k, w := shippedOrder(), opened, agreeing(shippedOrder())
			if tt.still {
				w.payment.Attempts[0].Disputed = 100
			}
			seen := w.read(i.Order, now)
			tt.change(&i, &k, seen)
			if c := Compare(i, auto(), seen, nil, nil, now); c.Over(k) != tt.want {
				t.Fatalf("over is %v, want %v: %+v", c.Over(k), tt.want, c)
			}
		})
	}
}
