package script

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Any is any system, or any operation.
const Any = "*"

// systems are what a step may name; operations what each of them does.
func systems() []string {
	var all []string
	for _, s := range order.Systems() {
		all = append(all, string(s))
	}
	return all
}

var operations = map[order.System][]string{
	order.SystemPayment:   {"authorize", "capture", "void", "refund", "lookup", "list"},
	order.SystemInventory: {"reserve", "release", "adjust", "commit", "lookup", "list"},
	order.SystemWarehouse: {"request", "update", "cancel", "return", "lookup", "list", "count"},
	order.SystemERP:       {"record", "invoice", "receipt", "credit", "lookup", "list"},
	order.SystemCRM:       {"upsert", "lookup", "list"},
	order.SystemMail:      {"send", "lookup", "list"},
}

// eventTypes are the notifications, by who sends them.
var eventTypes = []struct {
	from []order.System
	all  []string
}{
	{[]order.System{order.SystemPayment}, []string{
		"payment.authorized", "payment.captured", "payment.failed", "payment.expired", "payment.voided",
		"review.opened", "review.approved", "review.declined", "refund.succeeded", "refund.failed", "dispute.opened", "dispute.closed",
	}},
	{[]order.System{order.SystemWarehouse}, []string{
		"shipment.accepted", "shipment.picked", "shipment.shipped", "shipment.delivered", "shipment.cancelled", "shipment.lost",
	}},
	{[]order.System{order.SystemWarehouse, order.SystemInventory}, []string{"stock.adjusted"}},
}

func allEvents() []string {
	var all []string
	for _, t := range eventTypes {
		all = append(all, t.all...)
	}
	return all
}

// sends says which systems send events of a type.
func sends(event string) []order.System {
	for _, t := range eventTypes {
		if slices.Contains(t.all, event) {
			return t.from
		}
	}
	return nil
}

func (r *reader) system(n *yaml.Node, what string) order.System {
	return order.System(r.word(n, what, systems()))
}

// on reads SYSTEM.OP; `*` stands for any of either, and so does what is left out
// after the system.
func (r *reader) on(n *yaml.Node, what string) (order.System, order.Operation) {
	text := r.text(n, what)
	system, operation, both := strings.Cut(text, ".")
	switch {
	case text == "":
		return "", ""
	case !both:
		operation = Any
	}
	known := operations[order.System(system)]
	if system == Any {
		for _, some := range operations {
			known = append(known, some...)
		}
	} else if known == nil {
		r.add(n, "%s is %s, which begins with no system; %s", what, short(text), choose(system, systems()))
		return "", ""
	}
	if operation != Any && !slices.Contains(known, operation) {
		if system == Any {
			slices.Sort(known)
			known = slices.Compact(known)
		}
		r.add(n, "%s is %s, but %s has no such operation; %s", what, short(text), system, choose(operation, append(slices.Clone(known), Any)))
		return "", ""
	}
	return order.System(system), order.Operation(operation)
}

// How long what is late is late, and how old what is stale is, unless said.
const (
	defaultLate  = time.Minute
	defaultStale = 10 * time.Minute
)

func (r *reader) fault(n *yaml.Node) Action {
	f := Fault{Times: 1}
	var kinds []string
	for _, k := range simulator.FaultKinds() {
		kinds = append(kinds, string(k))
	}
	if !r.mapping(
		n, "fault",
		field{"on", func(v *yaml.Node) { f.System, f.Operation = r.on(v, "on") }},
		field{"kind", func(v *yaml.Node) { f.Kind = simulator.FaultKind(r.word(v, "kind", kinds)) }},
		field{"times", func(v *yaml.Node) {
			if r.follow(v).Value == "forever" {
				f.Times = -1
				return
			}
			r.count(v, "times", fromOne, &f.Times)
		}},
		field{"after", func(v *yaml.Node) { r.count(v, "after", ofRecords, &f.After) }},
		field{"delay", func(v *yaml.Node) { r.duration(v, "delay", &f.Delay, forAnyTime) }},
		r.orderKey(&f.Order),
	) || !r.need(n, "fault", f.System != "", "on", "on: payment.capture") || !r.need(n, "fault", f.Kind != "", "kind", "kind: response_lost") {
		return f
	}
	switch {
	case f.Kind == simulator.Late && f.Delay == 0:
		f.Delay = defaultLate
	case f.Kind == simulator.Stale && f.Delay == 0:
		f.Delay = defaultStale
	case f.Delay > 0 && f.Kind != simulator.Late && f.Kind != simulator.Stale:
		r.add(n, "fault has a delay, which %s does not use; leave it out, or want late or stale", f.Kind)
	}
	return f
}

func (r *reader) clear(n *yaml.Node) Action {
	var c Clear
	if r.follow(n).Kind != yaml.MappingNode {
		c.System, c.Operation = r.on(n, "clear")
		return c
	}
	if r.mapping(n, "clear", field{"on", func(v *yaml.Node) { c.System, c.Operation = r.on(v, "on") }}) {
		r.need(n, "clear", c.System != "", "on", "on: payment.capture")
	}
	return c
}

func (r *reader) crash(n *yaml.Node) Action {
	var c Crash
	if r.mapping(
		n, "crash",
		field{"worker", func(v *yaml.Node) { c.Worker = r.word(v, "worker", []string{"before", "after", "acknowledged"}) }},
		field{"on", func(v *yaml.Node) { c.System, c.Operation = r.on(v, "on") }},
	) && r.need(n, "crash", c.Worker != "", "worker", "worker: after") {
		r.need(n, "crash", c.System != "", "on", "on: payment.capture")
	}
	return c
}

func (r *reader) outage(n *yaml.Node, part string) Action {
	o := Outage{Part: part}
	v := r.follow(n)
	switch v.Kind {
	case yaml.MappingNode:
		there := false
		if r.mapping(n, part, field{"down", func(v *yaml.Node) {
			there = true
			r.duration(v, "down", &o.Down, forAnyTime)
		}}) {
			r.need(n, part, there, "down", "down: 10m")
		}
	default:
		if v.Value != "restart" {
			r.add(n, "%s is %s; want restart, or `{down: 10m}`", part, shown(v))
		}
	}
	return o
}

func (r *reader) clock(n *yaml.Node) Action {
	var c Clock
	skewed := false
	if r.mapping(
		n, "clock",
		field{"system", func(v *yaml.Node) { c.System = r.system(v, "system") }},
		field{"skew", func(v *yaml.Node) {
			skewed = true
			r.duration(v, "skew", &c.Skew, eitherWay)
		}},
	) && r.need(n, "clock", c.System != "", "system", "system: payment") {
		r.need(n, "clock", skewed, "skew", "skew: -10m")
	}
	return c
}

func (r *reader) event(n *yaml.Node) Action {
	e := Event{Copies: 1}
	var from *yaml.Node
	if !r.mapping(
		n, "event",
		field{"from", func(v *yaml.Node) { e.From, from = r.system(v, "from"), v }},
		field{"type", func(v *yaml.Node) { e.Type = r.word(v, "type", allEvents()) }},
		r.orderKey(&e.Order),
		field{"sku", func(v *yaml.Node) {
			e.SKU = r.name(v, "sku")
			r.names.sku(v, e.SKU)
		}},
		field{"copies", func(v *yaml.Node) { r.count(v, "copies", fromOne, &e.Copies) }},
		field{"attempt", func(v *yaml.Node) { r.count(v, "attempt", fromOne, &e.Attempt) }},
		field{"forged", func(v *yaml.Node) { r.truth(v, "forged", &e.Forged) }},
		field{"account", func(v *yaml.Node) { e.Account = r.text(v, "account") }},
		field{"same_id", func(v *yaml.Node) { r.truth(v, "same_id", &e.SameID) }},
	) || !r.need(n, "event", e.Type != "", "type", "type: payment.captured") {
		return e
	}
	if from == nil {
		e.From = sends(e.Type)[0]
	} else if e.From != "" && !slices.Contains(sends(e.Type), e.From) {
		r.add(from, "%s sends no %s; that comes from %s", e.From, e.Type, sends(e.Type)[0])
	}
	if e.Type != "stock.adjusted" {
		r.need(n, "event", e.Order != "", "order", "order: O1")
	}
	return e
}

// events has from and type beside it, or in it.
func (r *reader) events(n *yaml.Node) Action {
	var e Events
	from := field{"from", func(v *yaml.Node) { e.From = r.system(v, "from") }}
	kind := field{"type", func(v *yaml.Node) {
		if r.follow(v).Value != Any {
			e.Type = r.word(v, "type", allEvents())
		}
	}}
	for _, p := range r.beside {
		if p.key.Value == "from" {
			from.read(p.value)
		} else {
			kind.read(p.value)
		}
	}
	does := []string{"drop", "hold", "release", "reorder"}
	if v := r.follow(n); v.Kind == yaml.MappingNode {
		if !r.mapping(n, "events", from, kind, field{"do", func(v *yaml.Node) { e.Do = r.word(v, "do", does) }}) {
			return e
		}
		r.need(n, "events", e.Do != "", "do", "do: drop")
	} else {
		e.Do = r.word(n, "events", does)
	}
	switch {
	case e.From == "" && e.Type != "":
		e.From = sends(e.Type)[0]
	case e.From == "":
		r.need(n, "events", slices.ContainsFunc(r.beside, func(p pair) bool { return p.key.Value == "from" }), "from beside it", "from: payment")
	case e.Type != "" && !slices.Contains(sends(e.Type), e.From):
		r.add(n, "%s sends no %s; that comes from %s", e.From, e.Type, sends(e.Type)[0])
	}
	return e
}
