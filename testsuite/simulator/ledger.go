package simulator

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
)

const frameSchema = `
CREATE TABLE IF NOT EXISTS ledger (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	at        INTEGER NOT NULL, -- nanoseconds
	kind      TEXT NOT NULL,
	operation TEXT NOT NULL,
	order_id  TEXT NOT NULL,
	key       TEXT NOT NULL,
	record    TEXT NOT NULL,
	amount    INTEGER NOT NULL,
	status    INTEGER NOT NULL,
	fault     TEXT NOT NULL,
	detail    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_order ON ledger (order_id);
`

// EntryKind says what a ledger entry tells of.
type EntryKind string

// The kinds of ledger entries.
const (
	EntryRequest      EntryKind = "request"      // a request came, and how it was answered
	EntryEffect       EntryKind = "effect"       // a request changed a record
	EntryEdit         EntryKind = "edit"         // a person changed a record, or the system did by itself
	EntryNotification EntryKind = "notification" // a notification was sent, and how it was taken
)

// Entry is one line of a system's ledger. Checkers read ledgers and never our
// own opinion, so an entry says what happened there, in that system's terms.
type Entry struct {
	Seq       int64           `json:"seq"`
	At        time.Time       `json:"at"`
	Kind      EntryKind       `json:"kind"`
	Operation order.Operation `json:"operation"` // also "lookup", "list", "count"
	Order     order.ID        `json:"order,omitempty"`
	Key       string          `json:"key,omitempty"` // idempotency key or reference
	Record    string          `json:"record,omitempty"`
	Amount    int64           `json:"amount,omitempty"` // minor units or pieces
	Status    int             `json:"status,omitempty"` // of the answer; 0: none was given
	Fault     FaultKind       `json:"fault,omitempty"`
	Detail    string          `json:"detail,omitempty"`
}

// Append writes one entry within the transaction of what it tells of.
func (s *System) Append(tx *sql.Tx, e Entry) error { return s.append(tx, e) }

func (s *System) append(to interface {
	Exec(query string, args ...any) (sql.Result, error)
}, e Entry) error {
	if e.Kind != EntryRequest {
		s.Changes()
	}
	_, err := to.Exec(`INSERT INTO ledger (at, kind, operation, order_id, key, record, amount, status, fault, detail) VALUES (?,?,?,?,?,?,?,?,?,?)`,
		s.Now().UnixNano(), e.Kind, e.Operation, e.Order, e.Key, e.Record, e.Amount, e.Status, e.Fault, e.Detail)
	if err != nil {
		return fmt.Errorf("simulated %s: append to the ledger: %w", s.Name, err)
	}
	if s.witness != nil {
		s.witness.Wrote(s.Name, e)
	}
	return nil
}

// Ledger returns the entries after seq, of one order unless it is empty.
func (s *System) Ledger(after int64, of order.ID) ([]Entry, error) {
	var entries []Entry
	err := s.View(func(tx *sql.Tx) error {
		rows, err := tx.Query(`SELECT seq, at, kind, operation, order_id, key, record, amount, status, fault, detail
			FROM ledger WHERE seq > ? AND (? = '' OR order_id = ?) ORDER BY seq`, after, of, of)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var e Entry
			var at int64
			if err := rows.Scan(&e.Seq, &at, &e.Kind, &e.Operation, &e.Order, &e.Key, &e.Record, &e.Amount, &e.Status, &e.Fault, &e.Detail); err != nil {
				return err
			}
			e.At = time.Unix(0, at).UTC()
			entries = append(entries, e)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger of the simulated %s: %w", s.Name, err)
	}
	return entries, nil
}
