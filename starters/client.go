package starters

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// Client has every message of an order. It is safe for use by many goroutines.
type Client struct {
	Engine Engine
	// Now is the one clock outside workflows.
	Now func() time.Time

	mu     sync.Mutex
	memory memory
}

// memory is what an engine last said of its own.
type memory struct {
	since time.Time // when it began
	asked time.Time // when that was said
	// chain is the chain of runs of the reconciliation that said so; empty when there was
	// none, or nobody knows.
	chain string
}

// What a client says.
var (
	// ErrAnotherOrder: another order is known under this id.
	ErrAnotherOrder = errors.New("another order is known under this id")
	// ErrUnknownOrder: no workflow knows the order.
	ErrUnknownOrder = reconciliation.ErrUnknownOrder
	// ErrNotNow: the order's phase, or how things stand, does not allow it; the text
	// says what would.
	ErrNotNow = errors.New("not now")
	// ErrNotValid: it would be refused in any phase. It comes as an *InvalidError,
	// which names what is wrong.
	ErrNotValid = errors.New("not valid")
)

// Submit hands an order over: once it returns without an error, or with
// ErrNotAnswered, the order is durable. The same order again gets the same
// answer; another order under the same id is ErrAnotherOrder; an order that is
// not valid is an *order.InvalidError and nothing was started.
func (c *Client) Submit(ctx context.Context, o order.Order) (workflows.Submitted, error) {
	if err := o.Validate(c.Now()); err != nil {
		return workflows.Submitted{}, err
	}
	o = o.Normalize()
	input := workflows.OrderInput{Order: o, Fingerprint: o.Fingerprint(), EngineSince: c.engineSince(ctx)}
	start := Start{
		Type: workflows.OrderType, ID: workflows.OrderWorkflowID(o.ID), Input: input, Reject: true, Fingerprint: input.Fingerprint,
		Summary: fmt.Sprintf("%s · %d lines · %s", order.Amount{Minor: o.Total, Currency: o.Currency}, len(o.Lines), o.Channel),
		Details: details(o),
		Outcome: string(reconcile.InProgress), Agreement: string(reconcile.AgreeSettle),
	}
	message := Message{Name: workflows.SubmitUpdate, ID: "submit-" + input.Fingerprint, Argument: workflows.Submit{Fingerprint: input.Fingerprint}}
	var answer workflows.Submitted
	err := whileItOpens(func() (err error) {
		answer, err = c.submit(ctx, o.ID, start, message)
		return err
	})
	return answer, err
}

// submit hands an order over once.
func (c *Client) submit(ctx context.Context, id order.ID, start Start, m Message) (workflows.Submitted, error) {
	answer := workflows.Submitted{Order: id, Phase: order.PhaseReceived, Outcome: reconcile.InProgress}
	err := c.Engine.Submit(ctx, start, m, &answer)
	if errors.Is(err, ErrClosed) {
		return c.known(ctx, id, start.Fingerprint)
	}
	if err == nil && mayBeOver(answer) {
		return c.submittedNow(ctx, id, m)
	}
	return answer, c.say(id, err)
}

// mayBeOver says whether an answer to a submission is of a moment that passes:
// the engine answers a repeated one as it did the first time, and whoever has
// paid meanwhile must not be sent to pay again.
func mayBeOver(a workflows.Submitted) bool {
	return a.Next != nil || a.Declined != "" || a.Question != nil || !a.Phase.PastPivot() && !a.Phase.Ended()
}

// submittedNow asks once more, under an id of its own, what became of a
// submission. When it is not answered in time, the older answer is none either.
func (c *Client) submittedNow(ctx context.Context, id order.ID, m Message) (workflows.Submitted, error) {
	var answer workflows.Submitted
	m.ID = fmt.Sprintf("%s-%d", m.ID, c.Now().UnixNano())
	err := c.Engine.Message(ctx, workflows.OrderWorkflowID(id), m, &answer)
	if errors.Is(err, ErrClosed) {
		asked, _ := m.Argument.(workflows.Submit)
		return c.known(ctx, id, asked.Fingerprint)
	}
	return answer, c.say(id, err)
}

// details tells what was ordered, for who opens the workflow in the engine's UI:
// without personal data.
func details(o order.Order) string {
	var b strings.Builder
	b.WriteString("Placed " + o.PlacedAt.Format(time.RFC3339) + ", paid " + string(o.Payment.Capture) + ".\n")
	for i, l := range o.Lines {
		if i == 10 {
			b.WriteString("\n- and " + strconv.Itoa(len(o.Lines)-i) + " more lines")
			break
		}
		b.WriteString("\n- " + strconv.FormatInt(l.Quantity, 10) + " × " + l.SKU + " at " + order.FormatMinor(l.UnitPrice, o.Currency))
	}
	return b.String() + "\n\nWhere it stands is under *Current Details*."
}

// known answers a submission of an order whose last run is closed, from what
// that run returned.
func (c *Client) known(ctx context.Context, id order.ID, fingerprint string) (workflows.Submitted, error) {
	state, err := c.left(ctx, id)
	if err != nil {
		return workflows.Submitted{}, err
	}
	if state.Fingerprint != fingerprint {
		return workflows.Submitted{}, fmt.Errorf("submit order %s: %w; send it under an id of its own", id, ErrAnotherOrder)
	}
	v, err := c.Verdict(ctx, id, false)
	return workflows.Submitted{Order: id, Phase: state.Phase, Outcome: v.Outcome, Why: state.Failed}, err
}

// leftWithin is how long the engine takes at most to say what a closed run has left. Of
// one that is open it says so when that closes, which may be in weeks.
const leftWithin = 5 * time.Second

// errRunsAgain: an order was closed, and what its run left did not come: somebody else
// has re-opened it in the same moment, so that it takes messages again.
var errRunsAgain = errors.New("it was closed and seems to have been re-opened in the same moment, or the engine is slow; send the same again")

// left is the state that the last run of a closed order has left to go on from. ErrStopped
// when it left none, and errRunsAgain when it is not the last one any more.
func (c *Client) left(ctx context.Context, id order.ID) (workflows.State, error) {
	var state workflows.State
	bounded, cancel := context.WithTimeout(ctx, leftWithin)
	defer cancel()
	err := c.Engine.Result(bounded, workflows.OrderWorkflowID(id), &state)
	switch {
	case errors.Is(err, ErrNoResult):
		err = fmt.Errorf("%w %s: %w", ErrStopped, workflows.OrderWorkflowID(id), err)
	case (waitedInVain(err) || errors.Is(err, ErrNotAnswered)) && endsBefore(bounded, ctx):
		// How it waited in vain is left out: nothing was sent yet that could be durable.
		err = fmt.Errorf("what the last run of order %s left did not come within %s: %w", id, leftWithin, errRunsAgain)
	}
	return state, err
}

// endsBefore says that a wait ended by its own limit, and not by that of whoever waits. The
// engine says that time is over a moment before it is, so the limits are compared.
func endsBefore(bounded, whole context.Context) bool {
	own, _ := bounded.Deadline()
	until, has := whole.Deadline()
	return whole.Err() == nil && (!has || own.Before(until))
}

// mostAgain is how often a message is sent again to an order that is re-opened just then.
const mostAgain = 2

// whileItOpens sends something to an order, and again when it was closed and runs again.
func whileItOpens(send func() error) error {
	err := send()
	for n := 0; n < mostAgain && errors.Is(err, errRunsAgain); n++ {
		err = send()
	}
	return err
}

// Verdict answers whether the order succeeded, with the proof. Fresh reads all
// six systems now; else it is made from memory.
func (c *Client) Verdict(ctx context.Context, id order.ID, fresh bool) (reconcile.Verdict, error) {
	var v reconcile.Verdict
	ask := workflows.AskVerdict{Now: c.Now()}
	if !fresh {
		return v, c.say(id, c.Engine.Query(ctx, workflows.OrderWorkflowID(id), workflows.VerdictQuery, ask, &v))
	}
	return v, c.message(ctx, id, Message{Name: workflows.VerdictUpdate, ID: fmt.Sprintf("verdict-%d", c.Now().UnixNano()), Argument: ask}, &v)
}

// message sends an update to an order, and re-opens it when it is closed.
func (c *Client) message(ctx context.Context, id order.ID, m Message, result any) error {
	return c.say(id, whileItOpens(func() error {
		err := c.Engine.Message(ctx, workflows.OrderWorkflowID(id), m, result)
		if errors.Is(err, ErrClosed) {
			err = c.reopen(ctx, id, m, result)
		}
		return err
	}))
}

// reopen starts the next run of a closed order from the state that the last one
// returned, with a message.
func (c *Client) reopen(ctx context.Context, id order.ID, m Message, result any) error {
	state, err := c.left(ctx, id)
	if err != nil {
		return err
	}
	return c.Engine.Submit(ctx, Start{
		Type: workflows.OrderType, ID: workflows.OrderWorkflowID(id),
		Input:   workflows.OrderInput{Order: state.Order, Fingerprint: state.Fingerprint, Carried: &state},
		Summary: fmt.Sprintf("%s · re-opened by %s", order.Amount{Minor: state.Order.Total, Currency: state.Order.Currency}, m.Name),
	}, m, result)
}

// say makes the client's errors of the workflow's and the engine's.
func (c *Client) say(id order.ID, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("order %s: %w", id, ErrUnknownOrder)
	case errors.Is(err, ErrDiffers):
		return fmt.Errorf("submit order %s: %w; send it under an id of its own", id, ErrAnotherOrder)
	}
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		switch a.Type() {
		case workflows.FingerprintReason:
			return fmt.Errorf("%w: %s", ErrAnotherOrder, a.Message())
		case workflows.RefusedReason:
			return fmt.Errorf("%w: %s", ErrNotNow, a.Message())
		case workflows.InvalidReason:
			return invalidWish(a)
		}
	}
	return err
}

// IfForgotten says what to do about an order that nobody knows, though it was
// there: the engine forgets closed orders after its retention.
const IfForgotten = "if it may be older than the engine's memory, submit it again: " +
	"it is adopted from the systems as it stands, nothing is done twice"

// Notify gives notices to their order, and re-opens it when it is closed.
// ErrUnknownOrder when there is none, reconciliation.ErrRefused when the engine takes
// it never.
func (c *Client) Notify(ctx context.Context, n reconciliation.Notices) error {
	m := Message{Name: workflows.NoticeSignal, Argument: n, Signal: true}
	return refused(c.message(ctx, n.Order, m, nil))
}

// refused tells those who give notices that the engine takes one never, or not before
// somebody has let a workflow that was stopped go on.
func refused(err error) error {
	if errors.Is(err, ErrInvalid) || errors.Is(err, ErrStopped) {
		return fmt.Errorf("%w: %w", reconciliation.ErrRefused, err)
	}
	return err
}

// Keep puts a notice into the inbox of its record. reconciliation.ErrRefused when the
// engine takes it never.
func (c *Client) Keep(ctx context.Context, of order.ID, n reconciliation.Notice) error {
	record := workflows.RecordName(cmp.Or(n.Record, n.ID))
	return refused(c.Engine.Submit(ctx, Start{
		Type: workflows.InboxType, ID: workflows.InboxWorkflowID(n.System, record),
		Input:   workflows.InboxInput{System: n.System, Record: record, Order: of},
		Summary: fmt.Sprintf("%s says something about %s, which we do not know yet", n.System, record),
	}, Message{Name: workflows.NoticeSignal, Signal: true, Argument: reconciliation.Notices{Order: of, Notices: []reconciliation.Notice{n}}}, nil))
}

// Tell gives one notice to its order, or keeps it in the inbox when the order is
// unknown: what a webhook does before it answers 2xx.
func (c *Client) Tell(ctx context.Context, of order.ID, n reconciliation.Notice) error {
	if of != "" {
		err := c.Notify(ctx, reconciliation.Notices{Order: of, Notices: []reconciliation.Notice{n}})
		if !errors.Is(err, ErrUnknownOrder) {
			return err
		}
	}
	return c.Keep(ctx, of, n)
}

// Confirm has an order look again, and repair what it has grants for.
func (c *Client) Confirm(ctx context.Context, of order.ID, in reconciliation.Confirmation) (reconciliation.Confirmed, error) {
	var answer reconciliation.Confirmed
	return answer, c.message(ctx, of, Message{Name: workflows.ReconcileUpdate, ID: "run-" + in.Run, Argument: in}, &answer)
}

// Align has the level of a SKU set from the warehouse's count.
func (c *Client) Align(ctx context.Context, sku string, change reconciliation.StockChange) (reconcile.Level, error) {
	var level reconcile.Level
	return level, c.Engine.Submit(ctx, Start{
		Type: workflows.StockType, ID: workflows.StockWorkflowID(sku), Input: workflows.StockInput{SKU: sku}, Summary: "the only writer of the level of " + sku,
	}, Message{Name: workflows.CommitUpdate, ID: change.ID(), Argument: change}, &level)
}

// EnsureReconciliation makes sure that the reconciliation workflow runs, and
// that its runs are scheduled. Every 0 schedules none, and ends what was scheduled.
func (c *Client) EnsureReconciliation(ctx context.Context, every time.Duration) error {
	err := c.Engine.Submit(ctx, Start{
		Type: workflows.ReconciliationType, ID: workflows.ReconciliationID, Summary: "cursors, switches, budgets and verified-through",
	}, Message{}, nil)
	if err != nil {
		return err
	}
	return c.Engine.Schedule(ctx, Schedule{
		ID: workflows.ScheduleID, Type: workflows.ReconcileType, Input: workflows.ReconcileInput{}, Every: every,
		Note: "compare what every system believes, repair what may be repaired, ask about the rest",
	})
}

// Reconcile starts a run now and waits for its report.
func (c *Client) Reconcile(ctx context.Context, in workflows.ReconcileInput) (reconciliation.RunReport, error) {
	id := fmt.Sprintf("%s-by-hand-%d", workflows.ScheduleID, c.Now().UnixNano())
	var report reconciliation.RunReport
	err := c.Engine.Submit(ctx, Start{Type: workflows.ReconcileType, ID: id, Input: in, Summary: "a run by hand"}, Message{}, nil)
	if err != nil {
		return report, err
	}
	return report, c.Engine.Result(ctx, id, &report)
}

// Status reads what the reconciliation workflow knows.
func (c *Client) Status(ctx context.Context) (reconciliation.Status, error) {
	var s reconciliation.Status
	return s, c.Engine.Query(ctx, workflows.ReconciliationID, workflows.StatusQuery, nil, &s)
}

// Rehearse asks an order what it would do about a confirmation. It leaves no
// event in the order's history, also when it is closed.
func (c *Client) Rehearse(ctx context.Context, of order.ID, r reconciliation.Rehearsal) (reconciliation.Rehearsed, error) {
	var answer reconciliation.Rehearsed
	return answer, c.say(of, c.Engine.Query(ctx, workflows.OrderWorkflowID(of), workflows.RehearseQuery, r, &answer))
}

// Members lists the orders of the incidents that are not over.
func (c *Client) Members(ctx context.Context) ([]reconciliation.Members, error) {
	var all []reconciliation.Members
	return all, c.Engine.Query(ctx, workflows.ReconciliationID, workflows.MembersQuery, nil, &all)
}

// Grant asks for permissions to repair.
func (c *Client) Grant(ctx context.Context, r reconciliation.GrantRequest) (reconciliation.Granted, error) {
	var granted reconciliation.Granted
	m := Message{Name: workflows.GrantUpdate, ID: fmt.Sprintf("grant-%s-%d", r.Run, r.Part), Argument: r}
	if r.Attempt > 1 {
		m.ID += fmt.Sprintf(" again %d", r.Attempt)
	}
	return granted, c.Engine.Message(ctx, workflows.ReconciliationID, m, &granted)
}

// WouldGrant asks what would be granted, and takes nothing.
func (c *Client) WouldGrant(ctx context.Context, r reconciliation.GrantRequest) (reconciliation.Granted, error) {
	var granted reconciliation.Granted
	return granted, c.Engine.Query(ctx, workflows.ReconciliationID, workflows.WouldGrantQuery, r, &granted)
}

// DecideGroup decides an incident. ErrNotNow when there is none of that number, it
// is over, or it is not any more what the decision was made on.
func (c *Client) DecideGroup(ctx context.Context, d reconciliation.DecideGroup) (reconciliation.Status, error) {
	var status reconciliation.Status
	err := c.Engine.Message(ctx, workflows.ReconciliationID,
		Message{Name: workflows.GroupUpdate, ID: fmt.Sprintf("group-%d-%d", d.N, c.Now().UnixNano()), Argument: d}, &status)
	if a, ok := errors.AsType[*temporal.ApplicationError](err); ok && a.Type() == workflows.RefusedReason {
		return status, fmt.Errorf("%w: %s", ErrNotNow, a.Message())
	}
	return status, err
}

// Report gives a run's report to the reconciliation workflow.
func (c *Client) Report(ctx context.Context, r reconciliation.RunReport) (reconciliation.RunReport, error) {
	var out reconciliation.RunReport
	id := "report-" + r.Run
	if r.Batch > 0 {
		id = fmt.Sprintf("%s-%d", id, r.Batch)
	}
	return out, c.Engine.Message(ctx, workflows.ReconciliationID, Message{Name: workflows.ReportUpdate, ID: id, Argument: r}, &out)
}

// Switch stops repairs of a system, of a kind or of everything, or ends the
// stop. An unknown system or kind is ErrNotValid.
func (c *Client) Switch(ctx context.Context, s reconciliation.Stop) (reconciliation.Status, error) {
	var status reconciliation.Status
	if _, err := s.Stops(); err != nil {
		return status, fmt.Errorf("turn the switch: %w: %w", ErrNotValid, err)
	}
	return status, c.Engine.Message(ctx, workflows.ReconciliationID,
		Message{Name: workflows.SwitchUpdate, ID: fmt.Sprintf("switch-%d-%s", c.Now().UnixNano(), digest(string(s.System), s.Kind, fmt.Sprint(s.Off))), Argument: s}, &status)
}

// Orders lists orders by a visibility query on top of the type, the latest
// changes first as far as the engine sorts them.
func (c *Client) Orders(ctx context.Context, filter string, limit int) ([]Listed, error) {
	query := "WorkflowType = '" + workflows.OrderType + "'"
	if filter != "" {
		query += " AND (" + filter + ")"
	}
	var all []Listed
	var page []byte
	for {
		listed, next, err := c.Engine.List(ctx, query, limit-len(all), page)
		if err != nil {
			return nil, err
		}
		all = append(all, listed...)
		if len(next) == 0 || len(all) >= limit {
			return all, nil
		}
		page = next
	}
}

// sinceFor is how long it is believed since when the engine remembers: it may lose its
// data while we live. While nobody answers, as when workers are deployed, it is believed
// for sinceAtMost, as long as the engine shows that it is the one that was asked.
const (
	sinceFor    = time.Minute
	sinceAtMost = time.Hour
)

// engineSince returns when this engine's memory began, as far as it can be known
// now. One without reconciliation begins to remember now, for it may have known more and
// lost it: what was placed before is looked up, and one that left no trace is new. A zero
// moment says nothing, and only an order that was placed just now is taken as new. It is
// asked also for a caller who does not wait: an engine that has lost its data must not be
// taken for the old one.
func (c *Client) engineSince(ctx context.Context) time.Time {
	now := c.Now()
	c.mu.Lock()
	known := c.memory
	c.mu.Unlock()
	if !known.since.IsZero() && now.Sub(known.asked) < sinceFor {
		return known.since
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), acceptance)
	defer cancel()
	heard, err := c.askMemory(bounded) // without the lock: several may ask at first
	switch {
	case errors.Is(err, ErrNotFound):
		heard = memory{since: now}
	case err != nil && heard.chain != "" && heard.chain == known.chain && now.Sub(known.asked) < sinceAtMost:
		return known.since
	case err != nil:
		return time.Time{}
	}
	heard.asked = now
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory = heard
	return heard.since
}

// askMemory asks the engine for the chain of reconciliation, which needs no worker, and
// reconciliation for the rest. The chain comes first: should the engine be emptied in
// between, the moment is that of the new one, and the old chain is seen no more. On an
// error the chain is there if it was heard.
func (c *Client) askMemory(ctx context.Context) (memory, error) {
	chain, err := c.Engine.Chain(ctx, workflows.ReconciliationID)
	if errors.Is(err, ErrNotFound) {
		return memory{}, err
	}
	s, err := c.Status(ctx) // it may say so where nobody told the chain
	return memory{since: s.Since, chain: chain}, err
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
