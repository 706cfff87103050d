package mail

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// maxMessage is the most that the provider takes of one message.
const maxMessage = 10 << 20

// SMTPConn serves one connection and returns when it is closed.
func (s *Server) SMTPConn(c net.Conn) {
	l := listenTo(c)
	if !s.track(l) {
		return
	}
	defer s.forget(l)
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(gc *gosmtp.Conn) (gosmtp.Session, error) {
		return &sending{server: s, conn: gc, raw: l}, nil
	}))
	server.Domain = s.settings.Domain
	server.TLSConfig = s.tls
	server.MaxMessageBytes = maxMessage
	server.MaxRecipients = 100
	server.EnableSMTPUTF8 = true
	server.EnableDSN = true
	server.AllowInsecureAuth = true // a pipe inside a universe has no TLS
	server.ErrorLog = quiet{}
	_ = server.Serve(l) // ends with the connection
}

// sending is one SMTP session.
type sending struct {
	server *Server
	conn   *gosmtp.Conn
	raw    *only // below TLS

	authenticated bool
	from          string
	to            []string
	call          simulator.Call
	fault         simulator.Fault
	decided       bool // the transaction's fault is picked
	death         simulator.Death
}

var _ gosmtp.AuthSession = (*sending)(nil)

func answer(code, class, subject, detail int, text string) error {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{class, subject, detail}, Message: text}
}

// AuthMechanisms returns those that are offered.
func (x *sending) AuthMechanisms() []string {
	if x.server.settings.SMTPUser == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth checks the configured user.
func (x *sending) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != x.server.settings.SMTPUser || password != x.server.settings.SMTPPassword {
			return gosmtp.ErrAuthFailed
		}
		x.authenticated = true
		return nil
	}), nil
}

// Reset forgets the transaction.
func (x *sending) Reset() {
	x.from, x.to, x.call, x.fault, x.decided = "", nil, simulator.Call{}, simulator.Fault{}, false
	x.death = simulator.Lives
}

// Logout ends the session.
func (x *sending) Logout() error { return nil }

// Mail starts a transaction. Its fault is picked here when the envelope id
// names the intent.
func (x *sending) Mail(from string, o *gosmtp.MailOptions) error {
	x.Reset()
	if x.server.settings.SMTPUser != "" && !x.authenticated {
		return answer(530, 5, 7, 0, "Authentication required")
	}
	x.from = from
	if o == nil {
		return nil
	}
	i, ok := order.ParseKey(o.EnvelopeID)
	if !ok {
		return nil
	}
	x.decide(i.Order, o.EnvelopeID)
	if x.death == simulator.DiesBefore {
		return x.hangUp()
	}
	return x.early(simulator.Refused, simulator.Unavailable, simulator.RateLimited, simulator.Unauthorized)
}

func (x *sending) decide(of order.ID, key string) {
	x.call = simulator.Call{Operation: order.Send, Order: of, Key: key}
	if x.death = x.server.frame.Dies(x.raw.client(), x.call); x.death != simulator.DiesBefore {
		x.fault = x.server.frame.Suffer(x.call)
	}
	x.decided = true
}

// early carries out the transaction's fault when it is one of these kinds,
// which have no effect.
func (x *sending) early(kinds ...simulator.FaultKind) error {
	for _, k := range kinds {
		if x.fault.Kind == k {
			return x.refuse()
		}
	}
	return nil
}

// refuse answers a fault that has no effect, whatever the stage.
func (x *sending) refuse() error {
	switch x.fault.Kind { // the others have an effect
	case simulator.Unavailable:
		return x.note(answer(421, 4, 3, 2, "Service not available, closing transmission channel"))
	case simulator.RateLimited:
		return x.note(answer(451, 4, 7, 1, "Too many messages, try again later"))
	case simulator.Unauthorized:
		return x.note(answer(530, 5, 7, 0, "Authentication required"))
	case simulator.Rejected:
		return x.note(answer(550, 5, 1, 1, "No such user here"))
	case simulator.ReplaysError:
		return x.note(answer(451, 4, 3, 0, "Temporary local problem, please try later"))
	}
	return x.cut()
}

// note writes the request to the ledger and passes its answer on.
func (x *sending) note(err error) error {
	status := 250
	if e, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
		status = e.Code
	}
	x.server.frame.Note(x.call, x.fault, status)
	return err
}

// cut hangs up without an answer.
func (x *sending) cut() error {
	x.server.frame.Note(x.call, x.fault, 0)
	return x.hangUp()
}

func (x *sending) hangUp() error {
	_ = x.raw.Close()
	return answer(421, 4, 4, 2, "Connection dropped") // goes nowhere
}

// Rcpt takes any address but the configured ones.
func (x *sending) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if x.server.deniesRelay() {
		return x.note(answer(554, 5, 7, 1, "Relay access denied"))
	}
	same := func(address string) bool { return strings.EqualFold(address, to) }
	if slices.ContainsFunc(x.server.settings.Unknown, same) {
		return answer(550, 5, 1, 1, "No such user here")
	}
	if slices.ContainsFunc(x.server.settings.Deferred, same) {
		return answer(451, 4, 2, 1, "Try again later")
	}
	if !x.server.isJournal(to) {
		if err := x.early(simulator.Rejected); err != nil {
			return err
		}
	}
	if to = strings.ToLower(to); !slices.Contains(x.to, to) { // one copy each, as at Exim
		x.to = append(x.to, to)
	}
	return nil
}

// Data takes the message; after it everything that is accepted has its effect.
func (x *sending) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l := parseLetter(body)
	if !x.decided {
		x.decide(l.order, l.key)
	}
	x.call.Order, x.call.Key, x.call.Detail = l.order, l.key, l.template
	l.raw = append(x.trace(), body...)
	to := x.to
	switch x.death {
	case simulator.DiesBefore:
		return x.hangUp()
	case simulator.DiesAfter:
		return errors.Join(x.server.deliver(to, l, x.fault.Kind), x.cut())
	case simulator.Lives:
	}
	effect := func() error { return x.server.deliver(to, l, x.fault.Kind) }
	switch x.fault.Kind { // the others do nothing to a message
	case simulator.Refused, simulator.Unavailable, simulator.RateLimited, simulator.Unauthorized,
		simulator.Rejected, simulator.ReplaysError:
		return x.refuse()
	case simulator.ResponseLost:
		return errors.Join(effect(), x.cut())
	case simulator.ResponseError:
		return x.accepted(effect(), answer(451, 4, 3, 0, "Local error in processing"))
	case simulator.Late:
		fault := x.fault
		x.raw.hang(x.server.frame)
		x.server.frame.After(fault.Delay, "late.send", func() { _ = x.server.deliver(to, l, fault.Kind) })
		return x.cut()
	case simulator.Garbage:
		err := effect()
		_, _ = io.WriteString(x.conn.Conn(), "<html><body>It works!</body></html>\r\n")
		return errors.Join(err, x.cut())
	case simulator.Twice:
		if err := effect(); err != nil {
			return err
		}
	}
	return x.accepted(effect(), nil)
}

// accepted answers what was delivered, or that it could not be.
func (x *sending) accepted(delivered, reply error) error {
	if delivered != nil {
		return x.note(answer(451, 4, 3, 0, "Local error in delivery"))
	}
	return x.note(reply)
}

// trace returns the headers that a provider puts on top.
func (x *sending) trace() []byte {
	at := x.server.frame.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700")
	return []byte("Return-Path: <" + x.from + ">\r\n" +
		"Received: from " + x.conn.Hostname() + "\r\n\tby " + x.server.settings.Domain + " with ESMTP; " + at + "\r\n")
}
