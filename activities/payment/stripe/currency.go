package stripe

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/trueup-orders/trueup/order"
)

// Stripe's amounts are in a currency's smallest unit, which is what ours are,
// but for these (docs.stripe.com/currencies, "special cases").
const (
	// Without decimals since 2023, but still written with two, both zero:
	// 5 ISK is 500.
	iceland = order.Currency("ISK")
	// Stripe's pages disagree about the Ugandan shilling: it is in the list of
	// currencies without decimals, and among those which are written with two
	// nevertheless. A guess would be wrong by a factor of 100.
	uganda = order.Currency("UGX")
)

// unsupported have three decimals and are not in Stripe's list of those.
var unsupported = map[order.Currency]bool{"IQD": true, "LYD": true}

// toStripe returns an amount as Stripe writes it.
func toStripe(a order.Amount) (int64, error) {
	decimals, ok := a.Currency.Decimals()
	switch {
	case !ok || unsupported[a.Currency]:
		return 0, fmt.Errorf("currency %q is not taken by Stripe", string(a.Currency))
	case a.Currency == uganda:
		return 0, errors.New("UGX is refused: Stripe's documentation contradicts itself about its decimals")
	case a.Minor < 0:
		return 0, errors.New("a negative amount")
	case a.Currency == iceland && a.Minor > math.MaxInt64/100:
		return 0, errors.New("the amount is too large")
	case a.Currency == iceland:
		return a.Minor * 100, nil
	case decimals == 3 && a.Minor%10 != 0:
		return 0, fmt.Errorf("%s: Stripe takes amounts in %s only when the last of the three decimals is 0", a, a.Currency)
	}
	return a.Minor, nil
}

// fromStripe is the opposite of toStripe. It is not as strict: what is there is
// there, even when we could not have asked for it.
func fromStripe(amount int64, currency string) (order.Amount, error) {
	c := order.Currency(strings.ToUpper(currency))
	if _, ok := c.Decimals(); !ok || c == uganda {
		return order.Amount{}, fmt.Errorf("an amount in the unknown currency %q", clip(currency, 8))
	}
	if amount < 0 {
		return order.Amount{}, errors.New("a negative amount")
	}
	if c == iceland {
		if amount%100 != 0 {
			return order.Amount{}, errors.New("a fraction of a króna")
		}
		amount /= 100
	}
	return order.Amount{Minor: amount, Currency: c}, nil
}
