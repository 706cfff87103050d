package workflows

import (
	"testing"

	"github.com/trueup-orders/trueup/activities/reconciliation"
)

func TestWorthKnowing_AGroup_ElsewhereDecidedTwiceOrHalf(t *testing.T) {
	t.Parallel()
	said := reconciliation.Group{State: reconciliation.GroupOpen, Orders: 12}
	for _, c := range []struct {
		name string
		is   reconciliation.Group
		want bool
	}{
		{"the same", said, false},
		{"a few more", reconciliation.Group{State: reconciliation.GroupOpen, Orders: 23}, false},
		{"a few less", reconciliation.Group{State: reconciliation.GroupOpen, Orders: 7}, false},
		{"twice as many", reconciliation.Group{State: reconciliation.GroupOpen, Orders: 24}, true},
		{"half as many", reconciliation.Group{State: reconciliation.GroupOpen, Orders: 6}, true},
		{"decided", reconciliation.Group{State: reconciliation.GroupTrying, Decided: "repair", By: "ada", Orders: 12}, true},
		{"stopped again", reconciliation.Group{State: reconciliation.GroupOpen, Decided: "repair", By: "ada", Orders: 12}, true},
	} {
		if got := worthKnowing(c.is, &Telling{Evidence: standing(said), Orders: said.Orders}); got != c.want {
			t.Errorf("%s: worth knowing is %v", c.name, got)
		}
	}
	if worthKnowing(reconciliation.Group{State: reconciliation.GroupOpen}, &Telling{Evidence: standing(reconciliation.Group{State: reconciliation.GroupOpen})}) {
		t.Error("none and still none is news")
	}
}
