package inventory

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Loaded is a reservation with what became of it by now.
type Loaded struct {
	SKU         string
	Quantity    int64
	LineItem    string
	Description string
	Metadata    map[string]any
	Created     time.Time
	Updated     time.Time // zero: never since it was made
	Deleted     time.Time // zero: it is still there
}

// Load writes reservations as they would lie there had they been made, changed
// and deleted at their times. The stock is what Settings say that it is now.
// Nobody called, so the ledger has nothing of it.
func (s *Server) Load(all []Loaded) error {
	return s.frame.Update(func(tx *sql.Tx) error {
		var place string
		if err := tx.QueryRow(`SELECT id FROM location WHERE name = ?`, s.settings.Location).Scan(&place); err != nil {
			return fmt.Errorf("load reservations: the location: %w", err)
		}
		made, err := tx.Prepare(`INSERT INTO reservation (n, id, item, location, quantity, line_item_id, description, metadata, created_at, updated_at, deleted_at)
			VALUES (?, ?, (SELECT id FROM item WHERE sku = ?), ?, ?, ?, ?, ?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(`SELECT coalesce(max(n), 0) FROM reservation`).Scan(&n); err != nil {
			return err
		}
		for _, r := range all {
			n++
			metadata, err := json.Marshal(r.Metadata)
			if err != nil {
				return err
			}
			updated, deleted := r.Created, any(nil)
			if !r.Updated.IsZero() {
				updated = r.Updated
			}
			if !r.Deleted.IsZero() {
				updated, deleted = r.Deleted, r.Deleted.UnixMilli()
			}
			if _, err := made.Exec(n, identifier("resitem", n), r.SKU, place, r.Quantity, r.LineItem, r.Description, string(metadata),
				r.Created.UnixMilli(), updated.UnixMilli(), deleted); err != nil {
				return fmt.Errorf("load a reservation of %s for %s: %w", r.SKU, r.LineItem, err)
			}
		}
		return nil
	})
}
