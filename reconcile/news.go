package reconcile

import (
	"slices"

	"github.com/trueup-orders/trueup/order"
)

// News says that a system has gone further than the order knows, in a way from
// which something follows: goods have left, arrived or come back, the customer
// has paid, or nothing is held any more of an order that is being taken back. It
// is no break, for the system is right to go on; but where the order's own feed or
// webhook has not told it, whoever sees it must.
func News(i Intent, o Observation) bool {
	if goneNews(i, o) {
		return true
	}
	if o.State != Present {
		return false
	}
	switch {
	case o.Payment != nil:
		return newMoney(i, o.Payment.Attempts)
	case o.Warehouse != nil:
		return newParcels(i, o.Warehouse.Shipments) || newReturns(i, o.Warehouse.Returns)
	}
	return false
}

// newMoney: an order that waits to be paid, and for nothing else, does not wait
// while it is.
func newMoney(i Intent, attempts []Attempt) bool {
	if i.Phase != order.PhasePaying || i.Underway || len(i.Awaited) > 0 {
		return false
	}
	held := int64(0)
	for _, a := range attempts {
		if a.Review {
			return false
		}
		held += a.Held + a.Captured - a.Refunded - a.Disputed
	}
	return held > 0 && held >= i.Total
}

// goneNews: an order that is being taken back, and has nothing under way in a
// system, waits for that system to hold nothing.
func goneNews(i Intent, o Observation) bool {
	if i.Phase != order.PhaseFailing && i.Phase != order.PhaseCancelling || i.Underway || slices.Contains(i.Busy, o.System) {
		return false
	}
	switch o.System {
	case order.SystemPayment:
		return o.State == Absent || o.Payment != nil && !slices.ContainsFunc(o.Payment.Attempts, func(a Attempt) bool {
			return a.takesMoney() || a.Held > 0 || a.Captured > a.Refunded
		})
	case order.SystemInventory:
		return o.State == Absent || o.Inventory != nil && len(o.Inventory.Reservations) == 0
	case order.SystemWarehouse, order.SystemERP, order.SystemCRM, order.SystemMail:
	}
	return false
}

// newParcels: each parcel that the order knows to have left is in an invoice or
// in a notice to the customer.
func newParcels(i Intent, shipments []Shipment) bool {
	known := len(i.Invoices)
	told := 0
	for _, m := range i.Mails {
		if m.Template == MailShipped {
			told++
		}
	}
	left, arrived := 0, 0
	for _, s := range shipments {
		if intent, ours := order.ParseKey(s.Key); !ours || intent.Order != i.Order || !s.State.out() {
			continue
		}
		left++
		if s.State == ShipmentDelivered {
			arrived++
		}
	}
	return left > max(known, told) || i.Phase == order.PhaseShipped && left > 0 && arrived == left
}

func newReturns(i Intent, returns []Return) bool {
	for _, r := range returns {
		for _, mine := range i.Returns {
			if mine.Key == r.Name() && mine.State.Rank() < ReturnReceived.Rank() && r.State.Rank() >= ReturnReceived.Rank() {
				return true
			}
		}
	}
	return false
}
