package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/world"
)

func aCrowd() crowded {
	return crowded{Seed: 1, Orders: 2000, Recent: 300, PerDay: 500, Breaks: 100, AsOf: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), FloorEvery: 1}
}

func TestData_LoadedOnce_FitsTheSameCrowdAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := aCrowd()
	d, err := openData(dir, first)
	if err != nil || d.crowd.Loaded {
		t.Fatalf("a new folder: %+v, %v", d, err)
	}
	if err := d.complete(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(c *crowded)
		want   string
	}{
		{"the same, later", func(c *crowded) { c.AsOf = c.AsOf.Add(time.Hour) }, ""},
		{"another floor", func(c *crowded) { c.FloorEvery, c.Visibility = 5, true }, ""},
		{"another seed", func(c *crowded) { c.Seed = 2 }, "another crowd"},
		{"more orders", func(c *crowded) { c.Orders = 4000 }, "another crowd"},
		{"other days", func(c *crowded) { c.PerDay = 1000 }, "another crowd"},
		{"more recent ones", func(c *crowded) { c.Recent = 301 }, "another crowd"},
		{"more breaks", func(c *crowded) { c.Breaks = 39 }, "another crowd"},
		{"too late", func(c *crowded) { c.AsOf = c.AsOf.Add(dataLasts + time.Second) }, "too old"},
	} {
		asked := aCrowd()
		c.change(&asked)
		d, err := openData(dir, asked)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: %v, want %q and the folder", c.name, err, c.want)
			}
			continue
		}
		if err != nil || !d.crowd.Loaded || !d.crowd.AsOf.Equal(first.AsOf) || d.crowd.FloorEvery != asked.FloorEvery {
			t.Errorf("%s: %+v, %v; want what was loaded, as of then", c.name, d.crowd, err)
		}
	}
}

func TestData_LoadThatDidNotEnd_IsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "payment.db"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openData(dir, aCrowd()); err == nil || !strings.Contains(err.Error(), "did not end") {
		t.Errorf("%v, want a refusal", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "payment.db")); err != nil {
		t.Errorf("what lay there is gone: %v", err)
	}
}

func TestData_AfterTheRun_IsKeptWhenItWasAskedForOrTheRunFailed(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for _, c := range []struct {
		name            string
		named, complete bool
		err             error
		kept, told      bool
	}{
		{"temporary", false, true, nil, false, false},
		{"temporary, failed while loading", false, false, failed, false, false},
		{"temporary, failed after loading", false, true, failed, true, true},
		{"named", true, true, nil, true, false},
		{"named, failed after loading", true, true, failed, true, true},
	} {
		dir := ""
		if c.named {
			dir = filepath.Join(t.TempDir(), "data")
		}
		d, err := openData(dir, aCrowd())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(d.dir) }()
		if c.complete {
			if err := d.complete(); err != nil {
				t.Fatal(err)
			}
		}
		err = d.leave(c.err)
		_, missing := os.Stat(d.dir)
		if !errors.Is(err, c.err) || (missing == nil) != c.kept {
			t.Errorf("%s: %v, kept %t; want kept %t", c.name, err, missing == nil, c.kept)
		}
		const command = "go run ./testsuite/bench -reconcile 2000 -recent 300 -per-day 500 -breaks 100 -seed 1 -floor-every 1 -data "
		if told := err != nil && strings.Contains(err.Error(), command+d.dir); told != c.told {
			t.Errorf("%s: %v, want the command that goes on: %t", c.name, err, c.told)
		}
	}
}

func TestUntouched_ARequestChangedARecord_IsRefused(t *testing.T) {
	t.Parallel()
	w, err := world.Open(world.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	for _, kind := range []simulator.EntryKind{simulator.EntryRequest, simulator.EntryEffect} {
		f := w.Frame(order.SystemERP)
		if err := f.Update(func(tx *sql.Tx) error { return f.Append(tx, simulator.Entry{Kind: kind, Operation: order.Invoice}) }); err != nil {
			t.Fatal(err)
		}
		err := untouched(w)
		if acted := kind == simulator.EntryEffect; (err != nil) != acted || acted && !strings.Contains(err.Error(), "the erp was acted on") {
			t.Errorf("after a %s: %v", kind, err)
		}
	}
}
