package reconcile

import (
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// windows returns the policy's windows with their names in the policy file.
func (p *Policy) windows() []window {
	return []window{
		{"pay_window", &p.PayWindow, "how long an unpaid order may wait"},
		{"return_window", &p.ReturnWindow, "how long a delivered order stays open"},
		{"horizon", &p.Horizon, "older records and events never start anything"},
		{"mail_within", &p.MailWithin, "a mail is never sent later than this after its event"},
		{"answer_within", &p.AnswerWithin, "how long a customer has to answer a question"},
		{"inbox_after", &p.InboxAfter, "a record without an order becomes a case after this"},
		{"cool_down", &p.CoolDown, "undone within this, two writers are fighting"},
	}
}

type window struct {
	name  string
	value *time.Duration
	help  string
}

// YAML returns the whole policy in the form of a policy file, which Parse reads
// back to an equal policy.
func (p Policy) YAML() []byte {
	var b strings.Builder
	for _, w := range p.windows() {
		b.WriteString(pad(w.name+": "+formatDuration(*w.value), 24) + "# " + w.help + "\n")
	}
	b.WriteString("pay_windows:            # " + payWindowsHelp + "\n")
	for _, w := range p.PayWindows {
		b.WriteString("  " + w.Method + ": " + formatDuration(w.Window) + "\n")
	}
	b.WriteString("fields:                 # max_count, max_money: " + limitHelp + "\n")
	for _, r := range p.Rules {
		b.WriteString("  # " + r.Authority + " is right")
		if len(r.Followers) > 0 {
			b.WriteString("; " + joinSystems(r.Followers) + " follow")
		}
		b.WriteString("; allows " + string(r.Allows) + "\n")
		b.WriteString("  " + string(r.Field) + ": {mode: " + string(r.Mode) + ", strength: " + string(r.Strength) +
			", tolerance: " + strconv.FormatInt(r.Tolerance, 10) + ", settling: " + formatDuration(r.Settling) +
			", notice_within: " + formatDuration(r.NoticeWithin) + ", max_count: " + strconv.Itoa(r.MaxCount) +
			", max_money: " + strconv.FormatInt(r.MaxMoney, 10) + ", case_deadline: " + formatDuration(r.CaseDeadline) + "}\n")
	}
	return []byte(b.String())
}

// Table returns the policy as a plain-text table for a person.
func (p Policy) Table() string {
	rows := [][]string{{"FIELD", "RIGHT", "FOLLOWERS", "STRENGTH", "MODE", "ALLOWS", "SETTLES", "NOTICE", "TOL", "MAX", "MAX MONEY", "CASE"}}
	for _, r := range p.Rules {
		rows = append(rows, []string{
			string(r.Field), r.Authority, joinSystems(r.Followers), r.pressed(), string(r.Mode), string(r.Allows),
			formatDuration(r.Settling), formatDuration(r.NoticeWithin), strconv.FormatInt(r.Tolerance, 10),
			limitText(int64(r.MaxCount)), limitText(r.MaxMoney), formatDuration(r.CaseDeadline),
		})
	}
	var b strings.Builder
	b.WriteString("policy " + p.Version() + ", rules " + strconv.Itoa(RulesVersion) + "\n\n")
	b.WriteString(columns(rows))
	b.WriteString("\nSTRENGTH: " + strengthHelp + "\nMAX, MAX MONEY: " + limitHelp + "\n\n")
	for _, w := range p.windows() {
		b.WriteString(pad(w.name, 15) + pad(formatDuration(*w.value), 9) + w.help + "\n")
	}
	b.WriteString("\npay_windows: " + payWindowsHelp + "\n")
	for _, w := range p.PayWindows {
		b.WriteString("  " + pad(w.Method, 20) + formatDuration(w.Window) + "\n")
	}
	return b.String()
}

const payWindowsHelp = "the kinds of payment for which an unpaid order may wait another time than pay_window"

const limitHelp = "the most that one run repairs of a field; 0 is no limit of its own (the table prints -): to forbid, choose mode: report or ask"

// limitText writes a limit; 0 is none.
func limitText(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func joinSystems(systems []order.System) string {
	if len(systems) == 0 {
		return "-"
	}
	names := make([]string, 0, len(systems))
	for _, s := range systems {
		names = append(names, string(s))
	}
	return strings.Join(names, ",")
}

// formatDuration writes a duration as a person would: "30s", "24h", "1h30m".
// time.ParseDuration reads it back.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
