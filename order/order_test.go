package order

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// valid is an order that Validate takes: A×2 and B×1, 99.80 EUR.
func valid() Order {
	return Order{
		ID: "42", PlacedAt: moment, Channel: "web",
		Customer: Customer{ID: "c1", Email: "c1@example.com", Name: "Jo Doe"},
		ShipTo:   Address{Street: "1 Main St", City: "Graz", PostalCode: "8010", Country: "AT"},
		Currency: "EUR",
		Lines:    []Line{{SKU: "A", Quantity: 2, UnitPrice: 2500}, {SKU: "B", Quantity: 1, UnitPrice: 4980}},
		Total:    9980,
		Payment:  Payment{Method: "pm_card_visa"},
	}
}

func TestValidate_Valid(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(o *Order)
	}{
		{"as it is", func(*Order) {}},
		{"placed within the clock's skew", func(o *Order) { o.PlacedAt = moment.Add(ClockSkew) }},
		{"the longest id", func(o *Order) { o.ID = ID(strings.Repeat("a", 64)) }},
		{"a payment intent", func(o *Order) { o.Payment = Payment{Intent: "pi_1", Capture: CaptureAtOnce} }},
		{"a line's own currency", func(o *Order) { o.Lines[0].Currency = "EUR" }},
		{"a currency without decimals", func(o *Order) { o.Currency = "JPY" }},
		{"discounts, taxes and shipping", func(o *Order) {
			o.Lines[0].Discount, o.Lines[0].Tax, o.Shipping, o.ShippingTax, o.Discount = 500, 900, 490, 98, 1000
			o.Total = 9980 - 500 + 900 + 490 + 98 - 1000
		}},
		{"a line that is free", func(o *Order) { o.Lines[1].UnitPrice, o.Total = 0, 5000 }},
		{"two lines of one SKU", func(o *Order) { o.Lines[1].SKU = "A" }},
		{"a billing address", func(o *Order) { o.BillTo = &Address{Street: "2 Side St", City: "Wien", Country: "AT"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := valid()
			tt.change(&o)
			if err := o.Validate(moment); err != nil {
				t.Fatalf("Validate: %v", err)
			}
		})
	}
}

func TestValidate_Invalid_NamesTheField(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(o *Order)
		fields []string
	}{
		{"no id", func(o *Order) { o.ID = "" }, []string{"id"}},
		{"an id with a slash", func(o *Order) { o.ID = "a/b" }, []string{"id"}},
		{"an id that starts with a dot", func(o *Order) { o.ID = ".a" }, []string{"id"}},
		{"an id that is too long", func(o *Order) { o.ID = ID(strings.Repeat("a", 65)) }, []string{"id"}},
		{"an id that is not ASCII", func(o *Order) { o.ID = "ö" }, []string{"id"}},
		{"never placed", func(o *Order) { o.PlacedAt = time.Time{} }, []string{"placed_at"}},
		{"placed in the future", func(o *Order) { o.PlacedAt = moment.Add(ClockSkew + 1) }, []string{"placed_at"}},
		{"no customer", func(o *Order) { o.Customer = Customer{} }, []string{"customer.id", "customer.email"}},
		{"an e-mail with a name", func(o *Order) { o.Customer.Email = "Jo <c1@example.com>" }, []string{"customer.email"}},
		{"an e-mail with a line break", func(o *Order) { o.Customer.Email = "c1@example.com\r\nBcc: x@example.com" }, []string{"customer.email"}},
		{"no street", func(o *Order) { o.ShipTo.Street = " " }, []string{"ship_to.street"}},
		{"a country by name", func(o *Order) { o.ShipTo.Country = "Austria" }, []string{"ship_to.country"}},
		{"a country in small letters", func(o *Order) { o.ShipTo.Country = "at" }, []string{"ship_to.country"}},
		{"a bad billing address", func(o *Order) { o.BillTo = &Address{} }, []string{"bill_to.street", "bill_to.city", "bill_to.country"}},
		{"a control character", func(o *Order) { o.Customer.Name = "Jo\x00" }, []string{"customer.name"}},
		{"text that is not UTF-8", func(o *Order) { o.Channel = "\xff" }, []string{"channel"}},
		{"text that is too long", func(o *Order) { o.ShipTo.City = strings.Repeat("ä", MaxText+1) }, []string{"ship_to.city"}},
		{"an unknown currency", func(o *Order) { o.Currency = "XXX" }, []string{"currency"}},
		{"a currency in small letters", func(o *Order) { o.Currency = "eur" }, []string{"currency"}},
		{"two currencies", func(o *Order) { o.Lines[1].Currency = "USD" }, []string{"lines[1].currency"}},
		{"no lines", func(o *Order) { o.Lines = nil }, []string{"lines", "total"}},
		{"too many lines", func(o *Order) { o.Lines = slices.Repeat(o.Lines, MaxLines) }, []string{"lines", "total"}},
		{"no SKU", func(o *Order) { o.Lines[0].SKU = "" }, []string{"lines[0].sku"}},
		{"nothing of it", func(o *Order) { o.Lines[1].Quantity, o.Total = 0, 5000 }, []string{"lines[1].quantity"}},
		{"less than nothing of it", func(o *Order) { o.Lines[1].Quantity, o.Total = -1, 5000 }, []string{"lines[1].quantity"}},
		{"too much of it", func(o *Order) { o.Lines[1].Quantity, o.Lines[1].UnitPrice, o.Total = MaxQuantity+1, 0, 5000 }, []string{"lines[1].quantity"}},
		{"a negative price", func(o *Order) { o.Lines[1].UnitPrice, o.Total = -1, 5000 }, []string{"lines[1].unit_price"}},
		{"a discount above the price", func(o *Order) { o.Lines[1].Discount, o.Total = 4981, 4999 }, []string{"lines[1].discount"}},
		{"a negative tax", func(o *Order) { o.Lines[1].Tax, o.Total = -1, 9979 }, []string{"lines[1].tax"}},
		{"negative shipping", func(o *Order) { o.Shipping, o.Total = -80, 9900 }, []string{"shipping"}},
		{"a total that no gateway takes", func(o *Order) { o.Currency, o.Total, o.Shipping = "KWD", o.Total+1, o.Shipping+1 }, []string{"total"}},
		{"a total that does not add up", func(o *Order) { o.Total = 9979 }, []string{"total"}},
		{"a discount above everything", func(o *Order) { o.Discount, o.Total = 10000, -20 }, []string{"discount"}},
		{"nothing to pay", func(o *Order) { o.Discount, o.Total = 9980, 0 }, []string{"total"}},
		{"more money than fits", func(o *Order) { o.Lines[0].UnitPrice = 1 << 62 }, []string{"lines[0].unit_price", "lines[0].discount", "total"}},
		{"money at the limit, many times", func(o *Order) { o.Lines[0].Quantity, o.Lines[0].UnitPrice = MaxQuantity, MaxMoney }, []string{"total"}},
		{"no payment", func(o *Order) { o.Payment = Payment{} }, []string{"payment"}},
		{"two payments", func(o *Order) { o.Payment.Intent = "pi_1" }, []string{"payment"}},
		{"an unknown capture", func(o *Order) { o.Payment.Capture = "later" }, []string{"payment.capture"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := valid()
			o.Lines = slices.Clone(o.Lines)
			tt.change(&o)
			var invalid *InvalidError
			if err := o.Validate(moment); !errors.As(err, &invalid) {
				t.Fatalf("Validate gave %v, want an *InvalidError", err)
			}
			var fields []string
			for _, p := range invalid.Problems {
				fields = append(fields, p.Field)
				if p.Reason == "" || !strings.Contains(invalid.Error(), p.Field+" "+p.Reason) {
					t.Errorf("the error does not say %s %s: %v", p.Field, p.Reason, invalid)
				}
			}
			if !slices.Equal(fields, tt.fields) {
				t.Fatalf("problems with %q, want %q", fields, tt.fields)
			}
		})
	}
}

func TestDecode_BadInput(t *testing.T) {
	t.Parallel()
	good, err := json.Marshal(valid())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, body, field string
	}{
		{"empty", "", "body"},
		{"not JSON", "order", "body"},
		{"cut short", string(good[:len(good)-5]), "body"},
		{"an array", "[]", "body"},
		{"something after it", string(good) + "{}", "body"},
		{"an unknown field", `{"idd":"42"}`, "idd"},
		{"a quantity as text", `{"lines":[{"sku":"A","quantity":"2"}]}`, "lines.quantity"},
		{"a price with decimals", `{"lines":[{"sku":"A","quantity":2,"unit_price":25.5}]}`, "lines.unit_price"},
		{"a number that does not fit", `{"total":99999999999999999999}`, "total"},
		{"a date that is none", `{"placed_at":"yesterday"}`, "placed_at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode([]byte(tt.body))
			var invalid *InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Field != tt.field {
				t.Fatalf("Decode gave %v, want one problem with %s", err, tt.field)
			}
		})
	}
}

func TestDecode_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if back.Fingerprint() != o.Fingerprint() {
			t.Fatalf("decoded %+v, want %+v", back, o)
		}
		if err := back.Validate(moment); err != nil {
			t.Fatalf("Validate: %v", err)
		}
	})
}

func TestFingerprint_SameOrder_SameFingerprint(t *testing.T) {
	t.Parallel()
	a, b := valid(), valid()
	b.Payment.Capture = CaptureOnShip
	b.Lines = slices.Clone(b.Lines)
	b.Lines[0].Currency = "EUR"
	b.PlacedAt = moment.In(time.FixedZone("CET", 3600))
	if a.Fingerprint() != b.Fingerprint() {
		t.Fatal("two ways of writing one order have two fingerprints")
	}
	b.Lines[0].Quantity = 3
	if a.Fingerprint() == b.Fingerprint() {
		t.Fatal("two orders have one fingerprint")
	}
	if a.Lines[0].Quantity != 2 || a.Payment.Capture != "" {
		t.Fatal("Fingerprint changed its order")
	}
}

// drawOrder draws an order that Validate takes.
func drawOrder(t *rapid.T) Order {
	o := valid()
	o.Currency = rapid.SampledFrom([]Currency{"EUR", "JPY", "KWD"}).Draw(t, "currency")
	o.Lines = nil
	for range rapid.IntRange(1, 5).Draw(t, "lines") {
		l := Line{
			SKU:      rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "sku"),
			Quantity: rapid.Int64Range(1, 9).Draw(t, "quantity"), UnitPrice: rapid.Int64Range(0, 1_000_000).Draw(t, "price"),
			Tax: rapid.Int64Range(0, 100_000).Draw(t, "tax"),
		}
		l.Discount = rapid.Int64Range(0, l.Quantity*l.UnitPrice).Draw(t, "discount")
		o.Lines = append(o.Lines, l)
	}
	o.Shipping = rapid.Int64Range(1, 10_000).Draw(t, "shipping")
	o.ShippingTax = rapid.Int64Range(0, 2_000).Draw(t, "shipping tax")
	sum, _ := o.Sum()
	o.Discount = rapid.Int64Range(0, sum-1).Draw(t, "order discount")
	if left := sum - o.Discount; left%o.Currency.Least() != 0 { // what is paid is a multiple of what a gateway moves
		o.Shipping += o.Currency.Least() - left%o.Currency.Least()
	}
	o.Total, _ = o.Sum()
	return o
}
