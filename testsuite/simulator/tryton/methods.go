package tryton

import (
	"fmt"
	"slices"
	"strings"
)

// act carries out a method.
func (m *Model) act(t *Tx, c Call) (any, error) {
	switch c.Method {
	case "search", "search_count", "search_read":
		return m.search(t, c)
	case "read":
		if len(c.Args) < 2 {
			return nil, errNoField
		}
		return m.read(t, c.IDs(), c.Args[1])
	case "create":
		return m.create(t, c)
	}
	for _, id := range c.IDs() {
		r, ok := t.Get(m.Name, id)
		if !ok {
			return nil, m.missing(id)
		}
		stamps, _ := c.Context["_timestamp"].(map[string]any)
		if stamp := Text(stamps[fmt.Sprintf("%s,%d", m.Name, id)]); stamp != "" && c.Method != "read" && stamp != r.Version() {
			return nil, errConcurrency
		}
		if err := m.change(t, c, r); err != nil {
			return nil, err
		}
	}
	return nil, t.err
}

func (m *Model) missing(id int64) error {
	return Refuse("You are not allowed to read records \"%d\" of \"%s\" because of at least one of these rules:\nUser in companies", id, m.Title)
}

func (m *Model) change(t *Tx, c Call, r Record) error {
	switch c.Method {
	case "write":
		if len(c.Args) < 2 {
			return errNoField
		}
		values, _ := c.Args[1].(map[string]any)
		if m.Guard != nil {
			if err := m.Guard(t, r, "write", values); err != nil {
				return err
			}
		}
		if err := m.check(t, values, false); err != nil {
			return err
		}
		t.Set(m.Name, r.ID, values)
		return nil
	case "delete":
		if m.Guard != nil {
			if err := m.Guard(t, r, "delete", nil); err != nil {
				return err
			}
		}
		t.Erase(m.Name, r.ID)
		return nil
	}
	return m.Buttons[c.Method](t, r.ID)
}

func (m *Model) search(t *Tx, c Call) (any, error) {
	arg := func(i int) any {
		if i < len(c.Args) {
			return c.Args[i]
		}
		return nil
	}
	domain, _ := arg(0).([]any)
	page, isWalk, err := t.walk(m, domain, arg)
	if err != nil {
		return nil, err
	}
	if isWalk {
		return m.shown(t, c, page, arg(4))
	}
	found, err := t.Find(m.Name, domain)
	if err != nil {
		return nil, err
	}
	// Tryton shows only active records unless they are asked for.
	if slices.Contains(m.Fields, "active") && !mentions(domain, "active") {
		found = slices.DeleteFunc(found, func(r Record) bool { return r.Values["active"] == false })
	}
	if c.Method == "search_count" {
		return len(found), nil
	}
	if err := t.sort(m, found, arg(3)); err != nil {
		return nil, err
	}
	found = found[min(len(found), int(Int(arg(1)))):]
	if limit := arg(2); limit != nil {
		found = found[:min(len(found), int(Int(limit)))]
	}
	return m.shown(t, c, found, arg(4))
}

// shown answers a search with what it found.
func (m *Model) shown(t *Tx, c Call, found []Record, fields any) (any, error) {
	switch c.Method {
	case "search_count":
		return len(found), nil
	case "search":
		ids := make([]int64, 0, len(found))
		for _, r := range found {
			ids = append(ids, r.ID)
		}
		return ids, nil
	}
	t.Locations = integers(c.Context["locations"])
	return m.rows(t, found, fields)
}

func mentions(v any, field string) bool {
	list, ok := v.([]any)
	if !ok {
		return v == field
	}
	return slices.ContainsFunc(list, func(x any) bool { return mentions(x, field) })
}

func (t *Tx) sort(m *Model, found []Record, by any) error {
	list, _ := by.([]any)
	var failed error
	for _, one := range slices.Backward(list) {
		pair, _ := one.([]any)
		if len(pair) != 2 {
			return fmt.Errorf("order %v is not [field, direction]", one)
		}
		name, direction := Text(pair[0]), Text(pair[1])
		slices.SortStableFunc(found, func(a, b Record) int {
			x, err := t.field(m, a, name)
			y, err2 := t.field(m, b, name)
			if err != nil || err2 != nil {
				failed = fmt.Errorf("'%s'", name)
			}
			n, _ := compare(x, y)
			if strings.HasPrefix(direction, "DESC") {
				return -n
			}
			return n
		})
	}
	return failed
}

func (m *Model) read(t *Tx, ids []int64, fields any) (any, error) {
	var found []Record
	for _, id := range ids {
		r, ok := t.Get(m.Name, id)
		if !ok {
			return nil, m.missing(id)
		}
		found = append(found, r)
	}
	return m.rows(t, found, fields)
}

// rows gives the fields of records. A dotted field comes in an object of its
// own: "party.code" as "party.": {"code": …}.
func (m *Model) rows(t *Tx, found []Record, fields any) (any, error) {
	var names []string
	list, _ := fields.([]any)
	for _, f := range list {
		names = append(names, Text(f))
	}
	rows := []any{}
	for _, r := range found {
		row, err := m.row(t, r, names)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, t.err
}

func (m *Model) row(t *Tx, r Record, names []string) (map[string]any, error) {
	row := map[string]any{"id": r.ID}
	dotted := map[string][]string{}
	for _, name := range names {
		if first, rest, is := strings.Cut(name, "."); is {
			dotted[first] = append(dotted[first], rest)
			continue
		}
		v, err := t.field(m, r, name)
		if err != nil {
			return nil, err
		}
		row[name] = v
	}
	for first, rest := range dotted {
		link, ok := m.Links[first]
		if !ok {
			return nil, fmt.Errorf("'%s'", first)
		}
		row[first+"."] = nil
		id, _ := r.Values[first].(int64)
		target, found := t.Get(link.Model, id)
		if !found {
			continue
		}
		inner, err := t.server.models[link.Model].row(t, target, rest)
		if err != nil {
			return nil, err
		}
		row[first+"."] = inner
	}
	return row, nil
}

func (m *Model) create(t *Tx, c Call) (any, error) {
	list, _ := c.Args[0].([]any)
	ids := []int64{}
	for _, one := range list {
		values, ok := one.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%v is not a record", one)
		}
		id, err := m.make(t, values)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, t.err
}

// make makes a record and those that are nested in it.
func (m *Model) make(t *Tx, values map[string]any) (int64, error) {
	own := map[string]any{}
	nested := map[string][]any{}
	for k, v := range values {
		if link, is := m.Links[k]; is && link.Via != "" {
			nested[k], _ = v.([]any)
			continue
		}
		own[k] = v
	}
	for k, v := range m.Defaults {
		if _, given := own[k]; !given {
			own[k] = v
		}
	}
	if err := m.check(t, own, true); err != nil {
		return 0, err
	}
	id := t.Insert(m.Name, own)
	for field, actions := range nested {
		if err := m.nest(t, id, field, actions); err != nil {
			return 0, err
		}
	}
	r, _ := t.Get(m.Name, id)
	if m.Created != nil {
		if err := m.Created(t, r); err != nil {
			return 0, err
		}
	}
	return id, t.err
}

func (m *Model) nest(t *Tx, id int64, field string, actions []any) error {
	link := m.Links[field]
	var back any = id
	if link.Reference {
		back = fmt.Sprintf("%s,%d", m.Name, id)
	}
	for _, a := range actions {
		action, _ := a.([]any)
		if len(action) != 2 || action[0] != "create" {
			return fmt.Errorf("%v is not [create, records]", a)
		}
		list, _ := action[1].([]any)
		for _, one := range list {
			values, _ := one.(map[string]any)
			values[link.Via] = back
			if _, err := t.server.models[link.Model].make(t, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// check refuses what Tryton refuses: unknown fields, missing ones, links to
// nowhere, a value that must be unique.
func (m *Model) check(t *Tx, values map[string]any, isNew bool) error {
	for k, v := range values {
		link, isLink := m.Links[k]
		if !isLink && !slices.Contains(m.Fields, k) {
			return fmt.Errorf("'%s'", k)
		}
		if id, isID := v.(int64); isLink && isID && link.Via == "" {
			if _, ok := t.Get(link.Model, id); !ok {
				return Refuse("The value \"%d\" for field \"%s\" in \"%s\" does not exist.", id, k, m.Title)
			}
		}
	}
	for _, k := range m.Required {
		v, given := values[k]
		if v == nil && (isNew || given) {
			return Refuse("A value is required for field \"%s\" in \"%s\".", k, m.Title)
		}
	}
	if v := values[m.Unique]; m.Unique != "" && v != nil {
		same, err := t.Find(m.Name, []any{[]any{m.Unique, "=", v}})
		if err != nil {
			return err
		}
		if len(same) > 0 {
			return Refuse("The %s on %s must be unique.", m.Unique, strings.ToLower(m.Title))
		}
	}
	return nil
}
