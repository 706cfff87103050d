package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/announce"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Reader reads one system; it can change nothing, so that what only looks
// cannot touch. Every system's adapter is one.
type Reader interface {
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)
}

// Orders sends messages to the durable processes; the engine's client is one,
// and a simulated universe another.
type Orders interface {
	// Notify gives notices to their order. ErrUnknownOrder when there is none,
	// ErrRefused when they can never be given.
	Notify(ctx context.Context, n Notices) error
	// Keep puts a notice into the inbox of its record until its order appears.
	// ErrRefused when it can never be kept.
	Keep(ctx context.Context, of order.ID, n Notice) error
	// Confirm has an order look again, and repair what it has grants for.
	Confirm(ctx context.Context, of order.ID, c Confirmation) (Confirmed, error)
	// Rehearse asks an order what it would do; it changes nothing.
	Rehearse(ctx context.Context, of order.ID, r Rehearsal) (Rehearsed, error)
	// Align has the level of a SKU set from the warehouse's count.
	Align(ctx context.Context, sku string, change StockChange) (reconcile.Level, error)
}

// Keeper is the reconciliation workflow, and the visibility that lists orders.
type Keeper interface {
	Status(ctx context.Context) (Status, error)
	// Members are the orders of the incidents that are not over.
	Members(ctx context.Context) ([]Members, error)
	Grant(ctx context.Context, r GrantRequest) (Granted, error)
	// WouldGrant says what Grant would give at r.At, and takes nothing.
	WouldGrant(ctx context.Context, r GrantRequest) (Granted, error)
	Report(ctx context.Context, r RunReport) (RunReport, error)
	Intents(ctx context.Context, q IntentQuery) ([]Known, error)
}

// ErrUnknownOrder says that no workflow knows the order.
var ErrUnknownOrder = errors.New("unknown order")

// ErrRefused says that the engine takes a notice never, however often it is sent, or
// not before somebody has let its order's workflow go on.
var ErrRefused = errors.New("refused for good")

// RefusedReason is the type of the error of GiveNotices that no further attempt is made
// after: ErrRefused, as the engine carries it.
const RefusedReason = "refused_for_good"

// SystemReader is the reader of one system.
type SystemReader struct {
	System order.System
	Reader Reader
}

// Activities are what a reconciliation run does outside the orders.
type Activities struct {
	Readers []SystemReader
	Levels  inventory.Reader
	Counts  warehouse.Reader
	Orders  Orders
	Keeper  Keeper
	// Owner returns the order that a record belongs to, "" when none; nil where
	// no system can say.
	Owner func(ctx context.Context, system order.System, record string) (order.ID, error)
	// Days lists the orders of a day that is swept, as Sweeps say.
	Days   DayIntents
	Sweeps Sweeps
	// Planter plants breaks in the deal of the canary order; nil where the CRM's
	// adapter cannot.
	Planter Planter
	// Receiver is where cases are announced besides the log; nil: nowhere.
	Receiver *announce.Receiver
	Policy   reconcile.Policy
	// Thresholds say when many breaks are one incident.
	Thresholds reconcile.Thresholds
	// Since is the moment before which nothing is judged; of a zero one every order
	// that this engine has is.
	Since time.Time
	Now   func() time.Time
	Wait  func(ctx context.Context, d time.Duration) error
}

// CommitStock has the level of each SKU set, one after the other. The engine repeats
// what came of a change under its id, also that it failed for good, of a count that
// nobody has corrected yet: an attempt that hears so tells the next one, by a heartbeat,
// to ask under another id. One of which nobody knows what came is asked for again.
func (a *Activities) CommitStock(ctx context.Context, c StockCommit) error {
	failed := map[string]int{} // by SKU
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &failed); err != nil {
			return fmt.Errorf("commit of order %s: read the heartbeat: %w", c.Order, err)
		}
	}
	for _, q := range c.Goods {
		_, err := a.Orders.Align(ctx, q.SKU, StockChange{Key: c.Key, Quantity: q.Quantity, Attempt: c.attempt(failed[q.SKU])})
		if err == nil {
			continue
		}
		if over(err) {
			failed[q.SKU]++
			recordHeartbeat(ctx, failed)
		}
		return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("commit %s of order %s: %v", q.SKU, c.Order, err), "unavailable", temporal.ApplicationErrorOptions{})
	}
	return nil
}

// attempt names what comes after so many that failed for good.
func (c StockCommit) attempt(failed int) string {
	if failed == 0 {
		return c.Attempt
	}
	return strings.TrimSpace(fmt.Sprintf("%s again %d", c.Attempt, failed))
}

// over says that a change has failed and is not under way any more: it was the
// workflow that said so, and not the way there.
func over(err error) bool {
	if _, is := errors.AsType[*temporal.ActivityError](err); is {
		return true
	}
	_, is := errors.AsType[*temporal.ApplicationError](err)
	return is
}

// GiveNotices gives notices to their order, and says whether there is one. What
// named no order when it came may name one by now: a payment that was begun at
// the checkout gets our reference when its order adopts it. What is refused for good is
// not tried again: that would hold up who asks for as long.
func (a *Activities) GiveNotices(ctx context.Context, n Notices) (bool, error) {
	if n.Order == "" && len(n.Notices) > 0 && a.Owner != nil {
		owner, err := a.Owner(ctx, n.Notices[0].System, n.Notices[0].Record)
		if err != nil {
			return false, err
		}
		n.Order = owner
	}
	if n.Order == "" {
		return false, nil
	}
	err := a.Orders.Notify(ctx, n)
	switch {
	case errors.Is(err, ErrUnknownOrder):
		return false, nil
	case errors.Is(err, ErrRefused):
		return false, temporal.NewNonRetryableApplicationError(fmt.Sprintf("give notices to order %s: %v", n.Order, err), RefusedReason, nil)
	}
	return err == nil, err
}

// Follow asks to poll the change feeds of systems that announce nothing.
type Follow struct {
	Systems []order.System `json:"systems"`
	Cursors []Cursor       `json:"cursors,omitempty"`
	// Since is where a system without a cursor begins.
	Since time.Time     `json:"since"`
	Every time.Duration `json:"every"`
	Polls int           `json:"polls"`
}

// overlap is how far each poll reaches back behind the last one: a change is
// dated by the start of its transaction, and clocks differ.
const overlap = 30 * time.Second

// FollowChanges polls the feeds and gives what is new to the orders, all of one
// order's together, exactly as a webhook would. What names no known order waits
// in the inbox.
func (a *Activities) FollowChanges(ctx context.Context, f Follow) ([]Cursor, error) {
	cursors := f.Cursors
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &cursors); err != nil {
			return nil, fmt.Errorf("follow changes: read the heartbeat: %w", err)
		}
	}
	awake, end := untilStopped(ctx)
	defer end()
	for poll := range f.Polls {
		if poll > 0 {
			if err := a.Wait(awake, f.Every); err != nil {
				return cursors, nil
			}
		}
		var err error
		if cursors, err = a.poll(ctx, f, cursors); err != nil {
			return nil, err
		}
		recordHeartbeat(ctx, cursors)
	}
	return cursors, nil
}

// untilStopped ends with the activity, and already when its worker begins to
// stop: a deploy does not wait for the next poll.
func untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	awake, end := context.WithCancel(ctx)
	go func() {
		select {
		case <-activity.GetWorkerStopChannel(ctx):
			end()
		case <-awake.Done():
		}
	}()
	return awake, end
}

func (a *Activities) poll(ctx context.Context, f Follow, old []Cursor) ([]Cursor, error) {
	var cursors []Cursor
	var found findings
	var beat time.Time
	alive := func() { // after each call, for a poll may make many
		if now := a.Now(); now.Sub(beat) >= time.Second { // each one is encoded, sent or not
			beat = now
			recordHeartbeat(ctx, old)
		}
	}
	for _, system := range f.Systems {
		cursor := Cursor{System: system, Through: f.Since}
		for _, c := range old {
			if c.System == system {
				cursor = c
			}
		}
		found.began = append(found.began, cursor)
		err := withBeat(func() { recordHeartbeat(ctx, old) }, func() error { return a.pollSystem(ctx, &cursor, &found, alive) })
		if err != nil {
			activity.GetLogger(ctx).Warn("change feed could not be read; it is read again at the next poll", "system", system, "error", err)
		}
		cursors = append(cursors, cursor)
	}
	return a.giveAll(ctx, found, a.since(f.Since), cursors, alive)
}

// since returns the moment before which records of no order are not judged: what
// an operator has said, or when this engine's memory began.
func (a *Activities) since(memory time.Time) time.Time {
	if a.Since.IsZero() {
		return memory
	}
	return a.Since
}

// give gives notices to their order, or keeps them in the inbox, unless they are
// older than anything that is judged. One that is refused holds up no other.
func (a *Activities) give(ctx context.Context, n Notices, since time.Time) error {
	if n.Order != "" {
		err := a.Orders.Notify(ctx, n)
		if !errors.Is(err, ErrUnknownOrder) {
			return err
		}
	}
	var refused error
	for _, one := range n.Notices {
		if one.At.Before(since) {
			continue
		}
		if one.Record == "" {
			one.Record = "order-" + string(n.Order)
		}
		err := a.Orders.Keep(ctx, n.Order, one)
		switch {
		case errors.Is(err, ErrRefused):
			refused = errors.Join(refused, err)
		case err != nil:
			return err
		}
	}
	return refused
}

func (a *Activities) reader(system order.System) Reader {
	for _, r := range a.Readers {
		if r.System == system {
			return r.Reader
		}
	}
	return nil
}

// ReportRun gives the report to the reconciliation workflow.
func (a *Activities) ReportRun(ctx context.Context, r RunReport) (RunReport, error) {
	return a.Keeper.Report(ctx, r)
}

// Partly says in words why the run is not complete.
func (r RunReport) Partly() string {
	var why []string
	if len(r.Unread) > 0 {
		var names []string
		for _, system := range r.Unread {
			names = append(names, string(system))
		}
		why = append(why, strings.Join(names, ", ")+" could not be read, so this run verifies nothing")
	}
	if r.Truncated {
		why = append(why, "not all was compared, so this run verifies nothing")
	}
	if r.Behind {
		why = append(why, "it took "+r.window()+" and the next run goes on from "+r.nextFrom())
	}
	return strings.Join(why, "; ")
}

// Markdown is the report for the engine's UI. A workflow calls it, so it writes
// to no io.Writer: the checker cannot see what one does.
func (r RunReport) Markdown() string {
	mode := ""
	if r.DryRun {
		mode = " (dry run: nothing was changed)"
	}
	paragraphs := []string{
		fmt.Sprintf("Looked at **%d orders** and %d records%s: **%d found**, %d repaired, %d adopted, %d cases, %d left, %d settling.",
			r.Looked, r.Records, mode, r.Found, r.Repaired, r.Adopted, r.Cases, r.Left, r.Settling),
		"Stock: " + r.Stock.Text(r.Stock.Repaired) + ".",
	}
	if r.Swept != nil {
		paragraphs[1] = "It " + r.SweptText() + "."
	}
	if !r.Complete() {
		paragraphs = append(paragraphs, "**Partial**: "+r.Partly()+".")
	}
	verified := "Verified through " + r.VerifiedThrough.Format(time.RFC3339)
	if len(r.Exceptions) > 0 {
		verified += fmt.Sprintf(", but for %v", r.Exceptions)
	}
	text := strings.Join(append(paragraphs, verified), "\n\n") + ".\n"
	for _, line := range r.Lines {
		text += "\n- " + line
	}
	return text
}
