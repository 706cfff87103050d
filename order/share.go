package order

import (
	"fmt"
	"math/bits"
)

// Share is the part of an order's money that belongs to some of its pieces.
// Captures, invoices, refunds and credit notes are all shares, made by one
// function, so that the shares of an order always add up to its total.
type Share struct {
	Lines       []LineShare `json:"lines"`
	Shipping    int64       `json:"shipping,omitempty"`
	ShippingTax int64       `json:"shipping_tax,omitempty"`
	Discount    int64       `json:"discount,omitempty"` // of the order as a whole: see ShareOf
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
// their shares already. Shipping goes with the first share. A line's discount
// and tax are split by pieces, the order's discount by what the goods are worth,
// and what of it is more than all goods are worth goes with the shipping: so no
// share is ever negative, however large a discount. All are rounded down
// cumulatively, so that the remainder goes with the last piece, whatever the
// cut: all shares of an order add up to its total exactly. A share may be 0, of
// pieces that are free.
func ShareOf(o Order, before, now []Quantity) Share {
	none := make([]int64, len(o.Lines))
	had, has := place(o, before, none), place(o, joined(before, now), none)
	var s Share
	for i, l := range o.Lines {
		if has[i] == had[i] {
			continue
		}
		line := LineShare{
			Line: i + 1, SKU: l.SKU, Quantity: has[i] - had[i], UnitPrice: l.UnitPrice,
			Gross:    (has[i] - had[i]) * l.UnitPrice,
			Discount: o.portion(l.Discount, has[i], l.Quantity) - o.portion(l.Discount, had[i], l.Quantity),
			Tax:      o.portion(l.Tax, has[i], l.Quantity) - o.portion(l.Tax, had[i], l.Quantity),
		}
		s.Lines = append(s.Lines, line)
		s.Total += line.Gross - line.Discount + line.Tax
	}
	if sum(had) == 0 && sum(has) > 0 {
		s.Shipping, s.ShippingTax = o.Shipping, o.ShippingTax
	}
	s.Discount = discountOf(o, has) - discountOf(o, had)
	s.Total += s.Shipping + s.ShippingTax - s.Discount
	return s
}

// ValueOf returns the money of the order when only these pieces are kept:
// o.Total for all of them, 0 for none, and never more for less. So what a return
// or an amendment gives back is the value before less the value after.
func ValueOf(o Order, kept []Quantity) int64 {
	return ShareOf(o, nil, kept).Total
}

// discountOf returns how much of the order's discount belongs to so many pieces
// of every line.
func discountOf(o Order, pieces []int64) int64 {
	if sum(pieces) == 0 {
		return 0
	}
	all, part := int64(0), int64(0)
	for i, l := range o.Lines {
		all += o.worth(l, l.Quantity)
		part += o.worth(l, pieces[i])
	}
	onGoods := min(o.Discount, all)
	return o.portion(onGoods, part, all) + o.Discount - onGoods
}

// worth returns the money of the first n pieces of a line, before the order's
// discount.
func (o Order) worth(l Line, n int64) int64 {
	return n*l.UnitPrice - o.portion(l.Discount, n, l.Quantity) + o.portion(l.Tax, n, l.Quantity)
}

// place puts quantities to the lines of the order, at most what was ordered of
// each. Quantities without a line number go to the lines of their SKU in order:
// at first up to what wanted says, then to the rest of them.
func place(o Order, quantities []Quantity, wanted []int64) []int64 {
	n := make([]int64, len(o.Lines))
	var loose []Quantity
	for _, q := range quantities {
		q.Quantity = max(0, q.Quantity)
		if q.Line < 1 || q.Line > len(n) {
			loose = append(loose, q)
			continue
		}
		i := q.Line - 1
		n[i] += min(q.Quantity, o.Lines[i].Quantity-n[i])
	}
	for _, q := range loose {
		for i, l := range o.Lines {
			if l.SKU == q.SKU {
				q.Quantity -= fill(&n[i], q.Quantity, min(wanted[i], l.Quantity))
			}
		}
		for i, l := range o.Lines {
			if l.SKU == q.SKU {
				q.Quantity -= fill(&n[i], q.Quantity, l.Quantity)
			}
		}
	}
	return n
}

// fill adds up to so many pieces, to a limit, and returns how many it took.
func fill(n *int64, pieces, limit int64) int64 {
	took := min(pieces, max(0, limit-*n))
	*n += took
	return took
}

// facing places two lists of pieces so that those without a line number meet
// those that have one.
func facing(o Order, a, b []Quantity) (inA, inB []int64) {
	none := make([]int64, len(o.Lines))
	var numbered []Quantity
	for _, q := range b {
		if q.Line > 0 {
			numbered = append(numbered, q)
		}
	}
	inA = place(o, a, place(o, numbered, none))
	return inA, place(o, b, inA)
}

func joined(a, b []Quantity) []Quantity {
	all := make([]Quantity, 0, len(a)+len(b))
	return append(append(all, a...), b...)
}

// portion returns whole × part / of, rounded down to what can be paid; part is at
// most of.
func (o Order) portion(whole, part, of int64) int64 {
	n := portion(whole, part, of)
	if part == of {
		return n
	}
	return n - n%o.coin()
}

// coin is the smallest money of a share: an order all of whose money a gateway
// could move alone has shares that it can move.
func (o Order) coin() int64 {
	least := o.Currency.Least()
	money := []int64{o.Shipping, o.ShippingTax, o.Discount}
	for _, l := range o.Lines {
		money = append(money, l.UnitPrice, l.Discount, l.Tax)
	}
	for _, m := range money {
		if m%least != 0 {
			return 1
		}
	}
	return least
}

// portion returns whole × part / of, rounded down; part is at most of.
func portion(whole, part, of int64) int64 {
	if of <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(whole), uint64(part))
	quotient, _ := bits.Div64(high, low, uint64(of))
	return int64(quotient)
}

func sum(quantities []int64) int64 {
	total := int64(0)
	for _, n := range quantities {
		total += n
	}
	return total
}

// Less returns the pieces of whole that are not in part, line by line.
func Less(o Order, whole, part []Quantity) []Quantity {
	a, b := facing(o, whole, part)
	for i := range a {
		a[i] -= b[i]
	}
	return listed(o, a)
}

// Plus returns the pieces of both, line by line, and of no line more than was
// ordered.
func Plus(o Order, a, b []Quantity) []Quantity {
	return listed(o, place(o, joined(a, b), make([]int64, len(o.Lines))))
}

// Common returns the pieces that are in both: of every line the smaller number.
func Common(o Order, a, b []Quantity) []Quantity {
	n, m := facing(o, a, b)
	for i := range n {
		n[i] = min(n[i], m[i])
	}
	return listed(o, n)
}

// Within says that all of a part is in the whole, per line of the order.
func Within(o Order, part, whole []Quantity) bool { return Empty(Less(o, part, whole)) }

// Empty says that there is not one piece.
func Empty(q []Quantity) bool {
	for _, one := range q {
		if one.Quantity > 0 {
			return false
		}
	}
	return true
}

func listed(o Order, pieces []int64) []Quantity {
	var list []Quantity
	for i, l := range o.Lines {
		if pieces[i] > 0 {
			list = append(list, Quantity{Line: i + 1, SKU: l.SKU, Quantity: pieces[i]})
		}
	}
	return list
}

// CheckPieces names what is wrong with pieces that somebody asks for, by the
// line of the order; nil when nothing is. The SKU may be left out.
func CheckPieces(o Order, of []Quantity) []Problem {
	v := &validation{}
	if len(of) == 0 {
		v.add("lines", "is empty; name at least one line of the order and how many pieces of it")
	}
	first := map[int]int{}
	for i, q := range of {
		at := fmt.Sprintf("lines[%d].", i)
		if q.Line < 1 || q.Line > len(o.Lines) {
			v.add(at+"line", fmt.Sprintf("is %d; the order has lines 1 to %d", q.Line, len(o.Lines)))
			continue
		}
		if earlier, twice := first[q.Line]; twice {
			v.add(at+"line", fmt.Sprintf("is %d, as in lines[%d]; name a line once, with all its pieces", q.Line, earlier))
			continue
		}
		first[q.Line] = i
		l := o.Lines[q.Line-1]
		if q.SKU != "" && q.SKU != l.SKU {
			v.add(at+"sku", fmt.Sprintf("is %q but line %d of the order is %q", q.SKU, q.Line, l.SKU))
		}
		if q.Quantity < 1 || q.Quantity > l.Quantity {
			v.add(at+"quantity", fmt.Sprintf("is %d; want 1 to %d, which is what was ordered", q.Quantity, l.Quantity))
		}
	}
	return v.problems
}
