// Package smtp sends mail over SMTP and finds what was sent in a journal
// mailbox over IMAP. The journal is a second recipient of the same transaction,
// so that it holds a message exactly when the provider took it for the customer.
//
// SMTP has no keys and IMAP no strong read: a message that was accepted shows
// up in the journal when the provider has delivered it there. So an outcome in
// doubt is looked up twice, the visibility lag apart, before the message may be
// sent again.
//
// The protocols are spoken by github.com/emersion/go-smtp, go-imap/v2 and
// go-message: one maintained family, with the server halves that the simulated
// provider is made of. net/smtp is frozen and hides at which command it failed,
// which is what tells "not sent" from "in doubt".
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/reconcile"
)

// Security says how a connection is protected.
type Security string

// The ways to protect a connection.
const (
	// StartTLS is the default: nothing is said before the connection is
	// encrypted and the server has shown its certificate.
	StartTLS Security = "starttls"
	// TLS encrypts from the first byte, as ports 465 and 993 do.
	TLS Security = "tls"
	// Off is for loopback addresses only.
	Off Security = "off"
)

// Abilities is what SMTP with a journal can do. The lag is what a provider
// takes to deliver into its own mailbox on a usual day; the lateness is how long
// a client has to wait for the answer to its data by RFC 5321, 4.5.3.2.6.
var Abilities = reconcile.Abilities{
	VisibilityLag: 15 * time.Second,
	Lateness:      10 * time.Minute,
	PageLimit:     pageLimit,
}

// pageLimit is the most messages of one page, and of one FETCH.
const pageLimit = 200

// MaxAge is how long after its event a message is still sent that says nothing of
// how long.
const MaxAge = 24 * time.Hour

// DefaultTimeout bounds one call when Config names no other. It is longer than
// that of the other systems, because servers look names up and scan content
// before they answer, and every impatience here is a message in doubt.
const DefaultTimeout = 30 * time.Second

// Config says where mail goes and where the journal is.
type Config struct {
	// SMTPAddress is the provider's host:port, and SMTPSecurity how it is
	// reached: StartTLS when empty.
	SMTPAddress  string
	SMTPSecurity Security
	// User and Password are for AUTH; both empty: none.
	User, Password string
	// TLS says whom both servers' certificates must come from; nil trusts what
	// the machine trusts.
	TLS *tls.Config

	// From is the sender, and ShopName how the shop calls itself in its mail.
	From     netmail.Address
	ShopName string

	// Journal is the address that gets a copy of everything; empty: none.
	Journal string
	// IMAPAddress is the host:port where the journal is read, with its user,
	// password and mailbox (INBOX when empty). Empty: Lookup and List are
	// Unavailable.
	IMAPAddress            string
	IMAPSecurity           Security
	IMAPUser, IMAPPassword string
	Mailbox                string
	// IMAPSessions is how many sessions we have at once; 4 when zero. Providers
	// allow a user few: Dovecot ten, for all who read the journal.
	IMAPSessions int

	// Now is the clock.
	Now func() time.Time
	// Dial opens connections; nil is the usual dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds one call; DefaultTimeout when zero.
	Timeout time.Duration
}

// Client is the adapter.
type Client struct {
	config Config
	domain string // of the sender
	// sessions holds one item for each IMAP session that is open.
	sessions chan struct{}
	// resumed spares the certificates of a server that was spoken to before.
	resumed tls.ClientSessionCache
}

var _ mail.Mailer = (*Client)(nil)

// New returns the adapter, or an error that names everything that is wrong
// with the configuration.
func New(c Config) (*Client, error) {
	if c.SMTPSecurity == "" {
		c.SMTPSecurity = StartTLS
	}
	if c.IMAPSecurity == "" {
		c.IMAPSecurity = StartTLS
	}
	if c.Mailbox == "" {
		c.Mailbox = "INBOX"
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.IMAPSessions == 0 {
		c.IMAPSessions = 4
	}
	problems := c.problems()
	if len(problems) > 0 {
		return nil, fmt.Errorf("configure mail over smtp: %s", strings.Join(problems, "; "))
	}
	_, domain, _ := cutAddress(c.From.Address)
	return &Client{config: c, domain: domain, sessions: make(chan struct{}, c.IMAPSessions), resumed: tls.NewLRUClientSessionCache(4)}, nil
}

func (c Config) problems() []string {
	var all []string
	note := func(wrong bool, problem string) {
		if wrong {
			all = append(all, problem)
		}
	}
	note(c.SMTPAddress == "", "SMTPAddress is missing")
	all = append(all, secure("SMTP", c.SMTPAddress, c.SMTPSecurity)...)
	note((c.User == "") != (c.Password == ""), "User and Password belong together")
	_, domain, ok := cutAddress(c.From.Address)
	note(!ok || !isASCII(domain), "From is not an address with an ASCII domain")
	note(unprintable(c.From.Name), "From's name has a control character")
	note(strings.TrimSpace(c.ShopName) == "", "ShopName is missing")
	note(unprintable(c.ShopName), "ShopName has a control character")
	if c.Journal != "" {
		_, _, ok := cutAddress(c.Journal)
		note(!ok || !isASCII(c.Journal), "Journal is not an ASCII address")
	}
	if c.IMAPAddress != "" {
		all = append(all, secure("IMAP", c.IMAPAddress, c.IMAPSecurity)...)
		note(c.Journal == "", "Journal is missing, and without it nothing comes into the mailbox at IMAPAddress")
		note(c.IMAPUser == "", "IMAPUser is missing")
		note(c.IMAPPassword == "", "IMAPPassword is missing")
	}
	note(c.Now == nil, "Now is missing")
	note(c.IMAPSessions < 0, "IMAPSessions is negative")
	note(c.Timeout < 0, "Timeout is negative")
	return all
}

func secure(name, address string, how Security) []string {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	switch {
	case err != nil || host == "":
		return []string{name + "Address is not host:port"}
	case how != StartTLS && how != TLS && how != Off:
		return []string{fmt.Sprintf("%sSecurity is %q; want %q, %q or %q", name, how, StartTLS, TLS, Off)}
	case how == Off && !isLoopback(host):
		return []string{fmt.Sprintf("%sSecurity is %q, which is for loopback addresses only", name, Off)}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// cutAddress splits a bare address, and says whether it is one.
func cutAddress(address string) (local, domain string, ok bool) {
	a, err := netmail.ParseAddress(address)
	if err != nil || a.Address != address || unprintable(address) {
		return "", "", false
	}
	at := strings.LastIndexByte(address, '@')
	return address[:at], address[at+1:], true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// unprintable says whether s could break out of a header line.
func unprintable(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// connect opens a connection that ends with the context and takes no more than
// limit bytes of what the server says.
func (c *Client) connect(ctx context.Context, address string, limit int64) (*bounded, error) {
	conn, err := c.config.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	b := &bounded{Conn: conn, left: limit}
	b.stop = context.AfterFunc(ctx, func() { _ = b.Conn.Close() })
	return b, nil
}

// tlsFor returns the settings for one server; certificates are judged by our
// own clock.
func (c *Client) tlsFor(address string) *tls.Config {
	settings := c.config.TLS.Clone()
	if settings == nil {
		settings = &tls.Config{}
	}
	if settings.ClientSessionCache == nil {
		settings.ClientSessionCache = c.resumed
	}
	if settings.ServerName == "" {
		settings.ServerName, _, _ = net.SplitHostPort(address)
	}
	settings.MinVersion = max(settings.MinVersion, tls.VersionTLS12)
	if settings.Time == nil {
		settings.Time = c.config.Now
	}
	return settings
}

var errTooMuch = errors.New("the server says more than we read")
