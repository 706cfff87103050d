package crm

import (
	"encoding/json"
	"strconv"
	"time"
)

// A client that walks many records makes one search after the other for the ids
// above the last one it has seen. HubSpot has a search engine for it; this
// account narrows a search by the dates that all its groups ask for, and keeps
// what it found until anything changes that the search would see.

// walked is a search without its lower bound, and what it found as of a moment.
type walked struct {
	search string
	at     time.Time
	seq    int64 // of the newest version that there was
	found  []*record
}

// above takes the lower bound of the ids out of a search that is sorted by them:
// all its groups must have the same. 0 when there is none.
func (q query) above() (int64, query) {
	if len(q.Sorts) != 1 || q.Sorts[0].Property != "hs_object_id" || q.Sorts[0].Direction == "DESCENDING" || len(q.Groups) == 0 {
		return 0, q
	}
	bound, rest := int64(0), q
	rest.Groups = nil
	for _, g := range q.Groups {
		kept := group{}
		n := int64(0)
		for _, f := range g.Filters {
			if f.Property == "hs_object_id" && f.Operator == "GT" && n == 0 {
				n, _ = strconv.ParseInt(f.Value, 10, 64)
				continue
			}
			kept.Filters = append(kept.Filters, f)
		}
		if n <= 0 || bound != 0 && n != bound || len(kept.Filters) == 0 {
			return 0, q
		}
		bound = n
		rest.Groups = append(rest.Groups, kept)
	}
	return bound, rest
}

// walk returns what a search finds as of a moment, from memory while nothing has
// changed that it would see.
func (x *session) walk(kind string, q query, at time.Time) ([]*record, error) {
	key, err := json.Marshal(struct {
		Kind   string
		Groups []group
		Sorts  []sorting
	}{kind, q.Groups, q.Sorts})
	if err != nil {
		return nil, err
	}
	var seq, since int64
	if err := x.tx.QueryRow(`SELECT coalesce(max(seq), 0) FROM versions`).Scan(&seq); err != nil {
		return nil, err
	}
	old := x.server.walked
	if old.search == string(key) && old.seq == seq && !at.Before(old.at) {
		err := x.tx.QueryRow(`SELECT count(*) FROM versions WHERE kind = ? AND at > ? AND at <= ?`, kind, old.at.UnixNano(), at.UnixNano()).Scan(&since)
		if err != nil {
			return nil, err
		}
		if since == 0 {
			return old.found, nil
		}
	}
	found, err := x.find(kind, q, at)
	if err == nil {
		x.server.walked = walked{search: string(key), at: at, seq: seq, found: found}
	}
	return found, err
}

// within returns the window in which all groups want a date, in nanoseconds.
func (q query) within(property string) (from, to int64, all bool) {
	from, to = int64(1)<<62, 0
	for _, g := range q.Groups {
		low, high := int64(-1), int64(-1)
		for _, f := range g.Filters {
			n, err := strconv.ParseInt(f.Value, 10, 64) // milliseconds
			if f.Property != property || err != nil {
				continue
			}
			switch f.Operator {
			case "GTE":
				low = n * int64(time.Millisecond)
			case "LT":
				high = n * int64(time.Millisecond)
			}
		}
		if low < 0 || high < 0 {
			return 0, 0, false
		}
		from, to = min(from, low), max(to, high)
	}
	return from, to, len(q.Groups) > 0
}
