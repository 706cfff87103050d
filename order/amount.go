package order

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Currency is an ISO 4217 code in capitals.
type Currency string

// exponents holds the number of decimals of every currency that the product
// takes: the active codes of ISO 4217 which are used for retail payments.
var exponents = map[Currency]int{
	"AED": 2, "ALL": 2, "AMD": 2, "ARS": 2, "AUD": 2, "AZN": 2, "BAM": 2, "BDT": 2, "BGN": 2, "BHD": 3,
	"BOB": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CLP": 0, "CNY": 2, "COP": 2, "CRC": 2, "CZK": 2, "DKK": 2,
	"DOP": 2, "DZD": 2, "EGP": 2, "EUR": 2, "GBP": 2, "GEL": 2, "GHS": 2, "GTQ": 2, "HKD": 2, "HNL": 2,
	"HUF": 2, "IDR": 2, "ILS": 2, "INR": 2, "IQD": 3, "ISK": 0, "JMD": 2, "JOD": 3, "JPY": 0, "KES": 2,
	"KRW": 0, "KWD": 3, "KZT": 2, "LKR": 2, "LYD": 3, "MAD": 2, "MDL": 2, "MKD": 2, "MUR": 2, "MXN": 2,
	"MYR": 2, "NGN": 2, "NIO": 2, "NOK": 2, "NPR": 2, "NZD": 2, "OMR": 3, "PAB": 2, "PEN": 2, "PHP": 2,
	"PKR": 2, "PLN": 2, "PYG": 0, "QAR": 2, "RON": 2, "RSD": 2, "SAR": 2, "SEK": 2, "SGD": 2, "THB": 2,
	"TND": 3, "TRY": 2, "TWD": 2, "TZS": 2, "UAH": 2, "UGX": 0, "USD": 2, "UYU": 2, "UZS": 2, "VND": 0,
	"XAF": 0, "XOF": 0, "ZAR": 2,
}

// Decimals returns how many decimals the currency has (EUR 2, JPY 0, KWD 3)
// and whether it is known.
func (c Currency) Decimals() (int, bool) {
	n, ok := exponents[c]
	return n, ok
}

// Least is the smallest money that a gateway moves, in minor units: ten of a
// currency with three decimals (docs.stripe.com/currencies, "Three-decimal
// currencies").
func (c Currency) Least() int64 {
	if n, _ := c.Decimals(); n == 3 {
		return 10
	}
	return 1
}

// Amount is money: integer minor units of a currency.
type Amount struct {
	Minor    int64    `json:"minor"`
	Currency Currency `json:"currency"`
}

// String returns the amount in major units, as in "99.80 EUR".
func (a Amount) String() string {
	return FormatMinor(a.Minor, a.Currency) + " " + string(a.Currency)
}

// FormatMinor returns minor units as a decimal string in major units: "99.80"
// for 9980 and EUR. An unknown currency is written with two decimals.
func FormatMinor(minor int64, c Currency) string {
	n, ok := c.Decimals()
	if !ok {
		n = 2
	}
	sign := ""
	digits := strconv.FormatUint(magnitude(minor), 10)
	if minor < 0 {
		sign = "-"
	}
	if n == 0 {
		return sign + digits
	}
	if len(digits) <= n {
		digits = strings.Repeat("0", n+1-len(digits)) + digits
	}
	return sign + digits[:len(digits)-n] + "." + digits[len(digits)-n:]
}

// ParseMinor is the opposite of FormatMinor. It refuses what cannot be
// expressed in whole minor units, so that nothing is ever rounded away.
func ParseMinor(s string, c Currency) (int64, error) {
	n, ok := c.Decimals()
	if !ok {
		return 0, fmt.Errorf("parse amount %q: unknown currency %q", s, c)
	}
	rest, negative := strings.CutPrefix(s, "-")
	whole, fraction, _ := strings.Cut(rest, ".")
	trimmed := strings.TrimRight(fraction, "0")
	if whole == "" || len(trimmed) > n || strings.ContainsAny(whole+fraction, "+-_eE ") {
		return 0, fmt.Errorf("parse amount %q: not a decimal number with at most %d decimals", s, n)
	}
	minor, err := strconv.ParseInt(whole+trimmed+strings.Repeat("0", n-len(trimmed)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse amount %q: %w", s, err)
	}
	if negative {
		minor = -minor
	}
	return minor, nil
}

func magnitude(n int64) uint64 {
	if n == math.MinInt64 {
		return 1 << 63
	}
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// add returns a+b and whether it fits.
func add(a, b int64) (int64, bool) {
	if b > 0 && a > math.MaxInt64-b || b < 0 && a < math.MinInt64-b {
		return 0, false
	}
	return a + b, true
}

// mul returns a×b for non-negative factors and whether it fits.
func mul(a, b int64) (int64, bool) {
	if a != 0 && b > math.MaxInt64/a {
		return 0, false
	}
	return a * b, true
}
