package crm

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// The kinds of records, as paths name them.
const (
	contacts = "contacts"
	deals    = "deals"
)

// record is one contact or deal.
type record struct {
	kind       string
	id         int64
	created    time.Time
	modified   time.Time
	archived   bool
	merged     int64
	properties map[string]string
}

func (r *record) get(property string) string { return r.properties[property] }

// order returns the order that a deal names.
func (r *record) order() order.ID { return order.ID(r.properties["trueup_order_id"]) }

// reference is what the record is known by outside.
func (r *record) reference() string {
	for _, p := range []string{"trueup_order_id", "trueup_customer_id", "trueup_cart_id"} {
		if v := r.properties[p]; v != "" {
			return v
		}
	}
	return ""
}

// noun is what the ledger calls the record.
func (s *Server) noun(r *record) string {
	switch {
	case r.kind == contacts:
		return "contact"
	case r.get("trueup_cart_id") != "" || r.get("dealstage") == s.settings.AbandonedStage:
		return "cart"
	}
	return "deal"
}

// minor is a deal's amount for the ledger, 0 when it is none.
func (r *record) minor() int64 {
	n, err := order.ParseMinor(r.get("amount"), currencyOf(r))
	if err != nil {
		return 0
	}
	return n
}

func currencyOf(r *record) order.Currency {
	if c := r.get("deal_currency_code"); c != "" {
		return order.Currency(c)
	}
	return "EUR"
}

// session is one transaction: a request's, or a person's.
type session struct {
	server    *Server
	tx        *sql.Tx
	kind      simulator.FaultKind
	entry     simulator.EntryKind
	operation order.Operation
	order     order.ID // that the request is about
	source    string
	changes   []change
	touched   []*record
}

// desk runs what a person does, and announces it. It returns the records that
// were changed.
func (s *Server) desk(f func(x *session) error) ([]*record, error) {
	x := &session{server: s, entry: simulator.EntryEdit, operation: "edit", source: "CRM_UI"}
	err := s.frame.Update(func(tx *sql.Tx) error {
		x.tx = tx
		return f(x)
	})
	if err != nil {
		return nil, err
	}
	s.announce(x.changes)
	return x.touched, nil
}

// count returns the next number of a counter, the first one being 1 more than
// from.
func (x *session) count(name string, from int64) (int64, error) {
	var n int64
	err := x.tx.QueryRow(`INSERT INTO counters (name, n) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + 1 RETURNING n`, name, from+1).Scan(&n)
	return n, err
}

const columns = `kind, id, created, modified, archived, merged, properties`

func scan(row interface{ Scan(...any) error }) (*record, error) {
	r := &record{}
	var made, changed int64
	var body string
	if err := row.Scan(&r.kind, &r.id, &made, &changed, &r.archived, &r.merged, &body); err != nil {
		return nil, err
	}
	r.created, r.modified = time.Unix(0, made).UTC(), time.Unix(0, changed).UTC()
	return r, json.Unmarshal([]byte(body), &r.properties)
}

// load returns a record by id, following merges; nil when it is not there.
func (x *session) load(kind string, id int64) (*record, error) {
	for range 10 {
		r, err := scan(x.tx.QueryRow(`SELECT `+columns+` FROM records WHERE kind = ? AND id = ?`, kind, id))
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil || r.merged == 0 {
			return r, err
		}
		id = r.merged
	}
	return nil, fmt.Errorf("%s %d is merged in a circle", kind, id)
}

// by returns the record that holds a unique value, nil when none does.
func (x *session) by(kind, property, value string) (*record, error) {
	if property == "email" {
		value = strings.ToLower(value)
	}
	var id int64
	err := x.tx.QueryRow(`SELECT id FROM uniques WHERE kind = ? AND property = ? AND value = ?`, kind, property, value).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return x.load(kind, id)
}

// all returns the records of a kind that are not archived, by id.
func (x *session) all(kind string) ([]*record, error) {
	rows, err := x.tx.Query(`SELECT `+columns+` FROM records WHERE kind = ? AND archived = 0 ORDER BY id`, kind)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []*record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// make makes a record of validated values.
func (x *session) make(kind string, values map[string]string) (*record, error) {
	before := map[string]int64{contacts: 1000, deals: 50_000}
	id, err := x.count(kind, before[kind])
	if err != nil {
		return nil, err
	}
	now := x.server.frame.Now()
	r := &record{kind: kind, id: id, created: now, modified: now, properties: map[string]string{}}
	if _, err := x.tx.Exec(`INSERT INTO records (`+columns+`) VALUES (?,?,?,?,0,0,'{}')`, kind, id, now.UnixNano(), now.UnixNano()); err != nil {
		return nil, err
	}
	first := len(x.changes)
	if err := x.announceLater(r, change{what: "creation", flag: "CREATED"}); err != nil {
		return nil, err
	}
	if _, err := x.apply(r, values); err != nil {
		return nil, err
	}
	for i := first; i < len(x.changes); i++ {
		x.changes[i].order = r.order() // known only now
		if err := x.remember(x.changes[i]); err != nil {
			return nil, err
		}
	}
	return r, x.log(r, x.server.noun(r)+" created")
}

// change sets validated values; setting what is already there does nothing.
func (x *session) change(r *record, values map[string]string) error {
	names, err := x.apply(r, values)
	if err != nil || len(names) == 0 {
		return err
	}
	for i, name := range names {
		if name == "dealstage" {
			names[i] = "stage " + x.server.word(r.get(name))
		}
	}
	return x.log(r, x.server.noun(r)+" changed: "+strings.Join(names, ", "))
}

// apply writes values, keeps unique ones unique, and returns the names of the
// properties that changed.
func (x *session) apply(r *record, values map[string]string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		was, is := r.properties[name], values[name]
		if was == is {
			continue
		}
		d, err := x.definition(r.kind, name)
		if err != nil {
			return nil, err
		}
		if d != nil && d.Unique {
			if err := x.claim(r, name, was, is); err != nil {
				return nil, err
			}
		}
		if is == "" {
			delete(r.properties, name)
		} else {
			r.properties[name] = is
		}
		names = append(names, name)
		if err := x.announceLater(r, change{what: "propertyChange", property: name, value: is}); err != nil {
			return nil, err
		}
	}
	if len(names) == 0 && len(r.properties) > 0 {
		return nil, nil
	}
	x.server.derive(r)
	return names, x.save(r)
}

// derive sets what HubSpot calculates by itself.
func (s *Server) derive(r *record) {
	if r.kind != deals {
		return
	}
	stage := r.properties["dealstage"]
	r.properties["hs_is_closed_won"] = strconv.FormatBool(stage == s.settings.WonStage)
	r.properties["hs_is_closed"] = strconv.FormatBool(stage == s.settings.WonStage || stage == s.settings.LostStage)
}

// claim takes a unique value for a record and gives its old one back.
func (x *session) claim(r *record, property, was, is string) error {
	if is != "" {
		holder, err := x.by(r.kind, property, is)
		if err != nil {
			return err
		}
		if holder != nil && holder.id != r.id {
			if property == "email" {
				return &refusal{status: 409, category: "CONFLICT", message: fmt.Sprintf("Contact already exists. Existing ID: %d", holder.id)}
			}
			return invalid(property, "CONFLICTING_UNIQUE_VALUE", fmt.Sprintf("Cannot set %s. %d already has that value.", property, holder.id))
		}
		if holder == nil {
			if _, err := x.tx.Exec(`INSERT INTO uniques (kind, property, value, id) VALUES (?,?,?,?)`, r.kind, property, is, r.id); err != nil {
				return err
			}
		}
	}
	if was == "" {
		return nil
	}
	_, err := x.tx.Exec(`DELETE FROM uniques WHERE kind = ? AND property = ? AND value = ? AND id = ?`, r.kind, property, was, r.id)
	return err
}

// save stores a record and the version that searches will see.
func (x *session) save(r *record) error {
	r.modified = x.server.frame.Now()
	body, err := json.Marshal(r.properties)
	if err != nil {
		return err
	}
	if _, err := x.tx.Exec(`UPDATE records SET modified = ?, archived = ?, merged = ?, properties = ? WHERE kind = ? AND id = ?`,
		r.modified.UnixNano(), r.archived, r.merged, body, r.kind, r.id); err != nil {
		return err
	}
	_, err = x.tx.Exec(`INSERT INTO versions (kind, id, at, created, archived, properties) VALUES (?,?,?,?,?,?)`,
		r.kind, r.id, r.modified.UnixNano(), r.created.UnixNano(), r.archived, body)
	return err
}

// archive moves a record to the bin, which frees its unique values.
func (x *session) archive(r *record) error {
	r.archived = true
	if _, err := x.tx.Exec(`DELETE FROM uniques WHERE kind = ? AND id = ?`, r.kind, r.id); err != nil {
		return err
	}
	if _, err := x.tx.Exec(`DELETE FROM associations WHERE (deal = ? AND ? = 'deals') OR (contact = ? AND ? = 'contacts')`, r.id, r.kind, r.id, r.kind); err != nil {
		return err
	}
	if err := x.save(r); err != nil {
		return err
	}
	if err := x.announceLater(r, change{what: "deletion", flag: "DELETED"}); err != nil {
		return err
	}
	return x.log(r, x.server.noun(r)+" deleted")
}

// tie associates a deal with a contact, once.
func (x *session) tie(deal, contact *record) error {
	result, err := x.tx.Exec(`INSERT OR IGNORE INTO associations (deal, contact) VALUES (?, ?)`, deal.id, contact.id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return x.log(deal, x.server.noun(deal)+" tied to contact "+strconv.FormatInt(contact.id, 10))
}

// tied returns the ids of the records that a record is associated with.
func (x *session) tied(r *record) ([]int64, error) {
	query := `SELECT contact FROM associations WHERE deal = ? ORDER BY contact`
	if r.kind == contacts {
		query = `SELECT deal FROM associations WHERE contact = ? ORDER BY deal`
	}
	rows, err := x.tx.Query(query, r.id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// log writes the ledger.
func (x *session) log(r *record, detail string) error {
	x.touched = append(x.touched, r)
	of := r.order()
	if of == "" {
		of = x.order
	}
	return x.server.frame.Append(x.tx, simulator.Entry{
		Kind: x.entry, Operation: x.operation, Order: of, Key: r.reference(),
		Record: strconv.FormatInt(r.id, 10), Amount: r.minor(), Detail: detail,
	})
}
