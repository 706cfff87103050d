package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// searchLimit is the most results of one search page.
const searchLimit = 200

// List walks our deals of a window in the order of their ids. Every page is a
// search of its own for the ids above the last one seen: HubSpot's own paging
// ends at 10,000 results, sorts by one property only, and skips what moves
// while it is walked.
func (c *Client) List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	page, err := c.list(ctx, r)
	if err != nil {
		return reconcile.Page{}, fmt.Errorf("list deals by %s: hubspot: %w", r.By, err)
	}
	return page, nil
}

type filter struct {
	Property string `json:"propertyName"`
	Operator string `json:"operator"`
	Value    string `json:"value,omitempty"`
}

type group struct {
	Filters []filter `json:"filters"`
}

type search struct {
	Groups     []group  `json:"filterGroups"`
	Sorts      []string `json:"sorts"`
	Properties []string `json:"properties"`
	Limit      int      `json:"limit"`
}

func (c *Client) list(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	limit := searchLimit
	if r.Limit > 0 {
		limit = min(r.Limit, searchLimit)
	}
	body, err := c.searchFor(r, limit)
	if err != nil {
		return reconcile.Page{}, apierr.New(apierr.Invalid, "", err)
	}
	q := call{operation: list, method: http.MethodPost, path: "/crm/v3/objects/deals/search", body: body, limit: listLimit}
	at := c.config.Now()
	var answer struct {
		Total   *int      `json:"total"`
		Results *[]object `json:"results"`
	}
	if err := c.do(ctx, q, &answer); err != nil {
		return reconcile.Page{}, err
	}
	if answer.Total == nil || answer.Results == nil {
		return reconcile.Page{}, nonsense(q, "a search without results and total")
	}
	last := r.Cursor
	for _, o := range *answer.Results {
		if !validID(o.ID) || !above(o.ID, last) {
			return reconcile.Page{}, nonsense(q, "a search that is not in the order of its ids")
		}
		last = o.ID
	}
	page := c.page(*answer.Results, at)
	// A total that says more than the page shows is believed even if the page is
	// short; an empty page has nothing to go on from.
	if n := len(*answer.Results); n > 0 && (n == limit || *answer.Total > n) {
		page.Next = last
	} else if n == 0 && *answer.Total > 0 {
		return reconcile.Page{}, nonsense(q, "an empty page of a search that found something")
	}
	return page, nil
}

// searchFor makes the search of one page: of deals that name an order, or that
// come from our channel.
func (c *Client) searchFor(r reconcile.ListRequest, limit int) (search, error) {
	date := map[reconcile.Listing]string{reconcile.ListChanged: "hs_lastmodifieddate", reconcile.ListCreated: "createdate"}[r.By]
	if date == "" {
		return search{}, fmt.Errorf("cannot list by %q", r.By)
	}
	if r.Cursor != "" && !validID(r.Cursor) {
		return search{}, errors.New("the cursor is none of ours")
	}
	ms := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	window := []filter{{date, "GTE", ms(r.From)}, {date, "LT", ms(r.To)}}
	if r.Cursor != "" {
		window = append(window, filter{"hs_object_id", "GT", r.Cursor})
	}
	ours := append(window[:len(window):len(window)], filter{PropertyOrder, "HAS_PROPERTY", ""})
	channel := append(window[:len(window):len(window)], filter{PropertyChannel, "EQ", c.config.Channel})
	return search{
		Groups: []group{{ours}, {channel}}, Sorts: []string{"hs_object_id"}, Properties: dealProperties, Limit: limit,
	}, nil
}

// above compares ids as the numbers they are.
func above(id, last string) bool {
	if len(id) != len(last) {
		return len(id) > len(last)
	}
	return id > last
}

// page sorts deals into those of orders and orphans. Carts are neither, and
// other people's deals are not ours to look at.
func (c *Client) page(found []object, at time.Time) reconcile.Page {
	page := reconcile.Page{Observations: []reconcile.Observation{}}
	for _, o := range found {
		id, ok := orderOf(o)
		if !ok {
			if o.get(PropertyOrder) == "" && o.get(PropertyChannel) != c.config.Channel {
				continue
			}
			what := "a deal of our channel that names no order"
			if o.get(PropertyOrder) != "" {
				what = "a deal whose order id is none"
			}
			page.Orphans = append(page.Orphans, reconcile.Orphan{
				System: string(order.SystemCRM), Record: o.ID, Kind: "deal", What: what, At: o.CreatedAt,
			})
			continue
		}
		seen := reconcile.Observation{System: order.SystemCRM, Order: id, State: reconcile.Present, At: at}
		d, err := c.dealOf(o, "")
		if err != nil {
			seen.State, seen.Why = reconcile.Unreadable, err.Error()
		} else {
			seen.CRM = &reconcile.CRM{Deals: []reconcile.Deal{d}}
			seen.Version = version(*seen.CRM)
		}
		page.Observations = append(page.Observations, seen)
	}
	return page
}
