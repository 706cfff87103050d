// Package decoders lets the six adapters read answers that make no sense: cut,
// mixed with others, in another format, under another status. A reader may say
// that it cannot read them; it may never panic, and never take for absent an
// order whose record is there.
package decoders

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/simulator/mail"
	"github.com/trueup-orders/trueup/testsuite/simulator/warehouse"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workers"
)

// garble changes what systems answer.
type garble struct {
	next http.RoundTripper

	mu     sync.Mutex
	change func(status int, body []byte) (int, []byte, http.Header)
}

func (g *garble) set(change func(status int, body []byte) (int, []byte, http.Header)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.change = change
}

// RoundTrip implements http.RoundTripper.
func (g *garble) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := g.next.RoundTrip(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil || g.change == nil {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	status, body, header := g.change(response.StatusCode, body)
	response.StatusCode, response.Status = status, strconv.Itoa(status)+" "+http.StatusText(status)
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	for k, v := range header {
		response.Header[k] = v
	}
	response.Header.Del("Content-Length")
	return response, nil
}

// reader is what every system's port reads with.
type reader interface {
	Lookup(ctx context.Context, s reconcile.Subject) (reconcile.Observation, error)
	List(ctx context.Context, r reconcile.ListRequest) (reconcile.Page, error)
}

// place is a world in which one order is being packed, and adapters whose
// answers are garbled.
type place struct {
	world   *virtual.World
	garble  *garble
	systems *workers.Systems
	subject reconcile.Subject
}

func packed(f testing.TB) *place {
	f.Helper()
	o := order.Order{
		ID: "O1", PlacedAt: virtual.Start, Channel: "shop", Currency: "EUR",
		Customer: order.Customer{ID: "c1", Email: "c1@example.com", Name: "Ada Lovelace"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "1 Main St", City: "Paris", PostalCode: "75001", Country: "FR"},
		Lines:    []order.Line{{SKU: "A", Quantity: 2, UnitPrice: 2500}, {SKU: "B", Quantity: 1, UnitPrice: 4980}},
		Total:    9980, Payment: order.Payment{Method: "pm_card_visa", Capture: order.CaptureOnShip},
	}
	p := &place{world: virtual.Open(f, virtual.Options{Stock: map[string]int{"A": 10, "B": 3}, Pace: warehouse.DefaultPace()})}
	p.world.At(time.Minute, "submit", func() { p.world.Submit(o) })
	p.world.Run(100 * time.Minute)
	var err error
	p.systems, err = p.world.Connect(func(next http.RoundTripper) http.RoundTripper {
		p.garble = &garble{next: next}
		return p.garble
	})
	if err != nil {
		f.Fatal(err)
	}
	p.subject = reconcile.SubjectOf(o)
	return p
}

// look reads the order: it is no other's, and whatever the system asks us to
// wait is bounded.
func (p *place) look(t *testing.T, r reader) (reconcile.Observation, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o, err := r.Lookup(ctx, p.subject)
	if err == nil && o.Order != p.subject.Order {
		t.Fatalf("the records of %q were taken for those of %q", o.Order, p.subject.Order)
	}
	_, listed := r.List(ctx, reconcile.ListRequest{From: virtual.Start, To: virtual.Start.Add(48 * time.Hour)})
	for _, err := range []error{err, listed} {
		var e *temporal.ApplicationError
		if errors.As(apierr.ToEngine("read", err), &e) && (e.NextRetryDelay() < 0 || e.NextRetryDelay() > apierr.MaxWait) {
			t.Fatalf("the system may have us wait %s: %v", e.NextRetryDelay(), err)
		}
	}
	return o, err
}

// answers fuzzes what one system answers: each answer cut at a place, followed
// by a tail, or as a whole under another status.
func answers(f *testing.F, of func(*workers.Systems) reader) {
	f.Helper()
	p := packed(f)
	r := of(p.systems)
	o, err := r.Lookup(context.Background(), p.subject)
	if err != nil || o.State != reconcile.Present {
		f.Fatalf("before anything is garbled: %s, %v", o.State, err)
	}
	for _, tail := range []string{
		"", "}", "]}", `"}]}`, "null", "<html>It works!</html>", `{"result": null}`, `{"data": null}`, `{"results": {}}`,
		`{"error": "oops"}`, "\x1f\x8b\x08\x00", "1e999", `{"a":{"a":{"a":{"a":[[[[[[`,
	} {
		f.Add(uint16(0), []byte(tail), uint16(0), "")
		f.Add(uint16(40), []byte(tail), uint16(0), "")
		f.Add(uint16(0), []byte(tail), uint16(503), "9999999999")
		f.Add(uint16(0), []byte(tail), uint16(429), "-1")
		f.Add(uint16(0), []byte(tail), uint16(429), "Mon, 02 Jan 9999 15:04:05 GMT")
		f.Add(uint16(0), []byte(tail), uint16(404), "")
	}
	f.Fuzz(func(t *testing.T, cut uint16, tail []byte, status uint16, after string) {
		sense := false // an answer that can be read may say anything, also that nothing is there
		p.garble.set(func(is int, body []byte) (int, []byte, http.Header) {
			at := min(int(cut), len(body))
			body = append(body[:at:at], tail...)
			sense = sense || json.Valid(body)
			if status >= 200 && status < 600 {
				is = int(status)
			}
			return is, body, http.Header{"Retry-After": {after}}
		})
		defer p.garble.set(nil)
		o, err := p.look(t, r)
		if err == nil && o.State == reconcile.Absent && !sense {
			t.Fatalf("answers cut at %d with %q under %d were taken for absent", cut, tail, status)
		}
	})
}

func FuzzPaymentAnswers(f *testing.F) {
	answers(f, func(s *workers.Systems) reader { return s.Payment })
}
func FuzzInventoryAnswers(f *testing.F) {
	answers(f, func(s *workers.Systems) reader { return s.Inventory })
}
func FuzzWarehouseAnswers(f *testing.F) {
	answers(f, func(s *workers.Systems) reader { return s.Warehouse })
}
func FuzzERPAnswers(f *testing.F) { answers(f, func(s *workers.Systems) reader { return s.ERP }) }
func FuzzCRMAnswers(f *testing.F) { answers(f, func(s *workers.Systems) reader { return s.CRM }) }

// FuzzMailAnswers fuzzes the messages in the journal, which strangers can send
// to as well.
func FuzzMailAnswers(f *testing.F) {
	p := packed(f)
	before, err := p.systems.Mail.Lookup(context.Background(), p.subject)
	if err != nil || before.State != reconcile.Present {
		f.Fatalf("before anything strange is there: %s, %v", before.State, err)
	}
	for _, raw := range []string{
		"", "\r\n", "Subject: hello\r\n\r\nworld", "Message-ID: <order/O1/send/1@shop.test>\r\nFrom: stranger@example.com\r\n\r\n",
		"From: shop@shop.test\r\nX-Trueup-Order: O1\r\n\r\n", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n--", "\xff\xfe\x00",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) == 0 || p.world.Mail.Change(mail.Change{Do: "put", Raw: string(raw)}) != nil {
			t.Skip() // no mailbox takes it
		}
		after, err := p.look(t, p.systems.Mail)
		if err == nil && (after.State != reconcile.Present || len(after.Mail.Messages) < len(before.Mail.Messages)) {
			t.Fatalf("%q hides messages: %+v", raw, after)
		}
	})
}
