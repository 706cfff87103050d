package workflows

import (
	"reflect"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A reading is as old as the moment when the order asked for it: the clock of the
// worker that read it, or of the system, may be behind, and decides nothing.
func TestTake_ReadByAClockThatIsBehind_CountsFromWhenItWasAsked(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	p := &process{State: &State{Order: order.Order{ID: "1", Currency: "EUR"}, Phase: order.PhaseAccepted}}
	read := func(at time.Time, version string) reconcile.Observation {
		return reconcile.Observation{System: order.SystemCRM, Order: "1", State: reconcile.Present, At: at, Strong: true, Version: version, CRM: &reconcile.CRM{}}
	}
	p.take(p.barrier(order.SystemCRM, now), read(now.Add(time.Second), "a"))
	asked := now.Add(time.Minute)
	p.take(p.barrier(order.SystemCRM, asked), read(now.Add(-time.Hour), "b"))
	if o := p.observed(order.SystemCRM); o.Version != "b" || o.At.Before(asked) {
		t.Errorf("what was read last is not what is known: %+v", o)
	}
}

// A reading that was asked for before a write of ours ended may not show it, also when
// both are of one moment: what the write itself read back stays known.
func TestTake_OurWriteEndsInTheMomentInWhichItWasAsked_IsNotTaken(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	refund := Operation{System: order.SystemPayment, Operation: order.Refund, N: 1, Status: Open}
	p := &process{State: &State{Order: order.Order{ID: "1", Currency: "EUR"}, Phase: order.PhaseCancelling, Operations: []Operation{refund}}}
	read := func(version string) reconcile.Observation {
		return reconcile.Observation{System: order.SystemPayment, Order: "1", State: reconcile.Present, At: now, Strong: true, Version: version, Payment: &reconcile.Payment{}}
	}
	before := p.barrier(order.SystemPayment, now)
	p.Operations[0].Status, p.Operations[0].Ended = Done, now
	p.take(before, read("before"))
	if o := p.observed(order.SystemPayment); o.Version == "before" {
		t.Errorf("a reading from before the write is what is known: %+v", o)
	}
	p.take(p.barrier(order.SystemPayment, now), read("after"))
	if o := p.observed(order.SystemPayment); o.Version != "after" {
		t.Errorf("a reading that was asked for after it is not taken: %+v", o)
	}
}

// What is to be read in any case is read, also when something was announced besides that
// is known by the time: the answer of our own call, which says nothing of the rest.
func TestHint_ToBeReadAndAnnounced_IsRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	holds := func(state reconcile.ShipmentState) reconcile.Observation {
		return reconcile.Observation{System: order.SystemWarehouse, Order: "1", State: reconcile.Present, At: now, Warehouse: &reconcile.Warehouse{
			Shipments: []reconcile.Shipment{{ID: "15", Key: "order/1/request/1", State: state}},
		}}
	}
	notice := reconciliation.Notice{ID: "feed/1", System: order.SystemWarehouse, At: now, Says: reconcile.Says(holds(reconcile.ShipmentCancelled))}
	told := func(p *process) { p.noticed(now, reconciliation.Notices{Notices: []reconciliation.Notice{notice}}) }
	split := func(p *process) { p.hint(order.SystemWarehouse, now.Add(time.Second)) }
	for name, c := range map[string]struct {
		events []func(*process)
		read   bool
	}{
		"announced":               {[]func(*process){told}, false},
		"to be read":              {[]func(*process){split}, true},
		"to be read, announced":   {[]func(*process){split, told}, true},
		"announced, to be read":   {[]func(*process){told, split}, true},
		"announced, and anew":     {[]func(*process){told, told}, false},
		"and announced once more": {[]func(*process){told, split, told}, true},
	} {
		p := &process{State: &State{Order: order.Order{ID: "1"}, Phase: order.PhaseAccepted, Observed: []reconcile.Observation{holds(reconcile.ShipmentRequested)}}}
		for _, happens := range c.events {
			happens(p)
		}
		p.Observed[0] = holds(reconcile.ShipmentCancelled) // by our own call
		if read := p.hinted(now).System == order.SystemWarehouse; read != c.read {
			t.Errorf("%s: read is %t", name, read)
		}
	}
}

// A reading that fails takes time, and what comes to pass meanwhile is not forgotten with
// it: the system is read again for all of it.
func TestPostpone_HintedAtMeanwhile_IsReadForBoth(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	then, end := now.Add(10*time.Second), now.Add(30*time.Second)
	plain := Hint{System: order.SystemPayment, At: now}
	sure := Hint{System: order.SystemPayment, At: then, Sure: then}
	told := Hint{System: order.SystemPayment, At: now, Sure: now, Says: []string{"a"}}
	later := Hint{System: order.SystemPayment, At: then, Sure: then, Says: []string{"a", "b"}}
	of := Hint{System: order.SystemMail, At: now}
	for name, c := range map[string]struct{ read, meanwhile, want Hint }{
		"nothing else":                  {plain, of, plain},
		"a refusal asked for a reading": {plain, sure, sure},
		"it was announced before":       {told, Hint{System: order.SystemPayment, At: then, Sure: now}, Hint{System: order.SystemPayment, At: then, Sure: now}},
		"more was announced":            {told, later, later},
		"an older one":                  {sure, plain, sure},
	} {
		p := &process{State: &State{Order: order.Order{ID: "1"}, Hints: []Hint{c.meanwhile}}}
		p.postpone(end, c.read)
		c.want.After, c.want.Wait = end.Add(5*time.Second), 5*time.Second
		got := p.Hints[len(p.Hints)-1]
		if !reflect.DeepEqual(got, c.want) || len(p.Hints) != 1 && c.meanwhile.System == order.SystemPayment {
			t.Errorf("%s: the hints are %+v, want %+v", name, p.Hints, c.want)
		}
	}
}

// What the gateway refused because of a dispute waits for its end, which is taken up when
// nothing else is under way there: until then nobody is told that it was refused.
func TestRefundAnswered_RefusedWhileAnotherIsUnderWay_NotYet(t *testing.T) {
	t.Parallel()
	refund := Operation{System: order.SystemPayment, Operation: order.Refund, N: 1, Status: Refused, Conflict: true}
	other := Operation{System: order.SystemPayment, Operation: order.Capture, N: 1, Status: Open}
	said := func(state reconcile.State) []reconcile.Observation {
		return []reconcile.Observation{{System: order.SystemPayment, State: state}}
	}
	for name, c := range map[string]struct {
		state State
		want  bool
	}{
		"nothing else":         {State{Operations: []Operation{refund}, Observed: said(reconcile.Present)}, true},
		"another is under way": {State{Operations: []Operation{refund, other}, Observed: said(reconcile.Present)}, false},
		"nothing can be read":  {State{Operations: []Operation{refund}, Observed: said(reconcile.Unreadable)}, false},
		"the gateway lost it":  {State{Operations: []Operation{refund}, Observed: said(reconcile.Absent)}, true},
		"it is to be read yet": {State{Operations: []Operation{refund}, Observed: said(reconcile.Present), Hints: []Hint{{System: order.SystemPayment, Sure: time.Unix(1, 0)}}}, false},
	} {
		p := &process{State: &c.state}
		if got := p.refundAnswered(1); got != c.want {
			t.Errorf("%s: answered is %t", name, got)
		}
	}
}
