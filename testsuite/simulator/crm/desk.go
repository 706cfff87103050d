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

// State is what the account holds, in HubSpot's own terms.
type State struct {
	Contacts []Record `json:"contacts"`
	Deals    []Record `json:"deals"` // of orders
	Carts    []Record `json:"carts"` // abandoned ones that nobody closed
}

// Record is one contact or deal. Revenue and Stage are a deal's, in minor units
// and our words.
type Record struct {
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties"`
	Created    time.Time         `json:"created"`
	Modified   time.Time         `json:"modified"`
	Tied       []string          `json:"tied,omitempty"` // ids of a deal's contacts, or of a contact's deals
	Stage      string            `json:"stage,omitempty"`
	Revenue    int64             `json:"revenue,omitempty"`
}

// State returns what the account holds of an order, and of its customer: the
// contacts that its deal is tied to and the abandoned carts of those. Of all
// when it is empty.
func (s *Server) State(of order.ID) (any, error) { return s.Read(of) }

// Read is State with its type.
func (s *Server) Read(of order.ID) (State, error) {
	var state State
	err := s.frame.View(func(tx *sql.Tx) error {
		x := &session{server: s, tx: tx}
		all, err := x.all(deals)
		if err != nil {
			return err
		}
		customers := map[int64]bool{}
		for _, r := range all {
			if r.order() == "" || of != "" && r.order() != of {
				continue
			}
			if err := x.add(&state.Deals, r, customers); err != nil {
				return err
			}
		}
		people, err := x.all(contacts)
		if err != nil {
			return err
		}
		for _, r := range people {
			if of != "" && !customers[r.id] {
				continue
			}
			if err := x.add(&state.Contacts, r, nil); err != nil {
				return err
			}
		}
		return x.addCarts(&state, all, of, customers)
	})
	if err != nil {
		return State{}, fmt.Errorf("read the simulated crm: %w", err)
	}
	return state, nil
}

// Customer returns what the account holds of a customer, whether or not an order
// names it: the contact with the id, the contact with the e-mail if that is
// another one, and their abandoned carts.
func (s *Server) Customer(id, email string) (State, error) {
	var state State
	err := s.frame.View(func(tx *sql.Tx) error {
		x := &session{server: s, tx: tx}
		customers := map[int64]bool{}
		for _, by := range [][2]string{{"trueup_customer_id", id}, {"email", email}} {
			if by[1] == "" {
				continue
			}
			r, err := x.by(contacts, by[0], by[1])
			if err != nil {
				return err
			}
			if r == nil || customers[r.id] {
				continue
			}
			customers[r.id] = true
			if err := x.add(&state.Contacts, r, nil); err != nil {
				return err
			}
		}
		all, err := x.all(deals)
		if err != nil {
			return err
		}
		return x.addCarts(&state, all, "-", customers)
	})
	if err != nil {
		return State{}, fmt.Errorf("read a customer of the simulated crm: %w", err)
	}
	return state, nil
}

// addCarts adds the abandoned carts of these customers, of all when no order is
// named.
func (x *session) addCarts(state *State, all []*record, of order.ID, customers map[int64]bool) error {
	for _, r := range all {
		if r.get("dealstage") != x.server.settings.AbandonedStage {
			continue
		}
		ids, err := x.tied(r)
		if err != nil {
			return err
		}
		if of != "" && !slices.ContainsFunc(ids, func(id int64) bool { return customers[id] }) {
			continue
		}
		if err := x.add(&state.Carts, r, nil); err != nil {
			return err
		}
	}
	return nil
}

// add appends a record as a person sees it, and notes whom it is tied to.
func (x *session) add(to *[]Record, r *record, ties map[int64]bool) error {
	ids, err := x.tied(r)
	if err != nil {
		return err
	}
	shown := Record{ID: strconv.FormatInt(r.id, 10), Properties: r.properties, Created: r.created, Modified: r.modified}
	for _, id := range ids {
		shown.Tied = append(shown.Tied, strconv.FormatInt(id, 10))
		if ties != nil {
			ties[id] = true
		}
	}
	if r.kind == deals {
		shown.Revenue, shown.Stage = r.minor(), x.server.word(r.get("dealstage"))
	}
	*to = append(*to, shown)
	return nil
}

// word is our word for a stage, and stage the account's for a word.
func (s *Server) word(stage string) string {
	switch stage {
	case s.settings.WonStage:
		return "won"
	case s.settings.LostStage:
		return "lost"
	case s.settings.AbandonedStage:
		return "abandoned"
	}
	return "open"
}

func (s *Server) stage(word string) string {
	switch word {
	case "won":
		return s.settings.WonStage
	case "lost":
		return s.settings.LostStage
	case "abandoned":
		return s.settings.AbandonedStage
	case "open":
		return s.settings.OpenStage
	}
	return word
}

// AddContact adds a contact by hand.
func (s *Server) AddContact(c Contact) error {
	_, err := s.desk(func(x *session) error {
		_, err := x.addContact(c)
		return err
	})
	return err
}

// AddCart adds an abandoned cart, as the shop would.
func (s *Server) AddCart(c Cart) error {
	_, err := s.desk(func(x *session) error { return x.addCart(c) })
	return err
}

func (x *session) addContact(c Contact) (*record, error) {
	values := map[string]string{"email": c.Email, "phone": c.Phone, "trueup_customer_id": c.Customer}
	values["firstname"], values["lastname"], _ = strings.Cut(c.Name, " ")
	if c.OptedOut {
		values["hs_email_optout"] = "true"
	}
	for name, v := range values {
		if v == "" {
			delete(values, name)
		}
	}
	clean, err := x.validate(contacts, values)
	if err != nil {
		return nil, err
	}
	return x.make(contacts, clean)
}

// customer returns the contact of a customer, else that of an e-mail, nil when
// there is neither.
func (x *session) customer(id, email string) (*record, error) {
	if id != "" {
		if r, err := x.by(contacts, "trueup_customer_id", id); r != nil || err != nil {
			return r, err
		}
	}
	if email == "" {
		return nil, nil
	}
	return x.by(contacts, "email", email)
}

func (x *session) addCart(c Cart) error {
	currency := c.Currency
	if currency == "" {
		currency = "EUR"
	}
	values := map[string]string{
		"dealname": "Abandoned cart", "pipeline": x.server.settings.Pipeline, "dealstage": x.server.settings.AbandonedStage,
		"amount": order.FormatMinor(c.Revenue, currency), "deal_currency_code": string(currency),
	}
	if c.Cart != "" {
		values["trueup_cart_id"] = c.Cart
	}
	clean, err := x.validate(deals, values)
	if err != nil {
		return err
	}
	cart, err := x.make(deals, clean)
	if err != nil || c.Customer == "" && c.Email == "" {
		return err
	}
	contact, err := x.customer(c.Customer, c.Email)
	if err == nil && contact == nil {
		contact, err = x.addContact(Contact{Customer: c.Customer, Email: c.Email})
	}
	if err != nil {
		return err
	}
	return x.tie(cart, contact)
}

// edit is what a person may do. Order, Customer or Email say to which record,
// which is made when it is not there.
type edit struct {
	System   string   `json:"system"` // "crm", or left out
	Reason   string   `json:"reason"`
	Order    order.ID `json:"order"`
	Customer string   `json:"customer"`

	// Of the order's deal.
	Stage    string `json:"stage"` // open, won, lost, abandoned, or a stage of the account
	Won      *int   `json:"won"`   // 1: won; 0: not won any more
	Lost     *int   `json:"lost"`
	Revenue  *int64 `json:"revenue"`
	Currency string `json:"currency"`

	// Of the customer's contact.
	Email    *string `json:"email"`
	Name     *string `json:"name"`
	Phone    *string `json:"phone"`
	OptedOut *bool   `json:"opted_out"`
	Contacts *int    `json:"contacts"` // 0 deletes it, 1 makes it, more are doubles of it
	Merge    string  `json:"merge"`    // merges the contact of this customer, or with this id or e-mail, into it

	// Cart adds an abandoned cart with this id; CartsAbandoned makes so many of
	// the customer, or closes them.
	Cart           string `json:"cart"`
	CartsAbandoned *int   `json:"carts_abandoned"`

	// Delete is "deal" or "contact". Properties are HubSpot's own, of the deal
	// when an order is named and else of the contact.
	Delete     string            `json:"delete"`
	Properties map[string]string `json:"properties"`
}

// Edit changes records as a person in HubSpot would.
func (s *Server) Edit(in json.RawMessage) error {
	var e edit
	if err := strict(in, &e); err != nil {
		return fmt.Errorf("edit the simulated crm: %w", err)
	}
	if e.System != "" && e.System != string(order.SystemCRM) {
		return fmt.Errorf("edit the simulated crm: this is not %q", e.System)
	}
	_, err := s.desk(func(x *session) error {
		x.order = e.Order
		return x.edit(e)
	})
	if err != nil {
		return fmt.Errorf("edit the simulated crm: %w", err)
	}
	return nil
}

func (x *session) edit(e edit) error {
	var deal *record
	var err error
	if e.Order != "" {
		if deal, err = x.editDeal(e); err != nil {
			return err
		}
	}
	contact, err := x.contactOf(e, deal)
	if err != nil {
		return err
	}
	if contact, err = x.editContact(e, contact); err != nil {
		return err
	}
	if deal != nil && contact != nil && !contact.archived && !deal.archived {
		if err := x.tie(deal, contact); err != nil {
			return err
		}
	}
	if e.Cart != "" {
		email := ""
		if e.Email != nil {
			email = *e.Email
		}
		if contact != nil && contact.get("email") != "" {
			email = contact.get("email")
		}
		if err := x.addCart(Cart{Cart: e.Cart, Customer: e.Customer, Email: email}); err != nil {
			return err
		}
	}
	if e.CartsAbandoned != nil {
		return x.editCarts(*e.CartsAbandoned, e.Customer, contact)
	}
	return nil
}

// editDeal changes the order's deal, or makes it when the edit is about a deal.
func (x *session) editDeal(e edit) (*record, error) {
	deal, err := x.by(deals, "trueup_order_id", string(e.Order))
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name, v := range e.Properties {
		values[name] = v
	}
	if e.Currency != "" {
		values["deal_currency_code"] = e.Currency
	}
	if e.Revenue != nil {
		c := order.Currency(e.Currency)
		if c == "" && deal != nil {
			c = currencyOf(deal)
		}
		if c == "" {
			c = "EUR"
		}
		values["amount"] = order.FormatMinor(*e.Revenue, c)
	}
	if word := stageWord(e); word != "" {
		values["dealstage"] = x.server.stage(word)
	}
	if len(values) == 0 && e.Delete != "deal" {
		return deal, nil
	}
	if deal == nil {
		if e.Delete == "deal" {
			return nil, fmt.Errorf("deal of order %s: %w", e.Order, simulator.ErrNoRecord)
		}
		values["trueup_order_id"], values["dealname"], values["pipeline"] = string(e.Order), "Order "+string(e.Order), x.server.settings.Pipeline
		if values["dealstage"] == "" {
			values["dealstage"] = x.server.settings.OpenStage
		}
	}
	clean, err := x.validate(deals, values)
	if err != nil {
		return nil, err
	}
	if deal == nil {
		return x.make(deals, clean)
	}
	if err := x.change(deal, clean); err != nil {
		return nil, err
	}
	if e.Delete == "deal" {
		return deal, x.archive(deal)
	}
	return deal, nil
}

func stageWord(e edit) string {
	switch {
	case e.Stage != "":
		return e.Stage
	case e.Won != nil && *e.Won > 0:
		return "won"
	case e.Lost != nil && *e.Lost > 0:
		return "lost"
	case e.Won != nil || e.Lost != nil:
		return "open"
	}
	return ""
}

// contactOf returns the contact that an edit is about.
func (x *session) contactOf(e edit, deal *record) (*record, error) {
	if e.Customer != "" {
		return x.by(contacts, "trueup_customer_id", e.Customer)
	}
	if deal != nil {
		ids, err := x.tied(deal)
		if err != nil || len(ids) == 0 {
			return nil, err
		}
		return x.load(contacts, ids[0])
	}
	if e.Email != nil && e.Order == "" {
		return x.by(contacts, "email", *e.Email)
	}
	return nil, nil
}

func (e edit) ofContact() bool {
	return e.Email != nil || e.Name != nil || e.Phone != nil || e.OptedOut != nil || e.Merge != "" ||
		e.Contacts != nil || e.Delete == "contact" || e.Order == "" && len(e.Properties) > 0
}

// editContact changes the contact, or makes it.
func (x *session) editContact(e edit, contact *record) (*record, error) {
	if !e.ofContact() {
		return contact, nil
	}
	if e.Delete == "contact" || e.Contacts != nil && *e.Contacts == 0 {
		if contact == nil {
			return nil, fmt.Errorf("contact: %w", simulator.ErrNoRecord)
		}
		return contact, x.archive(contact)
	}
	values := map[string]string{}
	if e.Order == "" {
		for name, v := range e.Properties {
			values[name] = v
		}
	}
	if e.Email != nil {
		values["email"] = *e.Email
	}
	if e.Phone != nil {
		values["phone"] = *e.Phone
	}
	if e.Name != nil {
		values["firstname"], values["lastname"], _ = strings.Cut(*e.Name, " ")
	}
	if e.OptedOut != nil {
		values["hs_email_optout"] = strconv.FormatBool(*e.OptedOut)
	}
	if contact == nil && e.Customer != "" {
		values["trueup_customer_id"] = e.Customer
	}
	clean, err := x.validate(contacts, values)
	if err != nil {
		return nil, err
	}
	if contact == nil {
		contact, err = x.make(contacts, clean)
	} else {
		err = x.change(contact, clean)
	}
	if err == nil && e.Contacts != nil {
		err = x.double(contact, *e.Contacts-1)
	}
	if err != nil || e.Merge == "" {
		return contact, err
	}
	return x.merge(contact, e.Merge)
}

// double makes further contacts of the same person. HubSpot keeps one contact with
// a customer id or an e-mail, so that doubles have neither of the two: they are
// tied to the same deals.
func (x *session) double(contact *record, n int) error {
	ties, err := x.tied(contact)
	if err != nil {
		return err
	}
	for i := range n {
		double, err := x.addContact(Contact{Name: contact.get("firstname") + " " + contact.get("lastname"), Email: fmt.Sprintf("double-%d-%s", i+1, contact.get("email"))})
		if err != nil {
			return err
		}
		for _, id := range ties {
			deal, err := x.load(deals, id)
			if err != nil || deal == nil {
				return err
			}
			if err := x.tie(deal, double); err != nil {
				return err
			}
		}
	}
	return nil
}

// merge merges another contact into one, as HubSpot does since 2025: what is left
// is a new record with an id of its own, to which both old ids lead. It has what
// the one had and, where that was empty, what the other had; the other's e-mail
// becomes a further one, its other unique values are free again.
func (x *session) merge(into *record, other string) (*record, error) {
	from, err := x.customer(other, other)
	if err != nil {
		return nil, err
	}
	if id, err := strconv.ParseInt(other, 10, 64); from == nil && err == nil {
		if from, err = x.load(contacts, id); err != nil {
			return nil, err
		}
	}
	if from == nil || from.archived || from.id == into.id {
		return nil, fmt.Errorf("contact %q to merge: %w", other, simulator.ErrNoRecord)
	}
	if _, err := x.tx.Exec(`DELETE FROM uniques WHERE kind = 'contacts' AND id IN (?, ?)`, into.id, from.id); err != nil {
		return nil, err
	}
	announced := len(x.changes)
	left, err := x.make(contacts, merged(into, from))
	if err != nil {
		return nil, err
	}
	x.changes = x.changes[:announced] // a merge is announced as a merge alone
	if email := from.get("email"); email != "" && into.get("email") != "" {
		if _, err := x.tx.Exec(`INSERT INTO uniques (kind, property, value, id) VALUES ('contacts', 'email', ?, ?)`, email, left.id); err != nil {
			return nil, err
		}
	}
	for _, was := range []*record{into, from} {
		if err := x.leadTo(left, was); err != nil {
			return nil, err
		}
	}
	if err := x.announceLater(left, change{what: "merge", primary: into.id, merged: []int64{from.id}}); err != nil {
		return nil, err
	}
	return left, x.log(left, fmt.Sprintf("contacts %d and %d merged into it", into.id, from.id))
}

// merged returns the properties of what is left of two contacts.
func merged(into, from *record) map[string]string {
	values := maps.Clone(into.properties)
	for name, v := range from.properties {
		if values[name] == "" {
			values[name] = v
		}
	}
	ids := join(into.get("hs_merged_object_ids"), from.get("hs_merged_object_ids"))
	values["hs_merged_object_ids"] = join(ids, fmt.Sprintf("%d;%d", into.id, from.id))
	emails := join(into.get("hs_additional_emails"), from.get("hs_additional_emails"))
	if into.get("email") != "" {
		emails = join(emails, from.get("email"))
	}
	if emails != "" {
		values["hs_additional_emails"] = emails
	}
	return values
}

// leadTo lets a contact that was merged away lead to the one that is left, with
// its deals.
func (x *session) leadTo(left, was *record) error {
	was.merged, was.archived = left.id, true
	if err := x.save(was); err != nil {
		return err
	}
	if _, err := x.tx.Exec(`INSERT OR IGNORE INTO associations (deal, contact) SELECT deal, ? FROM associations WHERE contact = ?`, left.id, was.id); err != nil {
		return err
	}
	_, err := x.tx.Exec(`DELETE FROM associations WHERE contact = ?`, was.id)
	return err
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ";" + b
}

// editCarts makes or closes abandoned carts until the customer has so many.
func (x *session) editCarts(want int, customer string, contact *record) error {
	var open []*record
	if contact != nil {
		ids, err := x.tied(contact)
		if err != nil {
			return err
		}
		for _, id := range ids {
			r, err := x.load(deals, id)
			if err != nil {
				return err
			}
			if r != nil && !r.archived && r.get("dealstage") == x.server.settings.AbandonedStage {
				open = append(open, r)
			}
		}
	}
	for len(open) > max(0, want) {
		last := open[len(open)-1]
		open = open[:len(open)-1]
		if err := x.change(last, map[string]string{"dealstage": x.server.settings.LostStage}); err != nil {
			return err
		}
	}
	for n := len(open); n < want; n++ {
		c := Cart{Customer: customer}
		if contact != nil {
			c.Customer, c.Email = contact.get("trueup_customer_id"), contact.get("email")
		}
		if c.Customer == "" && c.Email == "" {
			return errors.New("carts_abandoned: whose? name a customer, or an order whose deal has a contact")
		}
		if err := x.addCart(c); err != nil {
			return err
		}
	}
	return nil
}

// event is a webhook that a test or a person sends.
type event struct {
	From     string   `json:"from"` // "crm", or left out
	Type     string   `json:"type"` // as "deal.propertyChange", which is the default
	Order    order.ID `json:"order"`
	Customer string   `json:"customer"`
	Object   int64    `json:"object"` // a record that need not be there
	Property string   `json:"property"`
	Copies   int      `json:"copies"`
	Attempt  int      `json:"attempt"` // ignored: HubSpot has no attempts to pay
	Forged   bool     `json:"forged"`
	Account  string   `json:"account"` // another account's number
	SameID   bool     `json:"same_id"`
}

// Event sends a webhook without any record having changed.
func (s *Server) Event(in json.RawMessage) error {
	var e event
	if err := strict(in, &e); err != nil {
		return fmt.Errorf("event of the simulated crm: %w", err)
	}
	kind, what, ok := strings.Cut(e.Type, ".")
	if e.Type == "" {
		kind, what, ok = "deal", "propertyChange", true
	}
	if !ok || kind != "deal" && kind != "contact" {
		return fmt.Errorf("event of the simulated crm: type %q is none of HubSpot's about deals or contacts", e.Type)
	}
	c := change{what: what, kind: kind + "s", order: e.Order, object: e.Object, property: e.Property, source: "CRM_UI", at: s.frame.Now(), portal: s.settings.Portal}
	if c.property == "" && what == "propertyChange" {
		c.property = map[string]string{deals: "dealstage", contacts: "email"}[c.kind]
	}
	if e.Account != "" {
		portal, err := strconv.ParseInt(e.Account, 10, 64)
		if err != nil {
			return fmt.Errorf("event of the simulated crm: account %q is no number", e.Account)
		}
		c.portal = portal
	}
	if err := s.frame.Update(func(tx *sql.Tx) error { return (&session{server: s, tx: tx}).aim(&c, e) }); err != nil {
		return fmt.Errorf("event of the simulated crm: %w", err)
	}
	secret := s.secret
	if e.Forged {
		secret = "forged-" + secret
	}
	s.frame.Send(s.notification([]change{c}, secret), e.Copies)
	return nil
}

// aim finds the record that an event is about, and numbers the event.
func (x *session) aim(c *change, e event) error {
	deal, err := x.by(deals, "trueup_order_id", string(e.Order))
	if err != nil {
		return err
	}
	switch {
	case c.object != 0:
	case c.kind == deals && deal != nil:
		c.object = deal.id
		if c.property != "" {
			c.value = deal.get(c.property)
		}
	case c.kind == contacts:
		contact, err := x.contactOf(edit{Order: e.Order, Customer: e.Customer}, deal)
		if err != nil {
			return err
		}
		if contact != nil {
			c.object = contact.id
		}
	}
	if c.object == 0 {
		return fmt.Errorf("record of order %q or customer %q: %w", e.Order, e.Customer, simulator.ErrNoRecord)
	}
	if e.SameID {
		if found, err := x.again(c); found || err != nil {
			return err
		}
	}
	if c.event, err = x.count("events", 100); err != nil {
		return err
	}
	return x.remember(*c)
}
