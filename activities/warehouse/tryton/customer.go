package tryton

import (
	"context"

	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
)

// AddressLine returns an order's address as Shipment.Address has it.
func AddressLine(a order.Address) string { return rpc.AddressOf(a).Line() }

// place finds or makes the address of one order: a party.address is never
// changed, and never shared by two orders, so that neither a change of one order
// nor a person's edit of its address touches another.
func (c *Client) place(ctx context.Context, s rpc.Session, id order.ID, party int64, to order.Address) (int64, error) {
	same, values, err := s.Addresses(ctx, party, rpc.AddressOf(to))
	if err != nil {
		return 0, err
	}
	taken, err := c.taken(ctx, s, id, same)
	if err != nil {
		return 0, err
	}
	for _, a := range same {
		if !taken[a] {
			return a, nil
		}
	}
	return s.MakeAddress(ctx, values)
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
