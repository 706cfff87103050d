package starters_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/trueup-orders/trueup/activities/apierr"
	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

// withPayments opens a gateway that takes Stripe's webhooks; of says whose order
// a payment is.
func withPayments(t *testing.T, of func(ctx context.Context, id string) (order.ID, error)) *front {
	t.Helper()
	return open(t, func(o *starters.GatewayOptions) {
		o.Webhooks = []starters.Webhook{starters.StripeWebhook{Secrets: []string{stripeSecret, stripeNext}, OrderOf: of, Log: o.Log}.Webhook()}
	})
}

// withCRM opens a gateway that takes HubSpot's webhooks.
func withCRM(t *testing.T, of func(ctx context.Context, e hubspot.Event) ([]order.ID, error)) *front {
	t.Helper()
	return open(t, func(o *starters.GatewayOptions) {
		o.Webhooks = []starters.Webhook{starters.HubSpotWebhook{Secrets: []string{"an-older-client-secret", hubspotSecret}, PublicURL: publicURL, OrdersOf: of}.Webhook()}
	})
}

func (f *front) stripe(body []byte) reply {
	f.t.Helper()
	return f.send(http.MethodPost, "/v1/webhooks/payment", signed(body, stripeSecret, noon), body)
}

func (f *front) hubspot(body []byte) reply {
	f.t.Helper()
	return f.send(http.MethodPost, "/v1/webhooks/crm", hubspotHeader(publicURL+"/v1/webhooks/crm", body, hubspotSecret, noon), body)
}

func hubspotHeader(url string, body []byte, secret string, at time.Time) http.Header {
	signature, stamp := hubspot.Sign(secret, url, body, at)
	h := http.Header{}
	h.Set("X-HubSpot-Signature-v3", signature)
	h.Set("X-HubSpot-Request-Timestamp", stamp)
	return h
}

func hubspotEvent(n int, kind string, object int) string {
	return fmt.Sprintf(`{"eventId":%d,"portalId":7,"subscriptionType":%q,"objectId":%d,"occurredAt":1767355200000,"attemptNumber":0}`, n, kind, object)
}

// notices returns what a workflow was told, by the notices' ids.
func (f *front) notices(id string) []string {
	f.t.Helper()
	run := f.engine.Run(id)
	if run == nil {
		return nil
	}
	var ids []string
	for _, m := range run.Messages {
		if n, ok := m.Argument.(reconciliation.Notices); ok && m.Signal && m.Name == workflows.NoticeSignal {
			for _, one := range n.Notices {
				ids = append(ids, one.ID)
			}
		}
	}
	return ids
}

func TestWebhook_Payment_ToldToItsOrder(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	body := stripeEvent("evt_1", "payment_intent.succeeded", "A-1")
	f.expect(f.stripe(body), http.StatusOK)
	f.expect(f.stripe(body), http.StatusOK) // it comes twice; the order takes each id once
	if got := f.notices("order/A-1"); !slices.Equal(got, []string{"evt_1", "evt_1"}) {
		t.Errorf("told %v", got)
	}
	message := f.engine.Run("order/A-1").Messages[1].Argument
	want := reconciliation.Notice{ID: "evt_1", System: order.SystemPayment, Record: "pi_1", Type: "payment_intent.succeeded", At: time.Unix(1767355200, 0).UTC()}
	if n, ok := message.(reconciliation.Notices); !ok || n.Order != "A-1" || !cmp.Equal(n.Notices[0], want) {
		t.Errorf("notice %+v", message)
	}
	contains(t, f.log.String(), `route="POST /v1/webhooks/{system}"`, "order=A-1")
}

// An order whose workflow somebody terminated takes no notice any more. It is said, and
// the provider need not send it again for days; what came with it is told.
func TestWebhook_OrderThatWasStopped_TakenAndSaid(t *testing.T) {
	t.Parallel()
	for _, gather := range []time.Duration{0, time.Millisecond} {
		f := open(t, func(o *starters.GatewayOptions) {
			o.Gather = gather
			of := func(context.Context, hubspot.Event) ([]order.ID, error) { return []order.ID{"A-1", "A-2"}, nil }
			o.Webhooks = []starters.Webhook{starters.HubSpotWebhook{Secrets: []string{hubspotSecret}, PublicURL: publicURL, OrdersOf: of}.Webhook()}
		})
		f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
		f.expect(f.post("/v1/orders", goodOrder(t, "A-2")), http.StatusCreated)
		f.engine.Stop("order/A-1")
		f.expect(f.hubspot([]byte("["+hubspotEvent(1, "deal.creation", 5)+"]")), http.StatusOK)
		if got := f.notices("order/A-2"); len(got) != 1 {
			t.Errorf("the other order is told %v", got)
		}
		contains(t, f.log.String(), "can never be given", "order=A-1", "temporal workflow reset")
	}
}

// refusing is an engine that takes one workflow never.
type refusing struct {
	starters.Engine
	id string
}

func (r *refusing) Submit(ctx context.Context, s starters.Start, m starters.Message, result any) error {
	if s.ID == r.id {
		return fmt.Errorf("signal %s: %w", s.ID, starters.ErrInvalid)
	}
	return r.Engine.Submit(ctx, s, m, result)
}

// Of what came together what cannot be kept is said, and of the rest, which is kept,
// nobody hears that it is lost.
func TestWebhook_OneOfSeveralRecordsIsRefused_OnlyThatIsSaid(t *testing.T) {
	t.Parallel()
	for _, gather := range []time.Duration{0, time.Millisecond} {
		f := open(t, func(o *starters.GatewayOptions) {
			o.Gather = gather
			o.Client = &starters.Client{Engine: &refusing{o.Client.Engine, workflows.InboxWorkflowID(order.SystemCRM, "6")}, Now: clock}
			of := func(context.Context, hubspot.Event) ([]order.ID, error) { return []order.ID{"A-9"}, nil }
			o.Webhooks = []starters.Webhook{starters.HubSpotWebhook{Secrets: []string{hubspotSecret}, PublicURL: publicURL, OrdersOf: of}.Webhook()}
		})
		events := []string{hubspotEvent(1, "deal.creation", 5), hubspotEvent(2, "deal.creation", 6), hubspotEvent(3, "deal.creation", 7)}
		f.expect(f.hubspot([]byte("["+strings.Join(events, ",")+"]")), http.StatusOK)
		for _, record := range []string{"5", "7"} {
			if run := f.engine.Run(workflows.InboxWorkflowID(order.SystemCRM, record)); run == nil || len(run.Messages) != 1 {
				t.Errorf("what was said of %s is not kept: %+v", record, run)
			}
		}
		if n := strings.Count(f.log.String(), "can never be given"); n != 1 {
			t.Errorf("%d records are said to be lost, of one: %s", n, f.log.String())
		}
		contains(t, f.log.String(), "can never be given", "record=6")
	}
}

// signalled is an engine's client that answers each signal alike.
type signalled struct {
	client.Client
	err error
}

func (s signalled) SignalWorkflow(context.Context, string, string, string, any) error { return s.err }

func (s signalled) SignalWithStartWorkflow(context.Context, string, string, any, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, s.err
}

// A run takes so many signals, and the next one goes on: what it refuses until then is
// not refused for ever.
func TestWebhook_RunHasAsManySignalsAsItTakes_SentAgain(t *testing.T) {
	t.Parallel()
	for text, never := range map[string]bool{
		"exceeded workflow execution limit for signal events": false,
		"WorkflowId length exceeds limit.":                    true,
	} {
		c := &starters.Client{Engine: &starters.Temporal{Client: signalled{err: serviceerror.NewInvalidArgument(text)}}, Now: clock}
		told := c.Notify(t.Context(), reconciliation.Notices{Order: "A-1"})
		kept := c.Keep(t.Context(), "A-1", reconciliation.Notice{System: order.SystemCRM, Record: "5"})
		for _, err := range []error{told, kept} {
			if err == nil || errors.Is(err, reconciliation.ErrRefused) != never || !strings.Contains(err.Error(), text) {
				t.Errorf("of %q it is said: %v; refused for ever: %t", text, err, never)
			}
		}
	}
}

func TestWebhook_SecondSecretWhileTheFirstIsReplaced(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	body := stripeEvent("evt_1", "payment_intent.succeeded", "A-1")
	f.expect(f.send(http.MethodPost, "/v1/webhooks/payment", signed(body, stripeNext, noon), body), http.StatusOK)
}

func TestWebhook_NotSignedAsItShouldBe_RefusedAndNothingToldOrLogged(t *testing.T) {
	t.Parallel()
	body := stripeEvent("evt_1", "payment_intent.succeeded", "A-1")
	deal := []byte("[" + hubspotEvent(1, "deal.creation", 5) + "]")
	crm := publicURL + "/v1/webhooks/crm"
	for name, c := range map[string]struct {
		path   string
		header http.Header
		body   []byte
	}{
		"unsigned":                     {"payment", nil, body},
		"signed by somebody else":      {"payment", signed(body, "whsec_of_somebody_else_entirely", noon), body},
		"stale":                        {"payment", signed(body, stripeSecret, noon.Add(-6*time.Minute)), body},
		"from the future":              {"payment", signed(body, stripeSecret, noon.Add(6*time.Minute)), body},
		"another body":                 {"payment", signed(body, stripeSecret, noon), bytes.Replace(body, []byte("A-1"), []byte("A-2"), 1)},
		"nonsense":                     {"payment", http.Header{"Stripe-Signature": {"v1=zz"}}, body},
		"crm unsigned":                 {"crm", nil, deal},
		"crm by somebody else":         {"crm", hubspotHeader(crm, deal, "some-other-client-secret", noon), deal},
		"crm stale":                    {"crm", hubspotHeader(crm, deal, hubspotSecret, noon.Add(-6*time.Minute)), deal},
		"crm from the future":          {"crm", hubspotHeader(crm, deal, hubspotSecret, noon.Add(6*time.Minute)), deal},
		"crm another address":          {"crm", hubspotHeader("http://127.0.0.1:8088/v1/webhooks/crm", deal, hubspotSecret, noon), deal},
		"crm another query":            {"crm?a=1", hubspotHeader(crm, deal, hubspotSecret, noon), deal},
		"a payment's signature on crm": {"crm", signed(deal, stripeSecret, noon), deal},
	} {
		f := open(t, func(o *starters.GatewayOptions) {
			o.Webhooks = []starters.Webhook{
				starters.StripeWebhook{Secrets: []string{stripeSecret}}.Webhook(),
				starters.HubSpotWebhook{Secrets: []string{hubspotSecret}, PublicURL: publicURL}.Webhook(),
			}
		})
		if r := f.send(http.MethodPost, "/v1/webhooks/"+c.path, c.header, c.body); r.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d; %s", name, r.status, r.body)
		}
		if ids := f.engine.IDs(); len(ids) != 0 {
			t.Errorf("%s: started %v", name, ids)
		}
		if log := f.log.String(); strings.Contains(log, "evt_1") || strings.Contains(log, "pi_1") || strings.Contains(log, "deal.creation") {
			t.Errorf("%s: the body was logged: %s", name, log)
		}
	}
}

func TestWebhook_SignedWithinTheTolerance_Taken(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-4 * time.Minute, 0, 4 * time.Minute} {
		f := withPayments(t, nil)
		body := stripeEvent("evt_1", "payment_intent.succeeded", "A-1")
		f.expect(f.send(http.MethodPost, "/v1/webhooks/payment", signed(body, stripeSecret, noon.Add(off)), body), http.StatusOK)
		g := withCRM(t, nil)
		deal := []byte("[" + hubspotEvent(1, "deal.creation", 5) + "]")
		g.expect(g.send(http.MethodPost, "/v1/webhooks/crm", hubspotHeader(publicURL+"/v1/webhooks/crm", deal, hubspotSecret, noon.Add(off)), deal), http.StatusOK)
	}
}

func TestWebhook_Unparsable_UnknownSystem_TooLarge(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	f.expect(f.stripe([]byte("hello")), http.StatusBadRequest)
	f.expect(f.stripe([]byte(`{"object":"event"}`)), http.StatusBadRequest)
	f.expect(f.post("/v1/webhooks/warehouse", []byte("{}")), http.StatusNotFound)
	f.expect(f.post("/v1/webhooks/crm", []byte("[]")), http.StatusNotFound) // not set up here
	f.expect(f.stripe(bytes.Repeat([]byte(" "), 1<<20+1)), http.StatusRequestEntityTooLarge)
	f.expect(f.get("/v1/webhooks/payment"), http.StatusMethodNotAllowed)
	g := withCRM(t, nil)
	g.expect(g.hubspot([]byte(`{}`)), http.StatusBadRequest)
}

func TestWebhook_OrderUnknown_WaitsInTheInbox(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	f.expect(f.stripe(stripeEvent("evt_1", "payment_intent.succeeded", "A-1")), http.StatusOK)
	run := f.engine.Run("inbox/payment/pi_1")
	if run == nil || len(f.engine.IDs()) != 1 {
		t.Fatalf("workflows %v", f.engine.IDs())
	}
	if in, ok := run.Start.Input.(workflows.InboxInput); !ok || in.Order != "A-1" || in.Record != "pi_1" {
		t.Errorf("input %+v", run.Start.Input)
	}
}

func TestWebhook_OrderClosed_ReopensIt(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	in, _ := f.engine.Run("order/A-1").Start.Input.(workflows.OrderInput)
	f.engine.Close("order/A-1", workflows.State{Order: in.Order, Fingerprint: in.Fingerprint, Phase: order.PhaseClosed})
	f.expect(f.stripe(stripeEvent("evt_1", "charge.dispute.created", "A-1")), http.StatusOK)
	run := f.engine.Run("order/A-1")
	again, _ := run.Start.Input.(workflows.OrderInput)
	if run.Number != 2 || again.Carried == nil || !slices.Equal(f.notices("order/A-1"), []string{"evt_1"}) {
		t.Errorf("run %+v", run)
	}
}

func TestWebhook_NamesNoOrder(t *testing.T) {
	t.Parallel()
	find := func(of order.ID, err error) func(context.Context, string) (order.ID, error) {
		return func(context.Context, string) (order.ID, error) { return of, err }
	}
	for name, c := range map[string]struct {
		find   func(context.Context, string) (order.ID, error)
		kind   string
		status int
		ids    []string
	}{
		"its payment says whose it is": {find("A-1", nil), "charge.dispute.created", http.StatusOK, []string{"inbox/payment/pi_1"}},
		"its payment is nobody's":      {find("", nil), "charge.dispute.created", http.StatusOK, []string{"inbox/payment/pi_1"}},
		"there is no such payment":     {find("", apierr.New(apierr.NotFound, "", errors.New("x"))), "review.opened", http.StatusOK, []string{"inbox/payment/pi_1"}},
		"nobody can be asked":          {nil, "review.opened", http.StatusOK, []string{"inbox/payment/pi_1"}},
		"Stripe is down":               {find("", apierr.New(apierr.Unavailable, "", errors.New("x"))), "review.opened", http.StatusServiceUnavailable, nil},
	} {
		f := withPayments(t, c.find)
		if r := f.stripe(stripeEvent("evt_1", c.kind, "")); r.status != c.status {
			t.Errorf("%s: status %d; %s", name, r.status, r.body)
		}
		if ids := f.engine.IDs(); !slices.Equal(ids, c.ids) {
			t.Errorf("%s: workflows %v", name, ids)
		}
	}
}

func TestWebhook_NothingToDoWithOrders_AnsweredAndLetGo(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	customer := []byte(`{"id":"evt_9","object":"event","type":"customer.created","livemode":false,"created":1767355200,"data":{"object":{"id":"cus_1","object":"customer"}}}`)
	live := bytes.Replace(stripeEvent("evt_2", "payment_intent.succeeded", "A-1"), []byte(`"livemode":false`), []byte(`"livemode":true`), 1)
	other := bytes.Replace(stripeEvent("evt_3", "payment_intent.succeeded", "A-1"), []byte(`"object":"event"`), []byte(`"object":"event","account":"acct_other"`), 1)
	for _, body := range [][]byte{customer, live, other} {
		r := f.expect(f.stripe(body), http.StatusOK)
		if ids := f.engine.IDs(); len(ids) != 0 {
			t.Errorf("%s: started %v; %s", body, ids, r.body)
		}
	}
}

func TestWebhook_EngineDown_SentAgain(t *testing.T) {
	t.Parallel()
	f := withPayments(t, nil)
	f.engine.Down(true)
	body := stripeEvent("evt_1", "payment_intent.succeeded", "A-1")
	r := f.expect(f.stripe(body), http.StatusServiceUnavailable)
	if r.header.Get("Retry-After") == "" {
		t.Errorf("header %v", r.header)
	}
	f.engine.Down(false)
	f.engine.Silent(true) // no worker is no reason: the engine has it
	f.expect(f.stripe(body), http.StatusOK)
}

func TestWebhook_CRM_OneSignalForEachOrderAndOneReadForEachRecord(t *testing.T) {
	t.Parallel()
	asked := 0
	f := withCRM(t, func(_ context.Context, e hubspot.Event) ([]order.ID, error) {
		asked++
		switch e.ObjectID {
		case "5":
			return []order.ID{"A-1"}, nil
		case "6":
			return []order.ID{"A-2"}, nil
		}
		return nil, nil // an abandoned cart
	})
	for _, id := range []string{"A-1", "A-2"} {
		f.expect(f.post("/v1/orders", goodOrder(t, id)), http.StatusCreated)
	}
	body := []byte("[" + strings.Join([]string{
		hubspotEvent(1, "deal.creation", 5), hubspotEvent(2, "deal.propertyChange", 5), hubspotEvent(3, "deal.propertyChange", 6),
		hubspotEvent(4, "deal.creation", 7), hubspotEvent(5, "company.creation", 8),
	}, ",") + "]")
	r := f.expect(f.hubspot(body), http.StatusOK)
	contains(t, r.body, `"taken":3`, `"ignored":2`)
	if asked != 3 {
		t.Errorf("asked HubSpot %d times", asked)
	}
	if run := f.engine.Run("order/A-1"); len(run.Messages) != 2 || len(f.notices("order/A-1")) != 2 {
		t.Errorf("order A-1 was told %+v", run.Messages)
	}
	if got := f.notices("order/A-2"); len(got) != 1 {
		t.Errorf("order A-2 was told %v", got)
	}
	if ids := f.engine.IDs(); !slices.Equal(ids, []string{"order/A-1", "order/A-2"}) {
		t.Errorf("workflows %v", ids)
	}
}

func TestWebhook_CRM_DealOfAnUnknownOrder_Waits(t *testing.T) {
	t.Parallel()
	f := withCRM(t, func(context.Context, hubspot.Event) ([]order.ID, error) { return []order.ID{"A-9"}, nil })
	f.expect(f.hubspot([]byte("["+hubspotEvent(1, "deal.creation", 5)+"]")), http.StatusOK)
	if ids := f.engine.IDs(); !slices.Equal(ids, []string{"inbox/crm/5"}) {
		t.Errorf("workflows %v", ids)
	}
	g := withCRM(t, nil) // nobody can be asked
	g.expect(g.hubspot([]byte("["+hubspotEvent(1, "deal.creation", 5)+","+hubspotEvent(2, "contact.creation", 6)+"]")), http.StatusOK)
	if ids := g.engine.IDs(); !slices.Equal(ids, []string{"inbox/crm/5"}) {
		t.Errorf("workflows %v", ids)
	}
}

// A contact may have hundreds of orders; what is new about it re-opens none.
func TestWebhook_CRM_ContactReopensNoOrder(t *testing.T) {
	t.Parallel()
	f := withCRM(t, func(context.Context, hubspot.Event) ([]order.ID, error) { return []order.ID{"A-1", "A-2", "A-3"}, nil })
	for _, id := range []string{"A-1", "A-2"} {
		f.expect(f.post("/v1/orders", goodOrder(t, id)), http.StatusCreated)
	}
	f.engine.Close("order/A-2", workflows.State{})
	f.expect(f.hubspot([]byte("["+hubspotEvent(1, "contact.propertyChange", 9)+"]")), http.StatusOK)
	if len(f.notices("order/A-1")) != 1 || f.engine.Run("order/A-2").Number != 1 || len(f.engine.IDs()) != 2 {
		t.Errorf("workflows %v", f.engine.IDs())
	}
}

func TestWebhook_CRM_HubSpotDown_NothingToldHalf(t *testing.T) {
	t.Parallel()
	f := withCRM(t, func(_ context.Context, e hubspot.Event) ([]order.ID, error) {
		if e.ObjectID == "6" {
			return nil, apierr.New(apierr.RateLimited, "", errors.New("x"))
		}
		return []order.ID{"A-1"}, nil
	})
	f.expect(f.hubspot([]byte("["+hubspotEvent(1, "deal.creation", 5)+","+hubspotEvent(2, "deal.creation", 6)+"]")), http.StatusServiceUnavailable)
	if ids := f.engine.IDs(); len(ids) != 0 {
		t.Errorf("workflows %v", ids)
	}
}
