package reconciliation

import (
	"context"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
)

// DayIntents lists what the orders of one day mean the systems to say. A day is
// one of UTC, named by its first moment. Visibility implements it, and so does
// the generated source of the benchmark: like everything that is listed, it
// finds candidates and never decides.
type DayIntents interface {
	// CountDay returns about how many orders the day has, so that it can be cut
	// into shards that fit into memory.
	CountDay(ctx context.Context, day time.Time) (int, error)

	// DayIntents returns one page of the day's orders that are in the shard; page
	// is empty for the first one and else the next of the page before. A page may
	// be empty without being the last: next is empty on the last. An order that
	// comes twice is the same order; the one that changed later counts, and of two
	// that changed at one moment the one that came first.
	DayIntents(ctx context.Context, day time.Time, shard reconcile.Shard, page string) (known []Known, next string, err error)
}
