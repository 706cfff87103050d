package reconciliation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Screen asks what does not agree, among these orders alone when there are any.
type Screen struct {
	Orders []order.ID `json:"orders,omitempty"`
	Now    time.Time  `json:"now"`
}

// Screened is what a screening found. It only suspects: the orders' own
// workflows confirm.
type Screened struct {
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	Looked   int            `json:"looked"`
	Records  int            `json:"records"`
	Settling int            `json:"settling"`
	Suspects []Suspect      `json:"suspects,omitempty"`
	Stock    []StockSuspect `json:"stock,omitempty"`
	Short    []Shortage     `json:"short,omitempty"`
	Enough   []Enough       `json:"enough,omitempty"`
	Compared int            `json:"compared"` // levels
	// InMotion are the SKUs that could not be compared, for as many pieces as differ are on
	// their way, and Unseen those that could not be read. Ignored says that
	// no level was compared, for the policy says so. Waited says, one a line, which
	// levels could not be compared for longer than they may differ unseen.
	InMotion   []string       `json:"in_motion,omitempty"`
	Unseen     []string       `json:"unseen,omitempty"`
	Ignored    bool           `json:"ignored,omitempty"`
	Waited     []string       `json:"waited,omitempty"`
	Unread     []order.System `json:"unread,omitempty"`
	Exceptions []order.ID     `json:"exceptions,omitempty"`
	Truncated  bool           `json:"truncated,omitempty"` // not all of the window was compared
	Missed     []string       `json:"missed,omitempty"`    // what was not read, for people
	SKUs       []string       `json:"skus,omitempty"`
	Gone       []Gone         `json:"gone,omitempty"`
	Policy     string         `json:"policy"`
	Rules      int            `json:"rules"`
	Full       bool           `json:"full"`     // not of some orders alone
	Verified   time.Time      `json:"verified"` // through when, before this run
	Before     string         `json:"before,omitempty"`
	// Blind are the incidents of which the run has compared too little to say anything.
	Blind []Blind `json:"blind,omitempty"`
	// Since is the moment before which nothing is judged, and TooOld how many
	// orders were placed before it.
	Since  time.Time `json:"since,omitzero"`
	TooOld int       `json:"too_old,omitempty"`
	// Behind and Span, and Before, are as in RunReport.
	Behind bool          `json:"behind,omitempty"`
	Span   time.Duration `json:"span,omitempty"`

	began time.Time
}

// Shortage is an order for which there is not enough of a SKU any more: what the
// warehouse counts was promised to older orders.
type Shortage struct {
	Order   order.ID `json:"order"`
	SKU     string   `json:"sku"`
	Missing int64    `json:"missing"` // pieces
	Count   int64    `json:"count"`   // what the warehouse counts
	// Asked says that a person is asked about it already.
	Asked bool `json:"asked,omitempty"`
}

// finding is what many who go without are an incident by.
func (s Shortage) finding(now time.Time) reconcile.Finding {
	return reconcile.Finding{Of: string(s.Order), Fresh: !s.Asked, Step: reconcile.Step{
		Break: reconcile.Break{
			System: order.SystemInventory, Field: reconcile.InventoryReserved, Situation: reconcile.Conflict, Item: s.SKU, FirstSeen: now,
		},
		Decision: reconcile.Ask,
	}}
}

// Enough is an order that was said to be short, and of which SKUs there is enough for it.
type Enough struct {
	Order order.ID `json:"order"`
	SKUs  []string `json:"skus"`
}

// StockSuspect is a level that differs from what the warehouse counted.
type StockSuspect struct {
	SKU         string `json:"sku"`
	Level       int64  `json:"level"`
	Count       int64  `json:"count"`
	Uncommitted int64  `json:"uncommitted"`
	// Moving is how many pieces are in motion. They do not explain the difference,
	// and the level is not set before they are still.
	Moving int64 `json:"moving,omitempty"`
	// Asked is when the run asked what of it is promised, and Seen when it saw it
	// differ.
	Asked time.Time `json:"asked,omitzero"`
	Seen  time.Time `json:"seen,omitzero"`
}

// Gone is a SKU that a system does not know any more.
type Gone struct {
	SKU    string       `json:"sku"`
	System order.System `json:"system"`
}

// Report carries the screening into the report of its run.
func (s Screened) Report(r RunReport) RunReport {
	r.From, r.To, r.Policy, r.Rules = s.From, s.To, s.Policy, s.Rules
	r.Looked, r.Records, r.Suspects, r.Settling = s.Looked, s.Records, len(s.Suspects), s.Settling
	r.Unread, r.Exceptions, r.SKUs, r.Truncated = s.Unread, s.Exceptions, s.SKUs, s.Truncated
	for _, g := range s.Gone {
		r.Gone = append(r.Gone, g.SKU)
		r.Lines = append(r.Lines, fmt.Sprintf("stock %s is not known in %s: its level is not compared; it is not watched any more while no order has it", g.SKU, g.System))
	}
	r.Stock, r.Only = StockReport{Compared: s.Compared, Moving: len(s.InMotion), Found: len(s.Stock), Ignored: s.Ignored}, !s.Full
	r.InMotion, r.Unseen = s.InMotion, s.Unseen
	for _, suspect := range s.Stock {
		r.Levels = append(r.Levels, suspect.asBreak())
	}
	r.Lines = append(r.Lines, s.Waited...)
	for _, b := range s.Blind {
		r.Blind = append(r.Blind, b.Group)
		r.Lines = append(r.Lines, fmt.Sprintf("group %d: %d of the %d that every run looks at could not be compared; it is as it was", b.Group, b.Members, b.Of))
	}
	r.Since, r.TooOld, r.VerifiedThrough = s.Since, s.TooOld, s.Verified
	r.Behind, r.Span, r.Before = s.Behind, s.Span, s.Before
	if s.Behind {
		r.Lines = append(r.Lines, "more has changed than one run takes: this one took "+r.window()+"; the next run goes on from "+r.nextFrom())
	}
	if s.TooOld > 0 {
		r.Lines = append(r.Lines, fmt.Sprintf("%d orders were placed before %s and are not judged", s.TooOld, s.Since.Format(time.RFC3339)))
	}
	for _, missed := range s.Missed {
		r.Lines = append(r.Lines, notCompared+missed)
	}
	return r
}

// notCompared begins the lines that say what a run did not compare.
const notCompared = "not compared: "

const (
	screenOverlap = 5 * time.Minute // behind the last verified moment
	mostOrders    = 10_000          // of one run; the next goes on
	mostSuspects  = 500
	mostNamed     = 1_000 // known suspects that are only named; more of them are not a listed few
	mostPatrolled = 500   // open orders, above which only what changed is looked at
	sideBySide    = 4     // orders read at once
	screenTries   = 2     // of a call that fails: the next run comes soon
	// screenBudget is how long a run looks up at most. What is left is for the next
	// one, and nothing of it passes for verified.
	screenBudget = 20 * time.Minute
)

// ScreenChanges walks what changed in each system since the last verified
// moment, past the orders that changed or do not agree by their own word, and
// compares each with what it means the systems to say. What the pages of changes
// do not show whole is looked up, many orders at once.
func (a *Activities) ScreenChanges(ctx context.Context, in Screen) (Screened, error) {
	status, err := a.Keeper.Status(ctx)
	if err != nil {
		return Screened{}, fmt.Errorf("screen changes: read the status of reconciliation: %w", err)
	}
	out := a.begin(in, status)
	s, known, err := a.screenWindow(ctx, in, &out, status)
	if err != nil {
		return Screened{}, fmt.Errorf("screen changes: %w", err)
	}
	if err := s.lookUp(ctx); err != nil {
		return Screened{}, fmt.Errorf("screen changes: look up what the changes do not show: %w", err)
	}
	s.into(&out)
	uncompared := slices.Clone(out.Exceptions)
	s.choose(&out, status)
	out.SKUs = skus(known, status.watched())
	a.compareStock(ctx, known, &out)
	out.Waited = a.waited(status, out.InMotion)
	out.goOn(status, s.feed.late)
	if out.Blind, err = a.blind(ctx, status.Groups, out, uncompared); err != nil {
		return Screened{}, fmt.Errorf("screen changes: %w", err)
	}
	return out, nil
}

// last is the report of the latest run over all: its exceptions are the orders that
// it has not compared, or has not seen agree.
func (s Status) last() RunReport {
	for i := len(s.Reports) - 1; i >= 0; i-- {
		if r := s.Reports[i]; !r.Only {
			return r
		}
	}
	return RunReport{}
}

// withExceptions are the exceptions of both, each once, sorted.
func withExceptions(mine, others []order.ID) []order.ID {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(mine, others))))
}

// before says that an order was placed before a moment.
func (k Known) before(moment time.Time) bool {
	return !k.Intent.PlacedAt.IsZero() && k.Intent.PlacedAt.Before(moment)
}

// membersOf returns the orders of the incidents that are not over: each run
// looks at them again, whether they changed or not.
func (a *Activities) membersOf(ctx context.Context, groups []Group) ([]order.ID, error) {
	all, err := a.openMembers(ctx, groups)
	if err != nil {
		return nil, err
	}
	var ids []order.ID
	for _, m := range all {
		for _, one := range m.Of {
			if !ofLevels(groups, m.Group) {
				ids = append(ids, order.ID(one))
			}
		}
	}
	return ids, nil
}

// openMembers asks for the members of the incidents, if one is not over.
func (a *Activities) openMembers(ctx context.Context, groups []Group) ([]Members, error) {
	if !slices.ContainsFunc(groups, func(g Group) bool { return !g.Over() }) {
		return nil, nil
	}
	all, err := a.Keeper.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the orders of incidents: %w", err)
	}
	return all, nil
}

// ofLevels says that the members of an incident are SKUs.
func ofLevels(groups []Group, n int) bool {
	return slices.ContainsFunc(groups, func(g Group) bool { return g.N == n && g.Kind.Field == reconcile.InventoryLevel })
}

// Blind is an incident most of whose members a run could not compare: their records
// make no sense, or their goods are on their way. A run that has not seen them has not
// seen them put right. So is one of a system that it could not read.
type Blind struct {
	Group   int `json:"group"`
	Members int `json:"members"` // that could not be compared
	Of      int `json:"of"`
}

// blind returns the incidents of which the run says nothing; uncompared are the orders
// that it could not compare itself.
func (a *Activities) blind(ctx context.Context, groups []Group, s Screened, uncompared []order.ID) ([]Blind, error) {
	all, err := a.openMembers(ctx, groups)
	if err != nil {
		return nil, err
	}
	var blind []Blind
	for _, m := range all {
		unseen := func(one string) bool { return slices.Contains(uncompared, order.ID(one)) }
		if ofLevels(groups, m.Group) {
			unseen = func(sku string) bool { return slices.Contains(s.InMotion, sku) || slices.Contains(s.Unseen, sku) }
		}
		if down := func(g Group) bool { return g.N == m.Group && slices.Contains(s.Unread, g.Kind.System) }; slices.ContainsFunc(groups, down) {
			unseen = func(string) bool { return true }
		}
		b := Blind{Group: m.Group, Of: len(m.Of)}
		for _, one := range m.Of {
			if unseen(one) {
				b.Members++
			}
		}
		if 2*b.Members > b.Of {
			blind = append(blind, b)
		}
	}
	return blind, nil
}

// stopped is 1 when all that the order is suspected of is stopped, else 0.
func (s Suspect) stopped(groups []Group) int {
	for _, b := range s.Breaks {
		if g, found := groupOf(groups, b.Kind()); !found || !g.State.Stops() {
			return 0
		}
	}
	return 1
}

func compareIDs(x, y order.ID) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func systemsOf(breaks []reconcile.Break) []order.System {
	var systems []order.System
	for _, s := range order.Systems() {
		if slices.ContainsFunc(breaks, func(b reconcile.Break) bool { return b.System == s }) {
			systems = append(systems, s)
		}
	}
	return systems
}

// skus returns the SKUs of the orders and those seen by earlier runs, sorted.
func skus(known []Known, seen []string) []string {
	all := slices.Clone(seen)
	for _, k := range known {
		all = append(all, k.Intent.Awaited...)
		for _, q := range k.Intent.Reserved {
			all = append(all, q.SKU)
		}
		for _, s := range k.Intent.Shipments {
			for _, q := range s.Lines {
				all = append(all, q.SKU)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func appendNew(systems []order.System, s order.System) []order.System {
	if slices.Contains(systems, s) {
		return systems
	}
	return append(systems, s)
}

// fingerprint tells two listings of one order apart by their content.
func fingerprint(o reconcile.Observation) string {
	o.At, o.Changed = time.Time{}, time.Time{}
	data, err := json.Marshal(o)
	if err != nil { // observations hold nothing that cannot be marshalled
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// changedAt is when the listed records changed, by the system's clock; where it
// does not say, now, so that they are read.
func changedAt(o reconcile.Observation, now time.Time) time.Time {
	if o.Changed.IsZero() || o.Changed.After(now) {
		return now
	}
	return o.Changed
}
