package play

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/ledgers"
	"github.com/trueup-orders/trueup/testsuite/live"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// world is all that a player wants of the world that a story happens in, be its
// engine the real one or not. What has an age happens then by the story's own
// clock; what has a time, by that of the systems.
type world interface {
	clock
	troubled
	Desk(system order.System) simulator.Desk
	// Known says that the engine knows a workflow, be it closed or not.
	Known(id string) bool
	// IDs are the workflows that the engine knows whose ids begin so.
	IDs(prefix string) []string
	Closed(of order.ID) bool
}

// clock is the time of a story, and what happens in it.
type clock interface {
	Age() time.Duration
	Now() time.Time
	// AgeAt is how old the story was at a time.
	AgeAt(t time.Time) time.Duration
	At(age time.Duration, name string, f func())
	// Later lets a step send something that is answered only after more time.
	Later(f func(ctx context.Context))
	Sleep(ctx context.Context, d time.Duration) error
	// Doze waits until an age, or until some time after the next change in any
	// system if that is earlier.
	Doze(ctx context.Context, until, after time.Duration) error
	// Beside names what goes on beside the agenda, one at a time; Run lets time pass
	// until End, or an age.
	Beside(f func(ctx context.Context))
	Run(age time.Duration)
	End()
	Context() context.Context
}

// troubled is what can go wrong with the installation.
type troubled interface {
	// CrashAt lets the worker that makes a call die, and returns whether it came to it.
	CrashAt(c virtual.Crash) (fired func() bool)
	Down(part virtual.Part, d time.Duration)
	// Answers says that the engine and its workers are there.
	Answers() bool
}

var (
	_ world = virtually{}
	_ world = (*live.World)(nil)
)

// virtually is a virtual world as a player sees one.
type virtually struct{ *virtual.World }

// AgeAt implements clock.
func (virtually) AgeAt(t time.Time) time.Duration { return t.Sub(virtual.Start) }

// Doze implements clock.
func (w virtually) Doze(ctx context.Context, until, after time.Duration) error {
	return w.World.Doze(ctx, w.Moment(until), after)
}

// CrashAt implements troubled.
func (w virtually) CrashAt(c virtual.Crash) (fired func() bool) {
	n := len(w.Crashes())
	w.World.CrashAt(c)
	return func() bool { return w.Crashes()[n].Fired }
}

// Closed implements world.
func (w virtually) Closed(of order.ID) bool { return w.World.Closed(of) != nil }

// open opens the world of a story, and returns the ways into it.
func (p *player) open(o Options) {
	with, err := options(p.file, o)
	if err != nil {
		p.stage.Fatalf("open the world: %v", err)
	}
	if !o.Real {
		w := virtual.Open(p.stage, with.Options)
		p.enter(virtually{w}, w.Client, ledgers.Desks{
			Payment: w.Payment, Inventory: w.Inventory, Warehouse: w.Warehouse, ERP: w.ERP, CRM: w.CRM, Mail: w.Mail,
		})
		return
	}
	w := live.Open(p.stage, with)
	p.enter(w, w.Client, ledgers.Desks{
		Payment: w.Payment, Inventory: w.Inventory, Warehouse: w.Warehouse, ERP: w.ERP, CRM: w.CRM, Mail: w.Mail,
	})
}

func (p *player) enter(w world, client *starters.Client, desks ledgers.Desks) {
	p.world, p.client, p.desks = w, client, desks
}
