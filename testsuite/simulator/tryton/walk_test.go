package tryton

import (
	"slices"
	"testing"
	"time"
)

// pageOf searches for ids above one, as a client that walks does.
func pageOf(tx *Tx, domain []any, above int64, limit int) ([]int64, error) {
	where := append([]any{clause("id", ">", above)}, domain...)
	if len(domain) > 0 && domain[0] == "OR" {
		where = []any{clause("id", ">", above), domain}
	}
	c := Call{Model: "thing", Method: "search", Args: []any{where, int64(0), int64(limit), []any{clause("id", "ASC")}}}
	found, err := tx.server.models["thing"].search(tx, c)
	ids, _ := found.([]int64)
	return ids, err
}

// walked puts the pages of a walk together.
func walked(tx *Tx, domain []any, limit int) ([]int64, error) {
	var all []int64
	for above := int64(0); ; {
		page, err := pageOf(tx, domain, above, limit)
		all = append(all, page...)
		if err != nil || len(page) < limit {
			return all, err
		}
		above = page[limit-1]
	}
}

// What is walked page by page is what one search finds.
func TestWalk_EachDomain_FindsWhatOneSearchFinds(t *testing.T) {
	t.Parallel()
	s := things(t)
	for _, c := range domains {
		for limit := 1; limit <= 6; limit++ {
			err := s.View(func(tx *Tx) error {
				ids, err := walked(tx, c.domain, limit)
				if !slices.Equal(ids, c.want) {
					t.Errorf("%s, %d a page: %v, want %v", c.name, limit, ids, c.want)
				}
				return err
			})
			if err != nil {
				t.Errorf("%s, %d a page: %v", c.name, limit, err)
			}
		}
	}
}

// A page costs what is on it: the first one of a day of 50,000 read all of them.
func TestWalk_APage_ReadsNoOtherRecords(t *testing.T) {
	t.Parallel()
	s := things(t)
	err := s.Update(func(tx *Tx) error {
		_, err := tx.SQL.Exec(`UPDATE records SET data = 'unreadable' WHERE model = 'thing' AND id >= 4`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(func(tx *Tx) error {
		for _, domain := range [][]any{within("create_date", 0, 1<<60), {clause("n", "<", int64(8)), within("create_date", 0, 1<<60)}} {
			ids, err := pageOf(tx, domain, 1, 2)
			if err != nil || !slices.Equal(ids, []int64{2, 3}) {
				t.Errorf("%v: %v, %v; want 2 and 3", domain, ids, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWalk_AfterAChange_FindsWhatThereIsNow(t *testing.T) {
	t.Parallel()
	s := things(t)
	domain := []any{clause("n", "<", int64(5)), within("create_date", 0, 1<<60)}
	for _, want := range [][]int64{{1, 3, 4}, {3, 4, 5}} {
		err := s.Update(func(tx *Tx) error {
			ids, err := walked(tx, domain, 2)
			if !slices.Equal(ids, want) {
				t.Errorf("%v, want %v", ids, want)
			}
			tx.Set("thing", 1, map[string]any{"n": int64(5)})
			tx.Set("thing", 5, map[string]any{"n": int64(0)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A stale answer is no walk: it shows what was.
func TestWalk_AsOf_ShowsWhatWas(t *testing.T) {
	t.Parallel()
	s := things(t)
	err := s.Update(func(tx *Tx) error {
		between := tx.Now
		tx.Now = tx.Now.Add(time.Second)
		tx.Erase("thing", 3)
		domain := within("create_date", 0, 1<<60)
		for _, c := range []struct {
			asOf time.Time
			want []int64
		}{{time.Time{}, []int64{1, 2, 4, 5}}, {between, []int64{1, 2, 3, 4, 5}}, {time.Time{}, []int64{1, 2, 4, 5}}} {
			tx.AsOf = c.asOf
			ids, err := walked(tx, domain, 2)
			if err != nil || !slices.Equal(ids, c.want) {
				t.Errorf("as of %v: %v, %v; want %v", c.asOf, ids, err, c.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
