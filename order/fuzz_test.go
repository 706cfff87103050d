package order

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// An order that is taken is the same after it was written down and read again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{`, `null`, `{"id":"42"}`, `{"id":"42","lines":[{"sku":"A","quantity":1,"unit_price":1}],"total":1,"currency":"EUR"}`,
		`{"total":9223372036854775807,"shipping":1}`, `{"lines":` + strings.Repeat("[", 5000),
	} {
		f.Add([]byte(seed))
	}
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Decode(data)
		if err != nil || o.Validate(now) != nil {
			return
		}
		if sum, ok := o.Sum(); !ok || sum != o.Total {
			t.Fatalf("%q is valid and its sum is %d of %d", data, sum, o.Total)
		}
		again, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil || back.Fingerprint() != o.Fingerprint() {
			t.Fatalf("%q reads as %s, and that as another: %v", data, again, err)
		}
	})
}

// Money that is read is written as the same money, and never rounded.
func FuzzParseMinor(f *testing.F) {
	for _, seed := range []string{"99.80", "599.80", "1.005", "-0", "1e3", "٣", "0x1", " 1", "9223372036854775808", ".5", "5.", "1,000.00", "NaN"} {
		f.Add(seed, "EUR")
		f.Add(seed, "JPY")
		f.Add(seed, "KWD")
	}
	f.Fuzz(func(t *testing.T, text, currency string) {
		minor, err := ParseMinor(text, Currency(currency))
		if err != nil {
			return
		}
		if back, err := ParseMinor(FormatMinor(minor, Currency(currency)), Currency(currency)); err != nil || back != minor {
			t.Fatalf("%q %s is %d, which is written as %q and read as %d, %v", text, currency, minor, FormatMinor(minor, Currency(currency)), back, err)
		}
	})
}

// Different intents have different keys, whatever is in them.
func FuzzKey(f *testing.F) {
	f.Add("42", "capture", 1, "4", "2/capture", 1)
	f.Add("42", "capture", 11, "42/capture/1", "", 1)
	f.Fuzz(func(t *testing.T, id, operation string, n int, otherID, otherOperation string, m int) {
		a := Intent{Order: ID(id), Operation: Operation(operation), N: n}
		b := Intent{Order: ID(otherID), Operation: Operation(otherOperation), N: m}
		for _, i := range []Intent{a, b} {
			if back, ok := ParseKey(i.Key()); !ok || back != i {
				return // no intent of ours has such a part
			}
		}
		if (a == b) != (a.Key() == b.Key()) {
			t.Fatalf("%+v and %+v have the keys %q and %q", a, b, a.Key(), b.Key())
		}
	})
}
