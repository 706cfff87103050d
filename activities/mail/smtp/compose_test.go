package smtp_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gomail "github.com/emersion/go-message/mail"
	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
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

Thank you for your order 42. We have it and are getting it ready.

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

var update = flag.Bool("update", false, "write the texts in testdata anew")

func line(sku string, quantity, price, tax int64) order.LineShare {
	return order.LineShare{SKU: sku, Quantity: quantity, UnitPrice: price, Gross: quantity * price, Tax: tax}
}

// letters are the mails that a customer may get.
func letters(now time.Time) map[string]mail.SendRequest {
	mugs, tee := line("MUG-RED", 2, 1250, 475), line("TEE-M", 1, 1999, 380)
	euros := func(minor int64) order.Amount { return order.Amount{Minor: minor, Currency: "EUR"} }
	const link = "https://shop.test/o/42?a=b&c=d"
	until := now.Add(48*time.Hour + 59*time.Second)
	letter := func(name reconcile.Template, c mail.Content) mail.SendRequest {
		return mail.SendRequest{Template: name, Content: c}
	}
	all := func(lines ...order.LineShare) []order.LineShare { return lines }
	confirmation := letter(reconcile.MailConfirmation, mail.Content{
		Lines: all(mugs, tee), Shipping: 490, Discount: 500, Amount: euros(5344), Link: link,
	})
	return map[string]mail.SendRequest{
		"confirmation":              confirmation,
		"confirmation-bare":         letter(reconcile.MailConfirmation, mail.Content{}),
		"shipped":                   letter(reconcile.MailShipped, mail.Content{Lines: all(mugs, tee), Shipping: 490, Amount: euros(5844), Tracking: "1Z999", Link: link}),
		"shipped-first-parcel":      letter(reconcile.MailShipped, mail.Content{Lines: all(mugs), Rest: all(tee), Shipping: 490, Amount: euros(3465), Tracking: "1Z999"}),
		"shipped-bare":              letter(reconcile.MailShipped, mail.Content{}),
		"cancellation-requested":    letter(reconcile.MailCancellation, mail.Content{Kind: mail.KindRequest, Amount: euros(0)}),
		"cancellation-unpaid":       letter(reconcile.MailCancellation, mail.Content{Kind: mail.KindPayment, Lines: all(mugs, tee), Amount: euros(0)}),
		"cancellation-out-of-stock": letter(reconcile.MailCancellation, mail.Content{Kind: mail.KindStock, Lines: all(mugs, tee), Shipping: 490, Amount: euros(5844)}),
		"cancellation-of-the-rest":  letter(reconcile.MailCancellation, mail.Content{Kind: mail.KindStock, Lines: all(tee), Rest: all(mugs), Amount: euros(2379)}),
		"cancellation-bare":         letter(reconcile.MailCancellation, mail.Content{}),
		"refund":                    letter(reconcile.MailRefund, mail.Content{Lines: all(tee), Amount: euros(2379)}),
		"refund-of-an-amount":       letter(reconcile.MailRefund, mail.Content{Amount: euros(2000)}),
		"refund-in-part":            letter(reconcile.MailRefund, mail.Content{Lines: all(tee), Amount: euros(1000)}),
		"question-stock": letter(reconcile.MailQuestion, mail.Content{
			Kind: mail.KindStock, Missing: all(tee), Lines: all(mugs), Amount: euros(2975), Deadline: until, Link: link,
		}),
		"question-stock-nothing-there": letter(reconcile.MailQuestion, mail.Content{Kind: mail.KindStock, Missing: all(mugs, tee), Deadline: until, Link: link}),
		"question-stock-bare":          letter(reconcile.MailQuestion, mail.Content{Kind: mail.KindStock, Missing: all(tee), Lines: all(mugs)}),
		"question-payment":             letter(reconcile.MailQuestion, mail.Content{Kind: mail.KindPayment, Missing: all(tee), Amount: euros(2379), Deadline: until, Link: link}),
		"question-payment-bare":        letter(reconcile.MailQuestion, mail.Content{Kind: mail.KindPayment}),
		"question-in-words": letter(reconcile.MailQuestion, mail.Content{
			Question: "We have the mug in blue only.\n\n\n\nIs that all right?", Lines: all(mugs), Amount: order.Amount{Minor: 500, Currency: "JPY"}, Deadline: until, Link: link,
		}),
		"question-bare": letter(reconcile.MailQuestion, mail.Content{}),
	}
}

// The texts are in testdata, to be read as a customer would; -update writes them
// anew.
func TestCompose_EveryLetter_ReadsAsInTestdata(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for name, r := range letters(w.now()) {
		id := order.ID("letter-" + name)
		r.Key, r.Order, r.Occasion = order.Intent{Order: id, Operation: order.Send, N: 1}.Key(), id, 1
		r.To, r.Due = "jane@customer.test", w.now()
		if !strings.HasSuffix(name, "-bare") {
			r.Name = "Jane Doe"
		}
		w.send(t, r)
		all, err := w.server.Messages(id)
		if err != nil {
			t.Fatal(err)
		}
		subject, text := read(t, all[0].Raw)
		got := "Subject: " + subject + "\n\n" + strings.ReplaceAll(text, "\r\n", "\n")
		got = strings.ReplaceAll(got, string(id), "42")
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for n, l := range strings.Split(got, "\n") {
			if len(l) > 78 {
				t.Errorf("%s: line %d has %d characters; some readers wrap it badly", name, n+1, len(l))
			}
		}
		if strings.Contains(got, "\n\n\n") || strings.Contains(got, "<no value>") {
			t.Errorf("%s has a gap:\n%s", name, got)
		}
	}
}

// Whoever the customer is stands in To and in the greeting, and in no id,
// subject or header of ours: those are copied into logs and into listings.
func TestCompose_NoPersonalDataInHeaders(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for name, r := range letters(w.now()) {
		id := order.ID("letter-" + name)
		r.Key, r.Order, r.Occasion = order.Intent{Order: id, Operation: order.Send, N: 1}.Key(), id, 1
		r.To, r.Name, r.Due = "jane@customer.test", "Jane Doe", w.now()
		w.send(t, r)
		all, err := w.server.Messages(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			_, ours, _ := strings.Cut(m.Raw, "Date:")
			head, _, _ := strings.Cut(ours, "\r\n\r\n")
			for header := range strings.SplitSeq(head, "\r\n") {
				if !strings.HasPrefix(header, "To: ") && (strings.Contains(header, "ane") || strings.Contains(header, "customer.test")) {
					t.Errorf("%s: header is %q", name, header)
				}
			}
		}
		for _, e := range w.entries(t, simulator.EntryEffect, id) {
			if strings.Contains(e.Key+e.Record, "ane") {
				t.Errorf("%s: ids are %q, %q", name, e.Key, e.Record)
			}
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
