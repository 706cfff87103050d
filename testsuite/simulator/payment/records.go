package payment

import "github.com/trueup-orders/trueup/order"

// The records, as they stand on the wire; a reference is the other record's id
// until it is expanded.

type intent struct {
	ID                   string            `json:"id"`
	Object               string            `json:"object"`
	Amount               int64             `json:"amount"`
	AmountCapturable     int64             `json:"amount_capturable"`
	AmountReceived       int64             `json:"amount_received"`
	CanceledAt           *int64            `json:"canceled_at"`
	CancellationReason   *string           `json:"cancellation_reason"`
	CaptureMethod        string            `json:"capture_method"`
	ClientSecret         string            `json:"client_secret"`
	ConfirmationMethod   string            `json:"confirmation_method"`
	Created              int64             `json:"created"`
	Currency             string            `json:"currency"`
	Customer             *string           `json:"customer"`
	Description          *string           `json:"description"`
	LastPaymentError     *errorBody        `json:"last_payment_error"`
	LatestCharge         *string           `json:"latest_charge"`
	Livemode             bool              `json:"livemode"`
	Metadata             map[string]string `json:"metadata"`
	NextAction           *nextAction       `json:"next_action"`
	PaymentMethod        *string           `json:"payment_method"`
	PaymentMethodOptions map[string]any    `json:"payment_method_options"`
	PaymentMethodTypes   []string          `json:"payment_method_types"`
	Review               *string           `json:"review"`
	SetupFutureUsage     *string           `json:"setup_future_usage"`
	Status               string            `json:"status"`
}

type nextAction struct {
	Type          string         `json:"type"`
	BankTransfer  *bankTransfer  `json:"display_bank_transfer_instructions,omitempty"`
	OXXO          *voucher       `json:"oxxo_display_details,omitempty"`
	RedirectToURL *redirect      `json:"redirect_to_url,omitempty"`
	UseStripeSDK  map[string]any `json:"use_stripe_sdk,omitempty"`
}

type bankTransfer struct {
	AmountRemaining int64  `json:"amount_remaining"`
	Currency        string `json:"currency"`
	HostedURL       string `json:"hosted_instructions_url"`
	Reference       string `json:"reference"`
	Type            string `json:"type"`
}

type voucher struct {
	ExpiresAfter int64  `json:"expires_after"`
	HostedURL    string `json:"hosted_voucher_url"`
	Number       string `json:"number"`
}

type redirect struct {
	URL       string `json:"url"`
	ReturnURL string `json:"return_url"`
}

type charge struct {
	ID                   string            `json:"id"`
	Object               string            `json:"object"`
	Amount               int64             `json:"amount"`
	AmountCaptured       int64             `json:"amount_captured"`
	AmountRefunded       int64             `json:"amount_refunded"`
	Captured             bool              `json:"captured"`
	Created              int64             `json:"created"`
	Currency             string            `json:"currency"`
	Disputed             bool              `json:"disputed"`
	FailureCode          *string           `json:"failure_code"`
	Livemode             bool              `json:"livemode"`
	Metadata             map[string]string `json:"metadata"`
	Paid                 bool              `json:"paid"`
	PaymentIntent        string            `json:"payment_intent"`
	PaymentMethod        *string           `json:"payment_method"`
	PaymentMethodDetails methodDetails     `json:"payment_method_details"`
	Refunded             bool              `json:"refunded"`
	Review               *string           `json:"review"`
	Status               string            `json:"status"`
}

type methodDetails struct {
	Type string       `json:"type"`
	Card *cardDetails `json:"card,omitempty"`
}

type cardDetails struct {
	Brand         string        `json:"brand"`
	Last4         string        `json:"last4"`
	CaptureBefore int64         `json:"capture_before,omitempty"`
	Multicapture  *multicapture `json:"multicapture"`
}

type multicapture struct {
	Status string `json:"status"`
}

type refund struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	Amount        int64             `json:"amount"`
	Balance       *string           `json:"balance_transaction"` // null when no money moved
	Charge        string            `json:"charge"`
	Created       int64             `json:"created"`
	Currency      string            `json:"currency"`
	FailureReason string            `json:"failure_reason,omitempty"`
	Metadata      map[string]string `json:"metadata"`
	PaymentIntent string            `json:"payment_intent"`
	Reason        *string           `json:"reason"`
	Status        string            `json:"status"`
}

type dispute struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	Amount        int64             `json:"amount"`
	Charge        string            `json:"charge"`
	Created       int64             `json:"created"`
	Currency      string            `json:"currency"`
	Livemode      bool              `json:"livemode"`
	Metadata      map[string]string `json:"metadata"`
	PaymentIntent string            `json:"payment_intent"`
	Reason        string            `json:"reason"`
	Status        string            `json:"status"`
}

type review struct {
	ID            string  `json:"id"`
	Object        string  `json:"object"`
	Charge        *string `json:"charge"`
	ClosedReason  *string `json:"closed_reason"`
	Created       int64   `json:"created"`
	Livemode      bool    `json:"livemode"`
	Open          bool    `json:"open"`
	OpenedReason  string  `json:"opened_reason"`
	PaymentIntent string  `json:"payment_intent"`
	Reason        string  `json:"reason"`
}

type event struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	Account         string       `json:"account,omitempty"` // only of Connect
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`

	// About whom it is, for the frame; the wire does not have them.
	Order  order.ID `json:"-"`
	Intent string   `json:"-"`
}

type eventData struct {
	Object any `json:"object"`
}

type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

// method is a payment method that was used; shownMethod is what the wire has.
type method struct {
	ID       string `json:"id"`
	Token    string `json:"token"`
	Created  int64  `json:"created"`
	Customer string `json:"customer"` // to whom it is attached
	UsedBy   string `json:"used_by"`  // the first PaymentIntent that tried to charge it
	Reusable bool   `json:"reusable"` // it was set up to be charged again
}

type customer struct {
	ID          string            `json:"id"`
	Object      string            `json:"object"`
	Created     int64             `json:"created"`
	Description *string           `json:"description"`
	Email       *string           `json:"email"`
	Livemode    bool              `json:"livemode"`
	Metadata    map[string]string `json:"metadata"`
	Name        *string           `json:"name"`
}

func (p *intent) order() order.ID { return order.ID(p.Metadata["order_id"]) }

func (p *intent) head() (string, string, string, order.ID, int64) {
	return p.ID, "payment_intent", p.ID, p.order(), p.Created
}

func (c *charge) head() (string, string, string, order.ID, int64) {
	return c.ID, "charge", c.PaymentIntent, order.ID(c.Metadata["order_id"]), c.Created
}

func (r *refund) head() (string, string, string, order.ID, int64) {
	return r.ID, "refund", r.PaymentIntent, order.ID(r.Metadata["order_id"]), r.Created
}

func (d *dispute) head() (string, string, string, order.ID, int64) {
	return d.ID, "dispute", d.PaymentIntent, order.ID(d.Metadata["order_id"]), d.Created
}

func (r *review) head() (string, string, string, order.ID, int64) {
	return r.ID, "review", r.PaymentIntent, "", r.Created
}

func (e *event) head() (string, string, string, order.ID, int64) {
	return e.ID, "event", e.Intent, e.Order, e.Created
}

func (m *method) head() (string, string, string, order.ID, int64) {
	return m.ID, "payment_method", "", "", m.Created
}

func (c *customer) head() (string, string, string, order.ID, int64) {
	return c.ID, "customer", "", order.ID(c.Metadata["order_id"]), c.Created
}
