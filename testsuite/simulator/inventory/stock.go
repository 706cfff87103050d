package inventory

import (
	"database/sql"
	"fmt"
	"net/http"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

var (
	locationColumns = []column{{name: "id", sql: "id"}, {name: "name", sql: "name"}, {name: "q", sql: "name"}}
	itemColumns     = []column{{name: "id", sql: "id"}, {name: "sku", sql: "sku"}, {name: "q", sql: "sku"}}
	levelColumns    = []column{{name: "location_id", sql: "location"}}
)

func (s *Server) listLocations(w http.ResponseWriter, r *http.Request) {
	s.list(w, r, collection{"stock_locations", locationColumns, 20, func(tx *sql.Tx, l listing) ([]fields, int, error) {
		ids, count, err := page(tx, "location", l)
		var all []fields
		for _, id := range ids {
			o, err := s.locationObject(tx, id)
			if err != nil {
				return nil, 0, err
			}
			all = append(all, o)
		}
		return all, count, err
	}})
}

func (s *Server) listItems(w http.ResponseWriter, r *http.Request) {
	s.list(w, r, collection{"inventory_items", itemColumns, 20, func(tx *sql.Tx, l listing) ([]fields, int, error) {
		ids, count, err := page(tx, "item", l)
		var all []fields
		for _, id := range ids {
			o, err := s.itemWithLevels(tx, id)
			if err != nil {
				return nil, 0, err
			}
			all = append(all, o)
		}
		return all, count, err
	}})
}

func (s *Server) listLevels(w http.ResponseWriter, r *http.Request) {
	item := r.PathValue("id")
	s.list(w, r, collection{"inventory_levels", levelColumns, 50, func(tx *sql.Tx, l listing) ([]fields, int, error) {
		l.where += " AND item = ?"
		l.args = append(l.args, item)
		ids, count, err := page(tx, "level", l)
		if err != nil {
			return nil, 0, err
		}
		all, err := s.levelObjects(tx, ids)
		return all, count, err
	}})
}

// collection is something that can be listed: its name in the answer, its
// columns, its usual limit, and how a page of it is read.
type collection struct {
	name    string
	columns []column
	limit   int
	read    func(tx *sql.Tx, l listing) (objects []fields, count int, err error)
}

// list answers a list of anything but reservations. Foreign turns it into
// somebody else's.
func (s *Server) list(w http.ResponseWriter, r *http.Request, of collection) {
	l, wrong := parse(r.URL.Query(), of.columns, []string{"id", "sku", "name"}, of.limit)
	s.handle(w, r, simulator.Call{Operation: "lookup"}, func(kind simulator.FaultKind) simulator.Answer {
		switch {
		case wrong != nil:
			return *wrong
		case kind == simulator.Rejected:
			return refuse(http.StatusBadRequest, "not_allowed", "Not allowed")
		case kind == simulator.EmptyList:
			return list(of.name, nil, 0, l)
		}
		return s.view(func(tx *sql.Tx) (simulator.Answer, error) {
			objects, count, err := of.read(tx, l)
			if kind == simulator.Foreign {
				for _, o := range objects {
					for _, field := range []string{"name", "sku", "location_id", "inventory_item_id"} {
						if _, ok := o[field]; ok {
							o[field] = "somebody-elses"
						}
					}
				}
			}
			return list(of.name, objects, count, l), err
		})
	})
}

// page returns the ids of a page of a table's rows, and how many rows there are.
func page(tx *sql.Tx, table string, l listing) ([]string, int, error) {
	count := 0
	if err := tx.QueryRow("SELECT count(*) FROM "+table+" WHERE 1"+l.where, l.args...).Scan(&count); err != nil {
		return nil, 0, err
	}
	rows, err := tx.Query("SELECT id FROM "+table+" WHERE 1"+l.where+" ORDER BY "+l.order+", n LIMIT ? OFFSET ?",
		append(append([]any{}, l.args...), l.limit, l.offset)...)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, 0, err
		}
		ids = append(ids, id)
	}
	return ids, count, rows.Err()
}

func (s *Server) locationObject(tx *sql.Tx, id string) (fields, error) {
	var name string
	var created int64
	err := tx.QueryRow(`SELECT name, created_at FROM location WHERE id = ?`, id).Scan(&name, &created)
	return fields{
		"id": id, "name": name, "metadata": nil, "address": nil,
		"created_at": moment(created), "updated_at": moment(created),
	}, err
}

func (s *Server) levelObjects(tx *sql.Tx, ids []string) ([]fields, error) {
	var all []fields
	for _, id := range ids {
		var item, location string
		var created, updated int64
		if err := tx.QueryRow(`SELECT item, location, created_at, updated_at FROM level WHERE id = ?`, id).
			Scan(&item, &location, &created, &updated); err != nil {
			return nil, err
		}
		stocked, reserved, err := stock(tx, item, location)
		if err != nil {
			return nil, err
		}
		all = append(all, fields{
			"id": id, "inventory_item_id": item, "location_id": location, "stocked_quantity": stocked,
			"reserved_quantity": reserved, "incoming_quantity": 0, "available_quantity": stocked - reserved,
			"metadata": nil, "created_at": moment(created), "updated_at": moment(updated),
		})
	}
	return all, nil
}

func (s *Server) itemWithLevels(tx *sql.Tx, id string) (fields, error) {
	o, err := s.itemObject(tx, id)
	if err != nil {
		return nil, err
	}
	ids, _, err := page(tx, "level", listing{where: " AND item = ?", args: []any{id}, order: "1", limit: 100})
	if err != nil {
		return nil, err
	}
	o["location_levels"], err = s.levelObjects(tx, ids)
	return o, err
}

func (s *Server) createLocation(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	in, wrong := decode(body, []field{{name: "name", kind: "string", required: true}, {name: "metadata", kind: "record", nullable: true}})
	s.handle(w, r, simulator.Call{Operation: "create"}, func(simulator.FaultKind) simulator.Answer {
		if wrong != nil {
			return *wrong
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			id, err := s.addLocation(tx, s.text(in, "name"))
			if err != nil {
				return simulator.Answer{}, err
			}
			o, err := s.locationObject(tx, id)
			return answer(http.StatusOK, fields{"stock_location": o}), err
		})
	})
}

func (s *Server) createItem(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	in, wrong := decode(body, []field{{name: "sku", kind: "string", nullable: true}, {name: "title", kind: "string", nullable: true}})
	s.handle(w, r, simulator.Call{Operation: "create"}, func(simulator.FaultKind) simulator.Answer {
		if wrong != nil {
			return *wrong
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			id, err := s.addItem(tx, s.text(in, "sku"), in["title"])
			if err != nil {
				return simulator.Answer{}, &refusal{refuse(http.StatusBadRequest, "invalid_data",
					fmt.Sprintf("Inventory item with sku: %s, already exists.", s.text(in, "sku")))}
			}
			o, err := s.itemWithLevels(tx, id)
			return answer(http.StatusOK, fields{"inventory_item": o}), err
		})
	})
}

func (s *Server) createLevel(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	item := r.PathValue("id")
	in, wrong := decode(body, []field{
		{name: "location_id", kind: "string", required: true},
		{name: "stocked_quantity", kind: "number"},
	})
	s.handle(w, r, simulator.Call{Operation: order.Adjust}, func(simulator.FaultKind) simulator.Answer {
		if wrong == nil {
			wrong = tooSmall(in)
		}
		if wrong != nil {
			return *wrong
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			location := s.text(in, "location_id")
			if err := s.addLevel(tx, item, location, number(in, "stocked_quantity")); err != nil {
				return simulator.Answer{}, &refusal{refuse(http.StatusBadRequest, "invalid_data",
					fmt.Sprintf("Inventory level with inventory_item_id: %s, location_id: %s, already exists.", item, location))}
			}
			o, err := s.itemWithLevels(tx, item)
			return answer(http.StatusOK, fields{"inventory_item": o}), err
		})
	})
}

func tooSmall(in fields) *simulator.Answer {
	if number(in, "stocked_quantity") < 0 {
		return invalid("Value for field 'stocked_quantity' too small, expected at least: '0'")
	}
	return nil
}

func (s *Server) setLevel(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	item, location := r.PathValue("id"), r.PathValue("location")
	in, wrong := decode(body, []field{{name: "stocked_quantity", kind: "number"}, {name: "incoming_quantity", kind: "number"}})
	if wrong == nil {
		wrong = tooSmall(in)
	}
	s.handle(w, r, simulator.Call{Operation: order.Adjust}, func(kind simulator.FaultKind) simulator.Answer {
		switch {
		case wrong != nil:
			return *wrong
		case kind == simulator.Rejected:
			return refuse(http.StatusBadRequest, "not_allowed", "The level cannot be changed")
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			before, _, err := stock(tx, item, location)
			if err != nil {
				return simulator.Answer{}, err
			}
			stocked := before
			if _, given := in["stocked_quantity"]; given {
				stocked = number(in, "stocked_quantity")
			}
			return s.adjust(tx, kind, correction{item, location, before, stocked})
		})
	})
}

// correction is one change of a stocked quantity.
type correction struct {
	item, location string
	before, after  int64
}

// adjust has the effect of one setLevel, as the fault lets it.
func (s *Server) adjust(tx *sql.Tx, kind simulator.FaultKind, c correction) (simulator.Answer, error) {
	kept := c.after
	switch kind {
	case simulator.Foreign:
		kept = c.before
	case simulator.Partial:
		kept = max(0, c.after-1)
	}
	changed, err := s.restock(tx, c.item, c.location, kept)
	if err != nil {
		return simulator.Answer{}, err
	}
	o, err := s.itemWithLevels(tx, c.item)
	if err != nil {
		return simulator.Answer{}, err
	}
	if changed {
		err = s.frame.Append(tx, simulator.Entry{
			Kind: simulator.EntryEffect, Operation: order.Adjust, Record: c.item, Amount: kept, Detail: o["sku"].(string),
		})
	}
	if err == nil && changed && kind == simulator.Vanishes {
		if _, err = s.restock(tx, c.item, c.location, c.before); err == nil {
			err = s.frame.Append(tx, simulator.Entry{
				Kind: simulator.EntryEdit, Operation: order.Adjust, Record: c.item, Amount: c.before, Detail: o["sku"].(string),
			})
		}
	}
	if kind == simulator.Foreign {
		o["id"], o["sku"] = identifier("iitem", 0), "somebody-elses"
	}
	return answer(http.StatusOK, fields{"inventory_item": o}), err
}
