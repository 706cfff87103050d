package reconcile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// PolicyProblem is one thing that is wrong with a policy file, and where.
type PolicyProblem struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// PolicyError lists everything that is wrong with a policy file.
type PolicyError struct {
	Problems []PolicyProblem
}

func (e *PolicyError) Error() string {
	var b strings.Builder
	b.WriteString("policy is not valid: ")
	for n, p := range e.Problems {
		if n > 0 {
			b.WriteString("; ")
		}
		b.WriteString("line " + strconv.Itoa(p.Line) + ": " + p.Reason)
	}
	return b.String()
}

// Limits on what a policy may say, so that a slip of the pen is found.
const (
	maxWindow = 5 * 365 * 24 * time.Hour
	maxLimit  = 1_000_000_000_000
	maxFile   = 1 << 20

	maxPayWindow  = 365 * 24 * time.Hour
	maxPayWindows = 100
)

// methodName says that a text names a kind of payment as gateways write it.
func methodName(s string) bool {
	strange := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	return s != "" && len(s) <= 40 && !strings.ContainsFunc(s, strange)
}

// Parse returns the built-in policy with a file's overrides:
//
//	mode: auto            # every kind to the highest mode that it allows
//	pay_window: 30m
//	pay_windows: {customer_balance: 672h}
//	fields:
//	  erp.invoices: {mode: auto, settling: 1m, notice_within: 15m, max_count: 50}
//
// The file is validated whole and every problem is named with its line. Who is
// right about a field, and the most that may be done about it, are decided by
// the business rules and cannot be overridden. An empty file is the built-in
// policy.
func Parse(data []byte) (Policy, error) {
	p := Default()
	if len(data) > maxFile {
		return Policy{}, &PolicyError{[]PolicyProblem{{1, fmt.Sprintf("the file has more than %d bytes", maxFile)}}}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return p, nil
	case err != nil:
		return Policy{}, &PolicyError{[]PolicyProblem{syntaxProblem(err)}}
	}
	r := &policyReader{policy: &p}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		r.add(&second, "the file has a second document or something unreadable after the first")
	}
	if len(document.Content) == 1 && document.Content[0].Tag != "!!null" {
		r.top(document.Content[0])
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b PolicyProblem) int { return a.Line - b.Line })
		return Policy{}, &PolicyError{r.problems}
	}
	return p, nil
}

// syntaxProblem finds the line in the library's message, "yaml: line 3: …".
func syntaxProblem(err error) PolicyProblem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, reason, found := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil && found {
			return PolicyProblem{line, reason}
		}
	}
	return PolicyProblem{1, text}
}

type policyReader struct {
	policy   *Policy
	problems []PolicyProblem
}

func (r *policyReader) add(at *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, PolicyProblem{max(1, at.Line), fmt.Sprintf(format, args...)})
}

// mapping calls set for each key of a mapping, and refuses anything else, keys
// that are not plain text, and keys given twice.
func (r *policyReader) mapping(n *yaml.Node, what string, set func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.add(n, "%s is not a mapping of names to values", what)
		return
	}
	var seen []string
	for k := 0; k+1 < len(n.Content); k += 2 {
		key, value := n.Content[k], n.Content[k+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Value == "<<":
			r.add(key, "%s has a key that is not a plain name", what)
		case slices.Contains(seen, key.Value):
			r.add(key, "%s is given twice", key.Value)
		case value.Kind == yaml.AliasNode || value.Anchor != "":
			r.add(value, "%s uses an alias or anchor, which a policy does not take", key.Value)
		default:
			set(key, value)
		}
		seen = append(seen, key.Value)
	}
}

func (r *policyReader) top(n *yaml.Node) {
	var fields *yaml.Node
	r.mapping(n, "the policy", func(key, value *yaml.Node) {
		switch key.Value {
		case "mode":
			if mode, ok := r.mode(key, value); ok {
				*r.policy = r.policy.WithMode(mode)
			}
		case "fields":
			fields = value
		case "pay_windows":
			r.payWindows(value)
		default:
			r.window(key, value)
		}
	})
	r.apart(n)
	// Fields come last wherever they stand, so that a field's own mode wins over
	// the one for all.
	if fields != nil && fields.Tag != "!!null" {
		r.mapping(fields, "fields", r.field)
	}
}

// apart wants a record without an order to become a case before it is too old for
// anything: otherwise nobody would ever be asked about one.
func (r *policyReader) apart(n *yaml.Node) {
	if n.Kind != yaml.MappingNode || r.policy.InboxAfter < r.policy.Horizon {
		return
	}
	for k := 0; k+1 < len(n.Content); k += 2 {
		if name := n.Content[k].Value; name == "inbox_after" || name == "horizon" {
			r.add(n.Content[k], "inbox_after (%s) is not less than horizon (%s): no record without an order would ever be asked about",
				formatDuration(r.policy.InboxAfter), formatDuration(r.policy.Horizon))
			return
		}
	}
}

func (r *policyReader) window(key, value *yaml.Node) {
	for _, w := range r.policy.windows() {
		if w.name == key.Value {
			r.duration(key, value, w.value, span{time.Second, maxWindow})
			return
		}
	}
	if key.Value == "quiet_after" { // files of earlier versions have it
		r.add(key, "quiet_after never had an effect and is no setting any more; how long a field is left alone before it is compared is its settling")
		return
	}
	names := []string{"mode", "fields", "pay_windows"}
	for _, w := range r.policy.windows() {
		names = append(names, w.name)
	}
	r.add(key, "%q is not a setting of a policy; want one of %s", key.Value, strings.Join(names, ", "))
}

// payWindows sets the windows of some kinds of payment; the built-in ones of the
// others stay.
func (r *policyReader) payWindows(n *yaml.Node) {
	if n.Tag == "!!null" {
		return
	}
	r.mapping(n, "pay_windows", func(key, value *yaml.Node) {
		w := MethodWindow{Method: key.Value}
		if !methodName(w.Method) {
			r.add(key, "pay_windows: %q is not a kind of payment as the gateway writes it; want 1 to 40 of a-z, 0-9 and _", key.Value)
			return
		}
		if r.duration(key, value, &w.Window, span{time.Minute, maxPayWindow}) {
			r.policy.withPayWindow(w)
		}
	})
	if len(r.policy.PayWindows) > maxPayWindows {
		r.add(n, "pay_windows: more than %d kinds of payment", maxPayWindows)
	}
}

func (r *policyReader) field(key, value *yaml.Node) {
	n := slices.IndexFunc(r.policy.Rules, func(rule Rule) bool { return string(rule.Field) == key.Value })
	if n < 0 {
		r.add(key, "%q is not a field; `trueup policy` prints them all", key.Value)
		return
	}
	rule := &r.policy.Rules[n]
	r.mapping(value, key.Value, func(key, value *yaml.Node) { r.setting(rule, key, value) })
	if rule.NoticeWithin < rule.Settling {
		r.add(key, "%s: notice_within (%s) is less than settling (%s)", rule.Field, formatDuration(rule.NoticeWithin), formatDuration(rule.Settling))
	}
}

func (r *policyReader) setting(rule *Rule, key, value *yaml.Node) {
	if rule.Field == InventoryLevel && value.Kind == yaml.ScalarNode {
		if why := levelRefuses(key.Value, value.Value); why != "" {
			r.add(value, "%s: %s", rule.Field, why)
			return
		}
	}
	if why := rule.Field.limitRefuses(key.Value, value.Value); why != "" && value.Kind == yaml.ScalarNode {
		r.add(value, "%s: %s", rule.Field, why)
		return
	}
	switch key.Value {
	case "mode":
		mode, ok := r.mode(key, value)
		if ok && mode.rank() > rule.Allows.rank() {
			r.add(value, "%s: mode is %s, but the field allows at most %s", rule.Field, mode, rule.Allows)
			return
		}
		if ok {
			rule.Mode = mode
		}
	case "strength":
		r.strength(rule, value)
	case "tolerance":
		r.number(key, value, &rule.Tolerance)
	case "max_money":
		r.number(key, value, &rule.MaxMoney)
	case "max_count":
		count := int64(rule.MaxCount)
		r.number(key, value, &count)
		rule.MaxCount = int(count)
	case "settling":
		r.duration(key, value, &rule.Settling, span{0, maxWindow})
	case "notice_within":
		r.duration(key, value, &rule.NoticeWithin, span{time.Second, maxWindow})
	case "case_deadline":
		r.duration(key, value, &rule.CaseDeadline, span{time.Minute, maxWindow})
	case "authority", "followers", "allows":
		r.add(key, "%s: %s is decided by the business rules and cannot be overridden", rule.Field, key.Value)
	default:
		r.add(key, "%s: %q is not a setting of a field; want mode, strength, tolerance, settling, notice_within, max_count, max_money or case_deadline", rule.Field, key.Value)
	}
}

// strength sets how far a field is pressed, unless that would do nothing there or
// something else than it says. The built-in one is taken everywhere, for it is
// what `trueup policy print --yaml` writes.
func (r *policyReader) strength(rule *Rule, value *yaml.Node) {
	given, possible := Strength(value.Value), rule.Field.strengths()
	switch {
	case value.Kind == yaml.ScalarNode && (slices.Contains(possible, given) || given == rule.Strength):
		rule.Strength = given
	case len(possible) == 0:
		r.add(value, "%s: strength is %q, but no strength has an effect on this field: the business rules decide what becomes of it; leave it out, and choose by mode how much is done", rule.Field, value.Value)
	case slices.Contains([]Strength{FillEmpty, AdoptTheirs}, given):
		r.add(value, "%s: strength is %q, which would ask a person there as %s does; want %s", rule.Field, value.Value, EnforceOurs, choices(possible))
	default:
		r.add(value, "%s: strength is %q; want %s", rule.Field, value.Value, choices(possible))
	}
}

func (r *policyReader) mode(key, value *yaml.Node) (Mode, bool) {
	mode := Mode(value.Value)
	switch mode {
	case ModeAuto, ModeAsk, ModeReport, ModeIgnore:
		return mode, true
	}
	r.add(value, "%s is %q; want auto, ask, report or ignore", key.Value, value.Value)
	return "", false
}

func (r *policyReader) duration(key, value *yaml.Node, d *time.Duration, allowed span) bool {
	parsed, err := time.ParseDuration(value.Value)
	switch {
	case value.Kind != yaml.ScalarNode || err != nil:
		r.add(value, "%s is %q; want a duration as 30s, 15m or 24h", key.Value, value.Value)
	case parsed < allowed.least || parsed > allowed.most:
		r.add(value, "%s is %s; want %s to %s", key.Value, value.Value, formatDuration(allowed.least), formatDuration(allowed.most))
	default:
		*d = parsed
		return true
	}
	return false
}

// span is what a duration may be.
type span struct{ least, most time.Duration }

func (r *policyReader) number(key, value *yaml.Node, n *int64) {
	parsed, err := strconv.ParseInt(value.Value, 10, 64)
	switch {
	case value.Kind != yaml.ScalarNode || err != nil:
		r.add(value, "%s is %q; want a whole number", key.Value, value.Value)
	case parsed < 0 || parsed > maxLimit:
		r.add(value, "%s is %s; want 0 to %d", key.Value, value.Value, int64(maxLimit))
	default:
		*n = parsed
	}
}
