package script

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/order"
)

// usual is an order of a name in which the file leaves everything out.
func usual(name string) Order {
	return Order{
		Name: name, Customer: "c1", Email: "c1@example.com", Currency: "EUR",
		Payment: Payment{Method: MethodCard, Capture: string(order.CaptureOnShip), Reusable: true},
		Lines:   []Line{{SKU: "A", Quantity: 2, Price: 2500}, {SKU: "B", Quantity: 1, Price: 4980}},
	}
}

// reserved are the names that expect uses for something else.
var reserved = []string{"stock", "orphans"}

func (r *reader) orders(n *yaml.Node) {
	if n == nil || isNull(r.follow(n)) {
		r.file.Orders = []Order{usual("O1")}
		return
	}
	all, ok := r.pairs(n, "orders")
	if ok && len(all) == 0 {
		r.add(n, "orders is empty; leave it out for O1 as it is by default")
	}
	for _, p := range all {
		r.name(p.key, "an order's name")
		name := p.key.Value
		if slices.Contains(reserved, name) {
			r.add(p.key, "an order cannot be called %s, which is a key of expect; give it another name", name)
		}
		o := usual(name)
		o.Line = p.key.Line
		if !isNull(r.follow(p.value)) {
			o = r.order(p.value, "order "+name, o)
		}
		r.file.Orders = append(r.file.Orders, o)
	}
}

// order reads an order's keys over what it is without them.
func (r *reader) order(n *yaml.Node, what string, o Order) Order {
	before := len(r.problems)
	money := func(name string, into *int64) field {
		return field{name, func(v *yaml.Node) {
			if amount, ok := r.number(v, name, ofMoney); ok {
				*into = amount
			}
		}}
	}
	r.mapping(
		n, what,
		field{"customer", func(v *yaml.Node) { o.Customer = r.customer(v) }},
		field{"email", func(v *yaml.Node) { o.Email = r.email(v, "email", false) }},
		field{"currency", func(v *yaml.Node) { o.Currency = r.currency(v) }},
		field{"payment", func(v *yaml.Node) { o.Payment = r.payment(v, o.Payment) }},
		field{"lines", func(v *yaml.Node) { o.Lines = r.lines(v) }},
		money("shipping", &o.Shipping),
		money("discount", &o.Discount),
		money("tax", &o.Tax),
	)
	if len(r.problems) == before {
		r.sum(n, what, o)
	}
	return o
}

// customer reads a customer's id, which is the shop's own.
func (r *reader) customer(n *yaml.Node) string {
	s := r.text(n, "customer")
	if len([]rune(s)) > order.MaxText || strings.ContainsFunc(s, unicode.IsControl) {
		r.add(n, "customer is %s; want at most %d characters, none of them a control character", short(s), order.MaxText)
	}
	return s
}

// email reads an e-mail address; a contact may have none.
func (r *reader) email(n *yaml.Node, what string, orNone bool) string {
	v := r.follow(n)
	if orNone && v.Kind == yaml.ScalarNode && v.Value == "" || orNone && isNull(v) {
		return ""
	}
	a, err := mail.ParseAddress(v.Value)
	if v.Kind != yaml.ScalarNode || err != nil || a.Address != v.Value || len(v.Value) > 254 {
		r.add(n, "%s is %s; want an e-mail address as c1@example.com", what, shown(v))
		return ""
	}
	return v.Value
}

func (r *reader) currency(n *yaml.Node) string {
	v := r.follow(n)
	if _, known := order.Currency(v.Value).Decimals(); !known || v.Kind != yaml.ScalarNode {
		r.add(n, "currency is %s; want an ISO 4217 code in capitals that the product takes, as EUR, JPY or KWD", shown(v))
		return ""
	}
	return v.Value
}

func (r *reader) payment(n *yaml.Node, p Payment) Payment {
	r.mapping(
		n, "payment",
		field{"method", func(v *yaml.Node) {
			p.Method = r.word(v, "method", []string{MethodCard, MethodChallenge, MethodAsync})
		}},
		field{"capture", func(v *yaml.Node) {
			p.Capture = r.word(v, "capture", []string{string(order.CaptureOnShip), string(order.CaptureAtOnce)})
		}},
		field{"multicapture", func(v *yaml.Node) { r.truth(v, "multicapture", &p.Multicapture) }},
		field{"reusable", func(v *yaml.Node) { r.truth(v, "reusable", &p.Reusable) }},
	)
	return p
}

func (r *reader) lines(n *yaml.Node) []Line {
	v := r.follow(n)
	if v.Kind != yaml.SequenceNode || len(v.Content) == 0 || len(v.Content) > order.MaxLines {
		r.add(n, "lines is %s; want a list of 1 to %d lines as `{sku: A, quantity: 2, price: 2500}`", shown(v), order.MaxLines)
		return nil
	}
	var all []Line
	for _, one := range v.Content {
		all = append(all, r.line(one))
	}
	return all
}

// line reads a line; of the baseline's SKUs what is left out is as there.
func (r *reader) line(n *yaml.Node) Line {
	l := Line{Quantity: -1, Price: -1}
	r.began = len(r.problems)
	number := func(name string, in span, into *int64) field {
		return field{name, func(v *yaml.Node) {
			*into = 1 // whatever it was meant to be, it is not left out
			if got, ok := r.number(v, name, in); ok {
				*into = got
			}
		}}
	}
	if !r.mapping(
		n, "a line",
		field{"sku", func(v *yaml.Node) { l.SKU = r.name(v, "sku") }},
		number("quantity", span{1, order.MaxQuantity}, &l.Quantity),
		number("price", ofMoney, &l.Price),
		number("discount", ofMoney, &l.Discount),
		number("tax", ofMoney, &l.Tax),
	) {
		return l
	}
	for _, known := range usual("").Lines {
		if known.SKU != l.SKU {
			continue
		}
		if l.Quantity < 0 {
			l.Quantity = known.Quantity
		}
		if l.Price < 0 {
			l.Price = known.Price
		}
	}
	r.need(n, "the line", l.SKU != "", "sku", "sku: A")
	r.need(n, "the line", l.Quantity >= 0, "quantity", "quantity: 2")
	r.need(n, "the line", l.Price >= 0, "price", "price: 2500")
	return l
}

// sum refuses an order whose money no gateway would move.
func (r *reader) sum(n *yaml.Node, what string, o Order) {
	for _, l := range o.Lines {
		if l.Quantity*min(l.Price, order.MaxMoney) > order.MaxMoney || l.Discount > l.Quantity*l.Price {
			r.add(n, "%s: the line of %s costs more than %d minor units, or is discounted by more than it costs", what, l.SKU, int64(order.MaxMoney))
			return
		}
	}
	total, least := o.Total(), order.Currency(o.Currency).Least()
	switch {
	case total <= 0 || total > order.MaxMoney:
		r.add(n, "%s: its money adds up to %d; want 1 to %d minor units", what, total, int64(order.MaxMoney))
	case total%least != 0:
		r.add(n, "%s: its money adds up to %d; %s is paid in multiples of %d", what, total, o.Currency, least)
	}
}

// Total is what the order costs.
func (o Order) Total() int64 {
	total := o.Shipping + o.Tax - o.Discount
	for _, l := range o.Lines {
		total += l.Quantity*l.Price - l.Discount + l.Tax
	}
	return total
}

// Goods returns the pieces ordered of each SKU.
func (o Order) Goods() map[string]int64 {
	all := map[string]int64{}
	for _, l := range o.Lines {
		all[l.SKU] += l.Quantity
	}
	return all
}

// quantities reads pieces by SKU, as a mapping or as a list of lines.
func (r *reader) quantities(n *yaml.Node, what string, in span) []order.Quantity {
	v := r.follow(n)
	var all []order.Quantity
	put := func(at *yaml.Node, sku string, count int64) {
		if slices.ContainsFunc(all, func(q order.Quantity) bool { return q.SKU == sku }) {
			r.add(at, "%s has %s twice; add the pieces up", what, sku)
		}
		r.names.sku(at, sku)
		all = append(all, order.Quantity{SKU: sku, Quantity: count})
	}
	switch {
	case v.Kind == yaml.MappingNode && len(v.Content) > 0:
		some, _ := r.pairs(v, what)
		for _, p := range some {
			if count, ok := r.number(p.value, what+" of "+p.key.Value, in); ok {
				put(p.key, p.key.Value, count)
			}
		}
	case v.Kind == yaml.SequenceNode && len(v.Content) > 0:
		for _, one := range v.Content {
			sku, count := "", int64(-1)
			if r.mapping(
				one, "one of "+what,
				field{"sku", func(v *yaml.Node) { sku = r.name(v, "sku") }},
				field{"quantity", func(v *yaml.Node) {
					if got, ok := r.number(v, "quantity", in); ok {
						count = got
					}
				}},
			) && sku != "" && count >= 0 {
				put(one, sku, count)
			} else {
				r.add(one, "one of %s does not say what; want it as `{sku: A, quantity: 1}`", what)
			}
		}
	default:
		r.add(n, "%s is %s; want pieces by SKU as `{A: 1}` or `[{sku: A, quantity: 1}]`", what, shown(v))
	}
	return all
}

// sold finds an order's lines of some quantities.
func (r *reader) sold(at *yaml.Node, what string, o Order, pieces []order.Quantity) {
	for _, q := range pieces {
		if _, has := o.Goods()[q.SKU]; !has && o.Name != "" {
			r.add(at, "%s names %s, which order %s does not have; %s", what, q.SKU, o.Name, fmt.Sprintf("it has %s", list(skusOf(o))))
		}
	}
}

func skusOf(o Order) []string {
	var all []string
	for _, l := range o.Lines {
		if !slices.Contains(all, l.SKU) {
			all = append(all, l.SKU)
		}
	}
	return all
}
