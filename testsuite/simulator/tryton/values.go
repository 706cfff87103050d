package tryton

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Values are kept as they travel: text, bool, int64, float64, nil, and the
// classes below.

// Decimal is an exact number.
type Decimal string

// MarshalJSON writes Tryton's form.
func (d Decimal) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"__class__": "Decimal", "decimal": string(d)})
}

// Rat returns the number, 0 when it is none.
func (d Decimal) Rat() *big.Rat {
	r, ok := new(big.Rat).SetString(string(d))
	if !ok {
		return new(big.Rat)
	}
	return r
}

// DecimalOf writes a number with as many digits.
func DecimalOf(r *big.Rat, digits int) Decimal { return Decimal(r.FloatString(digits)) }

// Moment is a datetime, in microseconds UTC.
type Moment int64

// MarshalJSON writes Tryton's form.
func (m Moment) MarshalJSON() ([]byte, error) {
	t := time.UnixMicro(int64(m)).UTC()
	return json.Marshal(map[string]any{
		"__class__": "datetime", "year": t.Year(), "month": int(t.Month()), "day": t.Day(),
		"hour": t.Hour(), "minute": t.Minute(), "second": t.Second(), "microsecond": t.Nanosecond() / 1000,
	})
}

// Day is a date, as 2026-11-22.
type Day string

// DayOf returns the day of a moment.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(time.DateOnly)) }

// MarshalJSON writes Tryton's form.
func (d Day) MarshalJSON() ([]byte, error) {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"__class__": "date", "year": t.Year(), "month": int(t.Month()), "day": t.Day()})
}

// decode reads JSON with exact numbers and Tryton's classes.
func decode(data []byte, into *rpc) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	for i := range into.Params {
		into.Params[i] = value(into.Params[i])
	}
	return nil
}

func decodeRecord(data string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(data))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	for k, v := range m {
		m[k] = value(v)
	}
	return m, nil
}

// value turns decoded JSON into values.
func value(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = value(v[i])
		}
		return v
	case map[string]any:
		for k, x := range v {
			v[k] = value(x)
		}
		return classOf(v)
	}
	return v
}

func classOf(v map[string]any) any {
	n := func(k string) int { i, _ := v[k].(int64); return int(i) }
	switch v["__class__"] {
	case "Decimal":
		s, _ := v["decimal"].(string)
		return Decimal(s)
	case "datetime":
		return Moment(time.Date(n("year"), time.Month(n("month")), n("day"), n("hour"), n("minute"), n("second"), n("microsecond")*1000, time.UTC).UnixMicro())
	case "date":
		return DayOf(time.Date(n("year"), time.Month(n("month")), n("day"), 0, 0, 0, 0, time.UTC))
	}
	return v
}

// compare orders two values; ok is false when they cannot be compared, as with
// null, which no order comparison of SQL holds for.
func compare(a, b any) (c int, ok bool) {
	switch a := a.(type) {
	case string:
		if b, is := b.(string); is {
			return cmp.Compare(a, b), true
		}
	case Day:
		if b, is := b.(Day); is {
			return cmp.Compare(a, b), true
		}
	case Moment:
		if b, is := b.(Moment); is {
			return cmp.Compare(a, b), true
		}
	case bool:
		if b, is := b.(bool); is {
			return cmp.Compare(strconv.FormatBool(a), strconv.FormatBool(b)), true
		}
	}
	x, y := number(a), number(b)
	if x == nil || y == nil {
		return 0, false
	}
	return x.Cmp(y), true
}

func number(v any) *big.Rat {
	switch v := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(v)
	case int:
		return new(big.Rat).SetInt64(int64(v))
	case float64:
		return new(big.Rat).SetFloat64(v)
	case Decimal:
		return v.Rat()
	}
	return nil
}

func integers(v any) []int64 {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	var out []int64
	for _, x := range list {
		if n, ok := x.(int64); ok {
			out = append(out, n)
		}
	}
	return out
}

// Text returns a value as text, "" for null.
func Text(v any) string {
	s, _ := v.(string)
	return s
}

// Int returns a value as an integer, 0 for null.
func Int(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}
