package order

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits on what an order may contain. MaxMoney keeps every sum and every
// share within an int64, and within what the six systems can hold.
const (
	MaxLines    = 200
	MaxQuantity = 1_000_000
	MaxMoney    = 1_000_000_000_000 // minor units
	MaxText     = 200               // characters of one text field
	// ClockSkew is how far in the future placed_at may lie.
	ClockSkew = 5 * time.Minute
)

// Problem is one thing that is wrong with an order, and where.
type Problem struct {
	Field  string `json:"field"` // as in "lines[0].quantity"
	Reason string `json:"reason"`
}

// InvalidError lists everything that is wrong with an order.
type InvalidError struct {
	Problems []Problem
}

func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("order is not valid: ")
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.Field + " " + p.Reason)
	}
	return b.String()
}

// Decode reads one order from JSON. Unknown fields, trailing data and wrong
// types are refused with the name of the field.
func Decode(data []byte) (Order, error) {
	var o Order
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return Order{}, decodeProblem(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Order{}, &InvalidError{[]Problem{{"body", "has data after the order"}}}
	}
	return o, nil
}

func decodeProblem(err error) error {
	text := strings.TrimPrefix(err.Error(), "json: ")
	if _, ok := errors.AsType[*time.ParseError](err); ok { // an order has one moment
		return &InvalidError{[]Problem{{"placed_at", "is not a time in RFC 3339, as 2026-01-31T12:00:00Z"}}}
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return &InvalidError{[]Problem{{t.Field, fmt.Sprintf("is a %s; want %s", t.Value, t.Type)}}}
	}
	if name, ok := strings.CutPrefix(text, "unknown field "); ok {
		return &InvalidError{[]Problem{{strings.Trim(name, `"`), "is not a field of an order"}}}
	}
	return &InvalidError{[]Problem{{"body", "is not the JSON of an order: " + text}}}
}

// Sum returns the exact sum of the order's money, and false when it overflows.
func (o Order) Sum() (int64, bool) {
	total, ok := add(o.Shipping, o.ShippingTax)
	if !ok {
		return 0, false
	}
	if total, ok = add(total, -o.Discount); !ok {
		return 0, false
	}
	for _, l := range o.Lines {
		gross, fits := mul(max(0, l.Quantity), max(0, l.UnitPrice))
		if !fits {
			return 0, false
		}
		for _, part := range []int64{gross, -l.Discount, l.Tax} {
			if total, ok = add(total, part); !ok {
				return 0, false
			}
		}
	}
	return total, true
}

// Validate names everything that is wrong with the order, or returns nil. now
// is the moment against which placed_at is held.
func (o Order) Validate(now time.Time) error {
	v := &validation{}
	if _, err := ParseID(string(o.ID)); err != nil {
		v.add("id", err.Error())
	}
	switch {
	case o.PlacedAt.IsZero():
		v.add("placed_at", "is missing")
	case o.PlacedAt.After(now.Add(ClockSkew)):
		v.add("placed_at", "is in the future")
	}
	v.text("channel", o.Channel, false)
	v.text("cart_id", o.CartID, false)
	v.customer(o.Customer)
	v.address("ship_to", o.ShipTo)
	if o.BillTo != nil {
		v.address("bill_to", *o.BillTo)
	}
	if _, known := o.Currency.Decimals(); !known {
		v.add("currency", fmt.Sprintf("%q is not a currency that we take (ISO 4217, capitals)", o.Currency))
	}
	v.lines(o)
	v.money("shipping", o.Shipping)
	v.money("shipping_tax", o.ShippingTax)
	v.money("discount", o.Discount)
	v.total(o)
	v.payment(o.Payment)
	if len(v.problems) > 0 {
		return &InvalidError{v.problems}
	}
	return nil
}

type validation struct{ problems []Problem }

func (v *validation) add(field, reason string) {
	v.problems = append(v.problems, Problem{field, reason})
}

func (v *validation) text(field, s string, required bool) {
	switch {
	case required && strings.TrimSpace(s) == "":
		v.add(field, "is missing")
	case !utf8.ValidString(s):
		v.add(field, "is not valid UTF-8")
	case utf8.RuneCountInString(s) > MaxText:
		v.add(field, fmt.Sprintf("has more than %d characters", MaxText))
	case strings.ContainsFunc(s, unicode.IsControl):
		v.add(field, "has a control character")
	}
}

func (v *validation) money(field string, minor int64) {
	if minor < 0 {
		v.add(field, "is negative")
	}
	if minor > MaxMoney {
		v.add(field, fmt.Sprintf("is more than %d minor units", int64(MaxMoney)))
	}
}

func (v *validation) customer(c Customer) {
	v.text("customer.id", c.ID, true)
	v.text("customer.name", c.Name, false)
	v.text("customer.phone", c.Phone, false)
	a, err := mail.ParseAddress(c.Email)
	if err != nil || a.Address != c.Email || len(c.Email) > 254 {
		v.add("customer.email", "is not an e-mail address")
	}
}

func (v *validation) address(field string, a Address) {
	v.text(field+".name", a.Name, false)
	v.text(field+".street", a.Street, true)
	v.text(field+".city", a.City, true)
	v.text(field+".postal_code", a.PostalCode, false)
	v.text(field+".region", a.Region, false)
	if len(a.Country) != 2 || strings.ToUpper(a.Country) != a.Country || strings.ContainsFunc(a.Country, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		v.add(field+".country", "is not an ISO 3166-1 alpha-2 code in capitals")
	}
}

// CheckAddress names what is wrong with an address that is called field.
func CheckAddress(field string, a Address) []Problem {
	v := &validation{}
	v.address(field, a)
	return v.problems
}

// CheckPayment names what is wrong with how somebody wants to pay.
func CheckPayment(p Payment) []Problem {
	v := &validation{}
	v.payment(p)
	return v.problems
}

func (v *validation) lines(o Order) {
	if len(o.Lines) == 0 {
		v.add("lines", "is empty; an order has at least one line")
	}
	if len(o.Lines) > MaxLines {
		v.add("lines", fmt.Sprintf("has %d entries; at most %d are allowed", len(o.Lines), MaxLines))
		return
	}
	for i, l := range o.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		v.sku(at+"sku", l.SKU)
		if l.Quantity <= 0 || l.Quantity > MaxQuantity {
			v.add(at+"quantity", fmt.Sprintf("is %d; want 1 to %d", l.Quantity, MaxQuantity))
		}
		v.money(at+"unit_price", l.UnitPrice)
		v.money(at+"discount", l.Discount)
		v.money(at+"tax", l.Tax)
		if l.Currency != "" && l.Currency != o.Currency {
			v.add(at+"currency", fmt.Sprintf("is %s but the order's is %s; one order has one currency", l.Currency, o.Currency))
		}
		if gross, fits := mul(max(0, l.Quantity), max(0, l.UnitPrice)); !fits || l.Discount > gross {
			v.add(at+"discount", "is more than the line's price, or the price is too large")
		}
	}
}

// sku takes what all six systems can hold in a reference: ids of orders and
// the same characters, and a little longer.
func (v *validation) sku(field, s string) {
	if _, err := ParseID(s); err != nil {
		v.add(field, err.Error())
	}
}

func (v *validation) total(o Order) {
	sum, fits := o.Sum()
	switch {
	case !fits || sum > MaxMoney:
		v.add("total", fmt.Sprintf("does not fit: the order's money adds up to more than %d minor units", int64(MaxMoney)))
	case sum < 0:
		v.add("discount", "is more than the goods and their shipping")
	case o.Total != sum:
		v.add("total", fmt.Sprintf("is %d but lines, shipping, taxes and discounts add up to %d", o.Total, sum))
	case sum%o.Currency.Least() != 0:
		v.add("total", fmt.Sprintf("is %d; %s is paid in multiples of %d, for gateways move no less", o.Total, o.Currency, o.Currency.Least()))
	case sum == 0:
		v.add("total", "is 0; an order without money needs no payment and is not taken")
	}
}

func (v *validation) payment(p Payment) {
	v.text("payment.method", p.Method, false)
	v.text("payment.intent", p.Intent, false)
	if (p.Method == "") == (p.Intent == "") {
		v.add("payment", "needs either a method or an existing intent, and not both")
	}
	switch p.Capture {
	case "", CaptureOnShip, CaptureAtOnce:
	default:
		v.add("payment.capture", fmt.Sprintf("is %q; want %q or %q", p.Capture, CaptureOnShip, CaptureAtOnce))
	}
}

// Normalize fills what an order may leave out, so that two ways of writing one
// order have one fingerprint.
func (o Order) Normalize() Order {
	if o.Payment.Capture == "" {
		o.Payment.Capture = CaptureOnShip
	}
	o.PlacedAt = o.PlacedAt.UTC().Round(0)
	o.Lines = append([]Line(nil), o.Lines...)
	for i := range o.Lines {
		o.Lines[i].Currency = ""
	}
	return o
}

// Fingerprint returns a digest of the normalized order. The same id with
// another fingerprint is a conflict, never an update.
func (o Order) Fingerprint() string {
	data, err := json.Marshal(o.Normalize())
	if err != nil { // an Order holds nothing that cannot be marshalled
		panic(err)
	}
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:16])
}
