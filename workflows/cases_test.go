package workflows_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/starters"
	"github.com/trueup-orders/trueup/testsuite/simulator"
	"github.com/trueup-orders/trueup/testsuite/virtual"
	"github.com/trueup-orders/trueup/workflows"
)

// receiver is where cases are announced: it checks each signature by the
// published algorithm, keeps what came and answers as a test says.
type receiver struct {
	t *testing.T
	// answer returns the status of the n-th delivery, from 1; nil: 204.
	answer func(n int, d delivery) int

	mu  sync.Mutex
	all []delivery
}

// delivery is one POST.
type delivery struct {
	ID, Moment string
	status     int
	Type       string    `json:"type"`
	Timestamp  time.Time `json:"timestamp"`
	Data       struct {
		Order    order.ID       `json:"order"`
		Case     int            `json:"case"`
		Break    string         `json:"break"`
		Why      string         `json:"why"`
		Proposal string         `json:"proposal"`
		Money    int64          `json:"money"`
		Currency order.Currency `json:"currency"`
		Evidence string         `json:"evidence"`
		Deadline time.Time      `json:"deadline"`
		Happened string         `json:"happened"`
		Closed   time.Time      `json:"closed"`
		Outcome  string         `json:"outcome"`
		Decision string         `json:"decision"`
		By       string         `json:"by"`

		// Of a group.
		Group    int             `json:"group"`
		State    string          `json:"state"`
		Orders   int             `json:"orders"`
		AtRisk   []reconcile.Sum `json:"at_risk"`
		Examples []string        `json:"examples"`
		Commands []string        `json:"commands"`

		// Of a record that no order claims.
		System order.System `json:"system"`
		Record string       `json:"record"`
		Opened time.Time    `json:"opened"`
	} `json:"data"`
}

const receiverKey = "a key of the receiver, 32 bytes.."

func receive(t *testing.T, answer func(n int, d delivery) int) *receiver {
	t.Helper()
	return &receiver{t: t, answer: answer}
}

func (r *receiver) settings() virtual.Cases {
	return virtual.Cases{Receiver: r, Secrets: []string{"whsec_" + base64.StdEncoding.EncodeToString([]byte(receiverKey))}}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	d := delivery{ID: q.Header.Get("webhook-id"), Moment: q.Header.Get("webhook-timestamp")}
	mac := hmac.New(sha256.New, []byte(receiverKey))
	mac.Write([]byte(d.ID + "." + d.Moment + "." + string(body)))
	signed := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if err != nil || !slices.Contains(strings.Fields(q.Header.Get("webhook-signature")), signed) || json.Unmarshal(body, &d) != nil {
		r.t.Errorf("what came is not signed, or not JSON: %v %s", q.Header, body)
	}
	for _, secret := range []string{"Ada", "Lovelace", "example.com", "Main St"} {
		if strings.Contains(string(body), secret) {
			r.t.Errorf("%q is in %s", secret, body)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d.status = http.StatusNoContent
	if r.answer != nil {
		d.status = r.answer(len(r.all)+1, d)
	}
	r.all = append(r.all, d)
	w.WriteHeader(d.status)
}

// kinds returns the types of what was taken, in order; what came twice under one
// id counts once.
func (r *receiver) kinds() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kinds, seen []string
	for _, d := range r.all {
		if d.status < 300 && !slices.Contains(seen, d.ID) {
			kinds, seen = append(kinds, d.Type), append(seen, d.ID)
		}
	}
	return kinds
}

func (r *receiver) deliveries() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *receiver) said(want ...string) {
	r.t.Helper()
	if got := r.kinds(); !slices.Equal(got, want) {
		r.t.Errorf("announced %q, want %q", got, want)
	}
}

// on decides a case on some evidence.
func (w *world) on(token, id string, n int, as workflows.Decision) *replied {
	return w.wish(func(ctx context.Context) (workflows.Reply, error) {
		return w.Client.Decide(ctx, "1", workflows.Decide{Asked: by(id), Case: n, As: as, Evidence: token})
	})
}

// open1 returns within a step the only open case of order 1, with its evidence.
func (w *world) open1() reconcile.Case {
	w.t.Helper()
	cases, err := w.Client.Cases(context.Background(), "1", false)
	w.Check(err)
	if len(cases) != 1 || cases[0].Evidence == nil {
		w.t.Errorf("%s after the start the open cases are %+v", w.Age(), cases)
		return reconcile.Case{Evidence: &reconcile.Evidence{}}
	}
	return cases[0]
}

func TestCase_Announced_OnceOpenedOnceNearItsDeadlineAndWhatHappenedThen(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(map[bool]string{false: "in one run", true: "and continued as new"}[again], func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				r := receive(t, nil)
				w := open(t, virtual.Options{Cases: r.settings()})
				w.submit(0, anOrder("1"))
				w.lose("1", 4*time.Hour)
				if again {
					for _, age := range []time.Duration{5 * time.Hour, 7 * time.Hour, 8*time.Hour + 30*time.Minute, 20 * time.Hour} {
						w.continues(age, "1")
					}
				}
				var k reconcile.Case
				var decided *replied
				w.At(6*time.Hour, "look", func() {
					r.said("case.opened")
					k = w.open1()
				})
				w.At(day, "the deadline is over", func() {
					r.said("case.opened", "case.due", "case.past")
					if is := w.open1(); is.Evidence.Token != k.Evidence.Token {
						t.Errorf("the evidence was %s and is %s, though nothing changed but ages", k.Evidence.Token, is.Evidence.Token)
					}
					decided = w.on(k.Evidence.Token, "a", k.N, workflows.DecideShip)
				})
				w.Run(5 * day)
				w.took("the decision", decided)
				r.said("case.opened", "case.due", "case.past", "case.closed")
				state := w.closedAs("1", order.PhaseClosed)
				end := r.deliveries()[3].Data
				if end.Outcome != "decided: ship by test (unverified)" || end.Decision != "ship" || end.By != "test" || end.Case != k.N ||
					!end.Closed.Equal(state.Cases[0].Closed) || end.Evidence != k.Evidence.Token {
					t.Errorf("it was said to have ended as %+v", end)
				}
				if again {
					if _, continued, _ := w.Runs(workflows.OrderWorkflowID("1")); continued < 3 {
						t.Errorf("it continued as new %d times", continued)
					}
				}
				if len(state.Unsaid) != 0 || len(state.Cases) != 1 || !strings.Contains(state.Cases[0].Outcome, "by test (unverified)") || state.Cases[0].Evidence != nil {
					t.Errorf("left over: %+v, %+v", state.Unsaid, state.Cases)
				}
				for n, at := range []time.Time{k.Opened, k.Deadline.Add(-k.Deadline.Sub(k.Opened) / 4), k.Deadline} {
					d := r.deliveries()[n]
					late := d.Timestamp.Sub(at)
					if late < 0 || late > 2*time.Second || d.Data.Order != "1" || d.Data.Case != 1 || d.Data.Evidence != k.Evidence.Token ||
						d.Data.Currency != "EUR" || d.Data.Money != k.Step.Break.Money || !d.Data.Deadline.Equal(k.Deadline) || d.Data.Why != k.Step.Why {
						t.Errorf("announced %s after it was so: %+v; the case is %+v", late, d, k)
					}
				}
				if happened := r.deliveries()[2].Data.Happened; !strings.Contains(happened, "it stays open") {
					t.Errorf("at the deadline happened %q", happened)
				}
			})
		})
	}
}

func TestCase_ReceiverIsDown_TriedUnderOneIdAndNothingWaitsForIt(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		down := virtual.Start.Add(9 * time.Hour)
		r := receive(t, nil)
		w := open(t, virtual.Options{Cases: r.settings()})
		r.answer = func(int, delivery) int {
			if w.Now().Before(down) {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		var decided *replied
		w.At(6*time.Hour, "a person decides meanwhile", func() {
			k := w.open1()
			decided = w.on(k.Evidence.Token, "a", k.N, workflows.DecideShip)
		})
		w.continues(7*time.Hour, "1") // with the announcement on its way
		w.At(8*time.Hour, "look", func() {
			if _, continued, _ := w.Runs(workflows.OrderWorkflowID("1")); continued != 1 {
				t.Errorf("it continued as new %d times while the receiver is down", continued)
			}
			r.said()
		})
		w.Run(5 * day)
		w.took("the decision", decided)
		r.said("case.opened", "case.closed")
		w.closedAs("1", order.PhaseClosed)
		all := r.deliveries()
		for n, d := range all {
			if d.Type == "case.closed" {
				if n != len(all)-1 || d.Timestamp.After(virtual.Start.Add(7*time.Hour)) {
					t.Errorf("its end was said as number %d of %d: %+v", n+1, len(all), d)
				}
				all = all[:n]
				break
			}
			if d.ID != all[0].ID || !d.Timestamp.Equal(all[0].Timestamp) {
				t.Errorf("an attempt differs from the first: %+v, %+v", d, all[0])
			}
		}
		if n := len(all); n < 5 || n > 60 || all[0].Moment == all[n-1].Moment {
			t.Errorf("it was tried %d times, the first at %s and the last at %s", n, all[0].Moment, all[n-1].Moment)
		}
	})
}

func TestCase_NobodyTakesTheAnnouncement_GivenUpAndTheOrderEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		status      int
		least, most int
	}{
		{"always broken", http.StatusInternalServerError, 100, 300},
		{"wants no more", http.StatusGone, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				r := receive(t, func(int, delivery) int { return c.status })
				w := open(t, virtual.Options{Cases: r.settings()})
				w.submit(0, anOrder("1"))
				w.lose("1", 4*time.Hour)
				var decided *replied
				w.At(6*time.Hour, "a person decides", func() { decided = w.decide("1", w.open1().N, workflows.DecideShip) })
				w.Run(6 * day)
				w.took("the decision", decided)
				state := w.closedAs("1", order.PhaseClosed)
				if n := len(r.deliveries()); n < c.least || n > c.most {
					t.Errorf("tried %d times, want %d to %d", n, c.least, c.most)
				}
				for _, kind := range []string{"opened", "closed"} {
					if !slices.ContainsFunc(state.Audit, func(e workflows.Entry) bool {
						return strings.HasPrefix(e.What, "case 1 "+kind+" is not announced any more")
					}) || len(state.Unsaid) != 0 {
						t.Errorf("%s is given up in silence: %+v, %+v", kind, state.Audit, state.Unsaid)
					}
				}
			})
		})
	}
}

// twoContacts lets an order go on that has ended but for one case, and was begun
// before cases were announced: nothing was said of that case, nor of the one that
// is closed.
func (w *world) twoContacts(age time.Duration) {
	o := anOrder("1").Normalize()
	k := reconcile.Case{
		N: 1, Opened: virtual.Start.Add(-10 * time.Hour), Deadline: virtual.Start.Add(-6 * time.Hour), AtDeadline: "it stays open", Stays: true,
		Step: reconcile.Step{Break: reconcile.Break{System: order.SystemCRM, Field: reconcile.CRMContact, Situation: reconcile.Conflict}, Decision: reconcile.Ask, Why: "two contacts"},
	}
	over := k
	over.N, over.Closed, over.Outcome = 2, virtual.Start.Add(-time.Hour), "the systems agree again"
	old := &workflows.State{
		Order: o, Fingerprint: o.Fingerprint(), Phase: order.PhaseClosed, Since: virtual.Start, Run: 1, Cases: []reconcile.Case{k, over},
	}
	w.At(age, "it goes on", func() {
		w.Check(w.Client.Engine.Submit(context.Background(), starters.Start{
			Type: workflows.OrderType, ID: workflows.OrderWorkflowID("1"), Input: workflows.OrderInput{Order: o, Fingerprint: o.Fingerprint(), Carried: old},
		}, starters.Message{}, nil))
	})
}

func TestCase_OpenBeforeTheUpgrade_AnnouncedOnce(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := open(t, virtual.Options{Cases: r.settings()})
		w.twoContacts(time.Hour)
		w.continues(2*time.Hour, "1")
		w.Run(3 * day)
		r.said("case.opened")
	})
}

// A decision may be the last that an order waits for: it is there until somebody
// was told that the case is closed.
func TestCase_LastThingOfItsOrder_EndIsSaidBeforeTheOrderEnds(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		back := virtual.Start.Add(3*day + 5*time.Hour)
		r := receive(t, nil)
		w := open(t, virtual.Options{Cases: r.settings()})
		r.answer = func(_ int, d delivery) int {
			if d.Type == "case.closed" && w.Now().Before(back) {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		w.twoContacts(time.Hour)
		var decided *replied
		w.At(3*day, "a person decides, while nobody listens", func() { decided = w.decide("1", 1, workflows.DecideAccept) })
		w.At(3*day+time.Hour, "look", func() {
			if w.Closed("1") != nil {
				t.Error("the order has ended, and nobody was told that its case has")
			}
		})
		w.Run(3*day + 6*time.Hour)
		w.took("the decision", decided)
		w.closedAs("1", order.PhaseClosed)
		r.said("case.opened", "case.closed")
	})
}

// stolen lets somebody delete a receipt that was booked, which a run finds by an
// age: nobody but a person knows whether it is to be booked again.
func (w *world) stolen(age time.Duration) {
	w.submit(0, atOnce(visa))
	w.At(age-time.Hour, "somebody deletes a receipt", func() { w.edit(w.ERP, `{"order":"1","kind":"receipt","delete":true}`) })
	w.runs(age)
}

// booked is how many receipts of ours were booked in the ERP.
func (w *world) booked() int {
	return len(slices.DeleteFunc(w.effects(w.ERP, order.Receipt, "1"), func(e simulator.Entry) bool { return e.Detail == "draft" }))
}

// aside is a world in which nobody but a run and the order itself looks into the
// ERP.
func aside(t *testing.T, cases virtual.Cases) *world {
	t.Helper()
	return open(t, virtual.Options{Cases: cases, Pace: byHand, FollowEvery: 20 * day, Policy: "mode: auto\nreturn_window: 240h\n"})
}

func TestDecide_EvidenceHasChanged_NothingDoneAndAskedAnew(t *testing.T) {
	t.Parallel()
	for _, token := range []bool{true, false} {
		t.Run(map[bool]string{true: "on evidence", false: "on what it shows"}[token], func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				r := receive(t, nil)
				w := aside(t, r.settings())
				w.stolen(8 * time.Hour)
				var k reconcile.Case
				w.At(9*time.Hour, "look", func() {
					if k = w.open1(); k.Evidence.Options[0].As != "repair" || !k.Evidence.Options[0].Proposed {
						t.Errorf("the options are %+v", k.Evidence.Options)
					}
				})
				w.At(10*time.Hour, "somebody books it by hand", func() { w.edit(w.ERP, `{"order":"1","kind":"receipt","amount":9980}`) })
				before := 0
				var stale *replied
				w.At(11*time.Hour, "a person decides", func() {
					before = w.booked()
					on := ""
					if token {
						on = k.Evidence.Token
					}
					stale = w.on(on, "a", k.N, workflows.DecideRepair)
				})
				var accepted *replied
				var is reconcile.Case
				w.At(12*time.Hour, "and looks again", func() {
					is = w.open1()
					if is.N != k.N || is.Evidence.Token == k.Evidence.Token || is.Step.Proposal == k.Step.Proposal {
						t.Errorf("the case was\n%+v\n and is\n%+v", k, is)
					}
					if n := w.booked(); n != before {
						t.Errorf("%d receipts were booked on evidence that had changed", n-before)
					}
					accepted = w.on(is.Evidence.Token, "b", is.N, workflows.DecideAccept)
				})
				w.Run(14 * time.Hour)
				w.took("the decision", accepted)
				if stale.Err != nil || !strings.Contains(stale.Refused, "nothing was done") || !strings.Contains(stale.Refused, is.Step.Proposal) || stale.Evidence != is.Evidence.Token {
					t.Errorf("the answer is %+v", stale)
				}
				if kinds := r.kinds(); !slices.Contains(kinds, "case.changed") {
					t.Errorf("announced %q", kinds)
				}
				w.tell("1")
			})
		})
	}
}

// A record that somebody, or something, changes again and again does not flood
// whoever listens.
func TestCase_FlappingRecord_ChangeSaidOnceAnHour(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := aside(t, r.settings())
		w.stolen(8 * time.Hour)
		const changes = 12
		for n := range changes {
			at := 9*time.Hour + time.Duration(n)*10*time.Minute
			w.At(at, "it is changed", func() {
				w.edit(w.ERP, []string{`{"order":"1","kind":"receipt","amount":9980}`, `{"order":"1","kind":"receipt","delete":true}`}[n%2])
			})
			w.runs(at + 5*time.Minute)
		}
		w.Run(14 * time.Hour)
		said := 0
		for _, kind := range r.kinds() {
			if kind == "case.changed" {
				said++
			}
		}
		if said < 2 || said > 4 {
			t.Errorf("of %d changes in two hours %d were announced: %q", changes, said, r.kinds())
		}
	})
}

// A case whose break is gone closes as soon as the order hears of it.
func TestCase_BreakIsGone_ClosesByItself(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := open(t, virtual.Options{Cases: r.settings(), Policy: "mode: auto\nreturn_window: 240h\nfields:\n  crm.deal: {mode: ask}\n"})
		w.submit(0, anOrder("1"))
		w.At(7*time.Hour, "somebody changes the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.runs(8 * time.Hour)
		w.At(9*time.Hour, "and back", func() {
			w.theCase("1", reconcile.CRMDeal)
			w.edit(w.CRM, `{"order":"1","stage":"won"}`)
		})
		w.At(9*time.Hour+10*time.Minute, "look", func() { w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed) })
		w.Run(10 * time.Hour)
		r.said("case.opened", "case.closed")
		if end := r.deliveries()[1].Data; end.Outcome != "the systems agree again" || end.Decision+end.By != "" {
			t.Errorf("it was said to have ended as %+v", end)
		}
	})
}

func TestDecide_BreakIsGoneMeanwhile_ClosedAndSaidSo(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		r := receive(t, nil)
		w := open(t, virtual.Options{Cases: r.settings(), Policy: "mode: auto\nreturn_window: 240h\nfields:\n  crm.deal: {mode: ask}\n"})
		w.unannounced() // or the order would see by itself that it is over
		w.submit(0, anOrder("1"))
		w.At(7*time.Hour, "somebody changes the deal", func() { w.edit(w.CRM, `{"order":"1","stage":"lost"}`) })
		w.runs(8 * time.Hour)
		w.At(9*time.Hour, "and back", func() {
			w.theCase("1", reconcile.CRMDeal)
			w.edit(w.CRM, `{"order":"1","stage":"won"}`)
		})
		var decided *replied
		before := 0
		w.At(10*time.Hour, "a person decides", func() {
			before = w.written("1")
			decided = w.decide("1", w.open1().N, workflows.DecideRepair)
		})
		w.At(11*time.Hour, "look", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
			if n := w.written("1") - before; n != 0 {
				t.Errorf("something was written %d times", n)
			}
		})
		w.Run(12 * time.Hour)
		if decided.Err != nil || !strings.Contains(decided.Refused, "nothing was decided") || !strings.Contains(decided.Refused, "the systems agree again") {
			t.Errorf("the answer is %+v", decided)
		}
		r.said("case.opened", "case.closed")
		if end := r.deliveries()[1].Data; end.Outcome != "the systems agree again" || end.Decision+end.By != "" {
			t.Errorf("it was said to have ended as %+v", end)
		}
	})
}

func TestDecide_ParcelHasArrivedMeanwhile_NotSentOnceMore(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		var decided *replied
		w.At(6*time.Hour, "it arrives, and in the same moment a person decides", func() {
			k := w.open1()
			w.work("1", 1, "delivered")
			decided = w.on(k.Evidence.Token, "a", k.N, workflows.DecideShip)
		})
		w.ends(5*day, "1", order.PhaseClosed, delivered())
		if decided.Err != nil || !strings.Contains(decided.Refused, "it arrived after all") {
			t.Errorf("the answer is %+v", decided)
		}
		if n := len(w.shipments("1")); n != 1 {
			t.Errorf("there are %d shipments", n)
		}
	})
}

func TestDecide_TwoOperatorsOnTheSameEvidence_OneDecisionAndTheOtherIsTold(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := aside(t, virtual.Cases{})
		w.stolen(8 * time.Hour)
		before := 0
		var one, two *replied
		w.At(9*time.Hour, "two decide at once", func() {
			k := w.open1()
			before = w.booked()
			one, two = w.on(k.Evidence.Token, "a", k.N, workflows.DecideRepair), w.on(k.Evidence.Token, "b", k.N, workflows.DecideAccept)
		})
		var again *replied
		w.At(10*time.Hour, "the first says it once more", func() {
			again = w.on("", "a", 1, workflows.DecideRepair)
			if n := w.booked() - before; n != 1 {
				t.Errorf("%d receipts were booked", n)
			}
		})
		w.Run(11 * time.Hour)
		w.took("the first", one)
		w.took("the first, once more", again)
		if two.Err != nil || !strings.Contains(two.Refused, "closed meanwhile") || !strings.Contains(two.Refused, "decided: repair by test") {
			t.Errorf("the second is told %+v", two)
		}
		w.tell("1")
	})
}

func TestDecide_SystemCannotBeRead_NothingDecided(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideRepair, workflows.DecideAccept, workflows.DecideByHand} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := aside(t, virtual.Cases{})
				w.stolen(8 * time.Hour)
				var refused, decided *replied
				w.At(9*time.Hour, "the ERP is down", func() {
					w.inject(w.ERP, simulator.Fault{Kind: simulator.Unavailable, Times: -1})
					refused = w.decide("1", w.open1().N, as)
				})
				w.At(10*time.Hour, "and is there again", func() {
					w.ERP.Frame().Clear("*")
					w.open1()
					if as == workflows.DecideByHand {
						w.edit(w.ERP, `{"order":"1","kind":"receipt","amount":9980}`)
					}
					decided = w.decide("1", 1, as) // the same wish again
				})
				w.Run(11 * time.Hour)
				if refused.Err != nil || !strings.Contains(refused.Refused, "erp system cannot be read now") {
					t.Errorf("while it cannot be read the answer is %+v", refused)
				}
				if as == workflows.DecideByHand {
					// Booked under no key of ours: it is not the receipt that is missing.
					if decided.Err != nil || !strings.Contains(decided.Refused, "still says the same") {
						t.Errorf("the answer is %+v", decided)
					}
					return
				}
				w.took("the decision", decided)
				w.tell("1")
			})
		})
	}
}

func TestCase_Options_AreWhatIsNotRefused(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{})
		w.submit(0, anOrder("1"))
		w.lose("1", 4*time.Hour)
		all := []workflows.Decision{
			workflows.DecideRepair, workflows.DecideRefund, workflows.DecideShip, workflows.DecideRelease, workflows.DecideCancel,
		}
		tried := make([]*replied, len(all))
		var decided *replied
		w.At(6*time.Hour, "look", func() {
			k := w.open1()
			var offered []string
			for _, o := range k.Evidence.Options {
				offered = append(offered, o.As)
			}
			if want := []string{"accept", "refund", "ship", "done_by_hand"}; !slices.Equal(offered, want) {
				t.Errorf("offered %v, want %v", offered, want)
			}
			for n, as := range all {
				if !slices.Contains(offered, string(as)) {
					tried[n] = w.on("", "try "+string(as), k.N, as)
				}
			}
			refund, ship := k.Evidence.Options[1], k.Evidence.Options[2]
			if refund.Money != 9980 || !strings.Contains(refund.Does, "99.80 EUR") || !ship.Proposed || len(ship.Pieces) != 2 || !strings.Contains(ship.Does, "2 × MUG") {
				t.Errorf("the options are %+v", k.Evidence.Options)
			}
			decided = w.on(k.Evidence.Token, "ship", k.N, workflows.DecideShip)
		})
		w.Run(7 * time.Hour)
		w.took("the decision", decided)
		for n, r := range tried {
			if r != nil && !errors.Is(r.Err, starters.ErrNotNow) {
				t.Errorf("%s is not offered, and answered %+v", all[n], r)
			}
		}
	})
}

// What the policy asks about and would else adopt is proposed as the decision that does
// it: accept, and not that somebody put it right there.
func TestCase_AskedWhetherToAdopt_AcceptIsProposedAndCloses(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 240h\nfields:\n  crm.revenue: {mode: ask, strength: adopt}\n"})
		w.submit(0, anOrder("1"))
		w.At(7*time.Hour, "somebody changes the revenue", func() { w.edit(w.CRM, `{"order":"1","revenue":9000}`) })
		w.runs(8 * time.Hour)
		var decided *replied
		w.At(9*time.Hour, "look and decide", func() {
			k := w.open1()
			for _, o := range k.Evidence.Options {
				if proposed := o.As == string(workflows.DecideAccept); o.Proposed != proposed {
					t.Errorf("%s is proposed: %v; the case proposes %q", o.As, o.Proposed, k.Step.Proposal)
				}
			}
			if want := "accept: take what crm says into the order"; k.Step.Proposal != want {
				t.Errorf("the case proposes %q, want %q", k.Step.Proposal, want)
			}
			decided = w.on(k.Evidence.Token, "accept", k.N, workflows.DecideAccept)
		})
		w.runs(10 * time.Hour)
		w.At(11*time.Hour, "look again", func() {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
			if s := w.story("1"); s.Revenue != 9000 {
				t.Errorf("the CRM says %d", s.Revenue)
			}
		})
		w.Run(12 * time.Hour)
		w.took("the decision", decided)
	})
}

// A dispute that was let run says nothing of the next one of the same amount.
func TestCase_SecondDisputeOfTheSameAmount_IsACaseToo(t *testing.T) {
	t.Parallel()
	for _, as := range []workflows.Decision{workflows.DecideAccept, workflows.DecideShip} {
		t.Run(string(as), func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				w := open(t, virtual.Options{Policy: allAuto, ReconcileEvery: time.Hour})
				w.submit(0, anOrder("1"))
				w.At(5*time.Hour, "a dispute", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
				var decided *replied
				w.At(7*time.Hour, "a person lets it run", func() { decided = w.decide("1", w.theCase("1", reconcile.PaymentDisputed), as) })
				w.At(8*time.Hour, "it runs", func() {
					w.took("the decision", decided)
					w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
				})
				w.At(9*time.Hour, "it is won", func() { w.edit(w.Payment, `{"order":"1","dispute":"won"}`) })
				w.At(20*time.Hour, "another one", func() { w.edit(w.Payment, `{"order":"1","dispute":"opened"}`) })
				w.At(20*time.Hour+time.Minute, "a person is asked at once", func() {
					w.theCase("1", reconcile.PaymentDisputed)
					w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.NeedsPerson)
				})
				w.Run(25 * time.Hour)
			})
		})
	}
}

// The warehouse takes up again what it had cancelled, as somebody says, and cancels it
// once more: that is asked about like the first time.
func TestCase_CancelledOnceMoreAfterItWasPutRight_AskedAgain(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: allAuto, Pace: byHand})
		w.submit(0, anOrder("1"))
		w.At(time.Hour, "the warehouse cancels", func() { w.edit(w.Warehouse, `{"order":"1","state":"cancelled"}`) })
		var decided *replied
		w.At(2*time.Hour, "and takes it up again", func() {
			n := w.theCase("1", reconcile.WarehouseShipment)
			w.edit(w.Warehouse, `{"order":"1","state":"waiting"}`)
			decided = w.decide("1", n, workflows.DecideByHand)
		})
		w.At(4*time.Hour, "it cancels once more", func() {
			w.took("the decision", decided)
			w.edit(w.Warehouse, `{"order":"1","state":"cancelled"}`)
		})
		w.At(5*time.Hour, "a person is asked again", func() { w.theCase("1", reconcile.WarehouseShipment) })
		w.Run(6 * time.Hour)
	})
}

// The mail was accepted and its answer was lost; until the journal can be read the number is
// corrected. What the customer has is the first one, and the second where it was not accepted.
func TestCase_TrackingNumberCorrectedWhileItsMailIsInDoubt_WhatTheMailSaid(t *testing.T) {
	t.Parallel()
	for name, accepted := range map[string]bool{"it went out": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtual.Bubble(t, func(t *testing.T) {
				correctedInDoubt(t, accepted)
			})
		})
	}
}

func correctedInDoubt(t *testing.T, accepted bool) {
	lost := simulator.Fault{Operation: order.Send, Kind: simulator.ResponseLost}
	if !accepted { // it would land long after the test
		lost = simulator.Fault{Operation: order.Send, Kind: simulator.Late, Delay: 1000 * time.Hour}
	}
	w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 240h\n", Pace: byHand})
	w.submit(0, anOrder("1"))
	w.At(time.Hour, "the parcel has a number before it leaves", func() {
		w.edit(w.Warehouse, `{"order":"1","tracking":"1Z1"}`)
		w.inject(w.Mail, lost)
		w.inject(w.Mail, simulator.Fault{Operation: "lookup", Kind: simulator.Unavailable, Times: -1})
	})
	w.leaves(2*time.Hour, "1", 1)
	w.At(3*time.Hour, "it gets another number", func() { w.edit(w.Warehouse, `{"order":"1","tracking":"1Z9"}`) })
	w.At(6*time.Hour, "the journal can be read", func() { w.Mail.Frame().Clear("*") })
	w.runs(9 * time.Hour)
	w.At(10*time.Hour, "look", func() {
		if !accepted {
			w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
		} else if b := w.open1().Step.Break; b.Field != reconcile.WarehouseTracking || b.Expected != "1Z1" || b.Observed != "1Z9" {
			t.Errorf("the case is about %+v", b)
		}
		if sent := w.mails("1"); !slices.Equal(sent, []string{"confirmation", "shipped"}) {
			t.Errorf("what went out is %v", sent)
		}
	})
	w.Run(11 * time.Hour)
}

// A number by which the customer was told to follow their parcel and which the warehouse
// corrects afterwards is a case, for the mail cannot be taken back; one that is entered
// after the mail went without it is nobody's business. What a person lets stand stays so.
func TestCase_TrackingNumberCorrectedAfterItsMail_APersonTellsTheCustomer(t *testing.T) {
	t.Parallel()
	virtual.Bubble(t, func(t *testing.T) {
		w := open(t, virtual.Options{Policy: "mode: auto\nreturn_window: 240h\n", Pace: byHand})
		for _, id := range []order.ID{"1", "2"} {
			w.submit(0, anOrder(string(id)))
			w.leaves(2*time.Hour, id, 1)
		}
		w.At(time.Hour, "the parcel has a number before it leaves", func() { w.edit(w.Warehouse, `{"order":"1","tracking":"1Z1"}`) })
		w.At(5*time.Hour, "both get another number", func() {
			w.edit(w.Warehouse, `{"order":"1","tracking":"1Z9"}`)
			w.edit(w.Warehouse, `{"order":"2","tracking":"1Z2"}`)
		})
		w.runs(6 * time.Hour)
		var decided *replied
		w.At(7*time.Hour, "look and decide", func() {
			k := w.open1()
			if b := k.Step.Break; b.Field != reconcile.WarehouseTracking || b.Expected != "1Z1" || b.Observed != "1Z9" || !strings.HasPrefix(b.Item, "order/1/request/1 ") {
				t.Errorf("the case is about %+v", b)
			}
			for _, o := range k.Evidence.Options { // who has told the customer is done with it
				if o.Proposed != (o.As == string(workflows.DecideAccept)) {
					t.Errorf("of the options %+v this one is proposed: %v", o, o.Proposed)
				}
			}
			w.stands("2", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed)
			decided = w.on(k.Evidence.Token, "told", k.N, workflows.DecideAccept)
		})
		w.runs(8 * time.Hour)
		w.At(9*time.Hour, "look again", func() { w.stands("1", order.PhaseShipped, reconcile.Succeeded, reconcile.Agreed) })
		w.Run(10 * time.Hour)
		w.took("the decision", decided)
	})
}
