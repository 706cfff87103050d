package order

import (
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestShareOf_Example(t *testing.T) {
	t.Parallel()
	o := valid()
	o.Lines[0].Tax, o.Lines[0].Discount, o.Shipping, o.Discount = 333, 101, 500, 100
	o.Total, _ = o.Sum()
	first := []Quantity{{Line: 1, SKU: "A", Quantity: 1}}
	share := ShareOf(o, nil, first)
	if want := int64(2500 - 50 + 166 + 500 - 25); share.Total != want || share.Shipping != 500 || share.Discount != 25 { // 2616 of 10212
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

func TestShareOf_ThreeDecimalsInTens_SharesInTens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		o.Currency = "KWD"
		for _, money := range []*int64{&o.Shipping, &o.ShippingTax, &o.Discount} {
			*money *= 10
		}
		for i := range o.Lines {
			for _, money := range []*int64{&o.Lines[i].UnitPrice, &o.Lines[i].Discount, &o.Lines[i].Tax} {
				*money *= 10
			}
		}
		total, before, left := int64(0), []Quantity(nil), o.AllLines()
		for len(left) > 0 {
			now := []Quantity{left[0]}
			now[0].Quantity = rapid.Int64Range(1, left[0].Quantity).Draw(t, "pieces")
			share := ShareOf(o, before, now)
			checkShare(t, share)
			if share.Total%10 != 0 {
				t.Fatalf("a share is %d, which no gateway takes", share.Total)
			}
			total += share.Total
			before = append(before, now...)
			left = Less(o, o.AllLines(), before)
		}
		if sum, _ := o.Sum(); total != sum {
			t.Fatalf("the shares add up to %d, want %d", total, sum)
		}
	})
}

// checkShare says that a share's total is the sum of its parts, and neither it
// nor a part is negative.
func checkShare(t *rapid.T, s Share) {
	total := s.Shipping + s.ShippingTax - s.Discount
	for _, l := range s.Lines {
		total += l.Gross - l.Discount + l.Tax
		if l.Gross != l.Quantity*l.UnitPrice || l.Discount < 0 || l.Tax < 0 || l.Quantity <= 0 || l.Discount > l.Gross {
			t.Fatalf("a line's share is %+v", l)
		}
	}
	if total != s.Total || s.Total < 0 || s.Discount < 0 || s.Shipping < 0 || s.ShippingTax < 0 {
		t.Fatalf("the share is %+v and its parts add up to %d", s, total)
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

// drawPieces draws some pieces of the order, without line numbers now and then.
func drawPieces(t *rapid.T, o Order) []Quantity {
	var pieces []Quantity
	for _, q := range o.AllLines() {
		if q.Quantity = rapid.Int64Range(0, q.Quantity).Draw(t, "pieces"); q.Quantity > 0 {
			pieces = append(pieces, q)
		}
	}
	if rapid.Bool().Draw(t, "by SKU") {
		return BySKU(pieces)
	}
	return pieces
}

// bySKU counts pieces, which is what lists with and without line numbers can be
// compared by.
func bySKU(quantities []Quantity) map[string]int64 {
	n := map[string]int64{}
	for _, q := range quantities {
		n[q.SKU] += q.Quantity
	}
	return n
}

func TestShareOf_DiscountAboveAShipmentsGoods_IsNeverNegative(t *testing.T) {
	t.Parallel()
	o := valid()
	o.Lines = []Line{{SKU: "gift", Quantity: 1, UnitPrice: 1}, {SKU: "B", Quantity: 1, UnitPrice: 9999}}
	o.Shipping, o.Discount = 500, 10100 // 100 more than all goods
	o.Total, _ = o.Sum()
	first := ShareOf(o, nil, o.AllLines()[:1])
	rest := ShareOf(o, o.AllLines()[:1], o.AllLines()[1:])
	if first.Total != 400 || rest.Total != 0 || o.Total != 400 {
		t.Fatalf("the shares are %+v and %+v of %d, want 400 and 0", first, rest, o.Total)
	}
}

func TestShareOf_LargestMoney_DoesNotOverflow(t *testing.T) {
	t.Parallel()
	o := valid()
	o.Lines = []Line{
		{SKU: "A", Quantity: MaxQuantity, UnitPrice: MaxMoney / MaxQuantity, Discount: MaxMoney - 1, Tax: MaxMoney - 7},
		{SKU: "B", Quantity: 3, UnitPrice: 1},
	}
	o.Discount = MaxMoney - 9
	o.Total, _ = o.Sum()
	if err := o.Validate(moment); err != nil {
		t.Fatal(err)
	}
	half := []Quantity{{Line: 1, Quantity: MaxQuantity / 3}}
	first, rest := ShareOf(o, nil, half), ShareOf(o, half, Less(o, o.AllLines(), half))
	worth := new(big.Int).SetInt64(first.Total + first.Discount)
	want := worth.Mul(worth, big.NewInt(o.Discount)).Quo(worth, big.NewInt(o.Total+o.Discount)).Int64()
	if first.Discount != want || first.Total < 0 || rest.Total < 0 || first.Total+rest.Total != o.Total {
		t.Fatalf("the shares are %+v and %+v of %d; want %d of the discount with the first", first, rest, o.Total, want)
	}
}

// What is given back in any order, piece by piece, is never negative and adds up
// to what was paid.
func TestValueOf_GivenBackInAnyOrder_AddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		if all := ValueOf(o, o.AllLines()); all != o.Total || ValueOf(o, nil) != 0 || ValueOf(o, o.Goods()) != o.Total {
			t.Fatalf("the whole order is worth %d and nothing %d, want %d and 0", all, ValueOf(o, nil), o.Total)
		}
		kept, back := o.AllLines(), int64(0)
		for !Empty(kept) {
			returned := Common(o, kept, drawPieces(t, o))
			if Empty(returned) {
				returned = kept[:1]
			}
			less := Less(o, kept, returned)
			share := ShareOf(o, less, returned)
			checkShare(t, share)
			if share.Total != ValueOf(o, kept)-ValueOf(o, less) {
				t.Fatalf("the share of %v is %d, but the order's value goes from %d to %d", returned, share.Total, ValueOf(o, kept), ValueOf(o, less))
			}
			back += share.Total
			kept = less
		}
		if back != o.Total {
			t.Fatalf("gave back %d of %d", back, o.Total)
		}
	})
}

func TestPieces_OfBothLists_AgreeWithCounting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		a, b := drawPieces(t, o), drawPieces(t, o)
		whole, inA, inB := bySKU(o.AllLines()), bySKU(a), bySKU(b)
		less, plus, common := bySKU(Less(o, a, b)), bySKU(Plus(o, a, b)), bySKU(Common(o, a, b))
		for sku, n := range whole {
			if less[sku]+common[sku] != inA[sku] {
				t.Fatalf("of %s in %v: %d not in %v and %d in it", sku, a, less[sku], b, common[sku])
			}
			if plus[sku] > n || plus[sku] < max(inA[sku], inB[sku]) {
				t.Fatalf("%v plus %v has %d of %s", a, b, plus[sku], sku)
			}
		}
		if diff := cmp.Diff(bySKU(Common(o, b, a)), common); diff != "" {
			t.Fatalf("%v and %v have in common (-the other way round +this way):\n%s", a, b, diff)
		}
		for _, list := range [][]Quantity{Less(o, a, b), Plus(o, a, b), Common(o, a, b)} {
			if problems := CheckPieces(o, list); !Empty(list) && problems != nil {
				t.Fatalf("%v: %v", list, problems)
			}
		}
	})
}

func TestPieces_WithoutLineNumbers_MeetThoseWithThem(t *testing.T) {
	t.Parallel()
	o := valid()
	o.Lines = []Line{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}, {SKU: "A", Quantity: 3}}
	of := func(line int, sku string, n int64) Quantity { return Quantity{Line: line, SKU: sku, Quantity: n} }
	type list = []Quantity
	for _, c := range []struct {
		name      string
		got, want list
	}{
		{"in order", Plus(o, list{of(0, "A", 3)}, nil), list{of(1, "A", 2), of(3, "A", 1)}},
		{"after those with a number", Plus(o, list{of(0, "A", 2)}, list{of(1, "A", 1)}), list{of(1, "A", 2), of(3, "A", 1)}},
		{"one by one", Plus(o, list{of(0, "A", 1)}, list{of(0, "A", 1)}), list{of(1, "A", 2)}},
		{"no more than ordered", Plus(o, list{of(0, "A", 4), of(2, "", 5)}, list{of(3, "A", 9)}), list{of(1, "A", 2), of(2, "B", 1), of(3, "A", 3)}},
		{"a SKU that was not ordered", Plus(o, list{of(0, "C", 1)}, list{of(0, "B", -1)}), nil},
		{"taken from where they are", Less(o, list{of(3, "A", 3)}, list{of(0, "A", 1)}), list{of(3, "A", 2)}},
		{"taken from those without", Less(o, list{of(0, "A", 2)}, list{of(3, "A", 1)}), list{of(1, "A", 1)}},
		{"in common with those without", Common(o, list{of(3, "A", 2)}, list{of(0, "A", 1)}), list{of(3, "A", 1)}},
		{"in common from those without", Common(o, list{of(0, "A", 1)}, list{of(3, "A", 2)}), list{of(3, "A", 1)}},
		{"nothing in common", Common(o, list{of(1, "A", 2)}, list{of(3, "A", 2), of(0, "B", 1)}), nil},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestShareOf_TheNextPiecesWithoutLineNumbers_HaveTheirOwnShare(t *testing.T) {
	t.Parallel()
	o := valid()
	o.Lines = []Line{{SKU: "A", Quantity: 2, UnitPrice: 100}, {SKU: "A", Quantity: 1, UnitPrice: 70}}
	first := []Quantity{{SKU: "A", Quantity: 2}}
	if got := ShareOf(o, first, []Quantity{{SKU: "A", Quantity: 1}}); got.Total != 70 {
		t.Fatalf("the share of the third piece is %+v, want 70", got)
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	if !Empty(nil) || !Empty([]Quantity{{SKU: "A"}}) || Empty([]Quantity{{SKU: "A"}, {SKU: "B", Quantity: 1}}) {
		t.Fatal("empty is what has not one piece")
	}
}

func TestCheckPieces_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		of     []Quantity
		fields []string
		reason string
	}{
		{"right", []Quantity{{Line: 1, SKU: "A", Quantity: 2}, {Line: 2, Quantity: 1}}, nil, ""},
		{"empty", nil, []string{"lines"}, "at least one line"},
		{"unknown line", []Quantity{{Line: 3, SKU: "A", Quantity: 1}}, []string{"lines[0].line"}, "1 to 2"},
		{"no line", []Quantity{{SKU: "A", Quantity: 1}}, []string{"lines[0].line"}, "1 to 2"},
		{"other SKU", []Quantity{{Line: 1, SKU: "B", Quantity: 1}}, []string{"lines[0].sku"}, `line 1 of the order is "A"`},
		{"nothing of it", []Quantity{{Line: 1, SKU: "A"}}, []string{"lines[0].quantity"}, "want 1 to 2"},
		{"more than ordered", []Quantity{{Line: 1, SKU: "A", Quantity: 3}}, []string{"lines[0].quantity"}, "is 3"},
		{"twice", []Quantity{{Line: 1, Quantity: 1}, {Line: 1, Quantity: 1}}, []string{"lines[1].line"}, "as in lines[0]"},
		{"all of it", []Quantity{{Line: 1, SKU: "B", Quantity: 9}, {Line: 0}}, []string{"lines[0].sku", "lines[0].quantity", "lines[1].line"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var fields []string
			for _, p := range CheckPieces(valid(), c.of) {
				fields = append(fields, p.Field)
				if !strings.Contains(p.Reason, c.reason) {
					t.Errorf("%s %s; want it to say %s", p.Field, p.Reason, c.reason)
				}
			}
			if diff := cmp.Diff(c.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}
