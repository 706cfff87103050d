package simulator

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// Notification is a message that a system sends by itself.
type Notification struct {
	ID    string   `json:"id"`
	Type  string   `json:"type"` // in the system's own words
	Order order.ID `json:"order,omitempty"`
	Body  []byte   `json:"body"`
	// Header signs the body as of the moment of one delivery.
	Header func(at time.Time) http.Header `json:"-"`
}

// Handling says what happens to the notifications that a system sends by itself.
type Handling string

// The ways to handle notifications.
const (
	Deliver Handling = ""        // as they come
	Drop    Handling = "drop"    // never delivered
	Hold    Handling = "hold"    // kept back until Release
	Reorder Handling = "reorder" // each overtakes the one before it
)

// retries are the waits after failed deliveries, about as long as real
// providers go on: Stripe three days, with growing waits.
var retries = []time.Duration{
	5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

type outbox struct {
	system   *System
	endpoint string
	client   *http.Client
	done     context.Context
	stop     context.CancelFunc

	mu       sync.Mutex
	handling map[string]Handling // by type, "" for all
	held     []Notification
	waiting  *Notification // the one that the next overtakes, under Reorder
	reads    map[string][]answered
	asked    []string // the keys of reads, the oldest first
}

func newOutbox(s *System, o Options) outbox {
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: 4}
	}
	done, stop := context.WithCancel(context.Background())
	return outbox{
		system: s, endpoint: o.Endpoint, client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		done: done, stop: stop, handling: map[string]Handling{}, reads: map[string][]answered{},
	}
}

// Notify sends a notification by itself, now or when its handling lets it. Call
// it after the transaction that it tells of.
func (s *System) Notify(n Notification) {
	b := &s.outbox
	if b.endpoint == "" {
		return
	}
	b.mu.Lock()
	how, ok := b.handling[n.Type]
	if !ok {
		how = b.handling[""]
	}
	send := []Notification{n}
	switch how {
	case Drop:
		send = nil
	case Hold:
		b.held = append(b.held, n)
		send = nil
	case Reorder:
		if b.waiting == nil {
			b.waiting = &n
			send = nil
		} else {
			send = append(send, *b.waiting)
			b.waiting = nil
		}
	case Deliver:
	}
	b.mu.Unlock()
	for _, n := range send {
		b.schedule(n, 0, 0)
	}
}

// Send delivers copies of one notification whatever the handling: a test's or a
// person's own event.
func (s *System) Send(n Notification, copies int) {
	for range max(1, copies) {
		s.outbox.schedule(n, 0, 0)
	}
}

// HandleNotifications sets what happens to notifications of a type, of all
// types when it is empty. Deliver sends what was held.
func (s *System) HandleNotifications(of string, how Handling) {
	b := &s.outbox
	b.mu.Lock()
	b.handling[of] = how
	var send []Notification
	if how == Deliver {
		var keep []Notification
		for _, n := range b.held {
			if of == "" || n.Type == of {
				send = append(send, n)
			} else {
				keep = append(keep, n)
			}
		}
		b.held = keep
		if b.waiting != nil {
			send = append(send, *b.waiting)
			b.waiting = nil
		}
	}
	b.mu.Unlock()
	for _, n := range send {
		b.schedule(n, 0, 0)
	}
}

func (b *outbox) schedule(n Notification, attempt int, wait time.Duration) {
	b.system.After(wait, "notify."+n.Type, func() { b.deliver(n, attempt) })
}

func (b *outbox) deliver(n Notification, attempt int) {
	if b.done.Err() != nil {
		return
	}
	status, err := b.post(n)
	detail := n.Type
	if err != nil {
		detail = fmt.Sprintf("%s: %v", n.Type, err)
	}
	_ = b.system.Update(func(tx *sql.Tx) error {
		return b.system.Append(tx, Entry{Kind: EntryNotification, Operation: "notify", Order: n.Order, Record: n.ID, Status: status, Detail: detail})
	})
	if (err != nil || status/100 != 2) && attempt < len(retries) {
		b.schedule(n, attempt+1, retries[attempt])
	}
}

func (b *outbox) post(n Notification) (int, error) {
	r, err := http.NewRequestWithContext(b.done, http.MethodPost, b.endpoint, bytes.NewReader(n.Body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if n.Header != nil {
		for k, v := range n.Header(b.system.Now()) {
			r.Header[k] = v
		}
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
