package reconcile

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// edit is one thing that somebody, or a lost answer, does to one system's
// records behind our back.
type edit struct {
	name   string
	system order.System
	// do carries it out and says whether the system then disagrees with the order,
	// all else being well; false where there was nothing to edit, or it is news.
	do func(t *rapid.T, i Intent, w *world) bool
}

// drawEdited draws an order on which all systems agreed, on the bases, until somebody
// edited one to three records.
func drawEdited(t *rapid.T) (i Intent, w *world, bases []Base) {
	i, w = drawLife(t)
	bases = compared(i, w).Agreed
	for range rapid.IntRange(1, 3).Draw(t, "edits") {
		drawEdit(t, i, w)
	}
	return i, w, bases
}

// drawEdit edits one of the systems, or of those that are named, and returns
// what it did and whether that must be seen.
func drawEdit(t *rapid.T, i Intent, w *world, systems ...order.System) (edit, bool) {
	all := edits()
	if len(systems) > 0 {
		all = slices.DeleteFunc(all, func(e edit) bool { return !slices.Contains(systems, e.system) })
	}
	e := rapid.SampledFrom(all).Draw(t, "edit")
	return e, e.do(t, i, w)
}

// edits returns every edit of every system's records.
func edits() []edit {
	return slices.Concat(attemptEdits(), attemptsEdits(), reservationEdits(), shipmentEdits(), returnEdits(), documentEdits(), crmEdits(), mailEdits())
}

// anyOf returns one of the records that are as asked, or nil.
func anyOf[T any](t *rapid.T, all []T, is func(T) bool) *T {
	var which []int
	for n := range all {
		if is(all[n]) {
			which = append(which, n)
		}
	}
	if len(which) == 0 {
		return nil
	}
	return &all[rapid.SampledFrom(which).Draw(t, "which")]
}

// attemptEdits change one attempt's numbers. While the customer pays they are
// news.
func attemptEdits() []edit {
	of := func(name string, is func(a Attempt) bool, do func(t *rapid.T, a *Attempt)) edit {
		return edit{name, order.SystemPayment, func(t *rapid.T, i Intent, w *world) bool {
			a := anyOf(t, w.payment.Attempts, is)
			if a == nil {
				return false
			}
			do(t, a)
			return !i.Paying && len(i.Attempts) > 0 && slices.Contains(i.Attempts, a.ID)
		}}
	}
	held := func(a Attempt) bool { return a.Held > 0 }
	took := func(a Attempt) bool { return a.Captured > 0 }
	whole := func(a Attempt) bool { return a.Captured > 0 && a.Refunded == 0 && a.Disputed == 0 }
	keeps := func(a Attempt) bool { return a.Captured-a.Refunded-a.Disputed > 0 }
	return []edit{
		of("captured by hand", held, func(_ *rapid.T, a *Attempt) { a.Captured, a.Held, a.State = a.Captured+a.Held, 0, AttemptCaptured }),
		of("captured in part by hand", held, func(t *rapid.T, a *Attempt) {
			n := rapid.Int64Range(1, a.Held).Draw(t, "captured")
			a.Captured, a.Held = a.Captured+n, a.Held-n
		}),
		of("authorization gone", held, func(_ *rapid.T, a *Attempt) { a.Held, a.State = 0, AttemptVoided }),
		of("authorization smaller", held, func(t *rapid.T, a *Attempt) { a.Held -= rapid.Int64Range(1, a.Held).Draw(t, "less") }),
		of("authorization larger", held, func(t *rapid.T, a *Attempt) { a.Held += rapid.Int64Range(1, 1000).Draw(t, "more") }),
		of("capture lost", whole, func(_ *rapid.T, a *Attempt) { a.Held, a.Captured, a.State = a.Held+a.Captured, 0, AttemptAuthorized }),
		of("captured less", whole, func(t *rapid.T, a *Attempt) { a.Captured -= rapid.Int64Range(1, a.Captured).Draw(t, "less") }),
		of("refunded by hand", keeps, func(t *rapid.T, a *Attempt) {
			a.refund(rapid.Int64Range(1, a.Captured-a.Refunded-a.Disputed).Draw(t, "back"), RefundSucceeded)
		}),
		of("disputed", keeps, func(t *rapid.T, a *Attempt) {
			a.Disputed += rapid.Int64Range(1, a.Captured-a.Refunded-a.Disputed).Draw(t, "disputed")
		}),
		of("dispute lost", keeps, func(t *rapid.T, a *Attempt) {
			n := rapid.Int64Range(1, a.Captured-a.Refunded-a.Disputed).Draw(t, "lost")
			a.Disputed, a.Lost = a.Disputed+n, a.Lost+n
		}),
		of("refund failed late", func(a Attempt) bool { return took(a) && a.Refunded > 0 }, func(_ *rapid.T, a *Attempt) {
			for n := range a.Refunds {
				a.Refunds[n].State = RefundFailed
			}
			a.Refunded = 0
		}),
	}
}

// attemptsEdits add or remove whole attempts.
func attemptsEdits() []edit {
	another := func(name string, state AttemptState, change func(i Intent, a *Attempt)) edit {
		return edit{name, order.SystemPayment, func(t *rapid.T, i Intent, w *world) bool {
			a := Attempt{ID: w.id(), State: state, Amount: i.Total, Currency: i.Currency, Created: now.Add(-1)}
			change(i, &a)
			w.payment.Attempts = append(w.payment.Attempts, a)
			return !i.Paying
		}}
	}
	return []edit{
		another("open attempt", AttemptOpen, func(Intent, *Attempt) {}),
		another("processing attempt", AttemptProcessing, func(Intent, *Attempt) {}),
		another("authorized again", AttemptAuthorized, func(i Intent, a *Attempt) { a.Held = i.Total }),
		another("captured again", AttemptCaptured, func(i Intent, a *Attempt) { a.Captured = i.Total }),
		another("foreign attempt", AttemptCaptured, func(i Intent, a *Attempt) { a.Captured, a.Currency = i.Total, "CHF" }),
		{"attempt gone", order.SystemPayment, func(t *rapid.T, i Intent, w *world) bool {
			a := anyOf(t, w.payment.Attempts, func(a Attempt) bool { return a.Held+a.Captured > 0 })
			if a == nil {
				return false
			}
			matters := !i.Paying && slices.Contains(i.Attempts, a.ID)
			w.payment.Attempts = slices.DeleteFunc(w.payment.Attempts, func(other Attempt) bool { return other.ID == a.ID })
			return matters
		}},
	}
}

func reservationEdits() []edit {
	of := func(name string, do func(t *rapid.T, w *world, r *Reservation)) edit {
		return edit{name, order.SystemInventory, func(t *rapid.T, _ Intent, w *world) bool {
			r := anyOf(t, w.inventory.Reservations, func(Reservation) bool { return true })
			if r == nil {
				return false
			}
			do(t, w, r)
			return true
		}}
	}
	return []edit{
		of("reservation gone", func(_ *rapid.T, w *world, r *Reservation) {
			id := r.ID
			w.inventory.Reservations = slices.DeleteFunc(w.inventory.Reservations, func(other Reservation) bool { return other.ID == id })
		}),
		of("reserved twice", func(_ *rapid.T, w *world, r *Reservation) {
			again := *r
			again.ID = w.id()
			w.inventory.Reservations = append(w.inventory.Reservations, again)
		}),
		of("reserved more", func(t *rapid.T, _ *world, r *Reservation) { r.Quantity += rapid.Int64Range(1, 3).Draw(t, "more") }),
		of("reserved less", func(_ *rapid.T, _ *world, r *Reservation) { r.Quantity-- }),
		{"reservation late", order.SystemInventory, func(_ *rapid.T, _ Intent, w *world) bool {
			w.inventory.Reservations = append(w.inventory.Reservations, Reservation{ID: w.id(), Line: 9, SKU: "Z", Quantity: 1})
			return true
		}},
	}
}

// meantShipment says that a request is what an intent means, in one shipment.
func meantShipment(i Intent, w *world, s Shipment) bool {
	n := 0
	for _, other := range w.warehouse.Shipments {
		if other.Key == s.Key && other.State.Live() {
			n++
		}
	}
	return n == 1 && s.State.Live() && slices.ContainsFunc(i.Shipments, func(m ShipmentIntent) bool { return m.Key == s.Key })
}

// toldOf says that the customer was told how to follow a parcel.
func toldOf(i Intent, s Shipment) bool {
	return slices.ContainsFunc(i.Shipments, func(of ShipmentIntent) bool {
		return slices.ContainsFunc(of.Told, func(told Told) bool { return told.Shipment == s.ID })
	})
}

func shipmentEdits() []edit {
	of := func(name string, matters bool, do func(t *rapid.T, w *world, s *Shipment)) edit {
		return edit{name, order.SystemWarehouse, func(t *rapid.T, i Intent, w *world) bool {
			s := anyOf(t, w.warehouse.Shipments, func(s Shipment) bool { return meantShipment(i, w, s) })
			if s == nil {
				return false
			}
			do(t, w, s)
			return matters
		}}
	}
	unasked := func(name string, state ShipmentState) edit {
		return edit{name, order.SystemWarehouse, func(_ *rapid.T, _ Intent, w *world) bool {
			w.warehouse.Shipments = append(w.warehouse.Shipments, Shipment{ID: w.id(), Key: key(order.Request, 7), State: state, Lines: []order.Quantity{{SKU: "A", Quantity: 1}}})
			return true
		}}
	}
	numbered := func(name, number string) edit {
		return edit{name, order.SystemWarehouse, func(t *rapid.T, i Intent, w *world) bool {
			s := anyOf(t, w.warehouse.Shipments, func(s Shipment) bool { return s.Tracking != "" })
			if s == nil {
				return false
			}
			s.Tracking = number
			return toldOf(i, *s)
		}}
	}
	return []edit{
		of("shipment gone", true, func(_ *rapid.T, w *world, s *Shipment) {
			id := s.ID
			w.warehouse.Shipments = slices.DeleteFunc(w.warehouse.Shipments, func(other Shipment) bool { return other.ID == id })
		}),
		of("shipment cancelled", true, func(_ *rapid.T, _ *world, s *Shipment) { s.State = ShipmentCancelled }),
		of("shipment is a draft again", true, func(_ *rapid.T, _ *world, s *Shipment) { s.State = ShipmentDraft }),
		of("shipment twice", true, func(_ *rapid.T, w *world, s *Shipment) {
			again := *s
			again.ID = w.id()
			w.warehouse.Shipments = append(w.warehouse.Shipments, again)
		}),
		of("shipment short", true, func(_ *rapid.T, _ *world, s *Shipment) {
			s.Lines = slices.Clone(s.Lines)
			s.Lines[0].Quantity--
		}),
		of("shipment with more", true, func(t *rapid.T, _ *world, s *Shipment) {
			s.Lines = append(slices.Clone(s.Lines), order.Quantity{SKU: rapid.SampledFrom([]string{"A", "Z"}).Draw(t, "sku"), Quantity: 1})
		}),
		numbered("tracking number changed", "another"),
		numbered("tracking number taken away", ""),
		of("shipment went on", false, func(_ *rapid.T, _ *world, s *Shipment) { s.State = ShipmentDelivered }),
		{"shipment went back", order.SystemWarehouse, func(t *rapid.T, i Intent, w *world) bool {
			s := anyOf(t, w.warehouse.Shipments, func(s Shipment) bool { return meantShipment(i, w, s) && s.State.Rank() > ShipmentRequested.Rank() })
			if s == nil {
				return false
			}
			s.State = ShipmentRequested
			return slices.ContainsFunc(i.Shipments, func(m ShipmentIntent) bool { return m.Key == s.Key && m.State != ShipmentRequested })
		}},
		unasked("shipment unasked", ShipmentAssigned),
		unasked("shipment unasked and packed", ShipmentPacked),
		{"split by the warehouse", order.SystemWarehouse, func(t *rapid.T, _ Intent, w *world) bool { w.split(t); return false }},
	}
}

func returnEdits() []edit {
	of := func(name string, is func(r Return) bool, matters bool, do func(w *world, r *Return)) edit {
		return edit{name, order.SystemWarehouse, func(t *rapid.T, i Intent, w *world) bool {
			r := anyOf(t, w.warehouse.Returns, func(r Return) bool { return r.State.Live() && is(r) })
			if r == nil {
				return false
			}
			do(w, r)
			return matters
		}}
	}
	live := func(Return) bool { return true }
	return []edit{
		of("return gone", live, true, func(w *world, r *Return) {
			id := r.ID
			w.warehouse.Returns = slices.DeleteFunc(w.warehouse.Returns, func(other Return) bool { return other.ID == id })
		}),
		of("return cancelled", live, true, func(_ *world, r *Return) { r.State = ReturnCancelled }),
		of("return twice", live, true, func(w *world, r *Return) {
			again := *r
			again.ID = w.id()
			if again.Key == "" {
				again.Key = r.Name()
			}
			w.warehouse.Returns = append(w.warehouse.Returns, again)
		}),
		of("return went on", live, false, func(_ *world, r *Return) { r.State = ReturnRestocked }),
		of("return went back", func(r Return) bool { return r.State != ReturnExpected }, true, func(_ *world, r *Return) { r.State = ReturnExpected }),
		{"return unasked", order.SystemWarehouse, func(_ *rapid.T, _ Intent, w *world) bool {
			w.warehouse.Returns = append(w.warehouse.Returns, Return{
				ID: w.id(), State: ReturnReceived, Lines: []order.Quantity{{SKU: "A", Quantity: 1}}, ReceivedAt: placed.Add(1),
			})
			return true
		}},
	}
}

// documentEdits change the books: each kind of document in each way.
func documentEdits() []edit {
	of := func(name string, do func(t *rapid.T, w *world, list *[]Document, d *Document)) edit {
		return edit{name, order.SystemERP, func(t *rapid.T, _ Intent, w *world) bool {
			list := rapid.SampledFrom([]*[]Document{&w.erp.Sales, &w.erp.Invoices, &w.erp.Receipts, &w.erp.Credits}).Draw(t, "list")
			d := anyOf(t, *list, func(d Document) bool { return d.State == DocumentPosted })
			if d == nil {
				return false
			}
			do(t, w, list, d)
			return true
		}}
	}
	return []edit{
		of("document gone", func(_ *rapid.T, _ *world, list *[]Document, d *Document) {
			id := d.ID
			*list = slices.DeleteFunc(*list, func(other Document) bool { return other.ID == id })
		}),
		of("document cancelled", func(_ *rapid.T, _ *world, _ *[]Document, d *Document) { d.State = DocumentCancelled }),
		of("document is a draft again", func(_ *rapid.T, _ *world, _ *[]Document, d *Document) { d.State = DocumentDraft }),
		of("document twice", func(_ *rapid.T, w *world, list *[]Document, d *Document) {
			again := *d
			again.ID = w.id()
			*list = append(*list, again)
		}),
		of("document edited", func(t *rapid.T, _ *world, _ *[]Document, d *Document) {
			if d.Total < 0 {
				d.Total -= rapid.Int64Range(1, 99).Draw(t, "more")
			} else {
				d.Total += rapid.Int64Range(1, 99).Draw(t, "more")
			}
		}),
		of("document without our key", func(_ *rapid.T, _ *world, _ *[]Document, d *Document) { d.Key = "" }),
		of("draft left", func(_ *rapid.T, w *world, list *[]Document, d *Document) {
			draft := *d
			draft.ID, draft.State = w.id(), DocumentDraft
			*list = append(*list, draft)
		}),
		{"document unasked", order.SystemERP, func(t *rapid.T, _ Intent, w *world) bool {
			list := rapid.SampledFrom([]*[]Document{&w.erp.Sales, &w.erp.Invoices, &w.erp.Receipts, &w.erp.Credits}).Draw(t, "list")
			*list = append(*list, Document{ID: w.id(), State: DocumentPosted, Total: 100})
			return true
		}},
		{"balance", order.SystemERP, func(t *rapid.T, _ Intent, w *world) bool {
			w.owing += rapid.Int64Range(1, 99).Draw(t, "owing")
			return true
		}},
	}
}

func crmEdits() []edit {
	of := func(name string, do func(t *rapid.T, i Intent, w *world) bool) edit {
		return edit{name, order.SystemCRM, do}
	}
	return []edit{
		of("contact gone", func(_ *rapid.T, i Intent, w *world) bool { w.crm.Contacts = nil; return i.Deal != "" }),
		of("contact twice", func(_ *rapid.T, i Intent, w *world) bool {
			w.crm.Contacts = append(w.crm.Contacts, Contact{ID: w.id(), CustomerID: "c1"}, Contact{ID: w.id(), CustomerID: "c1"})
			return i.Deal != ""
		}),
		of("contact edited", func(_ *rapid.T, _ Intent, w *world) bool {
			for n := range w.crm.Contacts {
				w.crm.Contacts[n].Phone = "+43 1"
			}
			return false
		}),
		of("deal gone", func(_ *rapid.T, i Intent, w *world) bool { w.crm.Deals = nil; return i.Deal != "" }),
		of("deal twice", func(_ *rapid.T, i Intent, w *world) bool {
			for n := range min(1, len(w.crm.Deals)) {
				again := w.crm.Deals[n]
				again.ID = w.id()
				w.crm.Deals = append(w.crm.Deals, again)
			}
			return i.Deal != ""
		}),
		of("deal edited", func(t *rapid.T, i Intent, w *world) bool {
			if len(w.crm.Deals) == 0 {
				return false
			}
			was := w.crm.Deals[0].Stage
			w.crm.Deals[0].Stage = rapid.SampledFrom([]DealStage{DealOpen, DealWon, DealLost}).Draw(t, "stage")
			return w.crm.Deals[0].Stage != was
		}),
		of("revenue edited", func(t *rapid.T, i Intent, w *world) bool {
			if len(w.crm.Deals) == 0 {
				return false
			}
			was := w.crm.Deals[0].Revenue
			w.crm.Deals[0].Revenue = rapid.Int64Range(0, 99).Draw(t, "revenue")
			return w.crm.Deals[0].Revenue != was
		}),
		of("deal in another currency", func(_ *rapid.T, i Intent, w *world) bool {
			if len(w.crm.Deals) == 0 {
				return false
			}
			w.crm.Deals[0].Currency = "CHF"
			return w.crm.Deals[0].Revenue != 0
		}),
		of("deal unasked", func(_ *rapid.T, i Intent, w *world) bool {
			if len(w.crm.Deals) > 0 {
				return false
			}
			w.crm.Deals = []Deal{{ID: w.id(), Stage: DealWon}}
			return i.Deal == "" || i.Deal != DealWon
		}),
		of("cart open", func(_ *rapid.T, i Intent, w *world) bool {
			w.crm.Carts = append(w.crm.Carts, Deal{ID: w.id(), Stage: DealAbandoned})
			return i.Cart && (i.Deal == DealWon || i.Phase.PastPivot())
		}),
	}
}

func mailEdits() []edit {
	of := func(name string, do func(w *world, m Message)) edit {
		return edit{name, order.SystemMail, func(t *rapid.T, i Intent, w *world) bool {
			m := anyOf(t, w.mail.Messages, func(m Message) bool {
				return slices.ContainsFunc(i.Mails, func(meant MailIntent) bool {
					return meant.Template == m.Template && meant.Occasion == m.Occasion && !meant.GivenUp
				})
			})
			if m == nil {
				return false
			}
			do(w, *m)
			return true
		}}
	}
	return []edit{
		of("mail gone", func(w *world, m Message) {
			w.mail.Messages = slices.DeleteFunc(w.mail.Messages, func(other Message) bool { return other.Template == m.Template && other.Occasion == m.Occasion })
		}),
		of("mail twice", func(w *world, m Message) { w.mail.Messages = append(w.mail.Messages, m) }),
		{"mail unasked", order.SystemMail, func(_ *rapid.T, _ Intent, w *world) bool {
			w.mail.Messages = append(w.mail.Messages, Message{MessageID: "x", Template: MailRefund, Occasion: 9, At: placed})
			return true
		}},
	}
}
