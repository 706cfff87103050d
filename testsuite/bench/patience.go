package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// mostTries is how often a read is made beside the sweep, as the sweep makes its own.
const mostTries = 5

// patience makes a read again when its system gave no answer, as the sweep does
// with its own: a run of hours must not end with one page that took too long.
type patience struct {
	wait  func(ctx context.Context, d time.Duration) error
	mu    sync.Mutex
	again map[order.System]int
}

func newPatience(wait func(ctx context.Context, d time.Duration) error) *patience {
	return &patience{wait: wait, again: map[order.System]int{}}
}

// call makes a read, and again where that may help. What lasts is an error that
// names the system.
func (p *patience) call(ctx context.Context, system order.System, read func(context.Context) error) error {
	for try := 1; ; try++ {
		err := read(ctx)
		if err == nil {
			return nil
		}
		if code := apierr.CodeOf(err); ctx.Err() != nil || code != apierr.Unavailable && code != apierr.InDoubt {
			return fmt.Errorf("%s: %w", system, err)
		}
		if try == mostTries {
			return fmt.Errorf("%s failed %d times: %w", system, try, err)
		}
		if ended := p.wait(ctx, time.Second<<try); ended != nil {
			return fmt.Errorf("%s: %w, after %w", system, ended, err)
		}
		p.mu.Lock()
		p.again[system]++
		p.mu.Unlock()
	}
}

// counts returns how many reads were made again so far.
func (p *patience) counts() map[order.System]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.again)
}

// readers returns readers that are patient.
func (p *patience) readers(all []reconciliation.SystemReader) []reconciliation.SystemReader {
	patient := make([]reconciliation.SystemReader, len(all))
	for n, r := range all {
		patient[n] = reconciliation.SystemReader{System: r.System, Reader: patientReader{p, r}}
	}
	return patient
}

type patientReader struct {
	patience *patience
	of       reconciliation.SystemReader
}

// Lookup implements reconciliation.Reader.
func (r patientReader) Lookup(ctx context.Context, s reconcile.Subject) (seen reconcile.Observation, err error) {
	err = r.patience.call(ctx, r.of.System, func(ctx context.Context) (err error) {
		seen, err = r.of.Reader.Lookup(ctx, s)
		return err
	})
	return seen, err
}

// List implements reconciliation.Reader.
func (r patientReader) List(ctx context.Context, q reconcile.ListRequest) (page reconcile.Page, err error) {
	err = r.patience.call(ctx, r.of.System, func(ctx context.Context) (err error) {
		page, err = r.of.Reader.List(ctx, q)
		return err
	})
	return page, err
}
