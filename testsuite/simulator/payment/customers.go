package payment

import (
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// keepMethod is the operation of calls that only keep a method for later: no
// money moves, so that a fault of an authorization does not hit them instead.
const keepMethod order.Operation = "customer"

func createCustomer(w *world, p *params) (any, *apiError) {
	if e := p.allow("description", "email", "expand", "metadata[]", "name"); e != nil {
		return nil, e
	}
	id, err := w.next("cus")
	if err != nil {
		return nil, internal(err)
	}
	c := &customer{ID: id, Object: "customer", Created: w.now(), Livemode: w.s.settings.LiveMode, Metadata: p.metadata(nil)}
	for name, field := range map[string]**string{"description": &c.Description, "email": &c.Email, "name": &c.Name} {
		if v := p.form.Get(name); v != "" {
			*field = &v
		}
	}
	if err := w.put(c); err != nil {
		return nil, internal(err)
	}
	if err := w.noteKept(order.ID(c.Metadata["order_id"]), id); err != nil {
		return nil, internal(err)
	}
	return w.render(c, p)
}

// noteKept writes to the ledger what kept a method for later. Like a draft it
// has no effect of its own.
func (w *world) noteKept(of order.ID, record string) error {
	return w.s.frame.Append(w.tx, simulator.Entry{
		Kind: w.kind, Operation: keepMethod, Order: of, Key: w.key, Record: record, Detail: "draft",
	})
}

// existing refuses a customer that is not there.
func (w *world) existing(id string) *apiError {
	c, err := get[customer](w, "customer", id)
	if err != nil {
		return internal(err)
	}
	if c == nil {
		return invalidRequest("resource_missing", "customer", "No such customer: '"+id+"'")
	}
	return nil
}

func attachMethod(id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		if e := p.allow("customer", "expand"); e != nil {
			return nil, e
		}
		m, e := w.usedMethod(id)
		if e != nil {
			return nil, e
		}
		to := p.form.Get("customer")
		if to == "" {
			return nil, invalidRequest("parameter_missing", "customer", "Missing required param: customer.")
		}
		if e := w.existing(to); e != nil {
			return nil, e
		}
		switch {
		case m.Customer != "" && m.Customer != to:
			return nil, invalidRequest("", "", "The payment method you provided has already been attached to a customer.")
		case m.Customer == "" && m.UsedBy != "" && !m.Reusable:
			return nil, invalidRequest("", "", "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.")
		}
		m.Customer, m.Reusable = to, true
		if err := w.put(m); err != nil {
			return nil, internal(err)
		}
		if err := w.noteKept("", m.ID); err != nil {
			return nil, internal(err)
		}
		return w.shown(m), nil
	}
}

func retrieveMethod(id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		if e := p.allow("expand"); e != nil {
			return nil, e
		}
		m, e := w.usedMethod(id)
		if e != nil {
			return nil, e
		}
		return w.shown(m), nil
	}
}

// usedMethod reads a method that was used before.
func (w *world) usedMethod(id string) (*method, *apiError) {
	m, err := get[method](w, "payment_method", id)
	if err != nil {
		return nil, internal(err)
	}
	if m == nil {
		return nil, missing("PaymentMethod", id)
	}
	return m, nil
}

// shownMethod is a method as it stands on the wire.
type shownMethod struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Created  int64             `json:"created"`
	Customer *string           `json:"customer"`
	Livemode bool              `json:"livemode"`
	Metadata map[string]string `json:"metadata"`
	Type     string            `json:"type"`
}

func (w *world) shown(m *method) *shownMethod {
	shown := &shownMethod{ID: m.ID, Object: "payment_method", Created: m.Created, Livemode: w.s.settings.LiveMode, Metadata: map[string]string{}, Type: kindOf(m)}
	if m.Customer != "" {
		shown.Customer = &m.Customer
	}
	return shown
}

func kindOf(m *method) string {
	if b := tokens[m.Token]; b.kind != "" {
		return b.kind
	}
	return "card"
}

// chargeable refuses a method that Stripe would not charge for this
// PaymentIntent: it belongs to another customer, or was used up.
func (w *world) chargeable(pi *intent, m *method) *apiError {
	payer := deref(pi.Customer)
	switch {
	case m.Customer != "" && payer == "":
		return invalidRequest("", "", "The payment method you provided is attached to a customer so for security purposes you must provide the customer in the request.")
	case m.Customer != "" && payer != m.Customer:
		return invalidRequest("resource_missing", "payment_method", "The customer does not have a payment method with the ID "+m.ID+
			". The payment method must be attached to the customer.")
	case m.Customer == "" && m.UsedBy != "" && m.UsedBy != pi.ID:
		return invalidRequest("", "", "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "+
			"shared with a connected account without Customer attachment, or was detached from a Customer. It may not be used again. "+
			"To use a PaymentMethod multiple times, you must attach it to a Customer first.")
	}
	return nil
}

// setUp keeps the method of a payment that went well, when that was asked for:
// for the customer of the PaymentIntent, or until it is attached to one.
func (w *world) setUp(pi *intent) error {
	if pi.SetupFutureUsage == nil {
		return nil
	}
	m, err := get[method](w, "payment_method", deref(pi.PaymentMethod))
	if err != nil || m == nil {
		return err
	}
	m.Reusable, m.Customer = true, deref(pi.Customer)
	return w.put(m)
}
