package script

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

const maxSteps = 2000

// verbs are the steps, and how each is read.
func (r *reader) verbs() []field {
	do := func(s *Step, read func(*yaml.Node) Action) func(*yaml.Node) {
		return func(v *yaml.Node) { s.Do = read(v) }
	}
	s := &r.step
	return []field{
		{"submit", do(s, r.submit)},
		{"cancel", do(s, func(v *yaml.Node) Action { return Cancel{r.anOrder(v, "cancel")} })},
		{"return", do(s, r.giveBack)},
		{"amend", do(s, r.amend)},
		{"pay", do(s, r.pay)},
		{"attempt", do(s, r.attempt)},
		{"answer", do(s, r.answer)},
		{"event", do(s, r.event)},
		{"events", do(s, r.events)},
		{"fault", do(s, r.fault)},
		{"clear", do(s, r.clear)},
		{"edit", do(s, r.edit)},
		{"crash", do(s, r.crash)},
		{"engine", do(s, func(v *yaml.Node) Action { return r.outage(v, "engine") })},
		{"gateway", do(s, func(v *yaml.Node) Action { return r.outage(v, "gateway") })},
		{"workers", do(s, func(v *yaml.Node) Action { return r.outage(v, "workers") })},
		{"forget", do(s, func(v *yaml.Node) Action { return Forget{r.anOrder(v, "forget")} })},
		{"clock", do(s, r.clock)},
		{"reconcile", do(s, r.reconcile)},
		{"decide", do(s, r.decide)},
		{"expect", do(s, func(v *yaml.Node) Action { return Check{r.expect(v)} })},
	}
}

func (r *reader) steps(top, n *yaml.Node) {
	if n == nil {
		r.add(top, "the file has no steps; say under steps what happens, as `- submit: O1`")
		return
	}
	v := r.follow(n)
	if v.Kind != yaml.SequenceNode || len(v.Content) == 0 || len(v.Content) > maxSteps {
		r.add(n, "steps is %s; want a list of 1 to %d steps as `- submit: O1`", shown(v), maxSteps)
		return
	}
	last := time.Duration(0)
	for _, one := range v.Content {
		r.oneStep(one)
		if r.step.At != nil {
			if *r.step.At < last {
				r.add(one, "this step is at %s, before one above it at %s; steps are written in their order", brief(*r.step.At), brief(last))
			}
			last = max(last, *r.step.At)
		}
		if _, is := r.step.Do.(Forget); is {
			last = 0 // nobody who writes a file knows when that is over
		}
		if r.step.Do != nil {
			r.file.Steps = append(r.file.Steps, r.step)
			r.file.Steps = append(r.file.Steps, r.more...)
		}
	}
}

func (r *reader) oneStep(n *yaml.Node) {
	r.step, r.more, r.beside, r.began = Step{Line: n.Line}, nil, nil, len(r.problems)
	all, ok := r.pairs(n, "a step")
	if !ok {
		return
	}
	verbs := r.verbs()
	var does []pair
	for _, p := range all {
		switch {
		case p.key.Value == "at":
			at := time.Duration(0)
			if r.duration(p.value, "at", &at, forAnyTime) {
				r.step.At = &at
			}
		case p.key.Value == "from" || p.key.Value == "type":
			r.beside = append(r.beside, p)
		case slices.ContainsFunc(verbs, func(f field) bool { return f.name == p.key.Value }):
			does = append(does, p)
		default:
			r.add(p.key, "%s is no step; %s", short(p.key.Value), choose(p.key.Value, append(keys(verbs), "at")))
			ok = false
		}
	}
	switch {
	case len(does) == 0 && ok:
		r.add(n, "the step does nothing; want at and one of %s", list(keys(verbs)))
		return
	case len(does) == 0:
		return
	case len(does) > 1:
		r.add(does[1].key, "the step does both %s and %s; write two steps", does[0].key.Value, does[1].key.Value)
		return
	}
	if len(r.beside) > 0 && does[0].key.Value != "events" {
		r.add(r.beside[0].key, "%s stands beside %s; only events has it beside it", r.beside[0].key.Value, does[0].key.Value)
	}
	verbs[slices.IndexFunc(verbs, func(f field) bool { return f.name == does[0].key.Value })].read(does[0].value)
}

func keys(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.name)
	}
	return all
}

// orderKey is the key by which a step names its order.
func (r *reader) orderKey(into *string) field {
	return field{"order", func(v *yaml.Node) {
		*into = r.name(v, "order")
		r.names.order(v, *into)
	}}
}

// anOrder reads `O1` or `{order: O1}`.
func (r *reader) anOrder(n *yaml.Node, what string) string {
	var name string
	if v := r.follow(n); v.Kind == yaml.MappingNode {
		if r.mapping(v, what, r.orderKey(&name)) {
			r.need(n, what, name != "", "order", "order: O1")
		}
		return name
	}
	name = r.name(n, what)
	r.names.order(n, name)
	return name
}

func (r *reader) submit(n *yaml.Node) Action {
	s := Submit{Copies: 1}
	if r.follow(n).Kind != yaml.MappingNode {
		s.Order = r.anOrder(n, "submit")
		return s
	}
	var as, change *yaml.Node
	if !r.mapping(
		n, "submit",
		r.orderKey(&s.Order),
		field{"as", func(v *yaml.Node) { s.As, as = r.name(v, "as"), v }},
		field{"copies", func(v *yaml.Node) { r.count(v, "copies", fromOne, &s.Copies) }},
		field{"change", func(v *yaml.Node) { change = v }},
	) || !r.need(n, "submit", s.Order != "", "order", "order: O1") {
		return s
	}
	base, found := r.file.Order(s.Order)
	if s.As != "" && found {
		base = r.submitAs(as, base, s.As, change)
	}
	if change != nil && found {
		changed := r.order(change, "change", base)
		s.Change = &changed
	}
	return s
}

// submitAs returns the order under its other id, which is one of the file's from
// here on.
func (r *reader) submitAs(at *yaml.Node, base Order, as string, change *yaml.Node) Order {
	if there, is := r.file.Order(as); is {
		if there.Cart != base.Name {
			r.add(at, "as: %s is an order of its own; submit it by its name, or take another id", as)
		}
		return there
	}
	if slices.Contains(reserved, as) {
		r.add(at, "an order cannot be called %s, which is a key of expect; take another id", as)
	}
	cart := base.Name
	base.Name, base.Cart, base.Line = as, cart, at.Line
	if change != nil { // it is first submitted so
		base = r.order(change, "change", base)
	}
	r.file.Orders = append(r.file.Orders, base)
	return base
}

func (r *reader) giveBack(n *yaml.Node) Action {
	var b Return
	var lines *yaml.Node
	if r.follow(n).Kind != yaml.MappingNode {
		b.Order = r.anOrder(n, "return")
	} else if !r.mapping(n, "return", r.orderKey(&b.Order), field{"lines", func(v *yaml.Node) { lines = v }}) ||
		!r.need(n, "return", b.Order != "", "order", "order: O1") {
		return b
	}
	o, _ := r.file.Order(b.Order)
	if lines != nil && r.follow(lines).Value != "all" {
		b.Lines = r.quantities(lines, "lines", span{1, ofPieces.most})
		r.sold(lines, "return", o, b.Lines)
		return b
	}
	b.Lines = wholeOf(o)
	return b
}

func (r *reader) amend(n *yaml.Node) Action {
	var a Amend
	var lines *yaml.Node
	if !r.mapping(
		n, "amend",
		r.orderKey(&a.Order),
		field{"lines", func(v *yaml.Node) { lines = v }},
		field{"address", func(v *yaml.Node) { a.Address = r.street(v) }},
		field{"email", func(v *yaml.Node) { a.Email = r.email(v, "email", false) }},
	) || !r.need(n, "amend", a.Order != "", "order", "order: O1") {
		return a
	}
	o, _ := r.file.Order(a.Order)
	if lines != nil {
		a.Lines = r.amended(lines, o)
	}
	if lines == nil && a.Address == "" && a.Email == "" && r.sound() {
		r.add(n, "amend changes nothing; want lines, address or email")
	}
	return a
}

// amended reads new quantities by SKU: a mapping names those that change, a list
// is all that is still wanted.
func (r *reader) amended(n *yaml.Node, o Order) map[string]int64 {
	out := map[string]int64{}
	pieces := r.quantities(n, "lines", ofPieces)
	r.sold(n, "amend", o, pieces)
	if r.follow(n).Kind == yaml.SequenceNode {
		for sku := range o.Goods() {
			out[sku] = 0
		}
	}
	for _, q := range pieces {
		out[q.SKU] = q.Quantity
	}
	return out
}

// street reads an address, whole or its street alone.
func (r *reader) street(n *yaml.Node) string {
	if r.follow(n).Kind != yaml.MappingNode {
		return r.text(n, "address")
	}
	street := ""
	if r.mapping(n, "address", field{"street", func(v *yaml.Node) { street = r.text(v, "street") }}) {
		r.need(n, "address", street != "", "street", "street: 9 New Road")
	}
	return street
}

func (r *reader) pay(n *yaml.Node) Action {
	p := Pay{Attempt: 1}
	if r.mapping(
		n, "pay",
		r.orderKey(&p.Order),
		field{"attempt", func(v *yaml.Node) { r.count(v, "attempt", fromOne, &p.Attempt) }},
		field{"result", func(v *yaml.Node) {
			p.Result = r.word(v, "result", []string{"succeeded", "declined", "abandoned"})
		}},
	) && r.need(n, "pay", p.Order != "", "order", "order: O1") {
		r.need(n, "pay", p.Result != "", "result", "result: succeeded")
	}
	return p
}

func (r *reader) attempt(n *yaml.Node) Action {
	a := Attempt{Attempt: 2}
	if r.follow(n).Kind != yaml.MappingNode {
		a.Order = r.anOrder(n, "attempt")
		return a
	}
	if r.mapping(
		n, "attempt",
		r.orderKey(&a.Order),
		field{"attempt", func(v *yaml.Node) { r.count(v, "attempt", fromOne, &a.Attempt) }},
	) {
		r.need(n, "attempt", a.Order != "", "order", "order: O1")
	}
	return a
}

func (r *reader) answer(n *yaml.Node) Action {
	var a Answer
	if r.mapping(
		n, "answer",
		r.orderKey(&a.Order),
		field{"choice", func(v *yaml.Node) { a.Choice = r.word(v, "choice", []string{"amend", "wait", "cancel"}) }},
	) && r.need(n, "answer", a.Order != "", "order", "order: O1") {
		r.need(n, "answer", a.Choice != "", "choice", "choice: wait")
	}
	return a
}

func (r *reader) reconcile(n *yaml.Node) Action {
	var c Reconcile
	if isNull(r.follow(n)) {
		return c
	}
	r.mapping(
		n, "reconcile",
		r.orderKey(&c.Order),
		field{"dry_run", func(v *yaml.Node) { r.truth(v, "dry_run", &c.DryRun) }},
		field{"beside_schedule", func(v *yaml.Node) { r.truth(v, "beside_schedule", &c.BesideSchedule) }},
	)
	return c
}

var decisions = []string{"repair", "accept", "refund", "ship", "release", "cancel", "done_by_hand"}

func (r *reader) decide(n *yaml.Node) Action {
	d := Decide{Case: 1, By: "an operator"}
	if !r.mapping(
		n, "decide",
		r.orderKey(&d.Order),
		field{"case", func(v *yaml.Node) { r.count(v, "case", fromOne, &d.Case) }},
		field{"as", func(v *yaml.Node) { d.As = r.word(v, "as", decisions) }},
		field{"by", func(v *yaml.Node) { d.By = r.text(v, "by") }},
		field{"amount", func(v *yaml.Node) { d.Amount, _ = r.number(v, "amount", span{1, ofMoney.most}) }},
	) || !r.need(n, "decide", d.Order != "", "order", "order: O1") || !r.need(n, "decide", d.As != "", "as", "as: repair") {
		return d
	}
	if d.Amount > 0 && d.As != "refund" {
		r.add(n, "decide has an amount, but only a refund has one; leave it out, or decide as: refund")
	}
	return d
}
