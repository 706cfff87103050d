package payment

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// world is the gateway within one transaction. What is to happen after it is
// collected, and done when it was committed.
type world struct {
	s      *Server
	tx     *sql.Tx
	key    string
	kind   simulator.EntryKind // of the ledger entries of this transaction
	events []event
	later  []delayed
	before map[string]*string // documents as they were, nil: not there; to let changes vanish
}

type delayed struct {
	after time.Duration
	name  string
	do    func()
}

// change runs f in one transaction, then sends the events and schedules what f
// asked for.
func (s *Server) change(f func(w *world) error) error {
	w, err := s.transact(f)
	if err != nil {
		return err
	}
	for _, e := range w.events {
		s.frame.Notify(s.notification(e, s.secret))
	}
	return nil
}

// transact runs f in one transaction and schedules what f asked for.
func (s *Server) transact(f func(w *world) error) (*world, error) {
	w := &world{s: s, kind: simulator.EntryEdit, before: map[string]*string{}}
	err := s.frame.Update(func(tx *sql.Tx) error {
		w.tx = tx
		return f(w)
	})
	if err != nil {
		return nil, err
	}
	for _, d := range w.later {
		s.frame.After(d.after, d.name, d.do)
	}
	return w, nil
}

func (w *world) now() int64 { return w.s.frame.Now().Unix() }

// next returns the next id of a kind; ids are deterministic per database.
func (w *world) next(prefix string) (string, error) {
	var n int64
	err := w.tx.QueryRow(`INSERT INTO counters (kind, n) VALUES (?, 1)
		ON CONFLICT (kind) DO UPDATE SET n = n + 1 RETURNING n`, prefix).Scan(&n)
	return fmt.Sprintf("%s_%014d", prefix, n), err
}

// row is a record with what it is found by.
type row interface {
	head() (id, kind, intent string, of order.ID, created int64)
}

func (w *world) put(r row) error {
	id, kind, intent, of, created := r.head()
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := w.keep(id); err != nil {
		return err
	}
	var seq int64
	if err := w.tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM objects`).Scan(&seq); err != nil {
		return err
	}
	about := ""
	if e, ok := r.(*event); ok {
		about = e.Type
	}
	_, err = w.tx.Exec(`INSERT INTO objects (id, kind, seq, created, order_id, intent, type, doc) VALUES (?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET order_id = excluded.order_id, doc = excluded.doc`,
		id, kind, seq, created, of, intent, about, string(doc))
	return err
}

// keep notes a document as it was before this transaction.
func (w *world) keep(id string) error {
	if _, ok := w.before[id]; ok {
		return nil
	}
	var old string
	err := w.tx.QueryRow(`SELECT doc FROM objects WHERE id = ?`, id).Scan(&old)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		w.before[id] = nil
	case err != nil:
		return err
	default:
		w.before[id] = &old
	}
	return nil
}

// vanish takes back every change to records in this transaction.
func (w *world) vanish() error {
	for id, old := range w.before {
		var err error
		if old == nil {
			_, err = w.tx.Exec(`DELETE FROM objects WHERE id = ?`, id)
		} else {
			_, err = w.tx.Exec(`UPDATE objects SET doc = ? WHERE id = ?`, *old, id)
		}
		if err != nil {
			return err
		}
	}
	w.events, w.later = nil, nil
	return nil
}

// get reads one record of a kind; nil when there is none.
func get[T any](w *world, kind, id string) (*T, error) {
	var doc string
	err := w.tx.QueryRow(`SELECT doc FROM objects WHERE id = ? AND kind = ?`, id, kind).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(T)
	return v, json.Unmarshal([]byte(doc), v)
}

// list reads the records of a kind, of one PaymentIntent unless it is empty,
// oldest first.
func list[T any](w *world, kind, intent string) ([]*T, error) {
	if intent == "" {
		return query[T](w, `SELECT doc FROM objects WHERE kind = ? ORDER BY seq`, kind)
	}
	return query[T](w, `SELECT doc FROM objects WHERE kind = ? AND intent = ? ORDER BY seq`, kind, intent)
}

// ofOrder reads the records of a kind of one order, of all when it is empty,
// oldest first.
func ofOrder[T any](w *world, kind string, of order.ID) ([]*T, error) {
	if of == "" {
		return list[T](w, kind, "")
	}
	return query[T](w, `SELECT doc FROM objects WHERE kind = ? AND order_id = ? ORDER BY seq`, kind, of)
}

func query[T any](w *world, q string, args ...any) ([]*T, error) {
	rows, err := w.tx.Query(q, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []*T
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		v := new(T)
		if err := json.Unmarshal([]byte(doc), v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// note writes what happened to the ledger.
func (w *world) note(op order.Operation, pi *intent, record string, amount int64, detail string) error {
	key := w.key
	if w.kind == simulator.EntryEdit {
		key = ""
	}
	return w.s.frame.Append(w.tx, simulator.Entry{
		Kind: w.kind, Operation: op, Order: pi.order(), Key: key, Record: record, Amount: amount, Detail: detail,
	})
}

// newestFirst turns what was read oldest first around.
func newestFirst[T any](all []T) []T {
	slices.Reverse(all)
	return all
}
