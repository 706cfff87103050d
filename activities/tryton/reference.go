package tryton

import (
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// References are the keys of our intents. They are searched with LIKE, in which
// an underscore of an order's id stands for any character, and Tryton's SQLite
// knows no escape: so more is found than asked for, and sorted out here.

// Pattern returns the LIKE pattern that finds every reference of an order, of
// one operation unless it is empty.
func Pattern(id order.ID, operation order.Operation) string {
	if operation == "" {
		return "order/" + string(id) + "/%"
	}
	return "order/" + string(id) + "/" + string(operation) + "/%"
}

// Belongs says whether a reference that was found with the pattern is one of
// the order's (ours), and if not, whether the search had to find it (excusable):
// any other is an answer about somebody else's order.
func Belongs(reference string, id order.ID) (ours, excusable bool) {
	prefix := "order/" + string(id) + "/"
	if strings.HasPrefix(reference, prefix) {
		return true, true
	}
	if len(reference) < len(prefix) {
		return false, false
	}
	for i := range len(prefix) {
		if prefix[i] != '_' && prefix[i] != reference[i] {
			return false, false
		}
	}
	return false, true
}

// Patterns returns the domain that finds every reference of these orders in a
// field, of one operation unless it is empty.
func Patterns(field string, subjects []reconcile.Subject, operation order.Operation) Domain {
	all := Domain{"OR"}
	for _, s := range subjects {
		all = append(all, []any{field, "like", Pattern(s.Order, operation)})
	}
	return all
}

// BelongsToOne is Belongs for a reference that was found with Patterns: it also
// says to which of the orders it belongs.
func BelongsToOne(reference string, subjects []reconcile.Subject) (id order.ID, ours, excusable bool) {
	for _, s := range subjects {
		mine, found := Belongs(reference, s.Order)
		if mine {
			return s.Order, true, true
		}
		excusable = excusable || found
	}
	return "", false, excusable
}

// Told returns what may be told of a reference that is none of ours: what a
// person typed may be about a person.
func Told(reference string) string {
	switch {
	case reference == "":
		return "without a reference"
	case strings.HasPrefix(reference, "order/"):
		return fmt.Sprintf("with the reference %q", reference)
	}
	return "with a reference that is not ours"
}
