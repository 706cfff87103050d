package workers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	netmail "net/mail"
	"os"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm"
	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/erp"
	erptryton "github.com/trueup-orders/trueup/activities/erp/tryton"
	"github.com/trueup-orders/trueup/activities/inventory"
	"github.com/trueup-orders/trueup/activities/inventory/medusa"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/activities/mail/smtp"
	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/activities/warehouse"
	warehousetryton "github.com/trueup-orders/trueup/activities/warehouse/tryton"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Systems are the six systems, each behind its port.
type Systems struct {
	Payment   payment.Gateway
	Inventory inventory.Stock
	Warehouse warehouse.Warehouse
	ERP       erp.Books
	CRM       crm.Book
	Mail      mail.Mailer

	declared []declared
}

type declared struct {
	system    order.System
	abilities reconcile.Abilities
}

// Declare sets the abilities of one system's adapter.
func (s *Systems) Declare(system order.System, a reconcile.Abilities) {
	s.declared = append(s.declared, declared{system, a})
}

// Abilities returns what the adapter of a system declared.
func (s *Systems) Abilities(system order.System) reconcile.Abilities {
	for _, d := range s.declared {
		if d.system == system {
			return d.abilities
		}
	}
	return reconcile.Abilities{}
}

// Owner returns the order that a record of a system belongs to, "" when none.
func (s *Systems) Owner(ctx context.Context, system order.System, record string) (order.ID, error) {
	if gateway, ok := s.Payment.(*stripe.Client); ok && system == order.SystemPayment && strings.HasPrefix(record, "pi_") {
		owner, err := gateway.OrderOf(ctx, record)
		if err != nil && apierr.CodeOf(err) == apierr.NotFound {
			return "", nil
		}
		return owner, err
	}
	return "", nil
}

// planter returns what plants breaks in the CRM, or nil.
func (s *Systems) planter() reconciliation.Planter {
	p, _ := s.CRM.(reconciliation.Planter)
	return p
}

// Readers returns the six as readers, which can change nothing.
func (s *Systems) Readers() []reconciliation.SystemReader {
	return []reconciliation.SystemReader{
		{System: order.SystemPayment, Reader: s.Payment},
		{System: order.SystemInventory, Reader: s.Inventory},
		{System: order.SystemWarehouse, Reader: s.Warehouse},
		{System: order.SystemERP, Reader: s.ERP},
		{System: order.SystemCRM, Reader: s.CRM},
		{System: order.SystemMail, Reader: s.Mail},
	}
}

// Connect makes the six adapters, and names everything that is missing in any
// of them in one error. Transport is nil but where a test brings its own.
func (c Config) Connect(now func() time.Time, transport http.RoundTripper) (*Systems, error) {
	s := &Systems{}
	var problems []error
	take := func(system order.System, a reconcile.Abilities, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("TRUEUP settings of %s: %w", system, err))
		}
		s.Declare(system, a)
	}
	gateway, err := stripe.New(stripe.Config{
		APIKey: c.Stripe.Key, BaseURL: c.Stripe.URL, Account: c.Stripe.Account, LiveMode: c.Stripe.Live,
		ReturnURL: c.Stripe.ReturnURL, Channel: c.Channel, Now: now, Transport: transport,
	})
	take(order.SystemPayment, stripe.Abilities, err)
	stock, err := medusa.New(medusa.Config{
		BaseURL: c.Medusa.URL, Email: c.Medusa.Email, Password: c.Medusa.Password, APIKey: c.Medusa.Key,
		Location: c.Medusa.Location, Channel: c.Channel, Now: now, Transport: transport,
	})
	take(order.SystemInventory, medusa.Abilities, err)
	depot, err := warehousetryton.New(warehousetryton.Config{
		URL: c.Warehouse.URL, User: c.Warehouse.User, Password: c.Warehouse.Password, Channel: c.Channel, Now: now, Transport: transport,
	})
	take(order.SystemWarehouse, warehousetryton.Abilities, err)
	books, err := erptryton.New(erptryton.Config{
		URL: c.ERP.URL, User: c.ERP.User, Password: c.ERP.Password, Channel: c.Channel, Now: now, Transport: transport,
	})
	take(order.SystemERP, erptryton.Abilities, err)
	people, err := hubspot.New(hubspot.Config{
		BaseURL: c.HubSpot.URL, Token: c.HubSpot.Token, Channel: c.Channel, Pipeline: c.HubSpot.Pipeline,
		OpenStage: c.HubSpot.OpenStage, WonStage: c.HubSpot.WonStage, LostStage: c.HubSpot.LostStage,
		AbandonedStage: c.HubSpot.AbandonedStage, Now: now, Transport: transport,
	})
	take(order.SystemCRM, hubspot.Abilities, err)
	mailer, abilities, err := c.Mail.connect(now)
	take(order.SystemMail, abilities, err)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	s.Payment, s.Inventory, s.Warehouse, s.ERP, s.CRM, s.Mail = gateway, stock, depot, books, people, mailer
	return s, nil
}

func (m MailRelay) connect(now func() time.Time) (*smtp.Client, reconcile.Abilities, error) {
	abilities := smtp.Abilities
	abilities.VisibilityLag, abilities.Lateness = m.VisibilityLag, m.Lateness
	from, err := netmail.ParseAddress(m.From)
	if err != nil {
		return nil, abilities, fmt.Errorf("FROM is %q; want the sender's address: %w", m.From, err)
	}
	config := smtp.Config{
		SMTPAddress: m.SMTP, SMTPSecurity: smtp.Security(m.SMTPSecurity), User: m.User, Password: m.Password,
		From: *from, ShopName: m.ShopName, Journal: m.Journal, IMAPAddress: m.IMAP, IMAPSecurity: smtp.Security(m.IMAPSecurity),
		IMAPUser: m.IMAPUser, IMAPPassword: m.IMAPPassword, Now: now, Dial: m.Dial,
	}
	if m.CA != "" {
		pem, err := os.ReadFile(m.CA)
		if err != nil {
			return nil, abilities, fmt.Errorf("CA: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, abilities, fmt.Errorf("CA: %s holds no certificate", m.CA)
		}
		config.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	client, err := smtp.New(config)
	return client, abilities, err
}
