package medusa

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// reservation is Medusa's record.
type reservation struct {
	ID          string         `json:"id"`
	Item        string         `json:"inventory_item_id"`
	Location    string         `json:"location_id"`
	Quantity    json.Number    `json:"quantity"`
	LineItem    *string        `json:"line_item_id"`
	Description *string        `json:"description"`
	Metadata    map[string]any `json:"metadata"`
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
	Detail      *struct {
		SKU string `json:"sku"`
	} `json:"inventory_item"`
}

// wanted are the fields that we ask for, without which an answer would carry
// the whole item with each reservation.
const wanted = "id,inventory_item_id,location_id,quantity,line_item_id,description,metadata,created_at,updated_at,inventory_item.sku"

// promise is a reservation that makes sense.
type promise struct {
	reconcile.Reservation
	item     string
	location string
	created  time.Time
	updated  time.Time
}

// reference is the line_item_id of all of an order's reservations.
func reference(id order.ID) string { return "order/" + string(id) }

// parseReference returns whose reservation it is; ours says whether it looks
// like a reference of ours at all.
func parseReference(lineItem *string) (id order.ID, ours bool, err error) {
	if lineItem == nil {
		return "", false, nil
	}
	rest, ours := strings.CutPrefix(*lineItem, "order/")
	if !ours {
		return "", false, nil
	}
	id, err = order.ParseID(rest)
	return id, true, err
}

// description is what a person sees of a reservation in Medusa.
func description(key string, line int) string {
	return key + lineMark + strconv.Itoa(line)
}

const lineMark = " line "

// lineOf returns the line of the order, or 0 when somebody edited both places
// where it is written.
func lineOf(r reservation) int {
	for _, text := range []string{fmt.Sprint(r.Metadata["line"]), afterMark(r.Description)} {
		if n, err := strconv.Atoi(text); err == nil && n > 0 && n <= order.MaxLines {
			return n
		}
	}
	return 0
}

func afterMark(description *string) string {
	if description == nil {
		return ""
	}
	i := strings.LastIndex(*description, lineMark)
	if i < 0 {
		return ""
	}
	return (*description)[i+len(lineMark):]
}

// parse checks what every use of a reservation needs. Of one that is there and does
// not count pieces all but the quantity comes with the error; without an id it is no
// reservation at all.
func parse(r reservation) (promise, error) {
	if r.ID == "" || r.Item == "" || r.CreatedAt.IsZero() || r.UpdatedAt.IsZero() {
		return promise{}, errors.New("a reservation has no id, item or time")
	}
	p := promise{item: r.Item, location: r.Location, created: r.CreatedAt.UTC(), updated: r.UpdatedAt.UTC()}
	p.Reservation = reconcile.Reservation{ID: r.ID, Line: lineOf(r)}
	if r.Detail != nil { // it is gone when somebody deleted the item
		p.SKU = r.Detail.SKU
	}
	var err error
	if p.Quantity, err = pieces(r.Quantity); err != nil {
		return p, fmt.Errorf("reservation %.64s: %w", r.ID, err)
	}
	return p, nil
}

// pieces reads a whole number; Medusa keeps fractions of a piece too.
func pieces(n json.Number) (int64, error) {
	quantity, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.32q is not a number of pieces", n.String())
	}
	return quantity, nil
}

// sorted puts the lines in order and the one to keep of each first: ids grow
// with time, so the lowest is the oldest.
func sorted(all []promise) []promise {
	slices.SortFunc(all, func(a, b promise) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

func reservationsOf(all []promise) []reconcile.Reservation {
	records := make([]reconcile.Reservation, 0, len(all))
	for _, p := range all {
		records = append(records, p.Reservation)
	}
	return records
}

// version is a digest that changes whenever the order's reservations do.
func version(all []promise) string {
	digest := sha256.New()
	for _, p := range all {
		_, _ = fmt.Fprintf(digest, "%s %d %s %d\n", p.ID, p.Quantity, p.SKU, p.updated.UnixNano())
	}
	return hex.EncodeToString(digest.Sum(nil)[:8])
}
