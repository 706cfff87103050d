package crm

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// wire is a record as the API gives it.
type wire struct {
	ID         string             `json:"id"`
	Properties map[string]*string `json:"properties"`
	CreatedAt  string             `json:"createdAt"`
	UpdatedAt  string             `json:"updatedAt"`
	Archived   bool               `json:"archived"`
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// value returns a property's value, also of those that every record has.
func (r *record) value(name string) (string, bool) {
	switch name {
	case "hs_object_id":
		return strconv.FormatInt(r.id, 10), true
	case "createdate":
		return stamp(r.created), true
	case "lastmodifieddate":
		return stamp(r.modified), r.kind == contacts
	case "hs_lastmodifieddate":
		return stamp(r.modified), r.kind == deals
	}
	v, ok := r.properties[name]
	return v, ok
}

// show gives a record with the properties asked for: null where it has none,
// left out where there is no such property. None asked for: HubSpot's choice.
func (x *session) show(r *record, asked []string) (wire, error) {
	if len(asked) == 0 {
		asked = strings.Fields("email firstname lastname")
		if r.kind == deals {
			asked = strings.Fields("amount closedate dealname dealstage pipeline")
		}
	}
	last := map[string]string{contacts: "lastmodifieddate", deals: "hs_lastmodifieddate"}[r.kind]
	shown := wire{
		ID: strconv.FormatInt(r.id, 10), Properties: map[string]*string{}, Archived: r.archived,
		CreatedAt: stamp(r.created), UpdatedAt: stamp(r.modified),
	}
	for _, name := range append([]string{"hs_object_id", "createdate", last}, asked...) {
		d, err := x.definition(r.kind, name)
		if err != nil {
			return wire{}, err
		}
		if d == nil {
			continue
		}
		shown.Properties[name] = nil
		if v, ok := r.value(name); ok {
			shown.Properties[name] = &v
		}
	}
	return shown, nil
}

// showAll gives a record as a write answers: with all that it has.
func (x *session) showAll(r *record) (wire, error) {
	var names []string
	for name := range r.properties {
		names = append(names, name)
	}
	return x.show(r, names)
}

// foreign is a well-formed record of somebody else.
func foreign(kind string) wire {
	text := func(s string) *string { return &s }
	w := wire{
		ID: "999999999", CreatedAt: "2020-01-01T00:00:00.000Z", UpdatedAt: "2020-01-01T00:00:00.000Z",
		Properties: map[string]*string{"hs_object_id": text("999999999"), "createdate": text("2020-01-01T00:00:00.000Z")},
	}
	if kind == deals {
		w.Properties["trueup_order_id"], w.Properties["dealstage"] = text("somebody-elses"), text("closedwon")
		w.Properties["amount"], w.Properties["deal_currency_code"] = text("1.00"), text("EUR")
	} else {
		w.Properties["trueup_customer_id"], w.Properties["email"] = text("somebody-else"), text("somebody.else@example.com")
	}
	return w
}

// strict decodes one JSON value and refuses fields that it does not know.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON")
	}
	return nil
}

func split(list []string) []string {
	var all []string
	for _, l := range list {
		for name := range strings.SplitSeq(l, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// address is how a request names one record.
type address struct {
	kind, id, property string
}

func addressOf(r *http.Request) (address, error) {
	kind, err := kindOf(r, "kind")
	return address{kind, r.PathValue("id"), r.URL.Query().Get("idProperty")}, err
}

// at returns the record at an address, archived or not as asked.
func (x *session) at(a address, archived bool) (*record, error) {
	if a.property != "" {
		d, err := x.definition(a.kind, a.property)
		if err != nil {
			return nil, err
		}
		if d == nil || !d.Unique {
			return nil, malformed("Property " + a.property + " is not a unique property of " + a.kind)
		}
		r, err := x.by(a.kind, a.property, a.id)
		if err == nil && (r == nil || archived) {
			err = notFound()
		}
		return r, err
	}
	id, err := strconv.ParseInt(a.id, 10, 64)
	if err != nil {
		return nil, notFound()
	}
	r, err := x.load(a.kind, id)
	if err == nil && (r == nil || r.archived != archived) {
		err = notFound()
	}
	return r, err
}

// about returns the order that a record at an address names, for the ledger and
// for faults of one order.
func (s *Server) about(a address) order.ID {
	if a.kind != deals {
		return ""
	}
	if a.property == "trueup_order_id" {
		return order.ID(a.id)
	}
	var of order.ID
	_ = s.frame.View(func(tx *sql.Tx) error {
		x := &session{server: s, tx: tx}
		if r, err := x.at(a, false); err == nil {
			of = r.order()
		}
		return nil
	})
	return of
}

func (s *Server) getObject(w http.ResponseWriter, r *http.Request) {
	a, problem := addressOf(r)
	query := r.URL.Query()
	archived := query.Get("archived") == "true"
	key := ""
	if a.property != "email" {
		key = a.id
	}
	c := simulator.Call{Operation: lookup, Order: s.about(a), Key: key, Detail: strings.TrimSuffix(a.kind, "s") + " read"}
	s.act(w, r, c, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		if x.kind == simulator.Foreign {
			return http.StatusOK, foreign(a.kind), nil
		}
		found, err := x.at(a, archived)
		if err != nil {
			return 0, nil, err
		}
		shown, err := x.show(found, split(query["properties"]))
		return http.StatusOK, shown, err
	})
}

// input is the body of a create or change.
type input struct {
	Properties   map[string]string `json:"properties"`
	Associations []struct {
		To struct {
			ID string `json:"id"`
		} `json:"to"`
		Types []struct {
			Category string `json:"associationCategory"`
			Type     int    `json:"associationTypeId"`
		} `json:"types"`
	} `json:"associations"`
	TraceID string `json:"objectWriteTraceId"`
}

func readInput(r *http.Request) (input, error) {
	var in input
	body, err := simulator.ReadBody(r)
	if err == nil {
		err = strict(body, &in)
	}
	if err != nil || in.Properties == nil {
		return in, malformed("Invalid input JSON: properties is a map of strings")
	}
	return in, nil
}

// part is the values under the fault Partial: the wrong amount.
func (x *session) part(values map[string]string) map[string]string {
	amount, has := values["amount"]
	if x.kind != simulator.Partial || !has {
		return values
	}
	wrong := make(map[string]string, len(values))
	for name, v := range values {
		wrong[name] = v
	}
	c := order.Currency(values["deal_currency_code"])
	if c == "" {
		c = "EUR"
	}
	if minor, err := order.ParseMinor(amount, c); err == nil {
		wrong["amount"] = order.FormatMinor(minor/2, c)
	}
	return wrong
}

func (s *Server) postObject(w http.ResponseWriter, r *http.Request) {
	kind, problem := kindOf(r, "kind")
	in, err := readInput(r)
	if problem == nil {
		problem = err
	}
	c := simulator.Call{Operation: order.Upsert, Detail: strings.TrimSuffix(kind, "s") + " create", Key: in.Properties["trueup_customer_id"]}
	if kind == deals {
		c.Order = order.ID(in.Properties["trueup_order_id"])
		c.Key = string(c.Order)
	}
	s.act(w, r, c, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		values, err := x.validate(kind, x.part(in.Properties))
		if err != nil {
			return 0, nil, err
		}
		if kind == deals && values["dealstage"] != "" && values["pipeline"] == "" {
			values["pipeline"] = s.settings.Pipeline
		}
		made, err := x.make(kind, values)
		if err != nil {
			return 0, nil, err
		}
		if err := x.tieAll(made, in); err != nil {
			return 0, nil, err
		}
		shown, err := x.showAll(made)
		return http.StatusCreated, shown, err
	})
}

// tieAll makes the associations that came with a new record.
func (x *session) tieAll(made *record, in input) error {
	for _, a := range in.Associations {
		if made.kind != deals || len(a.Types) != 1 || a.Types[0].Category != "HUBSPOT_DEFINED" || a.Types[0].Type != 3 {
			return malformed("associations: a deal may be associated with contacts by type 3")
		}
		to, err := x.at(address{kind: contacts, id: a.To.ID}, false)
		if err != nil {
			return malformed("associations: no contact " + a.To.ID)
		}
		if err := x.tie(made, to); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) patchObject(w http.ResponseWriter, r *http.Request) {
	a, problem := addressOf(r)
	in, err := readInput(r)
	if problem == nil {
		problem = err
	}
	c := simulator.Call{Operation: order.Upsert, Order: s.about(a), Key: a.id, Detail: strings.TrimSuffix(a.kind, "s") + " change"}
	s.act(w, r, c, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		if len(in.Associations) > 0 {
			return 0, nil, malformed("associations cannot be changed here")
		}
		has, err := x.at(a, false)
		if err != nil {
			return 0, nil, err
		}
		values, err := x.validate(a.kind, x.part(in.Properties))
		if err != nil {
			return 0, nil, err
		}
		if err := x.change(has, values); err != nil {
			return 0, nil, err
		}
		shown, err := x.showAll(has)
		return http.StatusOK, shown, err
	})
}

func (s *Server) readBatch(w http.ResponseWriter, r *http.Request) {
	kind, problem := kindOf(r, "kind")
	var in struct {
		Inputs []struct {
			ID string `json:"id"`
		} `json:"inputs"`
		Properties []string `json:"properties"`
		History    []string `json:"propertiesWithHistory"`
		IDProperty string   `json:"idProperty"`
	}
	body, err := simulator.ReadBody(r)
	if problem == nil && (err != nil || strict(body, &in) != nil || len(in.Inputs) == 0 || len(in.Inputs) > 100) {
		problem = malformed("Invalid input JSON: inputs are 1 to 100 ids")
	}
	c := simulator.Call{Operation: lookup, Detail: strconv.Itoa(len(in.Inputs)) + " " + kind + " read"}
	s.act(w, r, c, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		now := stamp(s.frame.Now())
		answer := map[string]any{"status": "COMPLETE", "startedAt": now, "completedAt": now}
		shown, missing := []wire{}, []string{}
		for _, i := range in.Inputs {
			found, err := x.at(address{kind, i.ID, in.IDProperty}, false)
			if problem, ok := errors.AsType[*refusal](err); ok && problem.status == http.StatusNotFound {
				missing = append(missing, i.ID)
				continue
			}
			if err != nil {
				return 0, nil, err
			}
			one, err := x.show(found, in.Properties)
			if err != nil {
				return 0, nil, err
			}
			shown = append(shown, one)
		}
		answer["results"] = shown
		if len(missing) == 0 {
			return http.StatusOK, answer, nil
		}
		answer["numErrors"] = 1
		answer["errors"] = []map[string]any{{
			"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some " + kind + " objects, they may be deleted or not exist.",
			"context": map[string]any{"ids": missing},
		}}
		return http.StatusMultiStatus, answer, nil
	})
}

func (s *Server) getAssociations(w http.ResponseWriter, r *http.Request) {
	a, problem := addressOf(r)
	to, err := kindOf(r, "to")
	if problem == nil {
		problem = err
	}
	if problem == nil && to == a.kind {
		problem = malformed("Not simulated: associations of " + a.kind + " with " + to)
	}
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > 500 {
		limit = 500
	}
	from, _ := strconv.ParseInt(query.Get("after"), 10, 64)
	c := simulator.Call{Operation: lookup, Order: s.about(a), Key: a.id, Detail: strings.TrimSuffix(a.kind, "s") + "'s associations read"}
	s.act(w, r, c, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		found, err := x.at(a, false)
		if err != nil {
			return 0, nil, err
		}
		ids, err := x.tied(found)
		if err != nil {
			return 0, nil, err
		}
		results := []map[string]any{}
		answer := map[string]any{}
		for _, id := range ids {
			if id <= from {
				continue
			}
			if len(results) == limit {
				answer["paging"] = map[string]any{"next": map[string]any{"after": results[limit-1]["toObjectId"]}}
				break
			}
			number := map[string]int{contacts: 3, deals: 4}[to]
			results = append(results, map[string]any{
				"toObjectId":       strconv.FormatInt(id, 10),
				"associationTypes": []map[string]any{{"category": "HUBSPOT_DEFINED", "typeId": number, "label": nil}},
			})
		}
		answer["results"] = results
		return http.StatusOK, answer, nil
	})
}

func (s *Server) putAssociation(w http.ResponseWriter, r *http.Request) {
	a, problem := addressOf(r)
	to, err := kindOf(r, "to")
	if problem == nil {
		problem = err
	}
	if problem == nil && (a.kind != deals || to != contacts) {
		problem = malformed("Not simulated: associations other than of deals with contacts")
	}
	other := r.PathValue("other")
	c := simulator.Call{Operation: order.Upsert, Order: s.about(a), Key: a.id, Detail: "deal tie to contact"}
	s.act(w, r, c, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		deal, err := x.at(a, false)
		if err != nil {
			return 0, nil, err
		}
		contact, err := x.at(address{kind: contacts, id: other}, false)
		if err != nil {
			return 0, nil, err
		}
		if err := x.tie(deal, contact); err != nil {
			return 0, nil, err
		}
		now := stamp(s.frame.Now())
		pair := func(from, to string, number int) map[string]any {
			return map[string]any{
				"from": map[string]string{"id": from}, "to": map[string]string{"id": to},
				"associationSpec": map[string]any{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number},
			}
		}
		return http.StatusOK, map[string]any{
			"status": "COMPLETE", "startedAt": now, "completedAt": now,
			"results": []map[string]any{pair(a.id, other, 3), pair(other, a.id, 4)},
		}, nil
	})
}
