package smtp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simulated "github.com/trueup-orders/trueup/testsuite/simulator/mail"
)

// A search knows only substrings: 42 finds 142 and 421, and an order's
// messages are still only its own.
func TestLookup_Substrings_OnlyItsOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ids := []order.ID{w.id("42"), w.id("421"), w.id("42") + "-42", w.id("x42"), w.id("X42")}
		for _, id := range ids {
			w.send(t, w.request(id, 1))
		}
		last := ids[len(ids)-1]
		w.eventually(t, "the last message", func() bool { return len(w.lookup(t, last)) == 1 })
		for _, id := range ids {
			w.eventually(t, "the message of "+string(id), func() bool { return len(w.lookup(t, id)) == 1 })
		}
		if got := w.lookup(t, w.id("4")); len(got) != 0 {
			t.Fatalf("an order without mail has %v", got)
		}
	})
}

// A message that lost its key, or was written by another program, is found by
// its order alone; one that lost its order by its key.
func TestLookup_WithoutKey_FoundByOrder(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for _, c := range []simulated.Change{
		{Do: "put", Order: "42", Template: "confirmation", MessageID: "<a@b>"},
		{Do: "put", Order: "142", Template: "confirmation"},
		{Do: "put", Key: "order/42/send/7", Template: "shipped", MessageID: "<c@d>"},
	} {
		if err := w.server.Change(c); err != nil {
			t.Fatal(err)
		}
	}
	want := []reconcile.Message{
		{MessageID: "<a@b>", Template: "confirmation", At: w.now().Truncate(time.Second)},
		{MessageID: "<c@d>", Template: "shipped", Occasion: 7, At: w.now().Truncate(time.Second)},
	}
	if diff := cmp.Diff(want, w.lookup(t, "42")); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// The journal shows a message when it was delivered there, not when it was
// accepted.
func TestLookup_SearchLag_AbsentThenPresent(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{SearchLag: smtp.Abilities.VisibilityLag})
	w.send(t, w.request("42", 1))
	if got := w.lookup(t, "42"); len(got) != 0 {
		t.Fatalf("shown at once: %v", got)
	}
	w.clock.advance(smtp.Abilities.VisibilityLag)
	got := w.lookup(t, "42")
	if len(got) != 1 || !got[0].At.Equal(w.now().Truncate(time.Second)) {
		t.Fatalf("shown: %v", got)
	}
}

func TestLookup_DeletedByHand_Absent(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	w.send(t, w.request("42", 1))
	w.send(t, w.request("42", 2))
	if err := w.server.Edit([]byte(`{"do": "delete", "order": "42", "message_id": "<order.42.send.1@shop.test>"}`)); err != nil {
		t.Fatal(err)
	}
	if got := w.lookup(t, "42"); len(got) != 1 || got[0].Occasion != 2 {
		t.Fatalf("left: %v", got)
	}
	if err := w.server.Edit([]byte(`{"do": "delete", "uid": 99}`)); err == nil {
		t.Fatal("a message that is not there was deleted")
	}
	if err := w.server.Edit([]byte(`{"do": "delete", "colour": "red"}`)); err == nil {
		t.Fatal("an unknown field was taken")
	}
	w.clock.advance(time.Hour)
	w.inject(t, simulator.Fault{Operation: "lookup", Kind: simulator.Stale, Delay: 2 * time.Hour})
	w.inject(t, simulator.Fault{Operation: "lookup", Kind: simulator.Stale, Delay: time.Hour + time.Nanosecond})
	if got := w.lookup(t, "42"); len(got) != 0 {
		t.Fatalf("two hours ago: %v", got)
	}
}

func TestLookup_Faults_Code(t *testing.T) {
	t.Parallel()
	for kind, want := range map[simulator.FaultKind]apierr.Code{
		simulator.Refused: apierr.Unavailable, simulator.Unavailable: apierr.Unavailable,
		simulator.ResponseLost: apierr.Unavailable, simulator.ResponseError: apierr.Unavailable,
		simulator.Late: apierr.Unavailable, simulator.RateLimited: apierr.RateLimited,
		simulator.Unauthorized: apierr.Unauthorized, simulator.Garbage: apierr.Garbage,
		simulator.Foreign: apierr.Garbage,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := simulatedWorld(t, simulated.Settings{}, func(c *smtp.Config) {
				if kind == simulator.Late {
					c.Timeout = 300 * time.Millisecond
				}
			})
			w.inject(t, simulator.Fault{Operation: "lookup", Kind: kind, Order: "42"})
			w.send(t, w.request("42", 1))
			w.send(t, w.request("7", 1))
			_, err := w.client.Lookup(t.Context(), w.subject("42"))
			wantCode(t, err, want)
			if got := w.lookup(t, "42"); len(got) != 1 {
				t.Fatalf("afterwards: %v", got)
			}
		})
	}
}

func TestLookup_WrongPasswordOrMailbox(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		wrong := w.with(t, func(c *smtp.Config) { c.IMAPPassword = "not-this-one" })
		_, err := wrong.client.Lookup(t.Context(), w.subject("42"))
		wantCode(t, err, apierr.Unauthorized)
		if strings.Contains(err.Error(), "not-this-one") {
			t.Fatalf("the error has the password: %v", err)
		}
		missing := w.with(t, func(c *smtp.Config) { c.Mailbox = "Archive" })
		_, err = missing.client.Lookup(t.Context(), w.subject("42"))
		wantCode(t, err, apierr.Unavailable)
	})
}

// A provider allows a user few sessions; we keep to fewer, and others who take
// them make us wait, not fail.
func TestLookup_Sessions(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{MaxLogins: 4})
	var all sync.WaitGroup
	errs := make(chan error, 40)
	for range cap(errs) {
		all.Go(func() {
			_, err := w.client.Lookup(context.Background(), w.subject("42"))
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	limited := 0
	for err := range errs {
		if err != nil {
			wantCode(t, err, apierr.RateLimited) // the provider has not seen yet that one of ours ended
			limited++
		}
	}
	if limited == cap(errs) {
		t.Fatal("nobody came in")
	}
	crowd := simulatedWorld(t, simulated.Settings{MaxLogins: 1})
	release := crowd.occupy(t)
	_, err := crowd.client.Lookup(t.Context(), crowd.subject("42"))
	wantCode(t, err, apierr.RateLimited)
	if e, ok := errors.AsType[*apierr.Error](err); !ok || e.After <= 0 {
		t.Fatalf("error %v asks for no patience", err)
	}
	release()
}

// A server tells and compares days in its own zone, which may be any.
func TestList_ServerInAnotherZone(t *testing.T) {
	t.Parallel()
	for _, hours := range []int{-12, 14} {
		w := simulatedWorld(t, simulated.Settings{Zone: time.FixedZone("there", hours*3600)})
		w.send(t, w.request("42", 1))
		all, _, _ := w.list(t, reconcile.ListRequest{From: w.now().Add(-time.Second), To: w.now().Add(time.Second)})
		if len(all) != 1 || !all[0].Mail.Messages[0].At.Equal(w.now().Truncate(time.Second)) {
			t.Errorf("%d hours from here: %+v", hours, all)
		}
		if got := w.lookup(t, "42"); len(got) != 1 {
			t.Errorf("%d hours from here: %+v", hours, got)
		}
	}
}

// The longest order id makes header lines that are folded.
func TestLookup_LongestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		id := w.id("") + order.ID(strings.Repeat("a.._", 16))
		id = id[:64]
		sent := w.send(t, w.request(id, 1))
		var found []reconcile.Message
		w.eventually(t, "the message", func() bool { found = w.lookup(t, id); return len(found) == 1 })
		if found[0].MessageID != sent.MessageID || found[0].Occasion != 1 {
			t.Fatalf("sent %+v, found %+v", sent, found[0])
		}
	})
}

func (w world) list(t *testing.T, r reconcile.ListRequest) (all []reconcile.Observation, orphans []reconcile.Orphan, pages int) {
	t.Helper()
	r.By = reconcile.ListCreated
	for {
		page, err := w.client.List(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		all, orphans = append(all, page.Observations...), append(orphans, page.Orphans...)
		pages++
		if page.Next == "" {
			return all, orphans, pages
		}
		if pages > 100 {
			t.Fatal("the listing has no end")
		}
		r.Cursor = page.Next
	}
}

func TestList_SeveralPages_EveryMessageOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		from := w.now().Add(-time.Minute)
		want := map[order.ID]int{w.id("a"): 3, w.id("b"): 3, w.id("c"): 2}
		for n := range 3 {
			for id, most := range want {
				if n < most {
					w.send(t, w.request(id, n+1))
				}
			}
		}
		for id, n := range want {
			w.eventually(t, "all of "+string(id), func() bool { return len(w.lookup(t, id)) == n })
		}
		all, _, pages := w.list(t, reconcile.ListRequest{From: from, To: w.now().Add(time.Minute), Limit: 2})
		if pages < 4 {
			t.Fatalf("%d pages", pages)
		}
		got := map[order.ID]int{}
		for _, o := range all {
			if o.Strong || o.State != reconcile.Present || o.Version == "" {
				t.Fatalf("observation %+v", o)
			}
			if _, ours := want[o.Order]; ours {
				got[o.Order] += len(o.Mail.Messages)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// A page after the first is searched a few pages at a time: what lies far behind, with
// thousands of other days between, is found all the same.
func TestList_FarBehindTheFirst_Found(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	at := w.now().Add(-time.Hour)
	var all []simulated.Loaded
	put := func(id string, at time.Time) {
		raw := "From: " + sender.String() + "\r\nX-Trueup-Order: " + id + "\r\nX-Trueup-Key: order/" + id + "/send/1\r\n\r\nHello\r\n"
		all = append(all, simulated.Loaded{Raw: []byte(raw), At: at})
	}
	put("first", at)
	for n := range 3_000 {
		put(fmt.Sprintf("before-%d", n), at.Add(-30*24*time.Hour))
	}
	put("second", at)
	put("third", at)
	if err := w.server.Load(all); err != nil {
		t.Fatal(err)
	}
	var got []order.ID
	found, _, _ := w.list(t, reconcile.ListRequest{From: at.Add(-time.Minute), To: at.Add(time.Minute), Limit: 1})
	for _, o := range found {
		got = append(got, o.Order)
	}
	if diff := cmp.Diff([]order.ID{"first", "second", "third"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A range n:* holds the last message even when n is after it, so that a page
// after the last one must not show it again.
func TestList_AfterTheLastMessage_Nothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		id := w.id("last")
		w.send(t, w.request(id, 1))
		w.eventually(t, "the message", func() bool { return len(w.lookup(t, id)) == 1 })
		window := reconcile.ListRequest{From: w.now().Add(-time.Minute), To: w.now().Add(time.Minute)}
		first := window
		first.Limit = 1
		page, err := w.client.List(t.Context(), first)
		for err == nil && page.Next != "" {
			first.Cursor = page.Next
			page, err = w.client.List(t.Context(), first)
		}
		if err != nil {
			t.Fatal(err)
		}
		validity, _, ok := strings.Cut(first.Cursor, ".")
		if !ok {
			validity = "1"
		}
		window.Cursor = validity + ".4000000000"
		page, err = w.client.List(t.Context(), window)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Observations)+len(page.Orphans) > 0 || page.Next != "" {
			t.Fatalf("the page after the last is %+v", page)
		}
	})
}

// The search knows days only; the window is kept to the second.
func TestList_Window_Exact(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	start := w.now()
	for _, id := range []order.ID{"1", "2", "3", "4"} {
		w.send(t, w.request(id, 1))
		w.clock.advance(time.Minute)
	}
	all, _, _ := w.list(t, reconcile.ListRequest{From: start.Add(time.Minute), To: start.Add(3 * time.Minute)})
	var got []order.ID
	for _, o := range all {
		got = append(got, o.Order)
	}
	// INTERNALDATE has no fraction: of a window that starts within a second the
	// whole second is shown, and one that ends within it has its start.
	if diff := cmp.Diff([]order.ID{"2", "3", "4"}, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	all, _, _ = w.list(t, reconcile.ListRequest{From: start.Truncate(time.Second).Add(time.Minute), To: start.Truncate(time.Second).Add(3 * time.Minute)})
	if len(all) != 2 {
		t.Fatalf("whole seconds: %+v", all)
	}
}

func TestList_Orphans(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for _, c := range []simulated.Change{
		{Do: "put", MessageID: "<ours@x>", From: "The Shop <orders@SHOP.test>", Subject: "to jane"},
		{Do: "put", MessageID: "<theirs@x>"},
		{Do: "put", MessageID: "<broken@x>", Order: "not an order", Template: "confirmation"},
		{Do: "put", MessageID: "<mixed@x>", Order: "42", Key: "order/43/send/1"},
		{Do: "put", MessageID: "<fine@x>", Order: "42", Template: "confirmation"},
	} {
		if err := w.server.Change(c); err != nil {
			t.Fatal(err)
		}
	}
	all, orphans, _ := w.list(t, reconcile.ListRequest{From: w.now().Add(-time.Hour), To: w.now().Add(time.Hour)})
	if len(all) != 1 || all[0].Order != "42" || len(all[0].Mail.Messages) != 1 {
		t.Fatalf("observations: %+v", all)
	}
	var got []string
	for _, o := range orphans {
		got = append(got, o.Record)
		if strings.Contains(o.What, "jane") || o.System != "mail" || o.Kind != "message" {
			t.Errorf("orphan %+v", o)
		}
	}
	if diff := cmp.Diff([]string{"<ours@x>", "<broken@x>", "<mixed@x>"}, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestList_Faults(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	for _, id := range []order.ID{"1", "2", "3"} {
		w.send(t, w.request(id, 1))
	}
	window := reconcile.ListRequest{From: w.now().Add(-time.Hour), To: w.now().Add(time.Hour)}
	for _, c := range []struct {
		fault simulator.Fault
		want  int
	}{
		{simulator.Fault{Kind: simulator.EmptyList}, 0},
		{simulator.Fault{Kind: simulator.NotListed}, 2},
		{simulator.Fault{Kind: simulator.Stale, Delay: time.Hour}, 0},
		{simulator.Fault{Kind: simulator.Twice}, 3},
	} {
		c.fault.Operation = "list"
		w.inject(t, c.fault)
		if all, _, _ := w.list(t, window); len(all) != c.want {
			t.Errorf("%s: %d orders, want %d", c.fault.Kind, len(all), c.want)
		}
	}
	w.inject(t, simulator.Fault{Operation: "list", Kind: simulator.Garbage})
	_, err := w.client.List(t.Context(), window)
	wantCode(t, err, apierr.Garbage)
	window.Cursor = "nonsense"
	_, err = w.client.List(t.Context(), window)
	wantCode(t, err, apierr.Invalid)
	window.Cursor = "77.1" // of a mailbox that was made anew since
	_, err = w.client.List(t.Context(), window)
	wantCode(t, err, apierr.Conflict)
}

func TestVanishesAndPartial_WhereTheMessageIs(t *testing.T) {
	t.Parallel()
	w := simulatedWorld(t, simulated.Settings{})
	w.inject(t, simulator.Fault{Operation: order.Send, Kind: simulator.Vanishes, Order: "1"})
	w.inject(t, simulator.Fault{Operation: order.Send, Kind: simulator.Partial, Order: "2"})
	w.send(t, w.request("1", 1))
	w.send(t, w.request("2", 1))
	if got := w.mailboxes(t, "1"); len(got) != 0 {
		t.Fatalf("vanished, and in %v", got)
	}
	if diff := cmp.Diff(map[string]int{"jane@customer.test": 1}, w.mailboxes(t, "2")); diff != "" {
		t.Fatal(diff)
	}
}
