package starters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/trueup-orders/trueup/activities/payment"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/starters/internal/memory"
	"github.com/trueup-orders/trueup/workflows"
)

// badWishes is testdata/bad-wishes.json.
type badWishes struct {
	About string
	Good  map[string]json.RawMessage
	Every []badOrder
	Bad   map[string][]badOrder
}

func wishes(t *testing.T) badWishes {
	t.Helper()
	data, err := os.ReadFile("testdata/bad-wishes.json")
	if err != nil {
		t.Fatal(err)
	}
	var file badWishes
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

// updates are the updates behind the routes.
var updates = map[string]string{
	"attempts": workflows.AttemptUpdate, "amendments": workflows.AmendUpdate, "answers": workflows.AnswerUpdate,
	"returns": workflows.ReturnUpdate, "refunds": workflows.RefundUpdate, "decisions": workflows.DecideUpdate,
}

// answering opens a gateway with the order A-1, whose wishes get this answer.
func answering(t *testing.T, answer func(m starters.Message) (workflows.Reply, error)) *front {
	t.Helper()
	f := open(t, nil)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	f.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.VerdictQuery {
			return reconcile.Verdict{Order: "A-1", Outcome: reconcile.Succeeded, Phase: order.PhaseDelivered, Currency: "EUR"}, nil
		}
		return answer(m)
	}
	return f
}

func done(m starters.Message) (workflows.Reply, error) {
	return workflows.Reply{Order: "A-1", Phase: order.PhaseDelivered, Outcome: reconcile.Succeeded, Request: m.Name + " 1"}, nil
}

// asked returns the wishes that reached the order.
func (f *front) asked() []starters.Message {
	f.t.Helper()
	return f.engine.Run("order/A-1").Messages[1:]
}

func TestWish_BadInput_NamesTheFieldAndAsksNothing(t *testing.T) {
	t.Parallel()
	file := wishes(t)
	for route := range updates {
		good := object(t, file.Good[route])
		for _, b := range slices.Concat(file.Every, file.Bad[route]) {
			t.Run(route+" "+b.Name, func(t *testing.T) {
				t.Parallel()
				f := answering(t, done)
				r := f.expect(f.post("/v1/orders/A-1/"+route, b.body(t, good)), b.Status)
				fields := r.fields(t)
				for _, want := range b.Fields {
					if !slices.Contains(fields, want) {
						t.Errorf("fields %v do not name %q: %s", fields, want, r.body)
					}
				}
				if len(b.Fields) < 2 && b.Text == nil && len(fields) != 1 {
					t.Errorf("fields %v, want %v: %s", fields, b.Fields, r.body)
				}
				if asked := f.asked(); len(asked) != 0 {
					t.Errorf("asked %+v", asked)
				}
			})
		}
	}
}

func TestWish_Good_AskedAsItIsWritten(t *testing.T) {
	t.Parallel()
	file := wishes(t)
	for route, update := range updates {
		f := answering(t, done)
		r := f.expect(f.post("/v1/orders/A-1/"+route, file.Good[route]), http.StatusOK)
		contains(t, r.body, `"request":"`+update+` 1"`, `"succeeded"`)
		asked := f.asked()
		if len(asked) != 1 || asked[0].Name != update {
			t.Fatalf("%s: asked %+v", route, asked)
		}
		var want map[string]any
		if err := json.Unmarshal(file.Good[route], &want); err != nil {
			t.Fatal(err)
		}
		got := object(t, encode(t, asked[0].Argument))
		for field := range want {
			if got[field] == nil {
				t.Errorf("%s: %s is lost: %v", route, field, got)
			}
		}
		contains(t, f.log.String(), `route="POST /v1/orders/{id}/`+route+`"`, "order=A-1")
	}
}

func TestWish_Statuses(t *testing.T) {
	t.Parallel()
	file := wishes(t)
	for name, c := range map[string]struct {
		reply  workflows.Reply
		err    error
		status int
		says   []string
	}{
		"done":        {workflows.Reply{Order: "A-1", Request: "return 1"}, nil, http.StatusOK, []string{`"request":"return 1"`}},
		"under way":   {workflows.Reply{Order: "A-1", Request: "return 1", Pending: "the goods are on their way"}, nil, http.StatusAccepted, []string{"on their way"}},
		"reality won": {workflows.Reply{Order: "A-1", Refused: "it is packed; ask for a return"}, nil, http.StatusConflict, []string{`"error":"not done: it is packed`, `"refused"`}},
		"stale":       {workflows.Reply{Order: "A-1", Refused: "what case 1 rests on has changed since; nothing was done", Evidence: "ffff"}, nil, http.StatusConflict, []string{`"error":"not done: what case 1 rests on has changed since`, `"evidence":"ffff"`}},
		"not now": {workflows.Reply{}, temporal.NewNonRetryableApplicationError("it has not shipped; cancel it instead", workflows.RefusedReason, nil),
			http.StatusConflict, []string{"cancel it instead"}},
		"not valid": {workflows.Reply{}, temporal.NewNonRetryableApplicationError("line 7 is unknown", workflows.InvalidReason, nil), http.StatusUnprocessableEntity, []string{"line 7 is unknown"}},
		"not valid, by field": {workflows.Reply{}, temporal.NewNonRetryableApplicationError("x", workflows.InvalidReason, nil, []order.Problem{{Field: "lines[0].line", Reason: "is unknown"}}),
			http.StatusUnprocessableEntity, []string{`"field":"lines[0].line"`}},
		"a fault of ours": {workflows.Reply{}, errors.New("secret detail"), http.StatusInternalServerError, []string{"went wrong"}},
	} {
		for route := range updates {
			f := answering(t, func(starters.Message) (workflows.Reply, error) { return c.reply, c.err })
			r := f.post("/v1/orders/A-1/"+route, file.Good[route])
			if r.status != c.status || strings.Contains(r.body, "secret") || !json.Valid([]byte(r.body)) {
				t.Errorf("%s, %s: %d %s", route, name, r.status, r.body)
			}
			contains(t, r.body, c.says...)
			if c.status == http.StatusAccepted && (r.header.Get("Retry-After") == "" || r.header.Get("Location") != "/v1/orders/A-1/verdict") {
				t.Errorf("%s, %s: header %v", route, name, r.header)
			}
		}
	}
}

func TestWish_UnknownOrder_BadID_HowItIsSent(t *testing.T) {
	t.Parallel()
	file := wishes(t)
	for route := range updates {
		f := open(t, nil)
		good := file.Good[route]
		f.expect(f.post("/v1/orders/A-1/"+route, good), http.StatusNotFound)
		f.expect(f.post("/v1/orders/-1/"+route, good), http.StatusBadRequest)
		f.expect(f.post("/v1/orders/A-1/"+route+"?wait=x", good), http.StatusBadRequest)
		f.expect(f.send(http.MethodPost, "/v1/orders/A-1/"+route, nil, good), http.StatusUnsupportedMediaType)
		f.expect(f.post("/v1/orders/A-1/"+route, bytes.Repeat([]byte(" "), 1<<20+1)), http.StatusRequestEntityTooLarge)
		f.expect(f.get("/v1/orders/A-1/"+route), http.StatusMethodNotAllowed)
		f.engine.Down(true)
		f.expect(f.post("/v1/orders/A-1/"+route, good), http.StatusServiceUnavailable)
		if ids := f.engine.IDs(); len(ids) != 0 {
			t.Errorf("started %v", ids)
		}
	}
}

// A wish that a worker has is pending; one that nobody has taken is not.
func TestWish_NotAnsweredInTime(t *testing.T) {
	t.Parallel()
	file := wishes(t)
	for route := range updates {
		f := answering(t, func(starters.Message) (workflows.Reply, error) { return workflows.Reply{}, starters.ErrNotAnswered })
		r := f.expect(f.post("/v1/orders/A-1/"+route, file.Good[route]), http.StatusAccepted)
		contains(t, r.body, `"pending":"the `, `"phase":"delivered"`, `"succeeded"`)
		f.engine.Silent(true)
		f.expect(f.post("/v1/orders/A-1/"+route, file.Good[route]), http.StatusGatewayTimeout)
	}
}

// Nobody takes it in time, and then a worker comes back and refuses it: that is
// what the caller hears, and not that it is pending.
func TestWish_RefusedWhenItIsTakenUpLate_NotCalledPending(t *testing.T) {
	t.Parallel()
	asked := 0
	f := answering(t, func(starters.Message) (workflows.Reply, error) {
		if asked++; asked == 1 {
			return workflows.Reply{}, starters.ErrNotAnswered
		}
		return workflows.Reply{}, temporal.NewNonRetryableApplicationError("it has not shipped; cancel it instead", workflows.RefusedReason, nil)
	})
	r := f.expect(f.post("/v1/orders/A-1/returns", wishes(t).Good["returns"]), http.StatusConflict)
	contains(t, r.body, "cancel it instead")
}

func TestWish_Repeated_AnsweredOnceMoreAndAskedOnce(t *testing.T) {
	t.Parallel()
	n := 0
	f := answering(t, func(m starters.Message) (workflows.Reply, error) {
		n++
		r, _ := done(m)
		r.Request = m.Name + " " + string(rune('0'+n))
		return r, nil
	})
	post := func(key, body string) string {
		h := http.Header{"Content-Type": {"application/json"}}
		if key != "" {
			h.Set("Idempotency-Key", key)
		}
		r := f.expect(f.send(http.MethodPost, "/v1/orders/A-1/returns", h, []byte(body)), http.StatusOK)
		var reply workflows.Reply
		if err := json.Unmarshal([]byte(r.body), &reply); err != nil {
			t.Fatal(err)
		}
		return reply.Request
	}
	const content = `"by":"ada","reason":"too small","lines":[{"line":1,"quantity":1}]}`
	for _, c := range []struct{ what, key, body, want string }{
		{"the first", "", `{` + content, "return 1"},
		{"the same without an id", "", `{"id":"",` + content, "return 1"},
		{"an id in the body", "", `{"id":"w-1",` + content, "return 2"},
		{"the same id in the header", "w-1", `{` + content, "return 2"},
		{"the same id in both", "w-1", `{"id":"w-1",` + content, "return 2"},
		{"another id", "w-2", `{` + content, "return 3"},
		{"other lines", "", `{"by":"ada","reason":"too small","lines":[{"line":1,"quantity":2}]}`, "return 4"},
	} {
		if got := post(c.key, c.body); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	for _, m := range f.asked() {
		if wish, ok := m.Argument.(workflows.Return); !ok || wish.ID == "" {
			t.Errorf("asked without an id: %+v", m)
		}
		if strings.Contains(m.ID, "w-1") {
			t.Errorf("the caller's id is the engine's: %s", m.ID)
		}
	}
	twice := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"w-1", "w-2"}}
	for name, h := range map[string]http.Header{"id": {"Content-Type": {"application/json"}, "Idempotency-Key": {"w-9"}}, "Idempotency-Key": twice} {
		r := f.expect(f.send(http.MethodPost, "/v1/orders/A-1/returns", h, []byte(`{"id":"w-1",`+content)), http.StatusBadRequest)
		if fields := r.fields(t); !slices.Equal(fields, []string{name}) {
			t.Errorf("fields %v, want %s", fields, name)
		}
	}
	if len(f.asked()) != 4 {
		t.Errorf("asked %d times, want 4", len(f.asked()))
	}
}

// The same choice answers two questions, one after the other.
func TestWish_TheSameAnswerToALaterQuestion_AskedAgain(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	question := "what to do about 2 × MUG, until noon"
	f.engine.Answer = func(_ string, m starters.Message) (any, error) {
		if m.Name == workflows.VerdictQuery {
			return reconcile.Verdict{Order: "A-1", Question: question}, nil
		}
		return done(m)
	}
	wait := []byte(`{"by":"ada","choice":"wait"}`)
	f.expect(f.post("/v1/orders/A-1/answers", wait), http.StatusOK)
	f.expect(f.post("/v1/orders/A-1/answers", wait), http.StatusOK)
	if asked := len(f.asked()); asked != 1 {
		t.Errorf("one question was answered %d times", asked)
	}
	question = "what to do about 1 × TEE, until noon"
	f.expect(f.post("/v1/orders/A-1/answers", wait), http.StatusOK)
	if asked := len(f.asked()); asked != 2 {
		t.Errorf("two questions were answered %d times", asked)
	}
}

func TestWish_ClosedOrder_OpenedAgain(t *testing.T) {
	t.Parallel()
	file := wishes(t)
	for route, update := range updates {
		f := answering(t, done)
		in, _ := f.engine.Run("order/A-1").Start.Input.(workflows.OrderInput)
		f.engine.Close("order/A-1", workflows.State{Order: in.Order, Fingerprint: in.Fingerprint, Phase: order.PhaseClosed})
		f.expect(f.post("/v1/orders/A-1/"+route, file.Good[route]), http.StatusOK)
		run := f.engine.Run("order/A-1")
		again, _ := run.Start.Input.(workflows.OrderInput)
		if run.Number != 2 || again.Carried == nil || len(run.Messages) != 1 || run.Messages[0].Name != update {
			t.Errorf("%s: run %+v", route, run)
		}
	}
}

func TestWish_NextStep_ForTheCustomerAndNeverLogged(t *testing.T) {
	t.Parallel()
	f := answering(t, func(m starters.Message) (workflows.Reply, error) {
		return workflows.Reply{Order: "A-1", Request: "attempt 2", Next: &payment.NextStep{Kind: "use_stripe_sdk", ClientSecret: "pi_2_secret_xyz"}}, nil
	})
	r := f.expect(f.post("/v1/orders/A-1/attempts", []byte(`{"by":"ada@example.test","payment":{"method":"pm_mine"}}`)), http.StatusOK)
	contains(t, r.body, "pi_2_secret_xyz")
	for _, secret := range []string{"secret_xyz", "pm_mine", "ada@example.test"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("%q was logged: %s", secret, f.log.String())
		}
	}
	if r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", r.header)
	}
}

// A client of the package hears what is wrong with a wish as the gateway's does.
func TestClient_WishNotValid_SaysWhatAndAsksNothing(t *testing.T) {
	t.Parallel()
	engine := &memory.Engine{}
	c := &starters.Client{Engine: engine, Now: clock}
	_, err := c.Return(context.Background(), "A-1", workflows.Return{})
	invalid, ok := errors.AsType[*starters.InvalidError](err)
	if !ok || !errors.Is(err, starters.ErrNotValid) || len(invalid.Problems) != 3 || !strings.Contains(err.Error(), "lines is missing") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Return(t.Context(), "A-1", workflows.Return{Asked: workflows.Asked{By: "a", Reason: "b"}, Lines: []order.Quantity{{Line: 1, Quantity: 1}}}); !errors.Is(err, starters.ErrUnknownOrder) {
		t.Errorf("error %v, want ErrUnknownOrder", err)
	}
}

// paying is an order's workflow that is asked what became of its submission: it
// answers from where it stands now.
type paying struct {
	now      workflows.Submitted
	answered int
}

func (p *paying) answer(_ string, m starters.Message) (any, error) {
	if m.Name != workflows.SubmitUpdate {
		return reconcile.Verdict{Order: "A-1"}, nil
	}
	p.answered++
	return p.now, nil
}

// The engine answers a repeated submission as it did the first one; a customer
// who has paid meanwhile must not be told to pay.
func TestSubmit_RepeatedAfterTheCustomerActed_AnsweredFromNow(t *testing.T) {
	t.Parallel()
	next := &payment.NextStep{Kind: "use_stripe_sdk", ClientSecret: "pi_1_secret_xyz"}
	question := &workflows.Question{N: 1, Kind: workflows.AskAboutStock, Deadline: noon.Add(time.Hour), Lines: []order.Quantity{{Line: 1, SKU: "MUG", Quantity: 2}}}
	inProgress := workflows.Submitted{Order: "A-1", Phase: order.PhasePaying, Outcome: reconcile.InProgress}
	with := func(change func(s *workflows.Submitted)) workflows.Submitted {
		s := inProgress
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		first workflows.Submitted
		says  string
	}{
		"had to act":     {with(func(s *workflows.Submitted) { s.Next = next }), "the customer has to act"},
		"was declined":   {with(func(s *workflows.Submitted) { s.Declined, s.PayUntil = "insufficient_funds", noon.Add(30*time.Minute) }), "/v1/orders/A-1/attempts with another payment, until 2026-01-02T12:30:00Z"},
		"was asked":      {with(func(s *workflows.Submitted) { s.Phase, s.Question = order.PhaseAccepted, question }), "2 × MUG"},
		"was in between": {inProgress, `"in_progress"`},
	} {
		at := noon
		f := open(t, func(o *starters.GatewayOptions) {
			o.Client.Now = func() time.Time { at = at.Add(time.Second); return at }
		})
		p := &paying{now: c.first}
		f.engine.Answer = p.answer
		body := goodOrder(t, "A-1")
		r := f.expect(f.post("/v1/orders", body), http.StatusCreated)
		contains(t, r.body, c.says)
		p.now = workflows.Submitted{Order: "A-1", Phase: order.PhaseAccepted, Outcome: reconcile.Succeeded}
		r = f.expect(f.post("/v1/orders", body), http.StatusOK)
		if !strings.Contains(r.body, `"succeeded"`) || strings.Contains(r.body, "next") || strings.Contains(r.body, "possible") || strings.Contains(r.body, "declined") {
			t.Errorf("%s: answered %s", name, r.body)
		}
		if run := f.engine.Run("order/A-1"); run.Number != 1 {
			t.Errorf("%s: started %d times", name, run.Number)
		}
	}
}

func TestSubmit_RepeatedWhenItIsAccepted_AskedOnce(t *testing.T) {
	t.Parallel()
	f := open(t, nil)
	p := &paying{now: workflows.Submitted{Order: "A-1", Phase: order.PhaseAccepted, Outcome: reconcile.Succeeded}}
	f.engine.Answer = p.answer
	for range 5 {
		f.post("/v1/orders", goodOrder(t, "A-1"))
	}
	if p.answered != 1 {
		t.Errorf("the order was asked %d times; want once, for every update stays in its history", p.answered)
	}
}

// What the first answer said is not repeated when nobody can say whether it
// still holds.
func TestSubmit_RepeatedAndNobodyAnswers_NoOldStep(t *testing.T) {
	t.Parallel()
	at := noon
	f := open(t, func(o *starters.GatewayOptions) {
		o.Client.Now = func() time.Time { at = at.Add(time.Second); return at }
	})
	p := &paying{now: workflows.Submitted{Order: "A-1", Phase: order.PhasePaying, Next: &payment.NextStep{Kind: "use_stripe_sdk"}}}
	f.engine.Answer = p.answer
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	f.engine.Answer = func(string, starters.Message) (any, error) { return nil, starters.ErrNotAnswered }
	r := f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusAccepted)
	if strings.Contains(r.body, "use_stripe_sdk") {
		t.Errorf("answered %s", r.body)
	}
}

// A decision that was refused because its evidence had changed may be right a
// minute later: it reaches the order each time, and the order tells by the wish's
// id what it has taken up.
func TestDecide_SameAgain_ReachesTheOrderAgain(t *testing.T) {
	t.Parallel()
	now := noon
	f := open(t, func(o *starters.GatewayOptions) {
		o.Client.Now = func() time.Time { now = now.Add(time.Second); return now }
	})
	f.expect(f.post("/v1/orders", goodOrder(t, "A-1")), http.StatusCreated)
	refused := true
	f.engine.Answer = func(string, starters.Message) (any, error) {
		if refused {
			return workflows.Reply{Order: "A-1", Refused: "the erp system cannot be read now"}, nil
		}
		return workflows.Reply{Order: "A-1", Request: "decide 1"}, nil
	}
	body := []byte(`{"by":"grace","reason":"we lost it","case":1,"as":"ship"}`)
	f.expect(f.post("/v1/orders/A-1/decisions", body), http.StatusConflict)
	refused = false
	f.expect(f.post("/v1/orders/A-1/decisions", body), http.StatusOK)
	asked := f.asked()
	if len(asked) != 2 || asked[0].Argument.(workflows.Decide).ID != asked[1].Argument.(workflows.Decide).ID {
		t.Errorf("asked %+v", asked)
	}
}
