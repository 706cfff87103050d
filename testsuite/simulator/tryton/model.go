package tryton

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Link is a field that points to another model: to one record, or with Via to
// all the records whose field Via points back.
type Link struct {
	Model string
	Via   string
	// Reference says that Via holds "model,id" and not a plain id.
	Reference bool
	// Where holds for those that belong to the field; nil: all that point back.
	Where []any
}

// Model describes one model.
type Model struct {
	Name string
	// Title is how messages call it.
	Title  string
	Fields []string // plain fields beside id and the dates
	Links  map[string]Link
	// Computed fields; they may be read and searched.
	Computed map[string]func(t *Tx, r Record) any
	Defaults map[string]any
	Required []string
	Unique   string // a field
	Index    string // a text field that searches are fast by
	Parent   string // a link that searches are fast by
	// Fixed records are settings: read as they are also by stale answers.
	Fixed bool
	// Fresh methods want a session that is not idle.
	Fresh   map[string]bool
	Buttons map[string]func(t *Tx, id int64) error
	// Created, Write and Delete come after their change, Write and Delete also
	// before it to refuse it.
	Created func(t *Tx, r Record) error
	Guard   func(t *Tx, r Record, method string, values map[string]any) error
	Partial func(t *Tx, id int64)
}

// Record is one record of a model.
type Record struct {
	ID      int64
	Created time.Time
	Written time.Time // zero until the first write
	Values  map[string]any
}

// Version is the field _timestamp.
func (r Record) Version() string {
	at := r.Created
	if !r.Written.IsZero() {
		at = r.Written
	}
	return fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000)
}

// Tx is a transaction with its moment, which is the moment of all its dates.
type Tx struct {
	SQL    *sql.Tx
	Now    time.Time
	AsOf   time.Time // when set, reads answer as of then
	server *Server
	err    error // of a change that cannot return one

	// Locations are where the call asks for quantities.
	Locations []int64

	Operation order.Operation // of the call
	Order     order.ID
	Key       string
}

func (s *Server) tx(tx *sql.Tx) *Tx {
	return &Tx{SQL: tx, Now: s.Frame.Now().Truncate(time.Microsecond), server: s}
}

// Update runs f in one transaction.
func (s *Server) Update(f func(t *Tx) error) error {
	return s.Frame.Update(func(tx *sql.Tx) error {
		t := s.tx(tx)
		if err := f(t); err != nil {
			return err
		}
		return t.err
	})
}

// View runs f in a transaction that is rolled back.
func (s *Server) View(f func(t *Tx) error) error {
	return s.Frame.View(func(tx *sql.Tx) error { return f(s.tx(tx)) })
}

// Append writes an entry into the ledger.
func (t *Tx) Append(e simulator.Entry) {
	if err := t.server.Frame.Append(t.SQL, e); err != nil && t.err == nil {
		t.err = err
	}
}

// Count returns the next number of a sequence.
func (t *Tx) Count(name string) int64 {
	var n int64
	err := t.SQL.QueryRow(`INSERT INTO counters (name, n) VALUES (?, 1)
		ON CONFLICT (name) DO UPDATE SET n = n + 1 RETURNING n`, name).Scan(&n)
	if err != nil && t.err == nil {
		t.err = err
	}
	return n
}

// Get returns a record, or false.
func (t *Tx) Get(model string, id int64) (Record, bool) {
	if m := t.server.models[model]; m != nil && m.Fixed {
		return t.setting(model, id)
	}
	found, err := t.Find(model, []any{[]any{"id", "=", id}})
	if err != nil || len(found) == 0 {
		return Record{}, false
	}
	return found[0], true
}

// setting is Get for records that hardly ever change, and that every row of an
// answer leads to: they are kept until anything changes.
func (t *Tx) setting(model string, id int64) (Record, bool) {
	s := t.server
	if s.settingsOf != s.changes || s.settings == nil {
		s.settings, s.settingsOf = map[string]map[int64]Record{}, s.changes
	}
	if r, known := s.settings[model][id]; known {
		return r, true
	}
	found, err := t.Find(model, []any{[]any{"id", "=", id}})
	if err != nil || len(found) == 0 {
		return Record{}, false
	}
	if s.settings[model] == nil || len(s.settings[model]) > mostSettings {
		s.settings[model] = map[int64]Record{}
	}
	s.settings[model][id] = found[0]
	return found[0], true
}

// mostSettings bounds what is kept of each model.
const mostSettings = 20_000

// Find returns the records that meet a domain, by id.
func (t *Tx) Find(model string, domain []any) ([]Record, error) {
	m, ok := t.server.models[model]
	if !ok {
		return nil, fmt.Errorf("no model %q", model)
	}
	where, args := m.narrow(domain)
	// The + keeps SQLite from walking the whole model by id for the order's sake.
	query := `SELECT id, created, written, data FROM records WHERE model = ?` + where + ` ORDER BY +id`
	args = append([]any{model}, args...)
	if !t.AsOf.IsZero() && !m.Fixed {
		query = `SELECT id, created, written, data FROM versions v WHERE model = ? AND data IS NOT NULL AND rowid =
			(SELECT max(rowid) FROM versions w WHERE w.model = v.model AND w.id = v.id AND w.at <= ?) ORDER BY id`
		args = []any{model, t.AsOf.UnixMicro()}
	}
	candidates, err := t.scan(query, args)
	if err != nil {
		return nil, err
	}
	return t.meeting(m, candidates, domain)
}

// meeting returns those of the candidates that meet a domain.
func (t *Tx) meeting(m *Model, candidates []Record, domain []any) ([]Record, error) {
	var found []Record
	for _, r := range candidates {
		met, err := t.holds(m, r, domain)
		if err != nil {
			return nil, err
		}
		if met {
			found = append(found, r)
		}
	}
	return found, nil
}

func (t *Tx) scan(query string, args []any) ([]Record, error) {
	rows, err := t.SQL.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []Record
	for rows.Next() {
		var r Record
		var created int64
		var written sql.NullInt64
		var data string
		if err := rows.Scan(&r.ID, &created, &written, &data); err != nil {
			return nil, err
		}
		r.Created = time.UnixMicro(created).UTC()
		if written.Valid {
			r.Written = time.UnixMicro(written.Int64).UTC()
		}
		if r.Values, err = decodeRecord(data); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// Insert makes a record with its values as they are.
func (t *Tx) Insert(model string, values map[string]any) int64 {
	id := t.Count(model)
	t.store(model, Record{ID: id, Created: t.Now, Values: values}, true)
	return id
}

// Fill makes many records of a fixed model at once, from id 1.
func (t *Tx) Fill(model string, all []map[string]any) {
	t.server.changes++
	t.server.Frame.Changes()
	m := t.server.models[model]
	for start := 0; start < len(all); start += 100 {
		chunk := all[start:min(len(all), start+100)]
		var args []any
		for i, values := range chunk {
			data, err := json.Marshal(values)
			if err != nil {
				t.Fail(err)
			}
			var name any
			if m.Index != "" && values[m.Index] != nil {
				name = key(values[m.Index])
			}
			args = append(args, model, start+i+1, name, t.Now.UnixMicro(), string(data))
		}
		rows := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?),", len(chunk)), ",")
		if _, err := t.SQL.Exec(`INSERT INTO records (model, id, name, created, data) VALUES `+rows, args...); err != nil {
			t.Fail(err)
		}
	}
	if _, err := t.SQL.Exec(`INSERT INTO counters (name, n) VALUES (?, ?)`, model, len(all)); err != nil {
		t.Fail(err)
	}
}

// Set changes values of a record and its write date.
func (t *Tx) Set(model string, id int64, values map[string]any) {
	r, ok := t.Get(model, id)
	if !ok {
		return
	}
	for k, v := range values {
		r.Values[k] = v
	}
	// Versions are dates; two changes within one moment must still differ.
	last := r.Created
	if !r.Written.IsZero() {
		last = r.Written
	}
	if r.Written = t.Now; !r.Written.After(last) {
		r.Written = last.Add(time.Microsecond)
	}
	t.store(model, r, false)
}

func (t *Tx) store(model string, r Record, isNew bool) {
	t.server.changes++
	t.server.Frame.Changes()
	m := t.server.models[model]
	data, err := json.Marshal(r.Values)
	var written any
	if !r.Written.IsZero() {
		written = r.Written.UnixMicro()
	}
	name, parent := m.indexed(r.Values)
	if err == nil && isNew {
		_, err = t.SQL.Exec(`INSERT INTO records (model, id, name, parent, created, written, data) VALUES (?,?,?,?,?,?,?)`,
			model, r.ID, name, parent, r.Created.UnixMicro(), written, string(data))
	} else if err == nil {
		_, err = t.SQL.Exec(`UPDATE records SET name = ?, parent = ?, written = ?, data = ? WHERE model = ? AND id = ?`,
			name, parent, written, string(data), model, r.ID)
	}
	if err == nil && !m.Fixed {
		_, err = t.SQL.Exec(`INSERT INTO versions (model, id, at, created, written, data) VALUES (?,?,?,?,?,?)`,
			model, r.ID, t.Now.UnixMicro(), r.Created.UnixMicro(), written, string(data))
	}
	if err != nil && t.err == nil {
		t.err = err
	}
}

// indexed returns what a record is found by beside its id: the model's indexed
// text and its parent.
func (m *Model) indexed(values map[string]any) (name, parent any) {
	if m.Index != "" && values[m.Index] != nil {
		name = key(values[m.Index])
	}
	if m.Parent != "" && values[m.Parent] != nil {
		parent = fmt.Sprint(values[m.Parent])
	}
	return name, parent
}

// Erase removes a record and what belongs to it, without asking.
func (t *Tx) Erase(model string, id int64) {
	t.server.changes++
	t.server.Frame.Changes()
	m := t.server.models[model]
	for _, link := range m.Links {
		if link.Via == "" || link.Model == model {
			continue
		}
		for _, r := range t.children(link, model, id) {
			t.Erase(link.Model, r.ID)
		}
	}
	_, err := t.SQL.Exec(`DELETE FROM records WHERE model = ? AND id = ?`, model, id)
	if err == nil {
		_, err = t.SQL.Exec(`INSERT INTO versions (model, id, at, created, data) VALUES (?,?,?,0,NULL)`, model, id, t.Now.UnixMicro())
	}
	if err != nil && t.err == nil {
		t.err = err
	}
}

func (t *Tx) children(link Link, model string, id int64) []Record {
	var back any = id
	if link.Reference {
		back = fmt.Sprintf("%s,%d", model, id)
	}
	domain := []any{[]any{link.Via, "=", back}}
	if link.Where != nil {
		domain = append(domain, link.Where)
	}
	found, err := t.Find(link.Model, domain)
	if err != nil && t.err == nil {
		t.err = err
	}
	return found
}

// Children returns the records of a link field, by id.
func (t *Tx) Children(model, field string, id int64) []Record {
	link, ok := t.server.models[model].Links[field]
	if !ok {
		return nil
	}
	return t.children(link, model, id)
}

// field returns a field of a record, also a dotted one.
func (t *Tx) field(m *Model, r Record, name string) (any, error) {
	first, rest, dotted := strings.Cut(name, ".")
	switch first {
	case "id":
		return r.ID, nil
	case "create_date":
		return Moment(r.Created.UnixMicro()), nil
	case "write_date":
		if r.Written.IsZero() {
			return nil, nil
		}
		return Moment(r.Written.UnixMicro()), nil
	case "_timestamp":
		return r.Version(), nil
	case "rec_name":
		return fmt.Sprintf("%s %d", m.Title, r.ID), nil
	}
	if compute, ok := m.Computed[first]; ok && !dotted {
		return compute(t, r), nil
	}
	link, isLink := m.Links[first]
	switch {
	case isLink && link.Via != "":
		ids := []any{}
		for _, c := range slices.Backward(t.children(link, m.Name, r.ID)) { // Tryton gives the newest first
			ids = append(ids, c.ID)
		}
		return ids, nil
	case isLink && dotted:
		id, isSet := r.Values[first].(int64)
		target, found := t.Get(link.Model, id)
		if !isSet || !found {
			return nil, nil
		}
		return t.field(t.server.models[link.Model], target, rest)
	case isLink, slices.Contains(m.Fields, first):
		return r.Values[first], nil
	}
	return nil, fmt.Errorf("'%s'", first)
}

var errNoField = errors.New("no such field")

// offers says whether a method may be called at all.
func (m *Model) offers(method string) bool {
	switch method {
	case "search", "search_count", "search_read", "read", "create", "write", "delete":
		return true
	}
	_, is := m.Buttons[method]
	return is
}
