// Package world runs the six simulated systems together as real servers on
// loopback, each with its own database file and console, and tells a worker how
// to reach them.
package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/simulator/crm"
	"github.com/trueup-orders/trueup/testsuite/simulator/erp"
	"github.com/trueup-orders/trueup/testsuite/simulator/inventory"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/payment"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/workers"
)

// The secrets by which the simulated systems sign their webhooks.
const (
	StripeSecret  = "whsec_simulated_gateway_0123456789"
	HubSpotSecret = "hubspot-client-secret-0123456789"
)

// Options say what world to open.
type Options struct {
	// Dir holds one database file for each system; empty keeps them in memory.
	Dir string
	// Only runs these systems; empty runs all six.
	Only []order.System
	// Port is the first of the ports, in the order of Ports; 0 takes free ones.
	Port int
	// Webhooks is the gateway's address, as "http://127.0.0.1:8088"; empty sends none.
	Webhooks string
	// Stock of each SKU, in inventory and warehouse alike.
	Stock map[string]int
	// Pace is that of the warehouse's people.
	Pace warehouse.Pace
	// Carts are abandoned carts in the CRM.
	Carts []crm.Cart
	// Authorization is how long the gateway's authorizations live; 0: a week.
	Authorization time.Duration
	// RefundSettles is how long the gateway takes to say that a refund succeeded.
	RefundSettles time.Duration
	// ReservationTTL lets inventory delete reservations of this age; 0: never.
	ReservationTTL time.Duration
	// Clock is nil for the real one, Changed as the simulator's.
	Clock   simulator.Clock
	Changed func(of order.System)
}

// World is six systems at work.
type World struct {
	Payment   *payment.Server
	Inventory *inventory.Server
	Warehouse *warehouse.Server
	ERP       *erp.Server
	CRM       *crm.Server
	Mail      *mail.Server

	addresses []address
	servers   []*http.Server
	ca        string // file
}

type address struct {
	system order.System
	http   string // the wire protocol, or for mail the console alone
	smtp   string
	imap   string
}

// consolePath is where each system's console is mounted beside its protocol.
const consolePath = "/_console"

// Open opens the systems and serves them.
func Open(o Options) (*World, error) {
	w := &World{}
	for i, system := range order.Systems() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, system) {
			continue
		}
		if err := w.open(system, o, i); err != nil {
			w.Close()
			return nil, fmt.Errorf("open the simulated %s: %w", system, err)
		}
	}
	return w, nil
}

func (w *World) open(system order.System, o Options, i int) error {
	options := simulator.Options{Clock: o.Clock, Changed: o.Changed}
	if o.Dir != "" {
		options.Database = filepath.Join(o.Dir, string(system)+".db")
	}
	var handler http.Handler
	var desk simulator.Desk
	var err error
	switch system {
	case order.SystemPayment:
		options.Secret, options.Endpoint = StripeSecret, endpoint(o.Webhooks, system)
		w.Payment, err = payment.New(options, payment.Settings{AuthorizationTTL: o.Authorization, RefundSettles: o.RefundSettles})
		if err == nil {
			handler, desk = w.Payment.Handler(), w.Payment
		}
	case order.SystemInventory:
		stock := map[string]int64{}
		for sku, n := range o.Stock {
			stock[sku] = int64(n)
		}
		w.Inventory, err = inventory.New(options, inventory.Settings{Stock: stock, ReservationTTL: o.ReservationTTL})
		if err == nil {
			handler, desk = w.Inventory.Handler(), w.Inventory
		}
	case order.SystemWarehouse:
		w.Warehouse, err = warehouse.New(options, warehouse.Settings{Stock: o.Stock, Pace: o.Pace})
		if err == nil {
			handler, desk = w.Warehouse.Handler(), w.Warehouse
		}
	case order.SystemERP:
		w.ERP, err = erp.New(options, erp.Settings{})
		if err == nil {
			handler, desk = w.ERP.Handler(), w.ERP
		}
	case order.SystemCRM:
		options.Secret, options.Endpoint = HubSpotSecret, endpoint(o.Webhooks, system)
		w.CRM, err = crm.New(options, crm.Settings{Carts: o.Carts})
		if err == nil {
			handler, desk = w.CRM.Handler(), w.CRM
		}
	case order.SystemMail:
		w.Mail, err = mail.New(options, mail.Settings{})
		if err == nil {
			handler, desk = http.NotFoundHandler(), w.Mail
		}
	}
	if err != nil {
		return err
	}
	return w.serve(system, o, i, handler, desk)
}

func endpoint(base string, system order.System) string {
	if base == "" {
		return ""
	}
	return strings.TrimSuffix(base, "/") + "/v1/webhooks/" + string(system)
}

// serve listens for one system: its protocol and its console on one port, and
// for mail SMTP and IMAP on two more.
func (w *World) serve(system order.System, o Options, i int, handler http.Handler, desk simulator.Desk) error {
	listen := func(offset int) (net.Listener, error) {
		port := 0
		if o.Port != 0 {
			port = o.Port + offset
		}
		return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	}
	l, err := listen(i)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(consolePath+"/", http.StripPrefix(consolePath, simulator.Console(desk)))
	mux.Handle("/", handler)
	// A fault that cuts a connection is no error of this server's.
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	w.servers = append(w.servers, server)
	go func() { _ = server.Serve(l) }()
	a := address{system: system, http: l.Addr().String()}
	if system == order.SystemMail {
		smtp, err := listen(len(order.Systems()))
		if err != nil {
			return err
		}
		imap, err := listen(len(order.Systems()) + 1)
		if err != nil {
			return err
		}
		a.smtp, a.imap = smtp.Addr().String(), imap.Addr().String()
		go func() { _ = w.Mail.ServeSMTP(smtp) }()
		go func() { _ = w.Mail.ServeIMAP(imap) }()
		if err := w.writeCA(o.Dir); err != nil {
			return err
		}
	}
	w.addresses = append(w.addresses, a)
	return nil
}

func (w *World) writeCA(dir string) error {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "trueup-world")
		if err != nil {
			return err
		}
		dir = temporary
	}
	w.ca = filepath.Join(dir, "mail-ca.pem")
	return os.WriteFile(w.ca, w.Mail.CertificatePEM(), 0o600)
}

// Desks returns the consoles' desks in the usual order.
func (w *World) Desks() []simulator.Desk {
	return []simulator.Desk{w.Payment, w.Inventory, w.Warehouse, w.ERP, w.CRM, w.Mail}
}

// Frame returns the frame of one system.
func (w *World) Frame(system order.System) *simulator.System {
	for i, s := range order.Systems() {
		if s == system {
			return w.Desks()[i].Frame()
		}
	}
	return nil
}

// Address returns where a system's protocol is served.
func (w *World) Address(system order.System) string {
	for _, a := range w.addresses {
		if a.system == system {
			return "http://" + a.http
		}
	}
	return ""
}

// Console returns the address of a system's console.
func (w *World) Console(system order.System) string { return w.Address(system) + consolePath }

// Configure points a worker's configuration at the world.
func (w *World) Configure(c workers.Config) workers.Config {
	for _, a := range w.addresses {
		base := "http://" + a.http
		switch a.system {
		case order.SystemPayment:
			c.Stripe.URL, c.Stripe.Key = base, payment.DefaultAPIKey
		case order.SystemInventory:
			c.Medusa = workers.Medusa{URL: base, Email: inventory.DefaultEmail, Password: inventory.DefaultPassword, Location: inventory.DefaultLocation}
		case order.SystemWarehouse:
			c.Warehouse = workers.Tryton{URL: base + "/warehouse/", User: "admin", Password: "admin"}
		case order.SystemERP:
			c.ERP = workers.Tryton{URL: base + "/erp/", User: "admin", Password: "admin"}
		case order.SystemCRM:
			c.HubSpot = workers.HubSpot{
				URL: base, Token: "pat-simulated", Pipeline: "default", OpenStage: "checkoutpending", WonStage: "closedwon",
				LostStage: "closedlost", AbandonedStage: "abandonedcart",
			}
		case order.SystemMail:
			c.Mail = workers.MailRelay{
				SMTP: a.smtp, CA: w.ca, From: "shop@shop.test", ShopName: "Demo shop", Journal: "journal@shop.test",
				IMAP: a.imap, IMAPUser: "journal", IMAPPassword: "journal", VisibilityLag: time.Second, Lateness: 2 * time.Second,
			}
		}
	}
	return c
}

// Environment returns the worker's and the gateway's settings for this world,
// as NAME=value.
func (w *World) Environment() []string {
	c := w.Configure(workers.Config{})
	return []string{
		"TRUEUP_STRIPE_URL=" + c.Stripe.URL, "TRUEUP_STRIPE_KEY=" + c.Stripe.Key, "TRUEUP_STRIPE_WEBHOOK_SECRETS=" + StripeSecret,
		"TRUEUP_MEDUSA_URL=" + c.Medusa.URL, "TRUEUP_MEDUSA_EMAIL=" + c.Medusa.Email,
		"TRUEUP_MEDUSA_PASSWORD=" + c.Medusa.Password, "TRUEUP_MEDUSA_LOCATION=" + c.Medusa.Location,
		"TRUEUP_WAREHOUSE_URL=" + c.Warehouse.URL, "TRUEUP_WAREHOUSE_USER=" + c.Warehouse.User, "TRUEUP_WAREHOUSE_PASSWORD=" + c.Warehouse.Password,
		"TRUEUP_ERP_URL=" + c.ERP.URL, "TRUEUP_ERP_USER=" + c.ERP.User, "TRUEUP_ERP_PASSWORD=" + c.ERP.Password,
		"TRUEUP_HUBSPOT_URL=" + c.HubSpot.URL, "TRUEUP_HUBSPOT_TOKEN=" + c.HubSpot.Token, "TRUEUP_HUBSPOT_WEBHOOK_SECRETS=" + HubSpotSecret,
		"TRUEUP_MAIL_SMTP=" + c.Mail.SMTP, "TRUEUP_MAIL_CA=" + c.Mail.CA, "TRUEUP_MAIL_FROM=" + c.Mail.From,
		"TRUEUP_MAIL_SHOP_NAME=" + c.Mail.ShopName, "TRUEUP_MAIL_JOURNAL=" + c.Mail.Journal, "TRUEUP_MAIL_IMAP=" + c.Mail.IMAP,
		"TRUEUP_MAIL_IMAP_USER=" + c.Mail.IMAPUser, "TRUEUP_MAIL_IMAP_PASSWORD=" + c.Mail.IMAPPassword,
		"TRUEUP_MAIL_VISIBILITY_LAG=" + c.Mail.VisibilityLag.String(), "TRUEUP_MAIL_LATENESS=" + c.Mail.Lateness.String(),
	}
}

// Close stops the servers and closes the databases.
func (w *World) Close() error {
	var problems []error
	for _, s := range w.servers {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if s.Shutdown(ctx) != nil {
			problems = append(problems, s.Close())
		}
		cancel()
	}
	for _, d := range []interface{ Close() error }{w.Mail} {
		if w.Mail != nil {
			problems = append(problems, d.Close())
		}
	}
	for i, open := range []bool{w.Payment != nil, w.Inventory != nil, w.Warehouse != nil, w.ERP != nil, w.CRM != nil} {
		if open {
			problems = append(problems, w.Desks()[i].Frame().Close())
		}
	}
	return errors.Join(problems...)
}
