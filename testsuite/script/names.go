package script

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// names are the orders and SKUs that a file speaks of, to be held against those
// that it has once it was read.
type names struct {
	orders, skus []named
}

type named struct {
	at   *yaml.Node
	name string
}

func (n *names) order(at *yaml.Node, name string) {
	if name != "" {
		n.orders = append(n.orders, named{at, name})
	}
}

func (n *names) sku(at *yaml.Node, name string) {
	if name != "" {
		n.skus = append(n.skus, named{at, name})
	}
}

// refer refuses what the file speaks of and does not have. A file whose orders
// or steps could not be read is not asked, for it may well have it.
func (r *reader) refer() {
	if len(r.problems) > 0 && r.file.Orders == nil {
		return
	}
	var known []string
	for _, o := range r.file.Orders {
		known = append(known, o.Name)
	}
	for _, n := range r.names.orders {
		if !slices.Contains(known, n.name) {
			r.add(n.at, "there is no order %s; put it under orders, or submit one `as` it; %s", short(n.name), choose(n.name, known))
		}
	}
	skus := r.file.skus()
	for _, n := range r.names.skus {
		if !slices.Contains(skus, n.name) {
			r.add(n.at, "there is no SKU %s; put it into world.stock or into an order; %s", short(n.name), choose(n.name, skus))
		}
	}
}
