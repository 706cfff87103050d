package reconcile

import (
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

func TestSays_SameRecordSameDigest_AnyChangeAnother(t *testing.T) {
	t.Parallel()
	shipment := Shipment{ID: "1", Key: "order/1/request/1", State: ShipmentRequested, Lines: []order.Quantity{{Line: 1, SKU: "A", Quantity: 2}}, Version: "v1"}
	says := func(s Shipment) string {
		return Says(Observation{Warehouse: &Warehouse{Shipments: []Shipment{s}}})[0]
	}
	later := shipment
	later.Version = "v2"
	if says(shipment) != says(later) {
		t.Error("the version alone is news")
	}
	for name, change := range map[string]func(s *Shipment){
		"state":    func(s *Shipment) { s.State = ShipmentShipped },
		"lines":    func(s *Shipment) { s.Lines = []order.Quantity{{Line: 1, SKU: "A", Quantity: 1}} },
		"tracking": func(s *Shipment) { s.Tracking = "X" },
		"lost":     func(s *Shipment) { s.LostAt = time.Unix(1, 0) },
		"address":  func(s *Shipment) { s.Address = "elsewhere" },
	} {
		changed := shipment
		changed.Lines = slices.Clone(shipment.Lines)
		change(&changed)
		if says(changed) == says(shipment) {
			t.Errorf("another %s says the same", name)
		}
	}
	if got := Says(Observation{Payment: &Payment{}}); got != nil {
		t.Errorf("a payment says %v", got)
	}
}
