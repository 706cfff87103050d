package payment

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Loaded is one PaymentIntent by card with what became of it by now; amounts as
// Stripe writes them. It was captured as far as Captures say, and cancelled when
// it says so; else it is held, or open when nothing ever authorized it.
type Loaded struct {
	ID       string // as "pi_00000000000042"
	Metadata map[string]string
	Currency string
	Amount   int64
	Created  time.Time
	// Open says that the customer never paid with it.
	Open      bool
	Captures  []Moved
	Refunds   []Moved
	Disputed  time.Time // zero: never
	Cancelled time.Time // zero: never
}

// Moved is money that moved, under metadata of its own if it was a refund.
type Moved struct {
	Amount   int64
	At       time.Time
	Final    bool // of a capture: what is left is released
	Failed   bool // of a refund: days after it was accepted
	Metadata map[string]string
}

// Load writes PaymentIntents as they would lie there had they been made, paid,
// captured and refunded at their times, with the events since a moment: Stripe
// keeps events for 30 days. Nobody called, so the ledger has nothing of it.
func (s *Server) Load(all []Loaded, eventsSince time.Time) error {
	_, err := s.transact(func(w *world) error {
		l := &loading{world: w, since: eventsSince.Unix()}
		var err error
		if l.insert, err = w.tx.Prepare(`INSERT INTO objects (id, kind, seq, created, order_id, intent, type, doc) VALUES (?,?,?,?,?,?,?,?)`); err != nil {
			return err
		}
		if err := w.tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) FROM objects`).Scan(&l.seq); err != nil {
			return err
		}
		for _, one := range all {
			if err := l.load(one); err != nil {
				return fmt.Errorf("load %s: %w", one.ID, err)
			}
		}
		return nil
	})
	return err
}

type loading struct {
	*world
	insert *sql.Stmt
	seq    int64
	since  int64
}

func (l *loading) put(r row) error {
	id, kind, intent, of, created := r.head()
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	l.seq++
	about := ""
	if e, ok := r.(*event); ok {
		about = e.Type
	}
	_, err = l.insert.Exec(id, kind, l.seq, created, of, intent, about, string(doc))
	return err
}

// tell writes an event as of a moment, unless it is too old to be kept.
func (l *loading) tell(of string, at time.Time, pi *intent, snapshot any) error {
	if at.Unix() < l.since {
		return nil
	}
	e, err := l.event(of, pi, snapshot)
	if err != nil {
		return err
	}
	e.Created = at.Unix()
	return l.put(e)
}

func (l *loading) load(one Loaded) error {
	number := strings.TrimPrefix(one.ID, "pi_")
	pi := &intent{
		ID: one.ID, Object: "payment_intent", Amount: one.Amount, CaptureMethod: "manual", ConfirmationMethod: "automatic",
		ClientSecret: one.ID + "_secret_simulated", Created: one.Created.Unix(), Currency: one.Currency, Livemode: l.s.settings.LiveMode,
		Metadata: one.Metadata, PaymentMethodOptions: map[string]any{"card": map[string]any{"request_multicapture": "if_available"}},
		PaymentMethodTypes: []string{"card"}, Status: "requires_payment_method",
	}
	if err := l.tell("payment_intent.created", one.Created, pi, *pi); err != nil {
		return err
	}
	var c *charge
	if !one.Open {
		c = l.authorize(one, pi, "ch_"+number)
		if err := l.tell("payment_intent.amount_capturable_updated", one.Created, pi, *pi); err != nil {
			return err
		}
	}
	others, err := l.follow(one, pi, c)
	if err != nil {
		return err
	}
	if c != nil {
		others = append(others, c)
	}
	for _, r := range append(others, pi) {
		if err := l.put(r); err != nil {
			return err
		}
	}
	if pi.Status == "requires_capture" {
		return l.expireLater(pi)
	}
	return nil
}

// follow lets what became of the payment happen, and returns the records of it.
func (l *loading) follow(one Loaded, pi *intent, c *charge) ([]row, error) {
	var others []row
	for _, m := range one.Captures {
		released, err := l.capture(m, pi, c, len(others))
		if err != nil {
			return nil, err
		}
		others = append(others, released...)
	}
	for n, m := range one.Refunds {
		r, err := l.refunded(m, pi, c, n)
		if err != nil {
			return nil, err
		}
		others = append(others, r)
	}
	if !one.Disputed.IsZero() {
		c.Disputed = true
		d := &dispute{
			ID: "du_" + strings.TrimPrefix(pi.ID, "pi_"), Object: "dispute", Amount: c.AmountCaptured - c.AmountRefunded, Charge: c.ID,
			Created: one.Disputed.Unix(), Currency: pi.Currency, Livemode: pi.Livemode, Metadata: map[string]string{}, PaymentIntent: pi.ID,
			Reason: "fraudulent", Status: "needs_response",
		}
		others = append(others, d)
		if err := l.tell("charge.dispute.created", one.Disputed, pi, *d); err != nil {
			return nil, err
		}
	}
	if one.Cancelled.IsZero() {
		return others, nil
	}
	released, err := l.cancel(one, pi, c)
	return append(others, released...), err
}

// refunded gives money back; one that failed gave back nothing.
func (l *loading) refunded(m Moved, pi *intent, c *charge, n int) (*refund, error) {
	number := strings.TrimPrefix(pi.ID, "pi_")
	r := &refund{
		ID: fmt.Sprintf("re_%s%d", number, n), Object: "refund", Amount: m.Amount, Charge: c.ID, Created: m.At.Unix(), Currency: pi.Currency,
		Metadata: m.Metadata, PaymentIntent: pi.ID, Status: "succeeded", Balance: new(string),
	}
	*r.Balance = fmt.Sprintf("txn_%s%d", number, n)
	if m.Failed {
		r.Status, r.FailureReason = "failed", "lost_or_stolen_card"
	} else {
		c.AmountRefunded += m.Amount
		c.Refunded = c.AmountRefunded == c.Amount
	}
	if err := l.tell("refund.created", m.At, pi, *r); err != nil {
		return nil, err
	}
	return r, l.tell("charge.refunded", m.At, pi, *c)
}

func (l *loading) authorize(one Loaded, pi *intent, id string) *charge {
	method := "pm_" + strings.TrimPrefix(id, "ch_")
	pi.PaymentMethod, pi.LatestCharge = &method, &id
	pi.Status, pi.AmountCapturable = "requires_capture", pi.Amount
	return &charge{
		ID: id, Object: "charge", Amount: pi.Amount, Created: pi.Created, Currency: pi.Currency, Livemode: pi.Livemode,
		Metadata: pi.Metadata, Paid: true, PaymentIntent: pi.ID, PaymentMethod: pi.PaymentMethod, Status: "succeeded",
		PaymentMethodDetails: methodDetails{Type: "card", Card: &cardDetails{
			Brand: "visa", Last4: "4242", CaptureBefore: one.Created.Add(l.s.settings.AuthorizationTTL).Unix(),
			Multicapture: &multicapture{Status: "available"},
		}},
	}
}

// capture takes money; the last one releases the rest, which is a refund that
// moved nothing.
func (l *loading) capture(m Moved, pi *intent, c *charge, nth int) ([]row, error) {
	c.AmountCaptured += m.Amount
	c.Captured = true
	pi.AmountReceived += m.Amount
	pi.AmountCapturable = max(0, pi.AmountCapturable-m.Amount)
	of := "payment_intent.amount_capturable_updated"
	var released []row
	if m.Final || pi.AmountCapturable == 0 {
		released = l.release(pi, c, m.At, nth)
		pi.Status, pi.AmountCapturable, of = "succeeded", 0, "payment_intent.succeeded"
	}
	if err := l.tell("charge.captured", m.At, pi, *c); err != nil {
		return nil, err
	}
	return released, l.tell(of, m.At, pi, *pi)
}

func (l *loading) release(pi *intent, c *charge, at time.Time, nth int) []row {
	if pi.AmountCapturable == 0 {
		return nil
	}
	c.AmountRefunded += pi.AmountCapturable
	c.Refunded = c.AmountRefunded == c.Amount
	return []row{&refund{
		ID: fmt.Sprintf("re_%s0%d", strings.TrimPrefix(pi.ID, "pi_"), nth), Object: "refund", Amount: pi.AmountCapturable, Charge: c.ID,
		Created: at.Unix(), Currency: c.Currency, Metadata: map[string]string{}, PaymentIntent: pi.ID, Status: "succeeded",
	}}
}

func (l *loading) cancel(one Loaded, pi *intent, c *charge) ([]row, error) {
	var released []row
	if c != nil {
		released = l.release(pi, c, one.Cancelled, 0)
	}
	at, why := one.Cancelled.Unix(), "requested_by_customer"
	pi.Status, pi.AmountCapturable, pi.CanceledAt, pi.CancellationReason = "canceled", 0, &at, &why
	return released, l.tell("payment_intent.canceled", one.Cancelled, pi, *pi)
}
