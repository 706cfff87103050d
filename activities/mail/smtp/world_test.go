package smtp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

const journalAddress = "journal@shop.test"

var sender = netmail.Address{Name: "The Shop", Address: "orders@shop.test"}

// clock stands still until a test moves it.
type clock struct {
	mu        sync.Mutex
	now       time.Time
	due       []job
	scheduled chan string
}

type job struct {
	at time.Time
	f  func()
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 22, 9, 30, 0, 500_000_000, time.UTC), scheduled: make(chan string, 16)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration, name string, f func()) {
	c.mu.Lock()
	c.due = append(c.due, job{c.now.Add(d), f})
	c.mu.Unlock()
	c.scheduled <- name
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	now := c.now
	var run []job
	c.due = slices.DeleteFunc(c.due, func(j job) bool {
		if j.at.After(now) {
			return false
		}
		run = append(run, j)
		return true
	})
	c.mu.Unlock()
	for _, j := range run {
		j.f()
	}
}

// world is an adapter and what it talks to: the simulated provider, or a real
// one.
type world struct {
	client *smtp.Client
	config smtp.Config
	server *simulated.Server // nil: a real one
	clock  *clock            // nil: the real one
	prefix string            // of order ids, for a mailbox that others used before
}

func (w world) id(s string) order.ID { return order.ID(w.prefix + s) }

func (w world) now() time.Time { return w.config.Now() }

// settle waits until whatever was sent before is in the journal, by sending a
// message after it.
func (w world) settle(t *testing.T) {
	t.Helper()
	id := w.id("probe") + order.ID(strconv.FormatInt(probes.Add(1), 10))
	w.send(t, w.request(id, 1))
	w.eventually(t, "a later message", func() bool { return len(w.lookup(t, id)) == 1 })
}

var probes atomic.Int64

// with returns the same world with another configuration.
func (w world) with(t *testing.T, change func(*smtp.Config)) world {
	t.Helper()
	change(&w.config)
	client, err := smtp.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	return w
}

// occupy takes one session of the journal's user until it is released.
func (w world) occupy(t *testing.T) (release func()) {
	t.Helper()
	c, err := imapclient.DialStartTLS(w.config.IMAPAddress, &imapclient.Options{TLSConfig: w.config.TLS})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(w.config.IMAPUser, w.config.IMAPPassword).Wait(); err != nil {
		t.Fatal(err)
	}
	return func() { _ = c.Close() }
}

// eventually waits until the journal shows what was accepted.
func (w world) eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 200 {
		if done() {
			return
		}
		if w.server != nil {
			break // the simulated provider is never late by itself
		}
		select {
		case <-t.Context().Done():
		case <-time.After(100 * time.Millisecond): // nothing announces a delivery
		}
	}
	t.Fatalf("never came: %s", what)
}

func simulatedWorld(t *testing.T, settings simulated.Settings, change ...func(*smtp.Config)) world {
	t.Helper()
	c := newClock()
	if settings.Journal == "" {
		settings.Journal = journalAddress
	}
	server, err := simulated.New(simulator.Options{Clock: c}, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	config := smtp.Config{
		SMTPAddress: listen(t, server.ServeSMTP), IMAPAddress: listen(t, server.ServeIMAP),
		TLS: &tls.Config{RootCAs: server.Roots()}, IMAPUser: "journal", IMAPPassword: "journal",
		From: sender, ShopName: "The Shop", Journal: journalAddress, Now: c.Now,
	}
	for _, f := range change {
		f(&config)
	}
	client, err := smtp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return world{client: client, config: config, server: server, clock: c}
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

// each runs a test against the simulated provider, and against a real one when
// TRUEUP_REAL_SMTP and TRUEUP_REAL_IMAP give its addresses and TRUEUP_REAL_CA
// the file of its authority: testsuite/real/exim-dovecot.sh starts one.
func each(t *testing.T, f func(t *testing.T, w world)) {
	t.Helper()
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		f(t, simulatedWorld(t, simulated.Settings{
			Unknown: []string{"unknown@customer.test"}, Deferred: []string{"tempfail@customer.test", "tempfail@shop.test"},
		}))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		f(t, realWorld(t))
	})
}

func realWorld(t *testing.T) world {
	t.Helper()
	smtpAddress, imapAddress := os.Getenv("TRUEUP_REAL_SMTP"), os.Getenv("TRUEUP_REAL_IMAP")
	if smtpAddress == "" || imapAddress == "" {
		t.Skip("no real provider: TRUEUP_REAL_SMTP and TRUEUP_REAL_IMAP are not set")
	}
	pem, err := os.ReadFile(os.Getenv("TRUEUP_REAL_CA"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := smtp.Config{
		SMTPAddress: smtpAddress, IMAPAddress: imapAddress, TLS: &tls.Config{RootCAs: roots},
		IMAPUser: "journal", IMAPPassword: "journal", From: sender, ShopName: "The Shop",
		Journal: journalAddress, Now: simulator.RealClock{}.Now,
	}
	client, err := smtp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return world{client: client, config: config, prefix: fmt.Sprintf("T%d-", config.Now().UnixNano())}
}

func (w world) request(id order.ID, n int) mail.SendRequest {
	return mail.SendRequest{
		Key:   order.Intent{Order: id, Operation: order.Send, N: n}.Key(),
		Order: id, Template: reconcile.MailConfirmation, Occasion: n,
		To: "jane@customer.test", Name: "Jane Doe", Due: w.now(),
		Content: mail.Content{
			Lines: []order.LineShare{
				{Line: 1, SKU: "MUG-RED", Quantity: 2, UnitPrice: 1250, Gross: 2500, Discount: 100, Tax: 456},
				{Line: 2, SKU: "TEE-M", Quantity: 1, UnitPrice: 1999, Gross: 1999},
			},
			Amount: order.Amount{Minor: 4855, Currency: "EUR"},
		},
	}
}

func (w world) subject(id order.ID) reconcile.Subject {
	return reconcile.Subject{Order: id, PlacedAt: w.now()}
}

func (w world) send(t *testing.T, r mail.SendRequest) reconcile.Message {
	t.Helper()
	m, err := w.client.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w world) lookup(t *testing.T, id order.ID) []reconcile.Message {
	t.Helper()
	o, err := w.client.Lookup(t.Context(), w.subject(id))
	if err != nil {
		t.Fatal(err)
	}
	if (o.State == reconcile.Present) != (o.Mail != nil) || o.Order != id || o.Strong {
		t.Fatalf("observation %+v does not hang together", o)
	}
	if o.Mail == nil {
		return nil
	}
	return o.Mail.Messages
}

// handOver does what a caller does with a message that may have been sent:
// it looks first, and sends only when it is not there.
func (w world) handOver(ctx context.Context, r mail.SendRequest) error {
	o, err := w.client.Lookup(ctx, w.subject(r.Order))
	if err != nil {
		return err
	}
	if o.State == reconcile.Present {
		return nil
	}
	_, err = w.client.Send(ctx, r)
	return err
}

func (w world) inject(t *testing.T, f simulator.Fault) {
	t.Helper()
	if _, err := w.server.Frame().Inject(f); err != nil {
		t.Fatal(err)
	}
}

func (w world) entries(t *testing.T, kind simulator.EntryKind, id order.ID) []simulator.Entry {
	t.Helper()
	all, err := w.server.Frame().Ledger(0, id)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e simulator.Entry) bool { return e.Kind != kind })
}

func (w world) effects(t *testing.T, id order.ID, want int) {
	t.Helper()
	if got := w.entries(t, simulator.EntryEffect, id); len(got) != want {
		t.Fatalf("the ledger shows %d effects, want %d: %+v", len(got), want, got)
	}
}

// mailboxes returns how many messages of an order lie in each mailbox.
func (w world) mailboxes(t *testing.T, id order.ID) map[string]int {
	t.Helper()
	all, err := w.server.Messages(id)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, m := range all {
		n[m.Mailbox]++
	}
	return n
}

func wantCode(t *testing.T, err error, want apierr.Code) {
	t.Helper()
	if err == nil || apierr.CodeOf(err) != want {
		t.Fatalf("error is %v (%s), want %s", err, apierr.CodeOf(err), want)
	}
}
