package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// watcher reads the ledgers of the six systems as they grow, and knows since
// when each order has its effect in all of them.
type watcher struct {
	stage *stage
	every time.Duration

	mu      sync.Mutex
	after   map[order.System]int64
	effects map[order.ID]map[order.System]time.Time
	pieces  map[order.ID]int
	waiting map[order.ID]chan struct{}
	failed  error
}

// watch watches until the context ends. How often costs a little of what is
// measured, so it is as rarely as the figure allows.
func (s *stage) watch(ctx context.Context, every time.Duration) *watcher {
	w := &watcher{
		stage: s, every: every, after: map[order.System]int64{}, effects: map[order.ID]map[order.System]time.Time{},
		pieces: map[order.ID]int{}, waiting: map[order.ID]chan struct{}{},
	}
	go func() {
		for ctx.Err() == nil {
			for _, system := range order.Systems() {
				if err := w.read(ctx, system); err != nil && ctx.Err() == nil {
					w.mu.Lock()
					w.failed = err
					w.mu.Unlock()
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	}()
	return w
}

func (w *watcher) read(ctx context.Context, system order.System) error {
	w.mu.Lock()
	after := w.after[system]
	w.mu.Unlock()
	var entries []simulator.Entry
	if err := w.stage.ledger(ctx, system, after, &entries); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		w.after[system] = e.Seq
		if e.Kind == simulator.EntryEffect && e.Order != "" && w.counts(system, e) {
			w.note(system, e)
		}
	}
	return nil
}

// counts says whether an effect is the one that was meant: a draft is none yet,
// and stock is promised when every line is.
func (w *watcher) counts(system order.System, e simulator.Entry) bool {
	switch system {
	case order.SystemInventory:
		w.pieces[e.Order] += int(e.Amount)
		return w.pieces[e.Order] >= 3 // as anOrder has them
	case order.SystemWarehouse, order.SystemERP:
		return e.Detail != "draft"
	default:
		return true
	}
}

func (w *watcher) note(system order.System, e simulator.Entry) {
	known := w.effects[e.Order]
	if known == nil {
		known = map[order.System]time.Time{}
		w.effects[e.Order] = known
	}
	known[system] = e.At
	if waiting := w.waiting[e.Order]; waiting != nil && len(known) == calls {
		close(waiting)
		delete(w.waiting, e.Order)
	}
}

// wait waits until all six ledgers show the order's effect, and returns when
// the last of them came.
func (w *watcher) wait(ctx context.Context, id order.ID) (time.Time, error) {
	bounded, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	w.mu.Lock()
	if len(w.effects[id]) < calls {
		done := make(chan struct{})
		w.waiting[id] = done
		w.mu.Unlock()
		select {
		case <-bounded.Done():
		case <-done:
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	known := w.effects[id]
	if len(known) < calls {
		return time.Time{}, fmt.Errorf("order %s has its effect in %d of %d systems: %w (%w)", id, len(known), calls, bounded.Err(), w.failed)
	}
	var last time.Time
	for _, at := range known {
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

// ledger reads what is new in the ledger of one system.
func (s *stage) ledger(ctx context.Context, system order.System, after int64, into *[]simulator.Entry) error {
	query := url.Values{"after": {strconv.FormatInt(after, 10)}}
	return s.console(ctx, http.MethodGet, system, "ledger?"+query.Encode(), nil, into)
}

// console speaks to the console of one system.
func (s *stage) console(ctx context.Context, method string, system order.System, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, s.consoles[system]+"/"+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("ask the console of %s: %w", system, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the console of %s: %s %s answered %s", system, method, path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
