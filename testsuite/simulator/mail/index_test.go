package mail

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// What a search finds does not depend on where it is told to look.
func TestIMAP_SearchByIndex_FindsWhatAWalkFinds(t *testing.T) {
	t.Parallel()
	narrowed := 0
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(simulator.Options{}, Settings{Zone: time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		x := &reading{server: s}
		fillJournal(t, s)
		if x.all, err = s.journalAsOf(at(rapid.IntRange(0, 400).Draw(t, "as of"))); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			c := someCriteria(2).Draw(t, "criteria")
			lower(&c)
			places, err := x.places(&c, simulator.Fault{})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(slices.Collect(places)); n < len(x.all) {
				narrowed++
			}
			found, err := x.find(&c, simulator.Call{}, simulator.Fault{})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := uidsOf(found), walk(t, x, c); !slices.Equal(got, want) {
				t.Fatalf("found %v, a walk finds %v", got, want)
			}
		}
	})
	if narrowed == 0 {
		t.Fatal("each search walked all of the journal")
	}
}

// at is a moment some hours after the first.
func at(hours int) time.Time {
	return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours) * time.Hour)
}

// oddKeys are what a key may also be: another's, in capitals, cut short, with the word in it twice.
var oddKeys = []string{"", "Order/1/send/1", "order/1", "order//x", "xorder/1/send/1", "order/2/order/1/send", "order/11/send/1", "order/1/send/2"}

func fillJournal(t *rapid.T, s *Server) {
	var all []Loaded
	hours := 0
	for n := range rapid.IntRange(0, 40).Draw(t, "messages") {
		if hours += rapid.IntRange(0, 12).Draw(t, "hours"); rapid.IntRange(0, 60).Draw(t, "jumbled") == 0 {
			hours -= 30
		}
		key := rapid.SampledFrom(oddKeys).Draw(t, "key")
		if rapid.Bool().Draw(t, "ours") {
			key = fmt.Sprintf("order/%d/send/%d", rapid.IntRange(1, 4).Draw(t, "order"), n)
		}
		raw := fmt.Sprintf("X-Trueup-Order: %d\r\nX-Trueup-Key: %s\r\n\r\nHello\r\n", rapid.IntRange(1, 4).Draw(t, "of"), key)
		all = append(all, Loaded{Raw: []byte(raw), At: at(hours)})
	}
	if err := s.Load(all); err != nil {
		t.Fatal(err)
	}
	err := s.update(func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE messages SET gone = ? WHERE uid = ?`, at(200).UnixNano(), rapid.IntRange(0, 80).Draw(t, "gone"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func someCriteria(depth int) *rapid.Generator[imap.SearchCriteria] {
	return rapid.Custom(func(t *rapid.T) imap.SearchCriteria {
		var c imap.SearchCriteria
		some := func(what string) bool { return rapid.IntRange(0, 2).Draw(t, what) == 0 }
		header := func(name, value string) []imap.SearchCriteriaHeaderField {
			return []imap.SearchCriteriaHeaderField{{Key: name, Value: value}}
		}
		of := fmt.Sprint(rapid.IntRange(1, 4).Draw(t, "of"))
		if some("uids") {
			r := imap.UIDRange{Start: imap.UID(rapid.IntRange(0, 50).Draw(t, "from")), Stop: imap.UID(rapid.IntRange(0, 50).Draw(t, "to"))}
			c.UID = []imap.UIDSet{{r}}
		}
		if some("since") {
			c.Since = at(rapid.IntRange(-50, 300).Draw(t, "since at"))
		}
		if some("before") {
			c.Before = at(rapid.IntRange(-50, 300).Draw(t, "before at"))
		}
		switch rapid.IntRange(0, 5).Draw(t, "by") {
		case 0:
			c.Header = header(headerKey, "order/"+of+"/")
		case 1:
			c.Header = header(headerKey, rapid.SampledFrom(append(oddKeys, "order/", "/send/")).Draw(t, "word"))
		case 2:
			c.Header = header(headerOrder, of)
			c.Not = []imap.SearchCriteria{{Header: header(headerKey, "order/")}}
		case 3:
			if depth > 0 {
				c.Not = []imap.SearchCriteria{someCriteria(depth-1).Draw(t, "not")}
			}
		case 4:
			if depth > 0 {
				c.Or = [][2]imap.SearchCriteria{{someCriteria(depth-1).Draw(t, "one"), someCriteria(depth-1).Draw(t, "other")}}
			}
		}
		return c
	})
}

func walk(t *rapid.T, x *reading, c imap.SearchCriteria) []uint32 {
	uids := []uint32{}
	for i, m := range x.all {
		l := looked{m: m, seq: uint32(i + 1), last: x.all[len(x.all)-1].uid, count: uint32(len(x.all)), zone: x.server.settings.Zone}
		hit, err := l.matches(&c)
		if err != nil {
			t.Fatal(err)
		}
		if hit {
			uids = append(uids, m.uid)
		}
	}
	return uids
}

func uidsOf(found []looked) []uint32 {
	uids := []uint32{}
	for _, l := range found {
		uids = append(uids, l.m.uid)
	}
	return uids
}

// A message that is deleted while a session goes on makes the index anew, and is
// found by what the session still sees.
func TestIMAP_DeletedWhileASessionGoesOn_StillFound(t *testing.T) {
	t.Parallel()
	s, err := New(simulator.Options{}, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	raw := "X-Trueup-Order: 1\r\nX-Trueup-Key: order/1/send/1\r\n\r\nHello\r\n"
	if err := s.Load([]Loaded{{Raw: []byte(raw), At: time.Now().Add(-time.Hour)}, {Raw: []byte(strings.ReplaceAll(raw, "1", "2")), At: time.Now().Add(-time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	x := &reading{server: s}
	if x.all, err = s.journalAsOf(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.remove(Change{Mailbox: s.settings.Journal, Order: order.ID("1")}); err != nil {
		t.Fatal(err)
	}
	c := &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: headerKey, Value: "order/1/"}}}
	found, err := x.find(c, simulator.Call{}, simulator.Fault{})
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
}
