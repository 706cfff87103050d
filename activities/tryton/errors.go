package tryton

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/trueup-orders/trueup/activities/apierr"
)

// The reasons of errors that Tryton answers with HTTP 200.
const (
	UserError            = "UserError"            // a business refusal
	UserWarning          = "UserWarning"          // a question that a person would answer
	ConcurrencyException = "ConcurrencyException" // the record changed since its _timestamp
	// Busy is ours for a transaction that the database rolled back because
	// another was in its way, as two postings of one sequence are.
	Busy = "busy"
)

// Warning is a question that Tryton asks before it goes on; Name is what is to
// be confirmed.
type Warning struct {
	Name    string
	Message string
}

func (w *Warning) Error() string { return w.Message }

// Refused says that err is a business refusal with HTTP 200: the call had no
// effect, for Tryton rolls the whole call back.
func Refused(err error) bool { return err != nil && apierr.ReasonOf(err) == UserError }

// Changed says that the record changed since it was read; the call had no effect.
func Changed(err error) bool { return err != nil && apierr.ReasonOf(err) == ConcurrencyException }

// nonsense is an answer that cannot be understood: after a write nobody knows
// what happened.
func nonsense(write bool, err error) error {
	if write {
		return apierr.New(apierr.InDoubt, "", err)
	}
	return apierr.New(apierr.Garbage, "", err)
}

// Nonsense returns the error of a read whose content makes no sense.
func Nonsense(format string, args ...any) error {
	return apierr.New(apierr.Garbage, "", fmt.Errorf(format, args...))
}

// transportError classifies an error below HTTP. Only what failed before
// anything was sent is known to have had no effect.
func transportError(err error, write bool) error {
	var op *net.OpError
	var dns *net.DNSError
	unsent := errors.As(err, &dns) || errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial"
	if write && !unsent {
		return apierr.New(apierr.InDoubt, "", fmt.Errorf("no answer: %w", err))
	}
	return apierr.New(apierr.Unavailable, "", fmt.Errorf("no answer: %w", err))
}

func statusError(resp *http.Response, write bool) error {
	err := fmt.Errorf("HTTP status %d", resp.StatusCode)
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests:
		return &apierr.Error{Code: apierr.RateLimited, After: retryAfter(resp), Err: err}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return apierr.New(apierr.Unauthorized, "", err)
	case code == http.StatusNotFound:
		// Tryton answers so when it cannot open the database, also while
		// PostgreSQL is down.
		return apierr.New(apierr.Unavailable, "no database", fmt.Errorf("%w: the server cannot open this database", err))
	case code >= http.StatusInternalServerError:
		// Also 503: what stands before Tryton may have passed the request on.
		if write {
			return apierr.New(apierr.InDoubt, "", err)
		}
		return apierr.New(apierr.Unavailable, "", err)
	case code >= http.StatusBadRequest:
		return apierr.New(apierr.Invalid, "", err)
	}
	return nonsense(write, err)
}

// retryAfter reads seconds or an HTTP date; nonsense is ignored.
func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	// By the server's own clock, so that none of ours is needed.
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || !at.After(now) {
		return 0
	}
	return at.Sub(now)
}

// rpcError classifies an error that came with HTTP 200. Tryton's own exceptions
// roll the call back. Any other may also come from what runs after the commit,
// so that a write is in doubt.
func rpcError(raw json.RawMessage, write bool) error {
	var parts []json.RawMessage
	var kind string
	if json.Unmarshal(raw, &parts) != nil || len(parts) == 0 || json.Unmarshal(parts[0], &kind) != nil {
		return nonsense(write, errors.New("the error makes no sense"))
	}
	var details []any
	if len(parts) > 1 {
		_ = json.Unmarshal(parts[1], &details)
	}
	text := func(i int) string {
		if i < len(details) {
			if s, ok := details[i].(string); ok {
				return s
			}
		}
		return ""
	}
	switch kind {
	case UserError:
		return apierr.New(apierr.Declined, UserError, errors.New(withoutNames(text(0))))
	case UserWarning:
		return apierr.New(apierr.Conflict, UserWarning, &Warning{Name: text(0), Message: withoutNames(text(1))})
	case ConcurrencyException:
		return apierr.New(apierr.Conflict, ConcurrencyException, errors.New("the record was changed meanwhile"))
	case "LoginException":
		return apierr.New(apierr.Unauthorized, "LoginException", errors.New("the log-in wants more than a password"))
	}
	err := fmt.Errorf("the server failed: %s", withoutNames(strings.TrimSpace(kind)))
	if busy.MatchString(kind) {
		return apierr.New(apierr.Unavailable, Busy, err)
	}
	if write {
		return apierr.New(apierr.InDoubt, "", err)
	}
	return apierr.New(apierr.Unavailable, "", err)
}

// busy are the words in which PostgreSQL and SQLite say so.
var busy = regexp.MustCompile(`could not serialize access|could not obtain lock|deadlock detected|database is locked`)

// quoted is what Tryton's messages put into quotes: names of records, which may
// be names of people.
var quoted = regexp.MustCompile(`"[^"]*"`)

func withoutNames(message string) string {
	message = quoted.ReplaceAllStringFunc(message, func(s string) string {
		if strings.ContainsAny(s, " @") {
			return `"…"`
		}
		return s
	})
	if r := []rune(message); len(r) > 200 {
		message = string(r[:200]) + "…"
	}
	return message
}
