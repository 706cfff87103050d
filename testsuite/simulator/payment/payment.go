// Package payment is the simulated payment gateway. It speaks Stripe's API of
// PaymentIntents, refunds, events, charges, reviews and disputes, with Stripe's
// manners:
//
//   - form-encoded requests; an unknown parameter is refused; pages of at most
//     100, newest first; records of another kind, mode or account are missing
//   - Idempotency-Key stores the first answer, errors too, and repeats it with
//     Idempotent-Replayed; other parameters under a key are refused, a key in use
//     answers 409; keys are forgotten after the key window
//   - test methods such as pm_card_visa, pm_card_chargeDeclined and
//     pm_card_threeDSecure2Required behave as Stripe's do; pm_async, which Stripe
//     has not, waits for a bank and can be captured by hand
//   - a method is charged again only for the customer to whom it is attached: by
//     setup_future_usage with a customer, or by hand; else one use spends it
//   - an authorization that is not captured dies by itself
//   - every change is an event: it is listed, and posted as a signed webhook
//
// Not simulated: changing or deleting customers, lists and details of payment
// methods, mandates, Connect, fees and balances, partial authorization, over- and
// incremental capture, Search, expansion deeper than latest_charge, review and
// payment_intent, and every parameter that the adapter does not send. Amounts in the ledger are as Stripe writes them (5 ISK
// is 500).
package payment

import (
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Settings are what differs from one gateway to another.
type Settings struct {
	APIKey   string // the secret key that is accepted; empty: "sk_test_trueup_simulated"
	Account  string // empty: "acct_simulated"
	LiveMode bool
	// KeyWindow is how long keys are remembered; 0: 24 h.
	KeyWindow time.Duration
	// AuthorizationTTL is how long an authorization lives; 0: 168 h.
	AuthorizationTTL time.Duration
	// RefundSettles is how long a refund is pending; 0: it succeeds at once.
	RefundSettles time.Duration
	// RefuseMulticapture answers that several captures are not available.
	RefuseMulticapture bool
	// RefundsFail lets every refund fail when it settles.
	RefundsFail bool
	// DeclineOffSession declines charges while the customer is not there.
	DeclineOffSession bool
}

// DefaultAPIKey is the key that a gateway without settings accepts.
const DefaultAPIKey = "sk_test_trueup_simulated"

// Server is one simulated gateway.
type Server struct {
	frame    *simulator.System
	settings Settings
	secret   string

	mu    sync.Mutex
	inUse map[string]bool // keys of requests under way
}

var _ simulator.Desk = (*Server)(nil)

const schema = `
CREATE TABLE IF NOT EXISTS objects (
	id       TEXT PRIMARY KEY,
	kind     TEXT NOT NULL,
	seq      INTEGER NOT NULL,
	created  INTEGER NOT NULL, -- seconds
	order_id TEXT NOT NULL,
	intent   TEXT NOT NULL,
	type     TEXT NOT NULL, -- of an event
	doc      TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_seq ON objects (seq);
CREATE INDEX IF NOT EXISTS objects_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_created ON objects (kind, created, seq);
CREATE INDEX IF NOT EXISTS objects_intent ON objects (intent, kind);
CREATE INDEX IF NOT EXISTS objects_order ON objects (order_id, kind);
CREATE TABLE IF NOT EXISTS keys (
	key         TEXT PRIMARY KEY,
	fingerprint TEXT NOT NULL,
	at          INTEGER NOT NULL, -- nanoseconds
	status      INTEGER NOT NULL,
	body        BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, n INTEGER NOT NULL);
`

// New opens a gateway.
func New(o simulator.Options, s Settings) (*Server, error) {
	if s.APIKey == "" {
		s.APIKey = DefaultAPIKey
	}
	if s.Account == "" {
		s.Account = "acct_simulated"
	}
	if s.KeyWindow == 0 {
		s.KeyWindow = 24 * time.Hour
	}
	if s.AuthorizationTTL == 0 {
		s.AuthorizationTTL = 168 * time.Hour
	}
	frame, err := simulator.Open(order.SystemPayment, schema, o)
	if err != nil {
		return nil, err
	}
	server := &Server{frame: frame, settings: s, secret: o.Secret, inUse: map[string]bool{}}
	if err := server.resume(); err != nil {
		return nil, errors.Join(err, frame.Close())
	}
	return server, nil
}

// Frame implements simulator.Desk.
func (s *Server) Frame() *simulator.System { return s.frame }

// Close closes the gateway.
func (s *Server) Close() error { return s.frame.Close() }

// resume schedules again what a database that was opened anew still waits for.
func (s *Server) resume() error {
	return s.change(func(w *world) error {
		intents, err := query[intent](w, `SELECT doc FROM objects WHERE kind = 'payment_intent' AND doc LIKE '%"status":"requires_capture"%' ORDER BY seq`)
		if err != nil {
			return err
		}
		for _, pi := range intents {
			if pi.Status != "requires_capture" {
				continue
			}
			if err := w.expireLater(pi); err != nil {
				return err
			}
		}
		refunds, err := list[refund](w, "refund", "")
		if err != nil {
			return err
		}
		for _, r := range refunds {
			if r.Status == "pending" {
				w.settleLater(r, s.settings.RefundsFail)
			}
		}
		return nil
	})
}

// request is one request to the API.
type request struct {
	method, path string
	form         url.Values
	key          string
	authorized   bool
	call         simulator.Call
	run          func(w *world, p *params) (any, *apiError)
}

// Handler returns the API.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := simulator.ReadBody(r)
		if err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		q := &request{
			method: r.Method, path: strings.TrimSuffix(r.URL.Path, "/"), key: r.Header.Get("Idempotency-Key"),
			authorized: s.authorized(r),
		}
		if r.Method == http.MethodPost {
			q.form, err = url.ParseQuery(string(body))
		} else {
			q.form, err = url.ParseQuery(r.URL.RawQuery)
		}
		if err != nil {
			q.form = url.Values{"malformed": {"1"}}
		}
		s.route(q, r.Header.Get("User-Agent"))
		s.frame.Handle(w, r, q.call, func(kind simulator.FaultKind) simulator.Answer { return s.do(q, kind) })
	})
}

func (s *Server) authorized(r *http.Request) bool {
	if user, _, ok := r.BasicAuth(); ok {
		return user == s.settings.APIKey
	}
	return r.Header.Get("Authorization") == "Bearer "+s.settings.APIKey
}

// route classifies a request by what it does here and finds who runs it.
func (s *Server) route(q *request, agent string) {
	parts := strings.Split(strings.TrimPrefix(q.path, "/v1/"), "/")
	id, action := "", ""
	if len(parts) > 1 {
		id = parts[1]
	}
	if len(parts) > 2 {
		action = parts[2]
	}
	q.call = simulator.Call{Operation: "lookup", Key: q.key, Detail: q.method + " " + q.path}
	if q.method == http.MethodGet && id == "" && parts[0] != "account" {
		// A look-up lists too; the adapter says which of the two it is about.
		if !strings.Contains(agent, "(lookup)") {
			q.call.Operation = "list"
		}
	} else if strings.Contains(agent, "(list)") {
		q.call.Operation = "list"
	}
	switch q.method + " " + parts[0] + " " + action {
	case "POST payment_intents ":
		q.call.Operation, q.run = order.Authorize, createIntent
		if id != "" {
			q.run = updateIntent(id)
		}
	case "POST payment_intents confirm":
		q.call.Operation, q.run = order.Authorize, confirmIntent(id)
	case "POST payment_intents capture":
		q.call.Operation, q.run = order.Capture, captureIntent(id)
	case "POST payment_intents cancel":
		q.call.Operation, q.run = order.Void, cancelIntent(id)
	case "POST refunds ":
		q.call.Operation, q.run = order.Refund, createRefund
	case "POST customers ":
		if id == "" {
			q.call.Operation, q.run = keepMethod, createCustomer
		}
	case "POST payment_methods attach":
		q.call.Operation, q.run = keepMethod, attachMethod(id)
	case "GET payment_methods ":
		if id != "" {
			q.run = retrieveMethod(id)
		}
	case "GET account ":
		q.run = func(w *world, _ *params) (any, *apiError) {
			return map[string]any{"id": w.s.settings.Account, "object": "account"}, nil
		}
	case "GET payment_intents ", "GET refunds ", "GET events ", "GET charges ", "GET disputes ", "GET reviews ", "GET customers ":
		q.run = listRecords(parts[0])
		if id != "" {
			q.run = retrieve(parts[0], id)
		}
	}
	q.call.Order = s.orderOf(q, id)
}

// orderOf says about whose order a request is: by its metadata, or by the record
// that it names.
func (s *Server) orderOf(q *request, id string) order.ID {
	if of := q.form.Get("metadata[order_id]"); of != "" {
		return order.ID(of)
	}
	if id == "" {
		id = q.form.Get("payment_intent")
	}
	var of order.ID
	if id != "" {
		_ = s.frame.View(func(tx *sql.Tx) error {
			return tx.QueryRow(`SELECT order_id FROM objects WHERE id = ?`, id).Scan(&of)
		})
	}
	return of
}
