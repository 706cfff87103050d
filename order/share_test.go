package order

import (
	"testing"

	"pgregory.net/rapid"
)

func TestShareOf_Example(t *testing.T) {
	t.Parallel()
	o := valid()
	o.Lines[0].Tax, o.Lines[0].Discount, o.Shipping, o.Discount = 333, 101, 500, 100
	o.Total, _ = o.Sum()
	first := []Quantity{{Line: 1, SKU: "A", Quantity: 1}}
	share := ShareOf(o, nil, first)
	if want := int64(2500 - 50 + 166 + 500 - 33); share.Total != want || share.Shipping != 500 || share.Discount != 33 {
		t.Fatalf("the first share is %+v, want %d with the shipping", share, want)
	}
	rest := ShareOf(o, first, Less(o, o.AllLines(), first))
	if share.Total+rest.Total != o.Total || rest.Shipping != 0 {
		t.Fatalf("shares %d and %d of %d; the rest's shipping is %d", share.Total, rest.Total, o.Total, rest.Shipping)
	}
}

func TestShareOf_AnyCut_AddsUpToTheTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		var before []Quantity
		left := o.AllLines()
		sums := Share{}
		for len(left) > 0 {
			var now []Quantity
			for _, q := range left {
				if n := rapid.Int64Range(0, q.Quantity).Draw(t, "pieces"); n > 0 {
					q.Quantity = n
					now = append(now, q)
				}
			}
			if len(now) == 0 {
				now = left[:1]
			}
			share := ShareOf(o, before, now)
			checkShare(t, share)
			sums.Total += share.Total
			sums.Shipping += share.Shipping
			sums.ShippingTax += share.ShippingTax
			sums.Discount += share.Discount
			before = append(before, now...)
			left = Less(o, o.AllLines(), before)
		}
		if sums.Total != o.Total || sums.Shipping != o.Shipping || sums.ShippingTax != o.ShippingTax || sums.Discount != o.Discount {
			t.Fatalf("the shares add up to %+v, want the order's total %d", sums, o.Total)
		}
	})
}

// checkShare says that a share's total is the sum of its parts, and no part is
// negative.
func checkShare(t *rapid.T, s Share) {
	total := s.Shipping + s.ShippingTax - s.Discount
	for _, l := range s.Lines {
		total += l.Gross - l.Discount + l.Tax
		if l.Gross != l.Quantity*l.UnitPrice || l.Discount < 0 || l.Tax < 0 || l.Quantity <= 0 {
			t.Fatalf("a line's share is %+v", l)
		}
	}
	if total != s.Total {
		t.Fatalf("the share's parts add up to %d, its total is %d", total, s.Total)
	}
}

func TestShareOf_WithoutLineNumbers_SameMoney(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		if a, b := ShareOf(o, nil, o.AllLines()), ShareOf(o, nil, o.Goods()); a.Total != b.Total || a.Total != o.Total {
			t.Fatalf("by line %d, by SKU %d, want %d", a.Total, b.Total, o.Total)
		}
	})
}

func TestLess_IsTheRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		var part []Quantity
		for _, q := range o.AllLines() {
			q.Quantity = rapid.Int64Range(0, q.Quantity).Draw(t, "part")
			part = append(part, q)
		}
		count := func(quantities []Quantity) int64 {
			n := int64(0)
			for _, q := range quantities {
				n += q.Quantity
			}
			return n
		}
		rest := Less(o, o.AllLines(), part)
		if count(rest)+count(part) != count(o.AllLines()) {
			t.Fatalf("%v less %v is %v", o.AllLines(), part, rest)
		}
		if none := Less(o, part, o.AllLines()); len(none) > 0 {
			t.Fatalf("a part less everything is %v", none)
		}
	})
}
