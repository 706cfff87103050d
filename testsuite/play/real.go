package play

import (
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/testsuite/live"
	"github.com/trueup-orders/trueup/testsuite/script"
)

// really plays a file on the real engine, and says why it cannot be played to
// its end.
func really(f *script.File, s *stage, o Options) (skipped string) {
	if why := outlasts(f); why != "" {
		return why
	}
	o.short = map[string]time.Duration{}
	for {
		skipped, timer := once(f, s, o)
		// The story waits for the end of this window, or came to it too late: it is
		// played again with less of it, or with more.
		next := slices.IndexFunc(enough, func(d time.Duration) bool { return d > o.short[timer] })
		if !windows[timer] || next < 0 {
			return skipped
		}
		o.short[timer] = enough[next]
	}
}

// once plays a file on the real engine. What it could not wait for is a timer.
func once(f *script.File, s *stage, o Options) (skipped, timer string) {
	done := make(chan struct{})
	go func() { // as in a bubble: what cannot go on ends it
		defer close(done)
		defer s.clean()
		p := newPlayer(f, s, o)
		p.world.Beside(p.play)
		p.world.Beside(p.watch)
		p.world.Run(forever)
		var why string
		if why, timer = p.world.(*live.World).Skipped(); why != "" {
			skipped = fmt.Sprintf("%s: %s", p.next, why)
			s.wrong = nil // it was left in the middle
		}
	}()
	<-done
	return skipped, timer
}

// windows are the timers that end what the policy lets people have time for; enough
// is how much of it they have on the real engine when a story waits for the end, at
// first, and when the steps that come before it took longer.
var (
	windows = map[string]bool{"the customer may pay": true, "the customer may answer": true, "the return window ends": true}
	enough  = []time.Duration{time.Minute, 140 * time.Second}
)

// usual is how long a window is in the story.
func usual(timer string, policy map[string]any) (key string, d time.Duration) {
	key = map[string]string{
		"the customer may pay": "pay_window", "the customer may answer": "answer_within", "the return window ends": "return_window",
	}[timer]
	d = reconcile.Default().AnswerWithin
	if text, given := policy[key].(string); given {
		d, _ = time.ParseDuration(text)
	}
	return key, d
}

// What a world has unless its file says otherwise, of what no clock of ours can
// hurry.
const (
	usualKeyWindow = 24 * time.Hour
	usualRetention = 720 * time.Hour
	usualHorizon   = 336 * time.Hour
)

// outlasts says why a file cannot be played on the real engine, when that is
// plain before it begins.
func outlasts(f *script.File) string {
	switch {
	case f.World.KeyWindow != usualKeyWindow:
		return "it waits for the gateway to forget a key"
	case f.World.Retention != usualRetention:
		return "it waits for the engine to forget an order"
	case f.World.Horizon != usualHorizon:
		return "it waits for records to be too old"
	}
	for _, s := range f.Steps {
		if _, forgets := s.Do.(script.Forget); forgets {
			return fmt.Sprintf("line %d: it waits for the engine to forget an order", s.Line)
		}
		if s.At != nil && *s.At > usualHorizon {
			return fmt.Sprintf("line %d: it waits for records to be too old", s.Line)
		}
	}
	return ""
}

// hurry shortens what the policy of a story lets pass before anything is judged,
// for on the real engine it is real time. What may happen between is not
// shortened, but for the windows that are named: it is told how many times longer
// they are in the story.
func hurry(policy map[string]any, f *script.File, short map[string]time.Duration) (hurried map[string]float64) {
	policy["inbox_after"] = "20s"
	if !editsFight(f) {
		policy["cool_down"] = "1s"
	}
	fields, _ := policy["fields"].(map[string]any)
	if fields == nil {
		fields = map[string]any{}
	}
	for _, field := range reconcile.Fields() {
		rule, _ := fields[string(field)].(map[string]any)
		if rule == nil {
			rule = map[string]any{}
		}
		rule["settling"] = "1s"
		rule["case_deadline"] = "8760h" // nobody announces a case here, and its timer would hide the next
		fields[string(field)] = rule
	}
	policy["fields"] = fields
	hurried = map[string]float64{}
	for timer, enough := range short {
		key, d := usual(timer, policy)
		policy[key] = enough.String()
		hurried[timer] = float64(d) / float64(enough)
	}
	return hurried
}

// editsFight says that somebody undoes again and again what is repaired, and so
// fast that it must be noticed.
func editsFight(f *script.File) bool {
	coolDown := reconcile.Default().CoolDown
	last := map[string]time.Duration{}
	var at time.Duration
	for _, s := range f.Steps {
		if s.At != nil {
			at = *s.At
		}
		edit, is := s.Do.(script.Edit)
		if !is {
			continue
		}
		what := fmt.Sprint(edit.System, edit.Order, edit.Customer, edit.SKU)
		before, again := last[what]
		if again && at-before < coolDown || edit.Times > 1 && edit.Every < coolDown {
			return true
		}
		last[what] = at + time.Duration(edit.Times-1)*edit.Every
	}
	return false
}
