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

// Who was asked by their bank and never answered does not keep the question about
// payment open for ever: while they may still pay they are waited for, and then the
// order goes on without them.
func TestQuestion_ChallengeThatNobodyAnswers_EndsWithTheTimeToPay(t *testing.T) {
	t.Parallel()
	p, _ := challengedLate(order.PhasePaying)
	deadline := p.answerBy(&p.Questions[0])
	p.attendPayment(deadline.Add(time.Minute))
	if !p.Questions[0].Closed.IsZero() {
		t.Errorf("a minute after the deadline, and two after their bank asked them, the question is closed: %s", p.Questions[0].Why)
	}
	p.attendPayment(p.payDeadline())
	if p.Questions[0].Closed.IsZero() || len(p.Hints) != 1 {
		t.Errorf("when nobody may pay any more the question is %+v, and to be read are %+v", p.Questions[0], p.Hints)
	}
}

// challengedLate is an order whose customer tried to pay anew just before their time to answer
// was over, and whose bank asks them.
func challengedLate(phase order.Phase) (p *process, tried time.Time) {
	began := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	policy := reconcile.Default()
	o := order.Order{
		ID: "1", Currency: "EUR", Total: 5000, PlacedAt: began, Lines: []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 5000}},
		Payment: order.Payment{Method: "pm_card", Capture: order.CaptureOnShip},
	}
	p = &process{settings: Settings{Policy: policy}, State: &State{Order: o, Phase: phase, Since: began}}
	tried = began.Add(policy.AnswerWithin - time.Minute) // they tried to pay anew just before
	p.Operations = []Operation{
		{System: order.SystemPayment, Operation: order.Authorize, N: 1, Status: Done, First: began, Ended: began, Amount: 5000, Record: "pi_1"},
		{System: order.SystemPayment, Operation: order.Authorize, N: 2, Status: Done, First: tried, Ended: tried, Amount: 5000, Record: "pi_2"},
	}
	p.Observed = []reconcile.Observation{{
		System: order.SystemPayment, Order: "1", State: reconcile.Present, Strong: true, At: tried,
		Payment: &reconcile.Payment{Attempts: []reconcile.Attempt{
			{ID: "pi_1", Key: "order/1/authorize/1", Currency: "EUR", Amount: 5000, State: reconcile.AttemptVoided, Created: began},
			{ID: "pi_2", Key: "order/1/authorize/2", Currency: "EUR", Amount: 5000, State: reconcile.AttemptOpen, Challenge: true, Created: tried},
		}},
	}}
	p.askCustomer(began, AskAboutPayment, []order.Quantity{{Line: 1, SKU: "MUG", Quantity: 1}})
	return p, tried
}

// Past the pivot nobody is given up on a reading of before the end of their time: who paid
// after it was taken, and was not heard of, has paid.
func TestQuestion_Challenge_PastThePivot_TheGatewayIsReadWhenTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	p, tried := challengedLate(order.PhaseAccepted)
	p.Payers = []string{"pi_1"}
	deadline, until := p.answerBy(&p.Questions[0]), p.payDeadline()
	p.Observed[0].At = deadline.Add(5 * time.Minute) // a verdict was asked for, say
	p.attendPayment(until.Add(time.Minute))
	if q := p.Questions[0]; !q.Closed.IsZero() || p.Amendment != nil || len(p.Hints) != 1 {
		t.Fatalf("tried at %s, read five minutes after the deadline: the question is %+v, the amendment %+v, and to be read are %+v", tried, q, p.Amendment, p.Hints)
	}
	p.Observed[0].At = until
	p.attendPayment(until.Add(2 * time.Minute))
	if q := p.Questions[0]; q.Closed.IsZero() || p.Amendment == nil {
		t.Fatalf("read when their time was over: the question is %+v, the amendment %+v", q, p.Amendment)
	}
}
