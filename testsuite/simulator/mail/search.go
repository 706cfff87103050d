package mail

import (
	"bufio"
	"bytes"
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
	for _, h := range c.Header {
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

// looked is one message under search, with its header read once.
type looked struct {
	seq    uint32
	last   uint32 // UID of the last message, which * means
	count  uint32
	m      stored
	header textproto.Header
}

func look(m stored, seq int, all []stored) looked {
	h, _ := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(m.raw)))
	return looked{seq: uint32(seq), last: all[len(all)-1].uid, count: uint32(len(all)), m: m, header: h}
}

// matches says whether the message meets the criteria, as RFC 3501 says: all
// of them, substrings whatever their case, days and not moments.
func (l looked) matches(c *imap.SearchCriteria) bool {
	for _, set := range c.SeqNum {
		if !within(set, l.seq, l.count) {
			return false
		}
	}
	for _, set := range c.UID {
		if !withinUID(set, l.m.uid, l.last) {
			return false
		}
	}
	day := date(l.m.at)
	if !c.Since.IsZero() && day.Before(date(c.Since)) || !c.Before.IsZero() && !day.Before(date(c.Before)) {
		return false
	}
	size := int64(len(l.m.raw))
	if c.Larger > 0 && size <= c.Larger || c.Smaller > 0 && size >= c.Smaller {
		return false
	}
	for _, h := range c.Header {
		if !l.has(h) {
			return false
		}
	}
	for _, text := range append(append([]string(nil), c.Text...), c.Body...) {
		if !containsFold(string(l.m.raw), text) {
			return false
		}
	}
	if len(c.Flag) > 0 { // no message here has a flag
		return false
	}
	for i := range c.Not {
		if l.matches(&c.Not[i]) {
			return false
		}
	}
	for i := range c.Or {
		if !l.matches(&c.Or[i][0]) && !l.matches(&c.Or[i][1]) {
			return false
		}
	}
	return true
}

func (l looked) has(h imap.SearchCriteriaHeaderField) bool {
	for _, v := range l.header.Values(h.Key) {
		if containsFold(v, h.Value) {
			return true
		}
	}
	return false
}

func containsFold(s, substring string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(substring))
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
