package virtual_test

import (
	"testing"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// meet lets calls of one operation come, and returns which of them (from 1) the
// crashes strike.
func meet(calls []order.ID, crashes ...virtual.Crash) [][]int {
	var all []*virtual.Crash
	for i := range crashes {
		crashes[i].System, crashes[i].Operation = order.SystemERP, "lookup"
		all = append(all, &crashes[i])
	}
	struck := make([][]int, len(crashes))
	for n, of := range calls {
		c := virtual.Due(all, order.SystemERP, simulator.Call{Operation: "lookup", Order: of}, virtual.Before, virtual.After)
		for i := range crashes {
			if c == &crashes[i] {
				struck[i] = append(struck[i], n+1)
				c.Fired = true
			}
		}
	}
	return struck
}

func only(t *testing.T, what string, got []int, want int) {
	t.Helper()
	if len(got) != 1 || got[0] != want {
		t.Errorf("%s struck the calls %v, want %d", what, got, want)
	}
}

func TestDue_ASecondCrash_CountsTheCallThatTheFirstStruck(t *testing.T) {
	calls := []order.ID{"O1", "O1", "O1", "O1"}
	got := meet(calls, virtual.Crash{Boundary: virtual.After}, virtual.Crash{Boundary: virtual.Before, Skip: 1})
	only(t, "the first", got[0], 1)
	only(t, "the second", got[1], 2)
}

// A call before which the worker died never came: the next one is the first.
func TestDue_TheCallNeverComes_IsNotCounted(t *testing.T) {
	calls := []order.ID{"O1", "O1", "O1", "O1"}
	got := meet(calls, virtual.Crash{Boundary: virtual.After, Skip: 1}, virtual.Crash{Boundary: virtual.Before})
	only(t, "the death before a call", got[1], 1)
	only(t, "the death after the second that comes", got[0], 3)
}

func TestDue_Orderless_StrikesNoCallAboutAnOrder(t *testing.T) {
	calls := []order.ID{"O1", "", "O1", "", "O2"}
	got := meet(calls,
		virtual.Crash{Boundary: virtual.After, Orderless: true, Skip: 1},
		virtual.Crash{Boundary: virtual.After, Order: "O2"},
	)
	only(t, "the death at a listing", got[0], 4)
	only(t, "the death at O2", got[1], 5)
}
