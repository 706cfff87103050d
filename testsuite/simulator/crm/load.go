package crm

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Loaded is a contact or a deal with what became of it by now. A deal is tied to
// the contact that has the customer id, if there is one.
type Loaded struct {
	Deal       bool
	Properties map[string]string
	Customer   string // of a deal
	Created    time.Time
	Modified   time.Time // zero: never since it was made
}

// Load writes records as they would lie there had they been made and changed at
// their times: with their unique values, what HubSpot derives, their ties, and
// the version that searches see. What they were before is not kept, and nobody
// called, so the ledger has nothing of it.
func (s *Server) Load(all []Loaded) error {
	_, err := s.desk(func(x *session) error {
		for _, one := range all {
			if err := x.loaded(one); err != nil {
				return fmt.Errorf("load a record: %w", err)
			}
		}
		return nil
	})
	return err
}

func (x *session) loaded(one Loaded) error {
	kind, from := contacts, int64(1000)
	if one.Deal {
		kind, from = deals, 50_000
	}
	id, err := x.count(kind, from)
	if err != nil {
		return err
	}
	r := &record{kind: kind, id: id, created: one.Created, modified: one.Created, properties: one.Properties}
	if !one.Modified.IsZero() {
		r.modified = one.Modified
	}
	for name, value := range r.properties {
		d, err := x.definition(kind, name)
		if err != nil || d == nil || d.Calculated {
			return fmt.Errorf("%s cannot have the property %s: %w", kind, name, err)
		}
		if d.Unique {
			if name == "email" {
				value = strings.ToLower(value)
			}
			if _, err := x.tx.Exec(`INSERT INTO uniques (kind, property, value, id) VALUES (?,?,?,?)`, kind, name, value, id); err != nil {
				return fmt.Errorf("%s %s: %w", name, value, err)
			}
		}
	}
	x.server.derive(r)
	body, err := json.Marshal(r.properties)
	if err != nil {
		return err
	}
	if _, err := x.tx.Exec(`INSERT INTO records (`+columns+`) VALUES (?,?,?,?,0,0,?)`,
		kind, id, r.created.UnixNano(), r.modified.UnixNano(), body); err != nil {
		return err
	}
	if _, err := x.tx.Exec(`INSERT INTO versions (kind, id, at, created, archived, properties) VALUES (?,?,?,?,0,?)`,
		kind, id, r.modified.UnixNano(), r.created.UnixNano(), body); err != nil {
		return err
	}
	if one.Customer == "" {
		return nil
	}
	_, err = x.tx.Exec(`INSERT INTO associations (deal, contact) SELECT ?, id FROM uniques
		WHERE kind = 'contacts' AND property = 'trueup_customer_id' AND value = ?`, id, one.Customer)
	return err
}
