package script

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/order"
)

// edit reads what a person changes. The fields of the system's group stand in
// the step itself, or in a mapping of the group's name.
func (r *reader) edit(n *yaml.Node) Action {
	e := Edit{Times: 1}
	all, ok := r.pairs(n, "edit")
	if !ok {
		return e
	}
	i := slices.IndexFunc(all, func(p pair) bool { return p.key.Value == "system" })
	if !r.need(n, "edit", i >= 0, "system", "system: warehouse") {
		return e
	}
	if e.System = r.system(all[i].value, "system"); e.System == "" {
		return e
	}
	r.exact = true
	defer func() { r.exact = false }()
	var times bool
	var onHand *yaml.Node
	fields := []field{
		{"system", func(*yaml.Node) {}},
		r.orderKey(&e.Order),
		{"customer", func(v *yaml.Node) { e.Customer = r.customer(v) }},
		{"reason", func(v *yaml.Node) { e.Reason = r.text(v, "reason") }},
		{"every", func(v *yaml.Node) { r.duration(v, "every", &e.Every, forSomeTime) }},
		{"times", func(v *yaml.Node) {
			times = true
			r.count(v, "times", fromOne, &e.Times)
		}},
	}
	if stocked(e.System) {
		fields = append(
			fields, field{"on_hand", func(v *yaml.Node) { onHand = v }},
			field{"sku", func(v *yaml.Node) {
				e.SKU = r.name(v, "sku")
				r.names.sku(v, e.SKU)
			}},
		)
	}
	group := r.group(&e)
	fields = append(append(fields, group...), field{string(e.System), func(v *yaml.Node) {
		r.mapping(v, string(e.System), group...)
	}})
	if !r.mapping(n, "an edit in "+string(e.System), fields...) {
		return e
	}
	if (e.Every > 0) != times {
		r.add(n, "edit has only one of every and times; want both, as `every: 1m, times: 3`, or neither")
	}
	r.levels(n, &e, onHand)
	r.aimed(n, e)
	return e
}

func stocked(s order.System) bool { return s == order.SystemInventory || s == order.SystemWarehouse }

func (r *reader) group(e *Edit) []field {
	switch e.System {
	case order.SystemPayment:
		return r.paymentEnd(&e.Payment)
	case order.SystemInventory:
		return r.inventoryEnd(&e.Inventory)
	case order.SystemWarehouse:
		return r.warehouseEnd(&e.Warehouse)
	case order.SystemERP:
		return r.erpEnd(&e.ERP)
	case order.SystemCRM:
		return r.crmEnd(&e.CRM)
	default:
		return r.mailEnd(&e.Mail)
	}
}

// levels reads on_hand, a number of the sku or pieces by SKU; of several each
// becomes a step.
func (r *reader) levels(n *yaml.Node, e *Edit, onHand *yaml.Node) {
	if onHand == nil {
		if e.SKU != "" {
			r.add(n, "edit names the sku %s and not how many there are; add on_hand", e.SKU)
		}
		return
	}
	if r.follow(onHand).Kind != yaml.MappingNode {
		if v, ok := r.number(onHand, "on_hand", ofPieces); ok && r.need(n, "edit", e.SKU != "", "sku", "sku: A") {
			e.OnHand = &v
		}
		return
	}
	if e.SKU != "" {
		r.add(onHand, "on_hand is by SKU, and there is a sku beside it; want one of them")
		return
	}
	levels := r.bySKU(onHand, "on_hand")
	if len(levels) == 0 {
		r.add(onHand, "on_hand names no SKU; want it as `{A: 7}`")
	}
	for k, sku := range slices.Sorted(maps.Keys(levels)) {
		one, number := *e, *levels[sku].Min
		one.SKU, one.OnHand = sku, &number
		if k == 0 {
			*e = one
			continue
		}
		one.Inventory, one.Warehouse = nil, nil
		r.more = append(r.more, Step{Line: n.Line, Do: one})
	}
}

// aimed refuses an edit of nothing.
func (r *reader) aimed(n *yaml.Node, e Edit) {
	changes := e.OnHand != nil || e.Payment != nil || e.Inventory != nil || e.Warehouse != nil || e.ERP != nil || e.CRM != nil || e.Mail != nil
	people := e.System == order.SystemCRM || e.System == order.SystemMail
	grouped := e.Payment != nil || e.Inventory != nil || e.Warehouse != nil || e.ERP != nil
	switch {
	case !r.sound():
	case !changes:
		r.add(n, "edit changes nothing; want a field of %s as in expect, as `%s`", e.System, example(e.System))
	case grouped && e.Order == "":
		r.need(n, "edit", false, "order", "order: O1")
	case people && e.Order == "" && e.Customer == "":
		r.add(n, "edit says not whose record it is; want order or customer")
	case e.CRM != nil && e.Order == "" && (e.CRM.Won != nil || e.CRM.Lost != nil || e.CRM.Revenue != nil):
		r.add(n, "edit changes an order's won, lost or revenue and names only a customer; add order")
	}
}

func example(s order.System) string {
	return map[order.System]string{
		order.SystemPayment: "refunded: 9980", order.SystemInventory: "reserved: 0", order.SystemWarehouse: "live: 0",
		order.SystemERP: "invoices: 2", order.SystemCRM: "email: c1@example.org", order.SystemMail: "refund: 1",
	}[s]
}

// wholeOf is everything that an order has.
func wholeOf(o Order) []order.Quantity {
	goods := o.Goods()
	var all []order.Quantity
	for _, sku := range skusOf(o) {
		all = append(all, order.Quantity{SKU: sku, Quantity: goods[sku]})
	}
	return all
}
