package medusa_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/inventory/medusa"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// middlebox stands between the client and any Medusa, also the real one, and
// does to the first write what its mode says.
type middlebox struct {
	mode string // "lost": delivered, the answer cut; "twice"; "late": delivered when told

	mu    sync.Mutex
	done  bool
	later func() // delivers the late request
}

func (m *middlebox) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	mine := !m.done && r.Method != http.MethodGet && strings.HasPrefix(r.URL.Path, "/admin/")
	m.done = m.done || mine
	m.mu.Unlock()
	if !mine {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	deliver := func() (*http.Response, error) {
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		return http.DefaultTransport.RoundTrip(again)
	}
	swallow := func() {
		if resp, err := deliver(); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	switch m.mode {
	case "lost":
		swallow()
		return nil, io.ErrUnexpectedEOF
	case "twice":
		swallow()
		return deliver()
	case "late":
		m.later = swallow
		return nil, io.ErrUnexpectedEOF
	}
	return deliver()
}

// Lost answers, doubled and late requests at any Medusa: one effect.
func TestWrites_Middlebox_OneEffect(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"lost", "twice", "late"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			everywhere(t, func(t *testing.T, s *shop) {
				mug, _ := s.stock("MUG", 9)
				id := s.order("42")
				reserved := request(id, line(1, mug, 3), line(2, mug, 1))
				pass(t, s, mode, func(c *medusa.Client) error {
					_, err := c.Reserve(t.Context(), reserved)
					return err
				})
				if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 3), promised(2, mug, 1)}, s.held(id)); diff != "" {
					t.Error(diff)
				}
				pass(t, s, mode, func(c *medusa.Client) error {
					_, err := c.Release(t.Context(), releaseOf(id, order.Commit, line(1, mug, 2)))
					return err
				})
				if diff := cmp.Diff([]reconcile.Reservation{promised(1, mug, 2)}, s.held(id)); diff != "" {
					t.Error(diff)
				}
				pass(t, s, mode, func(c *medusa.Client) error {
					_, err := c.SetLevel(t.Context(), inventory.SetLevelRequest{SKU: mug, Stocked: 5})
					return err
				})
				if diff := cmp.Diff(reconcile.Level{SKU: mug, Stocked: 5, Reserved: 2}, s.level(mug)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// pass makes a write through a middlebox, and repeats it as the engine would:
// after an error, and after a late effect.
func pass(t *testing.T, s *shop, mode string, write func(c *medusa.Client) error) {
	t.Helper()
	box := &middlebox{mode: mode}
	client := s.with(func(c *medusa.Config) { c.Transport = box })
	err := write(client)
	if mode == "twice" && err != nil || mode != "twice" && codeOf(err) != apierr.InDoubt {
		t.Fatal(err)
	}
	if err := write(client); err != nil {
		t.Fatal(err)
	}
	if box.later == nil {
		return
	}
	box.later()
	if err := write(client); err != nil {
		t.Fatal(err)
	}
}
