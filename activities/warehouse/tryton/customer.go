package tryton

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
)

// customerPrefix begins the codes of our customers' parties. A party's code is
// the one thing in Tryton that is unique, so that two orders of one customer
// never make two parties.
const customerPrefix = "customer/"

type party struct {
	ID       int64  `json:"id"`
	Code     string `json:"code"`
	Location *int64 `json:"customer_location"`
}

// customer finds or makes the party of a customer.
func (c *Client) customer(ctx context.Context, s rpc.Session, who order.Customer) (party, error) {
	code := customerPrefix + who.ID
	p, found, err := c.partyByCode(ctx, s, code)
	if found || err != nil {
		return p, err
	}
	name := who.Name
	if name == "" {
		name = who.ID
	}
	_, err = s.Create(ctx, "party.party", map[string]any{"name": name, "code": code})
	if err != nil && !rpc.Refused(err) { // refused: another order of the customer was faster
		return party{}, fmt.Errorf("make the customer: %w", err)
	}
	refused := err
	p, found, err = c.partyByCode(ctx, s, code)
	if err != nil {
		return party{}, err
	}
	if !found {
		if refused != nil {
			return party{}, fmt.Errorf("make the customer: %w", refused)
		}
		return party{}, apierr.New(apierr.Unavailable, "", errors.New("the customer that was just made is not there"))
	}
	return p, nil
}

func (c *Client) partyByCode(ctx context.Context, s rpc.Session, code string) (party, bool, error) {
	var found []party
	err := s.Find(ctx, rpc.Query{
		Model:  "party.party",
		Where:  rpc.Domain{[]any{"code", "=", code}, []any{"active", "in", []bool{true, false}}},
		Fields: []string{"code", "customer_location"},
	}, &found)
	if err != nil || len(found) == 0 {
		return party{}, false, err
	}
	if found[0].Code != code || found[0].ID <= 0 {
		return party{}, false, rpc.Nonsense("another customer than the one asked for")
	}
	if found[0].Location == nil {
		return party{}, false, apierr.New(apierr.Invalid, "no customer location", errors.New("customers have no location in Tryton's party settings"))
	}
	return found[0], true, nil
}

// address is a party.address as it is read through a shipment.
type address struct {
	Name       string `json:"party_name"`
	Street     string `json:"street"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	Country    *struct {
		Code string `json:"code"`
	} `json:"country."`
}

// addressOf puts an order's address into Tryton's fields. The region goes to the
// city: Tryton knows it only from a list of its own.
func addressOf(a order.Address) address {
	out := address{Name: a.Name, Street: a.Street, PostalCode: a.PostalCode, City: a.City}
	if a.Region != "" {
		out.City += ", " + a.Region
	}
	if a.Country != "" {
		out.Country = &struct {
			Code string `json:"code"`
		}{a.Country}
	}
	return out
}

// line is the address in one line: name, street, postal code and city, country.
func (a address) line() string {
	parts := []string{a.Name, strings.ReplaceAll(a.Street, "\n", ", "), strings.TrimSpace(a.PostalCode + " " + a.City), a.country()}
	var written []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			written = append(written, p)
		}
	}
	return strings.Join(written, ", ")
}

func (a address) country() string {
	if a.Country == nil {
		return ""
	}
	return a.Country.Code
}

// AddressLine returns an order's address as Shipment.Address has it.
func AddressLine(a order.Address) string { return addressOf(a).line() }

// place finds or makes the address of one order: a party.address is never
// changed, and never shared by two orders, so that neither a change of one order
// nor a person's edit of its address touches another.
func (c *Client) place(ctx context.Context, s rpc.Session, id order.ID, p party, to order.Address) (int64, error) {
	want := addressOf(to)
	country, err := c.country(ctx, s, want.country())
	if err != nil {
		return 0, err
	}
	values := map[string]any{
		"party": p.ID, "party_name": orNull(want.Name), "street": orNull(want.Street),
		"postal_code": orNull(want.PostalCode), "city": orNull(want.City), "country": country,
	}
	where := rpc.Domain{}
	for _, field := range []string{"party", "party_name", "street", "postal_code", "city", "country"} {
		where = append(where, []any{field, "=", values[field]})
	}
	var same []struct {
		ID int64 `json:"id"`
	}
	if err := s.Find(ctx, rpc.Query{Model: modelAddress, Where: where, Fields: []string{"id"}}, &same); err != nil {
		return 0, err
	}
	ids := make([]int64, 0, len(same))
	for _, a := range same {
		ids = append(ids, a.ID)
	}
	taken, err := c.taken(ctx, s, id, ids)
	if err != nil {
		return 0, err
	}
	for _, a := range ids {
		if !taken[a] {
			return a, nil
		}
	}
	made, err := s.Create(ctx, modelAddress, values)
	if err != nil {
		return 0, fmt.Errorf("make the address: %w", err)
	}
	return made, nil
}

// taken says which addresses are those of other orders.
func (c *Client) taken(ctx context.Context, s rpc.Session, id order.ID, addresses []int64) (map[int64]bool, error) {
	taken := map[int64]bool{}
	if len(addresses) == 0 {
		return taken, nil
	}
	var users []struct {
		Reference string `json:"reference"`
		Address   int64  `json:"delivery_address"`
	}
	err := s.Find(ctx, rpc.Query{
		Model: modelShipment, Where: rpc.Domain{[]any{"delivery_address", "in", addresses}}, Fields: []string{"reference", "delivery_address"},
	}, &users)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		if ours, _ := rpc.Belongs(u.Reference, id); !ours {
			taken[u.Address] = true
		}
	}
	return taken, nil
}

func (c *Client) country(ctx context.Context, s rpc.Session, code string) (any, error) {
	if code == "" {
		return nil, nil
	}
	var found []struct {
		ID int64 `json:"id"`
	}
	err := s.Find(ctx, rpc.Query{
		Model: "country.country", Where: rpc.Domain{[]any{"code", "=", code}}, Fields: []string{"code"},
	}, &found)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, apierr.New(apierr.Invalid, "unknown country",
			fmt.Errorf("the warehouse does not know the country %s; import countries into Tryton", code))
	}
	return found[0].ID, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
