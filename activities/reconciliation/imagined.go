package reconciliation

import (
	"context"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Imagined is what a dry run that asks part by part would have been granted by now,
// and the incidents that it would have opened. Reconciliation keeps nothing of it,
// so that the dry run says it again with every question.
type Imagined struct {
	Taken     []Taken              `json:"taken,omitempty"`
	Incidents []reconcile.Incident `json:"incidents,omitempty"`
	// Groups are what the incidents, and those that there are, would be by now.
	Groups []Group `json:"groups,omitempty"`
}

// Taken is how many grants of one kind a run would have been given within the same
// five minutes, and the money of them in one currency.
type Taken struct {
	Run      string         `json:"run"`
	At       time.Time      `json:"at"`
	Kind     reconcile.Kind `json:"kind"`
	Currency order.Currency `json:"currency,omitempty"`
	Count    int            `json:"count"`
	Money    int64          `json:"money,omitempty"`
}

// rehearseAt says what confirmAt would do, at the rate of a run or a sweep. What
// would be granted is asked once: nothing is taken, and only what is imagined counts.
func (a *Activities) rehearseAt(ctx context.Context, in Confirm, perSecond float64, im *Imagined) (ConfirmedAll, error) {
	var answer Granted
	would := func(ctx context.Context, r GrantRequest) (Granted, error) {
		r.At, r.Taken, r.Incidents = a.Now(), im.Taken, append(slices.Clone(im.Incidents), r.Incidents...)
		var err error
		if answer, err = a.Keeper.WouldGrant(ctx, r); err == nil {
			im.meet(r.Incidents, answer.Groups)
		}
		return answer, err
	}
	look := a.looking(perSecond)
	done, err := a.act(ctx, in, &acting{look: look, grant: would, confirm: look.rehearse, align: a.levelWouldBe, imagined: im.Groups})
	if err != nil {
		return done, err
	}
	for _, g := range answer.Grants {
		if !slices.Contains(done.Unused, g.N) { // else it comes back at once
			im.take(in.Run, a.Now(), g.For)
		}
	}
	return done, nil
}

// meet remembers the incidents that would be open by now.
func (im *Imagined) meet(incidents []reconcile.Incident, groups []Group) {
	im.Groups = groups
	for _, i := range incidents {
		if i.Orders > 0 && !slices.ContainsFunc(im.Incidents, func(known reconcile.Incident) bool { return known.Kind == i.Kind }) {
			im.Incidents = append(im.Incidents, i)
		}
	}
}

func (im *Imagined) take(run string, now time.Time, w reconcile.Want) {
	at := reconcile.Slot(now)
	n := slices.IndexFunc(im.Taken, func(t Taken) bool {
		return t.Run == run && t.At.Equal(at) && t.Kind == w.Kind && t.Currency == w.Currency
	})
	if n < 0 {
		im.Taken = append(im.Taken, Taken{Run: run, At: at, Kind: w.Kind, Currency: w.Currency})
		n = len(im.Taken) - 1
	}
	im.Taken[n].Count++
	im.Taken[n].Money += w.Money
}

// withImagined returns the incidents that there are, with those that would have been
// opened by now.
func withImagined(groups, imagined []Group) []Group {
	all := slices.Clone(groups)
	for _, g := range imagined {
		if !slices.ContainsFunc(groups, func(known Group) bool { return !known.Over() && known.Kind.Covers(g.Kind) }) {
			all = append(all, g)
		}
	}
	return all
}
