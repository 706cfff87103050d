package hubspot

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// UpsertDeal makes or changes the order's deal and ties it to the contact.
func (c *Client) UpsertDeal(ctx context.Context, r crm.DealRequest) (reconcile.Deal, error) {
	d, err := c.upsertDeal(ctx, r)
	if err != nil {
		return reconcile.Deal{}, fmt.Errorf("upsert the deal of order %s: hubspot: %w", r.Order, err)
	}
	return d, nil
}

func (c *Client) upsertDeal(ctx context.Context, r crm.DealRequest) (reconcile.Deal, error) {
	want, err := c.wanted(r)
	if err != nil {
		return reconcile.Deal{}, apierr.New(apierr.Invalid, "", err)
	}
	for try := 1; ; try++ {
		d, err := c.dealOnce(ctx, r, want)
		if try == tries || !is(err, apierr.Conflict) {
			return d, err
		}
	}
}

// wanted returns the properties of a new deal, or what is wrong with the request.
func (c *Client) wanted(r crm.DealRequest) (map[string]string, error) {
	if _, err := order.ParseID(string(r.Order)); err != nil {
		return nil, fmt.Errorf("order id %w", err)
	}
	if _, known := r.Revenue.Currency.Decimals(); !known {
		return nil, fmt.Errorf("unknown currency %q", r.Revenue.Currency)
	}
	if r.Contact != "" && !validID(r.Contact) {
		return nil, errors.New("contact is not the id of a contact")
	}
	stage := map[reconcile.DealStage]string{
		reconcile.DealOpen: c.config.OpenStage, reconcile.DealWon: c.config.WonStage, reconcile.DealLost: c.config.LostStage,
	}[r.Stage]
	if stage == "" {
		return nil, fmt.Errorf("stage %q is none that an order's deal has", r.Stage)
	}
	want := map[string]string{
		PropertyOrder: string(r.Order), PropertyChannel: c.config.Channel, "dealname": "Order " + string(r.Order),
		"pipeline": c.config.Pipeline, "dealstage": stage,
		"amount":             order.FormatMinor(r.Revenue.Minor, r.Revenue.Currency),
		"deal_currency_code": string(r.Revenue.Currency),
	}
	if r.Cart != "" {
		want[PropertyFromCart] = r.Cart
	}
	return want, nil
}

// dealOnce returns Conflict when somebody else made the deal between our look
// and our write.
func (c *Client) dealOnce(ctx context.Context, r crm.DealRequest, want map[string]string) (reconcile.Deal, error) {
	has, found, err := c.find(ctx, deals, PropertyOrder, string(r.Order))
	if err != nil {
		return reconcile.Deal{}, err
	}
	written := false
	if !found {
		if err := c.create(ctx, deals, PropertyOrder, want, r.Contact); err != nil {
			return reconcile.Deal{}, err
		}
		written = true
	} else {
		if differs := c.differences(has, r, want); len(differs) > 0 {
			if err := c.change(ctx, deals, has.ID, differs); err != nil {
				return reconcile.Deal{}, err
			}
			written = true
		}
		if r.Contact != "" {
			if err := c.tie(ctx, has.ID, r.Contact); err != nil {
				return reconcile.Deal{}, after(written, err)
			}
		}
	}
	d, err := c.readDeal(ctx, r)
	return d, after(written, err)
}

// after is doubt for what came after a write.
func after(written bool, err error) error {
	if written {
		return doubt(err)
	}
	return err
}

func (c *Client) readDeal(ctx context.Context, r crm.DealRequest) (reconcile.Deal, error) {
	o, err := c.by(ctx, deals, PropertyOrder, string(r.Order))
	if err != nil {
		return reconcile.Deal{}, err
	}
	return c.dealOf(o, r.Revenue.Currency)
}

// differences returns what must be written to a deal. A stage is compared by
// its meaning: an open deal that a person moved along is still open.
func (c *Client) differences(has object, r crm.DealRequest, want map[string]string) map[string]string {
	differs := map[string]string{}
	if c.stageOf(has) != r.Stage && !slices.Contains(r.Leave, reconcile.CRMDeal) {
		differs["dealstage"], differs["pipeline"] = want["dealstage"], want["pipeline"]
	}
	others := []string{PropertyFromCart, PropertyChannel}
	if !slices.Contains(r.Leave, reconcile.CRMRevenue) {
		others = append(others, "deal_currency_code")
		if minor, err := order.ParseMinor(has.get("amount"), r.Revenue.Currency); err != nil || minor != r.Revenue.Minor {
			differs["amount"] = want["amount"]
		}
	}
	for _, property := range others {
		if v, set := want[property]; set && has.get(property) != v {
			differs[property] = v
		}
	}
	return differs
}

// stageOf says where a deal stands. A deal that a person moved to another
// pipeline has stages that we do not know; HubSpot says whether they are closed.
func (c *Client) stageOf(o object) reconcile.DealStage {
	switch o.get("dealstage") {
	case c.config.WonStage:
		return reconcile.DealWon
	case c.config.LostStage:
		return reconcile.DealLost
	case c.config.AbandonedStage:
		return reconcile.DealAbandoned
	case c.config.OpenStage:
		return reconcile.DealOpen
	}
	switch {
	case o.get("hs_is_closed_won") == "true":
		return reconcile.DealWon
	case o.get("hs_is_closed") == "true":
		return reconcile.DealLost
	}
	return reconcile.DealOpen
}

// dealOf reads a deal; fallback is the currency of an amount without one.
func (c *Client) dealOf(o object, fallback order.Currency) (reconcile.Deal, error) {
	currency := order.Currency(strings.ToUpper(o.get("deal_currency_code")))
	if currency == "" {
		currency = fallback
	}
	revenue, err := minorOf(o.get("amount"), currency)
	if err != nil {
		return reconcile.Deal{}, apierr.New(apierr.Garbage, "", fmt.Errorf("deal %s: %w", o.ID, err))
	}
	cart := o.get(PropertyFromCart)
	if cart == "" {
		cart = o.get(PropertyCart)
	}
	return reconcile.Deal{ID: o.ID, Cart: cart, Stage: c.stageOf(o), Revenue: revenue, Currency: currency}, nil
}

// minorOf reads an amount as people and HubSpot write it. What no whole number
// of minor units is, is taken to the next one away from zero: such a hand-made
// amount must not make the deal unreadable, and must not pass for the amount
// whose digits it begins with.
func minorOf(amount string, currency order.Currency) (int64, error) {
	if amount == "" {
		return 0, nil
	}
	if minor, err := order.ParseMinor(amount, currency); err == nil {
		return minor, nil
	}
	decimals, known := currency.Decimals()
	if !known {
		return 0, errors.New("an amount in a currency that we do not take")
	}
	mantissa, exponent, _ := strings.Cut(strings.ToUpper(amount), "E")
	if len(mantissa) > 40 || len(exponent) > 3 || strings.ContainsAny(amount, "_/xXpPbBoO") {
		return 0, errors.New("an amount that is no number")
	}
	r, ok := new(big.Rat).SetString(amount)
	if !ok {
		return 0, errors.New("an amount that is no number")
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil)))
	whole, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	whole.Add(whole, big.NewInt(int64(rest.Sign())))
	if !whole.IsInt64() {
		return 0, errors.New("an amount that is too large")
	}
	return whole.Int64(), nil
}
