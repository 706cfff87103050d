package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/mail"
	"github.com/trueup-orders/trueup/reconcile"
)

// maxReplies is the most that we read of one SMTP session.
const maxReplies = 1 << 20

// Send hands one message to the provider, for the customer and the journal in
// one transaction. The message it returns is what was accepted; the journal
// shows it after the visibility lag.
func (c *Client) Send(ctx context.Context, r mail.SendRequest) (reconcile.Message, error) {
	m, err := c.send(ctx, r)
	if err != nil {
		return reconcile.Message{}, fmt.Errorf("send %s of order %s: smtp: %w", r.Template, r.Order, err)
	}
	return m, nil
}

func (c *Client) send(ctx context.Context, r mail.SendRequest) (reconcile.Message, error) {
	now := c.config.Now()
	if err := check(r); err != nil {
		return reconcile.Message{}, err
	}
	if now.After(until(r)) {
		return reconcile.Message{}, apierr.New(apierr.Declined, "too_late",
			fmt.Errorf("it is more than %s after its event", until(r).Sub(r.Due)))
	}
	l, err := c.compose(r, now)
	if err != nil {
		return reconcile.Message{}, err
	}
	if err := c.hand(ctx, l); err != nil {
		return reconcile.Message{}, err
	}
	return reconcile.Message{MessageID: l.id, Template: r.Template, Occasion: r.Occasion, At: now.UTC()}, nil
}

// until is the last moment at which a message is sent.
func until(r mail.SendRequest) time.Time {
	if r.Until.IsZero() {
		return r.Due.Add(MaxAge)
	}
	return r.Until
}

// stage is how far a transaction has come; it decides what an error means.
type stage string

const (
	stageConnect stage = "connect"
	stageHello   stage = "hello"
	stageTLS     stage = "start tls"
	stageAuth    stage = "authenticate"
	stageMail    stage = "name the sender"
	stageRcpt    stage = "name the customer"
	stageJournal stage = "name the journal"
	stageData    stage = "send the message"
	// stageDot is after the final dot: the server may have taken the message.
	stageDot stage = "end the message"
)

// hand runs one transaction.
func (c *Client) hand(ctx context.Context, l letter) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	conn, err := c.connect(ctx, c.config.SMTPAddress, maxReplies)
	if err != nil {
		return c.refused(stageConnect, err)
	}
	defer func() { _ = conn.Close() }()
	client, at, err := c.greet(ctx, conn)
	if err == nil {
		at, err = c.transact(client, l)
	}
	if err == nil {
		_ = client.Quit()
		return nil
	}
	if _, answered := errors.AsType[*gosmtp.SMTPError](err); answered && client != nil {
		_ = client.Quit() // what was not ended with a dot is dropped
	}
	return c.refused(at, err)
}

// greet brings a connection to where a transaction may start.
func (c *Client) greet(ctx context.Context, conn *bounded) (*gosmtp.Client, stage, error) {
	settings := c.tlsFor(c.config.SMTPAddress)
	var client *gosmtp.Client
	switch c.config.SMTPSecurity {
	case TLS:
		secured := tls.Client(conn, settings)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, stageTLS, err
		}
		client = gosmtp.NewClient(secured)
	case StartTLS:
		var err error
		if client, err = gosmtp.NewClientStartTLS(conn, settings); err != nil {
			return nil, stageTLS, err
		}
	case Off:
		client = gosmtp.NewClient(conn)
	}
	client.CommandTimeout, client.SubmissionTimeout = c.config.Timeout, c.config.Timeout
	if err := client.Hello(c.domain); err != nil {
		return client, stageHello, err
	}
	if c.config.User == "" {
		return client, stageHello, nil
	}
	return client, stageAuth, client.Auth(sasl.NewPlainClient("", c.config.User, c.config.Password))
}

// errNoUTF8 says that the server cannot be told this address.
var errNoUTF8 = errors.New("the server takes no addresses beyond ASCII")

func (c *Client) transact(client *gosmtp.Client, l letter) (stage, error) {
	options := &gosmtp.MailOptions{
		Size: int64(len(l.body)), UTF8: !isASCII(l.to + c.config.From.Address),
		// The envelope id comes back in delivery reports and stands in the
		// provider's log.
		EnvelopeID: l.key,
	}
	if ok, _ := client.Extension("SMTPUTF8"); options.UTF8 && !ok {
		return stageRcpt, errNoUTF8
	}
	if err := client.Mail(c.config.From.Address, options); err != nil {
		return stageMail, err
	}
	if err := client.Rcpt(l.to, nil); err != nil {
		return stageRcpt, err
	}
	if c.config.Journal != "" {
		if err := client.Rcpt(c.config.Journal, nil); err != nil {
			return stageJournal, err
		}
	}
	data, err := client.Data()
	if err != nil {
		return stageData, err
	}
	if _, err := data.Write(l.body); err != nil {
		return stageData, err
	}
	return stageDot, data.Close()
}

// throttled is how long to wait when a server asks for patience: it never says
// how long, and greylisting is over after a minute or some.
const throttled = time.Minute

// refused says what an error means that ended a transaction at a stage. The
// server's own words are left out: they repeat addresses.
func (c *Client) refused(at stage, err error) error {
	answer, answered := errors.AsType[*gosmtp.SMTPError](err)
	switch {
	case errors.Is(err, errNoUTF8):
		return apierr.New(apierr.Declined, "no_smtputf8", err)
	case !answered && at == stageDot:
		return apierr.New(apierr.InDoubt, "", fmt.Errorf("%s: %w", at, plain(err)))
	case !answered:
		return apierr.New(apierr.Unavailable, "", fmt.Errorf("%s: %w", at, plain(err)))
	}
	reason := fmt.Sprintf("smtp_%d", answer.Code)
	said := fmt.Errorf("%s: the server answers %d", at, answer.Code)
	if e := answer.EnhancedCode; e[0] > 0 {
		said = fmt.Errorf("%w %d.%d.%d", said, e[0], e[1], e[2])
	}
	code := codeOf(at, answer)
	e := &apierr.Error{Code: code, Reason: reason, Err: said}
	if code == apierr.RateLimited {
		e.After = throttled
	}
	return e
}

func codeOf(at stage, answer *gosmtp.SMTPError) apierr.Code {
	permanent := answer.Code/100 == 5
	switch {
	case permanent && answer.EnhancedCode[0] == 5 && answer.EnhancedCode[1] == 7:
		// Policy: our host, our sender or our credentials are refused, at whichever
		// command the server says so. RFC 3463 has 5.1 and 5.2 for addresses.
		return apierr.Unauthorized
	case at == stageDot && permanent:
		return apierr.Declined
	case at == stageDot:
		// A server that answers 4xx should not have taken the message. Some
		// have: a filter fails after the queue has it.
		return apierr.InDoubt
	case answer.Code == 530 || answer.Code == 534 || answer.Code == 535 || answer.Code == 538:
		return apierr.Unauthorized
	case at == stageJournal:
		return apierr.Unavailable // never without the journal
	case !permanent && answer.EnhancedCode[0] == 4 && answer.EnhancedCode[1] == 7:
		return apierr.RateLimited // policy: greylisting, or too many of us
	case !permanent:
		return apierr.Unavailable
	case at == stageRcpt || at == stageData || answer.Code == 552: // 552: this message is too large
		return apierr.Declined
	}
	// Our host or our sender is refused, whatever the order: a person mends it.
	return apierr.Unauthorized
}

// errNonsense stands for an answer that is not SMTP; its text may hold anything.
var errNonsense = errors.New("the server's answer makes no sense")
