package payment

import (
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// kinds are the records that can be listed, by their place in the path.
var kinds = map[string]string{
	"payment_intents": "payment_intent", "refunds": "refund", "events": "event", "charges": "charge", "disputes": "dispute", "reviews": "review",
	"customers": "customer",
}

// filters are the parameters that a list takes beside those of every list.
var filters = map[string][]string{
	"payment_intents": {"customer"}, "refunds": {"charge", "payment_intent"}, "events": {"type", "types", "delivery_success"},
	"charges": {"customer", "payment_intent"}, "disputes": {"charge", "payment_intent"}, "reviews": {},
	"customers": {"email"},
}

func retrieve(path, id string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		if e := p.allow("expand"); e != nil {
			return nil, e
		}
		record, err := get[json.RawMessage](w, kinds[path], id)
		switch {
		case err != nil:
			return nil, internal(err)
		case p.fault == simulator.Foreign && path == "payment_intents":
			return w.render(w.stranger(), p)
		case record == nil:
			return nil, missing(kinds[path], id)
		}
		return w.render(record, p)
	}
}

// listed is one row of a list.
type listed struct{ id, intent, doc string }

func listRecords(path string) func(*world, *params) (any, *apiError) {
	return func(w *world, p *params) (any, *apiError) {
		names := append([]string{"limit", "starting_after", "ending_before", "expand", "created", "created[gte]", "created[gt]", "created[lt]", "created[lte]"}, filters[path]...)
		if e := p.allow(names...); e != nil {
			return nil, e
		}
		limit, e := p.amount("limit", ptr(10))
		if e != nil {
			return nil, e
		}
		if limit < 1 || limit > 100 {
			return nil, invalidRequest("", "limit", "Invalid limit: must be between 1 and 100.")
		}
		if p.fault == simulator.Foreign {
			return w.foreignList(path), nil
		}
		rows, e := w.rows(path, p, limit+1)
		if e != nil {
			return nil, e
		}
		rows = omit(rows, p.fault)
		more := int64(len(rows)) > limit
		if more {
			rows = rows[:limit]
		}
		data := make([]any, 0, len(rows))
		for _, r := range rows {
			v, e := w.render(json.RawMessage(r.doc), p.of("data."))
			if e != nil {
				return nil, e
			}
			data = append(data, v)
		}
		return map[string]any{"object": "list", "url": "/v1/" + path, "has_more": more, "data": data}, nil
	}
}

func ptr(n int64) *int64 { return &n }

// omit carries out the faults of listings: the newest payment is left out, or
// everything is.
func omit(rows []listed, fault simulator.FaultKind) []listed {
	switch {
	case fault == simulator.EmptyList:
		return nil
	case fault == simulator.NotListed && len(rows) > 0:
		newest := rows[0].intent
		return slices.DeleteFunc(rows, func(r listed) bool { return r.intent == newest })
	}
	return rows
}

// rows are the first records of a list, newest first.
func (w *world) rows(path string, p *params, most int64) ([]listed, *apiError) {
	from, to, e := p.window()
	if e != nil {
		return nil, e
	}
	types := p.values("types")
	if t := p.form.Get("type"); t != "" {
		types = append(types, t)
	}
	if len(types) > 20 {
		return nil, invalidRequest("", "types", "You may pass at most 20 types.")
	}
	q, where := `SELECT id, intent, doc FROM objects`, ` WHERE kind = ? AND created >= ?`
	args := []any{kinds[path], from}
	if intent := p.form.Get("payment_intent"); intent != "" {
		// SQLite would walk all of the kind by its time for the order's sake.
		q, where, args = q+` INDEXED BY objects_intent`, where+` AND intent = ?`, append(args, intent)
	}
	q += where
	paged := false
	if cursor := p.form.Get("starting_after"); cursor != "" {
		var created, seq int64
		err := w.tx.QueryRow(`SELECT created, seq FROM objects WHERE id = ? AND kind = ?`, cursor, kinds[path]).Scan(&created, &seq)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, invalidRequest("resource_missing", "starting_after", "No such "+kinds[path]+": '"+cursor+"'")
		}
		if err != nil {
			return nil, internal(err)
		}
		if created < to { // the one bound by which SQLite goes to the page, and not past all before it
			q, args, paged = q+` AND (created, seq) < (?, ?)`, append(args, created, seq), true
		}
	}
	if !paged {
		q, args = q+` AND created < ?`, append(args, to)
	}
	if len(types) > 0 {
		q += ` AND (type GLOB ?` + strings.Repeat(` OR type GLOB ?`, len(types)-1) + `)`
		for _, t := range types {
			args = append(args, t)
		}
	}
	q += ` ORDER BY created DESC, seq DESC`
	if p.fault != simulator.NotListed {
		q, args = q+` LIMIT ?`, append(args, most)
	}
	return w.scan(q, args)
}

func (w *world) scan(q string, args []any) ([]listed, *apiError) {
	rows, err := w.tx.Query(q, args...)
	if err != nil {
		return nil, internal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []listed
	for rows.Next() {
		var r listed
		if err := rows.Scan(&r.id, &r.intent, &r.doc); err != nil {
			return nil, internal(err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, internal(err)
	}
	return all, nil
}

// window reads the range of creation times, [from, to).
func (p *params) window() (from, to int64, e *apiError) {
	from, to = 0, int64(1)<<62
	for _, bound := range []struct {
		name string
		set  func(n int64)
	}{
		{"created[gte]", func(n int64) { from = max(from, n) }}, {"created[gt]", func(n int64) { from = max(from, n+1) }},
		{"created[lt]", func(n int64) { to = min(to, n) }}, {"created[lte]", func(n int64) { to = min(to, n+1) }},
	} {
		if !p.has(bound.name) {
			continue
		}
		n, err := strconv.ParseInt(p.form.Get(bound.name), 10, 64)
		if err != nil {
			return 0, 0, invalidRequest("parameter_invalid_integer", bound.name, "Invalid timestamp")
		}
		bound.set(n)
	}
	return from, to, nil
}

// foreignList is a list of somebody else's records, of the other mode.
func (w *world) foreignList(path string) any {
	pi := w.stranger()
	pi.Livemode = !pi.Livemode
	var record any = pi
	switch path {
	case "events":
		record = &event{ID: "evt_99999999999999", Object: "event", APIVersion: apiVersion, Created: w.now(),
			Data: eventData{Object: pi}, Livemode: pi.Livemode, Type: "payment_intent.succeeded"}
	case "refunds":
		record = &refund{ID: "re_99999999999999", Object: "refund", Amount: 100, Created: w.now(), Currency: "eur", PaymentIntent: pi.ID, Status: "succeeded"}
	case "disputes":
		record = &dispute{ID: "du_99999999999999", Object: "dispute", Amount: 100, Created: w.now(), Currency: "eur", PaymentIntent: pi.ID, Status: "lost"}
	}
	return map[string]any{"object": "list", "url": "/v1/" + path, "has_more": false, "data": []any{record}}
}

// of are the parameters as they apply to a part of the answer: "data.review"
// of a list is "review" of each of its records.
func (p *params) of(prefix string) *params {
	part := &params{form: map[string][]string{}, fault: p.fault}
	for _, v := range p.values("expand") {
		if rest, ok := strings.CutPrefix(v, prefix); ok {
			part.form.Add("expand[]", rest)
		}
	}
	return part
}

// expandable are the references that can be expanded, and to which kind.
var expandable = map[string]string{"latest_charge": "charge", "review": "review", "payment_intent": "payment_intent", "charge": "charge"}

// render is a record as it is answered, with what is to be expanded.
func (w *world) render(record any, p *params) (any, *apiError) {
	doc, err := json.Marshal(record)
	if err != nil {
		return nil, internal(err)
	}
	wanted := p.values("expand")
	if len(wanted) == 0 {
		return json.RawMessage(doc), nil
	}
	fields := map[string]any{}
	if err := json.Unmarshal(doc, &fields); err != nil {
		return nil, internal(err)
	}
	for _, name := range wanted {
		kind, ok := expandable[name]
		if _, present := fields[name]; !ok || !present {
			return nil, invalidRequest("", "expand", "This property cannot be expanded ("+name+").")
		}
		id, ok := fields[name].(string)
		if !ok {
			continue
		}
		whole, err := get[json.RawMessage](w, kind, id)
		if err != nil {
			return nil, internal(err)
		}
		if whole != nil {
			fields[name] = whole
		}
	}
	return fields, nil
}
