package mail_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

func open(t *testing.T, o simulator.Options, settings mail.Settings) *mail.Server {
	t.Helper()
	s, err := mail.New(o, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// handOver sends a message as a program would that knows nothing of envelope
// ids, over a pipe.
func handOver(t *testing.T, s *mail.Server, id, to string) error {
	t.Helper()
	ours, theirs := net.Pipe()
	go s.SMTPConn(theirs)
	c := gosmtp.NewClient(ours)
	defer func() { _ = c.Close() }()
	return c.SendMail("other@shop.test", []string{to, "journal@shop.test"}, strings.NewReader(
		"Message-ID: <"+id+"@x>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Trueup-Order: "+id+"\r\nX-Trueup-Key: order/"+id+"/send/1\r\n\r\nHello "+id+".\r\n"))
}

func journal(t *testing.T, s *mail.Server) *imapclient.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	go s.IMAPConn(theirs)
	c := imapclient.New(ours, nil)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login("journal", "journal").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that does not name its intent in the envelope suffers every fault
// at the final dot, also one that is meant for an order.
func TestSMTP_WithoutEnvelopeID_FaultAtTheDot(t *testing.T) {
	t.Parallel()
	for kind, c := range map[simulator.FaultKind]struct{ code, effects int }{
		simulator.Refused: {0, 0}, simulator.Unavailable: {421, 0}, simulator.RateLimited: {451, 0},
		simulator.Unauthorized: {530, 0}, simulator.Rejected: {550, 0}, simulator.ReplaysError: {451, 0},
		simulator.ResponseLost: {0, 1}, simulator.ResponseError: {451, 1},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := open(t, simulator.Options{}, mail.Settings{})
			if _, err := s.Frame().Inject(simulator.Fault{Operation: order.Send, Kind: kind, Order: "42"}); err != nil {
				t.Fatal(err)
			}
			if err := handOver(t, s, "41", "jane@customer.test"); err != nil {
				t.Fatal(err)
			}
			err := handOver(t, s, "42", "jane@customer.test")
			code := 0
			if e, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
				code = e.Code
			}
			if err == nil || code != c.code {
				t.Fatalf("answer is %v, want %d", err, c.code)
			}
			entries, err := s.Frame().Ledger(0, "42")
			if err != nil {
				t.Fatal(err)
			}
			effects := 0
			for _, e := range entries {
				if e.Kind == simulator.EntryEffect {
					effects++
				}
				if e.Kind == simulator.EntryRequest && (e.Status != c.code || e.Fault != kind || e.Key != "order/42/send/1") {
					t.Errorf("ledger: %+v", e)
				}
			}
			if effects != c.effects {
				t.Fatalf("%d effects, want %d", effects, c.effects)
			}
		})
	}
}

func TestIMAP_AnyClient(t *testing.T) {
	t.Parallel()
	s := open(t, simulator.Options{}, mail.Settings{})
	for _, id := range []string{"1", "2", "3"} {
		if err := handOver(t, s, id, "jane@customer.test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Change(mail.Change{Do: "delete", UID: 2}); err != nil {
		t.Fatal(err)
	}
	c := journal(t, s)
	selected, err := c.Select("inbox", nil).Wait()
	if err != nil || selected.NumMessages != 2 || selected.UIDNext != 4 {
		t.Fatalf("selected %+v, %v", selected, err)
	}
	found, err := c.Search(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}, Body: []string{"hello 3"}}, nil).Wait()
	if err != nil || !cmp.Equal(found.AllSeqNums(), []uint32{2}) {
		t.Fatalf("found %v, %v", found, err)
	}
	whole := &imap.FetchItemBodySection{}
	fetched, err := c.Fetch(imap.SeqSetNum(2), &imap.FetchOptions{
		Envelope: true, Flags: true, RFC822Size: true, BodyStructure: &imap.FetchItemBodyStructure{}, BodySection: []*imap.FetchItemBodySection{whole},
	}).Collect()
	if err != nil || len(fetched) != 1 {
		t.Fatalf("fetched %v, %v", fetched, err)
	}
	m := fetched[0]
	raw := string(m.FindBodySection(whole))
	if m.UID != 3 || m.Envelope.Subject != "Grüße" || m.Envelope.MessageID != "3@x" || !strings.HasSuffix(raw, "\r\n\r\nHello 3.\r\n") ||
		!strings.HasPrefix(raw, "Return-Path: <other@shop.test>\r\nReceived: ") || m.RFC822Size != int64(len(raw)) {
		t.Fatalf("message: %+v\n%s", m, raw)
	}
	// What came and went is told when the client asks, and its numbers hold until then.
	if err := s.Change(mail.Change{Do: "delete", UID: 1}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"4", "5"} {
		if err := handOver(t, s, id, "jane@customer.test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	if n := c.Mailbox().NumMessages; n != 3 {
		t.Fatalf("%d messages after a noop", n)
	}
	if _, err := c.Expunge().Collect(); err == nil {
		t.Fatal("the journal was changed")
	}
	if boxes, err := c.List("", "*", nil).Collect(); err != nil || len(boxes) != 1 || boxes[0].Mailbox != "INBOX" {
		t.Fatalf("mailboxes: %v, %v", boxes, err)
	}
	if status, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true, UIDNext: true}).Wait(); err != nil || *status.NumMessages != 3 {
		t.Fatalf("status: %v, %v", status, err)
	}
}

// The mailboxes and their UIDs outlive the server.
func TestServer_Reopened(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mail.db")
	s := open(t, simulator.Options{Database: file}, mail.Settings{})
	if err := handOver(t, s, "42", "jane@customer.test"); err != nil {
		t.Fatal(err)
	}
	before, err := s.Messages("")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Change(mail.Change{Do: "delete", UID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, simulator.Options{Database: file}, mail.Settings{})
	if err := handOver(t, s, "42", "jane@customer.test"); err != nil {
		t.Fatal(err)
	}
	after, err := s.Messages("")
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != 2 || len(after) != 3 || after[2].Mailbox != "journal@shop.test" || after[2].UID != 2 {
		t.Fatalf("before %+v\nafter %+v", before, after)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	s := open(t, simulator.Options{}, mail.Settings{})
	console := httptest.NewServer(simulator.Console(s))
	t.Cleanup(console.Close)
	post := func(path, body string) int {
		r, err := http.Post(console.URL+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		return r.StatusCode
	}
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/edit", `{"do": "put", "order": "42", "template": "refund", "from": "crm@shop.test", "age": "30h"}`, 200},
		{"/event", `{"order": "42", "template": "shipped", "occasion": 2, "mailbox": "Jane@customer.test"}`, 200},
		{"/event", `{"raw": "no message at all"}`, 200},
		{"/edit", `{"do": "delete", "order": "42", "template": "refund"}`, 200},
		{"/edit", `{"do": "delete", "order": "42", "template": "refund"}`, 404},
		{"/edit", `{"do": "delete"}`, 400},
		{"/edit", `{"do": "burn"}`, 400},
		{"/edit", `{"do": "put", "age": "long"}`, 400},
		{"/edit", `{"do": "put", "colour": "red"}`, 400},
	} {
		if got := post(c.path, c.body); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.path, c.body, got, c.want)
		}
	}
	r, err := http.Get(console.URL + "/state?order=42")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	state, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(state), `"mailbox":"jane@customer.test"`) || strings.Contains(string(state), "refund") {
		t.Fatalf("state: %s, %v", state, err)
	}
	entries, err := s.Frame().Ledger(0, "42")
	if err != nil || len(entries) != 3 || entries[0].Kind != simulator.EntryEdit {
		t.Fatalf("ledger: %+v, %v", entries, err)
	}
}

func TestServer_Closed_ServesNobody(t *testing.T) {
	t.Parallel()
	s := open(t, simulator.Options{}, mail.Settings{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServeSMTP(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	greeting := make([]byte, 4)
	if _, err := io.ReadFull(c, greeting); err != nil || string(greeting) != "220 " {
		t.Fatalf("greeting %q, %v", greeting, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if rest, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the connection says %q and ends with %v", rest, err)
	}
}
