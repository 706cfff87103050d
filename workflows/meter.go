package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// meter tells the metrics what becomes of breaks; a zero one nobody, as where a
// query only asks.
type meter struct {
	timer   func(name string, system order.System, took time.Duration)
	counter func(name string, b reconcile.Break)
}

// metered returns a meter that is silent while a history is replayed.
func metered(ctx workflow.Context) meter {
	metrics := workflow.GetMetricsHandler(ctx)
	return meter{
		timer: func(name string, system order.System, took time.Duration) {
			metrics.WithTags(map[string]string{"system": string(system)}).Timer(name).Record(took)
		},
		counter: func(name string, b reconcile.Break) {
			metrics.WithTags(map[string]string{"system": string(b.System), "field": string(b.Field)}).Counter(name).Inc(1)
		},
	}
}

// measured says how long something about a break took.
func (m meter) measured(name string, system order.System, took time.Duration) {
	if m.timer != nil {
		m.timer(name, system, took)
	}
}

// late counts a break that was noticed too late.
func (m meter) late(b reconcile.Break) {
	if m.counter != nil {
		m.counter(LateMetric, b)
	}
}

// noticeGrace is what a run that begins in time may take beyond the notice-within
// time of a field.
const noticeGrace = 5 * time.Minute

// noticedLate says by how much a break was noticed later than its field allows;
// nothing when it was noticed in time, or when nothing bounds since when it was there.
func noticedLate(policy reconcile.Policy, b reconcile.Break) string {
	within := policy.Rule(b.Field).NoticeWithin
	took, bounded := b.Detection()
	if !bounded || took <= within+noticeGrace {
		return ""
	}
	return fmt.Sprintf("noticed late: up to %s after both last agreed, %s longer than its notice_within of %s",
		took.Round(time.Second), (took - within).Round(time.Second), within)
}
