// Package repair guards the last hop of a repair: a write that reconciliation
// asked for carries a numbered grant, and is refused here when the grant is for
// something else, when a switch stops its system or its kind, or when the
// switches cannot be read. Normal transitions carry no grant and pass.
package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Grant is the numbered permission for one repair, given by reconciliation out
// of its budgets. It is good for what it names and for nothing else.
type Grant struct {
	N       int64          `json:"n"`
	Expires time.Time      `json:"expires"`
	For     reconcile.Want `json:"for"`
	// Group is the number of the incident of which it is one of the first few.
	Group int `json:"group,omitempty"`
}

// Target is what a write changes: whose it is, and what it can put right.
type Target struct {
	System order.System
	// Kinds are what a repair by this write may be granted for; none where no rule
	// repairs by it.
	Kinds []reconcile.Kind
	Order order.ID
	// Key is the key of its intent, or of the record that it is about; empty where
	// the system knows none.
	Key string
	// SKU is set, and Order is not, for a level, which belongs to no order.
	SKU string
}

// Targeted is a request that says what it changes. Every one is: a write that did
// not could be sent under anybody's grant.
type Targeted interface{ Target() Target }

// Write is the input of an activity that changes a system.
type Write[R Targeted] struct {
	Request R `json:"request"`
	// Since is when the intent was first tried: a system's key window counts
	// from it.
	Since time.Time `json:"since"`
	// Grant is set when the write is a repair.
	Grant *Grant `json:"grant,omitempty"`
	// Rule is set when no person asked for the write and no run either: it is what a
	// repair of this kind would do. It needs no grant, and a switch stops it.
	Rule *reconcile.Kind `json:"rule,omitempty"`
}

// Stopped is a kind of repair that is stopped, and why.
type Stopped struct {
	Kind   reconcile.Kind
	Reason string
}

// Switches are the stop switches as this worker last read them. They only ever
// stop more: one that was read as stopped, or that was not read lately, stops.
type Switches struct {
	now func() time.Time

	mu      sync.Mutex
	read    time.Time
	stopped []Stopped
}

// Stale is how old a reading of the switches may be before this worker repairs
// nothing.
const Stale = 30 * time.Second

// NewSwitches returns switches that stop every repair until they are first set.
func NewSwitches(now func() time.Time) *Switches {
	return &Switches{now: now}
}

// Set takes a new reading.
func (s *Switches) Set(stopped []Stopped) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.stopped = s.now(), stopped
}

// Check returns nil when the write may go on: it is no repair, or its grant is
// alive and for what it changes, and no switch stops it.
func (s *Switches) Check(t Target, g *Grant) error {
	if g == nil {
		return nil
	}
	now := s.now()
	if why := t.unlike(g.For); why != "" {
		return stop(fmt.Sprintf("grant %d is for %s", g.N, why))
	}
	if now.After(g.Expires) {
		return stop(fmt.Sprintf("grant %d expired at %s", g.N, g.Expires.Format(time.RFC3339)))
	}
	read, err := s.stops(g.For.Kind)
	if now.Sub(read) > Stale {
		return stop("this worker cannot read the switches of reconciliation, so it repairs nothing")
	}
	return err
}

// Heed returns nil when what a rule does by itself may go on: no switch stops its
// kind, or an earlier attempt may have done it already. It is no repair, so that it
// does not wait while the switches cannot be read: what was read last counts.
func (s *Switches) Heed(ctx context.Context, rule *reconcile.Kind) error {
	if rule == nil || MayHaveBeen(ctx) {
		return nil
	}
	_, err := s.stops(*rule)
	return err
}

// stops returns when the switches were read, and a refusal when one stops a kind.
func (s *Switches) stops(kind reconcile.Kind) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stopped := range s.stopped {
		if stopped.Kind.Covers(kind) {
			return s.read, stop(fmt.Sprintf("%s is stopped: %s", stopped.Kind, stopped.Reason))
		}
	}
	return s.read, nil
}

// unlike says what a grant is for and the write is not, or nothing. A key of ours
// names its order too: a request that says one order and has the key of another
// is of neither.
func (t Target) unlike(w reconcile.Want) string {
	switch {
	case w.System != t.System || w.Field.System() != t.System:
		return fmt.Sprintf("%s, and not for a write to %s", w.Kind, t.System)
	case !slices.ContainsFunc(t.Kinds, func(k reconcile.Kind) bool { return k.Covers(w.Kind) }):
		return fmt.Sprintf("%s, and this write is for %s", w.Kind, cmp.Or(words(t.Kinds), "nothing that is repaired"))
	case t.SKU != "" && (w.Order != "" || w.Item != t.SKU):
		return fmt.Sprintf("%s, and not for the level of %s", w.Whose(), t.SKU)
	case t.SKU == "" && (w.Order != t.Order || w.Order == ""):
		return fmt.Sprintf("%s, and not for order %s", w.Whose(), t.Order)
	}
	if intent, ours := order.ParseKey(t.Key); ours && intent.Order != w.Order {
		return fmt.Sprintf("%s, and not for the key %s", w.Whose(), t.Key)
	}
	return ""
}

func words(kinds []reconcile.Kind) string {
	var all []string
	for _, k := range kinds {
		all = append(all, k.String())
	}
	return strings.Join(all, ", ")
}

// Mends returns the kinds of some fields, in whatever way they differ.
func Mends(fields ...reconcile.Field) []reconcile.Kind {
	var all []reconcile.Kind
	for _, f := range fields {
		all = append(all, reconcile.Kind{System: f.System(), Field: f})
	}
	return all
}

// The reasons of the error when a repair was stopped: before it was sent, or after
// an attempt that may have got through.
const (
	StoppedReason = "repair_stopped"
	doubtReason   = "repair_stopped_in_doubt"
)

// WasStopped says whether an error is that of a repair which was stopped here, and
// whether an earlier attempt of it may have got through.
func WasStopped(err error) (stopped, doubt bool) {
	reason := apierr.ReasonOf(err)
	return reason == StoppedReason || reason == doubtReason, reason == doubtReason
}

// stoppedInDoubt returns an error of the engine's by which a repair was stopped as
// one after an attempt that may have got through.
func stoppedInDoubt(err error) error {
	return temporal.NewApplicationErrorWithOptions(apierr.Message(err)+"; an earlier attempt may have got through", string(apierr.Declined), temporal.ApplicationErrorOptions{
		NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign, Details: []any{doubtReason},
	})
}

// stop is a refusal that had no effect and is not retried: the break stays and
// the next run asks for a new grant.
func stop(why string) error {
	return apierr.New(apierr.Declined, StoppedReason, errors.New(refused+why))
}

const refused = "repair refused: "

// Refused returns why a repair was stopped here, from the text of its error; false
// when it was not.
func Refused(text string) (why string, stopped bool) {
	_, why, stopped = strings.Cut(text, refused)
	return why, stopped
}
