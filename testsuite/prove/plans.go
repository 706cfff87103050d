package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/play"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// plan is one story to be played: a scenario, and what goes wrong in it.
type plan struct {
	scenario *script.File
	blows    []play.Blow
	events   []script.Step // notifications that come beside those that systems send
	seed     uint64
}

func (p plan) String() string {
	parts := []string{p.scenario.ID}
	for _, b := range p.blows {
		parts = append(parts, b.String())
	}
	for _, s := range p.events {
		if e, ok := s.Do.(script.Event); ok {
			parts = append(parts, fmt.Sprintf("%d x %s at %s", e.Copies, e.Type, *s.At))
		}
	}
	if p.seed != 1 {
		parts = append(parts, fmt.Sprintf("seed %d", p.seed))
	}
	return strings.Join(parts, ", ")
}

// lawful says that the plan has a fault after which the story may end otherwise
// than the scenario says: refused for good, gone, done for another amount, or in
// the place of the scenario's own. The laws hold all the same, and somebody must
// be told.
func (p plan) lawful() bool {
	return slices.ContainsFunc(p.blows, func(b play.Blow) bool {
		return slices.Contains([]simulator.FaultKind{simulator.Rejected, simulator.Vanishes, simulator.Partial}, b.Kind) ||
			slices.ContainsFunc(p.scenario.Steps, func(s script.Step) bool {
				own, is := s.Do.(script.Fault)
				return is && own.System == b.Call.System && own.Operation == b.Call.Operation
			})
	})
}

// The faults that a call can suffer: of a write, and of a read.
var (
	ofWrites = []simulator.FaultKind{
		simulator.Refused, simulator.Unavailable, simulator.ResponseLost, simulator.ResponseError, simulator.RateLimited,
		simulator.Late, simulator.Rejected, simulator.Garbage, simulator.Twice, simulator.Vanishes, simulator.Partial,
		simulator.Unauthorized, simulator.ReplaysError, simulator.Foreign, play.DiesBefore, play.DiesAfter,
	}
	ofReads = []simulator.FaultKind{
		simulator.Refused, simulator.Unavailable, simulator.ResponseLost, simulator.RateLimited, simulator.Late,
		simulator.Garbage, simulator.Stale, simulator.Unauthorized, simulator.NotListed, simulator.EmptyList, simulator.Foreign,
	}
)

// kinds are the faults that a call can suffer. Nobody can take a mail back that
// a middlebox delivered twice.
func kinds(c play.Call) []simulator.FaultKind {
	switch {
	case isRead(c):
		return ofReads
	case c.Operation == order.Send:
		return slices.DeleteFunc(slices.Clone(ofWrites), func(k simulator.FaultKind) bool { return k == simulator.Twice })
	}
	return ofWrites
}

// delays of the kinds that have one: an effect lands after the client has asked
// again, and a read is an hour old.
func delay(k simulator.FaultKind) time.Duration {
	switch k {
	case simulator.Late:
		return 20 * time.Second
	case simulator.Stale:
		return time.Hour
	default:
		return 0
	}
}

// reads is how many of the equal reads of a story are disturbed: the first ones.
// The feeds and the runs of reconciliation read the same again and again.
const reads = 2

// sites are the calls that are disturbed: every write, and of equal reads the
// first.
func sites(calls []play.Seen) []play.Seen {
	return slices.DeleteFunc(slices.Clone(calls), func(c play.Seen) bool { return isRead(c.Call) && c.N > reads })
}

func isRead(c play.Call) bool {
	return slices.Contains([]order.Operation{"lookup", "list", "count", "login", "get_preferences"}, c.Operation)
}

// singles are all plans in which one call of an undisturbed story suffers one
// fault.
func singles(f *script.File, calls []play.Seen) []plan {
	var all []plan
	for _, c := range sites(calls) {
		for _, k := range kinds(c.Call) {
			all = append(all, plan{scenario: f, seed: 1, blows: []play.Blow{{Call: c.Call, Kind: k, Delay: delay(k)}}})
		}
	}
	return all
}

// pairs are all plans in which, after the fault of a single plan, one of the
// calls that then followed suffers another one: also those which only the first
// fault caused.
func pairs(single plan, calls []play.Seen) []plan {
	first := single.blows[0]
	from := slices.IndexFunc(calls, func(c play.Seen) bool { return c.Call == first.Call })
	if from < 0 {
		return nil
	}
	var all []plan
	for _, c := range sites(calls[from+1:]) {
		for _, k := range kinds(c.Call) {
			all = append(all, plan{
				scenario: single.scenario, seed: 1,
				blows: []play.Blow{first, {Call: c.Call, Kind: k, Delay: delay(k)}},
			})
		}
	}
	return all
}

// notices are notifications that change no record, whenever they come.
var notices = []string{"payment.authorized", "payment.captured", "payment.failed", "payment.expired"}

// callbacks is a plan in which one to three notifications come at moments of the
// story at which the systems were asked something, each up to three times.
func callbacks(f *script.File, calls []play.Seen, random *rand.Rand) plan {
	p := plan{scenario: f, seed: 1 + random.Uint64N(1_000)}
	for range 1 + random.IntN(3) {
		at := calls[random.IntN(len(calls))].Age.Truncate(time.Second) + time.Duration(random.IntN(3)-1)*time.Second
		at = max(at, time.Second)
		p.events = append(p.events, script.Step{At: &at, Do: script.Event{
			From: order.SystemPayment, Type: notices[random.IntN(len(notices))], Order: "O1", Copies: 1 + random.IntN(3),
		}})
	}
	return p
}

// seeded is a plan in which nothing goes wrong and everything that happens at
// one moment happens in another order.
func seeded(f *script.File, seed uint64) plan { return plan{scenario: f, seed: seed} }

// file is the scenario with the plan's own notifications among its steps; where
// it may end otherwise no outcome is forbidden.
func (p plan) file(lawful bool) *script.File {
	f := *p.scenario
	if lawful {
		f.Expect.Orders = slices.Clone(f.Expect.Orders)
		for i := range f.Expect.Orders {
			f.Expect.Orders[i].Never = nil
		}
	}
	f.Steps = slices.Clone(f.Steps)
	for _, e := range p.events {
		i := 0
		for i < len(f.Steps) && when(f.Steps, i) <= *e.At {
			i++
		}
		if i < len(f.Steps) && f.Steps[i].At == nil { // its moment stays that of the one before it
			at := when(f.Steps, i)
			f.Steps[i].At = &at
		}
		f.Steps = slices.Insert(f.Steps, i, e)
	}
	return &f
}

// when is when step i happens.
func when(steps []script.Step, i int) time.Duration {
	for ; i >= 0; i-- {
		if steps[i].At != nil {
			return *steps[i].At
		}
	}
	return 0
}

// play plays the plan. Where its faults leave no room for what the scenario itself
// brings, as a review of a payment that is not there yet, it is held against the
// laws alone.
func (p plan) play(story io.Writer) play.Result {
	o := play.Options{Seed: p.seed, Lawful: p.lawful(), Quick: true, Story: story}
	once := func() play.Result {
		o.Blows = slices.Clone(p.blows)
		return play.Play(p.file(o.Lawful), o)
	}
	r := once()
	if len(r.Moot) > 0 && !o.Lawful {
		o.Lawful = true
		r = once()
	}
	return r
}
