package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// tableWidth is what every line of Table keeps to.
const tableWidth = 120

// summary answers in one line: the outcome, who disagrees since when, and what
// happens next.
func (x *judging) summary(v Verdict) string {
	head := v.Outcome.words()
	if v.Outcome == InProgress {
		head += x.underway()
	}
	switch v.Agreement {
	case NeedsPerson:
		k := v.Cases[0]
		text := head + "; case " + strconv.Itoa(k.N) + " needs a person: " + k.Step.Why
		if len(v.Cases) > 1 {
			text += " (and " + strconv.Itoa(len(v.Cases)-1) + " more)"
		}
		return text
	case Disagreeing:
		b := oldestBreak(v.Breaks)
		text := head + "; " + systemName(b.System) + " disagrees since " + age(x.now.Sub(b.FirstSeen)) + " (" + b.words() + ")"
		if len(v.Breaks) > 1 {
			text += " and " + strconv.Itoa(len(v.Breaks)-1) + " more"
		}
		if next := x.next(b); next != "" {
			text += ": " + next
		}
		return text
	case AgreeUnknown:
		var parts []string
		for _, s := range order.Systems() {
			if x.unreadable(s) {
				parts = append(parts, systemName(s)+" "+x.lastReadText(s))
			}
		}
		return head + "; cannot read " + strings.Join(parts, ", ")
	case AgreeSettle:
		return head + "; the systems are settling"
	case Agreed:
		return head + "; all systems agree"
	}
	return head
}

// underway says in words what goes back or is being changed, or nothing.
func (x *judging) underway() string {
	o, _ := x.observation(order.SystemPayment)
	pending := refundsIn(x.intent, of(o.Payment).Attempts, RefundPending)
	switch {
	case pending > 0:
		return ", a refund of " + x.money(pending) + " is under way"
	case x.intent.Underway:
		return ", a change or a refund is under way"
	}
	return ""
}

// Asking returns the verdict with what the customer is asked and until when, in
// one line. The summary says that instead of what else is under way.
func (v Verdict) Asking(question string) Verdict {
	if question == "" {
		return v
	}
	v.Question = question
	_, rest, more := strings.Cut(v.Summary, "; ")
	v.Summary = v.Outcome.words() + ", " + v.asked()
	if more {
		v.Summary += "; " + rest
	}
	return v
}

// asked says what the customer is asked, or nothing.
func (v Verdict) asked() string {
	if v.Question == "" {
		return ""
	}
	return "the customer is asked: " + v.Question
}

func (x *judging) lastReadText(s order.System) string {
	o, found := x.observation(s)
	if !found || o.LastRead.IsZero() {
		return "(never read)"
	}
	return "(last read " + age(x.now.Sub(o.LastRead)) + " ago)"
}

// oldestBreak returns the one seen first; of several, the one to be repaired
// first.
func oldestBreak(breaks []Break) Break {
	return slices.MinFunc(breaks, func(a, b Break) int {
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), compareBreaks(a, b))
	})
}

// words says what is wrong, as "sale missing".
func (b Break) words() string { return b.Field.fact() + " " + string(b.Situation) }

func systemName(s order.System) string {
	if s == order.SystemERP || s == order.SystemCRM {
		return strings.ToUpper(string(s))
	}
	return string(s)
}

// Table returns the verdict as a plain-text table of at most 120 columns: every
// question, what each system answers and how old that is, who is right, since
// when they disagree, and what happens next.
func (v Verdict) Table() string {
	var b strings.Builder
	line := func(s string) { b.WriteString(strings.TrimRight(cut(s, tableWidth), " ") + "\n") }
	line("order " + string(v.Order) + ": " + string(v.Outcome) + ", " + string(v.Agreement))
	wrap(line, "  ", v.Summary)
	if !strings.Contains(v.Summary, v.asked()) {
		wrap(line, "  ", v.asked())
	}
	line("  as of " + v.At.UTC().Format(time.RFC3339) + ", " + freshText(v.Fresh) + ", phase " + string(v.Phase) +
		", policy " + v.Policy + ", rules " + strconv.Itoa(v.Rules))
	line("")
	line(pad("QUESTION", 20) + pad("EXPECTED", 24) + pad("SYSTEM", 11) + pad("SAYS", 34) + pad("AGE", 8) + pad("RIGHT", 11) + "STATE")
	for _, r := range v.Rows {
		v.tableRow(line, r)
	}
	for _, k := range v.Cases {
		line("")
		wrap(line, "  ", "case "+strconv.Itoa(k.N)+" ("+k.Step.Break.ID()+"): "+k.Step.Why)
		wrap(line, "    ", "proposal: "+k.Step.Proposal+"; or: "+strings.Join(k.Step.Alternatives, "; "))
		wrap(line, "    ", remaining(k.Deadline.Sub(v.At))+"; then: "+k.AtDeadline)
	}
	v.clocks(line)
	for _, r := range v.Read {
		if r.State == Unreadable {
			wrap(line, "  ", string(r.System)+" cannot be read: "+r.Why)
		}
	}
	return b.String()
}

func (v Verdict) tableRow(line func(string), r Row) {
	field, expected, right, state := r.Field, r.Expected, r.Right, r.State
	for _, c := range r.Cells {
		mark := ""
		if !c.Agrees && c.Value != unknown {
			mark = "≠ "
			if r.State == "unreadable" {
				mark = "~ " // the last known value
			}
		}
		seen := age(c.Age)
		if c.Value == unknown {
			seen = nothing
		}
		line(pad(cut(field, 19), 20) + pad(cut(expected, 23), 24) + pad(string(c.System), 11) + pad(cut(mark+c.Value, 33), 34) +
			pad(seen, 8) + pad(cut(right, 10), 11) + state)
		field, expected, right, state = "", "", "", ""
	}
	if !r.Since.IsZero() {
		wrap(line, "    ", "since "+r.Since.UTC().Format(time.RFC3339)+" ("+age(v.At.Sub(r.Since))+"): "+r.Next)
	} else if r.Next != "" {
		wrap(line, "    ", r.Next)
	}
}

func freshText(fresh bool) string {
	if fresh {
		return "read just now"
	}
	return "from memory"
}

// wrap writes a text in lines that fit the table.
func wrap(line func(string), indent, text string) {
	current := indent
	for _, word := range strings.Fields(text) {
		if len([]rune(current))+1+len([]rune(word)) > tableWidth && strings.TrimSpace(current) != "" {
			line(current)
			current = indent + "  "
		}
		if strings.TrimSpace(current) != "" {
			current += " "
		}
		current += word
	}
	if strings.TrimSpace(current) != "" {
		line(current)
	}
}

// maxMarkdown bounds what goes into an order's current details.
const maxMarkdown = 2000

// Markdown returns the verdict for the engine's user interface: did it succeed,
// who disagrees, what next. At most 2,000 characters.
func (v Verdict) Markdown() string {
	var b strings.Builder
	b.WriteString("**" + string(v.Outcome) + "** · " + string(v.Agreement) + "\n\n" + cut(v.Summary, 300) + "\n")
	if !strings.Contains(cut(v.Summary, 300), v.asked()) {
		b.WriteString("\n" + cut(v.asked(), 300) + "\n")
	}
	for _, r := range v.Rows {
		if r.State != "disagrees" && r.State != "unreadable" {
			continue
		}
		line := "\n- " + r.Field + ": expected " + r.Expected
		for _, c := range r.Cells {
			line += ", " + string(c.System) + " says " + c.Value
			if c.Value != unknown {
				line += " (" + age(c.Age) + " ago)"
			}
		}
		line += "; " + r.Right + " is right"
		if r.Next != "" {
			line += "; next: " + r.Next
		}
		if !v.room(&b, cut(line, 300)) {
			return b.String()
		}
	}
	for _, k := range v.Cases {
		line := "\n- case " + strconv.Itoa(k.N) + ": " + k.Step.Why + "; proposal: " + k.Step.Proposal + "; decide until " +
			k.Deadline.UTC().Format(time.RFC3339)
		if !v.room(&b, cut(line, 300)) {
			return b.String()
		}
	}
	return b.String()
}

// room writes a line while there is room for it and for saying that there was
// not.
func (v Verdict) room(b *strings.Builder, line string) bool {
	const more = "\n- and more: ask for the whole verdict"
	if b.Len()+len(line)+len(more) > maxMarkdown {
		b.WriteString(more)
		return false
	}
	b.WriteString(line)
	return true
}
