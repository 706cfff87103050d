package tryton

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Loader writes many records with the dates that they came to have, as they
// would lie there had every call been made at its time. Nobody called, so the
// ledger has nothing of it; and what the records were before is not kept, so
// that a stale answer does not show them.
type Loader struct {
	t      *Tx
	insert *sql.Stmt
	byName *sql.Stmt
	next   map[string]int64 // the counters that were used, as they stand
	err    error
}

// Load runs f in one transaction, for as many records as it likes to write.
func (s *Server) Load(f func(l *Loader) error) error {
	return s.Update(func(t *Tx) error {
		s.changes++
		l := &Loader{t: t, next: map[string]int64{}}
		var err error
		if l.insert, err = t.SQL.Prepare(`INSERT INTO records (model, id, name, parent, created, written, data) VALUES (?,?,?,?,?,?,?)`); err != nil {
			return err
		}
		if l.byName, err = t.SQL.Prepare(`SELECT id FROM records WHERE model = ? AND name = ? ORDER BY +id LIMIT 1`); err != nil {
			return err
		}
		if err := errors.Join(f(l), l.err); err != nil {
			return fmt.Errorf("load records: %w", err)
		}
		for name, n := range l.next {
			if _, err := t.SQL.Exec(`INSERT INTO counters (name, n) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = excluded.n`, name, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// Next takes the next number of a model or of another sequence.
func (l *Loader) Next(name string) int64 {
	n, known := l.next[name]
	if !known {
		err := l.t.SQL.QueryRow(`SELECT n FROM counters WHERE name = ?`, name).Scan(&n)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			l.fail(err)
		}
	}
	l.next[name] = n + 1
	return n + 1
}

// Named returns the record that has the indexed text, 0 when none has.
func (l *Loader) Named(model, name string) int64 {
	var id int64
	if err := l.byName.QueryRow(model, name).Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		l.fail(err)
	}
	return id
}

// Get returns a record, or false.
func (l *Loader) Get(model string, id int64) (Record, bool) { return l.t.Get(model, id) }

// Put writes a record. Without an id it takes the next one, which is returned.
func (l *Loader) Put(model string, r Record) int64 {
	m, known := l.t.server.models[model]
	if !known {
		l.fail(fmt.Errorf("no model %q", model))
		return 0
	}
	if r.ID == 0 {
		r.ID = l.Next(model)
	}
	data, err := json.Marshal(r.Values)
	if err != nil {
		l.fail(err)
		return 0
	}
	name, parent := m.indexed(r.Values)
	var written any
	if !r.Written.IsZero() {
		written = r.Written.UnixMicro()
	}
	if _, err := l.insert.Exec(model, r.ID, name, parent, r.Created.UnixMicro(), written, string(data)); err != nil {
		l.fail(err)
	}
	return r.ID
}

func (l *Loader) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}
