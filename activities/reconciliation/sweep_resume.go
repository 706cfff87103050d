package reconciliation

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/trueup-orders/trueup/reconcile"
)

// progress is how far a sweep of a shard has come: what its heartbeat carries,
// so that another worker goes on where this one was lost. It holds no records:
// an order of which some were seen and not yet all is looked up instead, so that
// nothing counts twice.
type progress struct {
	// Orders is a digest of the shard's orders: with other ones the marks mean
	// nothing, and the sweep starts again.
	Orders   string     `json:"orders"`
	Streams  []position `json:"streams"`
	Visitors []visitor  `json:"visitors,omitempty"`
	Out      SweptShard `json:"out"`
	// Days is how far the sweep of several days has come, of which the shard is.
	Days *SweepState `json:"days,omitempty"`
}

// position is how far one system was listed.
type position struct {
	Place   place  `json:"place"`
	Marks   []byte `json:"marks,omitempty"` // one for each order, compressed
	Records int    `json:"records,omitempty"`
	Pages   int    `json:"pages,omitempty"`
	Lookups int    `json:"lookups,omitempty"`
	Unread  string `json:"unread,omitempty"`
}

// beating sends heartbeats: with what was done where that is worth its size,
// and in between only that the sweep is alive.
type beating struct {
	mu    sync.Mutex
	last  progress
	any   bool
	at    time.Time
	pages int
	days  *SweepState // goes along with what is done of a shard
}

// beatsKey finds, in a context, the heartbeats of the activity: one that carries
// how far it came must not be replaced by one that does not.
type beatsKey struct{}

type beatsAt struct {
	*beating
	now func() time.Time
}

func withBeats(ctx context.Context, b *beating, now func() time.Time) context.Context {
	return context.WithValue(ctx, beatsKey{}, beatsAt{b, now})
}

// recordHeartbeat sends a heartbeat. What is told within a minute after another is sent later by the
// SDK, with the context of that other; and when that is over by then, as one that ends
// with a part of the activity, the SDK takes the activity for cancelled.
func recordHeartbeat(ctx context.Context, details ...any) {
	activity.RecordHeartbeat(context.WithoutCancel(ctx), details...)
}

// heartbeat says that the activity is alive.
func heartbeat(ctx context.Context, at string) {
	if b, carries := ctx.Value(beatsKey{}).(beatsAt); carries {
		b.alive(ctx, b.now())
		return
	}
	recordHeartbeat(ctx, at)
}

// beatEvery is how often it is said that a call which takes long is still waited for.
const beatEvery = 5 * time.Second

// beatingWhile calls f, which may take longer than an activity may say nothing, and says
// meanwhile that the activity is alive.
func beatingWhile(ctx context.Context, at string, f func() error) error {
	if !activity.IsActivity(ctx) {
		return f()
	}
	return withBeat(func() { heartbeat(ctx, at) }, f)
}

// withBeat calls beat every few seconds until f returns, and not after that.
func withBeat(beat func(), f func() error) error {
	over, beats := make(chan struct{}), sync.WaitGroup{}
	beats.Go(func() {
		ticker := time.NewTicker(beatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				beat()
			case <-over:
				return
			}
		}
	})
	defer beats.Wait()
	defer close(over)
	return f()
}

// beatAfter is how long a sweep says nothing at most.
const beatAfter = 5 * time.Second

// read reads what an earlier worker has left.
func (b *beating) read(ctx context.Context) error {
	if !activity.HasHeartbeatDetails(ctx) {
		return nil
	}
	if err := activity.GetHeartbeatDetails(ctx, &b.last); err != nil {
		return fmt.Errorf("sweep: read the heartbeat: %w", err)
	}
	b.any = true
	return nil
}

// alive says that the sweep is alive. A heartbeat replaces the one before, so it
// carries that along.
func (b *beating) alive(ctx context.Context, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.at) < beatAfter {
		return
	}
	b.at = now
	if b.any {
		recordHeartbeat(ctx, b.last)
		return
	}
	recordHeartbeat(ctx)
}

// due says whether what was done is worth a heartbeat by now: after pages that
// cost as much as writing it down, or after some time.
func (b *beating) due(orders int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages++
	return b.pages >= max(1, orders/1000) || now.Sub(b.at) >= beatAfter
}

func (b *beating) beat(ctx context.Context, p progress, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.days != nil {
		state := *b.days
		p.Days = &state
	}
	b.last, b.any, b.at, b.pages = p, true, now, 0
	recordHeartbeat(ctx, p)
}

// beat writes down how far the sweep has come.
func (s *sweeping) beat(ctx context.Context) {
	p := progress{Orders: s.digest(), Visitors: s.visitors, Out: s.out}
	for _, st := range s.streams {
		p.Streams = append(p.Streams, position{
			Place: st.place, Marks: packed(st.marks), Records: st.records, Pages: st.pages, Lookups: st.lookups, Unread: st.unread,
		})
	}
	s.beats.beat(ctx, p, s.a.Now())
}

// resume takes up what an earlier worker has left, if it is of these orders.
func (s *sweeping) resume() {
	p := s.beats.last
	if !s.beats.any || p.Orders != s.digest() || len(p.Streams) != len(s.streams) {
		return
	}
	all := make([][]mark, len(p.Streams))
	for n, at := range p.Streams {
		marks, err := unpacked(at.Marks, len(s.known))
		if err != nil {
			return // from another release: from the beginning, then
		}
		all[n] = marks
	}
	for n, at := range p.Streams {
		st := s.streams[n]
		st.place, st.records, st.pages, st.lookups, st.unread = at.Place, at.Records, at.Pages, at.Lookups, at.Unread
		st.marks = all[n]
		for i, m := range st.marks {
			if m == someSeen { // what was seen of it is gone with the worker
				st.marks[i] = toLookUp
			}
		}
	}
	s.visitors, s.out = p.Visitors, p.Out
}

// digest names the orders of the shard.
func (s *sweeping) digest() string {
	if s.named == "" {
		sum := sha256.New()
		for _, k := range s.known {
			_, _ = io.WriteString(sum, string(k.Intent.Order)+"\n")
		}
		s.named = hex.EncodeToString(sum.Sum(nil)[:16])
	}
	return s.named
}

// mark says what the listing of one system has shown of one order.
type mark byte

const (
	noneSeen mark = iota
	someSeen      // records that do not agree, by now
	agreeing      // all that should be there, and nothing else
	toLookUp      // too much, or not known any more: it is read by reference
)

// packers are kept: making one costs a megabyte, and each heartbeat needs six.
var packers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil { // the level is one
		panic(err)
	}
	return w
}}

func packed(marks []mark) []byte {
	var b bytes.Buffer
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	w.Reset(&b)
	raw := make([]byte, len(marks))
	for i, m := range marks {
		raw[i] = byte(m)
	}
	_, _ = w.Write(raw) // to memory
	_ = w.Close()
	return b.Bytes()
}

func unpacked(data []byte, n int) ([]mark, error) {
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), int64(n)+1))
	if err != nil {
		return nil, err
	}
	if len(raw) != n {
		return nil, fmt.Errorf("marks of %d orders, and not of %d", len(raw), n)
	}
	marks := make([]mark, n)
	for i, m := range raw {
		marks[i] = mark(m)
	}
	return marks, nil
}

// absent is an order of which a system has listed nothing.
func absent(st *stream, k Known, at time.Time) reconcile.Observation {
	return reconcile.Observation{System: st.system, Order: k.Intent.Order, State: reconcile.Absent, At: at}
}
