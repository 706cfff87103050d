package tryton

import "time"

// Customer is a party with one address.
type Customer struct {
	Code    string
	Name    string
	Street  string
	Postal  string
	City    string
	Country string // ISO 3166-1 alpha-2
}

// Customer returns the party with the code and its address, which are made when
// no earlier order has.
func (l *Loader) Customer(c Customer, at time.Time) (party, address int64) {
	if party = l.Named("party.party", c.Code); party != 0 {
		return party, l.addressOf(party)
	}
	party = l.Put("party.party", Record{Created: at, Values: map[string]any{
		"name": c.Name, "code": c.Code, "active": true, "customer_location": int64(LocationCustomer),
	}})
	address = l.Put("party.address", Record{Created: at, Values: map[string]any{
		"party": party, "party_name": c.Name, "name": nil, "street": c.Street, "postal_code": c.Postal, "city": c.City,
		"country": l.Named("country.country", c.Country), "active": true,
	}})
	return party, address
}

func (l *Loader) addressOf(party int64) int64 {
	var id int64
	if err := l.t.SQL.QueryRow(`SELECT id FROM records WHERE model = 'party.address' AND parent = ? ORDER BY +id LIMIT 1`, party).Scan(&id); err != nil {
		l.fail(err)
	}
	return id
}
