package reconciliation

import (
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// What has left and was committed is not promised any more; a run that counted
// it as such would have inventory's level set too high.
func TestUncommitted_OfWhatHasLeftInPart(t *testing.T) {
	t.Parallel()
	of := func(n int64) []order.Quantity { return []order.Quantity{{Line: 1, SKU: "A", Quantity: n}} }
	shipment := func(s reconcile.ShipmentState, n int64) reconcile.ShipmentIntent {
		return reconcile.ShipmentIntent{State: s, Lines: of(n)}
	}
	for name, c := range map[string]struct {
		reserved  int64
		shipments []reconcile.ShipmentIntent
		want      int64
	}{
		"nothing has left":                        {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentRequested, 3)}, 0},
		"it is promised and not requested yet":    {3, nil, 0},
		"all has left, nothing is committed":      {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 3)}, 3},
		"all has left and is committed":           {0, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentDelivered, 3)}, 0},
		"a part has left and is not committed":    {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 1), shipment(reconcile.ShipmentRequested, 2)}, 1},
		"a part has left and is committed":        {2, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 1), shipment(reconcile.ShipmentRequested, 2)}, 0},
		"a part of what has left is committed":    {3, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 2), shipment(reconcile.ShipmentRequested, 2)}, 1},
		"more is promised than was ever asked of": {9, []reconcile.ShipmentIntent{shipment(reconcile.ShipmentShipped, 1)}, 1},
	} {
		i := reconcile.Intent{Shipments: c.shipments}
		if c.reserved > 0 {
			i.Reserved = of(c.reserved)
		}
		if got := uncommitted([]Known{{Intent: i}}, "A"); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if got := uncommitted([]Known{{Intent: i}}, "B"); got != 0 {
			t.Errorf("%s: %d of another SKU", name, got)
		}
	}
}
