package virtual

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// engine is the port over the environment. Whatever touches the environment
// runs in its main loop, for it belongs to one goroutine.
type engine struct {
	world *World

	mu    sync.Mutex
	runs  map[string]*run
	asked []*asked
	// opening are the runs that begin with a message: the engine hands over both
	// at once, the environment one after the other.
	opening map[string]*asked
	// retention is how long a closed run is remembered; 0: for ever.
	retention time.Duration
	refusals  refusals
}

// run is the latest run of a workflow.
type run struct {
	info      *workflow.Info
	kind      string
	number    int
	continued int // how often it continued as new
	between   bool
	wake      []func() // who waits for its end
	forgotten bool     // its retention is over: nobody knows it any more
	*outcome
}

// outcome is what became of a run, once it is closed: whoever waited for it and comes
// late reads its own, and not that of the run that has taken its place.
type outcome struct {
	result []byte
	err    error
	closed chan struct{} // closed with it
}

func (r *run) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// asked is a start that the universe was asked for.
type asked struct {
	start   starters.Start
	started chan error
	told    bool // its message is there; belongs to the main loop
}

func (a *asked) attributes() temporal.SearchAttributes {
	if a.start.Outcome == "" {
		return temporal.NewSearchAttributes()
	}
	return temporal.NewSearchAttributes(workflows.OutcomeAttribute.ValueSet(a.start.Outcome), workflows.AgreementAttribute.ValueSet(a.start.Agreement))
}

var (
	_       starters.Engine = (*engine)(nil)
	errOver                 = errors.New("the virtual world has ended")
)

func newEngine(w *World) *engine {
	return &engine{world: w, runs: map[string]*run{}, opening: map[string]*asked{}}
}

// parking is where a call of Later stands once the engine has its message.
type parking struct {
	name   string
	once   sync.Once
	stands chan struct{}
}

type parkingKey struct{}

// wait waits for an answer that may need more virtual time, and in a bubble for as
// long as whoever asks for it would; wake ends its sleep when it gives up.
func (e *engine) wait(ctx context.Context, answered <-chan struct{}, wake func()) error {
	if p, ok := ctx.Value(parkingKey{}).(*parking); ok {
		p.once.Do(func() { close(p.stands) })
	}
	until := e.world.untilOf(ctx)
	for {
		late, err := e.world.atLimit(ctx, until)
		if err != nil {
			return err
		}
		select {
		case <-answered:
			e.world.goOn(ctx)
			return nil
		case <-late:
			if late, dies := e.world.isLate(ctx, until); late {
				err := e.inLoop(ctx, wake)
				if dies {
					attemptOf(ctx).die()
				}
				return errors.Join(starters.ErrNotAnswered, err)
			}
		case <-ctx.Done():
			return errors.Join(starters.ErrNotAnswered, e.inLoop(context.WithoutCancel(ctx), wake))
		case <-e.world.over:
			return starters.ErrNotAnswered
		}
	}
}

// inLoop runs f in the environment's main loop, for whoever ctx belongs to.
func (e *engine) inLoop(ctx context.Context, f func()) error {
	e.world.goOn(ctx)
	done := make(chan struct{})
	e.world.env.RegisterDelayedCallback(func() { defer close(done); f() }, 0)
	select {
	case <-done:
		e.world.goOn(ctx)
		return nil
	case <-e.world.over:
		return errOver
	}
}

// RegisterActivity implements workers.Registry.
func (e *engine) RegisterActivity(a any) { e.world.env.RegisterActivity(a) }

// RegisterWorkflowWithOptions implements workers.Registry, and notes when runs
// of the workflow begin and end.
func (e *engine) RegisterWorkflowWithOptions(w any, o workflow.RegisterOptions) {
	f := reflect.ValueOf(w)
	noted := reflect.MakeFunc(f.Type(), func(in []reflect.Value) []reflect.Value {
		info := workflow.GetInfo(in[0].Interface().(workflow.Context))
		info.WorkflowStartTime = e.world.Now() // the environment's own is real time
		if a := e.began(info); a != nil {
			_ = workflow.Await(in[0].Interface().(workflow.Context), func() bool { return a.told })
		}
		out := f.Call(in)
		e.ended(info, out)
		return out
	})
	e.world.env.RegisterWorkflowWithOptions(noted.Interface(), o)
}

// began notes that a run begins, and returns what it has to wait for.
func (e *engine) began(info *workflow.Info) *asked {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[info.WorkflowExecution.ID]
	switch {
	case r == nil:
		r = &run{outcome: &outcome{closed: make(chan struct{})}}
		e.runs[info.WorkflowExecution.ID] = r
	case r.isClosed():
		r.outcome = &outcome{closed: make(chan struct{})}
	}
	r.info, r.kind, r.result, r.err = info, info.WorkflowType.Name, nil, nil
	r.number++
	r.between, r.forgotten = false, false
	e.world.trace.workflow("start", info.WorkflowExecution.ID, "")
	a := e.opening[info.WorkflowExecution.ID]
	delete(e.opening, info.WorkflowExecution.ID)
	return a
}

// tell hands a message over in the main loop; a run that waits for it begins
// with it.
func (e *engine) tell(ctx context.Context, id string, opened *asked, send func() error) error {
	for try := 0; ; try++ {
		var sent error
		ready := false
		err := e.inLoop(ctx, func() {
			// The environment takes no message for a run that it is about to start, and
			// what is queued before the message may end the run that is there.
			if ready = !e.between(id) && (e.world.asleep.idle() || try > 100); !ready {
				return
			}
			if opened != nil {
				opened.told = true
			}
			sent = send()
		})
		if err != nil || ready {
			return errors.Join(err, sent)
		}
	}
}

// between says that one run of a workflow has ended and the next, which goes on
// from it, has not begun.
func (e *engine) between(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[id].between
}

func (e *engine) ended(info *workflow.Info, out []reflect.Value) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.runs[info.WorkflowExecution.ID]
	r.err, _ = out[len(out)-1].Interface().(error)
	if again, ok := errors.AsType[*workflow.ContinueAsNewError](r.err); ok && again != nil {
		e.world.trace.workflow("continue", info.WorkflowExecution.ID, "")
		e.release(info.WorkflowExecution.ID)
		r.continued++
		r.between = true
		return
	}
	if len(out) > 1 && r.err == nil {
		r.result, r.err = json.Marshal(out[0].Interface())
	}
	e.world.trace.closed(info.WorkflowExecution.ID, r.err)
	for _, wake := range r.wake {
		wake()
	}
	r.wake = nil
	close(r.closed)
	e.forgetLater(info.WorkflowExecution.ID, r.number)
}

// forgetLater forgets a closed run once its retention is over, unless another
// has begun.
func (e *engine) forgetLater(id string, number int) {
	if e.retention == 0 {
		return
	}
	e.world.After(e.retention, "forget "+id, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if r := e.runs[id]; r.number == number && r.isClosed() {
			r.forgotten = true
		}
	})
}

func (e *engine) run(id string) *run {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.runs[id]; r != nil && !r.forgotten {
		copied := *r
		return &copied
	}
	return nil
}

func (e *engine) takeAsked() []*asked {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.asked
	e.asked = nil
	return taken
}

// mostID bytes of a workflow's id are what the engine takes.
const mostID = 1000

// Submit implements starters.Engine.
func (e *engine) Submit(ctx context.Context, s starters.Start, m starters.Message, result any) error {
	e.world.enter(ctx, "submits "+s.ID+" "+m.Name+" "+m.ID)
	if e.world.isDown(Engine) {
		return fmt.Errorf("submit to %s: %w", s.ID, errEngineDown)
	}
	if !workflows.Printable(s.ID) || len(s.ID) > mostID {
		return fmt.Errorf("submit to a workflow whose id is %q, with %d bytes: %w", s.ID, len(s.ID), starters.ErrInvalid)
	}
	r := e.run(s.ID)
	var opened *asked
	if r != nil && r.isClosed() && s.Reject {
		return fmt.Errorf("submit to %s: %w", s.ID, starters.ErrClosed)
	}
	if r == nil || r.isClosed() {
		a := &asked{start: s, started: make(chan error, 1)}
		e.mu.Lock()
		e.asked = append(e.asked, a)
		if r != nil && m.Name != "" {
			// Of several who re-open it at once the first message that comes is the one
			// with which it begins.
			if opened = e.opening[s.ID]; opened == nil {
				opened = a
				e.opening[s.ID] = a
			}
		}
		e.mu.Unlock()
		e.world.env.SignalWorkflow(startSignal, nil)
		select {
		case err := <-a.started:
			e.world.goOn(ctx)
			// Somebody else may have started it in the same moment: that is the one.
			if err != nil && !temporal.IsWorkflowExecutionAlreadyStartedError(err) {
				return fmt.Errorf("start %s: %w", s.ID, err)
			}
		case <-e.world.over:
			return errOver
		}
	}
	if m.Name == "" {
		return nil
	}
	return e.message(ctx, s.ID, m, result, opened)
}

// Message implements starters.Engine.
func (e *engine) Message(ctx context.Context, id string, m starters.Message, result any) error {
	e.world.enter(ctx, "tells "+id+" "+m.Name+" "+m.ID)
	if e.world.isDown(Engine) {
		return fmt.Errorf("%s of %s: %w", m.Name, id, errEngineDown)
	}
	return e.message(ctx, id, m, result, nil)
}

func (e *engine) message(ctx context.Context, id string, m starters.Message, result any, opened *asked) error {
	r := e.run(id)
	switch {
	case r == nil:
		return fmt.Errorf("%s of %s: %w", m.Name, id, starters.ErrNotFound)
	case r.isClosed():
		return fmt.Errorf("%s of %s: %w", m.Name, id, starters.ErrClosed)
	}
	if m.Signal {
		e.world.trace.message("signal", id, m)
		return e.tell(ctx, id, opened, func() error { return e.world.env.SignalWorkflowByID(id, m.Name, m.Argument) })
	}
	if m.Name == workflows.ReconcileUpdate || m.Name == workflows.CommitUpdate {
		e.world.readSwitches()
	}
	e.world.trace.message("update", id, m)
	answered := make(chan struct{})
	var value any
	var failed error
	wake := func() {}
	answer := func() { wake(); close(answered) }
	// The environment knows update ids once for all workflows, the engine by run; and
	// it keeps a refused one for ever, of which the engine forgets that it was sent.
	known := fmt.Sprintf("%s/%d/%s", id, r.number, m.ID)
	unique := e.refusals.name(known)
	callback := &testsuite.TestUpdateCallback{
		OnAccept: func() {
			if m.Accepted {
				answer()
			}
		},
		OnReject: func(err error) { failed = err; e.refusals.refused(known); answer() },
		OnComplete: func(v any, err error) {
			if !m.Accepted {
				value, failed = v, err
				answer()
			}
		},
	}
	if err := e.tell(ctx, id, opened, func() error {
		sent := e.world.env.UpdateWorkflowByID(id, m.Name, unique, callback, m.Argument)
		if sent == nil {
			wake = e.world.asleep.lie(ctx)
		}
		return sent
	}); err != nil {
		return err
	}
	err := e.wait(ctx, answered, func() { wake() })
	if err != nil || failed != nil {
		return fmt.Errorf("%s of %s: %w", m.Name, id, errors.Join(err, failed))
	}
	return carry(value, result)
}

// refusals are how often updates were refused.
type refusals struct {
	mu    sync.Mutex
	times map[string]int // by id
}

// name is an update's id for the environment, with a number behind it once it was
// refused.
func (r *refusals) name(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.times[id]; n > 0 {
		return fmt.Sprintf("%s#%d", id, n)
	}
	return id
}

func (r *refusals) refused(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = map[string]int{}
	}
	r.times[id]++
}

// carry takes a value over as the real engine does: as JSON.
func carry(from, to any) error {
	if to == nil || from == nil {
		return nil
	}
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}

// Query implements starters.Engine.
func (e *engine) Query(ctx context.Context, id, name string, argument, result any) error {
	e.world.enter(ctx, "asks "+id+" "+name)
	if e.world.isDown(Engine) || e.world.isDown(Workers) {
		return fmt.Errorf("ask %s: %w", id, errEngineDown)
	}
	if e.run(id) == nil {
		return fmt.Errorf("ask %s: %w", id, starters.ErrNotFound)
	}
	var arguments []any
	if argument != nil {
		arguments = append(arguments, argument)
	}
	var value converter.EncodedValue
	var failed error
	if err := e.inLoop(ctx, func() { value, failed = e.world.env.QueryWorkflowByID(id, name, arguments...) }); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	return value.Get(result)
}

// Chain implements starters.Engine. It is not a step: nothing comes of the moment.
func (e *engine) Chain(_ context.Context, id string) (string, error) {
	if e.world.isDown(Engine) {
		return "", fmt.Errorf("describe %s: %w", id, errEngineDown)
	}
	r := e.run(id)
	if r == nil {
		return "", fmt.Errorf("describe %s: %w", id, starters.ErrNotFound)
	}
	return fmt.Sprintf("%s/%d", id, r.number-r.continued), nil
}

// Result implements starters.Engine.
func (e *engine) Result(ctx context.Context, id string, result any) error {
	r := e.run(id)
	if r == nil {
		return fmt.Errorf("read the result of %s: %w", id, starters.ErrNotFound)
	}
	if err := e.awaitEnd(ctx, id, r.closed); err != nil {
		return err
	}
	if r.err != nil {
		return fmt.Errorf("%w: %w", starters.ErrNoResult, r.err)
	}
	return json.Unmarshal(r.result, result)
}

// awaitEnd waits until a run is closed. Who goes on beside the steps lets time
// pass meanwhile.
func (e *engine) awaitEnd(ctx context.Context, id string, closed <-chan struct{}) error {
	wake := func() {}
	if err := e.inLoop(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if r := e.runs[id]; !r.isClosed() {
			wake = e.world.asleep.lie(ctx)
			r.wake = append(r.wake, wake)
		}
	}); err != nil {
		return err
	}
	return e.wait(ctx, closed, func() { wake() })
}

var byID = regexp.MustCompile(`'(order/[^']+)'`)

// List implements starters.Engine for the two queries that reconciliation asks:
// by ids, and everything else, which lists every order: visibility finds
// candidates and never decides.
func (e *engine) List(ctx context.Context, query string, limit int, _ []byte) ([]starters.Listed, []byte, error) {
	e.world.enter(ctx, "lists "+query)
	if e.world.isDown(Engine) {
		return nil, nil, fmt.Errorf("list workflows: %w", errEngineDown)
	}
	var wanted []string
	for _, match := range byID.FindAllStringSubmatch(query, -1) {
		wanted = append(wanted, match[1])
	}
	var listed []starters.Listed
	err := e.inLoop(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		kind := workflows.OrderType
		if strings.Contains(query, "'"+workflows.InboxType+"'") {
			kind = workflows.InboxType
		}
		for id, r := range e.runs {
			if (kind == workflows.InboxType || strings.Contains(query, "ExecutionStatus = 'Running'")) && r.isClosed() {
				continue
			}
			if r.kind == kind && !r.forgotten && (len(wanted) == 0 || slices.Contains(wanted, id)) {
				listed = append(listed, e.listed(id, r))
			}
		}
	})
	slices.SortFunc(listed, func(x, y starters.Listed) int {
		return cmp.Or(y.Changed.Compare(x.Changed), cmp.Compare(x.ID, y.ID))
	})
	return listed[:min(limit, len(listed))], nil, err
}

func (e *engine) listed(id string, r *run) starters.Listed {
	l := starters.Listed{ID: id, Running: !r.isClosed(), Started: r.info.WorkflowStartTime}
	fields := r.info.SearchAttributes.GetIndexedFields() //nolint:staticcheck // the typed ones are told only to workflow code
	decode := func(name string, into any) {
		if p := fields[name]; p != nil {
			_ = converter.GetDefaultDataConverter().FromPayload(p, into)
		}
	}
	decode("OrderOutcome", &l.Outcome)
	decode("OrderAgreement", &l.Agreement)
	decode("OrderBreaks", &l.Breaks)
	decode("OrderOldestBreak", &l.Oldest)
	decode("OrderChanged", &l.Changed)
	memo := r.info.Memo
	l.DecodeMemo = func(field string, into any) error {
		p, ok := memo.GetFields()[field]
		if !ok {
			return fmt.Errorf("memo has no field %q", field)
		}
		return converter.GetDefaultDataConverter().FromPayload(p, into)
	}
	return l
}

// Schedule implements starters.Engine: a run that is due while the last one is
// open is left out.
func (e *engine) Schedule(ctx context.Context, s starters.Schedule) error {
	if s.Every == 0 { // a universe schedules once
		return nil
	}
	var due func()
	due = func() {
		e.world.After(s.Every, "schedule "+s.ID, due)
		last := e.run(s.ID)
		if last != nil && !last.isClosed() || e.world.isDown(Engine) || e.world.nothingToFind(s, last) {
			return
		}
		e.world.Check(e.Submit(ctx, starters.Start{Type: s.Type, ID: s.ID, Input: s.Input}, starters.Message{}, nil))
	}
	e.world.After(s.Every, "schedule "+s.ID, due)
	return nil
}

// Answer is what became of a submission.
type Answer struct {
	workflows.Submitted
	Err error
}

// readSwitches has the worker read the stop switches, which it does every few
// seconds in reality.
func (w *World) readSwitches() {
	status, err := w.Client.Status(w.ctx)
	if err != nil {
		return
	}
	w.set.Switches.Set(status.Stopped())
}

// ReadSwitches has the worker read the stop switches within a step: while nobody
// sends a message that begins repairs it does not read them by itself.
func (w *World) ReadSwitches() { w.readSwitches() }

// Closed returns the state that the last run of an order returned, or nil while
// it is open.
func (w *World) Closed(id order.ID) *workflows.State {
	r := w.engine.run(workflows.OrderWorkflowID(id))
	if r == nil || !r.isClosed() || r.err != nil {
		return nil
	}
	var s workflows.State
	if err := json.Unmarshal(r.result, &s); err != nil {
		w.t.Errorf("read what order %s returned: %v", id, err)
	}
	return &s
}

// Runs returns how many runs a workflow had, how many of them continued as new,
// and whether the last is open.
func (w *World) Runs(id string) (runs, continued int, open bool) {
	r := w.engine.run(id)
	if r == nil {
		return 0, 0, false
	}
	return r.number, r.continued, !r.isClosed()
}

// Cancel asks to cancel a workflow in the engine, as its UI does.
func (w *World) Cancel(id string) {
	w.env.CancelWorkflowByID(id, "")
	w.goOn(w.ctx)
}

// Stop leaves a closed workflow as one whose last run was terminated in the engine: it has
// nothing to go on from. The environment can terminate none that is open.
func (w *World) Stop(id string) {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	r := w.engine.runs[id]
	if r == nil || !r.isClosed() {
		w.t.Errorf("%s is not closed, and cannot be stopped here", id)
		return
	}
	r.outcome = &outcome{err: errors.New("terminated"), closed: r.closed}
}

// SuggestContinue lets the engine suggest to a run that it continue as new. The
// environment can say so to its root alone.
func (w *World) SuggestContinue(id string) {
	w.Check(w.engine.inLoop(w.ctx, func() {
		r := w.engine.run(id)
		suggested := reflect.ValueOf(r.info).Elem().FieldByName("continueAsNewSuggested")
		*(*bool)(unsafe.Pointer(suggested.UnsafeAddr())) = true
	}))
}

// Moment is a time of the world as a test writes it.
func (w *World) Moment(age time.Duration) time.Time { return Start.Add(age) }

// Last is where an order stood when the world ended, for a test that failed.
func (w *World) Last(id order.ID) string {
	value, err := w.env.QueryWorkflowByID(workflows.OrderWorkflowID(id), workflows.VerdictQuery, workflows.AskVerdict{Now: w.Now()})
	if err != nil {
		return err.Error()
	}
	var v reconcile.Verdict
	if err := value.Get(&v); err != nil {
		return err.Error()
	}
	return v.Table()
}

// Published is what a workflow last told visibility, within a step.
func (w *World) Published(id string) starters.Listed {
	var l starters.Listed
	w.Check(w.engine.inLoop(w.ctx, func() {
		if r := w.engine.run(id); r != nil {
			l = w.engine.listed(id, r)
		}
	}))
	return l
}

// IDs returns the workflows whose ids begin so, sorted.
func (w *World) IDs(prefix string) []string {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	var ids []string
	for id := range w.engine.runs {
		if strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Status is what reconciliation knew when the world ended.
func (w *World) Status() reconciliation.Status {
	w.t.Helper()
	value, err := w.env.QueryWorkflowByID(workflows.ReconciliationID, workflows.StatusQuery)
	w.Check(err)
	var s reconciliation.Status
	if err == nil {
		w.Check(value.Get(&s))
	}
	return s
}
