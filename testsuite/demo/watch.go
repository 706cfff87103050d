package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

const sampleEvery = 250 * time.Millisecond

// watch asks the gateway for an order's verdict all the time, and remembers when
// which system did not agree.
type watch struct {
	order order.ID
	stop  context.CancelFunc
	done  chan struct{}

	mu    sync.Mutex
	asked int
	spans []span
}

// span is a time through which one system's answer to one question did not
// agree.
type span struct {
	system      order.System
	question    string
	first, last time.Time
	open        bool
}

func newWatch(of order.ID) *watch {
	return &watch{order: of, done: make(chan struct{}), stop: func() {}}
}

func (w *watch) begin(ctx context.Context, d *desks) {
	ctx, w.stop = context.WithCancel(ctx)
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			w.sample(ctx, d)
			select {
			case <-ctx.Done():
			case <-time.After(sampleEvery):
			}
		}
	}()
}

// sample asks once. While the worker is down nobody answers, and what was open
// stays open.
func (w *watch) sample(ctx context.Context, d *desks) {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err := d.verdict(limited, w.order)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	seen := map[string]bool{}
	for _, row := range v.Rows {
		for _, c := range row.Cells {
			if c.Agrees || row.State == "agreed" {
				continue
			}
			seen[string(c.System)+" "+row.Field] = true
			w.mark(c.System, row.Field, v.At)
		}
	}
	for i := range w.spans {
		if s := &w.spans[i]; s.open && !seen[string(s.system)+" "+s.question] {
			s.open, s.last = false, v.At
		}
	}
}

func (w *watch) mark(system order.System, question string, at time.Time) {
	for i := range w.spans {
		if s := &w.spans[i]; s.open && s.system == system && s.question == question {
			s.last = at
			return
		}
	}
	w.spans = append(w.spans, span{system: system, question: question, first: at, last: at, open: true})
}

func (w *watch) end() {
	w.stop()
	<-w.done
}

func (w *watch) saw(system order.System) bool {
	return slices.ContainsFunc(w.spans, func(s span) bool { return s.system == system })
}

// table has one row for each time through which a system disagreed, with all the
// questions that began and ended together.
func (w *watch) table() [][]string {
	rows := [][]string{{"SYSTEM", "FROM", "TO", "FOR", "ABOUT"}}
	for _, system := range order.Systems() {
		var mine []span
		for _, s := range w.spans {
			if s.system == system {
				mine = append(mine, s)
			}
		}
		slices.SortFunc(mine, func(a, b span) int { return a.first.Compare(b.first) })
		for len(mine) > 0 {
			from, to := mine[0].first, mine[0].last
			about := []string{}
			for len(mine) > 0 && !mine[0].first.After(to) {
				if mine[0].last.After(to) {
					to = mine[0].last
				}
				if !slices.Contains(about, mine[0].question) {
					about = append(about, mine[0].question)
				}
				mine = mine[1:]
			}
			rows = append(rows, []string{
				string(system), from.Format("15:04:05.0"), to.Format("15:04:05.0"), fmt.Sprintf("%.1fs", to.Sub(from).Seconds()), strings.Join(about, ", "),
			})
		}
	}
	return rows
}
