package workflows

import (
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
)

// cover takes a sweep in: which day is compared, but for which orders. A run
// that swept nothing changes nothing here.
func (k *keeper) cover(r reconciliation.RunReport, now time.Time) {
	if r.Swept != nil && !r.DryRun {
		k.Status.Coverage.Add(*r.Swept, r.Complete(), k.Status.Since, now)
	}
}
