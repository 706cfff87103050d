package workflows_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// An order whose ERP was down and whose deal somebody changed: the story names
// what was asked, each operation with its key and what came of it, what was
// announced, the break's clock and who decided, in order of time and without
// personal data.
func TestExplain_TellsTheWholeStory(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{ReconcileEvery: 20 * time.Minute, Policy: "mode: ask\nreturn_window: 240h\n"})
		w.inject(w.ERP, simulator.Fault{Operation: "*", Kind: simulator.Unavailable, Times: -1})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "the ERP comes back", func() { w.ERP.Frame().Clear("*") })
		w.At(6*time.Hour+time.Minute, "somebody loses the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.At(7*time.Hour, "decided", func() { w.decide("1", 1, workflows.DecideRepair) })
		var e workflows.Explanation
		w.At(8*time.Hour, "asked why", func() {
			var err error
			e, err = w.Client.Explain(t.Context(), "1")
			w.Check(err)
		})
		w.Run(9 * time.Hour)
		if !slices.IsSortedFunc(e.Story, func(a, b workflows.Told) int { return a.At.Compare(b.At) }) {
			t.Error("the story is not in order of time")
		}
		var told strings.Builder
		for _, one := range e.Story {
			told.WriteString(string(one.Kind) + " " + one.What + "\n")
		}
		at := 0
		for _, want := range []string{ // in this order, whatever is between
			"order placed through shop: 99.80 EUR",
			"operation payment authorize 99.80 EUR, under order/1/authorize/1",
			"operation order/1/authorize/1 done",
			"operation order/1/record/1 is not through yet: ",
			"operation order/1/record/1 done after ",
			"notice crm announced deal.propertyChange",
			"break crm.deal.mismatch first seen: crm says \"lost\", expected is \"won\", and order is right; they last agreed ",
			"break crm.deal.mismatch confirmed",
			"case case 1 (crm.deal.mismatch) opened: ",
			"order decide 1 asked by test (unverified): why not",
			"break crm.deal.mismatch over",
			"case case 1 closed: decided: repair by test (unverified): why not",
		} {
			i := strings.Index(told.String()[at:], want)
			if i < 0 {
				t.Fatalf("%q is missing, or too early, in\n%s", want, told.String())
			}
			at += i
		}
		if n := strings.Count(told.String(), "order/1/record/1 done"); n != 1 {
			t.Errorf("the record is told %d times", n)
		}
		if i := slices.IndexFunc(e.Operations, func(op workflows.Explained) bool { return op.Operation.Operation == order.Record }); i < 0 ||
			e.Operations[i].Key != "order/1/record/1" || e.Operations[i].Tries < 3 || e.Operations[i].Status != workflows.Done {
			t.Errorf("the operations are %+v", e.Operations)
		}
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, personal := range []string{"example.com", "Lovelace", "Main St", "Paris"} {
			if strings.Contains(string(data), personal) {
				t.Errorf("the story says %q:\n%s", personal, data)
			}
		}
	})
}
