package script

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// What a verdict can say.
var (
	outcomes   = []string{"in_progress", "succeeded", "cancelled", "failed", "in_doubt"}
	agreements = []string{"agreed", "settling", "disagreeing", "needs_person", "unreadable"}
)

func (r *reader) expect(n *yaml.Node) Expect {
	e := Expect{Line: max(1, n.Line)}
	all, ok := r.pairs(n, "expect")
	if ok && len(all) == 0 {
		r.add(n, "expect is empty; name an order, stock or orphans")
	}
	for _, p := range all {
		switch p.key.Value {
		case "stock":
			e.Stock = r.stockEnd(p.value)
		case "orphans":
			e.Orphans = r.numbers(p.value, "orphans", ofRecords)
		default:
			r.names.order(p.key, p.key.Value)
			end := r.orderEnd(p.value, p.key.Value)
			end.Line = p.key.Line
			e.Orders = append(e.Orders, end)
		}
	}
	return e
}

func (r *reader) orderEnd(n *yaml.Node, name string) OrderEnd {
	e := OrderEnd{Order: name}
	r.mapping(
		n, "what is expected of "+name,
		field{"outcome", func(v *yaml.Node) { e.Outcome = r.words(v, "outcome", outcomes) }},
		field{"agreement", func(v *yaml.Node) { e.Agreement = r.words(v, "agreement", agreements) }},
		field{"never", func(v *yaml.Node) { e.Never = r.words(v, "never", outcomes) }},
		field{"payment", func(v *yaml.Node) { r.mapping(v, "payment", r.paymentEnd(&e.Payment)...) }},
		field{"inventory", func(v *yaml.Node) { r.mapping(v, "inventory", r.inventoryEnd(&e.Inventory)...) }},
		field{"warehouse", func(v *yaml.Node) { r.mapping(v, "warehouse", r.warehouseEnd(&e.Warehouse)...) }},
		field{"erp", func(v *yaml.Node) { r.mapping(v, "erp", r.erpEnd(&e.ERP)...) }},
		field{"crm", func(v *yaml.Node) { r.mapping(v, "crm", r.crmEnd(&e.CRM)...) }},
		field{"mail", func(v *yaml.Node) { r.mapping(v, "mail", r.mailEnd(&e.Mail)...) }},
		field{"cases", func(v *yaml.Node) { e.Cases = r.numbers(v, "cases", ofRecords) }},
		field{"repairs", func(v *yaml.Node) { e.Repairs = r.numbers(v, "repairs", ofRecords) }},
	)
	return e
}

// The groups. Each is made when its first field is read, for steps name single
// fields of them.

func (r *reader) paymentEnd(p **PaymentEnd) []field {
	return []field{
		r.amount("authorizations", ofRecords, func() **Number { return &made(p).Authorizations }),
		r.amount("captures", ofRecords, func() **Number { return &made(p).Captures }),
		r.amount("captured", ofMoney, func() **Number { return &made(p).Captured }),
		r.amount("refunds", ofRecords, func() **Number { return &made(p).Refunds }),
		r.amount("refunded", ofMoney, func() **Number { return &made(p).Refunded }),
		r.amount("open", ofRecords, func() **Number { return &made(p).Open }),
	}
}

func (r *reader) inventoryEnd(p **InventoryEnd) []field {
	return []field{
		{"reserved", func(v *yaml.Node) { made(p).Reserved = r.pieces(v, "reserved") }},
		{"committed", func(v *yaml.Node) { made(p).Committed = r.pieces(v, "committed") }},
	}
}

func (r *reader) warehouseEnd(p **WarehouseEnd) []field {
	return []field{
		r.amount("live", ofRecords, func() **Number { return &made(p).Live }),
		{"shipped", func(v *yaml.Node) { made(p).Shipped = r.pieces(v, "shipped") }},
	}
}

func (r *reader) erpEnd(p **ERPEnd) []field {
	return []field{
		r.amount("sales", ofRecords, func() **Number { return &made(p).Sales }),
		r.amount("invoices", ofRecords, func() **Number { return &made(p).Invoices }),
		r.amount("credits", ofRecords, func() **Number { return &made(p).Credits }),
		r.amount("balance", ofBooks, func() **Number { return &made(p).Balance }),
	}
}

func (r *reader) crmEnd(p **CRMEnd) []field {
	return []field{
		r.amount("contacts", ofRecords, func() **Number { return &made(p).Contacts }),
		{"email", func(v *yaml.Node) {
			email := r.email(v, "email", true)
			made(p).Email = &email
		}},
		{"opted_out", func(v *yaml.Node) {
			out := false
			r.truth(v, "opted_out", &out)
			made(p).OptedOut = &out
		}},
		r.amount("won", ofRecords, func() **Number { return &made(p).Won }),
		r.amount("lost", ofRecords, func() **Number { return &made(p).Lost }),
		r.amount("revenue", ofBooks, func() **Number { return &made(p).Revenue }),
		r.amount("carts_abandoned", ofRecords, func() **Number { return &made(p).CartsAbandoned }),
	}
}

func (r *reader) mailEnd(p **MailEnd) []field {
	return []field{
		r.amount("confirmation", ofRecords, func() **Number { return &made(p).Confirmation }),
		r.amount("shipped", ofRecords, func() **Number { return &made(p).Shipped }),
		r.amount("cancellation", ofRecords, func() **Number { return &made(p).Cancellation }),
		r.amount("refund", ofRecords, func() **Number { return &made(p).Refund }),
		r.amount("question", ofRecords, func() **Number { return &made(p).Question }),
	}
}

func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

func (r *reader) amount(name string, in span, into func() **Number) field {
	return field{name, func(v *yaml.Node) { *into() = r.numbers(v, name, in) }}
}

// numbers reads a number, or {min: x, max: y} of which one may be left out.
func (r *reader) numbers(n *yaml.Node, what string, in span) *Number {
	if r.follow(n).Kind != yaml.MappingNode {
		v, ok := r.number(n, what, in)
		if !ok {
			return nil
		}
		return &Number{Min: &v, Max: &v}
	}
	if r.exact {
		r.add(n, "%s is a range; an edit sets a number", what)
		return nil
	}
	var out Number
	end := func(name string, into **int64) field {
		return field{name, func(v *yaml.Node) {
			if got, ok := r.number(v, what+"."+name, in); ok {
				*into = &got
			}
		}}
	}
	if !r.mapping(n, what, end("min", &out.Min), end("max", &out.Max)) {
		return nil
	}
	switch {
	case out.Min == nil && out.Max == nil:
		r.add(n, "%s is a range without min and max; want `{min: 0, max: 3}`", what)
		return nil
	case out.Min != nil && out.Max != nil && *out.Min > *out.Max:
		r.add(n, "%s is at least %d and at most %d; turn them round", what, *out.Min, *out.Max)
	}
	return &out
}

// pieces reads pieces by SKU, or one number for all of them.
func (r *reader) pieces(n *yaml.Node, what string) *Quantities {
	v := r.follow(n)
	if v.Kind != yaml.MappingNode || ranged(v) {
		all := r.numbers(n, what, ofPieces)
		return &Quantities{All: all}
	}
	if len(v.Content) == 0 {
		r.add(n, "%s names no SKU; zeros are written: want 0, or pieces by SKU as `{A: 2, B: 1}`", what)
	}
	return &Quantities{BySKU: r.bySKU(v, what)}
}

// ranged says that a mapping is a range, and no SKUs.
func ranged(n *yaml.Node) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if k := n.Content[i].Value; k != "min" && k != "max" {
			return false
		}
	}
	return len(n.Content) > 0
}

func (r *reader) bySKU(n *yaml.Node, what string) map[string]Number {
	all, _ := r.pairs(n, what)
	out := map[string]Number{}
	for _, p := range all {
		r.names.sku(p.key, p.key.Value)
		if number := r.numbers(p.value, what+" of "+p.key.Value, ofPieces); number != nil {
			out[p.key.Value] = *number
		}
	}
	return out
}

func (r *reader) stockEnd(n *yaml.Node) *StockEnd {
	s := &StockEnd{OnHand: map[string]Number{}}
	there := false
	r.began = len(r.problems)
	r.mapping(n, "stock", field{"on_hand", func(v *yaml.Node) {
		there = true
		if s.OnHand = r.bySKU(v, "on_hand"); len(s.OnHand) == 0 {
			r.add(v, "on_hand names no SKU; want it as `{A: 8, B: 2}`")
		}
	}})
	r.need(n, "stock", there, "on_hand", "on_hand: {A: 8, B: 2}")
	return s
}

// Exactly returns the number that it is, where it is no range.
func (n Number) Exactly() (int64, bool) {
	if n.Min == nil || n.Max == nil || *n.Min != *n.Max {
		return 0, false
	}
	return *n.Min, true
}

// Holds says that a number is as it should be.
func (n Number) Holds(got int64) bool {
	return (n.Min == nil || got >= *n.Min) && (n.Max == nil || got <= *n.Max)
}

// String writes it as in "9980" or "0 to 3".
func (n Number) String() string {
	if v, ok := n.Exactly(); ok {
		return fmt.Sprint(v)
	}
	least, most := int64(math.MinInt64), int64(math.MaxInt64)
	if n.Min != nil {
		least = *n.Min
	}
	if n.Max != nil {
		most = *n.Max
	}
	switch {
	case n.Min == nil:
		return fmt.Sprintf("at most %d", most)
	case n.Max == nil:
		return fmt.Sprintf("at least %d", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}
