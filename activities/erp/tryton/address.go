package tryton

import (
	"context"
	"errors"
	"fmt"

	"github.com/trueup-orders/trueup/activities/apierr"
	rpc "github.com/trueup-orders/trueup/activities/tryton"
	"github.com/trueup-orders/trueup/order"
)

// place finds or makes the address of one order: a party.address is never
// changed, and never shared by two orders, so that neither a change of one order
// nor a person's edit of its address touches another. One that no document uses
// is not taken either: another order may be about to.
func (c *Client) place(ctx context.Context, s rpc.Session, id order.ID, party int64, a order.Address) (int64, error) {
	same, values, err := s.Addresses(ctx, party, rpc.AddressOf(a))
	if err != nil {
		return 0, err
	}
	if len(same) > 0 {
		used, err := usedBy(ctx, s, id)
		if err != nil {
			return 0, err
		}
		for _, address := range same {
			if used[address] {
				return address, nil
			}
		}
	}
	return s.MakeAddress(ctx, values)
}

// usedBy returns the addresses of the order's documents.
func usedBy(ctx context.Context, s rpc.Session, id order.ID) (map[int64]bool, error) {
	used := map[int64]bool{}
	for _, q := range []rpc.Query{
		{Model: modelSale, Fields: []string{"reference", "invoice_address", "shipment_address"}},
		{Model: modelInvoice, Fields: []string{"reference", "invoice_address"}},
	} {
		q.Where = rpc.Domain{[]any{"reference", "like", rpc.Pattern(id, "")}}
		var found []struct {
			Reference string `json:"reference"`
			addresses
		}
		if err := s.Find(ctx, q, &found); err != nil {
			return nil, err
		}
		for _, d := range found {
			if ours, _ := rpc.Belongs(d.Reference, id); ours {
				used[d.BillID], used[d.ShipID] = true, true
			}
		}
	}
	return used, nil
}

// places finds or makes where an order is billed and where it is sent.
func (c *Client) places(ctx context.Context, s rpc.Session, o order.Order) (party, bill, ship int64, err error) {
	if party, err = s.Party(ctx, o.Customer); err != nil {
		return 0, 0, 0, err
	}
	if bill, err = c.place(ctx, s, o.ID, party, o.Billing()); err != nil {
		return 0, 0, 0, err
	}
	if o.ShipTo == o.Billing() {
		return party, bill, bill, nil
	}
	ship, err = c.place(ctx, s, o.ID, party, o.ShipTo)
	return party, bill, ship, err
}

// addresses are where a sale is billed and sent, as far as it was asked.
type addresses struct {
	BillID int64       `json:"invoice_address"`
	ShipID int64       `json:"shipment_address"`
	Bill   rpc.Address `json:"invoice_address."`
	Ship   rpc.Address `json:"shipment_address."`
}

var addressFields = []string{
	"invoice_address", "shipment_address",
	"invoice_address.party_name", "invoice_address.street", "invoice_address.postal_code", "invoice_address.city",
	"invoice_address.country.code", "shipment_address.party_name", "shipment_address.street",
	"shipment_address.postal_code", "shipment_address.city", "shipment_address.country.code",
}

// readdress gives a sale that is booked the order's addresses, when it has
// others. Tryton lets them be written in every state of a sale.
func (c *Client) readdress(ctx context.Context, s rpc.Session, p paper, d document, o order.Order) (document, error) {
	if d.at.Ship.Line() == rpc.AddressOf(o.ShipTo).Line() && d.at.Bill.Line() == rpc.AddressOf(o.Billing()).Line() {
		return d, nil
	}
	_, bill, ship, err := c.places(ctx, s, o)
	if err != nil {
		return d, fmt.Errorf("give it another address: %w", err)
	}
	wrote := false
	for range rounds {
		err := s.Write(ctx, rpc.Record{Model: modelSale, ID: d.id, Version: d.version}, map[string]any{
			"invoice_address": bill, "shipment_address": ship,
		})
		switch {
		case rpc.Refused(err):
			return d, apierr.New(apierr.Conflict, "address_refused",
				fmt.Errorf("sale %d is booked, but its address may not be changed; change it there by hand: %w", d.id, err))
		case err != nil && !rpc.Changed(err):
			return d, fmt.Errorf("give it another address: %w", err)
		}
		wrote = wrote || err == nil
		again, err := p.find(ctx, s, rpc.Domain{[]any{"id", "=", d.id}}, 0)
		if err != nil {
			return d, after(wrote, err)
		}
		if len(again) != 1 || again[0].reference != d.reference {
			return d, apierr.New(apierr.InDoubt, "", errors.New("the sale is another one after its address was changed"))
		}
		if err := again[0].wrong; err != nil {
			return d, after(wrote, err)
		}
		if d = again[0]; d.at.BillID == bill && d.at.ShipID == ship {
			return d, nil
		}
	}
	return d, apierr.New(apierr.InDoubt, "", errors.New("the sale's address keeps changing"))
}
