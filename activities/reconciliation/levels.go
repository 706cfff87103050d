package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// levelLooked is a level that still differs when it is read again.
type levelLooked struct {
	suspect StockSuspect
	step    reconcile.Step
	fought  string // why it is not set once more
}

// levelsLooked are the levels that still differ, and those of which nobody can say
// it now: these are counted, so that none of them passes for gone, and left alone.
type levelsLooked struct {
	differ, unjudged []levelLooked
}

// findings are what many levels at once are an incident by.
func (l levelsLooked) findings() []reconcile.Finding {
	var all []reconcile.Finding
	for _, one := range l.differ {
		all = append(all, reconcile.Finding{Of: one.suspect.SKU, Step: one.step, Fresh: true})
	}
	for _, one := range l.unjudged {
		all = append(all, reconcile.Finding{Of: one.suspect.SKU, Step: one.step})
	}
	return all
}

// lookAtLevels reads the levels and the counts again. One that moves meanwhile
// is left for the next run: what has left uncommitted is no longer known, and a
// level too high sells what is not there.
func (a *Activities) lookAtLevels(ctx context.Context, suspects []StockSuspect, status Status, look *looking) levelsLooked {
	rule := a.Policy.Rule(reconcile.InventoryLevel)
	var all levelsLooked
	for _, s := range suspects {
		b := s.asBreak()
		if known, open := status.LevelOf(s.SKU); open {
			b.LastAgreed, b.FirstSeen = known.LastAgreed, known.FirstSeen
		}
		level, count, err := look.shelf(ctx, s.SKU)
		switch {
		case apierr.CodeOf(err) == apierr.NotFound, err == nil && rule.Tolerates(level.Stocked-count.Quantity-s.Uncommitted):
		case err != nil || level.Stocked != s.Level || count.Quantity != s.Count:
			all.unjudged = append(all.unjudged, levelLooked{suspect: s, step: a.presumed(b)})
		default:
			b.Confirmed = a.Now()
			step := a.presumed(b)
			step.System, step.Operation = order.SystemInventory, order.Adjust
			all.differ = append(all.differ, levelLooked{s, step, a.foughtOver(status, b)})
		}
	}
	return all
}

// asBreak is the level as a break, whose clock begins with this run.
func (s StockSuspect) asBreak() reconcile.Break {
	return reconcile.Break{
		System: order.SystemInventory, Field: reconcile.InventoryLevel, Situation: reconcile.Mismatch, Item: s.SKU,
		Expected: strconv.FormatInt(s.Count+s.Uncommitted, 10), Observed: strconv.FormatInt(s.Level, 10),
		Right: string(order.SystemWarehouse), FirstSeen: s.Seen,
	}
}

func levelWants(levels []levelLooked) []reconcile.Want {
	var wants []reconcile.Want
	for _, l := range levels {
		if l.step.Decision == reconcile.Repair && l.suspect.Moving == 0 && l.fought == "" {
			wants = append(wants, reconcile.WantOf("", "", l.step))
		}
	}
	return wants
}

// alignStock has the levels set that still differ; the policy must allow it and
// each takes a grant.
func (a *Activities) alignStock(ctx context.Context, in Confirm, levels []levelLooked, granted Granted, x *acting) {
	grants, refused := granted.of("")
	for _, l := range levels {
		s, c := l.suspect, Confirmation{Groups: granted.Groups, Refused: refused}
		line := fmt.Sprintf("stock %s: inventory says %d, the warehouse counts %d and %d have left uncommitted", s.SKU, s.Level, s.Count, s.Uncommitted)
		if b := l.step.Break; b.FirstSeen.Before(s.Seen) { // an earlier run has seen it
			line += ", as seen since " + since(b.FirstSeen, a.Now())
		}
		x.out.Levels = append(x.out.Levels, l.step.Break)
		x.out.Stock.Found++
		grant := grantOf(grants, l.step.Break)
		g, left := c.LeftTo(l.step)
		switch {
		case l.step.Decision != reconcile.Repair:
			x.out.StockLines = append(x.out.StockLines, line+" → reported")
			continue
		case left:
			x.out.StockLines = append(x.out.StockLines, line+" → left to "+g.Waits())
			continue
		case l.fought != "":
			x.out.StockLines = append(x.out.StockLines, line+" → "+l.fought)
			continue
		case s.Moving > 0:
			x.out.StockLines = append(x.out.StockLines, fmt.Sprintf("%s, and no more than %d are on their way → set once these are still", line, s.Moving))
			continue
		case grant == nil:
			x.out.StockLines = append(x.out.StockLines, line+" → not granted: "+c.NotGranted(l.step))
			continue
		}
		set, err := x.align(ctx, s, StockChange{
			Key: "align/" + in.Run, Uncommitted: s.Uncommitted, Grant: grant, Level: s.Level, Count: s.Count, Asked: s.Asked,
		})
		if moved, is := errors.AsType[*temporal.ApplicationError](err); is && moved.Type() == LevelMovedReason {
			x.out.Unused = append(x.out.Unused, grant.N)
			x.out.StockLines = append(x.out.StockLines, line+" → left to the next run: "+moved.Message())
			continue
		}
		if err != nil {
			x.out.StockLines = append(x.out.StockLines, line+" → not set: "+notSet(ctx, s.SKU, err))
			continue
		}
		x.out.Stock.Repaired++
		b := &x.out.Levels[len(x.out.Levels)-1]
		b.Repaired = a.Now()
		b.Owned = b.Repaired
		x.out.StockLines = append(x.out.StockLines, fmt.Sprintf("%s → set to %d", line, set.Stocked))
		if grant.Group != 0 {
			x.tried(ctx, s, grant.Group)
		}
	}
}

// notSet says why a level was not set, as its workflow says it.
func notSet(ctx context.Context, sku string, err error) string {
	if a, is := errors.AsType[*temporal.ApplicationError](err); is {
		return a.Message()
	}
	if ctx.Err() == nil && !over(err) {
		return fmt.Sprintf("stock/%s did not answer within %s; the next run looks what came of it (%v)", sku, answerWithin, err)
	}
	return err.Error()
}

// grantOf returns the grant for a break, or nil.
func grantOf(grants []repair.Grant, b reconcile.Break) *repair.Grant {
	for i := range grants {
		if grants[i].For.Kind == b.Kind() && grants[i].For.Item == b.Item {
			return &grants[i]
		}
	}
	return nil
}

// tried reads back a level that was one of the first few of an incident.
func (x *acting) tried(ctx context.Context, s StockSuspect, group int) {
	t := Tried{Group: group, Repaired: 1}
	level, count, err := x.look.shelf(ctx, s.SKU)
	if err == nil && level.Stocked == count.Quantity+s.Uncommitted {
		t.Verified = 1
	}
	x.out.Tried = AddTried(x.out.Tried, t)
}

// alignLevel has a level set in earnest.
func (a *Activities) alignLevel(ctx context.Context, s StockSuspect, change StockChange) (reconcile.Level, error) {
	limited, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	defer heartbeat(ctx, s.SKU)
	return a.Orders.Align(limited, s.SKU, change)
}

// levelWouldBe says to what a level would be set.
func (a *Activities) levelWouldBe(_ context.Context, s StockSuspect, _ StockChange) (reconcile.Level, error) {
	return reconcile.Level{SKU: s.SKU, Stocked: s.Count + s.Uncommitted}, nil
}
