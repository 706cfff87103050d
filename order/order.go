// Package order is the vocabulary of an order: what the customer asked for,
// its money, its identifiers and the keys that make every effect safe to
// repeat. It knows no system, no clock and no engine; everything else imports
// it and it imports nothing of ours.
package order

import "time"

// Order is what the customer asked for, with its money stated by the service
// that submits it. All money is in integer minor units of Currency (EUR 99.80
// is 9980, JPY 500 is 500, KWD 1.250 is 1250). An Order never changes once it
// was accepted; amendments are requests of their own.
type Order struct {
	ID       ID        `json:"id"`
	PlacedAt time.Time `json:"placed_at"`
	// Channel is where the order was placed. Only records that carry our
	// reference or the configured channel are taken for ours.
	Channel  string   `json:"channel,omitempty"`
	Customer Customer `json:"customer"`
	ShipTo   Address  `json:"ship_to"`
	BillTo   *Address `json:"bill_to,omitempty"` // nil: as ShipTo
	Currency Currency `json:"currency"`
	Lines    []Line   `json:"lines"`
	// Shipping costs, their tax, and a discount on the whole order.
	Shipping    int64 `json:"shipping,omitempty"`
	ShippingTax int64 `json:"shipping_tax,omitempty"`
	Discount    int64 `json:"discount,omitempty"`
	// Total is the exact sum of everything above: see Sum.
	Total   int64   `json:"total"`
	Payment Payment `json:"payment"`
	// CartID is the cart that became this order; the CRM's abandoned cart is
	// found by it.
	CartID string `json:"cart_id,omitempty"`
}

// Customer is who ordered. ID is the service's own identifier; the CRM's
// contact is matched by it.
type Customer struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// Address is a postal address. Country is an ISO 3166-1 alpha-2 code.
type Address struct {
	Name       string `json:"name,omitempty"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code,omitempty"`
	Region     string `json:"region,omitempty"`
	Country    string `json:"country"`
}

// Line is one thing ordered. Its price is Quantity × UnitPrice − Discount +
// Tax; Discount and Tax are of the whole line.
type Line struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Discount  int64  `json:"discount,omitempty"`
	Tax       int64  `json:"tax,omitempty"`
	// Currency may be stated by services whose lines carry it; it must be the
	// order's.
	Currency Currency `json:"currency,omitempty"`
}

// CaptureMode says when the money is taken.
type CaptureMode string

// The capture modes.
const (
	// CaptureOnShip authorizes at submission and captures when the warehouse
	// ships.
	CaptureOnShip CaptureMode = "on_ship"
	// CaptureAtOnce is for methods that capture by themselves.
	CaptureAtOnce CaptureMode = "at_once"
)

// Payment says how the order is to be paid: by a stored or tokenized Method,
// or by an Intent that the checkout has already created at the gateway.
type Payment struct {
	// Method is the gateway's identifier of a payment method ("pm_card_visa").
	Method string `json:"method,omitempty"`
	// Intent is an existing payment at the gateway ("pi_…"); the order adopts it.
	Intent  string      `json:"intent,omitempty"`
	Capture CaptureMode `json:"capture,omitempty"` // default on_ship
	// Multicapture asks the gateway to allow several captures of one
	// authorization.
	Multicapture bool `json:"multicapture,omitempty"`
	// Reusable says that the customer agreed to be charged again off session.
	Reusable bool `json:"reusable,omitempty"`
}

// Billing returns the billing address, which is the shipping address when none
// was given.
func (o Order) Billing() Address {
	if o.BillTo != nil {
		return *o.BillTo
	}
	return o.ShipTo
}

// Goods returns the quantity ordered of each SKU, one entry per SKU, in the
// order of their first line.
func (o Order) Goods() []Quantity {
	all := make([]Quantity, 0, len(o.Lines))
	for i, l := range o.Lines {
		all = append(all, Quantity{Line: i + 1, SKU: l.SKU, Quantity: l.Quantity})
	}
	return BySKU(all)
}

// AllLines returns every line in full, which is what a single shipment contains.
func (o Order) AllLines() []Quantity {
	all := make([]Quantity, 0, len(o.Lines))
	for i, l := range o.Lines {
		all = append(all, Quantity{Line: i + 1, SKU: l.SKU, Quantity: l.Quantity})
	}
	return all
}

// Quantity is how many pieces of one line. Line counts from 1; 0 means that
// several lines of the SKU were added up.
type Quantity struct {
	Line     int    `json:"line,omitempty"`
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// BySKU adds quantities up per SKU, in the order of first appearance.
func BySKU(quantities []Quantity) []Quantity {
	var sums []Quantity
	for _, q := range quantities {
		found := false
		for i := range sums {
			if sums[i].SKU == q.SKU {
				sums[i].Quantity += q.Quantity
				found = true
				break
			}
		}
		if !found {
			sums = append(sums, Quantity{SKU: q.SKU, Quantity: q.Quantity})
		}
	}
	return sums
}
