package tryton

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Decimal is an exact number as Tryton writes it: "20.00". The empty one is
// null.
type Decimal string

// Money returns minor units as a Decimal in major units, exactly.
func Money(minor int64, c order.Currency) Decimal { return Decimal(order.FormatMinor(minor, c)) }

// Minor returns the minor units that d is, exactly or not at all.
func (d Decimal) Minor(c order.Currency) (int64, error) {
	return order.ParseMinor(string(d), c)
}

// MarshalJSON writes Tryton's form.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if d == "" {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]string{"__class__": "Decimal", "decimal": string(d)})
}

// UnmarshalJSON reads Tryton's form, and nothing else: a plain number would be
// a float.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*d = ""
		return nil
	}
	var v struct {
		Class   string `json:"__class__"`
		Decimal string `json:"decimal"`
	}
	if err := json.Unmarshal(data, &v); err != nil || v.Class != "Decimal" || v.Decimal == "" {
		return fmt.Errorf("%.60s is not a Decimal", data)
	}
	*d = Decimal(v.Decimal)
	return nil
}

// Datetime is a moment in UTC with microseconds. The zero one is null.
type Datetime struct{ time.Time }

type datetime struct {
	Class       string `json:"__class__"`
	Year        int    `json:"year"`
	Month       int    `json:"month"`
	Day         int    `json:"day"`
	Hour        int    `json:"hour"`
	Minute      int    `json:"minute"`
	Second      int    `json:"second"`
	Microsecond int    `json:"microsecond"`
}

// MarshalJSON writes Tryton's form.
func (d Datetime) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	t := d.UTC()
	return json.Marshal(datetime{
		"datetime", t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1000,
	})
}

// UnmarshalJSON reads Tryton's form.
func (d *Datetime) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		d.Time = time.Time{}
		return nil
	}
	var v datetime
	if err := json.Unmarshal(data, &v); err != nil || v.Class != "datetime" {
		return fmt.Errorf("%.60s is not a datetime", data)
	}
	d.Time = time.Date(v.Year, time.Month(v.Month), v.Day, v.Hour, v.Minute, v.Second, v.Microsecond*1000, time.UTC)
	return nil
}

// Date is a day. The zero one is null.
type Date struct{ time.Time }

// DateOf returns the day of t in UTC.
func DateOf(t time.Time) Date {
	if t.IsZero() {
		return Date{}
	}
	t = t.UTC()
	return Date{time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)}
}

type date struct {
	Class string `json:"__class__"`
	Year  int    `json:"year"`
	Month int    `json:"month"`
	Day   int    `json:"day"`
}

// MarshalJSON writes Tryton's form.
func (d Date) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(date{"date", d.Year(), int(d.Month()), d.Day()})
}

// UnmarshalJSON reads Tryton's form.
func (d *Date) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		d.Time = time.Time{}
		return nil
	}
	var v date
	if err := json.Unmarshal(data, &v); err != nil || v.Class != "date" {
		return fmt.Errorf("%.60s is not a date", data)
	}
	d.Time = time.Date(v.Year, time.Month(v.Month), v.Day, 0, 0, 0, 0, time.UTC)
	return nil
}
