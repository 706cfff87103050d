// Package starters is how everything outside the workflows speaks to them: the
// port over the engine, the client with every message of an order, the HTTP
// gateway with its webhooks, and the schedule of reconciliation.
package starters

import (
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/starters/connect"
	"github.com/trueup-orders/trueup/workflows"
)

// Engine is the one narrow port over the engine. The Temporal client implements
// it, and so does the universe in which incidents are simulated.
type Engine interface {
	// Submit starts a workflow unless it runs, and sends it the message in the
	// same step; the start is durable even when the message finds no worker. An
	// update's answer goes into result. ErrClosed when Reject is set and a run
	// of this id is closed. ErrNotAnswered when it is started and nobody
	// answered before the context ended; ErrDiffers when what runs under the id
	// was started with another fingerprint.
	Submit(ctx context.Context, s Start, m Message, result any) error

	// Message sends a message to a running workflow; an update's answer goes
	// into result. A repeated update id gets the first answer. ErrNotFound when
	// there is no such workflow, ErrClosed when its last run is closed.
	Message(ctx context.Context, workflowID string, m Message, result any) error

	// Query asks a workflow, running or closed; it changes nothing.
	Query(ctx context.Context, workflowID, name string, argument, result any) error

	// Chain names the chain of runs, each of which went on as the next, to which the last
	// one of a workflow belongs. The engine says so, without a worker.
	Chain(ctx context.Context, workflowID string) (string, error)

	// Result reads what the last run of a closed workflow returned, and waits for that of
	// an open one. ErrNoResult when it failed or was stopped instead.
	Result(ctx context.Context, workflowID string, result any) error

	// List lists workflows by a visibility query, a page at a time. It finds
	// candidates and never decides, for it lags behind.
	List(ctx context.Context, query string, limit int, page []byte) ([]Listed, []byte, error)

	// Schedule makes or changes a schedule; done again it changes nothing. Every 0 ends
	// it, if there is one.
	Schedule(ctx context.Context, s Schedule) error
}

// Start says how to start a workflow.
type Start struct {
	Type    string
	ID      string
	Input   any
	Reject  bool   // never start it again once a run is closed
	Summary string // one line beside the workflow in the UI
	Details string // Markdown
	// Fingerprint tells the start from another one under the same id where
	// nobody is there to compare; empty compares nothing.
	Fingerprint string
	// Outcome and Agreement are its first search attributes, when it has any.
	Outcome, Agreement string
}

// Message is an update, or a signal when Signal is set. ID tells a repeated
// update from a new one.
type Message struct {
	Name     string
	ID       string
	Argument any
	Signal   bool
	// Accepted returns as soon as the update is durable, without its answer unless
	// that is known at once. A refusal is.
	Accepted bool
}

// Listed is a workflow as visibility shows it.
type Listed struct {
	ID         string
	Running    bool
	Started    time.Time
	Closed     time.Time
	Outcome    string
	Agreement  string
	Breaks     []string
	Oldest     time.Time
	Changed    time.Time
	DecodeMemo func(field string, into any) error // an error when there is no such field
}

// Schedule starts a workflow at an interval; never where that is 0.
type Schedule struct {
	ID      string
	Type    string
	Input   any
	Every   time.Duration
	Note    string
	Trigger bool // also start it now
}

// What an engine's port says.
var (
	ErrNotFound    = errors.New("no such workflow")
	ErrClosed      = errors.New("the workflow is closed")
	ErrNotAnswered = errors.New("durable, and not answered in time")
	ErrDiffers     = errors.New("started with something else")
	// ErrInvalid: sent again as it is, it is refused again.
	ErrInvalid = errors.New("the engine does not accept it")
	// ErrNoResult: what ran last failed, or was stopped.
	ErrNoResult = errors.New("it failed or was stopped in the engine, and left no result")
	// ErrStopped: an order's last run left no result to go on from.
	ErrStopped = errors.New("its workflow was stopped in the engine and left nothing to go on from; let it go on there: temporal workflow reset --reason TEXT --type LastWorkflowTask --workflow-id")
)

// Temporal is the engine.
type Temporal struct {
	Client client.Client
	// Converter reads memos; nil is the usual one. It is the client's own.
	Converter converter.DataConverter
}

// OnTemporal returns the port over a client that connect.Engine made.
func OnTemporal(c client.Client) (*Temporal, error) {
	payloads, err := connect.Converter()
	return &Temporal{Client: c, Converter: payloads}, err
}

func (t *Temporal) converter() converter.DataConverter {
	if t.Converter == nil {
		return converter.GetDefaultDataConverter()
	}
	return t.Converter
}

var _ Engine = (*Temporal)(nil)

func (t *Temporal) options(s Start) client.StartWorkflowOptions {
	o := client.StartWorkflowOptions{
		ID: s.ID, TaskQueue: workflows.Queue, StaticSummary: s.Summary, StaticDetails: s.Details,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	}
	if s.Reject {
		o.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
	}
	if s.Fingerprint != "" {
		o.Memo = map[string]any{fingerprintMemo: s.Fingerprint}
	}
	if s.Outcome != "" {
		o.TypedSearchAttributes = temporal.NewSearchAttributes(
			workflows.OutcomeAttribute.ValueSet(s.Outcome), workflows.AgreementAttribute.ValueSet(s.Agreement))
	}
	return o
}

// Submit implements Engine.
func (t *Temporal) Submit(ctx context.Context, s Start, m Message, result any) error {
	if !workflows.Printable(s.ID) { // no call with it would leave the client, ever
		return fmt.Errorf("submit to %q: its id is not printable ASCII: %w", s.ID, ErrInvalid)
	}
	if m.Signal {
		_, err := t.Client.SignalWithStartWorkflow(ctx, s.ID, m.Name, m.Argument, t.options(s), s.Type, s.Input)
		return classify("signal "+s.ID, err)
	}
	if m.Name == "" {
		options := t.options(s)
		options.WorkflowExecutionErrorWhenAlreadyStarted = s.Reject
		_, err := t.Client.ExecuteWorkflow(ctx, options, s.Type, s.Input)
		return classify("start "+s.ID, err)
	}
	stage := client.WorkflowUpdateStageCompleted
	if m.Accepted {
		stage = client.WorkflowUpdateStageAccepted
	}
	handle, err := t.Client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: t.Client.NewWithStartWorkflowOperation(t.options(s), s.Type, s.Input),
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID: s.ID, UpdateID: m.ID, UpdateName: m.Name, Args: []any{m.Argument}, WaitForStage: stage,
		},
	})
	if err == nil {
		err = m.answered(ctx, handle, result)
	}
	if !waitedInVain(err) {
		return classify("submit to "+s.ID, err)
	}
	// The update found nobody in time. The start that travelled with it may not
	// have happened, so it is made again on its own; done twice it is one.
	plain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := t.Client.ExecuteWorkflow(plain, t.options(s), s.Type, s.Input); err != nil {
		return classify("start "+s.ID, err)
	}
	if err := t.same(plain, s); err != nil {
		return err
	}
	return fmt.Errorf("submit to %s: %w", s.ID, ErrNotAnswered)
}

// answered reads an update's answer: at once or not at all when it is enough
// that the update was accepted. A worker may have refused it just then.
func (m Message) answered(ctx context.Context, handle client.WorkflowUpdateHandle, result any) error {
	if !m.Accepted {
		return handle.Get(ctx, result)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := handle.Get(over, result); !waitedInVain(err) {
		return err
	}
	return nil
}

// fingerprintMemo is the memo field of a start's fingerprint.
const fingerprintMemo = "fingerprint"

// same compares a start with what runs under its id, for a time when no worker
// is there to do so.
func (t *Temporal) same(ctx context.Context, s Start) error {
	if s.Fingerprint == "" {
		return nil
	}
	d, err := t.Client.DescribeWorkflowExecution(ctx, s.ID, "")
	if err != nil {
		return classify("compare "+s.ID, err)
	}
	var known string
	if t.memoDecoder(d.WorkflowExecutionInfo.Memo)(fingerprintMemo, &known) == nil && known != s.Fingerprint {
		return fmt.Errorf("submit to %s: %w", s.ID, ErrDiffers)
	}
	return nil
}

func waitedInVain(err error) bool {
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var late *serviceerror.DeadlineExceeded
	return errors.As(err, &timeout) || errors.As(err, &late) || errors.Is(err, context.DeadlineExceeded)
}

// Message implements Engine.
func (t *Temporal) Message(ctx context.Context, workflowID string, m Message, result any) error {
	if m.Signal {
		return classify("signal "+workflowID, t.Client.SignalWorkflow(ctx, workflowID, "", m.Name, m.Argument))
	}
	stage := client.WorkflowUpdateStageCompleted
	if m.Accepted {
		stage = client.WorkflowUpdateStageAccepted
	}
	handle, err := t.Client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateID: m.ID, UpdateName: m.Name, Args: []any{m.Argument}, WaitForStage: stage,
	})
	if err == nil {
		err = m.answered(ctx, handle, result)
	}
	if waitedInVain(err) {
		return fmt.Errorf("%s of %s: %w", m.Name, workflowID, ErrNotAnswered)
	}
	return classify(m.Name+" of "+workflowID, err)
}

// Query implements Engine.
func (t *Temporal) Query(ctx context.Context, workflowID, name string, argument, result any) error {
	var arguments []any
	if argument != nil {
		arguments = []any{argument}
	}
	value, err := t.Client.QueryWorkflow(ctx, workflowID, "", name, arguments...)
	if err != nil {
		return classify("ask "+workflowID, err)
	}
	return value.Get(result)
}

// Chain implements Engine.
func (t *Temporal) Chain(ctx context.Context, workflowID string) (string, error) {
	d, err := t.Client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return "", classify("describe "+workflowID, err)
	}
	return d.WorkflowExecutionInfo.FirstRunId, nil
}

// Result implements Engine.
func (t *Temporal) Result(ctx context.Context, workflowID string, result any) error {
	err := t.Client.GetWorkflow(ctx, workflowID, "").Get(ctx, result)
	if over, ok := errors.AsType[*temporal.WorkflowExecutionError](err); ok {
		return fmt.Errorf("%w: %w", ErrNoResult, over)
	}
	return classify("read the result of "+workflowID, err)
}

// List implements Engine.
func (t *Temporal) List(ctx context.Context, query string, limit int, page []byte) ([]Listed, []byte, error) {
	r, err := t.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: query, PageSize: int32(min(max(limit, 1), 1000)), NextPageToken: page,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list workflows by %q: %w", query, err)
	}
	all := make([]Listed, 0, len(r.Executions))
	for _, e := range r.Executions {
		l := Listed{
			ID: e.Execution.WorkflowId, Running: e.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
			Started: e.StartTime.AsTime(), DecodeMemo: t.memoDecoder(e.Memo),
		}
		if e.CloseTime != nil {
			l.Closed = e.CloseTime.AsTime()
		}
		fields := e.SearchAttributes.GetIndexedFields()
		decodeAttribute(fields["OrderOutcome"], &l.Outcome)
		decodeAttribute(fields["OrderAgreement"], &l.Agreement)
		decodeAttribute(fields["OrderBreaks"], &l.Breaks)
		decodeAttribute(fields["OrderOldestBreak"], &l.Oldest)
		decodeAttribute(fields["OrderChanged"], &l.Changed)
		all = append(all, l)
	}
	return all, r.NextPageToken, nil
}

// Count counts workflows by a visibility query, as List lists them.
func (t *Temporal) Count(ctx context.Context, query string) (int, error) {
	r, err := t.Client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return 0, fmt.Errorf("count workflows by %q: %w", query, err)
	}
	return int(r.Count), nil
}

// decodeAttribute reads a search attribute; an absent one leaves the zero value,
// for visibility only finds candidates.
func decodeAttribute(p *commonpb.Payload, into any) {
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, into)
	}
}

func (t *Temporal) memoDecoder(memo *commonpb.Memo) func(string, any) error {
	return func(field string, into any) error {
		p, ok := memo.GetFields()[field]
		if !ok {
			return fmt.Errorf("memo has no field %q", field)
		}
		return t.converter().FromPayload(p, into)
	}
}

// catchUp is how late a run that was missed is still made: after an outage one
// run looks at all that happened meanwhile, and not one for each that was due.
func (s Schedule) catchUp() time.Duration { return min(max(10*time.Second, 2*s.Every), 10*time.Minute) }

// Schedule implements Engine.
func (t *Temporal) Schedule(ctx context.Context, s Schedule) error {
	if s.Every == 0 {
		var missing *serviceerror.NotFound
		if err := t.Client.ScheduleClient().GetHandle(ctx, s.ID).Delete(ctx); err != nil && !errors.As(err, &missing) {
			return fmt.Errorf("end schedule %s: %w", s.ID, err)
		}
		return nil
	}
	action := &client.ScheduleWorkflowAction{ID: s.ID, Workflow: s.Type, TaskQueue: workflows.Queue, StaticSummary: s.Note}
	if s.Input != nil {
		action.Args = []any{s.Input}
	}
	spec := client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: s.Every}}, Jitter: s.Every / 20}
	_, err := t.Client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: s.ID, Spec: spec, Action: action, Note: s.Note,
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.catchUp(),
	})
	handle := t.Client.ScheduleClient().GetHandle(ctx, s.ID)
	if errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		err = handle.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			now := in.Description.Schedule
			same := len(now.Spec.Intervals) == 1 && now.Spec.Intervals[0].Every == s.Every
			if same && now.Policy != nil && now.Policy.Overlap == enumspb.SCHEDULE_OVERLAP_POLICY_SKIP && now.Policy.CatchupWindow == s.catchUp() {
				return nil, temporal.ErrSkipScheduleUpdate
			}
			now.Spec = &spec
			now.Policy = &client.SchedulePolicies{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: s.catchUp()}
			return &client.ScheduleUpdate{Schedule: &now}, nil
		}})
		if errors.Is(err, temporal.ErrSkipScheduleUpdate) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("make schedule %s: %w", s.ID, err)
	}
	if s.Trigger {
		return handle.Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL})
	}
	return nil
}

// classify names the operation, and makes the port's errors of the engine's.
func classify(operation string, err error) error {
	if err == nil {
		return nil
	}
	var missing *serviceerror.NotFound
	var closed *serviceerror.WorkflowExecutionAlreadyStarted
	var invalid *serviceerror.InvalidArgument
	switch {
	case errors.As(err, &closed):
		return fmt.Errorf("%s: %w", operation, ErrClosed)
	case errors.As(err, &missing) && isCompleted(missing.Message):
		return fmt.Errorf("%s: %w", operation, ErrClosed)
	case errors.As(err, &missing):
		return fmt.Errorf("%s: %w", operation, ErrNotFound)
	case errors.As(err, &invalid) && !isFull(invalid.Message):
		return fmt.Errorf("%s: %w: %w", operation, ErrInvalid, err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// isCompleted tells a closed workflow from an unknown one: the engine uses one
// code for both, and says which in the text.
func isCompleted(message string) bool { return message == "workflow execution already completed" }

// isFull tells a run that has as many signals as it takes from what is refused for
// ever: the next run takes it, and the engine uses one code for both.
func isFull(message string) bool {
	return message == "exceeded workflow execution limit for signal events"
}
