package medusa_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/inventory/medusa"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/inventory"
)

const none apierr.Code = "" // no error at all

// write is a write operation, and what it leaves when it happened once.
type write struct {
	operation order.Operation
	prepare   func(s *shop) error
	do        func(ctx context.Context, s *shop, c *medusa.Client) error
	held      []reconcile.Reservation
	level     reconcile.Level
}

func writes() []write {
	three, one := line(1, "MUG", 3), line(1, "MUG", 1)
	reserved := func(s *shop) error {
		_, err := s.client.Reserve(s.t.Context(), request("42", three, line(2, "MUG", 2)))
		return err
	}
	return []write{
		{
			operation: order.Reserve,
			prepare:   func(*shop) error { return nil },
			do: func(ctx context.Context, _ *shop, c *medusa.Client) error {
				_, err := c.Reserve(ctx, request("42", three, line(2, "MUG", 2)))
				return err
			},
			held:  []reconcile.Reservation{promised(1, "MUG", 3), promised(2, "MUG", 2)},
			level: reconcile.Level{SKU: "MUG", Stocked: 20, Reserved: 5},
		},
		{
			operation: order.Release, prepare: reserved,
			do: func(ctx context.Context, _ *shop, c *medusa.Client) error {
				_, err := c.Release(ctx, releaseOf("42", order.Release))
				return err
			},
			level: reconcile.Level{SKU: "MUG", Stocked: 20},
		},
		{
			operation: order.Commit, prepare: reserved,
			do: func(ctx context.Context, _ *shop, c *medusa.Client) error {
				_, err := c.Release(ctx, releaseOf("42", order.Commit, one))
				return err
			},
			held:  []reconcile.Reservation{promised(1, "MUG", 1)},
			level: reconcile.Level{SKU: "MUG", Stocked: 20, Reserved: 1},
		},
		{
			operation: order.Adjust,
			prepare:   func(*shop) error { return nil },
			do: func(ctx context.Context, _ *shop, c *medusa.Client) error {
				_, err := c.SetLevel(ctx, inventory.SetLevelRequest{SKU: "MUG", Stocked: 9})
				return err
			},
			level: reconcile.Level{SKU: "MUG", Stocked: 9},
		},
	}
}

// once asserts that the inventory is as after one effect, by its own records
// and by its ledger.
func (w write) once(t *testing.T, s *shop) {
	t.Helper()
	if diff := cmp.Diff(w.held, s.held("42")); diff != "" {
		t.Error("held:", diff)
	}
	if diff := cmp.Diff(w.level, s.level("MUG")); diff != "" {
		t.Error("level:", diff)
	}
	records, err := s.server.Records("42")
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, r := range records.Reservations {
		sums[r.SKU] += r.Quantity
	}
	if diff := cmp.Diff(sums, s.promisedByLedger("42")); diff != "" {
		t.Error("the ledger does not add up to the records:", diff)
	}
}

// Every write under every fault, first once and then repeated until it says
// that it is done: one effect.
func TestWrites_AnyFault_OneEffect(t *testing.T) {
	t.Parallel()
	codes := map[simulator.FaultKind]apierr.Code{
		simulator.Refused:       apierr.InDoubt,
		simulator.Unavailable:   apierr.InDoubt,
		simulator.ResponseLost:  apierr.InDoubt,
		simulator.ResponseError: apierr.InDoubt,
		simulator.RateLimited:   apierr.RateLimited,
		simulator.Garbage:       apierr.InDoubt,
		simulator.Twice:         none,
		simulator.Unauthorized:  none, // signs in anew
		simulator.Vanishes:      apierr.InDoubt,
		simulator.Partial:       apierr.InDoubt,
		simulator.ReplaysError:  apierr.InDoubt,
		simulator.Foreign:       apierr.InDoubt,
		simulator.Rejected:      apierr.Declined,
	}
	for _, w := range writes() {
		for kind, want := range codes {
			for _, skip := range []int{0, 1} { // the first request of the operation, or the second
				t.Run(fmt.Sprintf("%s/%s/%d", w.operation, kind, skip), func(t *testing.T) {
					t.Parallel()
					s := openSimulated(t, simulated.Settings{})
					s.stock("MUG", 20)
					if err := w.prepare(s); err != nil {
						t.Fatal(err)
					}
					want := want
					if kind == simulator.Rejected && (w.operation == order.Reserve || w.operation == order.Commit && skip == 1) {
						want = none // out of stock: it looks again and tries once more, or another way
					}
					s.inject(simulator.Fault{Operation: w.operation, Kind: kind, Skip: skip})
					err := w.do(t.Context(), s, s.client)
					fired := s.server.Frame().Faults()[0].Fired
					if fired == 0 && (skip == 0 || w.operation != order.Adjust) {
						t.Fatal("the fault never fired")
					}
					if fired > 0 && codeOf(err) != want {
						t.Errorf("%v; want the code %q", err, want)
					}
					s.server.Frame().Clear("*")
					if err := w.do(t.Context(), s, s.client); err != nil {
						t.Fatal("repeated:", err)
					}
					w.once(t, s)
				})
			}
		}
	}
}

func codeOf(err error) apierr.Code {
	if err == nil {
		return none
	}
	return apierr.CodeOf(err)
}

// The request is received when the client has long given up, and has its effect
// before or after the repeat.
func TestWrites_Late_OneEffect(t *testing.T) {
	t.Parallel()
	for _, w := range writes() {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/before the repeat %v", w.operation, before), func(t *testing.T) {
				t.Parallel()
				s := openSimulated(t, simulated.Settings{})
				s.stock("MUG", 20)
				if err := w.prepare(s); err != nil {
					t.Fatal(err)
				}
				s.inject(simulator.Fault{Operation: w.operation, Kind: simulator.Late})
				hasty, giveUp := context.WithCancel(t.Context())
				if err := warm(s); err != nil { // signed in, so that the first write is the one
					t.Fatal(err)
				}
				f := func() { giveUp() }
				s.arrived.Store(&f)
				if err := w.do(hasty, s, s.client); codeOf(err) != apierr.InDoubt {
					t.Fatal(err)
				}
				s.arrived.Store(nil)
				effect := <-s.clock.due
				if before {
					effect()
				}
				if err := w.do(t.Context(), s, s.client); err != nil {
					t.Fatal(err)
				}
				if !before {
					effect()
					if err := w.do(t.Context(), s, s.client); err != nil {
						t.Fatal(err)
					}
				}
				w.once(t, s)
			})
		}
	}
}

// warm lets the client sign in and learn its ids.
func warm(s *shop) error {
	_, err := s.client.Level(s.t.Context(), "MUG")
	return err
}

// A refusal that lasts is said as such, and nothing stays behind.
func TestWrites_LastingRefusal(t *testing.T) {
	t.Parallel()
	for _, w := range writes() {
		for kind, want := range map[simulator.FaultKind]apierr.Code{
			simulator.Rejected: apierr.Declined, simulator.Unauthorized: apierr.Unauthorized,
			simulator.RateLimited: apierr.RateLimited, simulator.Unavailable: apierr.InDoubt,
		} {
			t.Run(fmt.Sprintf("%s/%s", w.operation, kind), func(t *testing.T) {
				t.Parallel()
				s := openSimulated(t, simulated.Settings{})
				s.stock("MUG", 20)
				if err := w.prepare(s); err != nil {
					t.Fatal(err)
				}
				before := s.held("42")
				s.inject(simulator.Fault{Operation: w.operation, Kind: kind, Times: -1, Delay: 7 * time.Second})
				err := w.do(t.Context(), s, s.client)
				if codeOf(err) != want {
					t.Errorf("%v; want the code %q", err, want)
				}
				if e, ok := asError(err); want == apierr.RateLimited && (!ok || e.After != 7*time.Second) {
					t.Error("Retry-After is not told:", err)
				}
				if w.operation == order.Reserve && kind == simulator.Rejected && apierr.ReasonOf(err) != "out_of_stock" {
					t.Error(err)
				}
				// A commit deletes before it lowers; what it deleted needs no fault to stay gone.
				if diff := cmp.Diff(before, s.held("42")); diff != "" && w.operation != order.Commit {
					t.Error(diff)
				}
			})
		}
	}
}

func asError(err error) (*apierr.Error, bool) {
	for err != nil {
		if e, ok := err.(*apierr.Error); ok { //nolint:errorlint // walks the chain itself
			return e, true
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return nil, false
		}
		err = u.Unwrap()
	}
	return nil, false
}

// A middlebox doubles the first line, the second is out of stock: nothing of
// either stays.
func TestReserve_TwiceAndOutOfStock_NothingStays(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 20)
	s.stock("HAT", 0)
	s.inject(simulator.Fault{Operation: order.Reserve, Kind: simulator.Twice})
	_, err := s.client.Reserve(t.Context(), request("42", line(1, "MUG", 3), line(2, "HAT", 1)))
	if codeOf(err) != apierr.Declined {
		t.Error(err)
	}
	if held := s.held("42"); held != nil {
		t.Error(held)
	}
}

// The doubled request takes the last piece from itself.
func TestReserve_TwiceTheLastPiece_OneEffect(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 2)
	s.inject(simulator.Fault{Operation: order.Reserve, Kind: simulator.Twice})
	held, err := s.client.Reserve(t.Context(), request("42", line(1, "MUG", 1), line(2, "MUG", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]reconcile.Reservation{promised(1, "MUG", 1), promised(2, "MUG", 1)}, bare(held)); diff != "" {
		t.Error(diff)
	}
}

// Reads say what kept them from reading, and never that there is nothing.
func TestReads_AnyFault(t *testing.T) {
	t.Parallel()
	codes := map[simulator.FaultKind]apierr.Code{
		simulator.Refused: apierr.Unavailable, simulator.Unavailable: apierr.Unavailable,
		simulator.ResponseLost: apierr.Unavailable, simulator.ResponseError: apierr.Unavailable,
		simulator.RateLimited: apierr.RateLimited, simulator.Garbage: apierr.Garbage,
		simulator.Twice: none, simulator.Unauthorized: none, simulator.Foreign: apierr.Garbage,
		simulator.ReplaysError: apierr.Unavailable, simulator.Rejected: apierr.Declined,
	}
	for kind, want := range codes {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := openSimulated(t, simulated.Settings{})
			s.stock("MUG", 20)
			r := request("42", line(1, "MUG", 3))
			if _, err := s.client.Reserve(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			for name, read := range map[string]func() error{
				"lookup": func() error {
					_, err := s.client.Lookup(t.Context(), reconcile.Subject{Order: "42"})
					return err
				},
				"level": func() error { _, err := s.client.Level(t.Context(), "MUG"); return err },
				"reserve": func() error {
					_, err := s.client.Reserve(t.Context(), r)
					return err
				},
			} {
				s.inject(simulator.Fault{Operation: "lookup", Kind: kind})
				if err := read(); codeOf(err) != want {
					t.Errorf("%s: %v; want the code %q", name, err, want)
				}
			}
		})
	}
}

// A read back that fails leaves a write in doubt: it did happen.
func TestWrites_ReadBackFails_InDoubt(t *testing.T) {
	t.Parallel()
	for _, w := range writes() {
		t.Run(string(w.operation), func(t *testing.T) {
			t.Parallel()
			s := openSimulated(t, simulated.Settings{})
			s.stock("MUG", 20)
			if err := w.prepare(s); err != nil {
				t.Fatal(err)
			}
			if err := warm(s); err != nil {
				t.Fatal(err)
			}
			skip := 1 // the look-up before
			if w.operation == order.Adjust {
				skip = 0
			}
			s.inject(simulator.Fault{Operation: "lookup", Kind: simulator.Unavailable, Skip: skip})
			if err := w.do(t.Context(), s, s.client); codeOf(err) != apierr.InDoubt {
				t.Error(err)
			}
			w.once(t, s)
		})
	}
}

func TestNobodyListens_Unavailable(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	gone := s.with(func(c *medusa.Config) { c.BaseURL = "http://127.0.0.1:1" })
	for name, err := range map[string]error{
		"level": func() error { _, err := gone.Level(t.Context(), "MUG"); return err }(),
		"reserve": func() error {
			_, err := gone.Reserve(t.Context(), request("42", line(1, "MUG", 1)))
			return err
		}(),
	} {
		if codeOf(err) != apierr.Unavailable {
			t.Error(name, err)
		}
		if err != nil && strings.Contains(err.Error(), "supersecret") {
			t.Error("the error tells the password:", err)
		}
	}
}

// A write whose connection cannot be made had no effect, one that was cut may
// have had one.
func TestWrite_NeverConnected_Unavailable(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 20)
	cut := make(chan struct{})
	client := s.with(func(c *medusa.Config) { c.Transport = unplugged{cut} })
	if _, err := client.Level(t.Context(), "MUG"); err != nil {
		t.Fatal(err)
	}
	close(cut)
	_, err := client.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: "MUG", Stocked: 1})
	if codeOf(err) != apierr.Unavailable {
		t.Error(err)
	}
}

// unplugged connects to nobody once it is cut.
type unplugged struct{ cut chan struct{} }

func (u unplugged) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-u.cut:
		r = r.Clone(r.Context())
		r.URL.Host = "127.0.0.1:1"
	default:
	}
	return http.DefaultTransport.RoundTrip(r)
}

// The token runs out after a day; the client signs in anew.
func TestToken_RunsOut_SignsInAnew(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 20)
	if err := warm(s); err != nil {
		t.Fatal(err)
	}
	s.clock.advance(25 * time.Hour)
	if err := warm(s); err != nil {
		t.Error(err)
	}
}

// Stale reads are the reader's to notice by time; the surplus they cause is
// released by the next attempt.
func TestReserve_StaleLookup_SurplusGoes(t *testing.T) {
	t.Parallel()
	s := openSimulated(t, simulated.Settings{})
	s.stock("MUG", 20)
	r := request("42", line(1, "MUG", 3))
	s.held("42") // an answer to go back to: nothing
	s.inject(simulator.Fault{Operation: order.Reserve, Kind: simulator.ResponseLost})
	if _, err := s.client.Reserve(t.Context(), r); codeOf(err) != apierr.InDoubt {
		t.Fatal(err)
	}
	s.inject(simulator.Fault{Operation: "lookup", Kind: simulator.Stale, Delay: time.Hour})
	if _, err := s.client.Reserve(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]reconcile.Reservation{promised(1, "MUG", 3)}, s.held("42")); diff != "" {
		t.Error(diff)
	}
}

func TestNew_NamesEveryMissingSetting(t *testing.T) {
	t.Parallel()
	_, err := medusa.New(medusa.Config{BaseURL: "shop"})
	for _, name := range []string{"BaseURL", "APIKey", "Location", "Channel", "Now"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
	_, err = medusa.New(medusa.Config{BaseURL: "http://shop", Email: "a@b", APIKey: "k", Location: "l", Channel: "c", Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "both") {
		t.Error(err)
	}
}
