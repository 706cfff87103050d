package medusa_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

func TestRelease_LeavesOnlyKeep(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 10)
		hat, _ := s.stock("HAT", 10)
		lines := []order.Quantity{line(1, mug, 3), line(2, hat, 2), line(3, mug, 4)}
		for name, c := range map[string]struct {
			keep []order.Quantity
			want []reconcile.Reservation
		}{
			"nothing":         {nil, nil},
			"a line":          {[]order.Quantity{line(2, hat, 2)}, []reconcile.Reservation{promised(2, hat, 2)}},
			"part of a line":  {[]order.Quantity{line(1, mug, 1)}, []reconcile.Reservation{promised(1, mug, 1)}},
			"never more":      {[]order.Quantity{line(1, mug, 9), line(5, hat, 1)}, []reconcile.Reservation{promised(1, mug, 3)}},
			"by SKU":          {[]order.Quantity{line(0, mug, 5)}, []reconcile.Reservation{promised(1, mug, 3), promised(3, mug, 2)}},
			"another SKU":     {[]order.Quantity{line(1, hat, 1)}, nil},
			"nothing of it":   {[]order.Quantity{line(1, mug, 0)}, nil},
			"all":             {lines, []reconcile.Reservation{promised(1, mug, 3), promised(2, hat, 2), promised(3, mug, 4)}},
			"a line in parts": {[]order.Quantity{line(3, mug, 1), line(3, mug, 1)}, []reconcile.Reservation{promised(3, mug, 2)}},
		} {
			id := s.order("42")
			if _, err := s.client.Reserve(t.Context(), request(id, lines...)); err != nil {
				t.Fatal(name, err)
			}
			for range 2 {
				left, err := s.client.Release(t.Context(), releaseOf(id, order.Release, c.keep...))
				if err != nil {
					t.Fatal(name, err)
				}
				if diff := cmp.Diff(c.want, bare(left)); diff != "" {
					t.Error(name, diff)
				}
			}
			if diff := cmp.Diff(c.want, s.held(id)); diff != "" {
				t.Error(name, diff)
			}
		}
	})
}

// After a partial shipment the level is set first: then more is reserved than
// stocked, Medusa refuses to lower anything, and the adapter does it anyway.
func TestCommit_LevelSetFirst_RestStaysReserved(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 3)
		id := s.order("42")
		if _, err := s.client.Reserve(t.Context(), request(id, line(1, mug, 3))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: mug, Stocked: 1}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			left, err := s.client.Release(t.Context(), releaseOf(id, order.Commit, line(1, mug, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 1)}, bare(left)); diff != "" {
				t.Error(diff)
			}
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 1, Reserved: 1}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
	})
}

// What is left is too little for what is to stay: nothing is touched, for the
// order would lose what it has.
func TestCommit_LessLeftThanKeep_ConflictAndNothingLost(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 4)
		id, other := s.order("42"), s.order("43")
		for _, r := range []inventory.ReserveRequest{request(id, line(1, mug, 3)), request(other, line(1, mug, 1))} {
			if _, err := s.client.Reserve(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: mug, Stocked: 1}); err != nil {
			t.Fatal(err)
		}
		_, err := s.client.Release(t.Context(), releaseOf(id, order.Commit, line(1, mug, 1)))
		if apierr.CodeOf(err) != apierr.Conflict || apierr.ReasonOf(err) != "oversold" {
			t.Error(err)
		}
		if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 3)}, s.held(id)); diff != "" {
			t.Error(diff)
		}
		left, err := s.client.Release(t.Context(), releaseOf(id, order.Commit))
		if err != nil || len(left) != 0 {
			t.Error(left, err)
		}
	})
}

// The system's own log tells a commit from a release, and whose doing it was.
func TestLedger_TellsOperations(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 9)
	if _, err := s.client.Reserve(t.Context(), request("42", line(1, "MUG", 3), line(2, "MUG", 2))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Release(t.Context(), releaseOf("42", order.Release, line(1, "MUG", 3))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Release(t.Context(), releaseOf("42", order.Commit, line(1, "MUG", 1))); err != nil {
		t.Fatal(err)
	}
	entries, err := s.server.Frame().Ledger(0, "42")
	if err != nil {
		t.Fatal(err)
	}
	var got []simulator.Entry
	for _, e := range entries {
		if e.Kind == simulator.EntryEffect {
			got = append(got, simulator.Entry{Operation: e.Operation, Amount: e.Amount, Detail: e.Detail, Key: e.Key})
		}
	}
	const key = "order/42/reserve/1"
	want := []simulator.Entry{
		{Operation: order.Reserve, Amount: 3, Detail: "MUG", Key: key},
		{Operation: order.Reserve, Amount: 2, Detail: "MUG", Key: key},
		{Operation: order.Release, Amount: 2, Detail: "MUG", Key: key},
		{Operation: order.Commit, Amount: 2, Detail: "MUG", Key: key},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRelease_Concurrently_OneEffect(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 10)
		id := s.order("42")
		if _, err := s.client.Reserve(t.Context(), request(id, line(1, mug, 3), line(2, mug, 3))); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(concurrently(6, func() error {
			_, err := s.client.Release(t.Context(), releaseOf(id, order.Release, line(1, mug, 1)))
			return err
		})...); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 10, Reserved: 1}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRelease_NeverReserved_NothingHappens(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 1)
		left, err := s.client.Release(t.Context(), releaseOf(s.order("42"), order.Release))
		if err != nil || len(left) != 0 {
			t.Error(left, err)
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 1}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
		if _, err := s.client.Release(t.Context(), releaseOf(s.order("42"), order.Capture)); apierr.CodeOf(err) != apierr.Invalid {
			t.Error(err)
		}
	})
}

func TestSetLevel_Repeated_OneEffect(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		bare, _ := s.stock("BARE", -1)
		for range 2 {
			l, err := s.client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: mug, Stocked: 7})
			if err != nil || l.SKU != mug || l.Stocked != 7 || l.At.IsZero() {
				t.Error(l, err)
			}
		}
		for _, err := range concurrently(4, func() error {
			_, err := s.client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: mug, Stocked: 0})
			return err
		}) {
			if err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
		if _, err := s.client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: mug, Stocked: -1}); apierr.CodeOf(err) != apierr.Invalid {
			t.Error(err)
		}
		for _, sku := range []string{bare, "NOPE" + s.suffix} {
			if _, err := s.client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: sku, Stocked: 1}); apierr.CodeOf(err) != apierr.NotFound {
				t.Error(sku, err)
			}
			if _, err := s.client.Level(t.Context(), sku); apierr.CodeOf(err) != apierr.NotFound {
				t.Error(sku, err)
			}
		}
	})
}
