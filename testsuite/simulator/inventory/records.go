package inventory

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// reservation is one live row.
type reservation struct {
	id, item, location    string
	quantity              int64
	lineItem, description sql.NullString
	metadata              sql.NullString
	created, updated      int64
	sku                   string
}

const selectReservations = `SELECT r.id, r.item, r.location, r.quantity, r.line_item_id, r.description, r.metadata,
	r.created_at, r.updated_at, i.sku FROM reservation r JOIN item i ON i.id = r.item WHERE r.deleted_at IS NULL`

func reservations(tx *sql.Tx, where string, args ...any) ([]reservation, error) {
	rows, err := tx.Query(selectReservations+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []reservation
	for rows.Next() {
		var r reservation
		if err := rows.Scan(&r.id, &r.item, &r.location, &r.quantity, &r.lineItem, &r.description, &r.metadata,
			&r.created, &r.updated, &r.sku); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// ofOrder returns the live reservations of one order, oldest first, or all.
func ofOrder(tx *sql.Tx, id order.ID) ([]reservation, error) {
	if id == "" {
		return reservations(tx, ` ORDER BY r.n`)
	}
	from := "order/" + string(id) // up to "order/<id>/…", and what lies between
	all, err := reservations(tx, ` AND r.line_item_id >= ? AND r.line_item_id < ? ORDER BY r.n`, from, from+"0")
	return slices.DeleteFunc(all, func(r reservation) bool { return r.order() != id }), err
}

// find returns a live reservation, or nil.
func find(tx *sql.Tx, id string) (*reservation, error) {
	found, err := reservations(tx, ` AND r.id = ?`, id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// order returns whose the reservation is by its reference order/<id>.
func (r reservation) order() order.ID { return orderOf(r.lineItem.String) }

func orderOf(reference string) order.ID {
	parts := strings.Split(reference, "/")
	if len(parts) < 2 || parts[0] != "order" {
		return ""
	}
	id, err := order.ParseID(parts[1])
	if err != nil {
		return ""
	}
	return id
}

// keyOf returns the intent's key with which a description begins.
func keyOf(description string) string {
	first, _, _ := strings.Cut(description, " ")
	if _, ok := order.ParseKey(first); !ok {
		return ""
	}
	return first
}

func (s *Server) addLocation(tx *sql.Tx, name string) (string, error) {
	n, err := insert(tx, `INSERT INTO location (name, created_at) VALUES (?, ?)`, name, s.now())
	if err != nil {
		return "", err
	}
	id := identifier("sloc", n)
	_, err = tx.Exec(`UPDATE location SET id = ? WHERE n = ?`, id, n)
	return id, err
}

func (s *Server) addItem(tx *sql.Tx, sku string, title any) (string, error) {
	n, err := insert(tx, `INSERT INTO item (sku, title, created_at) VALUES (?, ?, ?)`, sku, title, s.now())
	if err != nil {
		return "", err
	}
	id := identifier("iitem", n)
	_, err = tx.Exec(`UPDATE item SET id = ? WHERE n = ?`, id, n)
	return id, err
}

func (s *Server) addLevel(tx *sql.Tx, item, location string, stocked int64) error {
	n, err := insert(tx, `INSERT INTO level (item, location, stocked, created_at, updated_at) VALUES (?, ?, ?, ?, ?)`,
		item, location, stocked, s.now(), s.now())
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE level SET id = ? WHERE n = ?`, identifier("ilev", n), n)
	return err
}

// now is the moment to the millisecond.
func (s *Server) now() int64 { return s.frame.Now().UnixMilli() }

// stock returns what is stocked and what is reserved of an item at a location,
// or the refusal that it is not stocked there.
func stock(tx *sql.Tx, item, location string) (stocked, reserved int64, err error) {
	err = tx.QueryRow(`SELECT l.stocked, (SELECT coalesce(sum(r.quantity), 0) FROM reservation r
			WHERE r.item = l.item AND r.location = l.location AND r.deleted_at IS NULL)
		FROM level l WHERE l.item = ? AND l.location = ?`, item, location).Scan(&stocked, &reserved)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, &refusal{refuse(http.StatusNotFound, "not_found",
			fmt.Sprintf("Item %s is not stocked at location %s", item, location))}
	}
	return stocked, reserved, err
}

// available refuses what is more than the item's available quantity. While that
// is below nothing, nothing is little enough.
func available(tx *sql.Tx, item, location string, wanted int64) error {
	stocked, reserved, err := stock(tx, item, location)
	if err != nil {
		return err
	}
	if stocked-reserved < wanted {
		return &refusal{shortage(item, location)}
	}
	return nil
}

func shortage(item, location string) simulator.Answer {
	return refuse(http.StatusBadRequest, "not_allowed",
		fmt.Sprintf("Not enough stock available for item %s at location %s", item, location))
}

// reserve makes a reservation and lets it expire when the shop has set so.
func (s *Server) reserve(tx *sql.Tx, r reservation) (string, error) {
	n, err := insert(tx, `INSERT INTO reservation (item, location, quantity, line_item_id, description, metadata, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, r.item, r.location, r.quantity, r.lineItem, r.description, r.metadata, s.now(), s.now())
	if err != nil {
		return "", err
	}
	id := identifier("resitem", n)
	if _, err := tx.Exec(`UPDATE reservation SET id = ? WHERE n = ?`, id, n); err != nil {
		return "", err
	}
	if s.settings.ReservationTTL > 0 {
		s.frame.After(s.settings.ReservationTTL, "expire."+id, func() { s.expire(id) })
	}
	return id, nil
}

// expire deletes a reservation that grew too old, as the shop's own job would.
func (s *Server) expire(id string) {
	_ = s.frame.Update(func(tx *sql.Tx) error {
		r, err := find(tx, id)
		if err != nil || r == nil {
			return err
		}
		if err := s.remove(tx, id); err != nil {
			return err
		}
		return s.frame.Append(tx, r.entry(simulator.EntryEdit, order.Release, r.quantity))
	})
}

// expireOld sets the timers of the reservations that an older run left behind.
func (s *Server) expireOld() error {
	if s.settings.ReservationTTL == 0 {
		return nil
	}
	var old []reservation
	err := s.frame.View(func(tx *sql.Tx) (err error) {
		old, err = reservations(tx, ` ORDER BY r.n`)
		return err
	})
	for _, r := range old {
		age := s.frame.Now().Sub(time.UnixMilli(r.created))
		s.frame.After(max(0, s.settings.ReservationTTL-age), "expire."+r.id, func() { s.expire(r.id) })
	}
	return err
}

// remove deletes softly: the row stays and nothing shows it.
func (s *Server) remove(tx *sql.Tx, id string) error {
	_, err := tx.Exec(`UPDATE reservation SET deleted_at = ?, updated_at = ? WHERE id = ? AND deleted_at IS NULL`, s.now(), s.now(), id)
	return err
}

// resize sets a quantity; updated_at moves only when something changes.
func (s *Server) resize(tx *sql.Tx, id string, quantity int64) error {
	_, err := tx.Exec(`UPDATE reservation SET quantity = ?, updated_at = ? WHERE id = ? AND quantity <> ?`, quantity, s.now(), id, quantity)
	return err
}

// restock sets a stocked quantity and says whether that changed it.
func (s *Server) restock(tx *sql.Tx, item, location string, stocked int64) (bool, error) {
	done, err := tx.Exec(`UPDATE level SET stocked = ?, updated_at = ? WHERE item = ? AND location = ? AND stocked <> ?`,
		stocked, s.now(), item, location, stocked)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n > 0, err
}

// entry is the ledger's line about pieces of a reservation.
func (r reservation) entry(kind simulator.EntryKind, operation order.Operation, pieces int64) simulator.Entry {
	return simulator.Entry{
		Kind: kind, Operation: operation, Order: r.order(), Key: keyOf(r.description.String),
		Record: r.id, Amount: pieces, Detail: r.sku,
	}
}

// object is the reservation as the API shows it.
func (s *Server) object(tx *sql.Tx, r reservation) (fields, error) {
	item, err := s.itemObject(tx, r.item)
	if err != nil {
		return nil, err
	}
	return fields{
		"id": r.id, "location_id": r.location, "inventory_item_id": r.item, "quantity": r.quantity,
		"line_item_id": orNull(r.lineItem), "description": orNull(r.description), "metadata": metadataOf(r),
		"created_at": moment(r.created), "updated_at": moment(r.updated), "inventory_item": item,
	}, nil
}

func metadataOf(r reservation) any {
	if !r.metadata.Valid {
		return nil
	}
	return json.RawMessage(r.metadata.String)
}

func orNull(s sql.NullString) any {
	if !s.Valid {
		return nil
	}
	return s.String
}

func (s *Server) itemObject(tx *sql.Tx, id string) (fields, error) {
	var sku string
	var title sql.NullString
	var created, stocked, reserved int64
	err := tx.QueryRow(`SELECT i.sku, i.title, i.created_at, (SELECT coalesce(sum(l.stocked), 0) FROM level l WHERE l.item = i.id),
			(SELECT coalesce(sum(r.quantity), 0) FROM reservation r WHERE r.item = i.id AND r.deleted_at IS NULL)
		FROM item i WHERE i.id = ?`, id).Scan(&sku, &title, &created, &stocked, &reserved)
	return fields{
		"id": id, "sku": sku, "title": orNull(title), "description": nil, "thumbnail": nil, "requires_shipping": true,
		"metadata": nil, "stocked_quantity": stocked, "reserved_quantity": reserved,
		"created_at": moment(created), "updated_at": moment(created),
	}, err
}
