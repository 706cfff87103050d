package workflows

import (
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What the workflow learns of the systems: a whole observation replaces what it
// knew of the system, one record replaces that record. What an operation read
// back is as fresh as its answer: it shows our own write by its nature.

// learn takes in a whole observation. An unreadable one keeps what was last
// read, and says so; an older one than we have is no news.
func (s *State) learn(seen reconcile.Observation) {
	seen.Order = s.Order.ID
	s.Observed = reconcile.Merge(s.Observed, seen)
}

// known returns a copy of what is known of a system, as of a new moment, for
// one record to be replaced in.
func (s *State) known(system order.System, at time.Time) reconcile.Observation {
	o := s.observed(system)
	if !at.After(o.At) { // our write came after what we knew, whatever two machines' clocks say
		at = o.At.Add(time.Nanosecond)
	}
	return reconcile.Observation{System: system, Order: s.Order.ID, State: reconcile.Present, At: at, Strong: true, Version: o.Version}
}

func (s *State) learnAttempt(at time.Time, attempt reconcile.Attempt) {
	o := s.known(order.SystemPayment, at)
	all := slices.Clone(s.everyAttempt())
	replaced := false
	for i := range all {
		if all[i].ID == attempt.ID {
			if len(attempt.Refunds) == 0 {
				attempt.Refunds = all[i].Refunds
			}
			all[i], replaced = attempt, true
		}
	}
	if !replaced {
		all = append(all, attempt)
	}
	o.Payment = &reconcile.Payment{Attempts: all}
	s.learn(o)
}

func (s *State) learnRefund(at time.Time, of string, refund reconcile.Refund) {
	for _, a := range s.everyAttempt() {
		if a.ID != of {
			continue
		}
		refunds := []reconcile.Refund{refund}
		a.Refunded = refunded(refund)
		for _, r := range a.Refunds {
			if r.ID != refund.ID {
				refunds = append(refunds, r)
				a.Refunded += refunded(r)
			}
		}
		a.Refunds = refunds
		s.learnAttempt(at, a)
		return
	}
}

// refunded is what a refund counts for: one that failed counts nowhere.
func refunded(r reconcile.Refund) int64 {
	if r.State == reconcile.RefundFailed {
		return 0
	}
	return r.Amount
}

func (s *State) learnReservations(at time.Time, all []reconcile.Reservation) {
	o := s.known(order.SystemInventory, at)
	o.Inventory = &reconcile.Inventory{Reservations: all}
	if len(all) == 0 {
		o.State, o.Inventory = reconcile.Absent, nil
	}
	s.learn(o)
}

func (s *State) learnShipment(at time.Time, shipment reconcile.Shipment) {
	o := s.known(order.SystemWarehouse, at)
	all := []reconcile.Shipment{}
	if w := s.observed(order.SystemWarehouse).Warehouse; w != nil {
		all = append(all, w.Shipments...)
	}
	replaced := false
	for i := range all {
		if all[i].ID == shipment.ID {
			all[i], replaced = shipment, true
		}
	}
	if !replaced {
		all = append(all, shipment)
	}
	o.Warehouse = &reconcile.Warehouse{Shipments: all, Returns: s.returnsSeen()}
	s.learn(o)
}

func (s *State) returnsSeen() []reconcile.Return {
	if w := s.observed(order.SystemWarehouse).Warehouse; w != nil {
		return w.Returns
	}
	return nil
}

func (s *State) learnReturn(at time.Time, r reconcile.Return) {
	o := s.known(order.SystemWarehouse, at)
	all := []reconcile.Return{r}
	for _, known := range s.returnsSeen() {
		if known.ID != r.ID {
			all = append(all, known)
		}
	}
	o.Warehouse = &reconcile.Warehouse{Shipments: s.shipments(), Returns: all}
	s.learn(o)
}

func (s *State) learnDocument(at time.Time, operation order.Operation, document reconcile.Document) {
	o := s.known(order.SystemERP, at)
	books := reconcile.ERP{}
	if known := s.observed(order.SystemERP).ERP; known != nil {
		books = *known
	}
	switch operation {
	case order.Record:
		books.Sales = withDocument(books.Sales, document)
	case order.Invoice:
		books.Invoices = withDocument(books.Invoices, document)
	case order.Receipt:
		books.Receipts = withDocument(books.Receipts, document)
	case order.Credit:
		books.Credits = withDocument(books.Credits, document)
	}
	books.Balance = posted(books.Invoices) - posted(books.Credits) - posted(books.Receipts)
	o.ERP = &books
	s.learn(o)
}

func withDocument(all []reconcile.Document, document reconcile.Document) []reconcile.Document {
	with := []reconcile.Document{}
	for _, d := range all {
		if d.Key != document.Key {
			with = append(with, d)
		}
	}
	return append(with, document)
}

func posted(all []reconcile.Document) int64 {
	sum := int64(0)
	for _, d := range all {
		if d.State == reconcile.DocumentPosted {
			sum += d.Total
		}
	}
	return sum
}

func (s *State) learnMessage(at time.Time, message reconcile.Message) {
	o := s.known(order.SystemMail, at)
	all := []reconcile.Message{message}
	if known := s.observed(order.SystemMail).Mail; known != nil {
		for _, m := range known.Messages {
			if m.Template != message.Template || m.Occasion != message.Occasion {
				all = append(all, m)
			}
		}
	}
	o.Mail = &reconcile.Mail{Messages: all}
	s.learn(o)
}

// subject says what a look-up needs to know, with the records already known.
func (s *State) subject(system order.System) reconcile.Subject {
	subject := reconcile.SubjectOf(s.Order)
	if system == order.SystemPayment {
		for _, a := range s.everyAttempt() {
			subject.Known = append(subject.Known, a.ID)
		}
		if len(subject.Known) == 0 && s.Order.Payment.Intent != "" {
			subject.Known = []string{s.Order.Payment.Intent}
		}
	}
	if system != order.SystemCRM { // only the CRM is asked by e-mail
		subject.Email = ""
	}
	return subject
}
