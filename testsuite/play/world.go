package play

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/live"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// channel marks the orders as ours.
const channel = "shop"

// options are the world that a file asks for.
func options(f *script.File, o Options) (live.Options, error) {
	w := f.World
	policy, hurried, err := policyOf(f, o)
	if err != nil {
		return live.Options{}, err
	}
	sweeps := sweepEvery
	if w.ReconcileEvery == 0 {
		sweeps = 0
	}
	return live.Options{Hurried: hurried, Options: virtual.Options{
		Seed: o.Seed, Stock: w.Stock, Pace: warehouse.DefaultPace(), Policy: policy,
		Payment:        payment.Settings{KeyWindow: w.KeyWindow, AuthorizationTTL: w.AuthorizationTTL, RefundSettles: w.RefundSettles},
		ReservationTTL: w.ReservationTTL, Retention: w.Retention, FollowEvery: w.FollowEvery, ReconcileEvery: w.ReconcileEvery,
		SweepEvery: sweeps, JumpPolls: true, MailLateness: 10 * time.Minute, BudgetCount: budgetCount, BudgetMoney: budgetMoney,
	}}, nil
}

// Check judges what the format leaves to others: the policy's overrides, by the
// policy's own reader. Its error is a *script.Error.
func Check(f *script.File) error {
	_, err := reconcile.Parse([]byte(f.World.Policy))
	wrong, is := errors.AsType[*reconcile.PolicyError](err)
	if !is {
		return err
	}
	told := &script.Error{Path: f.Path}
	for _, p := range wrong.Problems {
		told.Problems = append(told.Problems, script.Problem{Line: f.World.PolicyLines[p.Line], Reason: "policy: " + p.Reason})
	}
	return told
}

// policyOf is the built-in policy with every kind switched to what it allows, the
// windows of the world, and then the file's own overrides, which win.
func policyOf(f *script.File, o Options) (text string, hurried map[string]float64, err error) {
	w := f.World
	policy := map[string]any{
		"mode": "auto", "pay_window": w.PayWindow.String(), "return_window": w.ReturnWindow.String(), "horizon": w.Horizon.String(),
	}
	var overrides map[string]any
	if err := yaml.NewDecoder(strings.NewReader(w.Policy)).Decode(&overrides); err != nil && w.Policy != "" {
		return "", nil, fmt.Errorf("read the policy's overrides: %w", err)
	}
	for key, value := range overrides {
		policy[key] = value
	}
	if o.Real {
		hurried = hurry(policy, f, o.short)
	}
	out, err := yaml.Marshal(policy)
	return string(out), hurried, err
}

// methods are the gateway's test methods: one that the customer must prove to be
// theirs, and one at whose bank the answer takes days, which alone can be
// captured by hand.
var methods = map[string]string{
	script.MethodCard: "pm_card_visa", script.MethodChallenge: "pm_card_threeDSecure2Required", script.MethodAsync: "pm_async",
}

// orderOf is a file's order as a service submits it.
func orderOf(o script.Order) order.Order {
	cart := o.Cart
	if cart == "" {
		cart = o.Name
	}
	out := order.Order{
		ID: order.ID(o.Name), Channel: channel, CartID: "cart-" + cart,
		Customer: order.Customer{ID: o.Customer, Email: o.Email, Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Currency: order.Currency(o.Currency), Shipping: o.Shipping, ShippingTax: o.Tax, Discount: o.Discount,
		Payment: order.Payment{
			Method: methods[o.Payment.Method], Capture: order.CaptureMode(o.Payment.Capture),
			Multicapture: o.Payment.Multicapture, Reusable: o.Payment.Reusable,
		},
	}
	out.Total = o.Shipping + o.Tax - o.Discount
	for _, l := range o.Lines {
		out.Lines = append(out.Lines, order.Line{SKU: l.SKU, Quantity: l.Quantity, UnitPrice: l.Price, Discount: l.Discount, Tax: l.Tax})
		out.Total += l.Quantity*l.Price - l.Discount + l.Tax
	}
	return out
}
