package smtp

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/trueup-orders/trueup/activities/apierr"
)

const (
	maxJournal = 8 << 20 // bytes that we read of one IMAP session
	// crowded is how long to wait when the user has too many sessions.
	crowded = 5 * time.Second
)

// journal is one connection to the mailbox, opened for reading only.
type journal struct {
	conn     *bounded
	client   *imapclient.Client
	validity uint32
	next     imap.UID // the next message gets it; 0 where the server does not say
	sessions chan struct{}
}

func (c *Client) open(ctx context.Context) (*journal, error) {
	if c.config.IMAPAddress == "" {
		return nil, apierr.New(apierr.Unavailable, "no_journal", errors.New("no journal is configured to be read"))
	}
	select {
	case c.sessions <- struct{}{}:
	case <-ctx.Done():
		return nil, apierr.New(apierr.Unavailable, "busy", fmt.Errorf("wait for a free session: %w", ctx.Err()))
	}
	conn, err := c.connect(ctx, c.config.IMAPAddress, maxJournal)
	if err != nil {
		<-c.sessions
		return nil, apierr.New(apierr.Unavailable, "", fmt.Errorf("connect: %w", err))
	}
	j := &journal{conn: conn, sessions: c.sessions}
	if err := c.enter(ctx, j); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// enter secures the connection, logs in and opens the mailbox.
func (c *Client) enter(ctx context.Context, j *journal) error {
	settings := c.tlsFor(c.config.IMAPAddress)
	switch c.config.IMAPSecurity {
	case TLS:
		secured := tls.Client(j.conn, settings)
		if err := secured.HandshakeContext(ctx); err != nil {
			return apierr.New(apierr.Unavailable, "", fmt.Errorf("start tls: %w", err))
		}
		j.client = imapclient.New(secured, nil)
	case StartTLS:
		client, err := imapclient.NewStartTLS(j.conn, &imapclient.Options{TLSConfig: settings})
		if err != nil {
			if answer, answered := errors.AsType[*imap.Error](err); answered {
				return refusal("start tls", answer, apierr.Unavailable)
			}
			return apierr.New(apierr.Unavailable, "", fmt.Errorf("start tls: %w", err))
		}
		j.client = client
	case Off:
		j.client = imapclient.New(j.conn, nil)
	}
	if err := j.client.Login(c.config.IMAPUser, c.config.IMAPPassword).Wait(); err != nil {
		return j.refused("log in", err, apierr.Unauthorized)
	}
	selected, err := j.client.Select(c.config.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return j.refused("open the mailbox", err, apierr.Unavailable)
	}
	j.validity, j.next = selected.UIDValidity, selected.UIDNext
	return nil
}

func (j *journal) close() {
	if j.client != nil {
		_ = j.client.Close() // waits for the library's own goroutine
	}
	_ = j.conn.Close()
	<-j.sessions
}

func (j *journal) search(c *imap.SearchCriteria) ([]imap.UID, error) {
	found, err := j.client.UIDSearch(c, nil).Wait()
	if err != nil {
		return nil, j.refused("search", err, apierr.Unavailable)
	}
	return found.AllUIDs(), nil
}

// fields are all that is read of a message.
var fields = &imap.FetchItemBodySection{
	Specifier: imap.PartSpecifierHeader, Peek: true,
	HeaderFields: []string{"Message-ID", "From", headerOrder, headerKey, headerTemplate, headerOccasion},
}

// fetch returns the headers of messages by UID, of all of them: one that is
// gone since the search ends the call, for a partial answer is none.
func (j *journal) fetch(uids []imap.UID) ([]entry, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	fetched, err := j.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{
		UID: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{fields},
	}).Collect()
	if err != nil {
		return nil, j.refused("fetch", err, apierr.Unavailable)
	}
	entries := make([]entry, 0, len(fetched))
	for _, m := range fetched {
		if len(m.BodySection) == 0 {
			continue // another client's change, told in between
		}
		if !slices.Contains(uids, m.UID) || m.InternalDate.IsZero() {
			return nil, apierr.New(apierr.Garbage, "", errors.New("fetch: a message came that was not asked for"))
		}
		e, err := read(m)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if len(entries) < len(uids) {
		return nil, apierr.New(apierr.Unavailable, "", errors.New("fetch: the mailbox changed while it was read"))
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.uid, b.uid) })
	return entries, nil
}

func read(m *imapclient.FetchMessageBuffer) (entry, error) {
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(m.BodySection[0].Bytes))).ReadMIMEHeader()
	if err != nil && len(h) == 0 && len(bytes.TrimSpace(m.BodySection[0].Bytes)) > 0 {
		return entry{}, apierr.New(apierr.Garbage, "", fmt.Errorf("fetch: the headers of message %d make no sense", m.UID))
	}
	from := ""
	if a, err := netmail.ParseAddress(h.Get("From")); err == nil {
		from = a.Address
	}
	return entry{
		uid: m.UID, at: m.InternalDate.UTC(), from: from, id: h.Get("Message-ID"), order: h.Get(headerOrder),
		key: h.Get(headerKey), template: h.Get(headerTemplate), occasion: h.Get(headerOccasion),
	}, nil
}

// refused says what an error of a command means; no is the code of a plain NO.
// The server's own words are left out.
func (j *journal) refused(doing string, err error, no apierr.Code) error {
	answer, answered := errors.AsType[*imap.Error](err)
	switch broken := j.conn.broken(); {
	case answered:
		return refusal(doing, answer, no)
	case errors.Is(broken, errTooMuch):
		return apierr.New(apierr.Garbage, "", fmt.Errorf("%s: %w", doing, broken))
	case broken != nil:
		return apierr.New(apierr.Unavailable, "", fmt.Errorf("%s: %w", doing, broken))
	}
	// The connection is well, and the library could not read the answer.
	return apierr.New(apierr.Garbage, "", fmt.Errorf("%s: %w", doing, errNonsense))
}

func refusal(doing string, answer *imap.Error, no apierr.Code) error {
	said := fmt.Errorf("%s: the server answers %s %s", doing, answer.Type, answer.Code)
	reason := strings.ToLower(string(answer.Code))
	e := &apierr.Error{Code: no, Reason: reason, Err: said}
	switch answer.Code { // the others tell nothing that matters here
	case imap.ResponseCodeAuthenticationFailed, imap.ResponseCodeAuthorizationFailed, imap.ResponseCodeExpired,
		imap.ResponseCodePrivacyRequired, imap.ResponseCodeNoPerm:
		e.Code = apierr.Unauthorized
	case imap.ResponseCodeLimit: // others read with the same user; they are done soon
		e.Code, e.After = apierr.RateLimited, crowded
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeServerBug, imap.ResponseCodeContactAdmin:
		e.Code = apierr.Unavailable
	default:
		if answer.Type == imap.StatusResponseTypeBye {
			e.Code = apierr.Unavailable
		}
	}
	return e
}
