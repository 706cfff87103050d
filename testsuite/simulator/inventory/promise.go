package inventory

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

var (
	reservationColumns = []column{
		{name: "id", sql: "r.id", orders: true},
		{name: "quantity", sql: "r.quantity", orders: true},
		{name: "line_item_id", sql: "r.line_item_id"},
		{name: "location_id", sql: "r.location"},
		{name: "inventory_item_id", sql: "r.item"},
		{name: "description", sql: "r.description", patterns: true},
		{name: "q", sql: "r.description"},
		{name: "created_at", sql: "r.created_at", moments: true},
		{name: "updated_at", sql: "r.updated_at", moments: true},
	}
	reservationFields = []field{
		{name: "location_id", kind: "string", required: true},
		{name: "inventory_item_id", kind: "string", required: true},
		{name: "quantity", kind: "number", required: true},
		{name: "line_item_id", kind: "string", nullable: true},
		{name: "description", kind: "string", nullable: true},
		{name: "metadata", kind: "record", nullable: true},
	}
	reservationChanges = []field{
		{name: "location_id", kind: "string"},
		{name: "quantity", kind: "number"},
		{name: "description", kind: "string", nullable: true},
		{name: "metadata", kind: "record", nullable: true},
	}
)

// somebodyElse is whose reservation Foreign answers with.
const somebodyElse = "order/somebody-else"

// intended returns the operation that the caller says it is about, when that is
// one of those that fit what the request does.
func intended(r *http.Request, fitting ...order.Operation) order.Operation {
	said, _ := strings.CutPrefix(r.UserAgent(), "trueup (")
	for _, operation := range fitting {
		if strings.TrimSuffix(said, ")") == string(operation) {
			return operation
		}
	}
	return fitting[0]
}

func (s *Server) listReservations(w http.ResponseWriter, r *http.Request) {
	l, wrong := parse(r.URL.Query(), reservationColumns, []string{"id", "created_at", "updated_at", "line_item_id", "inventory_item_id", "location_id", "quantity", "description"}, 20)
	call := simulator.Call{Operation: "list"}
	for _, name := range []string{"line_item_id", "line_item_id[]"} {
		if of := r.URL.Query().Get(name); of != "" {
			call = simulator.Call{Operation: "lookup", Order: orderOf(of)}
		}
	}
	s.handle(w, r, call, func(kind simulator.FaultKind) simulator.Answer {
		switch {
		case wrong != nil:
			return *wrong
		case kind == simulator.Rejected:
			return refuse(http.StatusBadRequest, "not_allowed", "Not allowed")
		case kind == simulator.EmptyList:
			return list("reservations", nil, 0, l)
		}
		return s.view(func(tx *sql.Tx) (simulator.Answer, error) { return s.page(tx, kind, l) })
	})
}

func (s *Server) page(tx *sql.Tx, kind simulator.FaultKind, l listing) (simulator.Answer, error) {
	count := 0
	if err := tx.QueryRow(`SELECT count(*) FROM reservation r WHERE r.deleted_at IS NULL`+l.where, l.args...).Scan(&count); err != nil {
		return simulator.Answer{}, err
	}
	found, err := reservations(tx, l.where+" ORDER BY "+l.order+", r.n LIMIT ? OFFSET ?",
		append(append([]any{}, l.args...), l.limit, l.offset)...)
	if err != nil {
		return simulator.Answer{}, err
	}
	if kind == simulator.NotListed && len(found) > 0 {
		found, count = found[:len(found)-1], count-1
	}
	if kind == simulator.Foreign && len(found) == 0 {
		found, count = []reservation{{id: identifier("resitem", 0), item: identifier("iitem", 1), quantity: 1}}, 1
	}
	var objects []fields
	for _, r := range found {
		if kind == simulator.Foreign {
			r.lineItem = sql.NullString{String: somebodyElse, Valid: true}
		}
		o, err := s.object(tx, r)
		if err != nil {
			return simulator.Answer{}, err
		}
		objects = append(objects, o)
	}
	return list("reservations", objects, count, l), nil
}

func (s *Server) getReservation(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.handle(w, r, simulator.Call{Operation: "lookup", Order: s.ownerOf(id)}, func(simulator.FaultKind) simulator.Answer {
		return s.view(func(tx *sql.Tx) (simulator.Answer, error) {
			found, err := find(tx, id)
			if err != nil {
				return simulator.Answer{}, err
			}
			if found == nil {
				return refuse(http.StatusNotFound, "not_found", fmt.Sprintf("Reservation with id: %s was not found", id)), nil
			}
			return s.shown(tx, *found, r)
		})
	})
}

// shown answers one reservation.
func (s *Server) shown(tx *sql.Tx, found reservation, r *http.Request) (simulator.Answer, error) {
	o, err := s.object(tx, found)
	return answer(http.StatusOK, fields{"reservation": choose(o, r.URL.Query().Get("fields"))}), err
}

// ownerOf returns whose reservation it is, also of a deleted one.
func (s *Server) ownerOf(id string) order.ID {
	var reference sql.NullString
	_ = s.frame.View(func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT line_item_id FROM reservation WHERE id = ?`, id).Scan(&reference)
	})
	return orderOf(reference.String)
}

func (s *Server) createReservation(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	in, wrong := decode(body, reservationFields)
	call := simulator.Call{Operation: order.Reserve, Order: orderOf(s.text(in, "line_item_id")), Key: keyOf(s.text(in, "description"))}
	s.handle(w, r, call, func(kind simulator.FaultKind) simulator.Answer {
		if wrong != nil {
			return *wrong
		}
		made := reservation{
			item: s.text(in, "inventory_item_id"), location: s.text(in, "location_id"), quantity: number(in, "quantity"),
			lineItem: nullable(in, "line_item_id"), description: nullable(in, "description"),
		}
		if data, ok := in["metadata"].(map[string]any); ok {
			text, _ := json.Marshal(data)
			made.metadata = sql.NullString{String: string(text), Valid: true}
		}
		if kind == simulator.Rejected {
			return shortage(made.item, made.location)
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) { return s.promise(tx, kind, made, r) })
	})
}

// promise has the effect of one creation, as the fault lets it.
func (s *Server) promise(tx *sql.Tx, kind simulator.FaultKind, made reservation, r *http.Request) (simulator.Answer, error) {
	if err := available(tx, made.item, made.location, made.quantity); err != nil {
		return simulator.Answer{}, err
	}
	if kind == simulator.Foreign {
		made.id, made.lineItem = identifier("resitem", 0), sql.NullString{String: somebodyElse, Valid: true}
		return s.shown(tx, made, r)
	}
	if kind == simulator.Partial {
		made.quantity--
	}
	id, err := s.reserve(tx, made)
	if err != nil {
		return simulator.Answer{}, err
	}
	found, err := find(tx, id)
	if err != nil || found == nil {
		return simulator.Answer{}, fmt.Errorf("read reservation %s: %w", id, err)
	}
	if err := s.frame.Append(tx, found.entry(simulator.EntryEffect, order.Reserve, found.quantity)); err != nil {
		return simulator.Answer{}, err
	}
	a, err := s.shown(tx, *found, r)
	if err == nil && kind == simulator.Vanishes {
		if err = s.remove(tx, id); err == nil {
			err = s.frame.Append(tx, found.entry(simulator.EntryEdit, order.Release, found.quantity))
		}
	}
	return a, err
}

func nullable(in fields, name string) sql.NullString {
	value, ok := in[name].(string)
	return sql.NullString{String: value, Valid: ok}
}

func (s *Server) updateReservation(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	id := r.PathValue("id")
	in, wrong := decode(body, reservationChanges)
	call := simulator.Call{Operation: intended(r, order.Reserve, order.Release, order.Commit), Order: s.ownerOf(id)}
	s.handle(w, r, call, func(kind simulator.FaultKind) simulator.Answer {
		if wrong != nil {
			return *wrong
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			found, err := find(tx, id)
			if err != nil {
				return simulator.Answer{}, err
			}
			if found == nil {
				return refuse(http.StatusBadRequest, "invalid_data", fmt.Sprintf("Reservation item with id %s not found", id)), nil
			}
			if kind == simulator.Rejected {
				return shortage(found.item, found.location), nil
			}
			return s.change(tx, kind, *found, in, r)
		})
	})
}

// change has the effect of one update. The real one asks whether enough is
// available for what is added, if only nothing: so while more is reserved than
// stocked it refuses every change.
func (s *Server) change(tx *sql.Tx, kind simulator.FaultKind, found reservation, in fields, r *http.Request) (simulator.Answer, error) {
	after := found
	if _, given := in["quantity"]; given {
		after.quantity = number(in, "quantity")
	}
	if _, given := in["location_id"]; given {
		after.location = s.text(in, "location_id")
	}
	added := max(0, after.quantity-found.quantity)
	if after.location != found.location {
		added = after.quantity
	}
	if err := available(tx, found.item, after.location, added); err != nil {
		return simulator.Answer{}, err
	}
	if kind == simulator.Foreign {
		found.lineItem = sql.NullString{String: somebodyElse, Valid: true}
		return s.shown(tx, found, r)
	}
	if kind == simulator.Partial {
		after.quantity++
	}
	if _, given := in["description"]; given {
		after.description = nullable(in, "description")
	}
	if data, given := in["metadata"]; given {
		after.metadata = merge(found.metadata, data)
	}
	if after != found {
		after.updated = s.now()
		if err := s.save(tx, found, after, r); err != nil {
			return simulator.Answer{}, err
		}
	}
	a, err := s.shown(tx, after, r)
	if err == nil && kind == simulator.Vanishes {
		if err = s.resize(tx, found.id, found.quantity); err == nil {
			err = s.frame.Append(tx, found.entry(simulator.EntryEdit, order.Reserve, found.quantity-after.quantity))
		}
	}
	return a, err
}

func (s *Server) save(tx *sql.Tx, found, after reservation, r *http.Request) error {
	if _, err := tx.Exec(`UPDATE reservation SET quantity = ?, location = ?, description = ?, metadata = ?, updated_at = ? WHERE id = ?`,
		after.quantity, after.location, after.description, after.metadata, after.updated, found.id); err != nil {
		return err
	}
	switch more := after.quantity - found.quantity; {
	case more > 0:
		return s.frame.Append(tx, after.entry(simulator.EntryEffect, order.Reserve, more))
	case more < 0:
		return s.frame.Append(tx, after.entry(simulator.EntryEffect, intended(r, order.Release, order.Commit), -more))
	}
	return nil
}

// merge adds to metadata; an empty string takes a key away.
func merge(had sql.NullString, more any) sql.NullString {
	added, ok := more.(map[string]any)
	if !ok {
		return sql.NullString{}
	}
	all := fields{}
	if had.Valid {
		_ = json.Unmarshal([]byte(had.String), &all)
	}
	maps.Copy(all, added)
	for k, v := range added {
		if v == "" {
			delete(all, k)
		}
	}
	text, _ := json.Marshal(all)
	return sql.NullString{String: string(text), Valid: true}
}

func (s *Server) deleteReservation(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	operation := intended(r, order.Release, order.Commit)
	s.handle(w, r, simulator.Call{Operation: operation, Order: s.ownerOf(id)}, func(kind simulator.FaultKind) simulator.Answer {
		switch kind {
		case simulator.Rejected:
			return refuse(http.StatusBadRequest, "not_allowed", "The reservation cannot be deleted")
		case simulator.Foreign:
			return deleted(identifier("resitem", 0))
		case simulator.Vanishes: // what vanishes is the deletion
			return deleted(id)
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			found, err := find(tx, id)
			if err != nil || found == nil {
				return deleted(id), err
			}
			gone := found.quantity
			if kind == simulator.Partial && gone > 1 {
				gone--
				err = s.resize(tx, id, 1)
			} else {
				err = s.remove(tx, id)
			}
			if err == nil {
				err = s.frame.Append(tx, found.entry(simulator.EntryEffect, operation, gone))
			}
			return deleted(id), err
		})
	})
}

func deleted(id string) simulator.Answer {
	return answer(http.StatusOK, fields{"id": id, "object": "reservation", "deleted": true})
}
