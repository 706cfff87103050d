package script

// Expect is the state that is expected at a moment. What is nil is not checked.
type Expect struct {
	Line    int
	Orders  []OrderEnd // by name
	Stock   *StockEnd
	Orphans *Number
}

// OrderEnd is what is expected of one order.
type OrderEnd struct {
	Order     string
	Line      int
	Outcome   []string // any of these; nil: not checked
	Agreement []string // any of these; nil: not checked
	Never     []string // outcomes that may at no moment be given
	Payment   *PaymentEnd
	Inventory *InventoryEnd
	Warehouse *WarehouseEnd
	ERP       *ERPEnd
	CRM       *CRMEnd
	Mail      *MailEnd
	Cases     *Number
	Repairs   *Number
}

// Number is an exact number, or a range.
type Number struct{ Min, Max *int64 }

// Quantities are pieces by SKU: of those that it names, or in all.
type Quantities struct {
	All   *Number
	BySKU map[string]Number
}

// PaymentEnd is what the gateway holds; captured and refunded are gross, over all
// attempts.
type PaymentEnd struct {
	Authorizations, Captures, Captured, Refunds, Refunded, Open *Number
}

// InventoryEnd is what inventory holds of an order.
type InventoryEnd struct {
	Reserved, Committed *Quantities
}

// WarehouseEnd is what the warehouse holds of an order.
type WarehouseEnd struct {
	Live    *Number
	Shipped *Quantities
}

// ERPEnd is what the books hold; drafts are not counted; Balance is what the customer still owes.
type ERPEnd struct {
	Sales, Invoices, Credits, Balance *Number
}

// CRMEnd is what the CRM holds; won, lost and revenue are the order's, the rest its customer's.
type CRMEnd struct {
	Contacts *Number
	Email    *string
	OptedOut *bool

	Won, Lost, Revenue, CartsAbandoned *Number
}

// MailEnd counts the mails that the customer has.
type MailEnd struct {
	Confirmation, Shipped, Cancellation, Refund, Question *Number
}

// StockEnd is the stock in inventory and warehouse alike.
type StockEnd struct {
	OnHand map[string]Number
}
