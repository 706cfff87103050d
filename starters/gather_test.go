package starters_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/internal/memory"
	"github.com/trueup-orders/trueup/workflows"
)

// gathers is a gateway that gathers webhooks for half a second, in a bubble in
// which time stands still while anybody is at work.
type gathers struct {
	t       *testing.T
	engine  *gated
	gateway *starters.Gateway
	began   time.Time
}

// gated is an engine that is slow with the first message to one workflow.
type gated struct {
	*memory.Engine
	slow string
	open chan struct{}
	held atomic.Bool
}

func (g *gated) Message(ctx context.Context, id string, m starters.Message, result any) error {
	if id == g.slow && !g.held.Swap(true) {
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.Engine.Message(ctx, id, m, result)
}

// gather runs a test with such a gateway and the orders.
func gather(t *testing.T, test func(t *testing.T, g *gathers)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gathers{t: t, engine: &gated{Engine: &memory.Engine{}, open: make(chan struct{})}, began: time.Now()}
		log := logrus.New()
		log.SetOutput(&journal{})
		gateway, err := starters.NewGateway(starters.GatewayOptions{
			Client: &starters.Client{Engine: g.engine, Now: clock}, Log: log, PublicURL: publicURL, Gather: 500 * time.Millisecond,
			Webhooks: []starters.Webhook{
				starters.StripeWebhook{Secrets: []string{stripeSecret}}.Webhook(),
				starters.HubSpotWebhook{Secrets: []string{hubspotSecret}, PublicURL: publicURL, OrdersOf: func(context.Context, hubspot.Event) ([]order.ID, error) {
					return []order.ID{"A-1"}, nil
				}}.Webhook(),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		g.gateway = gateway
		for _, id := range []string{"A-1", "A-2"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/v1/orders", bytes.NewReader(goodOrder(t, id)))
			r.Header.Set("Content-Type", "application/json")
			if status := g.serve(r); status != http.StatusCreated {
				t.Fatalf("submit: status %d", status)
			}
		}
		test(t, g)
	})
}

func (g *gathers) serve(r *http.Request) int {
	w := httptest.NewRecorder()
	g.gateway.ServeHTTP(w, r)
	return w.Code
}

// announce sends an event of an order by Stripe; its answer comes later.
func (g *gathers) announce(ctx context.Context, event, of string) <-chan int {
	body := stripeEvent(event, "payment_intent.succeeded", of)
	return g.post(ctx, "payment", signed(body, stripeSecret, noon), body)
}

func (g *gathers) post(ctx context.Context, system string, header http.Header, body []byte) <-chan int {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/v1/webhooks/"+system, bytes.NewReader(body))
	r.Header = header
	status := make(chan int, 1)
	go func() { status <- g.serve(r) }()
	synctest.Wait() // it is taken in, in this order
	return status
}

// signals returns what an order was told, a list of event ids for each signal.
func (g *gathers) signals(id string) [][]string {
	var all [][]string
	for _, m := range g.engine.Run("order/" + id).Messages {
		if n, ok := m.Argument.(reconciliation.Notices); ok && m.Name == workflows.NoticeSignal {
			var ids []string
			for _, one := range n.Notices {
				ids = append(ids, one.ID)
			}
			all = append(all, ids)
		}
	}
	return all
}

func (g *gathers) expect(status <-chan int, want int, after time.Duration) {
	g.t.Helper()
	if got := <-status; got != want {
		g.t.Errorf("status %d, want %d", got, want)
	}
	if took := time.Since(g.began); took != after {
		g.t.Errorf("answered after %s, want %s", took, after)
	}
}

func same(a, b [][]string) bool { return slices.EqualFunc(a, b, slices.Equal[[]string]) }

func TestGather_WhatComesTogether_OneSignalForEachOrder(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		first := g.announce(t.Context(), "evt_1", "A-1")
		time.Sleep(200 * time.Millisecond)
		second, other := g.announce(t.Context(), "evt_2", "A-1"), g.announce(t.Context(), "evt_9", "A-2")
		twice := g.announce(t.Context(), "evt_2", "A-1")
		if len(first) > 0 || len(g.signals("A-1")) > 0 {
			t.Error("answered, or told, before all was gathered")
		}
		for _, status := range []<-chan int{first, second, twice} {
			g.expect(status, http.StatusOK, 500*time.Millisecond)
		}
		g.expect(other, http.StatusOK, 700*time.Millisecond)
		if got := g.signals("A-1"); !same(got, [][]string{{"evt_1", "evt_2"}}) {
			t.Errorf("A-1 was told %v", got)
		}
		if got := g.signals("A-2"); !same(got, [][]string{{"evt_9"}}) {
			t.Errorf("A-2 was told %v", got)
		}
		g.expect(g.announce(t.Context(), "evt_3", "A-1"), http.StatusOK, 1200*time.Millisecond)
		if got := g.signals("A-1"); len(got) != 2 {
			t.Errorf("A-1 was told %v", got)
		}
	})
}

func TestGather_EngineDown_NobodyHears2xxAndNothingIsLost(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		g.engine.Down(true)
		first, second := g.announce(t.Context(), "evt_1", "A-1"), g.announce(t.Context(), "evt_2", "A-1")
		g.expect(first, http.StatusServiceUnavailable, 500*time.Millisecond)
		g.expect(second, http.StatusServiceUnavailable, 500*time.Millisecond)
		g.engine.Down(false)
		g.expect(g.announce(t.Context(), "evt_1", "A-1"), http.StatusOK, time.Second)
		if got := g.signals("A-1"); !same(got, [][]string{{"evt_1"}}) {
			t.Errorf("A-1 was told %v", got)
		}
	})
}

func TestGather_MoreThanASignalCarries_SeveralInTheirOrder(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		var statuses []<-chan int
		var want []string
		for i := range 130 {
			want = append(want, fmt.Sprintf("evt_%03d", i))
			statuses = append(statuses, g.announce(t.Context(), want[i], "A-1"))
		}
		for i, status := range statuses {
			after := 500 * time.Millisecond
			if i < 128 {
				after = 0 // a full signal waits for nothing
			}
			g.expect(status, http.StatusOK, after)
		}
		if got := g.signals("A-1"); !same(got, [][]string{want[:64], want[64:128], want[128:]}) {
			t.Errorf("A-1 was told %v", got)
		}
	})
}

func TestGather_SlowEngine_LaterOnesWaitAndOtherOrdersDoNot(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		g.engine.slow = "order/A-1"
		first := g.announce(t.Context(), "evt_1", "A-1")
		time.Sleep(600 * time.Millisecond)
		second, other := g.announce(t.Context(), "evt_2", "A-1"), g.announce(t.Context(), "evt_9", "A-2")
		g.expect(other, http.StatusOK, 1100*time.Millisecond)
		time.Sleep(900 * time.Millisecond)
		if len(first) > 0 || len(second) > 0 {
			t.Error("answered before the engine had it")
		}
		close(g.engine.open)
		g.expect(first, http.StatusOK, 2*time.Second)
		g.expect(second, http.StatusOK, 2*time.Second)
		if got := g.signals("A-1"); !same(got, [][]string{{"evt_1"}, {"evt_2"}}) {
			t.Errorf("A-1 was told %v", got)
		}
	})
}

func TestGather_EngineHangs_AnsweredInTime(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		g.engine.slow = "order/A-1"
		g.expect(g.announce(t.Context(), "evt_1", "A-1"), http.StatusServiceUnavailable, 4*time.Second)
	})
}

// Whoever began it may hang up: the others' notices are told all the same.
func TestGather_CallerHangsUp_TheOthersAreTold(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		ctx, hangUp := context.WithCancel(t.Context())
		first, second := g.announce(ctx, "evt_1", "A-1"), g.announce(t.Context(), "evt_2", "A-1")
		hangUp()
		g.expect(first, http.StatusServiceUnavailable, 0)
		g.expect(second, http.StatusOK, 500*time.Millisecond)
		if got := g.signals("A-1"); !same(got, [][]string{{"evt_1", "evt_2"}}) {
			t.Errorf("A-1 was told %v", got)
		}
	})
}

func TestGather_BurstOfPropertyChanges_OneNotice(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		crm := func(events ...string) <-chan int {
			body := []byte("[" + strings.Join(events, ",") + "]")
			return g.post(t.Context(), "crm", hubspotHeader(publicURL+"/v1/webhooks/crm", body, hubspotSecret, noon), body)
		}
		first := crm(hubspotEvent(1, "deal.creation", 5), hubspotEvent(2, "deal.propertyChange", 5), hubspotEvent(3, "deal.propertyChange", 5))
		second := crm(hubspotEvent(4, "deal.propertyChange", 5), hubspotEvent(5, "deal.propertyChange", 6), hubspotEvent(6, "contact.propertyChange", 5))
		late := crm(strings.Replace(hubspotEvent(7, "deal.propertyChange", 5), "1767355200000", "1767355199000", 1))
		for _, status := range []<-chan int{first, second, late} {
			g.expect(status, http.StatusOK, 500*time.Millisecond)
		}
		told := g.signals("A-1")
		if len(told) != 1 || len(told[0]) != 4 || !strings.Contains(told[0][1], "/4/") {
			t.Errorf("A-1 was told %q; want the creation, the latest change of deal 5, deal 6 and the contact", told)
		}
	})
}

func TestGather_NoOrderKnown_WaitsInTheInboxEachByItself(t *testing.T) {
	gather(t, func(t *testing.T, g *gathers) {
		unknown, nobody := g.announce(t.Context(), "evt_1", "A-9"), g.announce(t.Context(), "evt_2", "")
		g.expect(nobody, http.StatusOK, 0) // no order, so nothing to gather for
		g.expect(unknown, http.StatusOK, 500*time.Millisecond)
		if run := g.engine.Run("inbox/payment/pi_1"); run == nil || len(run.Messages) != 2 {
			t.Errorf("workflows %v", g.engine.IDs())
		}
	})
}
