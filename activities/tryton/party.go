package tryton

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
)

// CustomerPrefix begins the codes of our customers' parties. A party's code is
// the one thing in Tryton that is unique, so that two orders of one customer
// never make two parties.
const CustomerPrefix = "customer/"

// Party is a party.party; Location is read only when it is asked for.
type Party struct {
	ID       int64  `json:"id"`
	Code     string `json:"code"`
	Location *int64 `json:"customer_location"`
}

// Party finds or makes the party of a customer and returns its id.
func (s Session) Party(ctx context.Context, who order.Customer) (int64, error) {
	p, err := s.PartyWith(ctx, who)
	return p.ID, err
}

// PartyWith finds or makes the party of a customer, and reads more of it than
// its code.
func (s Session) PartyWith(ctx context.Context, who order.Customer, fields ...string) (Party, error) {
	code := CustomerPrefix + who.ID
	fields = append([]string{"code"}, fields...)
	found, err := s.partyByCode(ctx, code, fields)
	if found.ID != 0 || err != nil {
		return found, err
	}
	name := who.Name
	if name == "" {
		name = who.ID
	}
	// Refused: another order of the customer was faster, and it is there now.
	_, refused := s.Create(ctx, "party.party", map[string]any{"name": name, "code": code})
	if refused != nil && !Refused(refused) {
		return Party{}, fmt.Errorf("make the customer: %w", refused)
	}
	found, err = s.partyByCode(ctx, code, fields)
	switch {
	case found.ID != 0 || err != nil:
		return found, err
	case refused != nil:
		return Party{}, fmt.Errorf("make the customer: %w", refused)
	}
	return Party{}, apierr.New(apierr.Unavailable, "", errors.New("the customer that was just made is not there"))
}

// partyByCode returns none, with the id 0, when there is none. One that a person
// deactivated still holds its code.
func (s Session) partyByCode(ctx context.Context, code string, fields []string) (Party, error) {
	var found []Party
	err := s.Find(ctx, Query{
		Model: "party.party", Where: Domain{[]any{"code", "=", code}, []any{"active", "in", []bool{true, false}}}, Fields: fields, Basis: true,
	}, &found)
	if err != nil || len(found) == 0 {
		return Party{}, err
	}
	if found[0].Code != code || found[0].ID <= 0 {
		return Party{}, Nonsense("another customer than the one asked for")
	}
	return found[0], nil
}

// Address is a party.address.
type Address struct {
	Name       string `json:"party_name"`
	Street     string `json:"street"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	Country    *struct {
		Code string `json:"code"`
	} `json:"country."`
}

// AddressOf puts an order's address into Tryton's fields. The region goes to the
// city: Tryton knows it only from a list of its own.
func AddressOf(a order.Address) Address {
	out := Address{Name: a.Name, Street: a.Street, PostalCode: a.PostalCode, City: a.City}
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

// Line is the address in one line: name, street, postal code and city, country.
func (a Address) Line() string {
	parts := []string{a.Name, strings.ReplaceAll(a.Street, "\n", ", "), strings.TrimSpace(a.PostalCode + " " + a.City), a.country()}
	var written []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			written = append(written, p)
		}
	}
	return strings.Join(written, ", ")
}

func (a Address) country() string {
	if a.Country == nil {
		return ""
	}
	return a.Country.Code
}

// Addresses finds the addresses of a party that say exactly a, and returns the
// values by which one is made.
func (s Session) Addresses(ctx context.Context, party int64, a Address) (ids []int64, values map[string]any, err error) {
	country, err := s.countryID(ctx, a.country())
	if err != nil {
		return nil, nil, err
	}
	values = map[string]any{
		"party": party, "party_name": orNull(a.Name), "street": orNull(a.Street),
		"postal_code": orNull(a.PostalCode), "city": orNull(a.City), "country": country,
	}
	where := Domain{}
	for _, field := range []string{"party", "party_name", "street", "postal_code", "city", "country"} {
		where = append(where, []any{field, "=", values[field]})
	}
	var same []struct {
		ID int64 `json:"id"`
	}
	if err := s.Find(ctx, Query{Model: "party.address", Where: where, Fields: []string{"id"}, Basis: true}, &same); err != nil {
		return nil, nil, err
	}
	for _, x := range same {
		ids = append(ids, x.ID)
	}
	return ids, values, nil
}

func (s Session) countryID(ctx context.Context, code string) (any, error) {
	if code == "" {
		return nil, nil
	}
	id, err := s.IDByCode(ctx, "country.country", code)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, apierr.New(apierr.Invalid, "unknown_country",
			fmt.Errorf("Tryton does not know the country %s; import countries into it", code))
	}
	return id, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
