// Package simulator is the frame in which the six simulated systems stand: a
// SQLite database each, a ledger of every request and effect, named faults,
// notifications, and a console by which a person in that system would look and
// edit. The systems themselves are the packages below it; each speaks the wire
// protocol of the real product that its adapter is for, with that product's
// manners.
//
// A simulated system is an http.Handler over an injected clock, so that it runs
// behind a real listener as well as inside a virtual-time universe whose
// transport calls the handler directly.
package simulator

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Clock is the time of a simulated world. RealClock is the usual one; a
// virtual-time universe has its own.
type Clock interface {
	Now() time.Time
	// After runs f once, d from now, under a stable name by which a scheduler
	// may order what is due at the same moment.
	After(d time.Duration, name string, f func())
}

// Options open a system.
type Options struct {
	// Database is the SQLite file; empty keeps it in memory.
	Database string
	// Clock is nil for the real one.
	Clock Clock
	// Endpoint is where notifications are posted; empty sends none.
	Endpoint string
	// Transport carries notifications; nil is the usual one.
	Transport http.RoundTripper
	// Secret signs notifications.
	Secret string
	// Changed is told after each transaction that changed a record, and whenever
	// what the system answers may have become another: a fault, a wrong clock. It
	// must not call the system. Nil tells nobody.
	Changed func(of order.System)
	// Image is what a database in memory begins with, as Image returned it of a
	// system of the same kind and settings; empty: nothing.
	Image []byte
	// Witness sees what happens here; nil: nobody does.
	Witness Witness
}

// Witness is a universe that writes down what happens in all systems, and in
// which callers die.
type Witness interface {
	// Wrote is called with each entry of the ledger as it is appended.
	Wrote(system order.System, e Entry)
	// Dies says whether the caller dies with a call.
	Dies(ctx context.Context, system order.System, c Call) Death
}

// Death is when a caller dies.
type Death int

// The deaths.
const (
	Lives      Death = iota
	DiesBefore       // the call never comes
	DiesAfter        // the call has its effect, and nobody is there for the answer
)

// System is the frame of one simulated system.
type System struct {
	Name  order.System
	clock Clock

	mu     sync.Mutex // one writer: SQLite's own rule, and it makes effects atomic
	db     *sql.DB
	faults faults
	outbox outbox

	changing bool // the transaction under way changes a record; of mu
	changed  func(of order.System)

	witness Witness
}

// Open opens the system's database, makes the frame's tables and those of
// schema, and returns the frame.
func Open(name order.System, schema string, o Options) (*System, error) {
	db := openDatabase(o.Database, o.Image)
	if len(o.Image) == 0 || o.Database != "" {
		if _, err := db.Exec(frameSchema + schema); err != nil {
			_ = db.Close()
			return nil, fmt.Errorf("make the tables of the simulated %s in %q: %w", name, o.Database, err)
		}
	}
	clock := o.Clock
	if clock == nil {
		clock = RealClock{}
	}
	s := &System{Name: name, clock: clock, db: db, witness: o.Witness, changed: o.Changed}
	if s.changed == nil {
		s.changed = func(order.System) {}
	}
	s.outbox = newOutbox(s, o)
	return s, nil
}

// Close closes the database. What was still to happen by itself no longer does.
func (s *System) Close() error {
	s.outbox.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.Close()
}

// Now returns the system's own time, which may be skewed, in UTC.
func (s *System) Now() time.Time { return s.clock.Now().UTC().Add(s.faults.skewed()) }

// After lets the system do something by itself later.
func (s *System) After(d time.Duration, name string, f func()) {
	s.clock.After(d, string(s.Name)+"."+name, f)
}

// Hang waits until the client of a call gave up. A clock may know better than
// the context when that is.
func (s *System) Hang(ctx context.Context) {
	if c, ok := s.clock.(interface{ Hang(ctx context.Context) }); ok {
		c.Hang(ctx)
		return
	}
	<-ctx.Done()
}

// Dies says whether the caller dies with a call, for a system whose protocol is
// not HTTP.
func (s *System) Dies(ctx context.Context, c Call) Death {
	if s.witness == nil {
		return Lives
	}
	return s.witness.Dies(ctx, s.Name, c)
}

// Update runs f in one transaction; an effect and its ledger entry stand or
// fall together. f must not call Update, View or Handle.
func (s *System) Update(f func(tx *sql.Tx) error) error {
	changed, err := s.transact(f)
	if changed && err == nil {
		s.changed(s.Name)
	}
	return err
}

func (s *System) transact(f func(tx *sql.Tx) error) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changing = false
	tx, err := s.db.Begin()
	if err != nil {
		return false, fmt.Errorf("simulated %s: begin: %w", s.Name, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return false, err
	}
	return s.changing, tx.Commit()
}

// Changes notes, within a transaction, that it changes a record although nothing
// of it is written to the ledger.
func (s *System) Changes() { s.changing = true }

// View runs f in a transaction that is rolled back.
func (s *System) View(f func(tx *sql.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx, err := s.db.Begin()
	if err != nil {
		return fmt.Errorf("simulated %s: begin: %w", s.Name, err)
	}
	defer func() { _ = tx.Rollback() }()
	return f(tx)
}

// RealClock is the machine's clock.
type RealClock struct{}

// Now returns the time.
func (RealClock) Now() time.Time { return time.Now() } // this is the injected clock

// After runs f after d.
func (RealClock) After(d time.Duration, _ string, f func()) { time.AfterFunc(d, f) }
