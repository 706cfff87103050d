package main

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workflows"
)

// anOrder is an order of two lines, 99.80 EUR.
func anOrder(id string) order.Order {
	return order.Order{
		ID: order.ID(id), PlacedAt: time.Now().UTC().Truncate(time.Millisecond), Channel: "shop",
		Customer: order.Customer{ID: "c-" + id, Email: id + "@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: "EUR",
		Lines: []order.Line{
			{SKU: "MUG", Quantity: 2, UnitPrice: 2500},
			{SKU: "TSHIRT", Quantity: 1, UnitPrice: 4500, Discount: 500, Tax: 480},
		},
		Shipping: 500, Total: 9980,
		Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
}

// history reads the whole history of an order.
func (s *stage) history(ctx context.Context, id order.ID) ([]*historypb.HistoryEvent, error) {
	return s.events(ctx, workflows.OrderWorkflowID(id))
}

func (s *stage) events(ctx context.Context, workflowID string) ([]*historypb.HistoryEvent, error) {
	var all []*historypb.HistoryEvent
	pages := s.client.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for pages.HasNext() {
		e, err := pages.Next()
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", workflowID, err)
		}
		all = append(all, e)
	}
	return all, nil
}
