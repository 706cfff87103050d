package reconcile

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// duration is a time.Duration that travels as "30m".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(formatDuration(time.Duration(d))), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	*d = duration(parsed)
	return nil
}

// ruleJSON and policyJSON are Rule and Policy as they travel.
type ruleJSON struct {
	Field        Field          `json:"field"`
	Authority    string         `json:"authority"`
	Followers    []order.System `json:"followers,omitempty"`
	Strength     Strength       `json:"strength"`
	Tolerance    int64          `json:"tolerance,omitempty"`
	Settling     duration       `json:"settling"`
	NoticeWithin duration       `json:"notice_within"`
	Mode         Mode           `json:"mode"`
	Allows       Mode           `json:"allows"`
	MaxCount     int            `json:"max_count,omitempty"`
	MaxMoney     int64          `json:"max_money,omitempty"`
	CaseDeadline duration       `json:"case_deadline"`
}

type policyJSON struct {
	Rules        []Rule         `json:"rules"`
	PayWindow    duration       `json:"pay_window"`
	PayWindows   []MethodWindow `json:"pay_windows,omitempty"`
	ReturnWindow duration       `json:"return_window"`
	Horizon      duration       `json:"horizon"`
	MailWithin   duration       `json:"mail_within"`
	AnswerWithin duration       `json:"answer_within"`
	InboxAfter   duration       `json:"inbox_after"`
	CoolDown     duration       `json:"cool_down"`
}

// methodWindowJSON is MethodWindow as it travels.
type methodWindowJSON struct {
	Method string   `json:"method"`
	Window duration `json:"window"`
}

// MarshalJSON writes the window as text.
func (w MethodWindow) MarshalJSON() ([]byte, error) {
	return json.Marshal(methodWindowJSON{w.Method, duration(w.Window)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (w *MethodWindow) UnmarshalJSON(data []byte) error {
	var in methodWindowJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("read pay window: %w", err)
	}
	*w = MethodWindow{in.Method, time.Duration(in.Window)}
	return nil
}

// MarshalJSON writes the rule with durations as text.
func (r Rule) MarshalJSON() ([]byte, error) {
	return json.Marshal(ruleJSON{
		r.Field, r.Authority, r.Followers, r.Strength, r.Tolerance, duration(r.Settling), duration(r.NoticeWithin),
		r.Mode, r.Allows, r.MaxCount, r.MaxMoney, duration(r.CaseDeadline),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Rule) UnmarshalJSON(data []byte) error {
	var w ruleJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read rule: %w", err)
	}
	*r = Rule{
		w.Field, w.Authority, w.Followers, w.Strength, w.Tolerance, time.Duration(w.Settling), time.Duration(w.NoticeWithin),
		w.Mode, w.Allows, w.MaxCount, w.MaxMoney, time.Duration(w.CaseDeadline),
	}
	return nil
}

// MarshalJSON writes the policy with durations as text.
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(policyJSON{
		p.Rules, duration(p.PayWindow), p.PayWindows, duration(p.ReturnWindow), duration(p.Horizon),
		duration(p.MailWithin), duration(p.AnswerWithin), duration(p.InboxAfter), duration(p.CoolDown),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Policy) UnmarshalJSON(data []byte) error {
	var w policyJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	*p = Policy{
		w.Rules, time.Duration(w.PayWindow), w.PayWindows, time.Duration(w.ReturnWindow), time.Duration(w.Horizon),
		time.Duration(w.MailWithin), time.Duration(w.AnswerWithin), time.Duration(w.InboxAfter), time.Duration(w.CoolDown),
	}
	return nil
}
