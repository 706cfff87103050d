package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/order"
)

// canonicalLines writes quantities per SKU, sorted, as "A×2 B×1": lines of one
// SKU are added up, for no system keeps our line numbers.
func canonicalLines(quantities []order.Quantity) string {
	sums := order.BySKU(quantities)
	slices.SortFunc(sums, func(a, b order.Quantity) int { return cmp.Compare(a.SKU, b.SKU) })
	var b strings.Builder
	for _, q := range sums {
		if q.Quantity == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(q.SKU + "×" + strconv.FormatInt(q.Quantity, 10))
	}
	return b.String()
}

func compareFields(a, b Field) int {
	return cmp.Or(cmp.Compare(a.place(), b.place()), cmp.Compare(a, b))
}

// compareItems orders items so that order/42/receipt/10 comes after
// order/42/receipt/9: by their text, but by the number they end with.
func compareItems(a, b string) int {
	textA, numberA := trailingNumber(a)
	textB, numberB := trailingNumber(b)
	return cmp.Or(cmp.Compare(textA, textB), cmp.Compare(numberA, numberB), cmp.Compare(a, b))
}

func trailingNumber(s string) (string, int64) {
	text := strings.TrimRight(s, "0123456789")
	n, err := strconv.ParseInt(s[len(text):], 10, 64)
	if err != nil {
		return s, 0
	}
	return text, n
}

// numeric says that a value is a canonical quantity, or nothing at all.
func numeric(value string) bool {
	_, err := strconv.ParseInt(value, 10, 64)
	return err == nil || value == ""
}

// number reads a canonical quantity; nothing at all is 0.
func number(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
