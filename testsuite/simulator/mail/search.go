package mail

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-message/textproto"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// classify says what a search is for: one that names an order by its headers
// is a look-up, any other walks the journal.
func classify(c *imap.SearchCriteria) simulator.Call {
	if of, ok := ordered(c); ok {
		return simulator.Call{Operation: "lookup", Order: of}
	}
	return simulator.Call{Operation: "list"}
}

// ordered returns the order that a search names. The word in a key is
// surrounded by what makes a key.
func ordered(c *imap.SearchCriteria) (order.ID, bool) {
	for _, h := range c.Header { // before it is lowered: ids know capitals
		switch {
		case strings.EqualFold(h.Key, headerOrder):
			return order.ID(h.Value), true
		case strings.EqualFold(h.Key, headerKey):
			parts := strings.Split(strings.TrimPrefix(h.Value, "order/"), "/")
			return order.ID(parts[0]), true
		}
	}
	for _, or := range c.Or {
		for _, side := range or {
			if of, ok := ordered(&side); ok {
				return of, true
			}
		}
	}
	return "", false
}

// looked is one message under search.
type looked struct {
	m     stored
	seq   uint32
	last  uint32 // UID of the last message, which * means
	count uint32
	zone  *time.Location

	server *Server
}

// text returns the whole message, for what the index does not have.
func (l looked) text() ([]byte, error) { return l.server.raw(l.m.uid) }

// lower writes the words of a search in lower case, in which they are compared.
func lower(c *imap.SearchCriteria) {
	for i := range c.Header {
		c.Header[i].Key, c.Header[i].Value = strings.ToLower(c.Header[i].Key), strings.ToLower(c.Header[i].Value)
	}
	for _, words := range [][]string{c.Text, c.Body} {
		for i := range words {
			words[i] = strings.ToLower(words[i])
		}
	}
	for i := range c.Not {
		lower(&c.Not[i])
	}
	for i := range c.Or {
		lower(&c.Or[i][0])
		lower(&c.Or[i][1])
	}
}

// matches says whether the message meets the criteria, as RFC 3501 says: all
// of them, substrings whatever their case, days and not moments.
func (l looked) matches(c *imap.SearchCriteria) (bool, error) {
	for _, set := range c.SeqNum {
		if !within(set, l.seq, l.count) {
			return false, nil
		}
	}
	for _, set := range c.UID {
		if !withinUID(set, l.m.uid, l.last) {
			return false, nil
		}
	}
	if !c.Since.IsZero() || !c.Before.IsZero() {
		day := date(l.m.at(l.zone))
		if !c.Since.IsZero() && day.Before(date(c.Since)) || !c.Before.IsZero() && !day.Before(date(c.Before)) {
			return false, nil
		}
	}
	if c.Larger > 0 && l.m.size <= c.Larger || c.Smaller > 0 && l.m.size >= c.Smaller || len(c.Flag) > 0 {
		return false, nil // no message here has a flag
	}
	if hit, err := l.says(c); err != nil || !hit {
		return false, err
	}
	for i := range c.Not {
		if hit, err := l.matches(&c.Not[i]); err != nil || hit {
			return false, err
		}
	}
	for i := range c.Or {
		hit, err := l.matches(&c.Or[i][0])
		if err == nil && !hit {
			hit, err = l.matches(&c.Or[i][1])
		}
		if err != nil || !hit {
			return false, err
		}
	}
	return true, nil
}

// says compares the words of a search.
func (l looked) says(c *imap.SearchCriteria) (bool, error) {
	for _, h := range c.Header {
		if known, ok := l.m.header(h.Key); ok {
			if known == "" || !strings.Contains(known, h.Value) {
				return false, nil
			}
			continue
		}
		if hit, err := l.header(h); err != nil || !hit {
			return false, err
		}
	}
	if len(c.Text)+len(c.Body) == 0 {
		return true, nil
	}
	raw, err := l.text()
	if err != nil {
		return false, err
	}
	all := strings.ToLower(string(raw))
	missing := func(word string) bool { return !strings.Contains(all, word) }
	return !slices.ContainsFunc(c.Text, missing) && !slices.ContainsFunc(c.Body, missing), nil
}

func (l looked) header(h imap.SearchCriteriaHeaderField) (bool, error) {
	raw, err := l.text()
	if err != nil {
		return false, err
	}
	header, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return false, nil // a message without readable headers has none
	}
	return slices.ContainsFunc(header.Values(h.Key), func(v string) bool {
		return strings.Contains(strings.ToLower(v), h.Value)
	}), nil
}

// date drops the time and the zone, as SINCE and BEFORE do.
func date(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// within resolves * to the last one, so that n:* holds the last message even
// when n is beyond it: a range has no direction.
func within(set imap.SeqSet, n, last uint32) bool {
	for _, r := range set {
		if between(r.Start, r.Stop, n, last) {
			return true
		}
	}
	return false
}

func withinUID(set imap.UIDSet, n, last uint32) bool {
	for _, r := range set {
		if between(uint32(r.Start), uint32(r.Stop), n, last) {
			return true
		}
	}
	return false
}

func between(from, to, n, last uint32) bool {
	if from == 0 {
		from = last
	}
	if to == 0 {
		to = last
	}
	return n >= min(from, to) && n <= max(from, to)
}
