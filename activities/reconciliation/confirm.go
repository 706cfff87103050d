package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Confirm asks to have suspects confirmed and repaired.
type Confirm struct {
	Run      string         `json:"run"`
	Suspects []Suspect      `json:"suspects,omitempty"`
	Stock    []StockSuspect `json:"stock,omitempty"`
	Short    []Shortage     `json:"short,omitempty"`
}

// ConfirmedAll is what came of it.
type ConfirmedAll struct {
	Orders []Confirmed `json:"orders,omitempty"`
	// Unanswered are orders whose workflow did not answer in time.
	Unanswered []order.ID  `json:"unanswered,omitempty"`
	Stock      StockReport `json:"stock"`
	StockLines []string    `json:"stock_lines,omitempty"`
}

// Report carries what was done into the report of its run.
func (c ConfirmedAll) Report(r RunReport) RunReport {
	for _, o := range c.Orders {
		r.Found += o.Found
		r.Repaired += o.Repaired
		r.Adopted += o.Adopted
		r.Cases += o.Cases
		r.Left += o.Left
		if o.Agreement != reconcile.Agreed {
			r.Exceptions = append(r.Exceptions, o.Order)
		}
		r.Sights = append(r.Sights, o.Sights...)
		for _, line := range o.Lines {
			if len(r.Lines) < 50 {
				r.Lines = append(r.Lines, string(o.Order)+": "+line)
			}
		}
	}
	r.Exceptions = append(r.Exceptions, c.Unanswered...)
	r.Left += len(c.Unanswered)
	r.Stock.Repaired = c.Stock.Repaired
	r.Lines = append(r.Lines, c.StockLines...)
	return r
}

// ConfirmSuspects has each suspect look again in its own workflow, with grants
// for what it may repair. An order that does not answer is left for the next
// run; what it did meanwhile is not lost.
func (a *Activities) ConfirmSuspects(ctx context.Context, in Confirm) (ConfirmedAll, error) {
	wanted, money := len(in.Stock), int64(0)
	for _, s := range in.Suspects {
		wanted += len(s.Breaks)
		for _, b := range s.Breaks {
			money += b.Money
		}
	}
	var out ConfirmedAll
	in.Suspects = withShortages(in.Suspects, in.Short)
	if len(in.Suspects) == 0 && wanted == 0 {
		return out, nil
	}
	grants, err := a.Keeper.Grant(ctx, GrantRequest{Run: in.Run, Count: wanted, Money: money})
	if err != nil {
		return out, fmt.Errorf("ask for %d grants: %w", wanted, err)
	}
	grants = a.alignStock(ctx, in, grants, &out)
	var mu sync.Mutex
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(sideBySide)
	for _, s := range in.Suspects {
		mine := min(len(s.Breaks), len(grants))
		confirmation := Confirmation{Run: in.Run, Systems: s.Systems, Grants: grants[:mine], Short: shortOf(in.Short, s.Order)}
		grants = grants[mine:]
		g.Go(func() error {
			limited, cancel := context.WithTimeout(inner, 3*time.Minute)
			defer cancel()
			answer, err := a.Orders.Confirm(limited, s.Order, confirmation)
			mu.Lock()
			defer mu.Unlock()
			activity.RecordHeartbeat(ctx, string(s.Order))
			if err != nil {
				activity.GetLogger(ctx).Warn("order did not answer; it is left for the next run", "order", s.Order, "error", err)
				out.Unanswered = append(out.Unanswered, s.Order)
				return ctx.Err()
			}
			out.Orders = append(out.Orders, answer)
			return nil
		})
	}
	return out, g.Wait()
}

// withShortages adds the orders that go without to the suspects: they decide
// themselves what that means for them.
func withShortages(suspects []Suspect, short []Shortage) []Suspect {
	for _, one := range short {
		if !slices.ContainsFunc(suspects, func(s Suspect) bool { return s.Order == one.Order }) {
			suspects = append(suspects, Suspect{Order: one.Order})
		}
	}
	return suspects
}

func shortOf(short []Shortage, of order.ID) []Shortage {
	var mine []Shortage
	for _, one := range short {
		if one.Order == of {
			mine = append(mine, one)
		}
	}
	return mine
}

// alignStock has the levels set that still differ when they are read again; the
// policy must allow it and each takes a grant.
func (a *Activities) alignStock(ctx context.Context, in Confirm, grants []repair.Grant, out *ConfirmedAll) []repair.Grant {
	rule := a.Policy.Rule(reconcile.InventoryLevel)
	for _, s := range in.Stock {
		level, err1 := a.Levels.Level(ctx, s.SKU)
		count, err2 := a.Counts.Count(ctx, s.SKU)
		if err1 != nil || err2 != nil || level.Stocked == count.Quantity+s.Uncommitted {
			continue
		}
		if level.Stocked != s.Level || count.Quantity != s.Count {
			continue // it moves: what has left uncommitted is no longer known, and a level too high sells what is not there
		}
		line := fmt.Sprintf("stock %s: inventory says %d, the warehouse counts %d and %d have left uncommitted", s.SKU, level.Stocked, count.Quantity, s.Uncommitted)
		out.Stock.Found++
		if rule.Mode != reconcile.ModeAuto || len(grants) == 0 {
			out.StockLines = append(out.StockLines, line+" → reported")
			continue
		}
		set, err := a.Orders.Align(ctx, s.SKU, StockChange{Key: "align/" + in.Run, Uncommitted: s.Uncommitted, Grant: &grants[0]})
		if err != nil {
			out.StockLines = append(out.StockLines, line+" → not set: "+err.Error())
			continue
		}
		grants = grants[1:]
		out.Stock.Repaired++
		out.StockLines = append(out.StockLines, fmt.Sprintf("%s → set to %d", line, set.Stocked))
	}
	return grants
}
