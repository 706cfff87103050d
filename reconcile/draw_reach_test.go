package reconcile

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// TestDraw_ReachesEverything holds that the properties are not empty: what they
// draw reaches every member of the closed sets that the core decides by. The
// seeds are fixed, so it says the same each time.
func TestDraw_ReachesEverything(t *testing.T) {
	t.Parallel()
	reached := map[string]int{}
	reach := func(format string, args ...any) { reached[fmt.Sprintf(format, args...)]++ }
	lives := rapid.Custom(func(t *rapid.T) bool {
		i, w := drawLife(t)
		bases := drawBases(t, i, w)
		reachLife(reach, i, w)
		for range rapid.IntRange(1, 2).Draw(t, "edits") {
			if e, matters := drawEdit(t, i, w); matters {
				reach("edit %s", e.name)
			}
		}
		p := judged
		if one(t, 8) {
			p = p.WithMode(rapid.SampledFrom([]Mode{ModeAsk, ModeReport}).Draw(t, "mode"))
		}
		breaks := believed(i, p, w, bases, now)
		for _, s := range Plan(p, i, breaks, w.read(i.Order, now), bases) {
			reach("field %s", s.Break.Field)
			reach("situation %s", s.Break.Situation)
			reach("decision %s", s.Decision)
			if s.Decision == Repair {
				reach("repair %s", s.Operation)
			}
		}
		v := verdictOf(i, w)
		reach("outcome %s", v.Outcome)
		reach("agreement %s", v.Agreement)
		return true
	})
	for seed := range 4000 {
		lives.Example(seed)
	}
	for _, want := range everything() {
		if reached[want] == 0 {
			t.Errorf("never drawn: %s", want)
		}
	}
}

// reachLife says what an order and its world are made of.
func reachLife(reach func(format string, args ...any), i Intent, w *world) {
	decimals, _ := i.Currency.Decimals()
	reach("decimals %d", decimals)
	reach("phase %s", i.Phase)
	reach("payers %d", len(i.Attempts))
	reach("requests %d", len(i.Shipments))
	for _, e := range Expect(i, judged, now) {
		reach("need %s", e.Need)
	}
	for _, a := range w.payment.Attempts {
		reach("attempt %s", a.State)
		for _, r := range a.Refunds {
			reach("refund %s", r.State)
		}
		if a.Disputed > 0 {
			reach("dispute, lost %v", a.Lost > 0)
		}
		if a.Held > 0 && a.Captured > 0 {
			reach("captured in part")
		}
	}
	for _, s := range w.warehouse.Shipments {
		reach("shipment %s", s.State)
	}
	for _, r := range w.warehouse.Returns {
		reach("return %s", r.State)
	}
	for _, d := range slices.Concat(w.erp.Sales, w.erp.Invoices, w.erp.Receipts, w.erp.Credits) {
		reach("document %s", d.State)
	}
	for _, d := range w.crm.Deals {
		reach("deal %s", d.Stage)
	}
	for _, m := range w.mail.Messages {
		reach("mail %s", m.Template)
	}
}

// everything names what has to be drawn.
func everything() []string {
	all := []string{"dispute, lost true", "dispute, lost false", "captured in part", "refund succeeded", "refund failed"}
	for kind, names := range map[string][]string{
		"decimals":  {"0", "2", "3"},
		"payers":    {"0", "1", "2"},
		"requests":  {"0", "1", "2"},
		"need":      {string(Must), string(MustNot), string(AtLeast), string(Any)},
		"situation": {string(Missing), string(Unexpected), string(Mismatch), string(Duplicate), string(Conflict)},
		"decision":  {string(Repair), string(Adopt), string(Ask), string(Report)},
		"outcome":   {string(InProgress), string(Succeeded), string(Cancelled), string(Failed)},
		"agreement": {string(Agreed), string(Disagreeing)},
		"attempt":   {string(AttemptOpen), string(AttemptProcessing), string(AttemptAuthorized), string(AttemptCaptured), string(AttemptVoided)},
		"shipment": {string(ShipmentDraft), string(ShipmentRequested), string(ShipmentAssigned), string(ShipmentPicked), string(ShipmentPacked),
			string(ShipmentShipped), string(ShipmentDelivered), string(ShipmentCancelled)},
		"return":   {string(ReturnExpected), string(ReturnReceived), string(ReturnRestocked), string(ReturnCancelled)},
		"document": {string(DocumentPosted), string(DocumentCancelled)},
		"deal":     {string(DealOpen), string(DealWon), string(DealLost)},
		"repair": {string(order.Capture), string(order.Void), string(order.Refund), string(order.Reserve), string(order.Release), string(order.Commit),
			string(order.Request), string(order.Cancel), string(order.Return), string(order.Record), string(order.Invoice), string(order.Receipt),
			string(order.Credit), string(order.Upsert), string(order.Send)},
	} {
		for _, name := range names {
			all = append(all, kind+" "+name)
		}
	}
	for _, p := range phases() {
		all = append(all, "phase "+string(p))
	}
	for _, f := range Fields() {
		// A level belongs to no order, and how much shipped is judged shipment by
		// shipment.
		if f != InventoryLevel && f != WarehouseShipped && f != MailField(MailCancellation) {
			all = append(all, "field "+string(f))
		}
	}
	for _, template := range Templates() {
		all = append(all, "mail "+string(template))
	}
	for _, e := range edits() {
		switch e.name {
		case "shipment went on", "split by the warehouse", "return went on", "contact edited": // news, never a break
		default:
			all = append(all, "edit "+e.name)
		}
	}
	slices.Sort(all)
	return all
}
