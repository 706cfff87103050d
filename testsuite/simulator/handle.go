package simulator

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Call is one request, classified by what it does in this system.
type Call struct {
	Operation order.Operation // also "lookup", "list", "count"
	Order     order.ID        // empty when it is about no single order
	Key       string
	Detail    string // one line for the ledger, without secrets
}

// Answer is what a system answers.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do has the effect of the call and returns the answer. It gets the kinds that
// the frame leaves to the system, else NoFault. It is called twice under Twice,
// and later than the request under Late. Effects append to the ledger in their
// own transaction.
type Do func(kind FaultKind) Answer

// maxBody is the most that a system reads of a request.
const maxBody = 4 << 20

// ReadBody reads the whole body, and puts it back for a second reader.
func ReadBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// Handle answers one classified request under the fault that it suffers, and
// writes the request to the ledger. Read the body before.
func (s *System) Handle(w http.ResponseWriter, r *http.Request, c Call, do Do) {
	death := s.Dies(r.Context(), c)
	if death == DiesBefore || s.passes(c, false) {
		panic(http.ErrAbortHandler)
	}
	f := s.faults.next(c.Operation, c.Order)
	a, answered := s.suffer(r, c, f, do)
	s.note(c, f, a.Status)
	s.passes(c, true)
	if !answered || death == DiesAfter {
		panic(http.ErrAbortHandler) // cuts the connection; a direct transport maps it to an error
	}
	for k, v := range a.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// Suffer picks and counts the fault that a call suffers, for a system whose
// protocol is not HTTP; it carries out every kind itself and calls Note after.
func (s *System) Suffer(c Call) Fault {
	if s.passes(c, false) {
		return Fault{Kind: Refused}
	}
	return s.faults.next(c.Operation, c.Order)
}

// Note writes to the ledger how a call that came through Suffer was answered; 0
// says that it was not.
func (s *System) Note(c Call, f Fault, status int) {
	s.note(c, f, status)
	s.passes(c, true)
}

// suffer returns the answer, and whether there is one.
func (s *System) suffer(r *http.Request, c Call, f Fault, do Do) (Answer, bool) {
	switch f.Kind {
	case NoFault:
		return s.remember(r, do(NoFault)), true
	case Refused:
		return Answer{}, false
	case Unavailable:
		return plain(http.StatusServiceUnavailable, "temporarily unavailable"), true
	case ResponseLost:
		do(NoFault)
		return Answer{}, false
	case ResponseError:
		do(NoFault)
		return plain(http.StatusInternalServerError, "internal error"), true
	case RateLimited:
		a := plain(http.StatusTooManyRequests, "too many requests")
		after := max(f.Delay, time.Second)
		a.Header.Set("Retry-After", strconv.Itoa(int(after.Seconds())))
		return a, true
	case Unauthorized:
		return plain(http.StatusUnauthorized, "unauthorized"), true
	case Late:
		s.Hang(r.Context())
		s.After(f.Delay, "late."+string(c.Operation), func() { do(NoFault) })
		return Answer{}, false
	case Garbage:
		do(NoFault)
		a := plain(http.StatusOK, "<html><body>It works!</body></html>")
		a.Header.Set("Content-Type", "text/html")
		return a, true
	case Twice:
		do(NoFault)
		return do(NoFault), true
	case Stale:
		if old, ok := s.recall(r, f.Delay); ok {
			return old, true
		}
		return do(Stale), true
	case Rejected, Vanishes, Partial, ReplaysError, NotListed, EmptyList, Foreign:
		return do(f.Kind), true
	}
	return do(NoFault), true
}

func plain(status int, text string) Answer {
	return Answer{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(text + "\n")}
}

func (s *System) note(c Call, f Fault, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.append(s.db, Entry{
		Kind: EntryRequest, Operation: c.Operation, Order: c.Order, Key: c.Key,
		Status: status, Fault: f.Kind, Detail: c.Detail,
	})
}

// answered is an old answer to a read, kept for Stale.
type answered struct {
	at     time.Time
	answer Answer
}

// mostReads is of how many addresses the answers are kept: who walks a million
// records asks for each page once.
const mostReads = 1_000

// remember keeps the answers of reads, so that Stale can repeat an old one.
func (s *System) remember(r *http.Request, a Answer) Answer {
	if r.Method != http.MethodGet || a.Status != http.StatusOK {
		return a
	}
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	key := r.URL.String()
	old, known := s.outbox.reads[key]
	if !known {
		if s.outbox.asked = append(s.outbox.asked, key); len(s.outbox.asked) > mostReads {
			delete(s.outbox.reads, s.outbox.asked[0])
			s.outbox.asked = s.outbox.asked[1:]
		}
	}
	old = append(old, answered{s.Now(), a})
	s.outbox.reads[key] = old[max(0, len(old)-8):]
	return a
}

func (s *System) recall(r *http.Request, age time.Duration) (Answer, bool) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	kept := s.outbox.reads[r.URL.String()]
	for i := len(kept) - 1; i >= 0; i-- {
		if s.Now().Sub(kept[i].at) >= age {
			return kept[i].answer, true
		}
	}
	if len(kept) > 0 {
		return kept[0].answer, true
	}
	return Answer{}, false
}
