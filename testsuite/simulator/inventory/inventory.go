// Package inventory simulates the inventory: the part of Medusa's Admin API
// (v2, checked against 2.21.2) with which stock is promised to orders.
//
// Simulated with the real one's manners: sign-in by e-mail and password and by
// secret API key; stock locations, inventory items, their levels; reservations,
// which are not idempotent, are refused when not enough is available, and are
// softly deleted, twice without complaint. A stocked quantity may be set below
// what is reserved; then every change of a reservation of that item is refused,
// also one that lowers it, and only a deletion helps. A change that changes
// nothing leaves updated_at alone. Metadata are merged. line_item_id cannot be
// changed. A list knows the filters, orders and fields that the real one does,
// and an unknown parameter or field is refused by name.
//
// Not simulated: products, variants, carts and orders of Medusa's own; batch
// routes; kits; backorders; fractions of a piece (refused here, taken there);
// roles; the search parameter q on anything but a reservation's description;
// $and and $or; filters by quantity; more than one user; key rotation; events.
package inventory

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

const schema = `
CREATE TABLE IF NOT EXISTS location (
	n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL DEFAULT '', name TEXT NOT NULL, created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS item (
	n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL DEFAULT '', sku TEXT NOT NULL UNIQUE, title TEXT, created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS level (
	n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL DEFAULT '', item TEXT NOT NULL, location TEXT NOT NULL,
	stocked INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
	UNIQUE (item, location)
);
CREATE TABLE IF NOT EXISTS reservation (
	n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL DEFAULT '', item TEXT NOT NULL, location TEXT NOT NULL,
	quantity INTEGER NOT NULL, line_item_id TEXT, description TEXT, metadata TEXT,
	created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, -- milliseconds, as the real one shows
	deleted_at INTEGER
);
CREATE INDEX IF NOT EXISTS reservation_line_item ON reservation (line_item_id);
CREATE INDEX IF NOT EXISTS reservation_id ON reservation (id);
CREATE INDEX IF NOT EXISTS reservation_item ON reservation (item, location) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS reservation_created ON reservation (created_at) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS reservation_updated ON reservation (updated_at) WHERE deleted_at IS NULL;
CREATE TABLE IF NOT EXISTS token (
	n INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL DEFAULT '', until INTEGER NOT NULL
);
`

// The credentials when Settings name no others.
const (
	DefaultEmail    = "admin@example.com"
	DefaultPassword = "supersecret"
	DefaultAPIKey   = "sk_simulated"
	DefaultLocation = "Main warehouse"
)

// tokenLife is how long a signed-in user stays so, as Medusa's default.
const tokenLife = 24 * time.Hour

// Settings describe the shop that the inventory belongs to.
type Settings struct {
	// Stock is the stocked quantity of each SKU at the start. An existing
	// database keeps what it has.
	Stock map[string]int64
	// Location is the name of the stock location; DefaultLocation when empty.
	Location string
	// ReservationTTL lets the inventory delete reservations of this age by
	// itself; 0: never.
	ReservationTTL time.Duration
	// The credentials; the defaults above when empty.
	Email, Password, APIKey string
}

// Server is the simulated inventory.
type Server struct {
	frame    *simulator.System
	settings Settings
}

var _ simulator.Desk = (*Server)(nil)

// New opens the inventory and stocks it.
func New(o simulator.Options, settings Settings) (*Server, error) {
	for field, fallback := range map[*string]string{
		&settings.Location: DefaultLocation, &settings.Email: DefaultEmail,
		&settings.Password: DefaultPassword, &settings.APIKey: DefaultAPIKey,
	} {
		if *field == "" {
			*field = fallback
		}
	}
	frame, err := simulator.Open(order.SystemInventory, schema, o)
	if err != nil {
		return nil, err
	}
	s := &Server{frame: frame, settings: settings}
	if err := frame.Update(s.stockUp); err != nil {
		_ = frame.Close()
		return nil, fmt.Errorf("stock the simulated inventory: %w", err)
	}
	if err := s.expireOld(); err != nil {
		_ = frame.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the inventory's database.
func (s *Server) Close() error { return s.frame.Close() }

// Frame returns the frame that the inventory stands in.
func (s *Server) Frame() *simulator.System { return s.frame }

func (s *Server) stockUp(tx *sql.Tx) error {
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM location`).Scan(&n); err != nil || n > 0 {
		return err
	}
	place, err := s.addLocation(tx, s.settings.Location)
	if err != nil {
		return err
	}
	for _, sku := range slices.Sorted(maps.Keys(s.settings.Stock)) {
		id, err := s.addItem(tx, sku, nil)
		if err == nil {
			err = s.addLevel(tx, id, place, s.settings.Stock[sku])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Handler returns the Admin API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	mux.HandleFunc("POST /auth/user/emailpass", s.signIn)
	mux.HandleFunc("GET /admin/stock-locations", s.listLocations)
	mux.HandleFunc("POST /admin/stock-locations", s.createLocation)
	mux.HandleFunc("GET /admin/inventory-items", s.listItems)
	mux.HandleFunc("POST /admin/inventory-items", s.createItem)
	mux.HandleFunc("GET /admin/inventory-items/{id}/location-levels", s.listLevels)
	mux.HandleFunc("POST /admin/inventory-items/{id}/location-levels", s.createLevel)
	mux.HandleFunc("POST /admin/inventory-items/{id}/location-levels/{location}", s.setLevel)
	mux.HandleFunc("GET /admin/reservations", s.listReservations)
	mux.HandleFunc("POST /admin/reservations", s.createReservation)
	mux.HandleFunc("GET /admin/reservations/{id}", s.getReservation)
	mux.HandleFunc("POST /admin/reservations/{id}", s.updateReservation)
	mux.HandleFunc("DELETE /admin/reservations/{id}", s.deleteReservation)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<pre>Cannot %s route</pre>\n", r.Method)
	})
	return mux
}

// handle answers a call of the Admin API for whoever is signed in.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, c simulator.Call, do simulator.Do) {
	if c.Detail == "" {
		c.Detail = r.Method + " " + r.URL.Path
	}
	s.frame.Handle(w, r, c, func(kind simulator.FaultKind) simulator.Answer {
		if !s.signedIn(r) {
			return answer(http.StatusUnauthorized, fields{"message": "Unauthorized"})
		}
		if kind == simulator.ReplaysError {
			return broken() // it has no keys to store an answer under
		}
		return do(kind)
	})
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	body, _ := simulator.ReadBody(r)
	var in struct{ Email, Password string }
	bad := json.Unmarshal(body, &in) != nil || in.Email != s.settings.Email || in.Password != s.settings.Password
	s.frame.Handle(w, r, simulator.Call{Operation: "login"}, func(kind simulator.FaultKind) simulator.Answer {
		if bad || kind == simulator.Rejected {
			return refuse(http.StatusUnauthorized, "unauthorized", "Invalid email or password")
		}
		if kind == simulator.ReplaysError {
			return broken()
		}
		return s.update(func(tx *sql.Tx) (simulator.Answer, error) {
			until := s.frame.Now().Add(tokenLife)
			n, err := insert(tx, `INSERT INTO token (until) VALUES (?)`, until.UnixMilli())
			if err != nil {
				return simulator.Answer{}, err
			}
			token := fmt.Sprintf("simulated.%d.token", n)
			_, err = tx.Exec(`UPDATE token SET token = ? WHERE n = ?`, token, n)
			return answer(http.StatusOK, fields{"token": token}), err
		})
	})
}

func (s *Server) signedIn(r *http.Request) bool {
	kind, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch kind {
	case "Basic": // the key as user name, or bare
		if user, _, ok := r.BasicAuth(); ok {
			credential = user
		}
		return credential == s.settings.APIKey
	case "Bearer":
		valid := false
		_ = s.frame.View(func(tx *sql.Tx) error {
			return tx.QueryRow(`SELECT count(*) > 0 FROM token WHERE token = ? AND until > ?`,
				credential, s.frame.Now().UnixMilli()).Scan(&valid)
		})
		return valid
	}
	return false
}

// fields is a JSON object.
type fields = map[string]any

// refusal is an answer by which a transaction is rolled back.
type refusal struct{ answer simulator.Answer }

func (r *refusal) Error() string { return strings.TrimSpace(string(r.answer.Body)) }

func answer(status int, body any) simulator.Answer {
	data, err := json.Marshal(body)
	if err != nil { // maps of numbers and strings
		panic(err)
	}
	return simulator.Answer{
		Status: status, Body: data,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}
}

func refuse(status int, kind, message string) simulator.Answer {
	return answer(status, fields{"type": kind, "message": message})
}

// broken is how the real one answers anything that it did not foresee.
func broken() simulator.Answer {
	return answer(http.StatusInternalServerError,
		fields{"code": "unknown_error", "type": "unknown_error", "message": "An unknown error occurred."})
}

// update runs f in a transaction that an error of it rolls back.
func (s *Server) update(f func(tx *sql.Tx) (simulator.Answer, error)) simulator.Answer {
	return s.run(s.frame.Update, f)
}

// view runs f in a transaction that leaves nothing behind.
func (s *Server) view(f func(tx *sql.Tx) (simulator.Answer, error)) simulator.Answer {
	return s.run(s.frame.View, f)
}

func (s *Server) run(in func(func(*sql.Tx) error) error, f func(tx *sql.Tx) (simulator.Answer, error)) simulator.Answer {
	var a simulator.Answer
	err := in(func(tx *sql.Tx) (err error) {
		a, err = f(tx)
		return err
	})
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.answer
	}
	if err != nil {
		return broken()
	}
	return a
}

// insert returns the number of the row that it made.
func insert(tx *sql.Tx, query string, args ...any) (int64, error) {
	done, err := tx.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	return done.LastInsertId()
}

// identifier looks and sorts like the real one's: a prefix and 26 characters
// that grow with time.
func identifier(prefix string, n int64) string { return fmt.Sprintf("%s_01%024d", prefix, n) }

// moment writes a time as JavaScript does.
func moment(milliseconds int64) string {
	return time.UnixMilli(milliseconds).UTC().Format("2006-01-02T15:04:05.000Z")
}
