package tryton

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/reconcile"
)

// Window returns the clause that a record was created or changed within the
// window. Both dates are those of a transaction's start, and a record that was
// never changed has no write date.
func Window(r reconcile.ListRequest) Domain {
	within := func(field string) Domain {
		return Domain{[]any{field, ">=", Datetime{r.From}}, []any{field, "<", Datetime{r.To}}}
	}
	if r.By == reconcile.ListCreated {
		return within("create_date")
	}
	return Domain{"OR", within("write_date"), within("create_date")}
}

// Cursor says how far a listing has come: the kind of records that it walks and
// the last id that it gave.
type Cursor struct {
	Kind string
	ID   int64
}

func (c Cursor) String() string { return fmt.Sprintf("%s:%d", c.Kind, c.ID) }

// ParseCursor reads a cursor; the empty one is the start of the first kind.
func ParseCursor(s string, kinds ...string) (Cursor, error) {
	if s == "" {
		return Cursor{Kind: kinds[0]}, nil
	}
	kind, id, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 0 || !slices.Contains(kinds, kind) {
		return Cursor{}, apierr.New(apierr.Invalid, "", errors.New("the cursor is not one of this listing"))
	}
	return Cursor{Kind: kind, ID: n}, nil
}
