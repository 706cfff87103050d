package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// storyText tells the whole story of an order to whoever asks why it stands as it
// does: what is so now, what happened, each operation under its key, and each
// case with who decided it.
func storyText(e workflows.Explanation) string {
	var b strings.Builder
	v := e.Verdict
	fmt.Fprintf(&b, "order %s: %s, %s\n  %s\n", v.Order, v.Outcome, v.Agreement, v.Summary)
	fmt.Fprintf(&b, "  placed %s through %s, %s; phase %s, run %d, policy %s, rules %d\n",
		e.PlacedAt.UTC().Format(time.RFC3339), e.Channel, e.Total, v.Phase, e.Runs, v.Policy, v.Rules)
	if e.Adopted {
		b.WriteString("  it is older than the engine's memory: what happened before was looked up in the systems\n")
	}
	b.WriteString("\nwhat happened\n")
	rows := [][]string{}
	for _, t := range e.Story {
		rows = append(rows, []string{"  " + t.At.UTC().Format(time.DateTime), "+" + ago(e.PlacedAt, t.At), string(t.Kind), t.What})
	}
	b.WriteString(columns(rows))
	if e.Shortened {
		b.WriteString("  there was more: an order carries the latest of each kind, and the engine's history the rest while it is kept\n")
	}
	b.WriteString("\noperations\n" + operationsText(e))
	if len(e.Tries) > 0 {
		b.WriteString("\nwhat took several attempts, by the engine's history\n")
		rows := [][]string{{"  ACTIVITY", "ATTEMPTS", "LAST FAILURE"}}
		for _, t := range e.Tries {
			rows = append(rows, []string{"  " + t.Activity, fmt.Sprint(t.Attempts), dash(t.Last)})
		}
		b.WriteString(columns(rows))
	}
	if len(v.Breaks)+len(v.Mended) > 0 {
		b.WriteString("\nbreaks\n")
	}
	for _, one := range v.Mended {
		fmt.Fprintf(&b, "  over: %s: %s\n", one.ID(), one.Clock())
	}
	for _, one := range v.Breaks {
		fmt.Fprintf(&b, "  open: %s: expected %s, %s says %s, %s is right: %s\n", one.ID(), dash(one.Expected), one.System, dash(one.Observed), one.Right, one.Clock())
	}
	b.WriteString(decisionsText(e.Cases, v.At))
	return b.String()
}

// operationsText lists every intent with its key: the evidence of what was done,
// and what it may be asked for in the system.
func operationsText(e workflows.Explanation) string {
	rows := [][]string{{"  KEY", "SYSTEM", "STATUS", "FIRST TRIED", "TOOK", "TRIES", "REPAIRED", "RECORD", "WHY"}}
	for _, op := range e.Operations {
		took := "-"
		if !op.Ended.IsZero() && op.Status != workflows.Open {
			took = ago(op.First, op.Ended)
		}
		status := string(op.Status)
		if op.Doubt {
			status += ", in doubt"
		}
		rows = append(rows, []string{
			"  " + op.Key, string(op.System), status, op.First.UTC().Format(time.DateTime), took,
			fmt.Sprint(max(1, op.Tries)), dashed(op.Repairs), dash(op.Record), dash(strings.TrimSpace(op.Code + " " + op.Why)),
		})
	}
	return columns(rows)
}

func dashed(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// decisionsText tells each case: the evidence, and who decided what, and why.
func decisionsText(cases []reconcile.Case, now time.Time) string {
	var b strings.Builder
	if len(cases) > 0 {
		b.WriteString("\ncases\n")
	}
	for _, k := range cases {
		s := k.Step
		fmt.Fprintf(&b, "  case %d (%s), opened %s: %s\n", k.N, s.Break.ID(), k.Opened.UTC().Format(time.RFC3339), s.Why)
		fmt.Fprintf(&b, "      expected %s, %s said %s, base %s, %s is right\n", dash(s.Break.Expected), s.Break.System, dash(s.Break.Observed), dash(s.Break.Base), dash(s.Break.Right))
		if !k.Open() {
			fmt.Fprintf(&b, "      closed %s: %s\n", k.Closed.UTC().Format(time.RFC3339), k.Outcome)
			continue
		}
		fmt.Fprintf(&b, "      waits for a person since %s; proposal: %s\n", ago(k.Opened, now), dash(s.Proposal))
	}
	return b.String()
}
