package order

// Share is the part of an order's money that belongs to some of its pieces.
// Captures, invoices, refunds and credit notes are all shares, made by one
// function, so that the shares of an order always add up to its total.
type Share struct {
	Lines       []LineShare `json:"lines"`
	Shipping    int64       `json:"shipping,omitempty"`
	ShippingTax int64       `json:"shipping_tax,omitempty"`
	Discount    int64       `json:"discount,omitempty"` // of the order as a whole
	Total       int64       `json:"total"`
}

// LineShare is the part of one line. Gross is Quantity × UnitPrice.
type LineShare struct {
	Line      int    `json:"line"`
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
	Gross     int64  `json:"gross"`
	Discount  int64  `json:"discount,omitempty"`
	Tax       int64  `json:"tax,omitempty"`
}

// ShareOf returns the money that belongs to now, when the pieces in before had
// their shares already. Shipping goes with the first share. Discounts and taxes
// are split in proportion and rounded down cumulatively, so that the remainder
// goes with the last piece, whatever the cut: all shares of an order add up to
// its total exactly.
func ShareOf(o Order, before, now []Quantity) Share {
	had, has := perLine(o, before), perLine(o, before)
	for i, n := range perLine(o, now) {
		has[i] = min(has[i]+n, o.Lines[i].Quantity) // a piece has its share once
	}
	var s Share
	for i, l := range o.Lines {
		if has[i] == had[i] {
			continue
		}
		line := LineShare{
			Line: i + 1, SKU: l.SKU, Quantity: has[i] - had[i], UnitPrice: l.UnitPrice,
			Gross:    (has[i] - had[i]) * l.UnitPrice,
			Discount: portion(l.Discount, has[i], l.Quantity) - portion(l.Discount, had[i], l.Quantity),
			Tax:      portion(l.Tax, has[i], l.Quantity) - portion(l.Tax, had[i], l.Quantity),
		}
		s.Lines = append(s.Lines, line)
		s.Total += line.Gross - line.Discount + line.Tax
	}
	if sum(had) == 0 && sum(has) > 0 {
		s.Shipping, s.ShippingTax = o.Shipping, o.ShippingTax
	}
	ordered := int64(0)
	for _, l := range o.Lines {
		ordered += l.Quantity
	}
	s.Discount = portion(o.Discount, sum(has), ordered) - portion(o.Discount, sum(had), ordered)
	s.Total += s.Shipping + s.ShippingTax - s.Discount
	return s
}

// perLine adds quantities up per line of the order. Quantities without a line
// number go to the lines of their SKU in order.
func perLine(o Order, quantities []Quantity) []int64 {
	n := make([]int64, len(o.Lines))
	for _, q := range quantities {
		if q.Line > 0 && q.Line <= len(n) {
			n[q.Line-1] += q.Quantity
			continue
		}
		left := q.Quantity
		for i, l := range o.Lines {
			if l.SKU != q.SKU {
				continue
			}
			take := min(left, max(0, l.Quantity-n[i]))
			n[i] += take
			left -= take
		}
	}
	for i, l := range o.Lines {
		n[i] = min(n[i], l.Quantity)
	}
	return n
}

// portion returns whole × part / of, rounded down, without overflow for every
// quantity that Validate lets through.
func portion(whole, part, of int64) int64 {
	if of == 0 {
		return 0
	}
	return whole/of*part + whole%of*part/of
}

func sum(quantities []int64) int64 {
	total := int64(0)
	for _, n := range quantities {
		total += n
	}
	return total
}

// Less returns the quantities of whole that are not in part, line by line.
func Less(o Order, whole, part []Quantity) []Quantity {
	a, b := perLine(o, whole), perLine(o, part)
	var rest []Quantity
	for i, l := range o.Lines {
		if n := a[i] - b[i]; n > 0 {
			rest = append(rest, Quantity{Line: i + 1, SKU: l.SKU, Quantity: n})
		}
	}
	return rest
}
