package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/trueup-orders/trueup/order"
)

// reader reads one document, and notes what is wrong with it.
type reader struct {
	file     *File
	problems []Problem
	nodes    int // how many were followed
	names    names

	step   Step   // the one that is read
	more   []Step // what it also does
	beside []pair // the from and type that stand beside its name
	exact  bool   // a range is refused, for nobody can set a record to one
	began  int    // how many problems there were before what is read
}

// maxProblems is how many are told; who has more reads these first.
const maxProblems = 50

func (r *reader) add(at *yaml.Node, format string, args ...any) {
	p := Problem{max(1, at.Line), fmt.Sprintf(format, args...)}
	if len(r.problems) < maxProblems && !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// follow returns what an alias stands for. Each node counts each time it is
// reached, so that aliases of aliases do not make a small file a large one.
func (r *reader) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && r.spend(n) {
		n = n.Alias
	}
	if n.Kind == yaml.AliasNode || !r.spend(n) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line}
	}
	return n
}

func (r *reader) spend(at *yaml.Node) bool {
	if r.nodes++; r.nodes == maxNodes+1 {
		r.add(at, "the file has more than %d values, aliases written out; a story is shorter", maxNodes)
	}
	return r.nodes <= maxNodes
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// shown is how a value is quoted in a problem.
func shown(n *yaml.Node) string {
	empty := ""
	if len(n.Content) == 0 {
		empty = "n empty"
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "a" + empty + " mapping"
	case yaml.SequenceNode:
		return "a" + empty + " list"
	default:
		if isNull(n) {
			return "empty"
		}
		return short(n.Value)
	}
}

func short(s string) string {
	if runes := []rune(s); len(runes) > 60 {
		s = string(runes[:60]) + "…"
	}
	return strconv.Quote(s)
}

// pair is one key of a mapping and its value.
type pair struct {
	key, value *yaml.Node
}

// pairs returns the keys and values of a mapping, with those that it merges in,
// and refuses anything else, keys that are no plain text and keys given twice.
func (r *reader) pairs(n *yaml.Node, what string) ([]pair, bool) {
	n = r.follow(n)
	if n.Kind != yaml.MappingNode {
		r.add(n, "%s is %s; want a mapping of names to values", what, shown(n))
		return nil, false
	}
	var own, merged []pair
	has := func(all []pair, name string) bool {
		return slices.ContainsFunc(all, func(p pair) bool { return p.key.Value == name })
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := r.follow(n.Content[i]), n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || isNull(key):
			r.add(n.Content[i], "%s has a key that is no plain name", what)
		case key.Tag == "!!merge":
			merged = append(merged, r.merged(value, what)...)
		case has(own, key.Value):
			r.add(n.Content[i], "%s has %s twice; keep one", what, key.Value)
		default:
			own = append(own, pair{key, value})
		}
	}
	for _, p := range merged {
		if !has(own, p.key.Value) {
			own = append(own, p)
		}
	}
	return own, true
}

// merged returns what `<<: *name` or `<<: [*one, *other]` brings.
func (r *reader) merged(value *yaml.Node, what string) []pair {
	from := []*yaml.Node{value}
	if list := r.follow(value); list.Kind == yaml.SequenceNode {
		from = list.Content
	}
	var all []pair
	for _, one := range from {
		if r.nodes > maxNodes { // a mapping that merges itself ends here
			return nil
		}
		some, _ := r.pairs(one, what)
		all = append(all, some...)
	}
	return all
}

// field is a key that a mapping may have, and how its value is read.
type field struct {
	name string
	read func(*yaml.Node)
}

// mapping reads the keys that it knows and refuses the others.
func (r *reader) mapping(n *yaml.Node, what string, fields ...field) bool {
	all, ok := r.pairs(n, what)
	for _, p := range all {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == p.key.Value })
		if i < 0 {
			known := make([]string, len(fields))
			for k, f := range fields {
				known[k] = f.name
			}
			r.add(p.key, "%s is no key of %s; %s", short(p.key.Value), what, choose(p.key.Value, known))
			ok = false
			continue
		}
		fields[i].read(p.value)
	}
	return ok
}

// need refuses a mapping without a key, unless what it has is wrong already.
func (r *reader) need(n *yaml.Node, what string, there bool, key, as string) bool {
	if !there && r.sound() {
		r.add(n, "%s has no %s; want it as `%s`", what, key, as)
	}
	return there
}

// sound says that nothing was wrong yet with what is being read.
func (r *reader) sound() bool { return len(r.problems) == r.began }

// text reads a text that is not empty.
func (r *reader) text(n *yaml.Node, what string) string {
	v := r.follow(n)
	if v.Kind != yaml.ScalarNode || isNull(v) || strings.TrimSpace(v.Value) == "" {
		r.add(n, "%s is %s; want a text", what, shown(v))
		return ""
	}
	return v.Value
}

// name reads what can name an order, a customer or a SKU.
func (r *reader) name(n *yaml.Node, what string) string {
	s := r.text(n, what)
	if s == "" {
		return ""
	}
	if _, err := order.ParseID(s); err != nil {
		r.add(n, "%s %s", what, err)
		return ""
	}
	return s
}

// word reads one of some words.
func (r *reader) word(n *yaml.Node, what string, of []string) string {
	v := r.follow(n)
	if v.Kind == yaml.ScalarNode && slices.Contains(of, v.Value) {
		return v.Value
	}
	r.add(n, "%s is %s; %s", what, shown(v), choose(v.Value, of))
	return ""
}

// words reads one of some words, or a list of them.
func (r *reader) words(n *yaml.Node, what string, of []string) []string {
	v := r.follow(n)
	if v.Kind != yaml.SequenceNode {
		if s := r.word(n, what, of); s != "" {
			return []string{s}
		}
		return nil
	}
	if len(v.Content) == 0 {
		r.add(n, "%s is an empty list; leave it out, or name one", what)
	}
	var all []string
	for _, one := range v.Content {
		if s := r.word(one, what, of); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// span is what a whole number may be.
type span struct{ least, most int64 }

// The spans.
var (
	ofMoney   = span{0, order.MaxMoney}
	ofBooks   = span{-order.MaxMoney, order.MaxMoney} // a customer may have money with us
	ofPieces  = span{0, order.MaxQuantity}
	ofRecords = span{0, 1_000_000}
	fromOne   = span{1, 10_000}
)

// number reads a whole number.
func (r *reader) number(n *yaml.Node, what string, in span) (int64, bool) {
	v := r.follow(n)
	if v.Kind == yaml.ScalarNode && v.Tag == "!!float" {
		r.add(n, "%s is %s; want a whole number: money is in minor units, 99.80 EUR is 9980", what, v.Value)
		return 0, false
	}
	parsed, err := strconv.ParseInt(v.Value, 10, 64)
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag == "!!str" && err == nil:
		r.add(n, "%s is the text %s; write the number without quotes", what, shown(v))
	case v.Kind != yaml.ScalarNode || v.Tag != "!!int" || err != nil:
		r.add(n, "%s is %s; want a whole number", what, shown(v))
	case parsed < in.least || parsed > in.most:
		r.add(n, "%s is %d; want %d to %d", what, parsed, in.least, in.most)
	default:
		return parsed, true
	}
	return 0, false
}

// count is number for an int.
func (r *reader) count(n *yaml.Node, what string, in span, into *int) {
	if v, ok := r.number(n, what, in); ok {
		*into = int(v)
	}
}

func (r *reader) truth(n *yaml.Node, what string, into *bool) {
	v := r.follow(n)
	if v.Kind != yaml.ScalarNode || v.Tag != "!!bool" || v.Value != "true" && v.Value != "false" {
		r.add(n, "%s is %s; want true or false", what, shown(v))
		return
	}
	*into = v.Value == "true"
}

// lasting is what a duration may be.
type lasting struct{ least, most time.Duration }

const longest = 5 * 365 * 24 * time.Hour

var (
	forAnyTime  = lasting{0, longest}
	forSomeTime = lasting{time.Second, longest}
	eitherWay   = lasting{-longest, longest}
)

// duration reads a duration, as 15s, 130m or 48h.
func (r *reader) duration(n *yaml.Node, what string, d *time.Duration, in lasting) bool {
	v := r.follow(n)
	parsed, err := time.ParseDuration(v.Value)
	if number, days := strings.CutSuffix(v.Value, "d"); days && err != nil {
		if count, bad := strconv.Atoi(number); bad == nil && count < 10_000 {
			r.add(n, "%s is %s; days are written in hours: %dh", what, shown(v), 24*count)
			return false
		}
	}
	switch {
	case v.Kind != yaml.ScalarNode || err != nil || v.Value == "":
		r.add(n, "%s is %s; want a duration as 15s, 130m or 48h", what, shown(v))
	case parsed < in.least || parsed > in.most:
		r.add(n, "%s is %s; want %s to %s", what, v.Value, brief(in.least), brief(in.most))
	default:
		*d = parsed
		return true
	}
	return false
}

// brief writes a duration without its empty minutes and seconds.
func brief(d time.Duration) string {
	s := d.String()
	if d%time.Minute == 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if d%time.Hour == 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	if s == "" {
		return "0s"
	}
	return s
}

// choose says what is possible instead of a word, and which one was meant.
func choose(word string, of []string) string {
	best, least := "", 3
	for _, one := range of {
		if d := distance(word, one); d < least && 2*d < len(one) {
			best, least = one, d
		}
	}
	all := "want " + list(of)
	if best != "" {
		return "did you mean " + best + "? " + all
	}
	return all
}

func list(of []string) string {
	if len(of) < 2 {
		return strings.Join(of, "")
	}
	return strings.Join(of[:len(of)-1], ", ") + " or " + of[len(of)-1]
}

// distance is how many letters must be changed, added or left out.
func distance(a, b string) int {
	if len(a) > 60 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
