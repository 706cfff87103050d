package starters

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// startsLate is how long after its day an order may start and still be listed
// with it. One that starts later, because it was submitted late, adopted or
// re-opened, belongs to the day when it started: visibility knows when a run
// started and not when its order was placed. What starts before its day is swept
// for the first time is listed with it.
const startsLate = reconciliation.Day + 2*time.Hour

var _ reconciliation.DayIntents = (*Client)(nil)

// ofDay says whether a run that started so is listed with the day.
func ofDay(day, placed, started time.Time) bool {
	own := reconciliation.DayOf(placed)
	if placed.IsZero() { // it has not said yet
		own = reconciliation.DayOf(started)
	}
	if late := own.Add(reconciliation.Day + startsLate); !started.Before(late) {
		own = reconciliation.DayOf(started)
	}
	return own.Equal(day)
}

// dayQuery finds the runs that may be of the day, when they started at most so
// late: an order may be placed a little in our future, for clocks differ.
func dayQuery(day time.Time, late time.Duration) string {
	return fmt.Sprintf("WorkflowType = '%s' AND StartTime >= '%s' AND StartTime < '%s'",
		workflows.OrderType, day.Add(-order.ClockSkew).UTC().Format(time.RFC3339Nano), startedBefore(day, late))
}

// startedBefore is the moment before which a run starts that dayQuery finds.
func startedBefore(day time.Time, late time.Duration) string {
	return day.Add(reconciliation.Day + late).UTC().Format(time.RFC3339Nano)
}

// dayPage is how many runs one page of visibility has at most.
const dayPage = 1000

// counter counts instead of listing. Not every engine can, so it is no part of
// the port.
type counter interface {
	Count(ctx context.Context, query string) (int, error)
}

// CountDay implements reconciliation.DayIntents. It counts the runs that started
// on the day: nearly all of its orders, and few others.
func (c *Client) CountDay(ctx context.Context, day time.Time) (int, error) {
	if engine, ok := c.Engine.(counter); ok {
		return engine.Count(ctx, dayQuery(day, 0))
	}
	count := 0
	for page := []byte(nil); ; {
		listed, next, err := c.Engine.List(ctx, dayQuery(day, 0), dayPage, page)
		count += len(listed)
		if err != nil || len(next) == 0 {
			return count, err
		}
		page = next
	}
}

// DayIntents implements reconciliation.DayIntents over visibility. A run that is
// closed may have been followed by another one: one that started too late to be
// listed here is asked for by its id. Of one that is listed on another page who
// asks takes what changed last, or what came first.
func (c *Client) DayIntents(ctx context.Context, day time.Time, shard reconcile.Shard, page string) ([]reconciliation.Known, string, error) {
	token, err := base64.StdEncoding.DecodeString(page)
	if err != nil {
		return nil, "", fmt.Errorf("list the orders of %s: the page is none of ours: %w", day.Format(time.DateOnly), err)
	}
	listed, next, err := c.Engine.List(ctx, dayQuery(day, startsLate), dayPage, token)
	if err != nil {
		return nil, "", fmt.Errorf("list the orders of %s: %w", day.Format(time.DateOnly), err)
	}
	var here []Listed
	var closed []order.ID
	for _, l := range listed {
		id, ours := workflows.OrderOf(l.ID)
		if !ours || !shard.Has(id) || !ofDay(day, knownOf(id, l).Intent.PlacedAt, l.Started) {
			continue
		}
		here = append(here, l)
		if !l.Running {
			closed = append(closed, id)
		}
	}
	found, err := c.intentsByID(ctx, closed, fmt.Sprintf(" AND StartTime >= '%s'", startedBefore(day, startsLate)))
	if err != nil {
		return nil, "", fmt.Errorf("list the orders of %s: the latest runs of closed ones: %w", day.Format(time.DateOnly), err)
	}
	for _, l := range here { // before which the later ones come
		id, _ := workflows.OrderOf(l.ID)
		found.take(id, knownOf(id, l))
	}
	return found.known, base64.StdEncoding.EncodeToString(next), nil
}

// knownOf reads an order's intent from what visibility lists. One that has not
// come to rest yet has none: nothing can be compared, and nothing is verified.
func knownOf(id order.ID, l Listed) reconciliation.Known {
	var intent reconcile.Intent
	if l.DecodeMemo(workflows.IntentMemo, &intent) != nil {
		intent = reconcile.Intent{Order: id, Busy: order.Systems()}
	}
	var stakes workflows.Stakes
	_ = l.DecodeMemo(workflows.StakesMemo, &stakes) // one that has not said yet has none
	return reconciliation.Known{Intent: intent, Changed: l.Changed, Running: l.Running, Agreed: l.Agreement == string(reconcile.Agreed), Breaks: l.Breaks, Short: stakes.Short, Subject: reconcile.Subject{
		Order: intent.Order, PlacedAt: intent.PlacedAt, Currency: intent.Currency,
		Customer: intent.Customer, Cart: intent.CartID, Known: intent.Payments,
	}}
}

// Sweep starts the sweep of a sealed day, or joins the one that is under way,
// and waits for its report. A dry run never joins another.
func (c *Client) Sweep(ctx context.Context, in workflows.SweepInput) (reconciliation.RunReport, error) {
	id := workflows.SweepWorkflowID(in.Day)
	if in.DryRun {
		id = fmt.Sprintf("%s-dry-run-%d", id, c.Now().UnixNano())
	}
	var report reconciliation.RunReport
	err := c.Engine.Submit(ctx, Start{
		Type: workflows.SweepType, ID: id, Input: in, Summary: "compare every order of " + in.Day.Format(time.DateOnly) + " in every system",
	}, Message{}, nil)
	if err != nil {
		return report, err
	}
	return report, notSealed(c.Engine.Result(ctx, id, &report))
}

// notSealed tells a refusal from an error.
func notSealed(err error) error {
	for cause := err; ; {
		a, ok := errors.AsType[*temporal.ApplicationError](cause)
		if !ok {
			return err
		}
		if a.Type() == reconciliation.NotSealedReason {
			return fmt.Errorf("%w: %s", ErrNotNow, a.Message())
		}
		cause = errors.Unwrap(a)
	}
}

// EnsureSweeps makes sure that sealed days are swept. Every 0 schedules none, and ends
// what was scheduled.
func (c *Client) EnsureSweeps(ctx context.Context, every time.Duration) error {
	return c.Engine.Schedule(ctx, Schedule{
		ID: workflows.SweepsID, Type: workflows.SweepsType, Every: every,
		Note: "sweep the days that are sealed, those that have come to an age at which they are swept again, and what stayed partial",
	})
}
