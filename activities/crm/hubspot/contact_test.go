package hubspot_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	simcrm "github.com/trueup-orders/trueup/testsuite/simulator/crm"
)

func TestUpsertContact_MakesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	r, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil {
		t.Fatal(err)
	}
	want := reconcile.Contact{ID: "1001", CustomerID: "c1", Email: "c1@example.com", Name: "Ada King Lovelace", Phone: "+49 30 1"}
	if r.EmailTaken || r.Contact != want {
		t.Errorf("contact is %+v; want %+v", r, want)
	}
	p := w.state("").Contacts[0].Properties
	if p["firstname"] != "Ada King" || p["lastname"] != "Lovelace" || p["city"] != "Berlin" || p["zip"] != "10117" || p["country"] != "DE" {
		t.Errorf("properties are %v", p)
	}
}

func TestUpsertContact_Repeat_NoEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for range 3 {
		if _, err := w.book.UpsertContact(t.Context(), contactRequest()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.effects(); len(got) != 1 {
		t.Errorf("effects are %v; want one", got)
	}
}

func TestUpsertContact_ConcurrentRepeat_OneContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if r, err := w.book.UpsertContact(t.Context(), contactRequest()); err != nil || r.Contact.ID != "1001" || r.EmailTaken {
				t.Errorf("contact is %+v, %v", r, err)
			}
		})
	}
	all.Wait()
	if n := w.count("contact created"); n != 1 {
		t.Errorf("%d contacts were made; want 1", n)
	}
}

// Two orders of one customer write one contact.
func TestUpsertContact_HandEdited_StaysAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{
		{Customer: "c1", Email: "ada@private.example", Name: "A. Lovelace", OptedOut: true},
	}}})
	w.edit(`{"customer": "c1", "properties": {"city": "London", "lifecyclestage": "vip"}}`)
	r, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil {
		t.Fatal(err)
	}
	want := reconcile.Contact{ID: "1001", CustomerID: "c1", Email: "ada@private.example", Name: "A. Lovelace", Phone: "+49 30 1", OptedOut: true}
	if r.Contact != want || r.EmailTaken {
		t.Errorf("contact is %+v; want %+v", r, want)
	}
	p := w.state("").Contacts[0].Properties
	if p["city"] != "London" || p["address"] != "" || p["lifecyclestage"] != "vip" || p["hs_email_optout"] != "true" {
		t.Errorf("properties are %v: an address is one thing and consent is not ours", p)
	}
	if got := w.effects(); len(got) != 1 || got[0] != "contact changed: phone" {
		t.Errorf("effects are %v; want the phone alone", got)
	}
}

func TestUpsertContact_EmailWithoutCustomer_Adopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "c1@example.com", Name: "Countess"}}}})
	r := contactRequest()
	r.Customer.Email = "C1@Example.com" // HubSpot keeps e-mails in lower case
	got, err := w.book.UpsertContact(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got.EmailTaken || got.Contact.ID != "1001" || got.Contact.CustomerID != "c1" || got.Contact.Name != "Countess" {
		t.Errorf("contact is %+v; want the one that was there", got)
	}
	if w.count("contact created") != 0 {
		t.Error("another contact was made")
	}
}

func TestUpsertContact_EmailOfAnotherCustomer_MadeWithout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Customer: "c2", Email: "c1@example.com"}}}})
	for range 2 { // the second time it is found by its customer id
		got, err := w.book.UpsertContact(t.Context(), contactRequest())
		if err != nil {
			t.Fatal(err)
		}
		if !got.EmailTaken || got.Contact.Email != "" || got.Contact.CustomerID != "c1" {
			t.Errorf("contact is %+v; want one without e-mail, and told", got)
		}
	}
	if n := w.count("contact created"); n != 1 {
		t.Errorf("%d contacts were made; want 1", n)
	}
}

// Somebody merged our contact into another customer's: its e-mail is now that
// one's second, and a get by e-mail finds it by that too.
func TestUpsertContact_MergedAway_MadeWithoutEmail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{
		{Customer: "c1", Email: "c1@example.com"}, {Customer: "c2", Email: "c2@example.com"},
	}}})
	w.edit(`{"customer": "c2", "merge": "c1"}`)
	got, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil {
		t.Fatal(err)
	}
	if !got.EmailTaken || got.Contact.ID == "1002" || got.Contact.CustomerID != "c1" {
		t.Errorf("contact is %+v", got)
	}
}

func TestUpsertContact_AnswerNotGiven_RepeatHasOneEffect(t *testing.T) {
	t.Parallel()
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.ResponseLost:  apierr.InDoubt,
		simulator.ResponseError: apierr.InDoubt,
		simulator.Garbage:       apierr.InDoubt,
		simulator.Unavailable:   apierr.InDoubt, // a 5xx proves nothing about a write
		simulator.Refused:       apierr.InDoubt,
		simulator.ReplaysError:  apierr.InDoubt,
		simulator.Foreign:       apierr.InDoubt,
		simulator.RateLimited:   apierr.RateLimited,
		simulator.Rejected:      apierr.Invalid,
		simulator.Unauthorized:  apierr.Unauthorized,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.inject("upsert", kind)
			_, err := w.book.UpsertContact(t.Context(), contactRequest())
			wantCode(t, err, code)
			if !strings.HasPrefix(err.Error(), "upsert the contact of order 42: hubspot: ") || strings.Contains(err.Error(), "c1") {
				t.Errorf("error is %q", err)
			}
			if _, err := w.book.UpsertContact(t.Context(), contactRequest()); err != nil {
				t.Fatal(err)
			}
			if got := w.state("").Contacts; len(got) != 1 || w.count("contact created") != 1 {
				t.Errorf("contacts are %v after %v", got, w.effects())
			}
			w.fired()
		})
	}
}

func TestUpsertContact_DeliveredTwice_OneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.inject("upsert", simulator.Twice)
	got, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil || got.EmailTaken {
		t.Fatalf("contact is %+v, %v", got, err)
	}
	if n := w.count("contact created"); n != 1 {
		t.Errorf("%d contacts were made; want 1", n)
	}
	w.fired()
}

func TestUpsertContact_LandsAfterTheRepeat_OneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.inject("upsert", simulator.Late, func(f *simulator.Fault) { f.Delay = time.Minute })
	_, err := w.book.UpsertContact(w.givesUp(), contactRequest())
	wantCode(t, err, apierr.InDoubt)
	if _, err := w.book.UpsertContact(t.Context(), contactRequest()); err != nil {
		t.Fatal(err)
	}
	w.waitLate()
	w.clock.pass(2 * time.Minute)
	if n := w.count("contact created"); n != 1 || len(w.state("").Contacts) != 1 {
		t.Errorf("%d contacts were made; want 1", n)
	}
	w.fired()
}

// waitLate waits until the server has noticed that the client gave up, and set
// the late effect's alarm.
func (w *world) waitLate() {
	w.t.Helper()
	select {
	case <-w.clock.set:
	case <-time.After(10 * time.Second):
		w.t.Fatal("the late effect was never set")
	}
}

func TestUpsertContact_LookupFails_NothingIsWritten(t *testing.T) {
	t.Parallel()
	for kind, code := range map[simulator.FaultKind]apierr.Code{
		simulator.Unavailable: apierr.Unavailable, simulator.Refused: apierr.Unavailable, simulator.Garbage: apierr.Garbage,
		simulator.RateLimited: apierr.RateLimited, simulator.Unauthorized: apierr.Unauthorized, simulator.Foreign: apierr.Garbage,
		simulator.ResponseError: apierr.Unavailable,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{})
			w.inject("lookup", kind, func(f *simulator.Fault) { f.Times = -1 })
			_, err := w.book.UpsertContact(t.Context(), contactRequest())
			wantCode(t, err, code)
			if got := w.effects(); len(got) != 0 {
				t.Errorf("effects are %v; want none", got)
			}
			w.fired()
		})
	}
}

func TestUpsertContact_Vanishes_IsInDoubtAndMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.inject("upsert", simulator.Vanishes)
	_, err := w.book.UpsertContact(t.Context(), contactRequest())
	wantCode(t, err, apierr.InDoubt)
	if _, err := w.book.UpsertContact(t.Context(), contactRequest()); err != nil {
		t.Fatal(err)
	}
	if len(w.state("").Contacts) != 1 {
		t.Error("there is not one contact")
	}
}

func TestUpsertContact_WithoutCustomer_Invalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.book.UpsertContact(t.Context(), crm.ContactRequest{Order: "42"})
	wantCode(t, err, apierr.Invalid)
}

// A customer's id may be anything that fits into a text.
func TestUpsertContact_OddCustomerIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for _, id := range []string{".", "..", "a/b", "a?b=c#d", "Zoë 100%", "+1", "ä&=;"} {
		r := contactRequest()
		r.Customer.ID, r.Customer.Email = id, ""
		got, err := w.book.UpsertContact(t.Context(), r)
		if err != nil || got.Contact.CustomerID != id {
			t.Errorf("customer %q: contact is %+v, %v", id, got.Contact, err)
		}
	}
}
