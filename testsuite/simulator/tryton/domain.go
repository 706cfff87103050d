package tryton

import (
	"fmt"
	"slices"
	"strings"
)

// holds says whether a record meets a domain: clauses that must all hold, or
// after "OR" any of them.
func (t *Tx) holds(m *Model, r Record, domain any) (bool, error) {
	list, ok := domain.([]any)
	if !ok {
		return false, fmt.Errorf("domain %v is not a list", domain)
	}
	if len(list) == 0 {
		return true, nil
	}
	if name, isText := list[0].(string); isText && name != "OR" && name != "AND" {
		return t.clause(m, r, list)
	}
	either := false
	if name, isText := list[0].(string); isText {
		either, list = name == "OR", list[1:]
	}
	for _, c := range list {
		met, err := t.holds(m, r, c)
		if err != nil {
			return false, err
		}
		if met == either {
			return either, nil
		}
	}
	return !either, nil
}

func (t *Tx) clause(m *Model, r Record, c []any) (bool, error) {
	if len(c) != 3 {
		return false, fmt.Errorf("clause %v is not [field, operator, value]", c)
	}
	operator, _ := c[1].(string)
	v, err := t.field(m, r, c[0].(string))
	if err != nil {
		return false, err
	}
	switch operator {
	case "=":
		return equal(v, c[2]), nil
	case "!=":
		return !equal(v, c[2]), nil
	case "in", "not in":
		list, _ := c[2].([]any)
		for _, x := range list {
			if equal(v, x) {
				return operator == "in", nil
			}
		}
		return operator == "not in", nil
	case "like", "ilike", "not like", "not ilike":
		text, isText := v.(string)
		if !isText {
			return false, nil
		}
		pattern := Text(c[2])
		if strings.HasSuffix(operator, "ilike") {
			text, pattern = strings.ToLower(text), strings.ToLower(pattern)
		}
		return like(pattern, text) != strings.HasPrefix(operator, "not"), nil
	}
	n, ok := compare(v, c[2])
	if !ok {
		return false, nil
	}
	switch operator {
	case "<":
		return n < 0, nil
	case "<=":
		return n <= 0, nil
	case ">":
		return n > 0, nil
	case ">=":
		return n >= 0, nil
	}
	return false, fmt.Errorf("'%s'", operator)
}

func equal(a, b any) bool {
	if a == nil || b == nil {
		// An unticked box is as good as an empty one.
		return a == b || a == nil && b == false || a == false && b == nil
	}
	n, ok := compare(a, b)
	return ok && n == 0
}

// like is SQL's LIKE: % for any text, _ for any character, \ before either.
func like(pattern, text string) bool {
	if pattern == "" {
		return text == ""
	}
	switch pattern[0] {
	case '%':
		for i := 0; i <= len(text); i++ {
			if like(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	case '\\':
		if len(pattern) > 1 {
			return text != "" && text[0] == pattern[1] && like(pattern[2:], text[1:])
		}
	case '_':
		return text != "" && like(pattern[1:], text[1:])
	}
	return text != "" && text[0] == pattern[0] && like(pattern[1:], text[1:])
}

// narrow turns what a domain asks of indexed columns into SQL, so that a search
// does not read the whole table. What it finds is checked against the domain.
func (m *Model) narrow(domain any) (where string, args []any) {
	list, _ := domain.([]any)
	if len(list) == 0 {
		return "", nil
	}
	if name, isText := list[0].(string); isText {
		switch {
		case name == "OR":
			return m.narrowOr(list[1:])
		case name == "AND":
			return m.narrow(list[1:])
		case len(list) == 3:
			return m.narrowField(name, Text(list[1]), list[2])
		}
		return "", nil
	}
	var parts []string
	for _, c := range list {
		w, a := m.narrow(c)
		parts, args = append(parts, w), append(args, a...)
	}
	dated := slices.ContainsFunc(parts, func(w string) bool { return strings.HasPrefix(w, " AND created >=") })
	for _, w := range parts {
		if rest, named := strings.CutPrefix(w, " AND name >="); named && dated { // dates are the better index
			w = " AND +name >=" + strings.Replace(rest, "AND name <", "AND +name <", 1)
		}
		where += w
	}
	return where, args
}

// mostBranches is how many searches SQLite joins into one.
const mostBranches = 500

// narrowOr narrows when each of the branches does. Each is a search of its own, for
// SQLite uses one index of a table and an OR has none.
func (m *Model) narrowOr(branches []any) (string, []any) {
	if len(branches) > mostBranches {
		return "", nil
	}
	var parts []string
	var all []any
	for _, b := range branches {
		where, args := m.narrow(b)
		if where == "" {
			return "", nil
		}
		parts = append(parts, "SELECT id FROM records WHERE model = ?"+where)
		all = append(append(all, m.Name), args...)
	}
	return " AND id IN (" + strings.Join(parts, " UNION ALL ") + ")", all
}

func (m *Model) narrowField(name, operator string, v any) (string, []any) {
	var column string
	switch name {
	case "id":
		column = "id"
	case m.Index:
		column = "name"
	case m.Parent:
		column = "parent"
	case "create_date":
		column = "created"
	case "write_date":
		column = "written"
	default:
		return "", nil
	}
	switch operator {
	case "=", "<", "<=", ">", ">=":
		if v == nil || strings.HasSuffix(name, "_date") && operator == "=" {
			return "", nil
		}
		return " AND " + column + " " + operator + " ?", []any{key(v)}
	case "in":
		list, _ := v.([]any)
		args := []any{}
		for _, x := range list {
			if x == nil {
				return "", nil
			}
			args = append(args, key(x))
		}
		return " AND " + column + " IN (" + strings.TrimSuffix(strings.Repeat("?,", len(args)), ",") + ")", args
	case "like":
		prefix, _, _ := strings.Cut(Text(v), "%")
		prefix, _, _ = strings.Cut(prefix, "_")
		prefix, _, _ = strings.Cut(prefix, `\`)
		if prefix != "" && column == "name" {
			return " AND name >= ? AND name < ?", []any{prefix, prefix + "\U0010FFFF"}
		}
	}
	return "", nil
}

// key is a value as the indexed columns keep it.
func key(v any) any {
	switch v := v.(type) {
	case Moment:
		return int64(v)
	case string, int64:
		return v
	}
	return fmt.Sprint(v)
}
