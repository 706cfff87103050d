package workflows_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// What the books, the CRM and the customer's mailbox hold over a whole life.

// intricate is an order of three lines with every kind of money, none of which
// divides evenly, whose gateway allows several captures.
func intricate(c order.Currency) order.Order {
	o := anOrder("1")
	o.Currency, o.Payment.Multicapture = c, true
	o.Lines = []order.Line{
		{SKU: "MUG", Quantity: 3, UnitPrice: 2000, Discount: 100, Tax: 1130},
		{SKU: "TSHIRT", Quantity: 2, UnitPrice: 4510, Discount: 510, Tax: 1590},
		{SKU: "POSTER", Quantity: 1, UnitPrice: 990, Tax: 190},
	}
	o.Shipping, o.ShippingTax, o.Discount = 490, 90, 330
	o.Total, _ = o.Sum()
	return o
}

func TestBooks_TwoParcelsAndAReturn_AddUpInEveryCurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []order.Currency{"EUR", "JPY", "KWD"} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{
					Stock: map[string]int{"MUG": 10, "TSHIRT": 10, "POSTER": 10}, Policy: month, FollowEvery: 107 * time.Minute,
					Pace: warehouse.Pace{Return: day},
				})
				o := intricate(c)
				w.submit(0, o)
				w.At(30*time.Minute, "the warehouse makes two of it", func() {
					w.edit(w.Warehouse, `{"order":"1","split":{"lines":[{"sku":"MUG","quantity":1},{"sku":"TSHIRT","quantity":2}]}}`)
				})
				w.leaves(3*time.Hour, "1", 1)
				w.leaves(9*time.Hour, "1", 2)
				w.At(40*time.Hour, "a mug and a shirt come back", func() {
					w.took("the return", w.sendBack("1", "a", pieces(1, 1), pieces(2, 1)))
				})
				back := o.Total - order.ValueOf(o, []order.Quantity{pieces(1, 2), pieces(2, 1), pieces(3, 1)})
				want := inTwo().money(o.Total, back)
				want.Invoiced, want.Credited, want.Returns, want.Mails = o.Total, back, []string{"done"}, append(want.Mails, "refund")
				want.Levels = map[string]int64{"MUG": 8, "TSHIRT": 9, "POSTER": 9}
				want.OnHand = maps.Clone(want.Levels)
				w.ends(9*day, "1", order.PhaseClosed, want)
				books, err := w.ERP.Holds("1")
				w.fatal(err)
				first := order.ValueOf(o, []order.Quantity{pieces(1, 2), pieces(3, 1)})
				w.documents("invoices", books.Invoices, c, first, o.Total-first)
				w.documents("receipts", books.Receipts, c, first, o.Total-first, -back)
				w.documents("credit notes", books.Credits, c, -back)
				w.promptly("1")
			})
		})
	}
}

// documents says what the totals of some documents must be, all posted.
func (w *world) documents(what string, got []erp.Document, c order.Currency, want ...int64) {
	w.t.Helper()
	var totals []int64
	for _, d := range got {
		if !d.Posted() || d.Currency != c {
			w.t.Errorf("of the %s one is %+v", what, d)
		}
		totals = append(totals, d.Total)
	}
	if !slices.Equal(totals, want) {
		w.t.Errorf("the %s are of %v, want %v", what, totals, want)
	}
}

// promptly says that every mail came once, within a day of what it tells of, and
// the confirmation not before the warehouse had the goods.
func (w *world) promptly(of order.ID) {
	w.t.Helper()
	s := w.Closed(of)
	all, err := w.Mail.Messages(of)
	w.fatal(err)
	seen := map[string]bool{}
	for _, m := range all {
		occasion := m.Mailbox + " " + m.Template + " " + strconv.Itoa(m.Occasion)
		if seen[occasion] {
			w.t.Errorf("%s came twice", occasion)
		}
		seen[occasion] = true
	}
	accepted := slices.DeleteFunc(w.effects(w.Warehouse, order.Request, of), func(e simulator.Entry) bool {
		return e.Key != "order/"+string(of)+"/request/1" || e.Detail == "draft"
	})
	for _, e := range w.effects(w.Mail, order.Send, of) {
		if e.Detail == string(reconcile.MailConfirmation) && (len(accepted) == 0 || e.At.Before(accepted[0].At)) {
			w.t.Errorf("confirmed at %s, before the warehouse had accepted", e.At)
		}
	}
	for n, d := range s.Departures {
		told := slices.IndexFunc(s.Operations, func(op workflows.Operation) bool {
			return op.Operation == order.Send && op.About == string(reconcile.MailShipped) && op.Of == n+1
		})
		if told < 0 || s.Operations[told].Ended.Sub(d.At) > day {
			w.t.Errorf("parcel %d left at %s and was not told of within a day", n+1, d.At)
		}
	}
}

func TestBooks_AnswerLostAndCommittedLate_AdoptedAndNotDoubled(t *testing.T) {
	t.Parallel()
	for _, operation := range []order.Operation{order.Record, order.Invoice, order.Receipt} {
		t.Run(string(operation), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				for _, f := range []simulator.Fault{{Kind: simulator.Late, Delay: 20 * time.Second}, {Kind: simulator.ResponseLost}, {Kind: simulator.Twice}} {
					f.Operation = operation
					w.inject(w.ERP, f)
				}
				w.submit(0, anOrder("1"))
				w.runs(10 * time.Hour) // removes the draft that came late
				w.ends(4*day, "1", order.PhaseClosed, delivered())
				w.promptly("1")
			})
		})
	}
}

// people reads the contacts and deals that the CRM has of an order.
func (w *world) people(of order.ID) crm.State {
	w.t.Helper()
	s, err := w.CRM.Read(of)
	w.Check(err)
	return s
}

// ofCustomer is an order with an id and a customer.
func ofCustomer(id, customer, email string) order.Order {
	o := anOrder(id)
	o.Customer.ID, o.Customer.Email = customer, email
	return o
}

func TestPeople_AbandonedCart_ClosedOnceTheOrderIsWon(t *testing.T) {
	t.Parallel()
	for name, cart := range map[string]crm.Cart{
		"by its id": {Cart: "cart-1"}, "by the customer": {Customer: "c-1"}, "by the e-mail": {Email: "1@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Carts: []crm.Cart{cart, {Cart: "cart-2", Customer: "c-2", Email: "2@example.com"}}})
				o := anOrder("1")
				if cart.Cart != "" {
					o.CartID = cart.Cart
				}
				w.submit(0, o)
				w.At(time.Hour, "look", func() {
					all := w.people("").Carts
					if len(all) != 1 || all[0].Properties["trueup_cart_id"] != "cart-2" {
						t.Errorf("abandoned are %+v", all)
					}
				})
				w.ends(4*day, "1", order.PhaseClosed, delivered())
			})
		})
	}
}

func TestPeople_EditedByHandAndOptedOut_LeftAsTheyAre(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(30*time.Minute, "somebody in sales knows better", func() {
			w.edit(w.CRM, `{"customer":"c-1","name":"Augusta King","phone":"+33 1 23","opted_out":true}`)
		})
		w.At(3*day, "look", func() {
			all := w.people("1").Contacts
			if len(all) != 1 || all[0].Properties["firstname"] != "Augusta" || all[0].Properties["hs_email_optout"] != "true" {
				t.Errorf("the contacts are %+v", all)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered()) // what an order brings is no advertisement
	})
}

func TestPeople_ContactsMerged_DealStaysWithWhatIsLeft(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(30*time.Minute, "two contacts are one person", func() {
			w.Check(w.CRM.AddContact(crm.Contact{Customer: "c-old", Email: "old@example.com", Name: "A. Lovelace"}))
			w.edit(w.CRM, `{"customer":"c-1","merge":"c-old"}`)
		})
		w.At(3*day, "look", func() {
			s := w.people("1")
			if len(s.Contacts) != 1 || len(s.Deals) != 1 || s.Deals[0].Revenue != 9980 || s.Contacts[0].Properties["trueup_customer_id"] != "c-1" {
				t.Errorf("the CRM holds %+v", s)
			}
		})
		w.ends(4*day, "1", order.PhaseClosed, delivered())
	})
}

func TestPeople_TwoOrdersOfOneCustomer_OneContact(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.At(0, "two at once", func() {
			w.Submit(ofCustomer("1", "c-1", "ada@example.com"))
			w.Submit(ofCustomer("2", "c-1", "ada@example.com"))
		})
		w.idle(4*day-time.Hour, "2")
		want := delivered()
		want.Levels, want.OnHand = stock(96, 98), stock(96, 98)
		w.ends(4*day, "1", order.PhaseClosed, want)
		if s := w.people(""); len(s.Contacts) != 1 || len(s.Deals) != 2 {
			t.Errorf("the CRM holds %d contacts and %d deals", len(s.Contacts), len(s.Deals))
		}
	})
}

func TestPeople_EmailOfAContactWithoutID_AdoptedAndFilled(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.Check(w.CRM.AddContact(crm.Contact{Email: "1@example.com", Name: "A. L."}))
		w.submit(0, anOrder("1"))
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		all := w.people("").Contacts
		if len(all) != 1 || all[0].Properties["trueup_customer_id"] != "c-1" || all[0].Properties["firstname"] != "A." {
			t.Errorf("the contacts are %+v", all)
		}
	})
}

func TestPeople_EmailOfAnotherCustomer_OneCaseAndNotAskedAgain(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideAccept, workflows.DecideByHand} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{})
				w.Check(w.CRM.AddContact(crm.Contact{Customer: "c-old", Email: "1@example.com"}))
				w.submit(0, anOrder("1"))
				var decided *replied
				w.At(time.Hour, "a person decides, before the next upsert", func() {
					w.stands("1", order.PhaseAccepted, reconcile.Succeeded, reconcile.NeedsPerson)
					if s := w.people("1"); len(s.Contacts) != 1 || s.Contacts[0].Properties["trueup_customer_id"] != "c-1" || s.Contacts[0].Properties["email"] != "" {
						t.Errorf("the contacts of the order are %+v", s.Contacts)
					}
					if as == workflows.DecideByHand {
						w.edit(w.CRM, `{"customer":"c-old","email":"old@example.com"}`)
					}
					decided = w.decide("1", w.theCase("1", "crm.contact"), as)
				})
				got := w.ends(4*day, "1", order.PhaseClosed, delivered())
				w.took("the decision", decided)
				if len(got.Cases) != 1 {
					t.Errorf("a person was asked %d times: %+v", len(got.Cases), got.Cases)
				}
			})
		})
	}
}

func TestPeople_DealMadeForADeclinedOrder_IsLostAndNobodyIsTold(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: time.Hour})
		w.submit(0, paidBy(declining))
		w.At(3*time.Hour, "another program counts it as won", func() {
			w.stands("1", order.PhaseFailed, reconcile.Failed, reconcile.Agreed)
			w.edit(w.CRM, `{"order":"1","stage":"won","revenue":9980}`)
		})
		want := untouched()
		want.Deal = "lost"
		w.idle(8*time.Hour, "1")
		w.Run(9 * time.Hour)
		w.expect("1", want)
	})
}

func TestPeople_DealLostByHandWhileShipping_MailsAndMoneyOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.At(90*time.Minute, "somebody loses the deal", func() { w.Check(w.CRM.Edit(json.RawMessage(`{"order":"1","stage":"lost"}`))) })
		w.runs(4 * time.Hour)
		w.ends(4*day, "1", order.PhaseClosed, delivered())
		w.promptly("1")
	})
}
