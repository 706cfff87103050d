package workflows

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// A question whose mail was not begun while it could be sent will not be sent: a person
// asks while its deadline runs, and the case is over with the question.
func TestQuestion_MailNeverBegun_APersonAsks(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy := reconcile.Default()
	p := &process{settings: Settings{Policy: policy}, State: &State{Order: order.Order{ID: "1", Currency: "EUR"}, Phase: order.PhaseAccepted}}
	p.askCustomer(asked, AskAboutStock, []order.Quantity{{Line: 1, SKU: "MUG", Quantity: 1}})
	p.askUnasked(asked.Add(policy.MailWithin))
	if len(p.Cases) != 0 {
		t.Errorf("while it may still be sent the cases are %+v", p.Cases)
	}
	late := asked.Add(policy.MailWithin + time.Minute)
	p.askUnasked(late)
	if k := p.openCaseOf(askedByMail, p.Questions[0].item()); k == nil || p.repairable(k.Step) {
		t.Errorf("when it cannot be sent any more the cases are %+v", p.Cases)
	}
	p.closeQuestion(late.Add(time.Hour), &p.Questions[0], "the customer chose: wait")
	if open := p.openCases(); len(open) != 0 {
		t.Errorf("when the question is over the cases are %+v", open)
	}
}
