package stripe

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Tolerance is how far the time of a signature may lie from ours, either way.
const Tolerance = 5 * time.Minute

const (
	maxEvent      = 1 << 20
	maxHeader     = 4 << 10
	maxSignatures = 16
	minSecret     = 24 // bytes; Stripe's own have 38
)

// ErrSignature says that a payload does not come from Stripe, or comes too late.
var ErrSignature = errors.New("the signature does not fit")

// Verify checks the Stripe-Signature header of a webhook's raw payload against
// each of the secrets, so that one can be replaced by the next without a gap. It
// refuses times that lie too far back as well as ahead, and secrets that are too
// short to be any.
func Verify(payload []byte, header string, secrets []string, now time.Time) error {
	if len(secrets) == 0 {
		return errors.New("verify webhook: stripe: no secret is configured")
	}
	for i, s := range secrets {
		if len(s) < minSecret {
			return fmt.Errorf("verify webhook: stripe: secret %d has less than %d characters", i+1, minSecret)
		}
	}
	if len(payload) > maxEvent {
		return fmt.Errorf("verify webhook: stripe: more than %d bytes", maxEvent)
	}
	stamp, signatures, err := parseSignature(header)
	if err != nil {
		return fmt.Errorf("verify webhook: stripe: %w", err)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return fmt.Errorf("verify webhook: stripe: %w: no time", ErrSignature)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return fmt.Errorf("verify webhook: stripe: %w: signed %s away from now", ErrSignature, age.Round(time.Second))
	}
	fits := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		// What is signed is the time as it was written, not as it was read.
		_, _ = mac.Write([]byte(stamp + "."))
		_, _ = mac.Write(payload)
		sum := mac.Sum(nil)
		for _, s := range signatures {
			if hmac.Equal(sum, s) {
				fits = true // and go on: the time this takes tells nothing
			}
		}
	}
	if !fits {
		return fmt.Errorf("verify webhook: stripe: %w", ErrSignature)
	}
	return nil
}

// parseSignature reads "t=…,v1=…,v1=…"; other schemes are ignored, as v0 must be.
func parseSignature(header string) (string, [][]byte, error) {
	if len(header) > maxHeader {
		return "", nil, fmt.Errorf("%w: the header is too long", ErrSignature)
	}
	stamp := ""
	var signatures [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case !ok:
			continue
		case name == "t" && stamp != "":
			return "", nil, fmt.Errorf("%w: two times", ErrSignature)
		case name == "t":
			stamp = value
		case name == "v1" && len(signatures) < maxSignatures:
			if s, err := hex.DecodeString(value); err == nil && len(s) == sha256.Size {
				signatures = append(signatures, s)
			}
		}
	}
	if stamp == "" || len(signatures) == 0 {
		return "", nil, fmt.Errorf("%w: the header has no time or no v1 signature", ErrSignature)
	}
	return stamp, signatures, nil
}

// Event is what a webhook tells, as far as it matters: a hint about which order
// to look at. The record itself is read from Stripe.
type Event struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Account  string    `json:"account,omitempty"` // of Connect; empty for the account's own
	LiveMode bool      `json:"livemode"`
	Created  time.Time `json:"created"`
	// PaymentIntent is the payment it is about, empty when it is about none.
	PaymentIntent string `json:"payment_intent,omitempty"`
	// Order is empty when the record carries no reference: disputes and reviews
	// never do. OrderOf finds it by the PaymentIntent.
	Order order.ID `json:"order,omitempty"`
	// Key is the idempotency key of the request that caused it; empty when none
	// did. https://docs.stripe.com/api/events/object#event_object-request
	Key string `json:"key,omitempty"`
}

// ParseEvent reads a verified payload.
func ParseEvent(payload []byte) (Event, error) {
	if len(payload) > maxEvent {
		return Event{}, fmt.Errorf("parse webhook: stripe: more than %d bytes", maxEvent)
	}
	var in struct {
		ID       string `json:"id"`
		Object   string `json:"object"`
		Type     string `json:"type"`
		Account  string `json:"account"`
		Livemode *bool  `json:"livemode"`
		Created  int64  `json:"created"`
		// Older API versions have the id of the request here, as text.
		Request json.RawMessage `json:"request"`
		Data    struct {
			Object struct {
				ID            string                     `json:"id"`
				Object        string                     `json:"object"`
				PaymentIntent reference                  `json:"payment_intent"`
				Metadata      map[string]json.RawMessage `json:"metadata"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return Event{}, errors.New("parse webhook: stripe: not an event")
	}
	record := in.Data.Object
	switch {
	case in.Object != "event" || !plausible(in.ID, "evt_") || in.Type == "" || len(in.Type) > 128 || in.Livemode == nil:
		return Event{}, errors.New("parse webhook: stripe: not an event")
	case in.Created <= 0 || in.Created > 1<<40:
		return Event{}, errors.New("parse webhook: stripe: the event has no time")
	case in.Account != "" && !plausible(in.Account, "acct_"):
		return Event{}, errors.New("parse webhook: stripe: the event's account makes no sense")
	}
	e := Event{ID: in.ID, Type: in.Type, Account: in.Account, LiveMode: *in.Livemode, Created: time.Unix(in.Created, 0).UTC()}
	var request struct {
		Key string `json:"idempotency_key"`
	}
	if json.Unmarshal(in.Request, &request) == nil && len(request.Key) <= 255 {
		e.Key = request.Key
	}
	id := string(record.PaymentIntent)
	if record.Object == "payment_intent" {
		id = record.ID
	}
	if id != "" {
		if !plausible(id, "pi_") {
			return Event{}, errors.New("parse webhook: stripe: the event's PaymentIntent makes no sense")
		}
		e.PaymentIntent = id
	}
	var of string
	if json.Unmarshal(record.Metadata[metadataOrder], &of) == nil {
		if id, err := order.ParseID(of); err == nil {
			e.Order = id
		}
	}
	return e, nil
}

// Ours returns why an event is not ours: it is of the other mode or of another
// account.
func (e Event) Ours(account string, live bool) error {
	switch {
	case e.LiveMode != live:
		return fmt.Errorf("event %s: stripe: of the other mode (live or test)", e.ID)
	case e.Account != "" && e.Account != account:
		return fmt.Errorf("event %s: stripe: of another account", e.ID)
	}
	return nil
}

// plausible says whether s can be an id: a prefix and letters, digits or _.
func plausible(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok || rest == "" || len(s) > 255 {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' {
			return false
		}
	}
	return true
}

// OrderOf reads to which order a PaymentIntent belongs, for an event that does
// not say so; "" when it belongs to none.
func (c *Client) OrderOf(ctx context.Context, paymentIntent string) (order.ID, error) {
	subject := "look up the order of a payment"
	pi, x, err := c.read(ctx, paymentIntent)
	if err != nil {
		return "", x.fail(subject, err)
	}
	if pi.ID != paymentIntent {
		return "", x.garbage(subject, "the answer is about another PaymentIntent")
	}
	of, err := c.owner(pi)
	if err != nil {
		return "", x.garbage(subject, err.Error())
	}
	return of, nil
}
