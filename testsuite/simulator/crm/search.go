package crm

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// HubSpot's limits on searches.
const (
	maxGroups   = 5
	maxFilters  = 6
	maxInAll    = 18
	searchLimit = 200
)

type filter struct {
	Property string   `json:"propertyName"`
	Operator string   `json:"operator"`
	Value    string   `json:"value"`
	High     string   `json:"highValue"`
	Values   []string `json:"values"`

	kind string // of the property's values
}

// sorting takes a property's name, with "-" for descending, and the object that
// says the same.
type sorting struct {
	Property  string `json:"propertyName"`
	Direction string `json:"direction"`
}

func (s *sorting) UnmarshalJSON(data []byte) error {
	var name string
	if json.Unmarshal(data, &name) == nil {
		s.Direction = "ASCENDING"
		if rest, ok := strings.CutPrefix(name, "-"); ok {
			name, s.Direction = rest, "DESCENDING"
		}
		s.Property = name
		return nil
	}
	type plain sorting
	return json.Unmarshal(data, (*plain)(s))
}

// group holds filters that must all hold.
type group struct {
	Filters []filter `json:"filters"`
}

type query struct {
	Text       string    `json:"query"`
	Groups     []group   `json:"filterGroups"`
	Sorts      []sorting `json:"sorts"`
	Properties []string  `json:"properties"`
	Limit      int       `json:"limit"`
	After      string    `json:"after"`
}

// check refuses what HubSpot refuses.
func (q *query) check() error {
	all := 0
	for _, g := range q.Groups {
		if len(g.Filters) == 0 || len(g.Filters) > maxFilters {
			return malformed("a filter group has 1 to 6 filters")
		}
		all += len(g.Filters)
	}
	switch {
	case len(q.Groups) > maxGroups || all > maxInAll:
		return malformed("too many filters")
	case len(q.Sorts) > 1:
		return malformed("a search has one sort at most")
	case q.Limit < 0 || q.Limit > searchLimit:
		return malformed("limit is 200 at most")
	case q.Text != "":
		return malformed("Not simulated: a search by text")
	}
	if q.Limit == 0 {
		q.Limit = 10
	}
	return nil
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	kind, problem := kindOf(r, "kind")
	var q query
	body, err := simulator.ReadBody(r)
	if problem == nil && (err != nil || strict(body, &q) != nil) {
		problem = malformed("Invalid input JSON")
	}
	if problem == nil {
		problem = q.check()
	}
	s.act(w, r, simulator.Call{Operation: list, Detail: kind + " search"}, func(x *session) (int, any, error) {
		if problem != nil {
			return 0, nil, problem
		}
		if s.tooFast() {
			return 0, nil, &refusal{status: http.StatusTooManyRequests, category: "RATE_LIMITS", message: "You have reached your secondly limit."}
		}
		found, err := x.matching(kind, q)
		if err != nil {
			return 0, nil, err
		}
		return x.page(found, q)
	})
}

// tooFast counts searches by the second.
func (s *Server) tooFast() bool {
	if s.settings.SearchesPerSecond == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.frame.Now().Unix(); now != s.second {
		s.second, s.searches = now, 0
	}
	s.searches++
	return s.searches > s.settings.SearchesPerSecond
}

// page answers one page of what was found.
func (x *session) page(found []*record, q query) (int, any, error) {
	from, err := strconv.Atoi(cmp.Or(q.After, "0"))
	if err != nil || from < 0 || from+q.Limit > x.server.settings.SearchResults && from > 0 {
		return 0, nil, malformed("after: a search ends at 10,000 results")
	}
	switch x.kind {
	case simulator.EmptyList:
		found = nil
	case simulator.NotListed:
		found = found[:max(0, len(found)-1)]
	}
	answer := map[string]any{"total": len(found)}
	shown := []wire{}
	for _, r := range found[min(from, len(found)):min(from+q.Limit, len(found))] {
		one, err := x.show(r, q.Properties)
		if err != nil {
			return 0, nil, err
		}
		shown = append(shown, one)
	}
	if x.kind == simulator.Foreign {
		shown = []wire{foreign(deals)}
		answer["total"] = 1
	}
	answer["results"] = shown
	if from+q.Limit < len(found) && x.kind != simulator.Foreign {
		answer["paging"] = map[string]any{"next": map[string]string{"after": strconv.Itoa(from + q.Limit)}}
	}
	return http.StatusOK, answer, nil
}

// matching returns what a search finds: the records as they were SearchLag ago.
func (x *session) matching(kind string, q query) ([]*record, error) {
	for g := range q.Groups {
		for f := range q.Groups[g].Filters {
			one := &q.Groups[g].Filters[f]
			d, err := x.definition(kind, one.Property)
			if err != nil {
				return nil, err
			}
			if d == nil {
				return nil, malformed("There was a problem with the request: property " + one.Property + " does not exist")
			}
			one.kind = d.Type
		}
	}
	at := x.server.frame.Now().Add(-max(0, x.server.settings.SearchLag))
	above, q := q.above()
	found, err := x.walk(kind, q, at)
	if err != nil {
		return nil, err
	}
	if above > 0 {
		from, _ := slices.BinarySearchFunc(found, above+1, func(r *record, id int64) int { return cmp.Compare(r.id, id) })
		found = found[from:]
	}
	return found, nil
}

// find returns what a search finds as of a moment.
func (x *session) find(kind string, q query, at time.Time) ([]*record, error) {
	all, err := x.past(kind, q, at)
	if err != nil {
		return nil, err
	}
	var found []*record
	for _, r := range all {
		match := len(q.Groups) == 0
		for _, g := range q.Groups {
			match = match || !slices.ContainsFunc(g.Filters, func(f filter) bool { return !f.match(r) })
		}
		if match {
			found = append(found, r)
		}
	}
	if len(q.Sorts) == 1 {
		d, err := x.definition(kind, q.Sorts[0].Property)
		if err != nil {
			return nil, err
		}
		if d == nil {
			return nil, malformed("sorts: property " + q.Sorts[0].Property + " does not exist")
		}
		slices.SortStableFunc(found, func(a, b *record) int {
			va, _ := a.value(d.Name)
			vb, _ := b.value(d.Name)
			n := compare(d.Type, va, vb)
			if q.Sorts[0].Direction == "DESCENDING" {
				n = -n
			}
			return n
		})
	}
	return found, nil
}

// past returns the records of a kind as they were, by id; not those that a date
// which all groups ask for leaves out.
func (x *session) past(kind string, q query, at time.Time) ([]*record, error) {
	index, where, args := "versions_record", "", []any{at.UnixNano(), kind}
	if from, to, all := q.within("createdate"); all {
		index, where, args = "versions_created", ` AND v.created >= ? AND v.created < ?`, append(args, from, to)
	} else if from, to, all := q.within("hs_lastmodifieddate"); all {
		index, where, args = "versions_at", ` AND v.at >= ? AND v.at < ?`, append(args, from, to)
	}
	rows, err := x.tx.Query(`SELECT kind, id, created, at, archived, 0, properties FROM versions v INDEXED BY `+index+`
		WHERE seq = (SELECT max(seq) FROM versions w INDEXED BY versions_record WHERE w.kind = v.kind AND w.id = v.id AND w.at <= ?) AND kind = ?`+where+`
		AND archived = 0 ORDER BY +id`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []*record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// match applies one filter.
func (f filter) match(r *record) bool {
	v, has := r.value(f.Property)
	switch f.Operator {
	case "HAS_PROPERTY":
		return has
	case "NOT_HAS_PROPERTY":
		return !has
	case "NEQ":
		return !has || compare(f.kind, v, f.Value) != 0
	}
	if !has {
		return false
	}
	in := func(o string) bool { return compare(f.kind, v, o) == 0 }
	n := compare(f.kind, v, f.Value)
	switch f.Operator {
	case "EQ":
		return n == 0
	case "LT":
		return n < 0
	case "LTE":
		return n <= 0
	case "GT":
		return n > 0
	case "GTE":
		return n >= 0
	case "BETWEEN":
		return n >= 0 && compare(f.kind, v, f.High) <= 0
	case "IN":
		return slices.ContainsFunc(f.Values, in)
	case "NOT_IN":
		return !slices.ContainsFunc(f.Values, in)
	}
	return false
}

// compare compares values by their property's type; dates may be written as
// text or in milliseconds.
func compare(kind, a, b string) int {
	switch kind {
	case "datetime":
		return cmp.Compare(millis(a), millis(b))
	case "number":
		x, _ := strconv.ParseFloat(a, 64)
		y, _ := strconv.ParseFloat(b, 64)
		return cmp.Compare(x, y)
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

func millis(v string) int64 {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil {
		return n
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}
