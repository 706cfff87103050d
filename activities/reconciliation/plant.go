package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// The planted break (D12): a wrong revenue in the CRM deal of a canary order,
// which the usual run has to find in time. It is the one write that is not the
// order's own, for it plays the person who edits there; it never touches money,
// stock or a posted document, and is off by a few minor units.

// Planted is one planted break and what became of it. It is recorded before it
// is made.
type Planted struct {
	N        int             `json:"n"` // from 1, as long as reconciliation lives
	Order    order.ID        `json:"order"`
	Field    reconcile.Field `json:"field"`
	Right    int64           `json:"right"` // revenue, in minor units
	Wrong    int64           `json:"wrong"`
	Currency order.Currency  `json:"currency"`
	Meant    time.Time       `json:"meant"`
	Made     time.Time       `json:"made,omitzero"`
	// Due is until when a run has to report it.
	Due   time.Time `json:"due,omitzero"`
	Found time.Time `json:"found,omitzero"`
	// Passed is when a usual run that began after it was made, and was complete, had
	// first reported without it.
	Passed time.Time `json:"passed,omitzero"`
	Run    string    `json:"run,omitempty"` // that found it
	Missed time.Time `json:"missed,omitzero"`
	// Over is when the deal was seen to be right again, and Reset whether the
	// planter had to see to that.
	Over  time.Time `json:"over,omitzero"`
	Reset bool      `json:"reset,omitempty"`
	// Why says why it was not planted, or not reset yet.
	Why string `json:"why,omitempty"`
}

// WrittenOver says that it was gone before any run could find it: it proves nothing.
func (p Planted) WrittenOver() bool {
	return !p.Made.IsZero() && !p.Over.IsZero() && p.Found.IsZero() && p.Missed.IsZero()
}

// Canary is what reconciliation knows of the planted breaks.
type Canary struct {
	// Order is the canary, and Every how often a break is planted.
	Order order.ID      `json:"order"`
	Every time.Duration `json:"every"`
	// Since is when planting began.
	Since time.Time `json:"since"`
	// Last is the latest one.
	Last *Planted `json:"last,omitempty"`
	// LastFound is when one was last found in time or late, Missed how many were
	// not found in time since planting began.
	LastFound time.Time `json:"last_found,omitzero"`
	Missed    int       `json:"missed,omitempty"`
}

// Late says why nobody can rely on the runs, by the planted breaks: the last one
// was missed, or none was found for longer than every plus what is allowed
// beyond it. Empty when all is well.
func (c *Canary) Late(now time.Time, beyond time.Duration) string {
	if c == nil {
		return ""
	}
	if p := c.Last; p != nil && !p.Missed.IsZero() && p.Found.IsZero() {
		return fmt.Sprintf("planted break %d in the deal of order %s was not found until %s", p.N, p.Order, p.Due.UTC().Format(time.RFC3339))
	}
	last := c.LastFound
	if last.IsZero() {
		last = c.Since
	}
	if age := now.Sub(last); age > c.Every+beyond {
		why := fmt.Sprintf("no planted break was found for %s", age.Round(time.Second))
		if c.Last != nil && c.Last.Why != "" {
			why += ": " + c.Last.Why
		}
		return why
	}
	return ""
}

// Sight is a confirmed break of the canary order, as a run reports it.
type Sight struct {
	Field    reconcile.Field `json:"field"`
	Observed string          `json:"observed"`
}

// Shows says that a sight is this very break.
func (s Sight) Shows(p Planted) bool {
	return s.Field == p.Field && s.Observed == strconv.FormatInt(p.Wrong, 10)
}

// PreparePlant says what is to be planted in the canary's deal, or in Why why
// nothing is: it is planted only where everything agrees and where the policy
// has a run find it without asking a person each time.
func (a *Activities) PreparePlant(ctx context.Context, p Planted) (Planted, error) {
	p.Field = reconcile.CRMRevenue
	rule := a.Policy.Rule(p.Field)
	switch {
	case a.Planter == nil:
		p.Why = "the CRM's adapter cannot plant a break"
		return p, nil
	case rule.Mode == reconcile.ModeIgnore || rule.Mode == reconcile.ModeAsk:
		p.Why = fmt.Sprintf("the mode of %s is %s: set it to report or auto", p.Field, rule.Mode)
		return p, nil
	}
	known, err := a.Keeper.Intents(ctx, IntentQuery{IDs: []order.ID{p.Order}, Limit: 1})
	if err != nil {
		return p, fmt.Errorf("plant a break: look order %s up: %w", p.Order, err)
	}
	at := slices.IndexFunc(known, func(k Known) bool { return k.Intent.Order == p.Order && !k.Intent.PlacedAt.IsZero() })
	if at < 0 {
		p.Why = fmt.Sprintf("order %s is not known here, or not at rest: submit a canary order and name it by TRUEUP_CANARY_ORDER", p.Order)
		return p, nil
	}
	intent := known[at].Intent
	deal, err := a.dealOf(ctx, known[at].Subject)
	switch {
	case err != nil:
		return p, err
	case intent.Deal != reconcile.DealWon || len(intent.Busy) > 0:
		p.Why = fmt.Sprintf("order %s has no deal that is won, or is at work", p.Order)
	case deal == nil || deal.Stage != reconcile.DealWon || deal.Revenue != intent.Revenue:
		p.Why = fmt.Sprintf("the deal of order %s does not agree as it is; nothing is planted on top of that", p.Order)
	default:
		// Each differs from the one before, so that finding an old one proves nothing.
		p.Right, p.Wrong, p.Currency = deal.Revenue, deal.Revenue+rule.Tolerance+1+int64(p.N%7), intent.Currency
	}
	return p, nil
}

// dealOf reads the order's only deal; nil when there is none, or more than one.
func (a *Activities) dealOf(ctx context.Context, s reconcile.Subject) (*reconcile.Deal, error) {
	seen, err := a.reader(order.SystemCRM).Lookup(ctx, s)
	if err != nil {
		return nil, apierr.ToEngine(fmt.Sprintf("read the deal of the canary order %s", s.Order), err)
	}
	if seen.CRM == nil || len(seen.CRM.Deals) != 1 {
		return nil, nil
	}
	return &seen.CRM.Deals[0], nil
}

// PlantBreak makes it. Done again it changes nothing.
func (a *Activities) PlantBreak(ctx context.Context, p Planted) error {
	_, err := a.Planter.SetRevenue(ctx, p.change(p.Right, p.Wrong))
	return apierr.ToEngine("plant a break", err)
}

func (p Planted) change(from, to int64) crm.RevenueChange {
	return crm.RevenueChange{Order: p.Order, From: order.Amount{Minor: from, Currency: p.Currency}, To: order.Amount{Minor: to, Currency: p.Currency}}
}

// EndPlanted sees to it that the planted value is not in the deal any more, and
// says whether it still was: a run that repairs has put it right before.
func (a *Activities) EndPlanted(ctx context.Context, p Planted) (bool, error) {
	deal, err := a.dealOf(ctx, reconcile.Subject{Order: p.Order, Currency: p.Currency})
	if err != nil || deal == nil || deal.Revenue != p.Wrong {
		return false, err
	}
	_, err = a.Planter.SetRevenue(ctx, p.change(p.Wrong, p.Right))
	if right := apierr.CodeOf(err) == apierr.Conflict; right { // the order has put it right just now
		return false, nil
	}
	return true, apierr.ToEngine("reset the planted break", err)
}

// AlarmPlanted says, loudly, that a planted break was not found in time. It returns
// true, and only mentions it, when it was written over: it is not there any more, and
// a run that would have reported it has reported without it.
func (a *Activities) AlarmPlanted(ctx context.Context, p Planted) (writtenOver bool, err error) {
	log := log.With(activity.GetLogger(ctx), "order", string(p.Order), "field", string(p.Field), "planted", p.Made, "due", p.Due)
	if !p.Passed.IsZero() && a.isGone(ctx, p) {
		log.Warn("a planted break was written over before a run came; a canary order should be one that is at rest")
		return true, nil
	}
	log.Error("a planted break was not found in time: do the reconciliation runs report? trueup status says what they did")
	return false, nil
}

// isGone says that the planted value is not in the deal any more, as far as that can be
// read soon.
func (a *Activities) isGone(ctx context.Context, p Planted) bool {
	limited, cancel := context.WithTimeout(ctx, alarmWithin)
	defer cancel()
	deal, err := a.dealOf(limited, reconcile.Subject{Order: p.Order, Currency: p.Currency})
	return err == nil && deal != nil && deal.Revenue != p.Wrong
}

// alarmWithin is how long the CRM is asked before the alarm: it is not held up by it.
const alarmWithin = 8 * time.Second

// Planter writes the one wrong value of a planted break, and nothing else.
type Planter interface {
	// SetRevenue changes the revenue of an order's deal from one value to another.
	// It is Conflict, without effect, when the deal has neither.
	SetRevenue(ctx context.Context, r crm.RevenueChange) (reconcile.Deal, error)
}
