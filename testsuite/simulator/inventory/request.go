package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// field says what a request body may hold.
type field struct {
	name     string
	kind     string // "string", "number" or "record", in the words of the refusal
	required bool
	nullable bool
}

// decode reads a body by the real one's strict schema: every unknown, missing
// and mistyped field in one message.
func decode(body []byte, schema []field) (fields, *simulator.Answer) {
	in := fields{}
	if len(bytes.TrimSpace(body)) > 0 {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if body[0] == '[' {
			return nil, invalid("Field '' is required")
		}
		if err := d.Decode(&in); err != nil {
			a := refuse(http.StatusBadRequest, "invalid_data", "Unexpected token in JSON at position 0")
			return nil, &a
		}
	}
	var wrong, unknown []string
	for name := range in {
		if !slices.ContainsFunc(schema, func(f field) bool { return f.name == name }) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, f := range schema {
		value, given := in[f.name]
		switch {
		case !given && f.required:
			wrong = append(wrong, fmt.Sprintf("Field '%s' is required", f.name))
		case given && !fits(f, value):
			if value == nil {
				value = "null"
			}
			wrong = append(wrong, fmt.Sprintf("Expected type: '%s' for field '%s', got: '%v'", f.kind, f.name, value))
		}
	}
	if len(unknown) > 0 {
		wrong = append(wrong, fmt.Sprintf("Unrecognized fields: '%s'", strings.Join(unknown, ", ")))
	}
	if len(wrong) > 0 {
		return nil, invalid(strings.Join(wrong, "; "))
	}
	return in, nil
}

func fits(f field, value any) bool {
	switch value := value.(type) {
	case nil:
		return f.nullable
	case string:
		return f.kind == "string"
	case json.Number:
		if f.kind != "number" {
			return false
		}
		_, err := value.Int64() // the real one takes fractions of a piece
		return err == nil
	case map[string]any:
		return f.kind == "record"
	}
	return false
}

func invalid(message string) *simulator.Answer {
	a := refuse(http.StatusBadRequest, "invalid_data", "Invalid request: "+message)
	return &a
}

func (s *Server) text(in fields, name string) string {
	value, _ := in[name].(string)
	return value
}

func number(in fields, name string) int64 {
	value, _ := in[name].(json.Number)
	n, _ := value.Int64()
	return n
}

// listing is a parsed query of a list.
type listing struct {
	offset, limit int
	order         string // an SQL term
	fields        string
	where         string
	args          []any
}

// column says which SQL column a parameter filters or an order names.
type column struct {
	name     string
	sql      string
	moments  bool // compared by $gt, $gte, $lt and $lte
	patterns bool // also by $like
	orders   bool // only in an order, no parameter
}

// parse reads a list's query; parameters that the real one does not know are
// refused by name, and what it does not foresee breaks it.
func parse(query url.Values, columns []column, orders []string, limit int) (listing, *simulator.Answer) {
	l := listing{limit: limit, order: "1"}
	var unknown []string
	for _, name := range sortedKeys(query) {
		values := query[name]
		base, operator := split(name)
		switch base {
		case "offset", "limit":
			n, err := strconv.Atoi(values[0])
			if err != nil {
				return l, invalid(fmt.Sprintf("Expected type: 'number' for field '%s', got: '%s'", base, values[0]))
			}
			if n < 0 {
				a := broken()
				return l, &a
			}
			if base == "limit" {
				l.limit = n
			} else {
				l.offset = n
			}
		case "with_deleted": // taken, and shows no deleted ones
		case "fields":
			l.fields = values[0]
		case "order":
			term, ok := orderBy(values[0], columns, orders)
			if !ok {
				a := broken()
				return l, &a
			}
			l.order = term
		default:
			i := slices.IndexFunc(columns, func(c column) bool { return c.name == base && !c.orders })
			if i < 0 {
				unknown = append(unknown, base)
				continue
			}
			if wrong := l.filter(columns[i], operator, values); wrong != nil {
				return l, wrong
			}
		}
	}
	if len(unknown) > 0 {
		return l, invalid(fmt.Sprintf("Unrecognized fields: '%s'", strings.Join(unknown, ", ")))
	}
	return l, nil
}

func (l *listing) filter(c column, operator string, values []string) *simulator.Answer {
	if c.moments {
		comparison, ok := map[string]string{"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<=", "": "="}[operator]
		if !ok {
			return nil // an operator that it does not know filters nothing
		}
		at, err := time.Parse(time.RFC3339Nano, values[0])
		if err != nil {
			at, err = time.Parse(time.DateOnly, values[0])
		}
		if err != nil {
			a := broken()
			return &a
		}
		// A column keeps milliseconds; a bound between two of them compares as it should.
		bound := at.UnixMilli()
		if between := !at.Equal(time.UnixMilli(bound)); between && (comparison == ">=" || comparison == "<") {
			bound++
		}
		l.where += fmt.Sprintf(" AND %s %s ?", c.sql, comparison)
		l.args = append(l.args, bound)
		return nil
	}
	if operator == "$like" && c.patterns {
		l.where += fmt.Sprintf(" AND %s LIKE ?", c.sql)
		l.args = append(l.args, values[0])
		return nil
	}
	if _, err := strconv.Atoi(operator); err != nil && operator != "" {
		return invalid(fmt.Sprintf("Expected type: 'string, array' for field '%s', got: '[object Object]'", c.name))
	}
	if c.name == "q" {
		l.where += fmt.Sprintf(" AND %s LIKE ?", c.sql)
		l.args = append(l.args, "%"+values[0]+"%")
		return nil
	}
	l.where += fmt.Sprintf(" AND %s IN (?%s)", c.sql, strings.Repeat(",?", len(values)-1))
	for _, v := range values {
		l.args = append(l.args, v)
	}
	return nil
}

// split takes "updated_at[$gte]" apart, and "id[]" as "id".
func split(name string) (base, operator string) {
	base, operator, _ = strings.Cut(name, "[")
	return base, strings.TrimSuffix(operator, "]")
}

func orderBy(value string, columns []column, orders []string) (string, bool) {
	name, descending := strings.CutPrefix(value, "-")
	i := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
	if i < 0 || !slices.Contains(orders, name) {
		return "", false
	}
	if descending {
		return columns[i].sql + " DESC", true
	}
	return columns[i].sql, true
}

func sortedKeys(query url.Values) []string {
	keys := make([]string, 0, len(query))
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// choose keeps the fields that were asked for: "a,b.c" only these (and ids),
// "+a" and "-b" more or fewer than the usual ones.
func choose(object fields, asked string) fields {
	names := strings.Split(asked, ",")
	if asked == "" || strings.ContainsAny(names[0][:min(1, len(names[0]))], "+-*") {
		for _, name := range names {
			if less, ok := strings.CutPrefix(name, "-"); ok {
				delete(object, less)
			}
		}
		return object
	}
	kept := fields{"id": object["id"]}
	for _, name := range names {
		name, inner, nested := strings.Cut(strings.TrimLeft(name, "+*"), ".")
		value, ok := object[name]
		switch relation, is := value.(fields); {
		case !ok:
		case nested && is:
			part, _ := kept[name].(fields)
			if part == nil {
				part = fields{"id": relation["id"]}
			}
			if v, ok := relation[inner]; ok {
				part[inner] = v
			}
			kept[name] = part
			kept[name+"_id"] = relation["id"]
		default:
			kept[name] = value
		}
	}
	return kept
}

// list is a page of a list as the API answers it.
func list(name string, objects []fields, count int, l listing) simulator.Answer {
	page := make([]fields, 0, len(objects))
	for _, o := range objects {
		page = append(page, choose(o, l.fields))
	}
	return answer(http.StatusOK, fields{name: page, "count": count, "offset": l.offset, "limit": l.limit})
}
