package tryton

import (
	"encoding/json"
	"slices"
	"strings"
)

// A client that walks many records asks for page after page of one search, each
// above the last id of the page before. The server of the real product has
// indexes and a planner; this one keeps the ids that the search finds until
// anything changes, so that a page costs what is on it.

// walk is a search without its lower bound, and what it finds.
type walk struct {
	changes int64
	model   string
	domain  string
	ids     []int64
}

// walksKept is how many searches are remembered.
const walksKept = 64

// walk returns the page of a search that is one step of a walk: by id, with a
// limit, and above an id. Only models that have no inactive records are walked.
func (t *Tx) walk(m *Model, domain []any, arg func(int) any) (page []int64, is bool, err error) {
	above, rest := lowerBound(domain)
	limit := int(Int(arg(2)))
	if above < 0 || limit <= 0 || Int(arg(1)) != 0 || !t.AsOf.IsZero() || !byID(arg(3)) || slices.Contains(m.Fields, "active") {
		return nil, false, nil
	}
	key, err := json.Marshal(rest)
	if err != nil {
		return nil, false, err
	}
	ids, err := t.found(m, string(key), rest)
	if err != nil {
		return nil, false, err
	}
	from, _ := slices.BinarySearch(ids, above+1)
	return ids[from:min(len(ids), from+limit)], true, nil
}

// lowerBound takes the clause ["id", ">", n] out of a domain; -1 when there is
// not exactly one.
func lowerBound(domain []any) (above int64, rest []any) {
	above = -1
	for _, c := range domain {
		if clause, ok := c.([]any); ok && len(clause) == 3 && clause[0] == "id" && clause[1] == ">" {
			n, isInt := clause[2].(int64)
			if !isInt || above >= 0 {
				return -1, nil
			}
			above = n
			continue
		}
		if name, isText := c.(string); isText && name == "OR" {
			return -1, nil // the clause may be one of its branches
		}
		rest = append(rest, c)
	}
	return above, rest
}

func byID(order any) bool {
	list, _ := order.([]any)
	if len(list) != 1 {
		return false
	}
	pair, _ := list[0].([]any)
	return len(pair) == 2 && pair[0] == "id" && pair[1] == "ASC"
}

// found returns the ids that a search finds, in their order.
func (t *Tx) found(m *Model, key string, domain []any) ([]int64, error) {
	s := t.server
	for _, w := range s.walks {
		if w.changes == s.changes && w.model == m.Name && w.domain == key {
			return w.ids, nil
		}
	}
	records, err := t.Find(m.Name, domain)
	if err != nil {
		return nil, err
	}
	w := walk{changes: s.changes, model: m.Name, domain: key, ids: make([]int64, 0, len(records))}
	for _, r := range records {
		w.ids = append(w.ids, r.ID)
	}
	s.walks = append(s.walks, w)
	s.walks = s.walks[max(0, len(s.walks)-walksKept):]
	return w.ids, nil
}

// shown answers a search with the records of these ids.
func (m *Model) shown(t *Tx, c Call, ids []int64, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	switch c.Method {
	case "search_count":
		return len(ids), nil
	case "search":
		return ids, nil
	}
	args := make([]any, 0, len(ids)+1)
	args = append(args, m.Name)
	for _, id := range ids {
		args = append(args, id)
	}
	found, err := t.scan(`SELECT id, created, written, data FROM records
		WHERE model = ? AND id IN (`+strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")+`) ORDER BY +id`, args)
	if err != nil {
		return nil, err
	}
	t.Locations = integers(c.Context["locations"])
	return m.rows(t, found, c.Args[4])
}
