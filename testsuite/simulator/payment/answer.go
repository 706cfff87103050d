package payment

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// apiError is an error as Stripe answers it.
type apiError struct {
	status int
	body   errorBody
	// early errors come before the request began to run; they are not stored
	// under the key.
	early bool
}

type errorBody struct {
	Code          string  `json:"code,omitempty"`
	DeclineCode   string  `json:"decline_code,omitempty"`
	Message       string  `json:"message"`
	Param         string  `json:"param,omitempty"`
	PaymentIntent *intent `json:"payment_intent,omitempty"`
	Type          string  `json:"type"`
}

func invalidRequest(code, param, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, early: true, body: errorBody{Type: "invalid_request_error", Code: code, Param: param, Message: message}}
}

func missing(kind, id string) *apiError {
	e := invalidRequest("resource_missing", "id", fmt.Sprintf("No such %s: '%s'", kind, id))
	e.status = http.StatusNotFound
	return e
}

// unexpected is the refusal of a transition from the wrong state; it carries the
// PaymentIntent.
func unexpected(pi *intent, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, body: errorBody{
		Type: "invalid_request_error", Code: "payment_intent_unexpected_state", Message: message, PaymentIntent: pi,
	}}
}

// internal is a failure of the simulator itself.
func internal(err error) *apiError {
	return &apiError{status: http.StatusInternalServerError, early: true, body: errorBody{Type: "api_error", Message: err.Error()}}
}

func answer(status int, v any) simulator.Answer {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":{"type":"api_error"}}`)
	}
	return simulator.Answer{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

func refuse(e *apiError) simulator.Answer {
	return answer(e.status, map[string]any{"error": e.body})
}

// do answers a request that reached the gateway.
func (s *Server) do(q *request, kind simulator.FaultKind) simulator.Answer {
	if !q.authorized {
		return refuse(&apiError{status: http.StatusUnauthorized, body: errorBody{Type: "invalid_request_error", Message: "Invalid API Key provided."}})
	}
	if q.run == nil {
		return refuse(&apiError{status: http.StatusNotFound, body: errorBody{
			Type: "invalid_request_error", Message: fmt.Sprintf("Unrecognized request URL (%s: %s).", q.method, q.path),
		}})
	}
	if q.method == http.MethodGet {
		return s.read(q, kind)
	}
	if q.key != "" {
		if !s.take(q.key) {
			return refuse(&apiError{status: http.StatusConflict, body: errorBody{
				Type: "invalid_request_error", Code: "idempotency_key_in_use",
				Message: "There is currently another in-progress request using this Idempotency Key.",
			}})
		}
		defer s.free(q.key)
	}
	return s.write(q, kind)
}

func (s *Server) read(q *request, kind simulator.FaultKind) simulator.Answer {
	var a simulator.Answer
	err := s.frame.View(func(tx *sql.Tx) error {
		w := &world{s: s, tx: tx, before: map[string]*string{}}
		p := &params{form: q.form, fault: kind}
		if kind == simulator.Rejected {
			a = refuse(invalidRequest("", "", "This request is not allowed."))
			return nil
		}
		v, refusal := q.run(w, p)
		if refusal != nil {
			a = refuse(refusal)
			return nil
		}
		a = answer(http.StatusOK, v)
		return nil
	})
	if err != nil {
		return refuse(internal(err))
	}
	return a
}

// HoldKey lets a key be in use until release is called, as if another request
// under it were still running.
func (s *Server) HoldKey(key string) (release func()) {
	s.take(key)
	return func() { s.free(key) }
}

func (s *Server) take(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse[key] {
		return false
	}
	s.inUse[key] = true
	return true
}

func (s *Server) free(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inUse, key)
}

// write runs a request once per key, within one transaction.
func (s *Server) write(q *request, kind simulator.FaultKind) simulator.Answer {
	var a simulator.Answer
	err := s.change(func(w *world) error {
		w.key, w.kind = q.key, simulator.EntryEffect
		stored, err := w.stored(q)
		if err != nil {
			return err
		}
		if stored != nil {
			a = *stored
			return nil
		}
		a, err = w.run(q, kind)
		return err
	})
	if err != nil {
		if refusal, ok := errors.AsType[*rollback](err); ok {
			return refuse(refusal.apiError)
		}
		return refuse(internal(err))
	}
	return a
}

// rollback carries a refusal out of a transaction that is to leave nothing.
type rollback struct{ *apiError }

func (r *rollback) Error() string { return r.body.Message }

// run runs a write for the first time under its key, and stores the answer.
func (w *world) run(q *request, kind simulator.FaultKind) (simulator.Answer, error) {
	switch kind {
	case simulator.Foreign:
		return answer(http.StatusOK, w.foreign(q)), nil
	case simulator.ReplaysError:
		a := refuse(&apiError{status: http.StatusInternalServerError, body: errorBody{Type: "api_error", Message: "An unknown error occurred."}})
		return a, w.store(q, a)
	}
	p := &params{form: q.form, fault: kind}
	v, refusal := q.run(w, p)
	switch {
	case refusal != nil && refusal.early:
		return simulator.Answer{}, &rollback{refusal}
	case refusal != nil:
		a := refuse(refusal)
		return a, w.store(q, a)
	}
	a := answer(http.StatusOK, v)
	if kind == simulator.Vanishes {
		if err := w.vanish(); err != nil {
			return a, err
		}
		err := w.s.frame.Append(w.tx, simulator.Entry{
			Kind: simulator.EntryEdit, Operation: q.call.Operation, Order: q.call.Order, Record: recordOf(v), Detail: "vanished",
		})
		if err != nil {
			return a, err
		}
	}
	return a, w.store(q, a)
}

// stored returns what was answered under the key, or the refusal of another
// request under it, or nil.
func (w *world) stored(q *request) (*simulator.Answer, error) {
	if q.key == "" {
		return nil, nil
	}
	oldest := w.s.frame.Now().Add(-w.s.settings.KeyWindow).UnixNano()
	if _, err := w.tx.Exec(`DELETE FROM keys WHERE at <= ?`, oldest); err != nil {
		return nil, err
	}
	var fingerprint string
	var a simulator.Answer
	err := w.tx.QueryRow(`SELECT fingerprint, status, body FROM keys WHERE key = ?`, q.key).Scan(&fingerprint, &a.Status, &a.Body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if fingerprint != fingerprintOf(q) {
		a = refuse(&apiError{status: http.StatusBadRequest, body: errorBody{Type: "idempotency_error",
			Message: "Keys for idempotent requests can only be used with the same parameters they were first used with."}})
		return &a, nil
	}
	a.Header = http.Header{"Content-Type": {"application/json"}, "Idempotent-Replayed": {"true"}, "Original-Request": {"req_" + strconv.Itoa(len(a.Body))}}
	return &a, nil
}

func (w *world) store(q *request, a simulator.Answer) error {
	if q.key == "" {
		return nil
	}
	_, err := w.tx.Exec(`INSERT INTO keys (key, fingerprint, at, status, body) VALUES (?,?,?,?,?)`,
		q.key, fingerprintOf(q), w.s.frame.Now().UnixNano(), a.Status, a.Body)
	return err
}

// fingerprintOf is the request as it was made; Encode sorts the parameters.
func fingerprintOf(q *request) string {
	sum := sha256.Sum256([]byte(q.method + " " + q.path + "?" + q.form.Encode()))
	return hex.EncodeToString(sum[:])
}

// foreign is a well-formed answer about somebody else's order.
func (w *world) foreign(q *request) any {
	pi := w.stranger()
	if q.call.Operation == order.Refund {
		return &refund{
			ID: "re_99999999999999", Object: "refund", Amount: 100, Charge: "ch_99999999999999", Created: w.now(), Currency: "eur",
			Metadata: pi.Metadata, PaymentIntent: pi.ID, Status: "succeeded",
		}
	}
	return pi
}

// stranger is a PaymentIntent of somebody else.
func (w *world) stranger() *intent {
	return &intent{
		ID: "pi_99999999999999", Object: "payment_intent", Amount: 100, AmountReceived: 100, CaptureMethod: "automatic",
		ConfirmationMethod: "automatic", Created: w.now(), Currency: "eur", Livemode: w.s.settings.LiveMode,
		Metadata: map[string]string{"order_id": "somebody-else"}, PaymentMethodTypes: []string{"card"}, Status: "succeeded",
	}
}

func recordOf(v any) string {
	var r struct {
		ID string `json:"id"`
	}
	if b, err := json.Marshal(v); err == nil {
		_ = json.Unmarshal(b, &r)
	}
	return r.ID
}
