package reconcile

import (
	"time"

	"github.com/trueup-orders/trueup/order"
)

// OrphanToken names what a person decides about a record that no order claims on, as
// the token of a case's evidence does: what is known of the record itself, and what
// the systems say about the order that it names. Ages and wordings leave it as it is.
func OrphanToken(system order.System, record string, known, said []string) string {
	parts := append([]string{string(system), record, "known"}, known...)
	return digested(append(append(parts, "said"), said...)...)
}

// OrphanDeadline is how long a person has to decide about a record that no order
// claims: as long as about a case of what its system mostly states. Money has the
// shorter of what is held and what was taken.
func (p Policy) OrphanDeadline(s order.System) time.Duration {
	least := time.Duration(0)
	for _, f := range orphaned(s) {
		if d := p.Rule(f).CaseDeadline; least == 0 || d < least {
			least = d
		}
	}
	return least
}

// orphaned are the fields that a record of a system is about when no order claims it.
func orphaned(s order.System) []Field {
	switch s {
	case order.SystemPayment:
		return []Field{PaymentHeld, PaymentCaptured}
	case order.SystemInventory:
		return []Field{InventoryReserved}
	case order.SystemWarehouse:
		return []Field{WarehouseShipment}
	case order.SystemERP:
		return []Field{ERPSale}
	case order.SystemCRM:
		return []Field{CRMDeal}
	case order.SystemMail:
		return []Field{MailField(MailConfirmation)}
	}
	return nil
}
