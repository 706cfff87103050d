package stripe_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	gateway "github.com/trueup-orders/trueup/testsuite/simulator/payment"
)

// Every reading tells of which kind a payment is, as long as it is of one.
func TestAttempt_Method(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, pay, want string }{
		{"pm_card_visa", "", "card"},
		{"pm_card_threeDSecure2Required", "", "card"},
		{"pm_card_chargeDeclined", "", ""}, // the customer may choose again
		{"", "", "card"},                   // a PaymentIntent that takes nothing else
		{"pm_sepa_debit", "", "sepa_debit"},
		{"pm_sepa_debit", gateway.Succeeded, "sepa_debit"},
		{"pm_sepa_debit", gateway.Declined, ""},
		{"pm_bank_transfer", "", "customer_balance"},
		{"pm_bank_transfer", gateway.Succeeded, "customer_balance"},
		{"pm_oxxo", "", "oxxo"},
		{"pm_oxxo", gateway.Declined, ""}, // the voucher has expired
	} {
		w := newWorld(t, gateway.Settings{})
		r := authorization("42", total, c.method)
		r.Payment.Capture = order.CaptureAtOnce
		got, _ := w.client.Authorize(context.Background(), r)
		if c.pay != "" {
			if err := w.server.Pay(got.Attempt.ID, c.pay); err != nil {
				t.Fatal(err)
			}
		} else if got.Attempt.Method != c.want {
			t.Errorf("%s: authorize says %+v", c.method, got.Attempt)
		}
		before := w.requests("lookup")
		if a := w.only(w.lookup("42")); a.Method != c.want {
			t.Errorf("%s %s: got %+v", c.method, c.pay, a)
		}
		if n := w.requests("lookup") - before; n > 3 {
			t.Errorf("%s %s: the look-up took %d requests", c.method, c.pay, n)
		}
		for _, by := range []reconcile.Listing{reconcile.ListCreated, reconcile.ListChanged} {
			attempts, _ := byOrder(w.list(window(w, by)))
			a := attempts["42"]
			// An event does not carry the charge: of a transfer that was paid it tells nothing.
			if by == reconcile.ListChanged && len(a) == 1 && c.method == "pm_bank_transfer" && c.pay != "" {
				continue
			}
			if len(a) != 1 || a[0].Method != c.want {
				t.Errorf("%s %s: %s shows %+v", c.method, c.pay, by, a)
			}
		}
	}
}

// Which next actions wait for days, and of what kind they are, as Stripe's API
// reference has them; what the record was declined with before does not count.
func TestAttempt_Method_ByTheNextAction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action, method, page string
		challenge            bool
	}{
		{`"type":"display_bank_transfer_instructions","display_bank_transfer_instructions":{"hosted_instructions_url":"https://a/"}`, "customer_balance", "https://a/", false},
		{`"type":"oxxo_display_details","oxxo_display_details":{"hosted_voucher_url":"https://b/"}`, "oxxo", "https://b/", false},
		{`"type":"boleto_display_details","boleto_display_details":{"hosted_voucher_url":"https://c/"}`, "boleto", "https://c/", false},
		{`"type":"konbini_display_details","konbini_display_details":{"hosted_voucher_url":"https://d/"}`, "konbini", "https://d/", false},
		{`"type":"multibanco_display_details","multibanco_display_details":{"hosted_voucher_url":"https://e/"}`, "multibanco", "https://e/", false},
		{`"type":"pix_display_qr_code","pix_display_qr_code":{"hosted_instructions_url":"https://f/"}`, "pix", "https://f/", false},
		{`"type":"verify_with_microdeposits","verify_with_microdeposits":{"hosted_verification_url":"https://g/"}`, "card", "https://g/", false},
		{`"type":"paynow_display_qr_code","paynow_display_qr_code":{}`, "paynow", "", true},
		{`"type":"redirect_to_url","redirect_to_url":{"url":"https://h/"}`, "card", "https://h/", true},
		{`"type":"use_stripe_sdk"`, "card", "", true},
		{`"type":"something_new"`, "card", "", true},
	} {
		record := `{"id":"pi_1","object":"payment_intent","amount":9980,"currency":"eur","status":"requires_action",` +
			`"metadata":{"order_id":"42"},"payment_method_types":["card","customer_balance"],"client_secret":"s",` +
			`"last_payment_error":{"code":"card_declined"},"next_action":{` + c.action + `},` +
			`"latest_charge":{"id":"ch_1","object":"charge","payment_method_details":{"type":"card"}}}`
		if !json.Valid([]byte(record)) {
			t.Fatal(record)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(record))
		}))
		t.Cleanup(server.Close)
		client, err := stripe.New(stripe.Config{APIKey: "sk_test_1", BaseURL: server.URL, Channel: "shop", Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Authorize(context.Background(), authorization("42", total, "pm_1"))
		if err != nil || got.Attempt.Method != c.method || got.Attempt.Challenge != c.challenge {
			t.Errorf("%s: got %+v, %v", c.action, got.Attempt, err)
			continue
		}
		if got.Next == nil || got.Next.URL != c.page || got.Next.ClientSecret != "s" || !strings.Contains(c.action, `"`+got.Next.Kind+`"`) {
			t.Errorf("%s: the customer is told %+v", c.action, got.Next)
		}
	}
}

// Stripe takes the money of a bank transfer when it comes; it cannot be held.
func TestAuthorize_BankTransfer_OnlyAtOnceAndCanBeClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Settings{})
	_, err := w.client.Authorize(context.Background(), authorization("41", total, "pm_bank_transfer"))
	if apierr.CodeOf(err) != apierr.Invalid {
		t.Errorf("a bank transfer to be held: %v", err)
	}
	r := authorization("42", total, "pm_bank_transfer")
	r.Payment.Capture = order.CaptureAtOnce
	got := w.must(r)
	if n := w.totals("42"); n.Open != 1 || n.Captured != 0 {
		t.Errorf("the gateway says %+v", n)
	}
	closed, err := w.client.Void(context.Background(), void("42", got.Attempt.ID))
	if err != nil || closed.State != reconcile.AttemptVoided {
		t.Errorf("closed: %+v, %v", closed, err)
	}
	if err := w.server.Pay(got.Attempt.ID, gateway.Succeeded); err == nil || w.totals("42").Open != 0 {
		t.Errorf("money came to a closed attempt: %v", err)
	}
}
