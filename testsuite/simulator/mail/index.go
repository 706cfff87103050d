package mail

import (
	"database/sql"
	"iter"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// journalIndex holds the journal without its texts, as far as it was read, and where
// the messages of an order are: a shop's journal is long, and most searches are for
// one order's. It says where to look and never what is found there.
type journalIndex struct {
	last    int64 // id of the last message that was read
	all     []stored
	gone    bool  // one of them is
	newest  int64 // when the last of them is shown
	jumbled bool  // one was shown before another that came before it
	// keyed are the UIDs of messages by the order, in lower case, that their key names;
	// odd are those of all others.
	keyed map[string][]uint32
	odd   []uint32
}

// keyWord is how every key of ours begins.
const keyWord = "order/"

// journalAsOf returns what the journal showed at a moment, by UID. It may be the
// index itself, whose records nobody changes.
func (s *Server) journalAsOf(at time.Time) ([]stored, error) {
	var seen []stored
	err := s.frame.View(func(tx *sql.Tx) error {
		if err := s.index.read(tx, s.settings); err != nil {
			return err
		}
		if all := s.index.all; !s.index.gone && s.index.newest <= at.UnixNano() {
			seen = all[:len(all):len(all)]
			return nil
		}
		for _, m := range s.index.all {
			if m.shown <= at.UnixNano() && (m.gone == 0 || m.gone > at.UnixNano()) {
				seen = append(seen, m)
			}
		}
		return nil
	})
	return seen, err
}

// read adds what came since; the frame's lock is held. The plus keeps SQLite from
// walking all of the mailbox by its index.
func (x *journalIndex) read(tx *sql.Tx, settings Settings) (err error) {
	defer func() {
		if err != nil {
			*x = journalIndex{} // read in part
		}
	}()
	rows, err := tx.Query(`SELECT id, uid, shown, gone, length(raw), order_id, key, template FROM messages
		WHERE id > ? AND +mailbox = ? ORDER BY id`, x.last, settings.Journal)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var m stored
		if err := rows.Scan(&x.last, &m.uid, &m.shown, &m.gone, &m.size, &m.order, &m.key, &m.template); err != nil {
			return err
		}
		m.lowerOrder, m.key, m.template = strings.ToLower(string(m.order)), strings.ToLower(m.key), strings.ToLower(m.template)
		x.add(m)
	}
	return rows.Err()
}

func (x *journalIndex) add(m stored) {
	x.all = append(x.all, m)
	x.gone = x.gone || m.gone != 0
	x.jumbled = x.jumbled || m.shown < x.newest
	x.newest = max(x.newest, m.shown)
	// A key with the word in it twice is found by more than one order's name.
	rest, ours := strings.CutPrefix(m.key, keyWord)
	of, _, whole := strings.Cut(rest, "/")
	if !ours || !whole || strings.Contains(m.key[1:], keyWord) {
		x.odd = append(x.odd, m.uid)
		return
	}
	if x.keyed == nil {
		x.keyed = map[string][]uint32{}
	}
	x.keyed[of] = append(x.keyed[of], m.uid)
}

// named returns the UIDs of all messages that a search may find, ascending, or false
// when it may be any. The search is in lower case.
func (x *journalIndex) named(c *imap.SearchCriteria) ([]uint32, bool) {
	for _, h := range c.Header {
		if of, whole := wholeOrder(h); whole {
			return ascending(x.keyed[of], x.odd), true
		}
	}
	for _, not := range c.Not {
		if isKeyed(not) {
			return x.odd, true
		}
	}
	for _, or := range c.Or {
		one, ok := x.named(&or[0])
		other, also := x.named(&or[1])
		if ok && also {
			return ascending(one, other), true
		}
	}
	return nil, false
}

// wholeOrder says that a search is for order/42/ in the key, and for which order.
func wholeOrder(h imap.SearchCriteriaHeaderField) (string, bool) {
	rest, ours := strings.CutPrefix(h.Value, keyWord)
	of, after, whole := strings.Cut(rest, "/")
	return of, h.Key == lowerHeaderKey && ours && whole && after == ""
}

// isKeyed says that all that a search is for is a key.
func isKeyed(c imap.SearchCriteria) bool {
	return len(c.Header) == 1 && c.Header[0].Key == lowerHeaderKey && c.Header[0].Value == keyWord &&
		reflect.DeepEqual(c, imap.SearchCriteria{Header: c.Header})
}

func ascending(one, other []uint32) []uint32 {
	all := slices.Concat(one, other)
	slices.Sort(all)
	return slices.Compact(all)
}

// each counts from one place to before another.
func each(begin, end int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := begin; i < end; i++ {
			if !yield(i) {
				return
			}
		}
	}
}
