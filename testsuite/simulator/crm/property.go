package crm

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// definition is one property of a kind of records.
type definition struct {
	Kind string `json:"-"`

	Name        string   `json:"name"`
	Label       string   `json:"label"`
	Description string   `json:"description"`
	Group       string   `json:"groupName"`
	Type        string   `json:"type"`
	Field       string   `json:"fieldType"`
	Unique      bool     `json:"hasUniqueValue"`
	Defined     bool     `json:"hubspotDefined,omitempty"`
	Calculated  bool     `json:"calculated,omitempty"` // and read-only
	Hidden      bool     `json:"hidden"`
	FormField   bool     `json:"formField"`
	Options     []string `json:"options"`
}

// builtin returns HubSpot's own properties, as far as anybody here uses them,
// and ours unless the account is a bare one.
func builtin(bare bool) []definition {
	var all []definition
	add := func(kind, group, names, kindOf string, change func(*definition)) {
		for _, n := range strings.Fields(names) {
			d := definition{Kind: kind, Name: n, Label: n, Group: group, Type: kindOf, Field: "text", Defined: true, Options: []string{}}
			if change != nil {
				change(&d)
			}
			all = append(all, d)
		}
	}
	calculated := func(d *definition) { d.Calculated = true }
	unique := func(d *definition) { d.Unique = true }
	add(contacts, "contactinformation", "firstname lastname phone company address city state zip country lifecyclestage hubspot_owner_id", "string", nil)
	add(contacts, "contactinformation", "email", "string", unique)
	add(contacts, "contactinformation", "hs_email_optout", "bool", nil)
	add(contacts, "contactinformation", "hs_object_id", "number", calculated)
	add(contacts, "contactinformation", "hs_additional_emails hs_merged_object_ids", "string", calculated)
	add(contacts, "contactinformation", "createdate lastmodifieddate", "datetime", calculated)
	add(deals, "dealinformation", "dealname dealstage pipeline deal_currency_code description hubspot_owner_id", "string", nil)
	add(deals, "dealinformation", "amount", "number", nil)
	add(deals, "dealinformation", "closedate", "datetime", nil)
	add(deals, "dealinformation", "hs_object_id", "number", calculated)
	add(deals, "dealinformation", "hs_is_closed hs_is_closed_won", "bool", calculated)
	add(deals, "dealinformation", "hs_merged_object_ids", "string", calculated)
	add(deals, "dealinformation", "createdate hs_lastmodifieddate", "datetime", calculated)
	if bare {
		return all
	}
	own := func(d *definition) { d.Defined = false }
	add(contacts, "contactinformation", "trueup_customer_id", "string", func(d *definition) { own(d); unique(d) })
	add(deals, "dealinformation", "trueup_order_id trueup_cart_id", "string", func(d *definition) { own(d); unique(d) })
	add(deals, "dealinformation", "trueup_from_cart trueup_channel", "string", own)
	return all
}

func (x *session) define(d definition) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	x.server.forget()
	_, err = x.tx.Exec(`INSERT INTO definitions (kind, name, body) VALUES (?,?,?)`, d.Kind, d.Name, body)
	return err
}

// definition returns a property's definition, nil when there is none. All of
// them are kept in memory, for every property of every record that is shown
// asks for its own.
func (x *session) definition(kind, name string) (*definition, error) {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	if x.server.definitions == nil {
		all, err := x.definitions()
		if err != nil {
			return nil, err
		}
		x.server.definitions = all
	}
	return x.server.definitions[kind+"/"+name], nil
}

func (x *session) definitions() (map[string]*definition, error) {
	rows, err := x.tx.Query(`SELECT kind, name, body FROM definitions`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[string]*definition{}
	for rows.Next() {
		var kind, name, body string
		if err := rows.Scan(&kind, &name, &body); err != nil {
			return nil, err
		}
		d := &definition{Kind: kind}
		if err := json.Unmarshal([]byte(body), d); err != nil {
			return nil, err
		}
		all[kind+"/"+name] = d
	}
	return all, rows.Err()
}

// forget lets the definitions be read again.
func (s *Server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.definitions = nil
}

// validate refuses values that HubSpot would refuse, and writes the others as
// it would. All values of a request count, or none.
func (x *session) validate(kind string, values map[string]string) (map[string]string, error) {
	clean := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		d, err := x.definition(kind, name)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, invalid(name, "PROPERTY_DOESNT_EXIST", fmt.Sprintf("Property %q does not exist", name))
		}
		if d.Calculated {
			return nil, invalid(name, "READ_ONLY_VALUE", fmt.Sprintf("%q is a read only property; its value cannot be set.", name))
		}
		v := strings.TrimSpace(values[name])
		if refused := x.refused(d, v, values); refused != nil {
			return nil, refused
		}
		if name == "email" {
			v = strings.ToLower(v)
		}
		clean[name] = v
	}
	return clean, nil
}

// refused says why a value cannot be, or nil.
func (x *session) refused(d *definition, v string, all map[string]string) error {
	if v == "" {
		return nil
	}
	switch {
	case d.Name == "email":
		if a, err := mail.ParseAddress(v); err != nil || a.Address != v {
			return invalid(d.Name, "INVALID_EMAIL", "Email address "+v+" is invalid")
		}
	case d.Type == "number":
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return invalid(d.Name, "INVALID_FLOAT", v+" was not a valid number.")
		}
	case d.Type == "bool" && v != "true" && v != "false":
		return invalid(d.Name, "INVALID_OPTION", v+" was not one of the allowed options: [true, false]")
	case d.Name == "pipeline" && v != x.server.settings.Pipeline:
		return invalid(d.Name, "INVALID_OPTION", v+" was not one of the allowed options")
	case d.Name == "dealstage" && !slices.Contains(x.server.stages(), v):
		return invalid(d.Name, "INVALID_OPTION", v+" was not one of the allowed options")
	case len(v) > 65_536:
		return invalid(d.Name, "PROPERTY_VALUE_TOO_LONG", "too long")
	}
	return nil
}

func (s *Server) stages() []string {
	t := s.settings
	return append([]string{t.OpenStage, t.WonStage, t.LostStage, t.AbandonedStage}, t.MoreStages...)
}

// kindOf returns the kind that a path names, by any of its names.
func kindOf(r *http.Request, segment string) (string, error) {
	switch r.PathValue(segment) {
	case contacts, "contact", "0-1":
		return contacts, nil
	case deals, "deal", "0-3":
		return deals, nil
	}
	return "", malformed("Unable to infer object type from: " + r.PathValue(segment))
}

func (s *Server) getDefinition(w http.ResponseWriter, r *http.Request) {
	kind, problem := kindOf(r, "kind")
	name := r.PathValue("name")
	s.act(w, r, simulator.Call{Operation: settings, Key: name, Detail: "property read"}, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		d, err := x.definition(kind, name)
		if err != nil {
			return 0, nil, err
		}
		if d == nil {
			return 0, nil, &refusal{status: http.StatusNotFound, category: "OBJECT_NOT_FOUND", message: "Property " + name + " does not exist"}
		}
		return http.StatusOK, d, nil
	})
}

func (s *Server) postDefinition(w http.ResponseWriter, r *http.Request) {
	kind, problem := kindOf(r, "kind")
	body, err := simulator.ReadBody(r)
	var d definition
	if problem == nil && (err != nil || strict(body, &d) != nil) {
		problem = malformed("Invalid input JSON")
	}
	if problem == nil && (d.Name == "" || d.Label == "" || d.Group == "" || d.Type == "" || d.Field == "") {
		problem = malformed("name, label, groupName, type and fieldType are required")
	}
	s.act(w, r, simulator.Call{Operation: settings, Key: d.Name, Detail: "property create"}, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		if strings.ContainsFunc(d.Name, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') }) {
			return 0, nil, malformed("Property names contain only lower case letters, digits and underscores")
		}
		has, err := x.definition(kind, d.Name)
		if err != nil {
			return 0, nil, err
		}
		if has != nil {
			return 0, nil, &refusal{status: http.StatusConflict, category: "OBJECT_ALREADY_EXISTS", message: "A property named '" + d.Name + "' already exists."}
		}
		d := d
		d.Kind, d.Defined, d.Calculated = kind, false, false
		if d.Options == nil {
			d.Options = []string{}
		}
		if err := x.define(d); err != nil {
			return 0, nil, err
		}
		return http.StatusCreated, d, s.frame.Append(x.tx, simulator.Entry{
			Kind: simulator.EntryEffect, Operation: settings, Key: d.Name, Detail: "property created",
		})
	})
}
