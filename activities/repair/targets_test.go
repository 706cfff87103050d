package repair_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/activities/erp"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/repair"
	"github.com/trueup-orders/trueup/activities/warehouse"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// written is one activity that changes a system: what it is repaired for, and how
// it is called. Its system is not there, so that a call which is not refused
// before it gets that far panics.
type written struct {
	name  string
	kinds []reconcile.Kind
	call  func(g *repair.Grant) error
}

func call[R repair.Targeted, T any](do func(context.Context, repair.Write[R]) (T, error), request R) func(g *repair.Grant) error {
	return func(g *repair.Grant) error {
		_, err := do(context.Background(), repair.Write[R]{Request: request, Grant: g})
		return err
	}
}

// writes are all activities that change a system, for order 1 and the SKU MUG.
func writes(s *repair.Switches) []written {
	const of = order.ID("1")
	key := func(o order.Operation) string { return order.Intent{Order: of, Operation: o, N: 1}.Key() }
	gateway, stock := &payment.Activities{Switches: s}, &inventory.Activities{Switches: s}
	depot, books := &warehouse.Activities{Switches: s}, &erp.Activities{Switches: s}
	people, post := &crm.Activities{Switches: s}, &mail.Activities{Switches: s, Journal: true}
	missing := func(f reconcile.Field) []reconcile.Kind {
		return []reconcile.Kind{{System: f.System(), Field: f, Situation: reconcile.Missing}}
	}
	all := []written{
		{"authorize", nil, call(gateway.AuthorizePayment, payment.AuthorizeRequest{Order: of, Key: key(order.Authorize)})},
		{"capture", repair.Mends(reconcile.PaymentCaptured), call(gateway.CapturePayment, payment.CaptureRequest{Order: of, Key: key(order.Capture)})},
		{"void", repair.Mends(reconcile.PaymentOpen), call(gateway.VoidPayment, payment.VoidRequest{Order: of, Key: key(order.Void)})},
		{"refund", repair.Mends(reconcile.PaymentAttempts), call(gateway.RefundPayment, payment.RefundRequest{Order: of, Key: key(order.Refund)})},
		{"reserve", repair.Mends(reconcile.InventoryReserved), call(stock.ReserveStock, inventory.ReserveRequest{Order: of, Key: key(order.Reserve)})},
		{"release", repair.Mends(reconcile.InventoryReserved), call(stock.ReleaseStock, inventory.ReleaseRequest{Order: of, Key: key(order.Release)})},
		{"level", repair.Mends(reconcile.InventoryLevel), call(stock.SetStockLevel, inventory.SetLevelRequest{SKU: "MUG"})},
		{"request", missing(reconcile.WarehouseShipment), call(depot.RequestShipment, warehouse.RequestRequest{Order: of, Key: key(order.Request)})},
		{"return", missing(reconcile.WarehouseReturn), call(depot.RequestShipment, warehouse.RequestRequest{Order: of, Key: key(order.Return), Return: true})},
		{"address", nil, call(depot.UpdateShipmentAddress, warehouse.UpdateAddressRequest{Order: of, Key: key(order.Request)})},
		{"cancel", []reconcile.Kind{{System: order.SystemWarehouse, Field: reconcile.WarehouseShipment, Situation: reconcile.Unexpected}}, call(depot.CancelShipment, warehouse.CancelRequest{Order: of, Key: key(order.Request)})},
		{"sale", repair.Mends(reconcile.ERPSale), call(books.RecordSale, erp.SaleRequest{Order: order.Order{ID: of}, Key: key(order.Record)})},
		{"invoice", repair.Mends(reconcile.ERPInvoices), call(books.PostInvoice, erp.InvoiceRequest{Order: of, Key: key(order.Invoice)})},
		{"receipt", repair.Mends(reconcile.ERPReceipts), call(books.PostReceipt, erp.ReceiptRequest{Order: of, Key: key(order.Receipt)})},
		{"credit", repair.Mends(reconcile.ERPCredits), call(books.PostCredit, erp.InvoiceRequest{Order: of, Key: key(order.Credit)})},
		{"customer", repair.Mends(reconcile.CRMContact, reconcile.CRMDeal, reconcile.CRMRevenue, reconcile.CRMCarts), call(people.UpdateCustomer, crm.CustomerRequest{Contact: crm.ContactRequest{Order: of}})},
	}
	for _, template := range reconcile.Templates() {
		all = append(all, written{"send " + string(template), repair.Mends(reconcile.MailField(template)), call(post.SendMail, mail.SendInput{SendRequest: mail.SendRequest{Order: of, Key: key(order.Send), Template: template}})})
	}
	return all
}

// sent says that a call got as far as its system, which is not there.
func sent(call func(g *repair.Grant) error, g *repair.Grant) (got bool, err error) {
	defer func() { got = recover() != nil }()
	return false, call(g)
}

// kinds are all kinds of break.
func kinds() []reconcile.Kind {
	var all []reconcile.Kind
	for _, f := range reconcile.Fields() {
		for _, s := range reconcile.Situations() {
			all = append(all, reconcile.Kind{System: f.System(), Field: f, Situation: s})
		}
	}
	return all
}

// Whatever a write does, it is refused under a grant of another order or level, or
// for another field than it writes, and its system does not hear of it.
func TestWrites_GrantForSomethingElse_Refused(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	switches := repair.NewSwitches(func() time.Time { return now })
	switches.Set(nil)
	for _, w := range writes(switches) {
		for _, k := range kinds() {
			f := k.Field
			for _, whose := range []reconcile.Want{{Order: "1"}, {Order: "2"}, {Item: "MUG"}, {Item: "TSHIRT"}, {Order: "1", Item: "MUG"}} {
				g := &repair.Grant{N: 7, Expires: now.Add(time.Minute), For: whose}
				g.For.Kind = k
				mine := whose.Order == "1"
				if f == reconcile.InventoryLevel {
					mine = whose == reconcile.Want{Item: "MUG"}
				}
				want := mine && slices.ContainsFunc(w.kinds, func(of reconcile.Kind) bool { return of.Covers(k) })
				got, err := sent(w.call, g)
				if got != want {
					t.Errorf("%s under a grant for %s of %q %q: sent is %v, want %v", w.name, k, whose.Order, whose.Item, got, want)
				}
				if a, ok := errors.AsType[*temporal.ApplicationError](err); !got && (!ok || !strings.Contains(a.Error(), "grant 7 is for")) {
					t.Errorf("%s under a grant for %s of %q %q: %v", w.name, k, whose.Order, whose.Item, err)
				}
			}
		}
		if got, err := sent(w.call, &repair.Grant{N: 7, Expires: now.Add(time.Minute)}); got || err == nil {
			t.Errorf("%s was sent under a grant that names nothing: %v", w.name, err)
		}
		if got, err := sent(w.call, nil); !got && err != nil && strings.Contains(err.Error(), "repair refused") {
			t.Errorf("%s is no repair, and was refused: %v", w.name, err)
		}
	}
}
