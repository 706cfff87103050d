package starters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/workflows"
)

func TestSubmit_BadOrder_NamesTheFieldAndStartsNothing(t *testing.T) {
	t.Parallel()
	good, bad := orders(t)
	for _, b := range bad {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			f := open(t, nil)
			r := f.expect(f.post("/v1/orders", b.body(t, good)), b.Status)
			fields := r.fields(t)
			for _, want := range b.Fields {
				if !slices.Contains(fields, want) {
					t.Errorf("fields %v do not name %q: %s", fields, want, r.body)
				}
			}
			if ids := f.engine.IDs(); len(ids) != 0 {
				t.Errorf("started %v", ids)
			}
		})
	}
}

func TestSubmit_GoodOrder_TheFileIsNotBadByMistake(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1001")), http.StatusCreated)
}

func TestSubmit_Repeated_SameAnswerOneStart(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	first := f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	again := f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusOK)
	if first.body != again.body {
		t.Errorf("answers differ: %s and %s", first.body, again.body)
	}
	if first.header.Get("Location") != "/v1/orders/A-1/verdict" || first.header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", first.header)
	}
	run := f.engine.Run("order/A-1")
	if run == nil || run.Number != 1 || len(run.Messages) != 1 {
		t.Errorf("run %+v", run)
	}
	if in, ok := run.Start.Input.(workflows.OrderInput); !ok || in.Order.ID != "A-1" || in.Fingerprint == "" {
		t.Errorf("the order does not travel in the start: %+v", run.Start.Input)
	}
}

func TestSubmit_AtOnceFromManyTabs_OneStart(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	body := goodOrder(t, "A-1")
	answers := make([]reply, 10)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = f.post("/v1/orders", body) })
	}
	all.Wait()
	for _, a := range answers {
		if a.status != http.StatusOK && a.status != http.StatusCreated || a.body != answers[0].body {
			t.Errorf("answer %+v", a)
		}
	}
	if run := f.engine.Run("order/A-1"); run.Number != 1 || len(run.Messages) != 1 {
		t.Errorf("run %+v", run)
	}
}

func TestSubmit_AnotherBody_Conflict(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	good, _ := orders(t)
	f.expect(f.post("/v1/orders", encode(t, good)), http.StatusCreated)
	r := f.expect(f.post("/v1/orders", encode(t, patched(good, map[string]any{"cart_id": "cart-2"}))), http.StatusConflict)
	if fields := r.fields(t); !slices.Equal(fields, []string{"id"}) {
		t.Errorf("fields %v", fields)
	}
}

func TestSubmit_ClosedOrder_AnsweredFromItsResult(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.engine.Answer = func(string, starters.Message) (any, error) {
		return reconcile.Verdict{Order: "A-1", Outcome: reconcile.Failed}, nil
	}
	body := goodOrder(t, "A-1")
	f.engine.Silent(true)
	f.expect(f.post("/v1/orders", body), http.StatusAccepted)
	f.engine.Silent(false)
	in, _ := f.engine.Run("order/A-1").Start.Input.(workflows.OrderInput)
	f.engine.Close("order/A-1", workflows.State{Order: in.Order, Fingerprint: in.Fingerprint, Phase: order.PhaseFailed, Failed: "card declined"})
	r := f.expect(f.post("/v1/orders", body), http.StatusOK)
	contains(t, r.body, `"failed"`, "card declined")
	if run := f.engine.Run("order/A-1"); run.Number != 1 {
		t.Errorf("a closed order was started again")
	}
	good, _ := orders(t)
	f.expect(f.post("/v1/orders", encode(t, patched(good, map[string]any{"id": "A-1", "cart_id": "other"}))), http.StatusConflict)
}

func TestSubmit_NobodyAnswers_AcceptedAndDurable(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/orders?wait=100ms", "/v1/orders?wait=0", "/v1/orders?wait=0s"} {
		f := open(t, nil)
		f.engine.Silent(true)
		r := f.expect(f.post(path, goodOrder(t, "A-1")), http.StatusAccepted)
		if r.header.Get("Location") != "/v1/orders/A-1/verdict" || r.header.Get("Retry-After") == "" {
			t.Errorf("header %v", r.header)
		}
		contains(t, r.body, `"pending"`, `"received"`)
		if f.engine.Run("order/A-1") == nil {
			t.Error("not durable")
		}
	}
}

func TestSubmit_EngineDown_Unavailable(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.engine.Down(true)
	r := f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusServiceUnavailable)
	if r.header.Get("Retry-After") == "" {
		t.Errorf("header %v", r.header)
	}
	f.engine.Down(false)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
}

func TestSubmit_NextStep_ForTheCustomerAndNeverLogged(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.engine.Answer = func(string, starters.Message) (any, error) {
		return workflows.Submitted{Order: "A-1", Phase: order.PhasePaying, Outcome: reconcile.InProgress,
			Next: &payment.NextStep{Kind: "use_stripe_sdk", ClientSecret: "pi_1_secret_xyz"}}, nil
	}
	r := f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	contains(t, r.body, "pi_1_secret_xyz")
	log := f.log.String()
	contains(t, log, `route="POST /v1/orders"`, "status=201", "order=A-1", "duration=")
	for _, secret := range []string{"secret_xyz", "ada@example.test", "Main Street"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q was logged: %s", secret, log)
		}
	}
}

func TestSubmit_HowItIsSent(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	good := goodOrder(t, "A-1")
	large := append(bytes.Clone(good[:len(good)-1]), []byte(`,"cart_id":"`+strings.Repeat("x", 1<<20)+`"}`)...)
	asJSON := func(more ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for name, c := range map[string]struct {
		path   string
		header http.Header
		body   []byte
		status int
	}{
		"more than 1 MiB":       {"/v1/orders", asJSON(), large, http.StatusRequestEntityTooLarge},
		"no content type":       {"/v1/orders", nil, good, http.StatusUnsupportedMediaType},
		"a form":                {"/v1/orders", asJSON("Content-Type", "application/x-www-form-urlencoded"), good, http.StatusUnsupportedMediaType},
		"plain text":            {"/v1/orders", asJSON("Content-Type", "text/plain"), good, http.StatusUnsupportedMediaType},
		"another character set": {"/v1/orders", asJSON("Content-Type", "application/json; charset=latin1"), good, http.StatusUnsupportedMediaType},
		"compressed":            {"/v1/orders", asJSON("Content-Encoding", "gzip"), good, http.StatusUnsupportedMediaType},
		"wait of nonsense":      {"/v1/orders?wait=soon", asJSON(), good, http.StatusBadRequest},
		"wait too long":         {"/v1/orders?wait=31s", asJSON(), good, http.StatusBadRequest},
		"wait negative":         {"/v1/orders?wait=-1s", asJSON(), good, http.StatusBadRequest},
		"another host":          {"/v1/orders", asJSON("Host", "evil.example"), good, http.StatusMisdirectedRequest},
	} {
		if r := f.send(http.MethodPost, c.path, c.header, c.body); r.status != c.status || !json.Valid([]byte(r.body)) {
			t.Errorf("%s: status %d, want %d; %s", name, r.status, c.status, r.body)
		}
	}
	if ids := f.engine.IDs(); len(ids) != 0 {
		t.Errorf("started %v", ids)
	}
	f.expect(f.send(http.MethodPost, "/v1/orders?wait=5", asJSON("Content-Type", "application/json; charset=UTF-8", "Host", "shop.example.test"), good), http.StatusCreated)
	f.expect(f.get("/v1/orders"), http.StatusMethodNotAllowed)
	f.expect(f.get("/"), http.StatusNotFound)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.SubmitUpdate {
			return workflows.Submitted{Order: "A-1"}, nil
		}
		ask, _ := m.Argument.(workflows.AskVerdict)
		return reconcile.Verdict{Order: "A-1", Outcome: reconcile.Succeeded, Agreement: reconcile.Agreed, Fresh: m.ID != "", At: ask.Now}, nil
	}
	if r := f.expect(f.get("/v1/orders/A-1/verdict"), http.StatusNotFound); !strings.Contains(r.body, "submit it again: it is adopted from the systems as it stands, nothing is done twice") {
		t.Errorf("of an order that nobody knows it says %s", r.body)
	}
	f.expect(f.get("/v1/orders/A-1/verdict?fresh=true"), http.StatusNotFound)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	for path, fresh := range map[string]bool{"": false, "?fresh=false": false, "?fresh=true": true, "?fresh=1": true} {
		r := f.expect(f.get("/v1/orders/A-1/verdict"+path), http.StatusOK)
		var v reconcile.Verdict
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || v.Outcome != reconcile.Succeeded || v.Fresh != fresh || !v.At.Equal(noon) {
			t.Errorf("%s: %s, %v", path, r.body, err)
		}
	}
	for path, field := range map[string]string{
		"/v1/orders/A-1/verdict?fresh=maybe": "fresh", "/v1/orders/A-1/verdict?explain=maybe": "explain", "/v1/orders/-1/verdict": "id", "/v1/orders/a%2Fb/verdict": "id", "/v1/orders/A-1/verdict?wait=x": "wait",
	} {
		if fields := f.expect(f.get(path), http.StatusBadRequest).fields(t); !slices.Equal(fields, []string{field}) {
			t.Errorf("%s: fields %v", path, fields)
		}
	}
	f.engine.Silent(true)
	f.expect(f.get("/v1/orders/A-1/verdict"), http.StatusServiceUnavailable)
	f.expect(f.get("/v1/orders/A-1/verdict?fresh=true"), http.StatusGatewayTimeout)
	f.engine.Down(true)
	f.expect(f.get("/v1/orders/A-1/verdict"), http.StatusServiceUnavailable)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer workflows.CancelAnswer
		err    error
		status int
		says   string
	}{
		"cancelled":         {workflows.CancelAnswer{Cancelled: true, Outcome: reconcile.Cancelled}, nil, http.StatusOK, `"cancelled":true`},
		"reality won":       {workflows.CancelAnswer{Refused: "it is packed"}, nil, http.StatusConflict, "ask for a return"},
		"ended by itself":   {workflows.CancelAnswer{Outcome: reconcile.Failed}, nil, http.StatusConflict, "ended by itself"},
		"not in this phase": {workflows.CancelAnswer{}, temporal.NewNonRetryableApplicationError("it has shipped; ask for a return instead", workflows.RefusedReason, nil), http.StatusConflict, "ask for a return"},
		"a fault of ours":   {workflows.CancelAnswer{}, errors.New("secret detail"), http.StatusInternalServerError, "went wrong"},
	} {
		f := open(t, nil)
		f.engine.Answer = func(_ string, m starters.Message) (any, error) {
			if m.Name == workflows.CancelUpdate {
				return c.answer, c.err
			}
			return workflows.Submitted{}, nil
		}
		f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
		r := f.post("/v1/orders/A-1/cancel", []byte(`{"by":"ada","reason":"changed my mind"}`))
		if r.status != c.status || !strings.Contains(r.body, c.says) || strings.Contains(r.body, "secret") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		again := f.post("/v1/orders/A-1/cancel", []byte(`{"by":"ada","reason":"changed my mind"}`))
		if again.status != r.status || again.body != r.body {
			t.Errorf("%s: repeated: %d %s", name, again.status, again.body)
		}
	}
}

func TestCancel_Pending_Unknown_BadInput(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	wish := []byte(`{"by":"ada","reason":"changed my mind"}`)
	f.expect(f.post("/v1/orders/A-1/cancel", wish), http.StatusNotFound)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	for body, fields := range map[string][]string{
		`{}`: {"by", "reason"}, `{"by":"ada","reason":" "}`: {"reason"}, `{"by":"ada","reason":"x","refund":true}`: {"refund"},
		`{"by":1,"reason":"x"}`: {"by"}, `no`: {"body"}, `{"by":"a","reason":"b"}{}`: {"body"}, `{"by":"a\nb","reason":"b"}`: {"by"},
		`{"by":"a","reason":"` + strings.Repeat("x", 201) + `"}`: {"reason"},
	} {
		if got := f.expect(f.post("/v1/orders/A-1/cancel", []byte(body)), http.StatusBadRequest).fields(t); !sameSet(got, fields) {
			t.Errorf("%s: fields %v, want %v", body, got, fields)
		}
	}
	f.expect(f.send(http.MethodPost, "/v1/orders/A-1/cancel", nil, wish), http.StatusUnsupportedMediaType)
	f.engine.Answer = func(string, starters.Message) (any, error) { return nil, starters.ErrNotAnswered }
	r := f.expect(f.post("/v1/orders/A-1/cancel", wish), http.StatusAccepted)
	contains(t, r.body, `"pending"`)
	f.engine.Silent(true) // nobody has it: it may be lost
	f.expect(f.post("/v1/orders/A-1/cancel", wish), http.StatusGatewayTimeout)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	down := false
	f := open(t, func(o *starters.GatewayOptions) {
		o.Ready = func(context.Context) error {
			if down {
				return errors.New("connection refused")
			}
			return nil
		}
	})
	f.expect(f.get("/readyz"), http.StatusOK)
	down = true
	f.expect(f.get("/readyz"), http.StatusServiceUnavailable)
	f.expect(f.get("/healthz"), http.StatusOK)
}

func TestPanic_AnsweredAndLoggedWithoutItsText(t *testing.T) {
	t.Parallel()
	g := open(t, func(o *starters.GatewayOptions) {
		o.Ready = func(context.Context) error { panic("ada@example.test") }
	})
	g.expect(g.get("/readyz"), http.StatusInternalServerError)
	if strings.Contains(g.log.String(), "ada@") {
		t.Error(g.log.String())
	}
	contains(t, g.log.String(), "status=500", "panic")
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"127.0.0.1:8088", "127.1.2.3:0", "[::1]:80"} {
		if err := starters.Loopback(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{":8088", "0.0.0.0:8088", "[::]:80", "192.0.2.1:80", "localhost:80", "example.test:80", "127.0.0.1", "", "127.0.0.1:http"} {
		if err := starters.Loopback(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestServe_OtherAddress_Refused(t *testing.T) {
	t.Parallel()
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Skip("this machine lets nothing listen on every address:", err)
	}
	err = starters.Serve(t.Context(), listener, http.NotFoundHandler(), logrus.New())
	if err == nil || !strings.Contains(err.Error(), "until there are identities") {
		t.Errorf("error %v", err)
	}
	if _, err := listener.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

// TestServe_Stopped_FinishesWhatIsUnderWay: a request that is being answered
// when the gateway is told to stop gets its answer.
func TestServe_Stopped_FinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		w.WriteHeader(http.StatusTeapot)
	})
	ctx, stop := context.WithCancel(t.Context())
	log := logrus.New()
	log.SetOutput(&journal{})
	served, status := make(chan error, 1), make(chan int, 1)
	go func() { served <- starters.Serve(ctx, listener, handler, log) }()
	go func() {
		client := &http.Client{Timeout: 10 * time.Second}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), nil)
		if err != nil {
			status <- 0
			return
		}
		response, err := client.Do(r)
		if err != nil {
			status <- 0
			return
		}
		_ = response.Body.Close()
		status <- response.StatusCode
	}()
	<-begun
	stop()
	close(finish)
	if got := <-status; got != http.StatusTeapot {
		t.Errorf("status %d", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
