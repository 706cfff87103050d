package starters_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// remembers is an engine that says since when it remembers, or why it does not.
type remembers struct {
	starters.Engine
	since time.Time
	err   error
	told  time.Time // what the last order that was started was told
}

func (r *remembers) Query(_ context.Context, id, _ string, _, result any) error {
	if id != workflows.ReconciliationID {
		return errors.New("not asked for here")
	}
	if r.err == nil {
		result.(*reconciliation.Status).Since = r.since
	}
	return r.err
}

func (r *remembers) Submit(_ context.Context, s starters.Start, _ starters.Message, _ any) error {
	r.told = s.Input.(workflows.OrderInput).EngineSince
	return starters.ErrNotAnswered
}

// submitted is an order of an hour ago.
func (r *remembers) submitted(t *testing.T, c *starters.Client) {
	t.Helper()
	o := order.Order{
		ID: "1", PlacedAt: c.Now().Add(-time.Hour), Channel: "shop",
		Customer: order.Customer{ID: "c-1", Email: "ada@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR", Lines: []order.Line{{SKU: "MUG", Quantity: 1, UnitPrice: 2500}}, Total: 2500,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
	if _, err := c.Submit(t.Context(), o); !errors.Is(err, starters.ErrNotAnswered) {
		t.Fatal(err)
	}
}

func TestSubmit_SinceWhenTheEngineRemembers_AsFarAsItIsKnown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	began := now.Add(-30 * 24 * time.Hour)
	for name, tt := range map[string]struct {
		err  error
		want time.Time
	}{
		"it says":                           {nil, began},
		"nobody has started reconciliation": {starters.ErrNotFound, now},
		"nobody answers":                    {context.DeadlineExceeded, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := &remembers{since: began, err: tt.err}
			engine.submitted(t, &starters.Client{Engine: engine, Now: func() time.Time { return now }})
			if !engine.told.Equal(tt.want) {
				t.Errorf("the order was told %s, want %s", engine.told, tt.want)
			}
		})
	}
}

// An engine that has lost its data is not taken for the one that was asked before.
func TestSubmit_EngineLostItsDataMeanwhile_IsAskedAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	engine := &remembers{since: now.Add(-30 * 24 * time.Hour)}
	c := &starters.Client{Engine: engine, Now: func() time.Time { return now }}
	engine.submitted(t, c)
	engine.err = starters.ErrNotFound
	now = now.Add(time.Hour)
	if engine.submitted(t, c); !engine.told.Equal(now) {
		t.Errorf("the order was told %s, want %s", engine.told, now)
	}
}
