package reconcile

import (
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/order"
)

// The fields on which systems are compared. Mail has one per template: see
// MailField.
const (
	PaymentHeld     Field = "payment.held"     // money authorized and not yet captured
	PaymentCaptured Field = "payment.captured" // gross, over all attempts
	PaymentRefunded Field = "payment.refunded" // gross
	PaymentDisputed Field = "payment.disputed"
	PaymentOpen     Field = "payment.open"     // per attempt that can still take money and should not
	PaymentAttempts Field = "payment.attempts" // per attempt that took more than the order, or in another currency

	InventoryReserved Field = "inventory.reserved" // per SKU
	// InventoryLevel is the stocked quantity of a SKU. It belongs to no order:
	// stock/<sku> alone writes it, from the warehouse's count.
	InventoryLevel Field = "inventory.level"

	WarehouseShipment  Field = "warehouse.shipment"  // per key: there, and how far
	WarehouseLines     Field = "warehouse.lines"     // per key: what is in it
	WarehouseShipped   Field = "warehouse.shipped"   // per SKU
	WarehouseTracking  Field = "warehouse.tracking"  // per parcel: the number by which it is followed, of those that the customer was told of
	WarehouseDuplicate Field = "warehouse.duplicate" // per key that lives more than once
	WarehouseReturn    Field = "warehouse.return"    // per key: there, and how far

	ERPSale     Field = "erp.sale"     // per key
	ERPInvoices Field = "erp.invoices" // per key
	ERPReceipts Field = "erp.receipts" // per key
	ERPCredits  Field = "erp.credits"  // per key
	ERPBalance  Field = "erp.balance"

	CRMContact Field = "crm.contact"
	CRMDeal    Field = "crm.deal"
	CRMRevenue Field = "crm.revenue"
	CRMCarts   Field = "crm.carts" // per cart that is still open
)

// MailField returns the field of a template: mail.confirmation and so on. Its
// item is the occasion.
func MailField(t Template) Field { return Field("mail." + string(t)) }

// Templates returns every template, in the order of an order's life.
func Templates() []Template {
	return []Template{MailConfirmation, MailShipped, MailCancellation, MailRefund, MailQuestion}
}

// Fields returns every field. Parents come before their children, so it is also
// the order in which repairs are done: stock and money before goods, a sale
// before its invoices, invoices before receipts and credits.
func Fields() []Field { return slices.Clone(allFields) }

// allFields is made once and only read: sorting asks for it all the time.
var allFields = makeFields()

func makeFields() []Field {
	fields := []Field{
		InventoryReserved, InventoryLevel,
		PaymentHeld, PaymentCaptured, PaymentRefunded, PaymentDisputed, PaymentOpen, PaymentAttempts,
		WarehouseShipment, WarehouseLines, WarehouseShipped, WarehouseTracking, WarehouseDuplicate, WarehouseReturn,
		ERPSale, ERPInvoices, ERPReceipts, ERPCredits, ERPBalance,
		CRMContact, CRMDeal, CRMRevenue, CRMCarts,
	}
	for _, t := range Templates() {
		fields = append(fields, MailField(t))
	}
	return fields
}

// System returns the system that states the field.
func (f Field) System() order.System {
	system, _, _ := strings.Cut(string(f), ".")
	return order.System(system)
}

// fact returns the field without its system, as "captured".
func (f Field) fact() string {
	_, fact, _ := strings.Cut(string(f), ".")
	return fact
}

// quantity says that the field's values are whole numbers and that nothing at
// all is the same as 0.
func (f Field) quantity() bool {
	switch f {
	case PaymentHeld, PaymentCaptured, PaymentRefunded, PaymentDisputed, PaymentOpen, PaymentAttempts,
		InventoryReserved, WarehouseShipped, ERPBalance, CRMRevenue:
		return true
	}
	return false
}

// document says that the field's items are documents of the books, whose values are
// their totals.
func (f Field) document() bool {
	switch f {
	case ERPSale, ERPInvoices, ERPReceipts, ERPCredits:
		return true
	}
	return false
}

// money says that the field's values are minor units of the order's currency.
func (f Field) money() bool {
	switch f {
	case PaymentHeld, PaymentCaptured, PaymentRefunded, PaymentDisputed, PaymentOpen, PaymentAttempts,
		ERPSale, ERPInvoices, ERPReceipts, ERPCredits, ERPBalance, CRMRevenue:
		return true
	}
	return false
}

// place returns where a field stands in Fields; unknown ones come last.
func (f Field) place() int {
	if n := slices.Index(allFields, f); n >= 0 {
		return n
	}
	return len(allFields)
}
