package endtoend

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/workers"
	"github.com/trueup-orders/trueup/workflows"
)

// heard is one announcement that a receiver got and could verify.
type heard struct {
	id, kind, evidence string
	order              order.ID
	taken              bool
}

// announcements listens for announcements, checks each signature by the published
// algorithm, and takes none of the first few.
func announcements(t *testing.T, key string, fails int) (address string, all func() []heard) {
	var mu sync.Mutex
	var got []heard
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id := r.Header.Get("webhook-id")
		mac := hmac.New(sha256.New, []byte(key))
		_, _ = io.WriteString(mac, id+"."+r.Header.Get("webhook-timestamp")+"."+string(body))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("the signature of %s is %q, want %q", body, r.Header.Get("webhook-signature"), want)
		}
		var said struct {
			Type string
			Data struct {
				Order    order.ID
				Evidence string
			}
		}
		if err := json.Unmarshal(body, &said); err != nil {
			t.Errorf("announced %s: %v", body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		h := heard{id, said.Type, said.Data.Evidence, said.Data.Order, len(got) >= fails}
		got = append(got, h)
		if !h.taken {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []heard {
		mu.Lock()
		defer mu.Unlock()
		return append([]heard(nil), got...)
	}
}

// TestCase_AnnouncedAndDecidedOnItsEvidence: a dispute is announced to a receiver
// that fails at first, and decided over HTTP on the evidence that it was told; on
// other evidence nothing is done. Then the receiver is told that it is closed.
func TestCase_AnnouncedAndDecidedOnItsEvidence(t *testing.T) {
	t.Parallel()
	const key = "a key of the receiver, 32 bytes.."
	address, all := announcements(t, key, 1)
	b := onOwn(t, options{config: func(c *workers.Config) {
		c.Cases = workers.Cases{URL: address, Secret: []string{"whsec_" + base64.StdEncoding.EncodeToString([]byte(key))}}
	}})
	o := anOrder("announced")
	o.Payment.Capture = order.CaptureAtOnce
	b.accept(o)
	b.edit(order.SystemPayment, map[string]any{"order": o.ID, "dispute": "opened"})
	b.until("the case is announced", 30*time.Second, func() bool { return len(all()) >= 2 })
	first, again := all()[0], all()[1]
	if first.taken || !again.taken || first.id != again.id || again.kind != "case.opened" || again.order != o.ID {
		t.Errorf("announced %+v, and then %+v", first, again)
	}
	b.shows("the request is taken back", o, func(r records) bool { return r.warehouse.Shipments[0].State == "cancelled" })
	k := b.asks(o.ID)
	if k.Evidence == nil || k.Evidence.Token != again.evidence || len(k.Evidence.Options) == 0 {
		t.Fatalf("the case is %+v, announced as %+v", k, again)
	}
	if text := b.verdict(o.ID); !strings.Contains(text.Table(), k.Evidence.Token) || !strings.Contains(text.Markdown(), k.Evidence.Token) {
		t.Errorf("the evidence %s is not shown in\n%s\n%s", k.Evidence.Token, text.Table(), text.Markdown())
	}
	decide := func(evidence string) (int, string) {
		return b.post("/v1/orders/"+string(o.ID)+"/decisions", fmt.Appendf(nil,
			`{"by":"ada","reason":"we know them","case":%d,"as":"%s","evidence":"%s"}`, k.N, workflows.DecideShip, evidence))
	}
	if status, body := decide("000000000000"); status != http.StatusConflict || !strings.Contains(body, `"evidence":"`+k.Evidence.Token+`"`) {
		t.Errorf("decided on other evidence: %d %s", status, body)
	}
	if now := b.asks(o.ID); now.Evidence.Token != k.Evidence.Token {
		t.Errorf("the case is %+v", now)
	}
	if status, body := decide(k.Evidence.Token); status != http.StatusOK {
		t.Errorf("decided on its evidence: %d %s", status, body)
	}
	b.shows("it is requested again", o, func(r records) bool {
		return len(r.warehouse.Shipments) == 2 && r.warehouse.Shipments[1].State == "waiting"
	})
	b.until("its end is announced", 30*time.Second, func() bool { return len(all()) >= 3 })
	if end := all()[2]; len(all()) != 3 || end.kind != "case.closed" || end.order != o.ID || !end.taken {
		t.Errorf("announced %+v", all())
	}
}
