package reconcile

import (
	"slices"
	"time"
)

// Fold adds up two partial observations of one order in one system, as pages of
// a listing give them. A record on both counts once. The sum is as fresh as the
// older one, never strong, and unreadable when either is: partial data is never
// clean.
func Fold(a, b Observation) Observation {
	o := Observation{System: a.System, Order: a.Order, At: a.At, Version: max(a.Version, b.Version)}
	if b.At.Before(o.At) {
		o.At = b.At
	}
	switch {
	case a.State == Unreadable || b.State == Unreadable:
		o.State, o.Why = Unreadable, a.Why
		if o.Why == "" {
			o.Why = b.Why
		}
		return o
	case a.State == Absent && b.State == Absent:
		o.State = Absent
		return o
	}
	o.State = Present
	if a.Payment != nil || b.Payment != nil {
		o.Payment = &Payment{Attempts: union(of(a.Payment).Attempts, of(b.Payment).Attempts, func(x Attempt) string { return x.ID })}
	}
	if a.Inventory != nil || b.Inventory != nil {
		o.Inventory = &Inventory{Reservations: union(of(a.Inventory).Reservations, of(b.Inventory).Reservations, func(x Reservation) string { return x.ID })}
	}
	if a.Warehouse != nil || b.Warehouse != nil {
		x, y := of(a.Warehouse), of(b.Warehouse)
		o.Warehouse = &Warehouse{
			Shipments: union(x.Shipments, y.Shipments, func(s Shipment) string { return s.ID }),
			Returns:   union(x.Returns, y.Returns, func(r Return) string { return r.ID }),
		}
	}
	if a.ERP != nil || b.ERP != nil {
		o.ERP = foldERP(of(a.ERP), of(b.ERP))
	}
	if a.CRM != nil || b.CRM != nil {
		x, y := of(a.CRM), of(b.CRM)
		byID := func(d Deal) string { return d.ID }
		o.CRM = &CRM{
			Contacts: union(x.Contacts, y.Contacts, func(c Contact) string { return c.ID }),
			Deals:    union(x.Deals, y.Deals, byID), Carts: union(x.Carts, y.Carts, byID),
		}
	}
	if a.Mail != nil || b.Mail != nil {
		// Two messages of one id are a mail sent twice; the same one on two pages
		// came at the same moment.
		o.Mail = &Mail{Messages: union(of(a.Mail).Messages, of(b.Mail).Messages, func(m Message) string {
			return m.MessageID + " " + m.At.UTC().Format(time.RFC3339Nano)
		})}
	}
	return o
}

// foldERP adds up documents, and the balance anew: two partial balances overlap.
func foldERP(a, b ERP) *ERP {
	id := func(d Document) string { return d.ID }
	e := ERP{
		Sales:    union(a.Sales, b.Sales, id),
		Invoices: union(a.Invoices, b.Invoices, id),
		Receipts: union(a.Receipts, b.Receipts, id),
		Credits:  union(a.Credits, b.Credits, id),
	}
	e.Balance = total(ERPInvoices, e.Invoices) - total(ERPCredits, e.Credits) - total(ERPReceipts, e.Receipts)
	return &e
}

// total adds up posted documents.
func total(f Field, documents []Document) int64 {
	sum := int64(0)
	for _, d := range documents {
		if d.State == DocumentPosted {
			sum += d.amount(f)
		}
	}
	return sum
}

func of[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// union returns the records of both, each once: the one of b where both have it,
// for b is the later page. A record that one page has twice is there twice, as
// two mails of one id and second are.
func union[T any](a, b []T, id func(T) string) []T {
	all := slices.Clone(a)
	taken := make([]bool, len(all))
	for _, record := range b {
		at := -1
		for n := range taken {
			if !taken[n] && id(all[n]) == id(record) {
				at = n
				break
			}
		}
		if at < 0 {
			all = append(all, record)
			continue
		}
		all[at], taken[at] = record, true
	}
	return all
}
