package inventory

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Records is what the inventory holds, in its own terms.
type Records struct {
	Levels       []Level       `json:"levels"`
	Reservations []Reservation `json:"reservations"`
}

// Level is one SKU's stock.
type Level struct {
	SKU       string `json:"sku"`
	Stocked   int64  `json:"stocked"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
}

// Reservation is a live reservation.
type Reservation struct {
	ID          string          `json:"id"`
	Order       order.ID        `json:"order,omitempty"`
	LineItem    string          `json:"line_item_id,omitempty"`
	SKU         string          `json:"sku"`
	Quantity    int64           `json:"quantity"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	CreatedAt   string          `json:"created_at"`
	UpdatedAt   string          `json:"updated_at"`
}

// State returns the Records of one order, or all.
func (s *Server) State(of order.ID) (any, error) { return s.Records(of) }

// Records returns the live reservations of one order, or all, and the levels.
func (s *Server) Records(of order.ID) (Records, error) {
	held := Records{Levels: []Level{}, Reservations: []Reservation{}}
	err := s.frame.View(func(tx *sql.Tx) error {
		all, err := ofOrder(tx, of)
		if err != nil {
			return err
		}
		for _, r := range all {
			held.Reservations = append(held.Reservations, Reservation{
				ID: r.id, Order: r.order(), LineItem: r.lineItem.String, SKU: r.sku, Quantity: r.quantity,
				Description: r.description.String, Metadata: json.RawMessage(r.metadata.String),
				CreatedAt: moment(r.created), UpdatedAt: moment(r.updated),
			})
		}
		held.Levels, err = levels(tx)
		return err
	})
	if err != nil {
		return Records{}, fmt.Errorf("read the records of the simulated inventory: %w", err)
	}
	return held, nil
}

func levels(tx *sql.Tx) ([]Level, error) {
	rows, err := tx.Query(`SELECT i.sku, l.stocked, (SELECT coalesce(sum(r.quantity), 0) FROM reservation r
			WHERE r.item = l.item AND r.location = l.location AND r.deleted_at IS NULL)
		FROM level l JOIN item i ON i.id = l.item ORDER BY i.sku`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := []Level{}
	for rows.Next() {
		var l Level
		if err := rows.Scan(&l.SKU, &l.Stocked, &l.Reserved); err != nil {
			return nil, err
		}
		l.Available = l.Stocked - l.Reserved
		all = append(all, l)
	}
	return all, rows.Err()
}

// edit is what an admin user can do by hand; one of the four at a time.
type edit struct {
	// SKU's stocked quantity becomes Stocked, also below what is reserved.
	SKU     string `json:"sku"`
	Stocked *int64 `json:"stocked"`
	// Order's reservations become these pieces per SKU: 0 deletes, more than
	// are reserved adds to the first reservation or makes one.
	Order    order.ID         `json:"order"`
	Reserved map[string]int64 `json:"reserved"`
	// Reservation changes, or is deleted.
	Reservation string  `json:"reservation"`
	Quantity    *int64  `json:"quantity"`
	Description *string `json:"description"`
	// Delete deletes the reservation, all of the order's, or the SKU with its level.
	Delete bool `json:"delete"`
}

// Edit changes records as an admin user would:
//
//	{"sku": "MUG", "stocked": 3}                  the stocked quantity
//	{"sku": "MUG", "delete": true}                the item, with its level
//	{"order": "42", "reserved": {"MUG": 1}}       what an order has reserved, per SKU
//	{"order": "42", "delete": true}               all of an order's reservations
//	{"reservation": "resitem_…", "quantity": 2}   one reservation; also "description"
//	{"reservation": "resitem_…", "delete": true}
func (s *Server) Edit(data json.RawMessage) error {
	var e edit
	if err := strictly(data, &e); err != nil {
		return err
	}
	return s.frame.Update(func(tx *sql.Tx) error {
		switch {
		case e.SKU != "" && e.Stocked != nil && *e.Stocked >= 0:
			return s.editLevel(tx, e)
		case e.SKU != "" && e.Delete:
			return s.deleteItem(tx, e)
		case e.Reservation != "" && (e.Delete || e.Quantity != nil || e.Description != nil):
			return s.editReservation(tx, e)
		case e.Order != "" && (e.Delete || len(e.Reserved) > 0):
			return s.editOrder(tx, e)
		}
		return errors.New(`edit the inventory: want {sku, stocked}, {sku, delete}, {order, reserved}, {order, delete}, {reservation, quantity}, {reservation, description} or {reservation, delete}`)
	})
}

func strictly(data json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the edit of the inventory: %w", err)
	}
	return nil
}

func itemOf(tx *sql.Tx, sku string) (item, location string, err error) {
	err = tx.QueryRow(`SELECT l.item, l.location FROM level l JOIN item i ON i.id = l.item WHERE i.sku = ? ORDER BY l.n`, sku).
		Scan(&item, &location)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: no level of the SKU %q", simulator.ErrNoRecord, sku)
	}
	return item, location, err
}

func (s *Server) editLevel(tx *sql.Tx, e edit) error {
	item, location, err := itemOf(tx, e.SKU)
	if err != nil {
		return err
	}
	if _, err := s.restock(tx, item, location, *e.Stocked); err != nil {
		return err
	}
	return s.frame.Append(tx, simulator.Entry{
		Kind: simulator.EntryEdit, Operation: order.Adjust, Record: item, Amount: *e.Stocked, Detail: e.SKU,
	})
}

func (s *Server) deleteItem(tx *sql.Tx, e edit) error {
	item, _, err := itemOf(tx, e.SKU)
	if err != nil {
		return err
	}
	for _, statement := range []string{`DELETE FROM level WHERE item = ?`, `DELETE FROM item WHERE id = ?`} {
		if _, err := tx.Exec(statement, item); err != nil {
			return err
		}
	}
	return s.frame.Append(tx, simulator.Entry{Kind: simulator.EntryEdit, Operation: order.Adjust, Record: item, Detail: e.SKU + " deleted"})
}

func (s *Server) editReservation(tx *sql.Tx, e edit) error {
	r, err := find(tx, e.Reservation)
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("%w: reservation %q", simulator.ErrNoRecord, e.Reservation)
	}
	if e.Description != nil {
		if _, err := tx.Exec(`UPDATE reservation SET description = ?, updated_at = ? WHERE id = ?`, *e.Description, s.now(), r.id); err != nil {
			return err
		}
	}
	switch {
	case e.Delete:
		return s.editQuantity(tx, *r, 0, true)
	case e.Quantity != nil:
		return s.editQuantity(tx, *r, *e.Quantity, false)
	}
	return s.frame.Append(tx, r.entry(simulator.EntryEdit, order.Reserve, 0))
}

// editQuantity is refused when it adds what is not there. The real one refuses
// lowering too while the item is oversold; an admin user then deletes and makes
// anew, which is here one step.
func (s *Server) editQuantity(tx *sql.Tx, r reservation, quantity int64, gone bool) error {
	if gone {
		if err := s.remove(tx, r.id); err != nil {
			return err
		}
		return s.frame.Append(tx, r.entry(simulator.EntryEdit, order.Release, r.quantity))
	}
	operation, pieces := order.Release, r.quantity-quantity
	if pieces < 0 {
		operation, pieces = order.Reserve, -pieces
		if err := available(tx, r.item, r.location, pieces); err != nil {
			return err
		}
	}
	if err := s.resize(tx, r.id, quantity); err != nil {
		return err
	}
	return s.frame.Append(tx, r.entry(simulator.EntryEdit, operation, pieces))
}

func (s *Server) editOrder(tx *sql.Tx, e edit) error {
	held, err := ofOrder(tx, e.Order)
	if err != nil {
		return err
	}
	if e.Delete {
		if len(held) == 0 {
			return fmt.Errorf("%w: reservations of order %s", simulator.ErrNoRecord, e.Order)
		}
		for _, r := range held {
			if err := s.editQuantity(tx, r, 0, true); err != nil {
				return err
			}
		}
		return nil
	}
	for _, sku := range slices.Sorted(maps.Keys(e.Reserved)) {
		if err := s.editSKU(tx, e.Order, held, sku, e.Reserved[sku]); err != nil {
			return err
		}
	}
	return nil
}

// editSKU brings an order's reservations of one SKU to a sum: it takes from the
// last ones first and adds to the first.
func (s *Server) editSKU(tx *sql.Tx, of order.ID, held []reservation, sku string, wanted int64) error {
	held = slices.DeleteFunc(slices.Clone(held), func(r reservation) bool { return r.sku != sku })
	if len(held) == 0 && wanted > 0 {
		return s.editNew(tx, of, sku, wanted)
	}
	sum := int64(0)
	for _, r := range held {
		sum += r.quantity
	}
	for i := len(held) - 1; i >= 0 && sum > wanted; i-- {
		less := min(held[i].quantity, sum-wanted)
		if err := s.editQuantity(tx, held[i], held[i].quantity-less, less == held[i].quantity); err != nil {
			return err
		}
		sum -= less
	}
	if sum < wanted {
		return s.editQuantity(tx, held[0], held[0].quantity+wanted-sum, false)
	}
	return nil
}

func (s *Server) editNew(tx *sql.Tx, of order.ID, sku string, quantity int64) error {
	item, location, err := itemOf(tx, sku)
	if err != nil {
		return err
	}
	if err := available(tx, item, location, quantity); err != nil {
		return err
	}
	r := reservation{
		item: item, location: location, quantity: quantity, sku: sku,
		lineItem: sql.NullString{String: "order/" + string(of), Valid: true},
	}
	if r.id, err = s.reserve(tx, r); err != nil {
		return err
	}
	return s.frame.Append(tx, r.entry(simulator.EntryEdit, order.Reserve, quantity))
}

// Event shows an order's reservations, or one, in the change feed as if they
// had changed: {"order": "42"} or {"reservation": "resitem_…"}, or with {"sku":
// "MUG"} those of a SKU. Medusa itself announces nothing.
func (s *Server) Event(data json.RawMessage) error {
	var e struct {
		Order       order.ID `json:"order"`
		Reservation string   `json:"reservation"`
		SKU         string   `json:"sku"`
	}
	if err := strictly(data, &e); err != nil {
		return err
	}
	return s.frame.Update(func(tx *sql.Tx) error {
		all, err := ofOrder(tx, e.Order)
		if err != nil {
			return err
		}
		touched := false
		if e.SKU != "" { // the level is there, whoever has reserved of it
			if _, _, err := itemOf(tx, e.SKU); err != nil {
				return err
			}
			touched = true
		}
		for _, r := range all {
			if e.Order == "" && r.id != e.Reservation && (e.SKU == "" || r.sku != e.SKU) {
				continue
			}
			touched = true
			if _, err := tx.Exec(`UPDATE reservation SET updated_at = ? WHERE id = ?`, s.now(), r.id); err != nil {
				return err
			}
		}
		if !touched {
			return fmt.Errorf("%w: order %q, reservation %q", simulator.ErrNoRecord, e.Order, e.Reservation)
		}
		return s.frame.Append(tx, simulator.Entry{Kind: simulator.EntryNotification, Operation: "event", Order: e.Order, Record: e.Reservation})
	})
}
