package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
// each takes a grant. Each run begins with another one, so that none is always behind
// those that cannot be set.
func (a *Activities) alignStock(ctx context.Context, in Confirm, levels []levelLooked, granted Granted, x *acting) {
	grants, refused := granted.of("")
	said := make([]string, len(levels))
	x.out.Levels = make([]reconcile.Break, len(levels))
	x.out.Stock.Found += len(levels)
	first := turn(len(levels), in.Run)
	for k := range levels {
		n := (first + k) % len(levels)
		l, c := levels[n], Confirmation{Groups: granted.Groups, Refused: refused}
		x.out.Levels[n] = l.step.Break
		said[n] = a.levelLine(l)
		if why := l.notAligned(c, grantOf(grants, l.step.Break)); why != "" {
			said[n] += why
			continue
		}
		outcome, repaired := a.align(ctx, in, l, grantOf(grants, l.step.Break), x)
		said[n] += " → " + outcome
		if repaired {
			x.out.Levels[n].Repaired, x.out.Levels[n].Owned = a.Now(), a.Now()
		}
	}
	x.out.StockLines = append(x.out.StockLines, said...)
}

// levelLine says how a level differs.
func (a *Activities) levelLine(l levelLooked) string {
	s := l.suspect
	line := fmt.Sprintf("stock %s: inventory says %d, the warehouse counts %d and %d have left uncommitted", s.SKU, s.Level, s.Count, s.Uncommitted)
	if b := l.step.Break; b.FirstSeen.Before(s.Seen) { // an earlier run has seen it
		line += ", as seen since " + since(b.FirstSeen, a.Now())
	}
	return line
}

// notAligned ends the line of a level that is not set now with why; it is empty for one
// that is to be.
func (l levelLooked) notAligned(c Confirmation, grant *repair.Grant) string {
	g, left := c.LeftTo(l.step)
	switch {
	case l.step.Decision != reconcile.Repair:
		return " → reported"
	case left:
		return " → left to " + g.Waits()
	case l.fought != "":
		return " → " + l.fought
	case l.suspect.Moving > 0:
		return fmt.Sprintf(", and no more than %d are on their way → set once these are still", l.suspect.Moving)
	case grant == nil:
		return " → not granted: " + c.NotGranted(l.step)
	}
	return ""
}

// align has a level set with a grant, and says what came of it. While inventory takes
// nothing the rest is left to the next run: grants do not live for long, and orders wait
// for theirs.
func (a *Activities) align(ctx context.Context, in Confirm, l levelLooked, grant *repair.Grant, x *acting) (outcome string, repaired bool) {
	s := l.suspect
	if err := x.inventory.missed(); err != nil {
		x.out.Unused = append(x.out.Unused, grant.N)
		return "left to the next run: " + err.Error(), false
	}
	if now := a.Now(); x.late(now) || !grant.Expires.IsZero() && now.After(grant.Expires) {
		x.out.Unused = append(x.out.Unused, grant.N)
		return "left to the next run: this one has taken too long", false
	}
	set, err := x.align(ctx, s, StockChange{
		Key: "align/" + in.Run, Uncommitted: s.Uncommitted, Grant: grant, Level: s.Level, Count: s.Count, Asked: s.Asked,
	})
	if told, is := errors.AsType[*temporal.ApplicationError](err); is && (told.Type() == LevelMovedReason || told.Type() == LevelUnreadReason) {
		if told.Type() == LevelUnreadReason {
			x.inventory.miss(errors.New(told.Message()))
		}
		x.out.Unused = append(x.out.Unused, grant.N)
		return "left to the next run: " + told.Message(), false
	}
	if err != nil {
		return x.notSet(err, grant), false
	}
	x.inventory = misses{}
	x.out.Stock.Repaired++
	if grant.Group != 0 {
		x.tried(ctx, s, grant.Group)
	}
	return fmt.Sprintf("set to %d", set.Stocked), true
}

// notSet says why a level was not set, and counts that where the next may fare no better.
// A repair that was stopped before anything was sent has not used its grant.
func (x *acting) notSet(err error, grant *repair.Grant) string {
	said := apierr.Message(err)
	stopped, doubt := repair.WasStopped(err)
	if stopped && !doubt {
		x.out.Unused = append(x.out.Unused, grant.N)
	}
	if stopped || !apierr.Final(err) {
		x.inventory.miss(errors.New(said))
	} else {
		x.inventory = misses{}
	}
	return "not set: " + said
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
	asked := a.Now()
	limited, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	level, err := a.Orders.Align(limited, s.SKU, change)
	heartbeat(ctx, s.SKU)
	// The engine says that time is over a moment before it is.
	if err != nil && !over(err) && ctx.Err() == nil && a.Now().Sub(asked) >= answerWithin-time.Second {
		err = fmt.Errorf("stock/%s did not answer within %s; it may still set it, and the next run looks: %w", s.SKU, answerWithin, err)
	}
	return level, err
}

// levelWouldBe says to what a level would be set.
func (a *Activities) levelWouldBe(_ context.Context, s StockSuspect, _ StockChange) (reconcile.Level, error) {
	return reconcile.Level{SKU: s.SKU, Stocked: s.Count + s.Uncommitted}, nil
}
