package tryton

import (
	"slices"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

func TestLike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"order/%", "order/1", true}, {"order/%", "orde", false}, {"a_c", "abc", true}, {"a_c", "ac", false}, {`a\_c`, "abc", false},
		{`a\_c`, "a_c", true}, {"%", "", true}, {"", "a", false}, {"%b%", "abc", true}, {"%b", "abc", false},
	} {
		if got := like(c.pattern, c.text); got != c.want {
			t.Errorf("%q LIKE %q = %t", c.text, c.pattern, got)
		}
	}
}

// things is a model with everything that a domain can ask about.
func things(t *testing.T) *Server {
	t.Helper()
	frame, err := simulator.Open(order.SystemWarehouse, Schema, simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = frame.Close() })
	s := NewServer(frame, Config{Database: "d", User: "u", Password: "p", Models: []*Model{
		{
			Name: "thing", Title: "Thing", Index: "name", Parent: "box", Fields: []string{"name", "n", "price", "on", "ok"},
			Links: map[string]Link{"box": {Model: "box"}},
		},
		{Name: "box", Title: "Box", Fields: []string{"label"}, Links: map[string]Link{"things": {Model: "thing", Via: "box"}}},
	}})
	err = s.Update(func(tx *Tx) error {
		box := tx.Insert("box", map[string]any{"label": "red"})
		for i, name := range []string{"a/1", "a/2", "b/1", "a_1"} {
			tx.Insert("thing", map[string]any{
				"name": name, "n": int64(i), "price": Decimal("1.50"), "on": Day("2026-11-2" + string(rune('0'+i))), "ok": i == 1, "box": box,
			})
		}
		tx.Insert("thing", map[string]any{"name": nil, "n": int64(9)})
		tx.Set("thing", 2, map[string]any{"n": int64(7)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asked is a domain, and what it finds of things.
type asked struct {
	name   string
	domain []any
	want   []int64
}

func clause(v ...any) []any { return v }

// within is a window as the adapters ask for it.
func within(field string, from, to int64) []any {
	return []any{clause(field, ">=", Moment(from)), clause(field, "<", Moment(to))}
}

var domains = []asked{
	{"everything", nil, []int64{1, 2, 3, 4, 5}},
	{"equal", []any{clause("name", "=", "a/1")}, []int64{1}},
	{"null", []any{clause("name", "=", nil)}, []int64{5}},
	{"not null", []any{clause("name", "!=", nil)}, []int64{1, 2, 3, 4}},
	{"in", []any{clause("id", "in", []any{int64(2), int64(4), int64(8)})}, []int64{2, 4}},
	{"in nothing", []any{clause("id", "in", []any{})}, nil},
	{"not in", []any{clause("name", "not in", []any{"a/1", "b/1"})}, []int64{2, 4, 5}},
	{"like", []any{clause("name", "like", "a/%")}, []int64{1, 2}},
	{"like with a wildcard", []any{clause("name", "like", "a_1")}, []int64{1, 4}},
	{"ilike", []any{clause("name", "ilike", "A/%")}, []int64{1, 2}},
	{"and", []any{clause("name", "like", "a%"), clause("n", ">", int64(1))}, []int64{2, 4}},
	{"said to be and", []any{"AND", clause("name", "like", "a%"), clause("n", ">", int64(1))}, []int64{2, 4}},
	{"or", []any{"OR", clause("n", "=", int64(0)), clause("n", "=", int64(9))}, []int64{1, 5}},
	{"or within", []any{clause("id", "<", int64(5)), []any{"OR", clause("n", "=", int64(0)), clause("n", ">=", int64(3))}}, []int64{1, 2, 4}},
	{"and within or", []any{"OR", []any{clause("id", ">", int64(1)), clause("id", "<", int64(3))}, clause("id", "=", int64(5))}, []int64{2, 5}},
	{"dotted", []any{clause("box.label", "=", "red"), clause("n", "<=", int64(2))}, []int64{1, 3}},
	{"linked", []any{clause("box", "=", int64(1)), clause("id", ">", int64(3))}, []int64{4}},
	{"decimal", []any{clause("price", "=", Decimal("1.5"))}, []int64{1, 2, 3, 4}},
	{"date", []any{clause("on", "<", Day("2026-11-21"))}, []int64{1}},
	{"unticked is empty", []any{clause("ok", "!=", true)}, []int64{1, 3, 4, 5}},
	{"never written", []any{clause("write_date", "=", nil)}, []int64{1, 3, 4, 5}},
	{"created", []any{clause("create_date", ">=", Moment(0))}, []int64{1, 2, 3, 4, 5}},
	{"window", []any{"OR", []any{clause("write_date", ">=", Moment(0)), clause("write_date", "<", Moment(1<<60))}, clause("create_date", "<", Moment(0))}, []int64{2}},
	{"window of what was never written", []any{"OR", within("write_date", 0, 1), within("create_date", 0, 1<<60)}, []int64{1, 2, 3, 4, 5}},
	{"window of both dates", []any{[]any{"OR", within("write_date", 0, 1<<60), within("create_date", 0, 1)}}, []int64{2}},
	{"window beside what has no index", []any{[]any{"OR", clause("name", "like", "a/%"), clause("n", "=", int64(9))}, within("create_date", 0, 1<<60)}, []int64{1, 2, 5}},
	{"or in and in or", []any{"OR", []any{"AND", clause("id", "<", int64(4)), []any{"OR", clause("name", "=", "b/1"), clause("n", "=", int64(7))}}, clause("name", "=", nil)}, []int64{2, 3, 5}},
	{"name and date", []any{clause("name", "like", "a/%"), clause("create_date", ">=", Moment(0)), clause("n", "<", int64(5))}, []int64{1}},
}

func TestDomains(t *testing.T) {
	t.Parallel()
	s := things(t)
	for _, c := range domains {
		err := s.View(func(tx *Tx) error {
			found, err := tx.Find("thing", c.domain)
			var ids []int64
			for _, r := range found {
				ids = append(ids, r.ID)
			}
			if !slices.Equal(ids, c.want) {
				t.Errorf("%s: %v, want %v", c.name, ids, c.want)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A search for many orders finds each by the index, wherever its OR stands: the
// whole of a model was read for each otherwise.
func TestNarrow_Or_FoundByTheIndex(t *testing.T) {
	t.Parallel()
	m := things(t).models["thing"]
	names := []any{"OR", clause("name", "like", "a/%"), clause("name", "=", "b/1"), clause("id", "=", int64(5))}
	two := []any{"OR", clause("name", "=", "b/1")}
	many := []any{"OR"}
	for i := range int64(600) {
		many = append(many, clause("id", "=", i))
	}
	for _, c := range []struct {
		name   string
		domain []any
		args   int
	}{
		{"at the top", names, 7},
		{"within", []any{clause("id", "<", int64(9)), names}, 8},
		{"of one branch", []any{two}, 2},
		{"beside an AND", []any{"AND", clause("id", "<", int64(9)), two}, 3},
		{"of what has no index", []any{"OR", clause("n", "=", int64(1)), clause("id", "=", int64(1))}, 0},
		{"of more than SQLite joins", many, 0},
	} {
		where, args := m.narrow(c.domain)
		if len(args) != c.args || (where == "") != (c.args == 0) {
			t.Errorf("%s: %q %v, want %d values", c.name, where, args, c.args)
		}
	}
}

func TestDomain_UnknownField_IsAnError(t *testing.T) {
	t.Parallel()
	s := things(t)
	err := s.View(func(tx *Tx) error {
		_, err := tx.Find("thing", []any{[]any{"nofield", "=", int64(1)}})
		return err
	})
	if err == nil || err.Error() != "'nofield'" {
		t.Errorf("error = %v, want Tryton's", err)
	}
}

func TestFind_AsOf_AnswersWithWhatWas(t *testing.T) {
	t.Parallel()
	s := things(t)
	var between time.Time
	err := s.Update(func(tx *Tx) error {
		between = tx.Now
		tx.Now = tx.Now.Add(time.Second)
		tx.Set("thing", 1, map[string]any{"n": int64(100)})
		tx.Erase("thing", 3)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.View(func(tx *Tx) error {
		for _, c := range []struct {
			asOf time.Time
			n    int64
			all  int
		}{{time.Time{}, 100, 4}, {between, 0, 5}, {between.Add(-time.Hour), 0, 0}} {
			tx.AsOf = c.asOf
			all, err := tx.Find("thing", nil)
			if err != nil || len(all) != c.all || c.all > 0 && Int(all[0].Values["n"]) != c.n {
				t.Errorf("as of %v: %v, %v; want %d with %d first", c.asOf, all, err, c.all, c.n)
			}
		}
		return nil
	})
}
