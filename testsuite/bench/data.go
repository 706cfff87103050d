package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/world"
)

// data is the folder with the six systems' databases, which may outlive a run: a
// million orders are loaded for the better part of an hour.
type data struct {
	dir       string
	temporary bool
	// crowd is what the folder is to hold, or holds when it was loaded before.
	crowd crowded
}

// dataFile says that a folder is completely loaded, and with which crowd.
const dataFile = "crowd.json"

// dataLasts is how long after a load its folder may be used: the records grow
// old, and authorizations end a week after they were made.
const dataLasts = 12 * time.Hour

// openData returns the folder for a crowd: a temporary one when none is named,
// and the one that is named when it is empty or was loaded with the same crowd.
// What was loaded before is as of its own moment.
func openData(dir string, c crowded) (*data, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "trueup-bench-data")
		return &data{dir: dir, temporary: true, crowd: c}, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, dataFile))
	if errors.Is(err, fs.ErrNotExist) {
		files, err := os.ReadDir(dir)
		if err == nil && len(files) > 0 {
			err = fmt.Errorf("%s has no %s and is not empty: it holds a load that did not end, or something else; remove it or name another folder", dir, dataFile)
		}
		return &data{dir: dir, crowd: c}, err
	}
	if err != nil {
		return nil, err
	}
	var held crowded
	if err := json.Unmarshal(text, &held); err != nil {
		return nil, fmt.Errorf("%s in %s: %w; remove the folder or name another one", dataFile, dir, err)
	}
	if wanted := c.stored(); held.in(wanted.AsOf) != wanted {
		return nil, fmt.Errorf("%s holds another crowd, %s; ask for the same one or name another folder", dir, held.arguments())
	}
	if age := c.AsOf.Sub(held.AsOf); age > dataLasts {
		return nil, fmt.Errorf("%s is too old: it was loaded as of %s, and what it holds means another thing more than %.0f hours later; remove it or name another folder",
			dir, held.AsOf.Format(time.DateTime), dataLasts.Hours())
	}
	c.AsOf, c.Loaded = held.AsOf, true
	return &data{dir: dir, crowd: c}, nil
}

// stored is what the databases depend on.
func (c crowded) stored() crowded {
	c.FloorEvery, c.Visibility, c.Loaded = 0, false, false
	return c
}

// in is the crowd as of another moment.
func (c crowded) in(asOf time.Time) crowded {
	c.AsOf = asOf
	return c
}

// arguments ask for the crowd.
func (c crowded) arguments() string {
	return fmt.Sprintf("-reconcile %d -recent %d -per-day %d -breaks %d -seed %d", c.Orders, c.Recent, c.PerDay, c.Breaks, c.Seed)
}

// complete notes that everything is loaded.
func (d *data) complete() error {
	text, err := json.Marshal(d.crowd.stored())
	if err != nil {
		return err
	}
	d.crowd.Loaded = true
	return os.WriteFile(filepath.Join(d.dir, dataFile), append(text, '\n'), 0o600)
}

// leave ends the use of the folder by a run that ended with err. A temporary one
// goes, unless something failed after it was loaded.
func (d *data) leave(err error) error {
	if d.temporary && (err == nil || !d.crowd.Loaded) {
		return errors.Join(err, os.RemoveAll(d.dir))
	}
	if err == nil || !d.crowd.Loaded {
		return err
	}
	visibility := ""
	if d.crowd.Visibility {
		visibility = " -visibility"
	}
	return fmt.Errorf("%w\nthe six systems stay loaded in %s, and can be used for %.0f hours after the load; go on with\n  go run ./testsuite/bench %s -floor-every %d%s -data %s",
		err, d.dir, dataLasts.Hours(), d.crowd.arguments(), d.crowd.FloorEvery, visibility, d.dir)
}

// untouched refuses systems in which a request has changed a record since they
// were loaded. A run only reads; whoever acted there has made a later run find
// something else than was planted.
func untouched(w *world.World) error {
	for _, system := range order.Systems() {
		var seq int64
		err := w.Frame(system).View(func(tx *sql.Tx) error {
			return tx.QueryRow(`SELECT COALESCE(MIN(seq), 0) FROM ledger WHERE kind = ?`, simulator.EntryEffect).Scan(&seq)
		})
		if err != nil {
			return err
		}
		if seq > 0 {
			return fmt.Errorf("the %s was acted on since it was loaded, see entry %d of its ledger: a run would find other breaks than were planted; load anew into another folder", system, seq)
		}
	}
	return nil
}
