package tryton

import (
	"encoding/json"
	"slices"
	"strings"
)

// A client that walks many records asks for page after page of one search, each
// above the last id of the page before. The server of the real product has
// indexes and a planner; this one keeps the ids that the indexes offer for the
// search until anything changes, and reads and checks only as many of them as fill
// a page, so that a page costs what is on it.

// walk is a search without its lower bound, and what the indexes offer for it:
// everything that it finds, and perhaps more.
type walk struct {
	changes int64
	model   string
	domain  string
	ids     []int64
}

// walksKept is how many searches are remembered, and mostRead how many records
// are read at once.
const (
	walksKept = 64
	mostRead  = 500
)

// walk returns the page of a search that is one step of a walk: by id, with a
// limit, and above an id. Only models that have no inactive records are walked.
func (t *Tx) walk(m *Model, domain []any, arg func(int) any) (page []Record, is bool, err error) {
	above, rest := lowerBound(domain)
	limit := int(Int(arg(2)))
	if above < 0 || limit <= 0 || Int(arg(1)) != 0 || !t.AsOf.IsZero() || !byID(arg(3)) || slices.Contains(m.Fields, "active") {
		return nil, false, nil
	}
	ids, err := t.offered(m, rest)
	if err != nil {
		return nil, false, err
	}
	from, _ := slices.BinarySearch(ids, above+1)
	for chunk := range slices.Chunk(ids[from:], min(limit, mostRead)) {
		candidates, err := t.these(m, chunk)
		if err != nil {
			return nil, false, err
		}
		met, err := t.meeting(m, candidates, rest)
		if err != nil {
			return nil, false, err
		}
		if page = append(page, met...); len(page) >= limit {
			return page[:limit], true, nil
		}
	}
	return page, true, nil
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

// offered returns the ids that the indexes offer for a search, in their order.
func (t *Tx) offered(m *Model, domain []any) ([]int64, error) {
	key, err := json.Marshal(domain)
	if err != nil {
		return nil, err
	}
	s := t.server
	for _, w := range s.walks {
		if w.changes == s.changes && w.model == m.Name && w.domain == string(key) {
			return w.ids, nil
		}
	}
	where, args := m.narrow(domain)
	rows, err := t.SQL.Query(`SELECT id FROM records WHERE model = ?`+where+` ORDER BY +id`, append([]any{m.Name}, args...)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	w := walk{changes: s.changes, model: m.Name, domain: string(key)}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		w.ids = append(w.ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	s.walks = append(s.walks, w)
	s.walks = s.walks[max(0, len(s.walks)-walksKept):]
	return w.ids, nil
}

// these reads records by their ids.
func (t *Tx) these(m *Model, ids []int64) ([]Record, error) {
	args := make([]any, 0, len(ids)+1)
	args = append(args, m.Name)
	for _, id := range ids {
		args = append(args, id)
	}
	return t.scan(`SELECT id, created, written, data FROM records
		WHERE model = ? AND id IN (`+strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")+`) ORDER BY +id`, args)
}
