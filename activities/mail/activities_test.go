package mail_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	netmail "net/mail"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

// clock stands still until a test, or somebody who waits, moves it.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(time.Duration, string, func()) {}

func (c *clock) wait(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.waits = c.now.Add(d), append(c.waits, d)
	return nil
}

// world is the activities, the adapter and the simulated provider.
type world struct {
	t          *testing.T
	clock      *clock
	server     *simulated.Server
	activities *mail.Activities
}

func newWorld(t *testing.T, settings simulated.Settings) *world {
	t.Helper()
	const journal = "journal@shop.test"
	c := &clock{now: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)}
	settings.Journal = journal
	server, err := simulated.New(simulator.Options{Clock: c}, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	client, err := smtp.New(smtp.Config{
		SMTPAddress: listen(t, server.ServeSMTP), IMAPAddress: listen(t, server.ServeIMAP),
		TLS: &tls.Config{RootCAs: server.Roots()}, IMAPUser: "journal", IMAPPassword: "journal",
		From: netmail.Address{Name: "The Shop", Address: "orders@shop.test"}, ShopName: "The Shop", Journal: journal, Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, clock: c, server: server, activities: &mail.Activities{
		Mailer: client, Switches: repair.NewSwitches(c.Now), Now: c.Now, Abilities: smtp.Abilities, Journal: true, Wait: c.wait,
	}}
}

func listen(t *testing.T, serve func(net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = serve(l) }()
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// input asks for a refund's mail; its event is now.
func (w *world) input() mail.SendInput {
	return mail.SendInput{
		SendRequest: mail.SendRequest{
			Key: order.Intent{Order: "42", Operation: order.Send, N: 1}.Key(), Order: "42",
			Template: reconcile.MailRefund, Occasion: 1, To: "jane@customer.test", Due: w.clock.Now(),
			Content: mail.Content{Amount: order.Amount{Minor: 2000, Currency: "EUR"}},
		},
		Subject: reconcile.Subject{Order: "42", PlacedAt: w.clock.Now()},
	}
}

func (w *world) send(in mail.SendInput) (reconcile.Message, error) {
	w.t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(w.activities)
	value, err := env.ExecuteActivity(w.activities.SendMail, repair.Write[mail.SendInput]{Request: in})
	var m reconcile.Message
	if err == nil {
		err = value.Get(&m)
	}
	return m, err
}

// sent fails the test unless the provider took so many messages of the order.
func (w *world) sent(want int) {
	w.t.Helper()
	entries, err := w.server.Frame().Ledger(0, "42")
	if err != nil {
		w.t.Fatal(err)
	}
	got := 0
	for _, e := range entries {
		if e.Kind == simulator.EntryEffect {
			got++
		}
	}
	if got != want {
		w.t.Errorf("%d messages were sent; want %d: %+v", got, want, entries)
	}
}

// refused fails the test unless the engine is told not to try again, and why.
func refused(t *testing.T, err error, reason string) {
	t.Helper()
	var e *temporal.ApplicationError
	if !errors.As(err, &e) || !e.NonRetryable() || apierr.CodeOf(err) != apierr.Declined || apierr.ReasonOf(err) != reason {
		t.Errorf("error is %v; want a refusal for good, because of %s", err, reason)
	}
}

// A backlog is not mailed out: a day after its event a message is refused for
// good, and the order goes on without it.
func TestSendMail_DayAfterItsEvent_RefusedForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulated.Settings{})
	in := w.input()
	w.clock.now = in.Due.Add(smtp.MaxAge + time.Second)
	_, err := w.send(in)
	refused(t, err, "too_late")
	in.LookFirst = true
	_, err = w.send(in)
	refused(t, err, "too_late")
	w.sent(0)
	w.clock.now, in.LookFirst = in.Due.Add(smtp.MaxAge), false
	if _, err := w.send(in); err != nil {
		t.Errorf("error is %v at the last moment", err)
	}
	w.sent(1)
}

// What was sent in time stays sent, however late somebody asks.
func TestSendMail_FoundInTheJournal_NotSentAgain(t *testing.T) {
	t.Parallel()
	for _, later := range []time.Duration{time.Minute, smtp.MaxAge + time.Hour} {
		w := newWorld(t, simulated.Settings{})
		in := w.input()
		first, err := w.send(in)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.now = w.clock.now.Add(later)
		in.LookFirst = true
		again, err := w.send(in)
		if err != nil || again.MessageID != first.MessageID {
			t.Errorf("%s later: message is %+v, %v; want %s", later, again, err, first.MessageID)
		}
		w.sent(1)
	}
}

// The answer was lost and the journal shows the message only a while after: it is
// looked for twice.
func TestSendMail_JournalLags_SecondLookFindsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulated.Settings{SearchLag: smtp.Abilities.VisibilityLag})
	if _, err := w.server.Frame().Inject(simulator.Fault{Operation: order.Send, Kind: simulator.ResponseLost}); err != nil {
		t.Fatal(err)
	}
	in := w.input()
	if _, err := w.send(in); apierr.CodeOf(err) != apierr.InDoubt {
		t.Fatalf("error is %v; want in doubt", err)
	}
	in.LookFirst = true
	if m, err := w.send(in); err != nil || m.Template != reconcile.MailRefund || m.Occasion != 1 {
		t.Errorf("message is %+v, %v", m, err)
	}
	w.sent(1)
	if len(w.clock.waits) != 1 || w.clock.waits[0] != smtp.Abilities.VisibilityLag {
		t.Errorf("waits are %v; want one visibility lag", w.clock.waits)
	}
}

// The engine's own retry carries the same input as the first attempt, and looks
// first all the same.
func TestSendMail_AnswerLost_RetryOfTheEngineLooksFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulated.Settings{})
	if _, err := w.server.Frame().Inject(simulator.Fault{Operation: order.Send, Kind: simulator.ResponseLost}); err != nil {
		t.Fatal(err)
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(w.activities)
	env.ExecuteWorkflow(func(ctx workflow.Context) (m reconcile.Message, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		err = workflow.ExecuteActivity(ctx, w.activities.SendMail, repair.Write[mail.SendInput]{Request: w.input()}).Get(ctx, &m)
		return m, err
	})
	var m reconcile.Message
	if err := env.GetWorkflowResult(&m); err != nil || m.Template != reconcile.MailRefund {
		t.Errorf("message is %+v, %v", m, err)
	}
	w.sent(1)
}

// retried sends in a workflow, as the engine does: again after each attempt that
// failed, with what the attempt before told.
func (w *world) retried(in mail.SendInput) (m reconcile.Message, err error) {
	w.t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{repair.Doubts()}})
	env.RegisterActivity(w.activities)
	env.ExecuteWorkflow(func(ctx workflow.Context) (m reconcile.Message, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		err = workflow.ExecuteActivity(ctx, w.activities.SendMail, repair.Write[mail.SendInput]{Request: in}).Get(ctx, &m)
		return m, err
	})
	return m, errors.Join(env.GetWorkflowError(), env.GetWorkflowResult(&m))
}

// Without a journal nobody can look; but what a provider certainly did not take
// needs no looking for, and goes out when it does.
func TestSendMail_WithoutJournal_SentAgainWhereNoneWentOut(t *testing.T) {
	t.Parallel()
	for kind, refuses := range map[simulator.FaultKind]bool{
		simulator.Refused: false, simulator.Unavailable: false, simulator.Unauthorized: false,
		simulator.ResponseLost: true, simulator.ResponseError: true,
	} {
		w := newWorld(t, simulated.Settings{})
		w.activities.Journal = false
		if _, err := w.server.Frame().Inject(simulator.Fault{Operation: order.Send, Kind: kind}); err != nil {
			t.Fatal(err)
		}
		m, err := w.retried(w.input())
		if refuses {
			refused(t, err, mail.NoJournalReason)
		} else if err != nil || m.Template != reconcile.MailRefund {
			t.Errorf("%s: message is %+v, %v", kind, m, err)
		}
		w.sent(1)
	}
}

// The next call of an intent is told whether all before it came to nothing.
func TestSendMail_WithoutJournal_LaterCall_SentWhereNoneWentOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulated.Settings{})
	w.activities.Journal = false
	in := w.input()
	in.LookFirst, in.Unsent = true, true
	if _, err := w.send(in); err != nil {
		t.Error(err)
	}
	w.sent(1)
}

// Another occasion of the same template is another message.
func TestSendMail_AnotherOccasion_IsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulated.Settings{})
	if _, err := w.send(w.input()); err != nil {
		t.Fatal(err)
	}
	second := w.input()
	second.Key, second.Occasion, second.LookFirst = order.Intent{Order: "42", Operation: order.Send, N: 2}.Key(), 2, true
	if _, err := w.send(second); err != nil {
		t.Fatal(err)
	}
	w.sent(2)
}

// Nobody can know whether it was sent, so it is not sent again.
func TestSendMail_InDoubtWithoutJournal_NotSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simulated.Settings{})
	w.activities.Journal = false
	in := w.input()
	in.LookFirst = true
	_, err := w.send(in)
	refused(t, err, mail.NoJournalReason)
	w.sent(0)
}
