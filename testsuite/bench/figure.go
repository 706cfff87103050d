package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// The figures, with their units.
const (
	submitToAgree        = "submit_to_agree_p50_ms"
	accepted             = "accepted_p50_ms"
	eventsUntilAgreed    = "events_until_agreed_max"
	sustained            = "sustained_orders_per_s"
	cpuEngine            = "engine_cpu_ms_per_order"
	cpuWorker            = "worker_cpu_ms_per_order"
	cpuSystems           = "systems_cpu_ms_per_order"
	cpuGateway           = "gateway_cpu_ms_per_order"
	diskPerOrder         = "disk_bytes_per_open_order"
	eventsUntilDelivered = "events_until_delivered_max"
	bytesUntilDelivered  = "bytes_until_delivered_max"
)

// figure is one measured number beside its floor; NaN stands for none.
type figure struct {
	name         string
	value, floor float64
	target       target
}

// target is what a figure must not be above, or with atLeast below: itself, or
// its ratio to the floor. The zero target is met by everything.
type target struct {
	limit   float64
	ratio   bool
	atLeast bool
}

func (f figure) ratio() float64 {
	if f.floor == 0 {
		return math.NaN()
	}
	return f.value / f.floor
}

func (f figure) ok() bool {
	if f.target.limit == 0 {
		return true
	}
	measured := f.value
	if f.target.ratio {
		measured = f.ratio()
	}
	if f.target.atLeast {
		return measured >= f.target.limit
	}
	return measured <= f.target.limit
}

func (f figure) String() string {
	return fmt.Sprintf("bench: %s value=%s floor=%s ratio=%s target=%s ok=%t",
		f.name, number(f.value), number(f.floor), number(f.ratio()), f.target, f.ok())
}

func (t target) String() string {
	if t.limit == 0 {
		return "-"
	}
	what, sign := "value", "<="
	if t.ratio {
		what = "ratio"
	}
	if t.atLeast {
		sign = ">="
	}
	return what + sign + number(t.limit)
}

func number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "-"
	case math.Abs(x) >= 1000 || x == math.Trunc(x):
		return fmt.Sprintf("%.0f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// median of durations, in milliseconds.
func median(all []time.Duration) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(all))
	middle := sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		middle = (middle + sorted[len(sorted)/2-1]) / 2
	}
	return middle.Seconds() * 1000
}

// rate is how many came to an end per second while all places were taken: the
// start, when they fill, and the end, when they empty, are left out.
func rate(ends []time.Time, parallel int) float64 {
	sorted := slices.SortedFunc(slices.Values(ends), time.Time.Compare)
	if len(sorted) < 2*parallel+2 {
		parallel = 0
	}
	inner := sorted[parallel : len(sorted)-parallel]
	took := inner[len(inner)-1].Sub(inner[0])
	if took <= 0 {
		return math.NaN()
	}
	return float64(len(inner)-1) / took.Seconds()
}
