package smtp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

func TestSend_IsFoundInTheJournal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		id := w.id("a.b_c-1")
		sent := w.send(t, w.request(id, 1))
		var found []reconcile.Message
		w.eventually(t, "the message", func() bool { found = w.lookup(t, id); return len(found) == 1 })
		sent.At, found[0].At = time.Time{}, time.Time{}
		if diff := cmp.Diff(sent, found[0]); diff != "" {
			t.Fatalf("found another message than was sent (-sent +found):\n%s", diff)
		}
		if !strings.HasPrefix(sent.MessageID, "<order.") || !strings.HasSuffix(sent.MessageID, "a_2Eb_5Fc-1.send.1@shop.test>") {
			t.Fatalf("Message-ID is %s", sent.MessageID)
		}
	})
}

func TestSend_CustomerAndJournal_OneEffect(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	sent := w.send(t, w.request("42", 1))
	if diff := cmp.Diff(map[string]int{"jane@customer.test": 1, journalAddress: 1}, w.mailboxes(t, "42")); diff != "" {
		t.Fatal(diff)
	}
	w.effects(t, "42", 1)
	e := w.entries(t, simulator.EntryEffect, "42")[0]
	if e.Key != "order/42/send/1" || e.Record != sent.MessageID || e.Detail != "confirmation" || e.Operation != order.Send {
		t.Fatalf("ledger: %+v", e)
	}
}

// SMTP knows no keys: whoever sends twice has sent twice, and both are found.
func TestSend_Repeat_IsSentTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		id := w.id("twice")
		first, second := w.send(t, w.request(id, 1)), w.send(t, w.request(id, 1))
		if first.MessageID != second.MessageID {
			t.Fatalf("one key has two Message-IDs: %s, %s", first.MessageID, second.MessageID)
		}
		w.eventually(t, "both messages", func() bool { return len(w.lookup(t, id)) == 2 })
	})
}

func TestSend_ConcurrentOrders_OneEffectEach(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	ids := []order.ID{"1", "11", "111", "2", "12", "21"}
	var all sync.WaitGroup
	errs := make(chan error, len(ids))
	for _, id := range ids {
		all.Go(func() { errs <- w.handOver(context.Background(), w.request(id, 1)) })
	}
	all.Wait()
	for range ids {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		w.effects(t, id, 1)
		if got := w.lookup(t, id); len(got) != 1 {
			t.Fatalf("order %s: %v", id, got)
		}
	}
}

func TestSend_Faults_CodeAndEffects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    simulator.FaultKind
		want    apierr.Code // "": it works
		effects int
	}{
		{simulator.Refused, apierr.Unavailable, 0},
		{simulator.Unavailable, apierr.Unavailable, 0},
		{simulator.RateLimited, apierr.RateLimited, 0},
		{simulator.Unauthorized, apierr.Unauthorized, 0},
		{simulator.Rejected, apierr.Declined, 0},
		{simulator.ReplaysError, apierr.InDoubt, 0},
		{simulator.ResponseLost, apierr.InDoubt, 1},
		{simulator.ResponseError, apierr.InDoubt, 1},
		{simulator.Garbage, apierr.InDoubt, 1},
		{simulator.Twice, "", 2},
		{simulator.Vanishes, "", 1},
		{simulator.Partial, "", 1},
		{simulator.Stale, "", 1},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			t.Parallel()
			w := simulatedWorld(t, simulated.Settings{})
			w.inject(t, simulator.Fault{Operation: order.Send, Kind: c.kind, Order: "42"})
			w.send(t, w.request("41", 1)) // another order's fault is not ours
			_, err := w.client.Send(t.Context(), w.request("42", 1))
			if c.want == "" && err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				wantCode(t, err, c.want)
				if strings.Contains(err.Error(), "jane") {
					t.Fatalf("the error names the customer: %v", err)
				}
			}
			w.effects(t, "42", c.effects)
			if f := w.server.Frame().Faults()[0]; f.Fired != 1 {
				t.Fatalf("the fault fired %d times", f.Fired)
			}
		})
	}
}

// After a lost or wrong answer the journal says that the message was sent, and
// it is not sent again.
func TestSend_InDoubt_LookFirst_OneEffect(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.FaultKind{simulator.ResponseLost, simulator.ResponseError, simulator.Garbage} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := simulatedWorld(t, simulated.Settings{})
			w.inject(t, simulator.Fault{Operation: order.Send, Kind: kind})
			_, err := w.client.Send(t.Context(), w.request("42", 1))
			wantCode(t, err, apierr.InDoubt)
			if err := w.handOver(t.Context(), w.request("42", 1)); err != nil {
				t.Fatal(err)
			}
			w.effects(t, "42", 1)
		})
	}
}

// What had no effect is sent at the second attempt.
func TestSend_NoEffect_LookFirst_OneEffect(t *testing.T) {
	t.Parallel()
	for _, kind := range []simulator.FaultKind{
		simulator.Refused, simulator.Unavailable, simulator.RateLimited, simulator.Unauthorized, simulator.ReplaysError,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := simulatedWorld(t, simulated.Settings{})
			w.inject(t, simulator.Fault{Operation: order.Send, Kind: kind})
			if _, err := w.client.Send(t.Context(), w.request("42", 1)); err == nil {
				t.Fatal("the fault did nothing")
			}
			if err := w.handOver(t.Context(), w.request("42", 1)); err != nil {
				t.Fatal(err)
			}
			w.effects(t, "42", 1)
		})
	}
}

// A message that lands after we gave up is absent first, and found once the
// declared lateness is over.
func TestSend_Late_FoundAfterLateness(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{}, func(c *smtp.Config) { c.Timeout = 300 * time.Millisecond })
	w.inject(t, simulator.Fault{Operation: order.Send, Kind: simulator.Late, Delay: time.Minute})
	_, err := w.client.Send(t.Context(), w.request("42", 1))
	wantCode(t, err, apierr.InDoubt)
	if name := <-w.clock.scheduled; name != "mail.late.send" {
		t.Fatalf("scheduled %s", name)
	}
	w.effects(t, "42", 0)
	w.clock.advance(smtp.Abilities.Lateness)
	w = w.with(t, func(c *smtp.Config) { c.Timeout = smtp.DefaultTimeout }) // this time without impatience
	if err := w.handOver(t.Context(), w.request("42", 1)); err != nil {
		t.Fatal(err)
	}
	w.effects(t, "42", 1)
}

// The connection is lost when the whole message is on its way: it may have
// been taken or not. Whatever the provider did, looking first leaves one.
func TestSend_CutAfterTheDot_OneMessage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		r := w.request(w.id("cut"), 1)
		broken := w.with(t, func(c *smtp.Config) {
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
				return &cutAfterMessage{Conn: conn}, err
			}
		})
		_, err := broken.client.Send(t.Context(), r)
		wantCode(t, err, apierr.InDoubt)
		w.settle(t)
		for range 2 { // the second must never send
			if err := w.handOver(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			w.settle(t)
		}
		if got := w.lookup(t, r.Order); len(got) != 1 {
			t.Fatalf("the journal has %v", got)
		}
	})
}

// cutAfterMessage hangs up when the message was written and an answer is
// awaited. Under TLS a message is the second write that is long: the first is
// the client's hello.
type cutAfterMessage struct {
	net.Conn
	long int
}

func (c *cutAfterMessage) Write(p []byte) (int, error) {
	if len(p) > 600 {
		c.long++
	}
	return c.Conn.Write(p)
}

func (c *cutAfterMessage) Read(p []byte) (int, error) {
	if c.long >= 2 {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return c.Conn.Read(p)
}

// The envelope names one customer; when the provider refuses that address
// nothing goes out, to the journal neither.
func TestSend_CustomerRefused_JournalGetsNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for to, want := range map[string]apierr.Code{
			"unknown@customer.test": apierr.Declined, "tempfail@customer.test": apierr.Unavailable,
		} {
			r := w.request(w.id("refused"), 1)
			r.To = to
			_, err := w.client.Send(t.Context(), r)
			wantCode(t, err, want)
		}
		w.settle(t)
		if got := w.lookup(t, w.id("refused")); len(got) != 0 {
			t.Fatalf("the journal has %v", got)
		}
	})
}

func TestSend_JournalRefused_NotSent(t *testing.T) {
	t.Parallel()
	for _, c := range []simulated.Settings{{Unknown: []string{journalAddress}}, {Deferred: []string{journalAddress}}} {
		w := simulatedWorld(t, c)
		_, err := w.client.Send(t.Context(), w.request("42", 1))
		wantCode(t, err, apierr.Unavailable)
		w.effects(t, "42", 0)
	}
}

// A relay that will not work for us says so of each customer. None of them has a bad
// address, and their mail waits until a person has mended it.
func TestSend_RelayDeniesUs_SentWhenItIsMended(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	w.server.DenyRelay(true)
	for range 2 {
		_, err := w.client.Send(t.Context(), w.request("42", 1))
		wantCode(t, err, apierr.Unauthorized)
	}
	w.effects(t, "42", 0)
	w.server.DenyRelay(false)
	w.send(t, w.request("42", 1))
	w.effects(t, "42", 1)
}

// What a server refuses for good is the customer's address or the message, unless it
// says that it is us: then no order is to blame.
func TestSend_RefusedForGood_ByWhatIsRefused(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]apierr.Code{
		"554 5.7.1 Relay access denied":   apierr.Unauthorized,
		"550 5.7.26 Unauthenticated mail": apierr.Unauthorized,
		"550 5.1.1 No such user":          apierr.Declined,
		"552 5.2.2 Mailbox full":          apierr.Declined,
		"550 5.6.0 What is this":          apierr.Declined,
		"550 No such user here":           apierr.Declined,
	} {
		for _, at := range []string{"RCPT", "DATA", "."} {
			c := scripted(t, at, answer)
			_, err := c.Send(t.Context(), mail.SendRequest{
				Key: "order/42/send/1", Order: "42", Template: reconcile.MailRefund, Occasion: 1, To: "jane@customer.test",
				Due: time.Now(), Content: mail.Content{Amount: order.Amount{Minor: 2000, Currency: "EUR"}},
			})
			if err == nil || apierr.CodeOf(err) != want {
				t.Errorf("%s at %s: got %v, want %s", answer, at, err, want)
			}
		}
	}
}

// scripted returns a client of a server that gives one answer at one stage, and
// agrees to everything else.
func scripted(t *testing.T, at, answer string) *smtp.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		say := func(s string) { _, _ = io.WriteString(conn, s+"\r\n") }
		say("220 mail.test")
		letter := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			command, _, _ := strings.Cut(lines.Text(), " ")
			switch {
			case letter && command != ".":
			case command == at:
				letter = false
				say(answer)
			case command == "DATA":
				letter = true
				say("354 Go ahead")
			default:
				letter = false
				say("250 2.0.0 Fine")
			}
		}
	}()
	c, err := smtp.New(smtp.Config{
		SMTPAddress: l.Addr().String(), SMTPSecurity: smtp.Off, From: sender, ShopName: "The Shop", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSend_WithoutJournal(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{}, func(c *smtp.Config) { c.Journal, c.IMAPAddress = "", "" })
	w.send(t, w.request("42", 1))
	if diff := cmp.Diff(map[string]int{"jane@customer.test": 1}, w.mailboxes(t, "42")); diff != "" {
		t.Fatal(diff)
	}
	_, err := w.client.Lookup(t.Context(), w.subject("42"))
	wantCode(t, err, apierr.Unavailable)
	_, err = w.client.List(t.Context(), reconcile.ListRequest{})
	wantCode(t, err, apierr.Unavailable)
}

func TestSend_TooLate_Declined(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	r := w.request("42", 1)
	w.clock.advance(smtp.MaxAge)
	w.send(t, r) // exactly a day is not older than a day
	w.clock.advance(time.Nanosecond)
	_, err := w.client.Send(t.Context(), r)
	wantCode(t, err, apierr.Declined)
	if apierr.ReasonOf(err) != "too_late" {
		t.Fatalf("reason is %q", apierr.ReasonOf(err))
	}
	w.effects(t, "42", 1)
}

// How late a message may be is for its sender to say, more or less than a day.
func TestSend_TooLate_AsItsSenderSays(t *testing.T) {
	t.Parallel()
	for _, within := range []time.Duration{time.Hour, 2 * smtp.MaxAge} {
		w := simulatedWorld(t, simulated.Settings{})
		r := w.request("42", 1)
		r.Until = r.Due.Add(within)
		w.clock.advance(within)
		w.send(t, r)
		w.clock.advance(time.Nanosecond)
		if _, err := w.client.Send(t.Context(), r); apierr.ReasonOf(err) != "too_late" || !strings.Contains(err.Error(), within.String()) {
			t.Errorf("within %s: error is %v", within, err)
		}
		w.effects(t, "42", 1)
	}
}

func TestSend_BadRequest_NothingIsSent(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for name, c := range map[string]struct {
		change func(*mail.SendRequest)
		want   apierr.Code
	}{
		"key of another order": {func(r *mail.SendRequest) { r.Key = "order/43/send/1" }, apierr.Invalid},
		"no key":               {func(r *mail.SendRequest) { r.Key = "" }, apierr.Invalid},
		"unknown template":     {func(r *mail.SendRequest) { r.Template = "newsletter" }, apierr.Invalid},
		"unknown kind":         {func(r *mail.SendRequest) { r.Content.Kind = "stok" }, apierr.Invalid},
		"header in what lacks": {func(r *mail.SendRequest) { r.Content.Missing = []order.LineShare{{SKU: "A\nB"}} }, apierr.Invalid},
		"header in the rest":   {func(r *mail.SendRequest) { r.Content.Rest = []order.LineShare{{SKU: "A\nB"}} }, apierr.Invalid},
		"no occasion":          {func(r *mail.SendRequest) { r.Occasion = 0 }, apierr.Invalid},
		"never due":            {func(r *mail.SendRequest) { r.Due = time.Time{} }, apierr.Invalid},
		"header in the name":   {func(r *mail.SendRequest) { r.Name = "Jane\r\nBcc: all@customer.test" }, apierr.Invalid},
		"header in the sku":    {func(r *mail.SendRequest) { r.Content.Lines[0].SKU = "A\r\n.\r\n" }, apierr.Invalid},
		"script for a link":    {func(r *mail.SendRequest) { r.Content.Link = "javascript:alert(1)" }, apierr.Invalid},
		"two addresses":        {func(r *mail.SendRequest) { r.To = "jane@customer.test, joe@customer.test" }, apierr.Declined},
		"address with a name":  {func(r *mail.SendRequest) { r.To = "Jane <jane@customer.test>" }, apierr.Declined},
		"address with a line":  {func(r *mail.SendRequest) { r.To = "jane@customer.test\r\nRCPT TO:<joe@customer.test>" }, apierr.Declined},
		"no address":           {func(r *mail.SendRequest) { r.To = "" }, apierr.Declined},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request("42", 1)
			c.change(&r)
			_, err := w.client.Send(t.Context(), r)
			wantCode(t, err, c.want)
		})
	}
	w.effects(t, "", 0)
}

func TestSend_DotsAndLines_ArriveAsWritten(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	r := w.request("42", 1)
	r.Template = reconcile.MailQuestion
	r.Name = "Jörg \"J\" Ünal"
	r.Content.Question = "First.\r\n.\r\nSubject: not a header\nÄnd a long one: " + strings.Repeat("word ", 60)
	w.send(t, r)
	w.effects(t, "42", 1)
	all, err := w.server.Messages("42")
	if err != nil {
		t.Fatal(err)
	}
	subject, text := read(t, all[0].Raw)
	if want := "The Shop: a question about your order 42"; subject != want {
		t.Errorf("subject is %q, want %q", subject, want)
	}
	if want := "First.\r\n.\r\nSubject: not a header\r\nÄnd a long one: word "; !strings.Contains(text, want) {
		t.Errorf("text is\n%s", text)
	}
	if !strings.HasPrefix(text, "Hello Jörg \"J\" Ünal,\r\n") {
		t.Errorf("greeting in\n%s", text)
	}
}

// An address beyond ASCII is sent to a server that takes such addresses.
func TestSend_AddressBeyondASCII(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		r := w.request(w.id("utf8"), 1)
		r.To = "jörg@customer.test"
		w.send(t, r)
		w.eventually(t, "the message", func() bool { return len(w.lookup(t, r.Order)) == 1 })
	})
}

// Whoever is customer and journal at once gets one copy.
func TestSend_ToTheJournalItself_OneCopy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		r := w.request(w.id("self"), 1)
		r.To = journalAddress
		w.send(t, r)
		w.eventually(t, "the message", func() bool { return len(w.lookup(t, r.Order)) > 0 })
		w.settle(t)
		if got := w.lookup(t, r.Order); len(got) != 1 {
			t.Fatalf("the journal has %v", got)
		}
	})
}

func TestSend_TooLarge_Declined(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		r := w.request(w.id("large"), 1)
		r.Template = reconcile.MailQuestion
		r.Content.Question = strings.Repeat("word ", 9<<18)
		_, err := w.client.Send(t.Context(), r)
		wantCode(t, err, apierr.Declined)
	})
}

func TestSend_NobodyListens_Unavailable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	w := simulatedWorld(t, simulated.Settings{}, func(c *smtp.Config) { c.SMTPAddress, c.IMAPAddress = l.Addr().String(), l.Addr().String() })
	_, err = w.client.Send(t.Context(), w.request("42", 1))
	wantCode(t, err, apierr.Unavailable)
	_, err = w.client.Lookup(t.Context(), w.subject("42"))
	wantCode(t, err, apierr.Unavailable)
}

// Neither a password nor an order is told to a server that is not encrypted or
// that we do not know.
func TestSend_NotSecure_NothingIsTold(t *testing.T) {
	t.Parallel()
	trustsOthers := func(c *smtp.Config) { c.TLS = &tls.Config{RootCAs: nil} }
	login := func(c *smtp.Config) { c.User, c.Password = "shop", "secret" }
	for _, w := range []world{
		simulatedWorld(t, simulated.Settings{SMTPUser: "shop", SMTPPassword: "secret"}, trustsOthers, login),
		simulatedWorld(t, simulated.Settings{SMTPUser: "shop", SMTPPassword: "secret", NoSTARTTLS: true}, login),
	} {
		_, err := w.client.Send(t.Context(), w.request("42", 1))
		wantCode(t, err, apierr.Unavailable)
		_, err = w.client.Lookup(t.Context(), w.subject("42"))
		wantCode(t, err, apierr.Unavailable)
		if got := w.entries(t, simulator.EntryRequest, ""); len(got) != 0 {
			t.Fatalf("requests came: %+v", got)
		}
	}
}

func TestSend_Login(t *testing.T) {
	t.Parallel()
	settings := simulated.Settings{SMTPUser: "shop", SMTPPassword: "secret"}
	with := func(user, password string) func(*smtp.Config) {
		return func(c *smtp.Config) { c.User, c.Password = user, password }
	}
	w := simulatedWorld(t, settings, with("shop", "secret"))
	w.send(t, w.request("42", 1))
	for _, w := range []world{simulatedWorld(t, settings, with("shop", "wrong")), simulatedWorld(t, settings)} {
		_, err := w.client.Send(t.Context(), w.request("42", 1))
		wantCode(t, err, apierr.Unauthorized)
		w.effects(t, "42", 0)
	}
}

func TestSend_ContextEnds_Unavailable(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.client.Send(ctx, w.request("42", 1))
	wantCode(t, err, apierr.Unavailable)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	w.effects(t, "42", 0)
}

// In a virtual-time universe the connections are pipes, and a late message
// costs no time.
func TestSend_Universe_Pipes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, err := simulated.New(simulator.Options{}, simulated.Settings{Journal: journalAddress, SearchLag: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		dial := func(_ context.Context, _, address string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			if address == "127.0.0.1:25" {
				go server.SMTPConn(theirs)
			} else {
				go server.IMAPConn(theirs)
			}
			return ours, nil
		}
		config := smtp.Config{
			SMTPAddress: "127.0.0.1:25", SMTPSecurity: smtp.Off, IMAPAddress: "127.0.0.1:143", IMAPSecurity: smtp.Off,
			IMAPUser: "journal", IMAPPassword: "journal", From: sender, ShopName: "The Shop", Journal: journalAddress,
			Now: simulator.RealClock{}.Now, Dial: dial,
		}
		client, err := smtp.New(config)
		if err != nil {
			t.Fatal(err)
		}
		w := world{client: client, config: config, server: server}
		w.inject(t, simulator.Fault{Operation: order.Send, Kind: simulator.Late, Delay: time.Minute})
		_, err = client.Send(t.Context(), w.request("42", 1))
		wantCode(t, err, apierr.InDoubt)
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		w.effects(t, "42", 1)
		if got := w.lookup(t, "42"); len(got) != 0 {
			t.Fatalf("the journal shows it at once: %v", got)
		}
		time.Sleep(time.Minute)
		if got := w.lookup(t, "42"); len(got) != 1 {
			t.Fatalf("the journal shows %v", got)
		}
	})
}
