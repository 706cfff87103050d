// Package mail is a simulated mail provider: an SMTP server that takes any
// message for anybody, and an IMAP server that shows the journal mailbox, which
// our adapter gives every message as a second recipient.
//
// What it has in common with Exim and Dovecot:
//
//   - SMTP knows no keys: the same Message-ID sent twice is two messages.
//   - A message is accepted at the final dot and not before, for all recipients
//     at once; the journal shows it when it was delivered there, SearchLag later.
//   - INTERNALDATE is the moment of delivery, in whole seconds and the server's
//     zone; SINCE and BEFORE compare its date only.
//   - SEARCH HEADER finds substrings whatever their case: 42 finds 142.
//   - UIDs rise and are never used again; n:* means the last message when there
//     is none after n.
//   - A recipient who is named twice gets one copy.
//   - A mailbox that is not there is a bare NO, and one IMAP session too many a
//     NO [LIMIT].
//   - STARTTLS on both ports, with a certificate of its own making.
//
// # Faults
//
// The operations are "send", "lookup" (a SEARCH that names an order) and "list"
// (any other SEARCH). A sending client that gives its key as the envelope id of
// RFC 3461, as ours does, suffers refused, unavailable, rate_limited and
// unauthorized at MAIL and rejected at RCPT; one that does not suffers all at
// the final dot, because only the message says whose it is. Of the faults that
// are the system's own: rejected is 550 for the customer's address; vanishes
// answers 250 and delivers to nobody; partial delivers to the customer but not
// to the journal; replays_error answers 451 at the final dot without effect;
// not_listed leaves out the fault's order, or the newest message when it has
// none; empty_list finds nothing; foreign finds messages of other orders. Late
// holds the answer until the client hangs up and delivers Delay after that.
//
// # Not simulated
//
// What Exim does when the client hangs up between the final dot and the answer:
// it drops the message. Here it is delivered, or not, as the fault says; the
// client cannot know in either case. Bounces and delivery reports, queues and retries towards other hosts, spam
// and size limits, folders other than INBOX, flags, and any command that
// changes a mailbox: the journal is read-only over IMAP, and changed by Edit.
// UIDVALIDITY never changes.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// Settings say what the provider is configured to.
type Settings struct {
	// Journal is the address whose mailbox IMAP serves; default
	// "journal@shop.test".
	Journal string
	// Domain is the server's name in its greeting; default "mail.test".
	Domain string
	// Hosts are the names and addresses in the certificate, besides Domain,
	// "localhost", 127.0.0.1 and ::1.
	Hosts []string
	// SMTPUser and SMTPPassword are asked for before MAIL when they are set.
	SMTPUser, SMTPPassword string
	// IMAPUser and IMAPPassword open the journal; default "journal", "journal".
	IMAPUser, IMAPPassword string
	// SearchLag is how long after its acceptance a message shows up in the
	// journal.
	SearchLag time.Duration
	// Unknown are addresses that are refused with 550, and Deferred ones that
	// are refused with 451.
	Unknown, Deferred []string
	// Zone is the server's; INTERNALDATE is told in it, and the days of a SEARCH
	// are its days. Default UTC.
	Zone *time.Location
	// MaxLogins is how many IMAP sessions the user may have at once; default 10,
	// as at Dovecot.
	MaxLogins int
	// NoSTARTTLS offers no encryption, as when somebody in between strips it.
	NoSTARTTLS bool
}

func (s Settings) withDefaults() Settings {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&s.Journal, "journal@shop.test"},
		{&s.Domain, "mail.test"},
		{&s.IMAPUser, "journal"},
		{&s.IMAPPassword, "journal"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if s.Zone == nil {
		s.Zone = time.UTC
	}
	if s.MaxLogins == 0 {
		s.MaxLogins = 10
	}
	s.Journal = strings.ToLower(s.Journal)
	return s
}

// Server is the simulated mail provider.
type Server struct {
	frame    *simulator.System
	settings Settings
	tls      *tls.Config
	cert     certificate
	index    journalIndex // under the frame's lock

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]struct{} // listeners and connections
	lag    time.Duration
	denies bool
	logins int // IMAP sessions that are logged in
}

var _ simulator.Desk = (*Server)(nil)

// New opens the provider's database and makes its certificate.
func New(o simulator.Options, settings Settings) (*Server, error) {
	settings = settings.withDefaults()
	cert, err := newCertificate(append([]string{settings.Domain, "localhost", "127.0.0.1", "::1"}, settings.Hosts...))
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the simulated mail provider: %w", err)
	}
	frame, err := simulator.Open(order.SystemMail, schema, o)
	if err != nil {
		return nil, err
	}
	s := &Server{
		frame: frame, settings: settings, cert: cert, lag: settings.SearchLag,
		open: map[io.Closer]struct{}{},
	}
	if !settings.NoSTARTTLS {
		// One curve, and a quick one: virtual worlds connect many thousand times.
		s.tls = &tls.Config{Certificates: []tls.Certificate{cert.pair}, MinVersion: tls.VersionTLS12, CurvePreferences: []tls.CurveID{tls.X25519}}
	}
	return s, nil
}

// Frame returns the frame that the provider stands in.
func (s *Server) Frame() *simulator.System { return s.frame }

// Roots returns the pool by which a client trusts the provider's certificate.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.cert.leaf)
	return pool
}

// CertificatePEM returns the certificate for a client in another process.
func (s *Server) CertificatePEM() []byte { return s.cert.pem }

// SetSearchLag changes how long messages take to show up in the journal, for
// those that are accepted from now on.
func (s *Server) SetSearchLag(lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = lag
}

func (s *Server) searchLag() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lag
}

// DenyRelay refuses to pass mail on for us, whoever it is for, as a provider does
// that does not know our host any more.
func (s *Server) DenyRelay(denies bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denies = denies
}

func (s *Server) deniesRelay() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denies
}

// Close ends every listener and connection and closes the database.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range open {
		_ = c.Close()
	}
	return s.frame.Close()
}

// ServeSMTP serves SMTP on every connection of l, until l or s is closed.
func (s *Server) ServeSMTP(l net.Listener) error { return s.serve(l, s.SMTPConn) }

// ServeIMAP serves IMAP on every connection of l, until l or s is closed.
func (s *Server) ServeIMAP(l net.Listener) error { return s.serve(l, s.IMAPConn) }

func (s *Server) serve(l net.Listener, one func(net.Conn)) error {
	if !s.track(l) {
		return net.ErrClosed
	}
	defer s.forget(l)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("simulated mail: accept: %w", err)
		}
		go one(c)
	}
}

func (s *Server) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *Server) forget(c io.Closer) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// only is a listener of one connection: the libraries serve listeners, and a
// virtual-time universe has pipes. Accept ends when the connection is closed.
type only struct {
	net.Conn
	once  sync.Once
	first chan net.Conn
	done  chan struct{}
}

func listenTo(c net.Conn) *only {
	o := &only{Conn: c, first: make(chan net.Conn, 1), done: make(chan struct{})}
	o.first <- o
	return o
}

// Accept returns the connection once, and then waits for its end.
func (o *only) Accept() (net.Conn, error) {
	select {
	case c := <-o.first:
		return c, nil
	case <-o.done:
		return nil, net.ErrClosed
	}
}

// Close closes the connection, and with it the listener.
func (o *only) Close() error {
	o.once.Do(func() { close(o.done) })
	return o.Conn.Close()
}

// client is the context of the call that the connection was opened for, where a
// universe tells it.
func (o *only) client() context.Context {
	if c, ok := o.Conn.(interface{ Context() context.Context }); ok {
		return c.Context()
	}
	return context.Background()
}

// hang waits until the client gave up.
func (o *only) hang(frame *simulator.System) {
	if c, ok := o.Conn.(interface{ Context() context.Context }); ok {
		frame.Hang(c.Context())
		return
	}
	_, _ = io.Copy(io.Discard, o.Conn) // until it hangs up
}

// Addr returns the address of our end.
func (o *only) Addr() net.Addr { return o.LocalAddr() }

// quiet takes the libraries' own log lines, which are about clients that hang
// up: what happened is in the ledger.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *Server) update(f func(tx *sql.Tx) error) error {
	if err := s.frame.Update(f); err != nil {
		return fmt.Errorf("simulated mail: %w", err)
	}
	return nil
}
