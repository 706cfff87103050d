package reconciliation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// bulk is a system in which many records changed, each at its moment, and the orders
// that are told of them. Time passes with each poll.
type bulk struct {
	Reader
	Orders
	now   time.Time
	at    []time.Time
	given map[order.ID]int
	polls []int // how many notices were given in each
	// failing cannot be told, so many times each.
	failing map[order.ID]int
	// It cannot be read from one poll to before another, nor in the last of each flaky.
	down, up, flaky int
}

func (b *bulk) List(_ context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	var page reconcile.Page
	if n := len(b.polls); b.down <= n && n < b.up || b.flaky > 0 && n%b.flaky == 0 {
		return page, errors.New("no answer")
	}
	from, _ := strconv.Atoi(r.Cursor)
	for n := from; n < len(b.at); n++ {
		if b.at[n].Before(r.From) || !b.at[n].Before(r.To) {
			continue
		}
		if len(page.Observations) == 1000 {
			page.Next = strconv.Itoa(n)
			break
		}
		page.Observations = append(page.Observations, reconcile.Observation{Order: order.ID(fmt.Sprintf("order-%06d", n)), State: reconcile.Present, Version: b.at[n].String()})
	}
	return page, nil
}

func (b *bulk) Notify(_ context.Context, n Notices) error {
	if b.failing[n.Order] > 0 {
		b.failing[n.Order]--
		return errors.New("no answer")
	}
	b.given[n.Order] += len(n.Notices)
	b.polls[len(b.polls)-1] += len(n.Notices)
	return nil
}

// follow makes so many polls, and returns the cursors as the engine is given them.
func (b *bulk) follow(t *testing.T, since time.Time, polls int) []Cursor {
	t.Helper()
	b.given, b.polls = map[order.ID]int{}, []int{0}
	a := &Activities{Orders: b, Readers: []SystemReader{{order.SystemCRM, b}}, Now: func() time.Time { return b.now }}
	a.Wait = func(_ context.Context, d time.Duration) error {
		b.now, b.polls = b.now.Add(d), append(b.polls, 0)
		return nil
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a.FollowChanges)
	value, err := env.ExecuteActivity(a.FollowChanges, Follow{Systems: []order.System{order.SystemCRM}, Since: since, Every: 15 * time.Second, Polls: polls})
	if err != nil {
		t.Fatal(err)
	}
	var cursors []Cursor
	if err := value.Get(&cursors); err != nil {
		t.Fatal(err)
	}
	return cursors
}

// told says that each order was told, and none more than so many times.
func (b *bulk) told(t *testing.T, most int) {
	t.Helper()
	if len(b.given) != len(b.at) {
		t.Errorf("%d of %d were told", len(b.given), len(b.at))
	}
	for id, n := range b.given {
		if n > most {
			t.Errorf("%s was told %d times", id, n)
			return
		}
	}
}

// An order that cannot be told holds up no other: it is told by a later poll, and who
// was told is not told again. After some minutes the feed goes on without it.
func TestFollowChanges_OneOrderCannotBeTold_TheOthersAreOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		behind       time.Duration // the feed when it is followed
		fails, polls int
		told         bool
	}{
		"for a moment":                  {2 * time.Minute, 3, 8, true},
		"for some minutes":              {2 * time.Minute, 18, 25, true},
		"for ever":                      {2 * time.Minute, 1000, 40, false},
		"for a moment after an outage":  {20 * time.Hour, 3, 8, true},
		"for ever, and after an outage": {20 * time.Hour, 1000, 40, false},
	} {
		b := &bulk{now: now, failing: map[order.ID]int{"order-000001": c.fails}}
		for n := range 4 { // the last of them changes later than the others
			b.at = append(b.at, now.Add(-time.Minute+time.Duration(n/3)*90*time.Second))
		}
		cursors := b.follow(t, now.Add(-c.behind), c.polls)
		for n := range b.at {
			id := order.ID(fmt.Sprintf("order-%06d", n))
			if want := n != 1 || c.told; b.given[id] > 1 || (b.given[id] == 1) != want {
				t.Errorf("%s: %s was told %d times", name, id, b.given[id])
			}
		}
		if through := cursors[0].Through; b.now.Sub(through) > time.Minute {
			t.Errorf("%s: the feed is %s behind", name, b.now.Sub(through))
		}
	}
}

// While a feed cannot be read nobody is told anything: that time is none of the minutes
// for which it waits for one order.
func TestFollowChanges_FeedIsDownWhileItWaitsForAnOrder_WaitsOn(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	b := &bulk{now: now, at: []time.Time{now.Add(-time.Minute)}, failing: map[order.ID]int{"order-000000": 3}, down: 2, up: 30}
	cursors := b.follow(t, now.Add(-2*time.Minute), 40)
	b.told(t, 1)
	if through := cursors[0].Through; b.now.Sub(through) > time.Minute {
		t.Errorf("the feed is %s behind", b.now.Sub(through))
	}
}

// A feed that cannot be read now and then does not wait for one order for ever.
func TestFollowChanges_FeedFailsNowAndThenWhileAnOrderCannotBeTold_GoesOnWithoutIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, flaky := range []int{2, 3} {
		b := &bulk{now: now, failing: map[order.ID]int{"order-000000": 1000}, flaky: flaky}
		b.at = []time.Time{now.Add(-time.Minute), now.Add(time.Minute)}
		cursors := b.follow(t, now.Add(-2*time.Minute), 121)
		if through := cursors[0].Through; b.now.Sub(through) > time.Minute {
			t.Errorf("of %d polls one fails: the feed is %s behind", flaky, b.now.Sub(through))
		}
		if tries := 1000 - b.failing["order-000000"]; tries < 10 || tries > 40 {
			t.Errorf("of %d polls one fails: one order was tried %d times", flaky, tries)
		}
		if b.given["order-000001"] != 1 {
			t.Errorf("of %d polls one fails: the other was told %d times", flaky, b.given["order-000001"])
		}
	}
}

// The engine takes no heartbeat of two megabytes, and does not try again what sent one.
func TestFollowChanges_BulkAtOneMoment_CursorStaysSmallAndNothingIsLost(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	b := &bulk{now: now}
	for range 60_000 {
		b.at = append(b.at, now.Add(-time.Second))
	}
	for _, polls := range []int{1, 4} {
		b.now = now
		cursors := b.follow(t, now.Add(-15*time.Second), polls)
		if data, err := json.Marshal(cursors); err != nil || len(data) > 100_000 {
			t.Errorf("after %d polls the cursor has %d bytes, %v", polls, len(data), err)
		}
		if !cursors[0].Through.Equal(b.now) {
			t.Errorf("after %d polls it is followed to %s", polls, cursors[0].Through)
		}
	}
	b.told(t, 3) // in each poll within the overlap
}

// What came together in a long outage is taken poll by poll: in one it would outlast
// the activity, and begin anew for ever.
func TestFollowChanges_AfterAnOutage_SoManyAPollAndNothingIsLost(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	b := &bulk{now: now}
	for n := range 30_000 { // one each two seconds, and the bulk of one moment
		b.at = append(b.at, now.Add(-time.Duration(2*n)*time.Second))
		if n%10 == 0 {
			b.at = append(b.at, now.Add(-10*time.Hour))
		}
	}
	cursors := b.follow(t, now.Add(-17*time.Hour), 40)
	for n, given := range b.polls {
		if given > 5000 {
			t.Errorf("poll %d has told %d", n+1, given)
		}
	}
	if !cursors[0].Through.Equal(b.now) || cursors[0].Span != 0 {
		t.Errorf("at %s it is followed to %s, by %s at once; the polls told %v", b.now, cursors[0].Through, cursors[0].Span, b.polls)
	}
	b.told(t, 2)
}

// While no more changes than a poll takes, each is given once.
func TestFollowChanges_ShownAgainByTheOverlap_GivenOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	b := &bulk{now: now}
	for n := range 4000 {
		b.at = append(b.at, now.Add(-time.Second).Add(time.Duration(n)*10*time.Millisecond))
	}
	b.follow(t, now.Add(-15*time.Second), 6)
	b.told(t, 1)
}
