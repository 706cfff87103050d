package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// proof is a case about money that the gateway took beyond what was meant, with
// everything that its evidence is made from.
type proof struct {
	grounds Grounds
	k       Case
	options []Option
	now     time.Time
}

func (p proof) evidence() Evidence { return p.grounds.Evidence(p.k, p.options, p.now) }

// overcharged is a shipped order of which 5.00 EUR more were captured.
func overcharged() proof {
	i := shippedOrder()
	w := agreeing(i)
	w.payment.Attempts[0].Captured += 500
	observations := w.read(i.Order, now)
	for n := range observations {
		observations[n].Version = "v7"
	}
	b := Break{
		System: order.SystemPayment, Field: PaymentCaptured, Situation: Mismatch, Expected: "9980", Observed: "10480",
		Right: "payment", Money: 500,
	}
	return proof{
		grounds: Grounds{
			Intent: i, Policy: auto(), Observations: observations,
			Comparison: Compare(i, auto(), observations, nil, nil, now),
			Bases:      []Base{{Field: PaymentCaptured, Value: "9980", At: now.Add(-time.Hour)}},
		},
		k: Case{N: 1, Opened: now.Add(-time.Hour), Deadline: now.Add(time.Hour), Step: Step{
			Break: b, Decision: Ask, System: order.SystemPayment, Operation: order.Refund, Amount: 500, Why: "more was captured", Proposal: "refund 5.00 EUR",
		}},
		options: []Option{{As: "repair", Does: "give back 5.00 EUR"}, {As: "accept", Does: "let it stand"}},
		now:     now.Add(10 * time.Minute),
	}
}

func TestEvidence_SaysWhatEverySystemSaysAndWhoIsRight(t *testing.T) {
	t.Parallel()
	p := overcharged()
	total := p.grounds.Intent.Captured
	e := p.evidence()
	if e.Question != "money captured" || e.Expected != "99.80 EUR" || e.Observed != "104.80 EUR" || e.Money != "5.00 EUR" ||
		e.Base != "99.80 EUR" || !e.AgreedAt.Equal(now.Add(-time.Hour)) || e.Right != "payment" || e.Strength != "" || e.Mode != ModeAuto ||
		e.Policy != auto().Version() || e.Rules != RulesVersion || len(e.Options) != 2 {
		t.Errorf("the evidence is %+v", e)
	}
	var systems []order.System
	for _, s := range e.Says {
		systems = append(systems, s.System)
		if s.Age != 10*time.Minute || !s.At.Equal(now) || s.Version != "v7" || s.Agrees == (s.System == order.SystemPayment) {
			t.Errorf("%s says %+v", s.System, s)
		}
	}
	if !slices.Equal(systems, []order.System{order.SystemPayment, order.SystemERP, order.SystemCRM}) {
		t.Errorf("asked %v", systems)
	}
	want := order.Amount{Minor: total + 500, Currency: p.grounds.Intent.Currency}.String()
	if e.Says[0].Value != want {
		t.Errorf("the gateway says %q, want %q", e.Says[0].Value, want)
	}
}

// A strength is named where it decides, as in the table of the policy: elsewhere it
// would say what nobody does.
func TestEvidence_StrengthOnlyWhereItDecides(t *testing.T) {
	t.Parallel()
	p := overcharged()
	for field, want := range map[Field]Strength{
		PaymentCaptured: "", PaymentHeld: "", ERPBalance: "", WarehouseLines: "", MailField(MailShipped): "",
		InventoryReserved: Enforce, ERPSale: EnforceOurs, CRMContact: FillEmpty, CRMDeal: Enforce,
	} {
		p.k.Step.Break.System, p.k.Step.Break.Field = field.System(), field
		if e := p.evidence(); e.Strength != want {
			t.Errorf("a case of %s names the strength %q, want %q", field, e.Strength, want)
		}
	}
}

func TestEvidence_CannotBeRead_LastKnownAndSaidSo(t *testing.T) {
	t.Parallel()
	p := overcharged()
	before := p.evidence()
	for n, o := range p.grounds.Observations {
		if o.System == order.SystemPayment {
			o.State, o.LastRead, o.At = Unreadable, now, now.Add(5*time.Minute)
			p.grounds.Observations[n] = o
		}
	}
	e := p.evidence()
	if s := e.Says[0]; !s.Unreadable || s.Value != before.Says[0].Value || !s.At.Equal(now) || s.Age != 10*time.Minute {
		t.Errorf("the gateway says %+v", s)
	}
	if e.Token != before.Token {
		t.Error("that a system cannot be read is no other evidence: what is known is the same")
	}
}

// What no question of the verdict is about is answered by its own system.
func TestEvidence_OfARefusedOperation_ItsOwnSystemAnswers(t *testing.T) {
	t.Parallel()
	p := overcharged()
	p.k.Step.Break = Break{
		System: order.SystemInventory, Field: "inventory.release", Situation: Missing, Item: "order/1/release/1", Expected: "done", Observed: "more is reserved than stocked", Right: "order",
	}
	e := p.evidence()
	if len(e.Says) != 1 || e.Says[0].System != order.SystemInventory || e.Says[0].Value != "more is reserved than stocked" || e.Says[0].Agrees || e.Expected != "done" {
		t.Errorf("the evidence is %+v", e)
	}
}

// The token names what a decision would rest on, and nothing else.
func TestEvidence_Token(t *testing.T) {
	t.Parallel()
	token := overcharged().evidence().Token
	if len(token) != 12 {
		t.Errorf("the token is %q", token)
	}
	for name, c := range map[string]struct {
		change  func(p *proof)
		another bool
	}{
		"nothing":                     {func(*proof) {}, false},
		"hours later":                 {func(p *proof) { p.now = p.now.Add(5 * time.Hour) }, false},
		"touched in nothing of this":  {func(p *proof) { p.grounds.Observations[0].Version = "v8" }, false},
		"worded otherwise":            {func(p *proof) { p.k.Step.Why, p.k.Step.Proposal = "x", "y" }, false},
		"another policy":              {func(p *proof) { p.grounds.Policy.CoolDown++ }, false},
		"a system that has no part":   {func(p *proof) { observedIn(p, order.SystemMail).Mail = &Mail{} }, false},
		"another break":               {func(p *proof) { p.k.Step.Break.Item = "pi_2" }, true},
		"another expectation":         {func(p *proof) { p.k.Step.Break.Expected = "1" }, true},
		"another observation":         {func(p *proof) { p.k.Step.Break.Observed = "1" }, true},
		"other money at stake":        {func(p *proof) { p.k.Step.Break.Money = 1 }, true},
		"another operation":           {func(p *proof) { p.k.Step.Operation = order.Void }, true},
		"another amount":              {func(p *proof) { p.k.Step.Amount = 1 }, true},
		"another key":                 {func(p *proof) { p.k.Step.Key = "order/1/refund/2" }, true},
		"the gateway says otherwise":  {func(p *proof) { observedIn(p, order.SystemPayment).Payment.Attempts[0].Captured++ }, true},
		"a decision does otherwise":   {func(p *proof) { p.options[0].Does = "give back 4.00 EUR" }, true},
		"a decision is not there":     {func(p *proof) { p.options = p.options[:1] }, true},
		"two texts cut in other ways": {func(p *proof) { p.options[0] = Option{As: "repairg", Does: "ive back 5.00 EUR"} }, true},
	} {
		p := overcharged()
		c.change(&p)
		if got := p.evidence().Token; (got != token) != c.another {
			t.Errorf("%s: the token was %s and is %s", name, token, got)
		}
	}
}

// observedIn returns what a system said, to be changed.
func observedIn(p *proof, s order.System) *Observation {
	n := slices.IndexFunc(p.grounds.Observations, func(o Observation) bool { return o.System == s })
	return &p.grounds.Observations[n]
}

func TestStep_Asked(t *testing.T) {
	t.Parallel()
	b := Break{System: order.SystemERP, Field: ERPSale, Situation: Missing}
	step := repair(b, order.Record, "order/1/record/1", "the document is missing")
	if got := step.Asked(); got.Decision != Ask || got.Operation != order.Record || got.Proposal != "record in erp under order/1/record/1" || len(got.Alternatives) != 2 {
		t.Errorf("a repair is asked as %+v", got)
	}
	taken := adopt(b, "they are right")
	taken.Operation = order.Record
	if got := taken.Asked(); got.Decision != Ask || got.Operation != "" || got.Proposal != "look at it in erp" {
		t.Errorf("an adoption is asked as %+v", got)
	}
	asked := ask(b, "why", "proposal", "one", "two").by(order.Record, "k", 5)
	if got := asked.Asked(); !got.Same(asked) || got.Proposal != "proposal" || len(got.Alternatives) != 2 {
		t.Errorf("a question is asked as %+v", got)
	}
	for name, other := range map[string]Step{
		"amount": func() Step { s := asked; s.Amount++; return s }(), "operation": func() Step { s := asked; s.Operation = order.Credit; return s }(),
		"observed": func() Step { s := asked; s.Break.Observed = "x"; return s }(), "money": func() Step { s := asked; s.Break.Money++; return s }(),
		"expected": func() Step { s := asked; s.Break.Expected = "x"; return s }(), "key": func() Step { s := asked; s.Key = "x"; return s }(),
		"break": func() Step { s := asked; s.Break.Item = "x"; return s }(),
	} {
		if asked.Same(other) {
			t.Errorf("another %s passes for the same", name)
		}
	}
}

func TestCase_NearAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ all, before time.Duration }{
		{24 * time.Hour, 6 * time.Hour}, {4 * time.Hour, time.Hour}, {12 * time.Minute, 5 * time.Minute}, {8 * time.Minute, 4 * time.Minute}, {0, 0},
	} {
		k := Case{Opened: now, Deadline: now.Add(c.all)}
		if got := k.Deadline.Sub(k.NearAt()); got != c.before {
			t.Errorf("of %s it is near %s before, want %s", c.all, got, c.before)
		}
	}
}

func TestVerdict_ShowsTheEvidenceOfItsCases(t *testing.T) {
	t.Parallel()
	p := overcharged()
	e := p.evidence()
	p.k.Evidence = &e
	v := Judge(p.grounds.Intent, p.grounds.Policy, p.grounds.Observations, p.grounds.Comparison, []Case{p.k}, true, now)
	if table := v.Table(); !strings.Contains(table, "decide as repair, accept; on evidence "+e.Token) {
		t.Errorf("the table does not say on what is decided:\n%s", table)
	}
	if text := v.Markdown(); !strings.Contains(text, "case 1 (evidence "+e.Token+"): more was captured") {
		t.Errorf("the details do not name the evidence:\n%s", text)
	}
}
