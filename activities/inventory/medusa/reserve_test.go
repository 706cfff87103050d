package medusa_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory/medusa"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

func TestReserve_Repeated_OneEffect(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 10)
		hat, _ := s.stock("HAT", 10)
		r := request(s.order("42"), line(1, mug, 2), line(2, hat, 1), line(3, mug, 3))
		first, err := s.client.Reserve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		want := []reconcile.Reservation{promised(1, mug, 2), promised(2, hat, 1), promised(3, mug, 3)}
		if diff := cmp.Diff(want, bare(first)); diff != "" {
			t.Fatal(diff)
		}
		second, err := s.client.Reserve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Error("a repeat changed something:", diff)
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 10, Reserved: 5}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReserve_Concurrently_OneEffect(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 100)
		hat, _ := s.stock("HAT", 2) // enough for one of the twins
		r := request(s.order("42"), line(1, mug, 2), line(2, hat, 2))
		for _, err := range concurrently(6, func() error {
			_, err := s.client.Reserve(t.Context(), r)
			return err
		}) {
			// The real one counts in one moment and lists in the next: what was made in
			// between is no answer, and read again.
			between := s.server == nil && apierr.CodeOf(err) == apierr.Garbage
			if err != nil && apierr.CodeOf(err) != apierr.InDoubt && !between {
				t.Error(err)
			}
		}
		if _, err := s.client.Reserve(t.Context(), r); err != nil { // whatever they left, a repeat settles
			t.Fatal(err)
		}
		if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 2), promised(2, hat, 2)}, s.held(r.Order)); diff != "" {
			t.Error(diff)
		}
		if s.server != nil {
			if diff := cmp.Diff(map[string]int64{mug: 2, hat: 2}, s.promisedByLedger(r.Order)); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// concurrently returns what n calls at once returned.
func concurrently(n int, f func() error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f() })
	}
	all.Wait()
	return errs
}

func TestReserve_LastPiece_OneOfManyOrders(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 1)
		orders := make(chan order.ID, 5)
		for i := range 5 {
			orders <- s.order(unique("o", i))
		}
		won := 0
		for _, err := range concurrently(5, func() error {
			_, err := s.client.Reserve(t.Context(), request(<-orders, line(1, mug, 1)))
			return err
		}) {
			switch {
			case err == nil:
				won++
			case apierr.CodeOf(err) != apierr.Declined || apierr.ReasonOf(err) != "out_of_stock":
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d orders got the last piece", won)
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 1, Reserved: 1}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReserve_OutOfStock_NothingOfItStays(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		hat, _ := s.stock("HAT", 0)
		_, err := s.client.Reserve(t.Context(), request(s.order("42"), line(1, mug, 2), line(2, hat, 1)))
		if apierr.CodeOf(err) != apierr.Declined || apierr.ReasonOf(err) != "out_of_stock" || !strings.Contains(err.Error(), "sku "+hat) {
			t.Fatal(err)
		}
		if held := s.held(s.order("42")); held != nil {
			t.Error(held)
		}
		if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 5}, s.level(mug)); diff != "" {
			t.Error(diff)
		}
	})
}

// What an earlier call reserved stays when a later one is declined, and what it
// raised goes back.
func TestReserve_OutOfStock_EarlierLinesStay(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		hat, _ := s.stock("HAT", 0)
		id := s.order("42")
		before, err := s.client.Reserve(t.Context(), request(id, line(1, mug, 2)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.client.Reserve(t.Context(), request(id, line(1, mug, 4), line(2, hat, 1)))
		if apierr.CodeOf(err) != apierr.Declined {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bare(before), s.held(id)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReserve_AnotherQuantity_OneReservationChanges(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		for _, n := range []int64{2, 5, 1} {
			held, err := s.client.Reserve(t.Context(), request(s.order("42"), line(1, mug, n)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, n)}, bare(held)); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// A twin that landed late is released, the lower id kept, although the stock
// had been just enough for both.
func TestReserve_Twin_IsReleased(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, item := s.stock("MUG", 4)
		id := s.order("42")
		first, err := s.client.Reserve(t.Context(), request(id, line(1, mug, 2)))
		if err != nil {
			t.Fatal(err)
		}
		s.byHand(item, 2, "order/"+string(id), map[string]any{"line": 1})
		if held := s.held(id); len(held) != 2 {
			t.Fatal("a look-up hides the twin:", held)
		}
		again, err := s.client.Reserve(t.Context(), request(id, line(1, mug, 2)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Error(diff)
		}
	})
}

// Somebody edited everything that can be edited: line_item_id cannot be, so the
// reservation is still found and not made twice.
func TestReserve_EditedByHand_NotTwice(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		r := request(s.order("42"), line(1, mug, 2))
		first, err := s.client.Reserve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		path := "/admin/reservations/" + first[0].ID
		s.must("POST", path, map[string]any{"metadata": map[string]any{"line": "", "order_id": ""}}, nil)
		if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 2)}, s.held(r.Order)); diff != "" {
			t.Error("the line is not read from the description:", diff)
		}
		s.must("POST", path, map[string]any{"description": "ask Ann"}, nil)
		if diff := cmp.Diff([]reconcile.Reservation{promised(0, mug, 2)}, s.held(r.Order)); diff != "" {
			t.Error(diff)
		}
		again, err := s.client.Reserve(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 2)}, bare(again)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReserve_UnknownSKU_NotFound(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		bare, _ := s.stock("BARE", -1)
		for _, sku := range []string{"NOPE" + s.suffix, bare} {
			_, err := s.client.Reserve(t.Context(), request(s.order("42"), line(1, mug, 1), line(2, sku, 1)))
			if apierr.CodeOf(err) != apierr.NotFound {
				t.Error(sku, err)
			}
			if held := s.held(s.order("42")); held != nil {
				t.Error(sku, held)
			}
		}
	})
}

func TestReserve_Nonsense_Invalid(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	mug, _ := s.stock("MUG", 5)
	for name, r := range map[string]struct {
		id    order.ID
		lines []order.Quantity
	}{
		"no order":        {"", []order.Quantity{line(1, mug, 1)}},
		"a path as order": {"../x", []order.Quantity{line(1, mug, 1)}},
		"no line":         {"42", []order.Quantity{line(0, mug, 1)}},
		"a line twice":    {"42", []order.Quantity{line(1, mug, 1), line(1, mug, 1)}},
		"nothing":         {"42", []order.Quantity{line(1, mug, 0)}},
		"less":            {"42", []order.Quantity{line(1, mug, -1)}},
		"no sku":          {"42", []order.Quantity{line(1, "", 1)}},
	} {
		if _, err := s.client.Reserve(t.Context(), request(r.id, r.lines...)); apierr.CodeOf(err) != apierr.Invalid {
			t.Error(name, err)
		}
	}
	if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 5}, s.level(mug)); diff != "" {
		t.Error(diff)
	}
}

func TestAPIKey_InsteadOfUser(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		key := simulated.DefaultAPIKey
		if s.server == nil {
			var in struct {
				Key struct{ Token string } `json:"api_key"`
			}
			s.must("POST", "/admin/api-keys", map[string]string{"title": "trueup", "type": "secret"}, &in)
			key = in.Key.Token
		}
		client := s.with(func(c *medusa.Config) { c.Email, c.Password, c.APIKey = "", "", key })
		if _, err := client.Reserve(t.Context(), request(s.order("42"), line(1, mug, 1))); err != nil {
			t.Error(err)
		}
		client = s.with(func(c *medusa.Config) { c.Email, c.Password, c.APIKey = "", "", "sk_wrong" })
		if _, err := client.Level(t.Context(), mug); apierr.CodeOf(err) != apierr.Unauthorized {
			t.Error(err)
		}
		client = s.with(func(c *medusa.Config) { c.Password = "wrong" })
		if _, err := client.Level(t.Context(), mug); apierr.CodeOf(err) != apierr.Unauthorized {
			t.Error(err)
		}
	})
}

func TestLocation_ByIDOrName(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *shop) {
		mug, _ := s.stock("MUG", 5)
		byID := s.with(func(c *medusa.Config) { c.Location = s.location })
		if l, err := byID.Level(t.Context(), mug); err != nil || l.Stocked != 5 {
			t.Error(l, err)
		}
		for _, name := range []string{"nowhere", "sloc_nowhere"} {
			client := s.with(func(c *medusa.Config) { c.Location = name })
			if _, err := client.Level(t.Context(), mug); apierr.CodeOf(err) != apierr.Invalid {
				t.Error(name, err)
			}
		}
	})
}

// An item that was made anew under its SKU has another id.
func TestItemMadeAnew_NextAttemptFindsIt(t *testing.T) {
	t.Parallel()
	s := openReal(t) // the simulated one deletes no items
	mug, item := s.stock("MUG", 5)
	s.level(mug)
	s.must(http.MethodDelete, "/admin/inventory-items/"+item, nil, nil)
	s.stock("MUG", 7)
	_, err := s.client.Reserve(t.Context(), request(s.order("42"), line(1, mug, 1)))
	if apierr.CodeOf(err) != apierr.Unavailable {
		t.Error(err)
	}
	if _, err = s.client.Reserve(t.Context(), request(s.order("42"), line(1, mug, 1))); err != nil {
		t.Error(err)
	}
}
