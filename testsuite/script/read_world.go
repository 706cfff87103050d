package script

import (
	"maps"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

const defaultQuiet = 48 * time.Hour

// baseline is the world of a file that says nothing of it.
func baseline() World {
	return World{
		Stock: map[string]int{"A": 10, "B": 3}, PayWindow: 30 * time.Minute, AuthorizationTTL: 168 * time.Hour, KeyWindow: 24 * time.Hour,
		ReturnWindow: 720 * time.Hour, Retention: 720 * time.Hour, Horizon: 336 * time.Hour,
		FollowEvery: 15 * time.Second, ReconcileEvery: 15 * time.Minute,
	}
}

func (r *reader) world(n *yaml.Node) {
	r.file.World = baseline()
	w := &r.file.World
	if n == nil || isNull(r.follow(n)) {
		return
	}
	lasts := func(name string, d *time.Duration, in lasting) field {
		return field{name, func(v *yaml.Node) { r.duration(v, name, d, in) }}
	}
	r.mapping(
		n, "world",
		field{"stock", r.stock},
		lasts("pay_window", &w.PayWindow, forSomeTime),
		lasts("reservation_ttl", &w.ReservationTTL, forAnyTime),
		lasts("authorization_ttl", &w.AuthorizationTTL, forSomeTime),
		lasts("key_window", &w.KeyWindow, forAnyTime),
		lasts("refund_settles", &w.RefundSettles, forAnyTime),
		lasts("return_window", &w.ReturnWindow, forAnyTime),
		lasts("retention", &w.Retention, forSomeTime),
		lasts("horizon", &w.Horizon, forSomeTime),
		lasts("follow_every", &w.FollowEvery, forSomeTime),
		field{"reconcile_every", func(v *yaml.Node) {
			if r.follow(v).Value == "off" {
				w.ReconcileEvery = 0
				return
			}
			r.duration(v, "reconcile_every", &w.ReconcileEvery, forSomeTime)
		}},
		field{"policy", r.policy},
	)
}

// stock overrides the baseline's SKU by SKU: of the others there is as much as
// without it.
func (r *reader) stock(n *yaml.Node) {
	all, _ := r.pairs(n, "stock")
	for _, p := range all {
		sku := r.name(p.key, "a SKU in stock")
		if on, ok := r.number(p.value, "stock of "+p.key.Value, ofPieces); ok && sku != "" {
			r.file.World.Stock[sku] = int(on)
		}
	}
}

// policy keeps the overrides as they are written; the policy's own reader judges
// them when the file is played.
func (r *reader) policy(n *yaml.Node) {
	v := r.follow(n)
	if isNull(v) || v.Kind == yaml.MappingNode && len(v.Content) == 0 {
		return
	}
	if v.Kind != yaml.MappingNode {
		r.add(n, "policy is %s; want a mapping in the policy file's own form", shown(v))
		return
	}
	written := r.written(v)
	if len(r.problems) > 0 {
		return
	}
	text, err := yaml.Marshal(written)
	if err != nil {
		r.add(n, "policy cannot be read: %s", err)
		return
	}
	var again yaml.Node
	if err := yaml.Unmarshal(text, &again); err != nil {
		r.add(n, "policy cannot be read: %s", err)
		return
	}
	r.file.World.Policy, r.file.World.PolicyLines = string(text), map[int]int{}
	if len(again.Content) == 1 {
		lines(again.Content[0], written, r.file.World.PolicyLines)
	}
}

// lines notes from which lines of one tree those of its copy come.
func lines(of, from *yaml.Node, into map[int]int) {
	if _, known := into[of.Line]; !known {
		into[of.Line] = from.Line
	}
	for i := range min(len(of.Content), len(from.Content)) {
		lines(of.Content[i], from.Content[i], into)
	}
}

// written is a value with its aliases and merges written out, without comments.
func (r *reader) written(n *yaml.Node) *yaml.Node {
	v := r.follow(n)
	out := &yaml.Node{Kind: v.Kind, Tag: v.Tag, Value: v.Value, Style: v.Style, Line: v.Line}
	switch v.Kind {
	case yaml.MappingNode:
		all, _ := r.pairs(v, "policy")
		for _, p := range all {
			out.Content = append(out.Content, r.written(p.key), r.written(p.value))
		}
	case yaml.SequenceNode:
		for _, one := range v.Content {
			out.Content = append(out.Content, r.written(one))
		}
	default: // a scalar is all there is of it
	}
	return out
}

// skus are those that the file has, in stock or in an order.
func (f *File) skus() []string {
	all := map[string]bool{}
	for sku := range f.World.Stock {
		all[sku] = true
	}
	note := func(o Order) {
		for _, l := range o.Lines {
			all[l.SKU] = true
		}
	}
	for _, o := range f.Orders {
		note(o)
	}
	for _, s := range f.Steps {
		if submit, is := s.Do.(Submit); is && submit.Change != nil {
			note(*submit.Change)
		}
	}
	return slices.Sorted(maps.Keys(all))
}
