package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Desk is what a person can do in one system by hand; each system implements
// it, and the console offers it over HTTP.
type Desk interface {
	// Frame returns the frame that the system stands in.
	Frame() *System
	// State returns everything that the system holds of an order, or of all when
	// it is empty, in the system's own terms.
	State(of order.ID) (any, error)
	// Edit changes a record as a person in that system would; the fields are the
	// system's own and an unknown one is refused. It appends to the ledger.
	Edit(edit json.RawMessage) error
	// Event sends a notification, or shows it in the change feed, without any
	// record having changed unless its type says that one does.
	Event(event json.RawMessage) error
}

// Console offers a system's ledger, faults, edits and events over HTTP:
//
//	GET    ledger?after=SEQ&order=ID      entries
//	GET    state?order=ID                 records
//	GET    faults                         every fault with how often it fired
//	POST   faults   {operation, kind, times, skip, delay: "30s", order}
//	DELETE faults?operation=OP            ends them
//	POST   edit     the system's own fields
//	POST   event    the system's own fields
//	POST   notifications {type, handling: ""|drop|hold|reorder}
//	POST   clock    {skew: "10m"}
func Console(d Desk) http.Handler {
	s := d.Frame()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) {
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		entries, err := s.Ledger(after, order.ID(r.URL.Query().Get("order")))
		reply(w, entries, err)
	})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		state, err := d.State(order.ID(r.URL.Query().Get("order")))
		reply(w, state, err)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Faults(), nil) })
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, r *http.Request) {
		s.Clear(order.Operation(r.URL.Query().Get("operation")))
		reply(w, s.Faults(), nil)
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Fault
			Delay string `json:"delay"`
		}
		err := read(r, &in)
		if err == nil && in.Delay != "" {
			in.Fault.Delay, err = time.ParseDuration(in.Delay)
		}
		id := 0
		if err == nil {
			id, err = s.Inject(in.Fault)
		}
		reply(w, map[string]int{"id": id}, err)
	})
	mux.HandleFunc("POST /edit", func(w http.ResponseWriter, r *http.Request) {
		var in json.RawMessage
		err := read(r, &in)
		if err == nil {
			err = d.Edit(in)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /event", func(w http.ResponseWriter, r *http.Request) {
		var in json.RawMessage
		err := read(r, &in)
		if err == nil {
			err = d.Event(in)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /notifications", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Type     string   `json:"type"`
			Handling Handling `json:"handling"`
		}
		err := read(r, &in)
		if err == nil {
			s.HandleNotifications(in.Type, in.Handling)
		}
		reply(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /clock", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Skew string `json:"skew"`
		}
		err := read(r, &in)
		var skew time.Duration
		if err == nil {
			skew, err = time.ParseDuration(in.Skew)
		}
		if err == nil {
			s.Skew(skew)
		}
		reply(w, struct{}{}, err)
	})
	return mux
}

func read(r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// ErrNoRecord says that an edit names a record which is not there.
var ErrNoRecord = errors.New("no such record")

func reply(w http.ResponseWriter, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, ErrNoRecord) {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		value = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(value)
}
