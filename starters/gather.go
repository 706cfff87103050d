package starters

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// maxGathered is how many notices one signal carries.
const maxGathered = 64

// gathering gathers what is announced about one order for a moment before the
// order is told: one thing that happens is announced by several systems, each
// in requests of its own, and every signal wakes the order's workflow. Nothing
// is answered before the engine has it, so a crash loses nothing.
type gathering struct {
	window time.Duration // 0: nothing is gathered
	client *Client
	log    *logrus.Logger

	mu sync.Mutex
	// of is what is being gathered for each order; a batch leaves it before it is
	// told.
	of map[order.ID]*batch
	// told is the latest batch of each order that is not told yet: the next one
	// waits for it, so that the order of the notices is kept.
	told map[order.ID]*batch
}

// batch is what one signal will carry.
type batch struct {
	what  Told
	full  chan struct{} // closed when nothing more goes into it
	done  chan struct{} // closed when it was told, or could not be
	err   error         // set before done is closed
	first *batch        // to be told before this one; nil: none
}

func newGathering(window time.Duration, c *Client, log *logrus.Logger) *gathering {
	return &gathering{window: window, client: c, log: log, of: map[order.ID]*batch{}, told: map[order.ID]*batch{}}
}

// tellAll hands over what was announced in one request, and waits until the engine has
// all of it. No order waits for another. Repeated it does no harm, for an order takes
// each notice once.
func (g *gathering) tellAll(ctx context.Context, all []Told) error {
	if g.window == 0 {
		for _, t := range all {
			if err := g.tell(ctx, t); err != nil {
				return err
			}
		}
		return nil
	}
	var waiting []*batch
	for _, t := range all {
		if t.Order != "" {
			waiting = append(waiting, g.join(ctx, t)...)
		}
	}
	for _, t := range all {
		if t.Order != "" {
			continue
		}
		if err := g.tell(ctx, t); err != nil { // what waits in an inbox is of no order yet
			return err
		}
	}
	for _, b := range waiting {
		select {
		case <-b.done:
			if b.err != nil {
				return b.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// tell hands over what one order is told. What the engine takes never is said, and
// need not be sent again: who announced it would repeat that for days.
func (g *gathering) tell(ctx context.Context, t Told) error {
	never, err := g.client.tellOne(ctx, t)
	for _, n := range never {
		g.log.WithError(n.err).WithFields(logrus.Fields{"order": t.Order, "system": n.System, "record": n.Record}).
			Error("what a webhook said can never be given or kept, and nobody is told of it; look at the record in its system")
	}
	return err
}

// join adds what an order is told to what is being gathered for it, and returns
// the batches in which it is.
func (g *gathering) join(ctx context.Context, t Told) []*batch {
	g.mu.Lock()
	defer g.mu.Unlock()
	var in []*batch
	for _, n := range t.Notices.Notices {
		b := g.of[t.Order]
		if b == nil {
			b = g.begin(ctx, t.Order)
		}
		b.what.add(n)
		b.what.OpenOnly = b.what.OpenOnly && t.OpenOnly
		if len(in) == 0 || in[len(in)-1] != b {
			in = append(in, b)
		}
		if len(b.what.Notices.Notices) >= maxGathered {
			delete(g.of, t.Order)
			close(b.full)
		}
	}
	return in
}

// begin begins a batch. It outlives the request that began it, for others wait
// for it too, but not for longer than a webhook is waited for.
func (g *gathering) begin(ctx context.Context, of order.ID) *batch {
	b := &batch{
		what: Told{Notices: reconciliation.Notices{Order: of}, OpenOnly: true},
		full: make(chan struct{}), done: make(chan struct{}), first: g.told[of],
	}
	g.of[of], g.told[of] = b, b
	go g.run(context.WithoutCancel(ctx), b)
	return b
}

// run waits until a batch is complete and tells it.
func (g *gathering) run(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(ctx, webhookPatience)
	defer cancel()
	window := time.NewTimer(g.window)
	defer window.Stop()
	select {
	case <-b.full:
	case <-window.C:
		g.mu.Lock()
		if g.of[b.what.Order] == b {
			delete(g.of, b.what.Order)
		}
		g.mu.Unlock()
	}
	if b.first != nil {
		select {
		case <-b.first.done:
		case <-ctx.Done():
		}
		b.first = nil // or each would keep all before it
	}
	if b.err = ctx.Err(); b.err == nil {
		b.err = g.tell(ctx, b.what)
	}
	g.mu.Lock()
	if g.told[b.what.Order] == b {
		delete(g.told, b.what.Order)
	}
	g.mu.Unlock()
	close(b.done)
}

// add adds a notice at the end. Of one that came twice, and of a burst of changes
// to one record, the latest says it all, for the order reads the live record.
func (t *Told) add(n reconciliation.Notice) {
	at := slices.IndexFunc(t.Notices.Notices, func(earlier reconciliation.Notice) bool {
		return earlier.System == n.System && earlier.ID == n.ID || sameBurst(earlier, n)
	})
	if at >= 0 && t.Notices.Notices[at].At.After(n.At) {
		return
	}
	if at >= 0 {
		t.Notices.Notices = slices.Delete(t.Notices.Notices, at, at+1)
	}
	t.Notices.Notices = append(t.Notices.Notices, n)
}

// sameBurst says that two notices tell of changed properties of one record.
// HubSpot announces each property of a change by itself.
func sameBurst(a, b reconciliation.Notice) bool {
	const changed = ".propertyChange"
	return a.System == order.SystemCRM && b.System == order.SystemCRM && a.Record == b.Record &&
		strings.HasSuffix(a.Type, changed) && strings.HasSuffix(b.Type, changed)
}
