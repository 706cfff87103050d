package hubspot_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/order"
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
	if !got.EmailTaken || got.Contact.ID != "1004" || got.Contact.CustomerID != "c1" || w.state("").Contacts[0].Properties["trueup_customer_id"] != "c2" {
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

// Two orders of a new customer, with different addresses, at once: one contact
// with one of the two addresses, and never the street of one in the city of the
// other; each order has its deal, tied to it.
func TestUpsert_TwoOrdersOfOneCustomerAtOnce_OneContactTwoDeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Customer: "c1"}}}})
	first, second := contactRequest(), contactRequest()
	second.ShipTo = order.Address{Street: "1 Main Street", City: "Sacramento", PostalCode: "95814", Region: "CA", Country: "US"}
	second.Order = "43"
	first.Customer.Name, second.Customer.Email = "Ada", "ada@example.com" // the first one knows less
	// The second order writes after the first one's look and before its write.
	once := func() {
		w.arrived.Store(nil)
		r := dealRequest()
		r.Order = second.Order
		w.must(second, r)
	}
	w.arrived.Store(&once)
	w.must(first, dealRequest())

	s := w.state("")
	if len(s.Contacts) != 1 || len(s.Deals) != 2 {
		t.Fatalf("there are %d contacts and %d deals; want 1 and 2", len(s.Contacts), len(s.Deals))
	}
	for _, d := range s.Deals {
		if len(d.Tied) != 1 || d.Tied[0] != s.Contacts[0].ID {
			t.Errorf("deal %s is tied to %v", d.ID, d.Tied)
		}
	}
	p := s.Contacts[0].Properties
	address := strings.Join([]string{p["address"], p["city"], p["zip"], p["state"], p["country"]}, "|")
	if address != "1 Main Street|Sacramento|95814|CA|US" && address != "Unter den Linden 1|Berlin|10117||DE" {
		t.Errorf("address is %s: half of each order's", address)
	}
	if name := p["firstname"] + "|" + p["lastname"]; name != "Ada King|Lovelace" && name != "Ada|" {
		t.Errorf("name is %s: half of each order's", name)
	}
}

// What an order says of its address, name or phone is of that order: a contact
// that has one keeps it.
func TestUpsertContact_NextOrderGoesElsewhere_ContactKeepsItsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.must(contactRequest(), dealRequest())
	before := w.state("42").Contacts[0].Properties
	next := contactRequest()
	next.Order = "43"
	next.Customer = order.Customer{ID: "c1", Email: "office@example.com", Name: "A. L.", Phone: "+1 2"}
	next.ShipTo = order.Address{Street: "1 Main Street", City: "Sacramento", Region: "CA", Country: "US"}
	got, err := w.book.UpsertContact(t.Context(), next)
	if err != nil || got.EmailTaken || got.Contact.Email != "c1@example.com" {
		t.Errorf("contact is %+v, %v", got, err)
	}
	if diff := cmp.Diff(before, w.state("42").Contacts[0].Properties); diff != "" {
		t.Errorf("the contact changed (-before +after):\n%s", diff)
	}
}

// A person merges the customer's contact into one that somebody made by hand:
// the one that is left takes the customer id over, and stays as it is.
func TestUpsertContact_MergedIntoOneMadeByHand_ThatOneIsTheCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "ada@work.example", Name: "Countess Ada"}}}})
	contact, deal := w.must(contactRequest(), dealRequest())
	w.edit(`{"email": "ada@work.example", "merge": "c1"}`)
	before := w.effects()

	got, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil {
		t.Fatal(err)
	}
	if got.Contact.ID != "1003" || got.Contact.CustomerID != "c1" || got.Contact.Name != "Countess Ada" || got.EmailTaken {
		t.Errorf("contact is %+v; want the one that is left", got)
	}
	r := dealRequest()
	r.Contact = contact.Contact.ID // as it was read before the merge
	if d, err := w.book.UpsertDeal(t.Context(), r); err != nil || d.ID != deal.ID {
		t.Errorf("deal is %+v, %v", d, err)
	}
	if o := w.lookup(subject()); len(o.CRM.Contacts) != 1 || o.CRM.Contacts[0].ID != "1003" {
		t.Errorf("crm is %+v", o.CRM)
	}
	if tied := w.state("42").Deals[0].Tied; len(tied) != 1 || tied[0] != "1003" {
		t.Errorf("deal is tied to %v; want the one that is left", tied)
	}
	if diff := cmp.Diff(before, w.effects()); diff != "" {
		t.Errorf("effects (-before +after):\n%s", diff)
	}
}

// The other way round: what was made by hand is merged into the customer's.
func TestUpsertContact_MergedIntoOurs_NothingToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "ada@work.example", Name: "Countess Ada"}}}})
	w.must(contactRequest(), dealRequest())
	w.edit(`{"customer": "c1", "merge": "ada@work.example"}`)
	before := w.effects()
	r := contactRequest()
	r.Customer.Email = "ada@work.example" // it is one of the contact's own now
	got, err := w.book.UpsertContact(t.Context(), r)
	if err != nil || got.EmailTaken || got.Contact.ID != "1003" || got.Contact.Name != "Ada King Lovelace" {
		t.Errorf("contact is %+v, %v", got, err)
	}
	if diff := cmp.Diff(before, w.effects()); diff != "" {
		t.Errorf("effects (-before +after):\n%s", diff)
	}
}

// The e-mail that our contact has not is on a contact without a customer id:
// there would be two of one customer, which only a person can merge.
func TestUpsertContact_EmailOnASecondContact_Told(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Customer: "c1"}, {Email: "c1@example.com"}}}})
	got, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil || !got.EmailTaken || got.Contact.ID != "1001" || got.Contact.Email != "" {
		t.Errorf("contact is %+v, %v", got, err)
	}
	if w.count("contact created") != 0 || w.state("").Contacts[1].Properties["trueup_customer_id"] != "" {
		t.Errorf("effects are %v: the other contact is not ours to touch", w.effects())
	}
}

// Consent is the customer's: whatever happens to contact and deal, no request of
// ours ever names it, in either direction.
func TestUpsertContact_Consent_IsNeverWritten(t *testing.T) {
	t.Parallel()
	for _, optedOut := range []string{"true", "false"} {
		w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{{Email: "c1@example.com"}}}})
		w.edit(`{"email": "c1@example.com", "opted_out": ` + optedOut + `}`)
		for range 2 {
			got, _ := w.must(contactRequest(), dealRequest())
			if got.Contact.OptedOut != (optedOut == "true") {
				t.Errorf("contact is %+v; want opted out %s", got.Contact, optedOut)
			}
			w.edit(`{"customer": "c1", "phone": ""}`) // so that there is something to fill
		}
		for _, effect := range w.effects() {
			if strings.Contains(effect, "optout") {
				t.Errorf("effect is %q", effect)
			}
		}
	}
}

// A contact that a person deleted is made again, and the deal is tied to it.
func TestUpsert_ContactDeleted_MadeAgainAndTied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	before, deal := w.must(contactRequest(), dealRequest())
	w.edit(`{"customer": "c1", "delete": "contact"}`)
	if o := w.lookup(subject()); len(o.CRM.Contacts) != 0 || len(o.CRM.Deals) != 1 {
		t.Errorf("crm is %+v; want a deal without contact", o.CRM)
	}
	after, again := w.must(contactRequest(), dealRequest())
	if after.Contact.ID == before.Contact.ID || again.ID != deal.ID || after.EmailTaken || after.Contact.Email != "c1@example.com" {
		t.Errorf("contact is %+v, deal %+v", after, again)
	}
	if tied := w.state("42").Deals[0].Tied; len(tied) != 1 || tied[0] != after.Contact.ID {
		t.Errorf("deal is tied to %v", tied)
	}
}

// A person merges between our look and our write: the write lands on what is
// left, whose answer has another id, so it is in doubt and looked at again.
func TestUpsertContact_MergedMeanwhile_OneContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{settings: simcrm.Settings{Contacts: []simcrm.Contact{
		{Customer: "c1", Email: "c1@example.com"}, {Email: "ada@work.example", Name: "Countess Ada"},
	}}})
	once := func() {
		w.arrived.Store(nil)
		w.edit(`{"email": "ada@work.example", "merge": "c1"}`)
	}
	w.arrived.Store(&once)
	_, err := w.book.UpsertContact(t.Context(), contactRequest())
	wantCode(t, err, apierr.InDoubt)
	got, err := w.book.UpsertContact(t.Context(), contactRequest())
	if err != nil || got.Contact.ID != "1003" || got.Contact.CustomerID != "c1" || got.EmailTaken {
		t.Errorf("contact is %+v, %v", got, err)
	}
	if n := len(w.state("").Contacts); n != 1 || w.count("contact created") != 0 {
		t.Errorf("there are %d contacts; want 1", n)
	}
}
