package reconciliation

import (
	"fmt"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
)

// What reconciliation says of itself, alike in the engine's UI and in a terminal.

// Left says what of the hour's budget is used, and what is left.
func (s Status) Left(now time.Time) string {
	if s.Budget == (reconcile.Budget{}) {
		return "nothing: no repair is granted"
	}
	total := reconcile.Total(reconcile.Within(s.Spent, now))
	text := fmt.Sprintf("%d of %d repairs", total.Count, s.Budget.Count)
	for _, m := range total.Money {
		text += ", " + Amounts([]reconcile.Sum{m}) + " of " + Amounts([]reconcile.Sum{{Currency: m.Currency, Minor: s.Budget.Money}})
	}
	text += fmt.Sprintf(" used within the hour; %d left", max(0, s.Budget.Count-total.Count))
	for _, m := range total.Money {
		text += ", " + Amounts([]reconcile.Sum{{Currency: m.Currency, Minor: max(0, s.Budget.Money-m.Minor)}})
	}
	return text
}

// Progress says how far runs have come that work off more than one takes, and what
// keeps the last one from coming further; nothing when they are not behind.
func (s Status) Progress(now time.Time) []string {
	var lines []string
	if !s.Backlog.IsZero() {
		lines = append(lines, fmt.Sprintf("since %s, worked off through %s, %s behind; the next run goes on there", s.Backlog.Format(time.RFC3339),
			s.VerifiedThrough.Format(time.RFC3339), now.Sub(s.VerifiedThrough).Round(time.Second)))
	}
	if last := s.last(); last.Truncated {
		for _, line := range last.Lines {
			if why, missed := strings.CutPrefix(line, notCompared); missed {
				lines = append(lines, "the last run: "+why)
			}
		}
	}
	return lines
}

// Line says what the switch stops, since when, by whom and why.
func (s Stop) Line() string {
	kind, err := s.Stops()
	what := kind.String()
	if err != nil {
		what = s.Kind
	}
	return fmt.Sprintf("%s, since %s by %s: %s", what, s.At.Format(time.RFC3339), s.By, s.Reason)
}

// Lines tell the incident: what, since when, why, and what may be decided.
func (g Group) Lines(now time.Time) []string {
	lines := []string{g.Headline(), g.Why, fmt.Sprintf("since %s; for example %s", g.Since.Format(time.RFC3339), strings.Join(g.Sample, ", "))}
	switch g.State {
	case GroupOpen:
		deadline := fmt.Sprintf("decide until %s (then: %s)", g.Deadline.Format(time.RFC3339), g.AtDeadline)
		if now.After(g.Deadline) {
			deadline = fmt.Sprintf("OVERDUE since %s: %s", g.Deadline.Format(time.RFC3339), g.AtDeadline)
		}
		lines = append(lines, "proposal: "+g.Proposal)
		for _, a := range g.Alternatives {
			lines = append(lines, "or "+a)
		}
		lines = append(lines, deadline)
	case GroupTrying:
		lines = append(lines, fmt.Sprintf("repair, as %s decided: %s; at most %d in a run until they are verified", g.By, g.Reason, g.Few))
	case GroupLeft:
		lines = append(lines, fmt.Sprintf("left, as %s decided: %s; until trueup switch on %s", g.By, g.Reason, g.Kind))
	case GroupClosed:
		lines = append(lines, fmt.Sprintf("closed %s: %s", g.Closed.Format(time.RFC3339), g.Outcome))
	}
	return lines
}

// Markdown is the status for the engine's UI.
func (s Status) Markdown(now time.Time) string {
	text := fmt.Sprintf("**Verified through %s.**", s.VerifiedThrough.Format(time.RFC3339))
	if n := len(s.Reports); n > 0 {
		r := s.Reports[n-1]
		text += fmt.Sprintf(" Last run looked at %d orders, found %d breaks, repaired %d, opened %d cases, left %d.", r.Looked, r.Found, r.Repaired, r.Cases, r.Left)
	}
	for _, line := range s.Progress(now) {
		text += "\n\n**Backlog:** " + line + "."
	}
	if s.Unfollowed != "" {
		text += "\n\n**Change feeds are not followed:** " + s.Unfollowed + "; it is tried again."
	}
	text += "\n\nBudget: " + s.Left(now) + ".\n"
	lines := s.LevelLines(now)
	for _, line := range lines[:min(len(lines), mostLevelLines)] {
		text += "\n- **Differs:** " + line
	}
	if more := len(lines) - mostLevelLines; more > 0 {
		text += fmt.Sprintf("\n- and %d more levels", more)
	}
	for _, stop := range s.Stops {
		text += "\n- **Off:** " + stop.Line()
	}
	for _, g := range s.Groups {
		if !g.Over() {
			text += "\n- **" + g.Headline() + ".** " + strings.Join(g.Lines(now)[1:], "; ")
		}
	}
	return text
}
