package reconcile

import (
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
)

func TestOrphanDeadline_EachSystemHasOne_MoneyTheShorterOfItsTwo(t *testing.T) {
	t.Parallel()
	p := Default()
	for _, s := range order.Systems() {
		if p.OrphanDeadline(s) <= 0 {
			t.Errorf("a record of %s has no deadline", s)
		}
	}
	for i := range p.Rules {
		switch p.Rules[i].Field {
		case PaymentHeld:
			p.Rules[i].CaseDeadline = 3 * time.Hour
		case PaymentCaptured:
			p.Rules[i].CaseDeadline = 2 * time.Hour
		case PaymentOpen:
			p.Rules[i].CaseDeadline = time.Hour // is not about what nobody claims
		case ERPSale:
			p.Rules[i].CaseDeadline = 5 * time.Hour
		}
	}
	if got := p.OrphanDeadline(order.SystemPayment); got != 2*time.Hour {
		t.Errorf("of a payment it is %s", got)
	}
	if got := p.OrphanDeadline(order.SystemERP); got != 5*time.Hour {
		t.Errorf("of a record in the ERP it is %s", got)
	}
}

func TestOrphanToken_AnotherForWhatDiffers(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for what, token := range map[string]string{
		"as it is":           OrphanToken(order.SystemPayment, "pi_1", []string{"a"}, []string{"b"}),
		"another record":     OrphanToken(order.SystemPayment, "pi_2", []string{"a"}, []string{"b"}),
		"another system":     OrphanToken(order.SystemERP, "pi_1", []string{"a"}, []string{"b"}),
		"known otherwise":    OrphanToken(order.SystemPayment, "pi_1", []string{"c"}, []string{"b"}),
		"said otherwise":     OrphanToken(order.SystemPayment, "pi_1", []string{"a"}, []string{"c"}),
		"known and not said": OrphanToken(order.SystemPayment, "pi_1", []string{"a", "b"}, nil),
	} {
		if other, known := seen[token]; known {
			t.Errorf("%s has the token of %s", what, other)
		}
		seen[token] = what
	}
	once, again := OrphanToken(order.SystemERP, "1", []string{"a"}, nil), OrphanToken(order.SystemERP, "1", []string{"a"}, nil)
	if once != again {
		t.Error("the same has two tokens")
	}
}
