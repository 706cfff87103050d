package smtp_test

import (
	"io"
	"strings"
	"testing"

	gomail "github.com/emersion/go-message/mail"
	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

// read parses a message with another program than wrote it.
func read(t *testing.T, raw string) (subject, text string) {
	t.Helper()
	r, err := gomail.CreateReader(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if subject, err = r.Header.Subject(); err != nil {
		t.Fatal(err)
	}
	part, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(part.Body)
	if err != nil {
		t.Fatal(err)
	}
	return subject, string(body)
}

func TestCompose_WholeMessage(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	w.send(t, w.request("42", 1))
	all, err := w.server.Messages("42")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, _ := strings.Cut(all[0].Raw, "Date:")
	want := `Date: Sun, 22 Nov 2026 09:30:00 +0000
From: "The Shop" <orders@shop.test>
To: "Jane Doe" <jane@customer.test>
Subject: The Shop: your order 42
Message-Id: <order.42.send.1@shop.test>
Auto-Submitted: auto-generated
X-Trueup-Order: 42
X-Trueup-Key: order/42/send/1
X-Trueup-Template: confirmation
X-Trueup-Occasion: 1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Mime-Version: 1.0

Hello Jane Doe,

thank you for your order 42. We have it and are getting it ready.

  2 x MUG-RED  28.56 EUR
  1 x TEE-M  19.99 EUR

Total: 48.55 EUR

We write again when it is on its way.

The Shop
`
	if diff := cmp.Diff(want, strings.ReplaceAll("Date:"+ours, "\r\n", "\n")); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestCompose_EveryTemplate(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for i, name := range []reconcile.Template{
		reconcile.MailConfirmation, reconcile.MailShipped, reconcile.MailCancellation, reconcile.MailRefund, reconcile.MailQuestion,
	} {
		id := order.ID("t" + string(name))
		r := w.request(id, i+1)
		r.Template = name
		r.Content.Amount = order.Amount{Minor: 500, Currency: "JPY"}
		r.Content.Tracking, r.Content.Link, r.Content.Question = "1Z999", "https://shop.test/o/42?a=b&c=d", "Red or blue?"
		w.send(t, r)
		r.Occasion, r.Content, r.Name = 99, w.request(id, 1).Content, ""
		r.Content.Lines, r.Content.Amount = nil, order.Amount{}
		w.send(t, r)
		all, err := w.server.Messages(id)
		if err != nil {
			t.Fatal(err)
		}
		subject, text := read(t, all[0].Raw)
		if !strings.Contains(subject, string(id)) || !strings.Contains(text, "500 JPY") || !strings.Contains(text, "2 x MUG-RED") {
			t.Errorf("%s: %s\n%s", name, subject, text)
		}
		_, bare := read(t, all[1].Raw)
		if strings.Contains(bare, "\r\n\r\n\r\n") || strings.Contains(text, "\r\n\r\n\r\n") || strings.Contains(bare, "<no value>") || !strings.HasPrefix(bare, "Hello,\r\n") {
			t.Errorf("%s without anything:\n%s\n%s", name, bare, text)
		}
	}
}

func TestNew_NamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := smtp.New(smtp.Config{
		SMTPSecurity: "maybe", SMTPAddress: "mail.example.com:25", IMAPAddress: "imap.example.com:143",
		IMAPSecurity: smtp.Off, User: "shop", Timeout: -1,
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{
		"SMTPSecurity", "IMAPSecurity", "Password", "From", "ShopName", "Journal", "IMAPUser", "IMAPPassword", "Now", "Timeout",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in: %v", want, err)
		}
	}
}
