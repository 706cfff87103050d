// Package tryton is the frame of the simulated systems that are Tryton 6
// servers, the warehouse and the ERP: JSON-RPC over POST /<database>/, sessions,
// and models with search, read, create, write, delete and buttons.
//
// Simulated: log-in and sessions with their two time-outs (a posting wants a
// fresh one), the value classes Decimal, datetime and date, domains with AND, OR
// and dotted names, order, offset and limit, dotted fields in reads, _timestamp,
// create and write dates, unique fields, required fields, links that must exist,
// buttons that are silent no-ops from the wrong state, and errors with HTTP 200.
//
// Not simulated: access rules, translations, wizards, reports, XML-RPC, Basic
// authentication, history, trees (child_of), the retry of serialization
// failures (there are none: calls are answered one by one), on_change methods.
package tryton

import (
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Schema makes the tables of the frame.
const Schema = `
CREATE TABLE IF NOT EXISTS records (
	model   TEXT NOT NULL,
	id      INTEGER NOT NULL,
	name    TEXT,             -- the model's indexed text, as a reference
	parent  TEXT,             -- the model's indexed link
	created INTEGER NOT NULL, -- microseconds
	written INTEGER,          -- microseconds, null until the first write
	data    TEXT NOT NULL,
	PRIMARY KEY (model, id)
);
CREATE INDEX IF NOT EXISTS records_name ON records (model, name);
CREATE INDEX IF NOT EXISTS records_parent ON records (model, parent);
CREATE INDEX IF NOT EXISTS records_created ON records (model, created, id); -- a window's ids are read from the index alone
CREATE INDEX IF NOT EXISTS records_written ON records (model, written, id);
CREATE TABLE IF NOT EXISTS versions ( -- what records were, for stale answers
	model   TEXT NOT NULL,
	id      INTEGER NOT NULL,
	at      INTEGER NOT NULL,
	created INTEGER NOT NULL,
	written INTEGER,
	data    TEXT              -- null: deleted
);
CREATE INDEX IF NOT EXISTS versions_record ON versions (model, id, at);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (key TEXT PRIMARY KEY, made INTEGER NOT NULL, used INTEGER NOT NULL);
`

// The time-outs of a session: old ones are refused, and a posting refuses one
// that was idle for the shorter time.
const (
	sessionLife  = 30 * 24 * time.Hour
	sessionFresh = 5 * time.Minute
)

// Config makes a server.
type Config struct {
	Database string
	User     string
	Password string
	Models   []*Model
	// Classify says what a call is about. The transaction is for reading.
	Classify func(tx *Tx, c Call) simulator.Call
}

// Server answers the JSON-RPC of one database.
type Server struct {
	Frame  *simulator.System
	config Config
	models map[string]*Model
	userID int64
	busy   int // writes that are still to fail so

	changes int64 // of records, counted
	walks   []walk

	settings   map[string]map[int64]Record // of fixed models, by id
	settingsOf int64                       // changes as of which they are
}

// Call is one JSON-RPC call of a model's method.
type Call struct {
	Model   string
	Method  string
	Args    []any // without the context
	Context map[string]any
	// Agent is the caller's User-Agent.
	Agent string
}

// Operation returns the operation that the caller's User-Agent names, or none.
func (c Call) Operation() order.Operation {
	_, rest, ok := strings.Cut(c.Agent, "trueup (")
	if name, _, closed := strings.Cut(rest, ")"); ok && closed {
		return order.Operation(name)
	}
	return ""
}

// IDs returns the record ids that the call is about.
func (c Call) IDs() []int64 {
	if len(c.Args) == 0 {
		return nil
	}
	return integers(c.Args[0])
}

// NewServer returns a server on a frame whose database has Schema.
func NewServer(frame *simulator.System, c Config) *Server {
	s := &Server{Frame: frame, config: c, models: map[string]*Model{}, userID: 1}
	for _, m := range append(c.Models, base()...) {
		s.models[m.Name] = m
	}
	return s
}

// Refusal is Tryton's UserError.
type Refusal struct{ Message string }

func (r *Refusal) Error() string { return r.Message }

// Refuse returns a UserError.
func Refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Warning is Tryton's UserWarning: answered by a record of res.user.warning.
type Warning struct{ Name, Message string }

func (w *Warning) Error() string { return w.Message }

var (
	errConcurrency = errors.New("Records were modified in the meanwhile")                // Tryton's words
	errBusy        = errors.New("could not serialize access due to concurrent update\n") // PostgreSQL's words
	errForbidden   = errors.New("forbidden")
)

// Handler answers POST /<database>/.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{database}/", s.serve)
	return mux
}

type rpc struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params []any           `json:"params"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := simulator.ReadBody(r)
	if err != nil {
		http.Error(w, "cannot read the request", http.StatusBadRequest)
		return
	}
	if r.PathValue("database") != s.config.Database {
		http.NotFound(w, r)
		return
	}
	var in rpc
	if err := decode(body, &in); err != nil || in.Method == "" {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	if in.Method == "common.db.login" {
		s.Frame.Handle(w, r, simulator.Call{Operation: "login", Detail: in.Method}, func(simulator.FaultKind) simulator.Answer {
			return s.login(in)
		})
		return
	}
	call, ok := callOf(in, r.UserAgent())
	if !ok {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	c := simulator.Call{Operation: "lookup"}
	_ = s.Frame.View(func(tx *sql.Tx) error {
		c = s.config.Classify(s.tx(tx), call)
		return nil
	})
	c.Detail = strings.TrimSpace(call.Model + "." + call.Method + " " + c.Detail)
	authorization := r.Header.Get("Authorization")
	s.Frame.Handle(w, r, c, func(kind simulator.FaultKind) simulator.Answer {
		return s.answer(in.ID, authorization, call, c, kind)
	})
}

func callOf(in rpc, agent string) (Call, bool) {
	parts := strings.Split(in.Method, ".")
	if len(parts) < 3 || parts[0] != "model" {
		return Call{}, false
	}
	c := Call{Model: strings.Join(parts[1:len(parts)-1], "."), Method: parts[len(parts)-1], Agent: agent}
	if len(in.Params) > 0 {
		c.Args = in.Params[:len(in.Params)-1]
		c.Context, _ = in.Params[len(in.Params)-1].(map[string]any)
	}
	return c, c.Context != nil
}

func (s *Server) login(in rpc) simulator.Answer {
	if len(in.Params) < 2 {
		return simulator.Answer{Status: http.StatusInternalServerError}
	}
	parameters, _ := in.Params[1].(map[string]any)
	if in.Params[0] != s.config.User || parameters["password"] != s.config.Password {
		return simulator.Answer{Status: http.StatusUnauthorized}
	}
	var key string
	err := s.Frame.Update(func(tx *sql.Tx) error {
		t := s.tx(tx)
		key = fmt.Sprintf("session-%d", t.Count("session"))
		_, err := tx.Exec(`INSERT INTO sessions (key, made, used) VALUES (?, ?, ?)`, key, t.Now.UnixMicro(), t.Now.UnixMicro())
		return err
	})
	return reply(in.ID, []any{s.userID, key}, err)
}

// EndSessions makes every session invalid, as a restart with a new secret or an
// administrator would.
func (s *Server) EndSessions() error {
	return s.Frame.Update(func(tx *sql.Tx) error {
		_, err := tx.Exec(`DELETE FROM sessions`)
		return err
	})
}

// Busy lets the next writes fail as they do when another transaction is in
// their way: HTTP 200, an error, no effect.
func (s *Server) Busy(writes int) error {
	return s.Update(func(*Tx) error {
		s.busy = writes
		return nil
	})
}

// authorized says whether the session may make the call.
func (s *Server) authorized(tx *sql.Tx, now time.Time, header string, fresh bool) bool {
	encoded, ok := strings.CutPrefix(header, "Session ")
	if !ok {
		return false
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	parts := strings.Split(string(plain), ":")
	if err != nil || len(parts) != 3 || parts[0] != s.config.User {
		return false
	}
	var made, used int64
	if tx.QueryRow(`SELECT made, used FROM sessions WHERE key = ?`, parts[2]).Scan(&made, &used) != nil {
		return false
	}
	if now.Sub(time.UnixMicro(made)) > sessionLife || fresh && now.Sub(time.UnixMicro(used)) > sessionFresh {
		return false
	}
	_, err = tx.Exec(`UPDATE sessions SET used = ? WHERE key = ?`, now.UnixMicro(), parts[2])
	return err == nil
}

func (s *Server) answer(id json.RawMessage, authorization string, call Call, c simulator.Call, kind simulator.FaultKind) simulator.Answer {
	if kind == simulator.ReplaysError {
		return simulator.Answer{Status: http.StatusInternalServerError}
	}
	status := http.StatusOK
	var result any
	err := s.Frame.Update(func(tx *sql.Tx) error {
		t := s.tx(tx)
		t.Operation, t.Order, t.Key = c.Operation, c.Order, c.Key
		m := s.models[call.Model]
		fresh := m != nil && m.Fresh[call.Method]
		if !s.authorized(tx, t.Now, authorization, fresh) {
			status = http.StatusUnauthorized
			return nil
		}
		if call.Model == "res.user" && call.Method == "get_preferences" {
			result = map[string]any{"company": 1, "company.rec_name": "Shop", "language": "en", "company_filter": "one", "groups": []int{1}}
			return nil
		}
		if m == nil || !m.offers(call.Method) {
			status = http.StatusForbidden
			return errForbidden
		}
		var err error
		result, err = s.dispatch(t, m, call, kind)
		return err
	})
	if status != http.StatusOK {
		return simulator.Answer{Status: status, Header: http.Header{"Content-Type": {"text/html"}}}
	}
	return reply(id, result, err)
}

// dispatch carries out a call under a fault of the system's own.
func (s *Server) dispatch(t *Tx, m *Model, call Call, kind simulator.FaultKind) (any, error) {
	if !Writes(call.Method) {
		return s.read(t, m, call, kind)
	}
	if s.busy > 0 {
		s.busy--
		return nil, errBusy
	}
	switch kind {
	case simulator.Rejected:
		return nil, Refuse("This is not allowed by the settings of the company.")
	case simulator.Foreign:
		if call.Method == "create" {
			return []int64{1_000_000 + t.Count("foreign")}, nil
		}
		return nil, nil
	}
	result, err := m.act(t, call)
	if err != nil {
		return nil, err
	}
	ids := call.IDs()
	if call.Method == "create" {
		ids, _ = result.([]int64)
	}
	for _, id := range ids {
		switch {
		case kind == simulator.Vanishes:
			t.Erase(m.Name, id)
		case kind == simulator.Partial && m.Partial != nil:
			m.Partial(t, id)
		}
	}
	return result, t.err
}

func (s *Server) read(t *Tx, m *Model, call Call, kind simulator.FaultKind) (any, error) {
	list := t.Operation == "list"
	if kind == simulator.Stale {
		t.AsOf = t.Now.Add(-s.staleness(t.Operation))
	}
	result, err := m.act(t, call)
	rows, isRows := result.([]any)
	if err != nil || !isRows {
		return result, err
	}
	switch {
	case kind == simulator.EmptyList:
		return []any{}, nil
	case kind == simulator.NotListed && list && len(rows) > 0:
		return rows[:len(rows)-1], nil
	case kind == simulator.Foreign:
		for i := range rows {
			rows[i] = foreign(rows[i])
		}
	}
	return rows, nil
}

// foreign makes a record somebody else's: another id, another order.
func foreign(v any) any {
	row, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for k, x := range row {
		switch x := x.(type) {
		case string:
			if strings.HasPrefix(x, "order/") {
				parts := strings.Split(x, "/")
				parts[1] = "FOREIGN-" + parts[1]
				row[k] = strings.Join(parts, "/")
			}
		case int64:
			if k == "id" {
				row[k] = x + 1_000_000
			}
		}
	}
	return row
}

// staleness returns the age of the stale fault that this operation suffers; the
// frame tells a system a fault's kind only.
func (s *Server) staleness(operation order.Operation) time.Duration {
	var age time.Duration
	for _, f := range s.Frame.Faults() {
		if f.Kind == simulator.Stale && f.Fired > 0 && (f.Operation == operation || f.Operation == "*") {
			age = f.Delay
		}
	}
	return age
}

// Writes says whether a method may change something.
func Writes(method string) bool {
	switch method {
	case "search", "search_count", "search_read", "read", "fields_get", "default_get":
		return false
	}
	return true
}

func reply(id json.RawMessage, result any, err error) simulator.Answer {
	out := map[string]any{"id": id}
	var refusal *Refusal
	var warning *Warning
	switch {
	case err == nil:
		out["result"] = result
	case errors.As(err, &refusal):
		out["error"] = []any{"UserError", []any{refusal.Message, "", nil}}
	case errors.As(err, &warning):
		out["error"] = []any{"UserWarning", []any{warning.Name, warning.Message, ""}}
	case errors.Is(err, errConcurrency):
		out["error"] = []any{"ConcurrencyException", err.Error()}
	default:
		out["error"] = []any{err.Error(), ""}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return simulator.Answer{Status: http.StatusInternalServerError}
	}
	return simulator.Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

// Value returns a text that a create call gives a field of its first record.
func (c Call) Value(field string) string {
	if len(c.Args) == 0 {
		return ""
	}
	list, _ := c.Args[0].([]any)
	if len(list) == 0 {
		return ""
	}
	values, _ := list[0].(map[string]any)
	return Text(values[field])
}

// Clause returns the text that a search asks of a field.
func (c Call) Clause(field string) string {
	if len(c.Args) == 0 {
		return ""
	}
	domain, _ := c.Args[0].([]any)
	for _, one := range domain {
		if clause, ok := one.([]any); ok && len(clause) == 3 && clause[0] == field {
			return Text(clause[2])
		}
	}
	return ""
}

// PatternOrder returns the order whose references a LIKE pattern finds.
func PatternOrder(pattern string) (order.ID, bool) {
	parts := strings.Split(pattern, "/")
	if len(parts) < 3 || parts[0] != "order" || !strings.HasSuffix(pattern, "%") {
		return "", false
	}
	id, err := order.ParseID(parts[1])
	return id, err == nil
}

// Fail makes the transaction fail, and its changes with it.
func (t *Tx) Fail(err error) {
	if t.err == nil {
		t.err = err
	}
}
