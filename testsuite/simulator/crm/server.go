// Package crm is the simulated CRM: a HubSpot account, as far as contacts and
// deals go (CRM API v3, associations v4, properties v3, webhooks with v3
// signatures).
//
// It has HubSpot's manners: every property value is a string; an unknown or
// read-only property is refused with 400; an e-mail is lower-cased and belongs
// to one contact (409 for a second), a unique property to one record (400 with
// CONFLICTING_UNIQUE_VALUE); a get by unique property is strong, a search shows
// what was true Settings.SearchLag ago and ends at 10,000 results; batches take
// 100 records and answer 207 when some are missing; a property that is set to
// what it is changes nothing and announces nothing; our own changes announce
// themselves like anybody's, in arrays, without saying what the order is; an
// archived record frees its unique values; of two contacts that are merged a new
// record is left, to which both ids lead, with the unique values of the primary
// one and both e-mails; setting a stage says whether the deal is closed.
//
// Not simulated: companies, owners, pipelines as objects (one pipeline with four
// stages of its own and any number that Settings.MoreStages names), labels of
// associations, custom objects, property history, batch writes, restoring from
// the bin, workflows, forms, lists, GDPR erasure, scopes (a token is good for all
// or for nothing), rate limits other than the search's, attemptNumber (always
// 0), the older signatures v1 and v2, permissions per record, calculated
// properties other than whether a deal is closed, refusing currencies that the
// account has not switched on.
package crm

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Settings lay the account out. The zero value is a good one.
type Settings struct {
	Token  string // of the private app; default "pat-simulated"
	Portal int64  // the account's number; default 4711
	// Pipeline and stages; default "default", "checkoutpending", "closedwon",
	// "closedlost", "abandonedcart". MoreStages are open ones.
	Pipeline, OpenStage, WonStage, LostStage, AbandonedStage string
	MoreStages                                               []string
	// SearchLag is how far a search lags behind; default 5 s, negative: not at all.
	SearchLag time.Duration
	// SearchResults is where a search ends; default 10,000.
	SearchResults int
	// SearchesPerSecond limits searches; default 0: no limit. HubSpot allows 5.
	SearchesPerSecond int
	// Bare leaves out our own properties: an account before EnsureProperties.
	Bare bool
	// Contacts and Carts are there from the beginning.
	Contacts []Contact
	Carts    []Cart
}

// Contact is a contact that was there before. Without a customer it is one that
// no shop knows.
type Contact struct {
	Customer string `json:"customer,omitempty"`
	Email    string `json:"email,omitempty"`
	Name     string `json:"name,omitempty"`
	Phone    string `json:"phone,omitempty"`
	OptedOut bool   `json:"opted_out,omitempty"`
}

// Cart is an abandoned cart, as a shop announces it: tied to the contact of its
// customer or e-mail, which is made if there is none.
type Cart struct {
	Cart     string         `json:"cart,omitempty"`
	Customer string         `json:"customer,omitempty"`
	Email    string         `json:"email,omitempty"`
	Revenue  int64          `json:"revenue,omitempty"`
	Currency order.Currency `json:"currency,omitempty"` // default EUR
}

func (s Settings) withDefaults() Settings {
	text := func(p *string, d string) {
		if *p == "" {
			*p = d
		}
	}
	text(&s.Token, "pat-simulated")
	text(&s.Pipeline, "default")
	text(&s.OpenStage, "checkoutpending")
	text(&s.WonStage, "closedwon")
	text(&s.LostStage, "closedlost")
	text(&s.AbandonedStage, "abandonedcart")
	if s.Portal == 0 {
		s.Portal = 4711
	}
	if s.SearchLag == 0 {
		s.SearchLag = 5 * time.Second
	}
	if s.SearchResults == 0 {
		s.SearchResults = 10_000
	}
	return s
}

const schema = `
CREATE TABLE IF NOT EXISTS definitions (
	kind   TEXT NOT NULL,
	name   TEXT NOT NULL,
	body   TEXT NOT NULL, -- the definition as JSON
	PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS records (
	kind       TEXT NOT NULL,
	id         INTEGER NOT NULL,
	created    INTEGER NOT NULL, -- nanoseconds
	modified   INTEGER NOT NULL,
	archived   INTEGER NOT NULL,
	merged     INTEGER NOT NULL, -- the record that this one was merged into, or 0
	properties TEXT NOT NULL,
	PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS versions ( -- of records, for searches that lag behind
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	kind       TEXT NOT NULL,
	id         INTEGER NOT NULL,
	at         INTEGER NOT NULL,
	created    INTEGER NOT NULL,
	archived   INTEGER NOT NULL,
	properties TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS versions_record ON versions (kind, id, seq);
CREATE INDEX IF NOT EXISTS versions_created ON versions (kind, created);
CREATE INDEX IF NOT EXISTS versions_at ON versions (kind, at);
CREATE TABLE IF NOT EXISTS uniques (
	kind     TEXT NOT NULL,
	property TEXT NOT NULL,
	value    TEXT NOT NULL,
	id       INTEGER NOT NULL,
	PRIMARY KEY (kind, property, value)
);
CREATE TABLE IF NOT EXISTS associations (
	deal    INTEGER NOT NULL,
	contact INTEGER NOT NULL,
	PRIMARY KEY (deal, contact)
);
CREATE TABLE IF NOT EXISTS counters (
	name TEXT PRIMARY KEY,
	n    INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS last_events ( -- of a type, about an order or record, for events that come again
	about    TEXT PRIMARY KEY,
	id       INTEGER NOT NULL,
	at       INTEGER NOT NULL, -- nanoseconds
	object   INTEGER NOT NULL,
	property TEXT NOT NULL,
	value    TEXT NOT NULL
);
`

// Server is the simulated CRM.
type Server struct {
	settings Settings
	frame    *simulator.System
	endpoint string
	secret   string

	mu          sync.Mutex
	answers     int64 // correlation ids
	second      int64 // in which searches were counted
	searches    int
	definitions map[string]*definition // by kind/name; nil: to be read
	walked      walked                 // under the frame's lock
}

var _ simulator.Desk = (*Server)(nil)

// New opens the account.
func New(o simulator.Options, settings Settings) (*Server, error) {
	frame, err := simulator.Open(order.SystemCRM, schema, o)
	if err != nil {
		return nil, err
	}
	s := &Server{settings: settings.withDefaults(), frame: frame, endpoint: o.Endpoint, secret: o.Secret}
	if err := s.found(); err != nil {
		_ = frame.Close()
		return nil, fmt.Errorf("lay out the simulated crm: %w", err)
	}
	return s, nil
}

// found lays a new database out; one that was laid out before stays as it is.
func (s *Server) found() error {
	laid := false
	_, err := s.desk(func(x *session) error {
		var n int
		if err := x.tx.QueryRow(`SELECT count(*) FROM definitions`).Scan(&n); err != nil {
			return err
		}
		laid = n > 0
		if laid {
			return nil
		}
		for _, d := range builtin(s.settings.Bare) {
			if err := x.define(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || laid {
		return err
	}
	for _, c := range s.settings.Contacts {
		if err := s.AddContact(c); err != nil {
			return err
		}
	}
	for _, c := range s.settings.Carts {
		if err := s.AddCart(c); err != nil {
			return err
		}
	}
	return nil
}

// Frame returns the frame that the account stands in.
func (s *Server) Frame() *simulator.System { return s.frame }

// Handler speaks HubSpot's API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /crm/v3/properties/{kind}/{name}", s.getDefinition)
	mux.HandleFunc("POST /crm/v3/properties/{kind}", s.postDefinition)
	mux.HandleFunc("GET /crm/v3/objects/{kind}/{id}", s.getObject)
	mux.HandleFunc("POST /crm/v3/objects/{kind}", s.postObject)
	mux.HandleFunc("PATCH /crm/v3/objects/{kind}/{id}", s.patchObject)
	mux.HandleFunc("POST /crm/v3/objects/{kind}/batch/read", s.readBatch)
	mux.HandleFunc("POST /crm/v3/objects/{kind}/search", s.search)
	mux.HandleFunc("GET /crm/v4/objects/{kind}/{id}/associations/{to}", s.getAssociations)
	mux.HandleFunc("PUT /crm/v4/objects/{kind}/{id}/associations/default/{to}/{other}", s.putAssociation)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.act(w, r, simulator.Call{Operation: lookup, Detail: r.Method + " of an unknown path"}, func(*session) (int, any, error) {
			return 0, nil, &refusal{status: http.StatusNotFound, message: "resource not found"}
		})
	})
	return mux
}

// lookup, list and settings are the operations beside upsert.
const (
	lookup   order.Operation = "lookup"
	list     order.Operation = "list"
	settings order.Operation = "settings"
)

// act answers one classified request in one transaction, and announces what it
// changed.
func (s *Server) act(w http.ResponseWriter, r *http.Request, c simulator.Call, f func(x *session) (int, any, error)) {
	authorized := r.Header.Get("Authorization") == "Bearer "+s.settings.Token
	s.frame.Handle(w, r, c, func(kind simulator.FaultKind) simulator.Answer {
		if !authorized {
			return s.refuse(&refusal{
				status: http.StatusUnauthorized, category: "INVALID_AUTHENTICATION",
				message: "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
			})
		}
		if a, done := s.fault(c, kind); done {
			return a
		}
		x := &session{server: s, kind: kind, entry: simulator.EntryEffect, operation: c.Operation, order: c.Order, source: "INTEGRATION"}
		var status int
		var body any
		err := s.frame.Update(func(tx *sql.Tx) error {
			x.tx = tx
			var err error
			status, body, err = f(x)
			return err
		})
		if err != nil {
			if c.Operation == settings {
				s.forget() // what was read may have been rolled back
			}
			return s.refuse(err)
		}
		s.announce(x.changes)
		if x.kind == simulator.Vanishes {
			s.vanish(x.touched)
		}
		return s.reply(status, body, c.Operation == list)
	})
}

// fault answers the faults that need no look at the records.
func (s *Server) fault(c simulator.Call, kind simulator.FaultKind) (simulator.Answer, bool) {
	switch {
	case c.Operation != order.Upsert:
		return simulator.Answer{}, false
	case kind == simulator.Rejected:
		return s.refuse(invalid("", "VALIDATION_RULE", "a rule of this account refuses the record")), true
	case kind == simulator.ReplaysError: // without keys there is nothing under which it could be stored
		return s.refuse(&refusal{status: http.StatusInternalServerError, category: "INTERNAL_ERROR", message: "internal error"}), true
	case kind == simulator.Foreign:
		return s.reply(http.StatusOK, foreign("contacts"), false), true
	}
	return simulator.Answer{}, false
}

// vanish removes records right after the answer that says they are there.
func (s *Server) vanish(touched []*record) {
	_, _ = s.desk(func(x *session) error {
		for _, r := range touched {
			if err := x.archive(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// refusal is an error in HubSpot's words.
type refusal struct {
	status   int
	category string
	message  string
}

func (r *refusal) Error() string { return r.message }

// invalid is the refusal of a property's value.
func invalid(property, code, message string) *refusal {
	detail, _ := json.Marshal([]map[string]any{{
		"isValid": false, "message": message, "error": code, "name": property, "localizedErrorMessage": message,
	}})
	return &refusal{status: http.StatusBadRequest, category: "VALIDATION_ERROR", message: "Property values were not valid: " + string(detail)}
}

func malformed(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, category: "VALIDATION_ERROR", message: message}
}

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, category: "OBJECT_NOT_FOUND", message: "Object not found.  objectId are usually numeric."}
}

func (s *Server) refuse(err error) simulator.Answer {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = &refusal{status: http.StatusInternalServerError, category: "INTERNAL_ERROR", message: err.Error()}
	}
	s.mu.Lock()
	s.answers++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", s.answers)
	s.mu.Unlock()
	body := map[string]string{"status": "error", "message": r.message, "correlationId": id}
	if r.category != "" {
		body["category"] = r.category
	}
	return s.reply(r.status, body, false)
}

func (s *Server) reply(status int, body any, search bool) simulator.Answer {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"status":"error","message":"`+strconv.Quote(err.Error())+`"}`)
	}
	h := http.Header{"Content-Type": {"application/json;charset=utf-8"}}
	if !search { // a search's answer has none of these
		h.Set("X-HubSpot-RateLimit-Interval-Milliseconds", "10000")
		h.Set("X-HubSpot-RateLimit-Max", "190")
	}
	return simulator.Answer{Status: status, Header: h, Body: data}
}
