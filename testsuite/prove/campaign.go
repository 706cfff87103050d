package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/testsuite/play"
	"github.com/trueup-orders/trueup/testsuite/script"
	"github.com/trueup-orders/trueup/testsuite/simulator"
)

// campaign plays plans, and counts.
type campaign struct {
	out      io.Writer
	parallel int
	limit    time.Duration
	// singlesLimit is how long single faults are played; 0: until all were.
	singlesLimit time.Duration
	seed         uint64
	statePath    string
	match        string
	every        int
	scenarios    []*script.File

	begun time.Time
	mu    sync.Mutex
	count map[string]int // plans by family
	fired map[simulator.FaultKind]int
	wrong []string
	moot  int // plans that left no room for what their scenario brings
	told  time.Time
}

// run plays everything in its order.
func (c *campaign) run() error {
	c.begun, c.count, c.fired = time.Now(), map[string]int{}, map[simulator.FaultKind]int{}
	c.told = c.begun
	undisturbed := c.undisturbed()
	if c.failed() {
		return nil // nothing else would mean anything
	}
	var first []plan
	for _, f := range c.scenarios {
		first = append(first, singles(f, undisturbed[f])...)
	}
	if c.match != "" {
		c.tell(first)
		return nil
	}
	all := len(first)
	// So that those for which there is no time are of all scenarios.
	rand.New(rand.NewPCG(c.seed, 1)).Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	if c.every > 1 {
		first = slices.Collect(func(yield func(plan) bool) {
			for i := int(c.seed) % c.every; i < len(first); i += c.every {
				if !yield(first[i]) {
					return
				}
			}
		})
	}
	second := c.singles(first)
	fmt.Fprintf(c.out, "single faults: %d of %d played\n", c.count["single"], all)
	if c.every == 1 {
		if err := c.pairs(second); err != nil {
			return err
		}
		c.others(undisturbed)
	}
	c.report()
	return nil
}

// tell plays the plans that match, one after the other, and tells them.
func (c *campaign) tell(plans []plan) {
	for _, p := range plans {
		if !strings.Contains(p.String(), c.match) {
			continue
		}
		fmt.Fprintf(c.out, "==== %s\n", p)
		c.note("single", p, p.play(c.out))
	}
}

// undisturbed plays each scenario as it is, and returns what it asks of the
// systems.
func (c *campaign) undisturbed() map[*script.File][]play.Seen {
	calls := map[*script.File][]play.Seen{}
	for _, f := range c.scenarios {
		r := c.play(plan{scenario: f, seed: 1})
		c.note("undisturbed", plan{scenario: f, seed: 1}, r)
		calls[f] = r.Calls
	}
	return calls
}

// singles plays the single faults, and returns for each what pairs it begins.
func (c *campaign) singles(plans []plan) []branch {
	branches := make([]branch, len(plans))
	until := time.Time{}
	if c.singlesLimit > 0 {
		until = time.Now().Add(c.singlesLimit)
	}
	played := c.each(len(plans), until, func(i int) {
		r := c.play(plans[i])
		c.note("single", plans[i], r)
		branches[i] = branch{plans[i], r.Calls, len(pairs(plans[i], r.Calls))}
	})
	return branches[:played]
}

// branch is a single fault, and the calls of its story.
type branch struct {
	single plan
	calls  []play.Seen
	pairs  int
}

// pairs plays pairs in the order that the seed gives, as long as there is time.
func (c *campaign) pairs(branches []branch) error {
	from := make([]int, len(branches)+1)
	for i, b := range branches {
		from[i+1] = from[i] + b.pairs
	}
	total := from[len(branches)]
	order := rand.New(rand.NewPCG(c.seed, 2)).Perm(total)
	state, err := c.load(total)
	if err != nil {
		return err
	}
	until := time.Time{}
	if c.limit > 0 {
		until = time.Now().Add(c.limit * 7 / 10)
	}
	played := c.each(total-state.Done, until, func(i int) {
		n := order[state.Done+i]
		b, _ := slices.BinarySearch(from, n+1)
		one := pairs(branches[b-1].single, branches[b-1].calls)[n-from[b-1]]
		c.note("pair", one, c.play(one))
	})
	state.Done += played
	fmt.Fprintf(c.out, "pairs of faults: %d of %d played", played, total)
	if state.Done > played {
		fmt.Fprintf(c.out, ", %d with those before", state.Done)
	}
	fmt.Fprintln(c.out)
	return c.save(state)
}

// others plays notifications at any moment, and other orders of what happens at
// once.
func (c *campaign) others(undisturbed map[*script.File][]play.Seen) {
	until := time.Now().Add(c.limit * 3 / 20)
	if c.limit == 0 {
		until = time.Now().Add(5 * time.Minute)
	}
	c.each(1<<30, until, func(i int) {
		random := rand.New(rand.NewPCG(c.seed, uint64(3+i)))
		f := c.scenarios[i%len(c.scenarios)]
		p := callbacks(f, undisturbed[f], random)
		c.note("callback", p, c.play(p))
	})
	until = until.Add(c.limit * 3 / 20)
	if c.limit == 0 {
		until = until.Add(5 * time.Minute)
	}
	c.each(1<<30, until, func(i int) {
		p := seeded(c.scenarios[i%len(c.scenarios)], c.seed*1_000_000+uint64(i/len(c.scenarios)))
		c.note("seed", p, c.play(p))
	})
}

// each calls do for the numbers below n in order, several at once, until there
// is no time left, and returns how many from the beginning it has done.
func (c *campaign) each(n int, until time.Time, do func(i int)) int {
	var next, done int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range c.parallel {
		all.Go(func() {
			for {
				mu.Lock()
				i := next
				if i >= n || !until.IsZero() && time.Now().After(until) {
					mu.Unlock()
					return
				}
				next++
				mu.Unlock()
				do(i)
				mu.Lock()
				done++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return done
}

// play plays a plan, and says which one it is when that takes long.
func (c *campaign) play(p plan) play.Result {
	slow := time.AfterFunc(20*time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		fmt.Fprintf(c.out, "... still playing %s\n", p)
	})
	defer slow.Stop()
	return p.play(nil)
}

// note counts a plan that was played, and keeps what was wrong with it.
func (c *campaign) note(family string, p plan, r play.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[family]++
	for _, b := range p.blows {
		c.fired[b.Kind]++
	}
	if len(r.Moot) > 0 && !p.lawful() {
		c.moot++
	}
	if !r.Passed() {
		line := fmt.Sprintf("%s: %s: %s", family, p, strings.ReplaceAll(strings.Join(r.Wrong, "; "), "\n", " "))
		c.wrong = append(c.wrong, line)
		fmt.Fprintln(c.out, "VIOLATION", line)
	}
	if time.Since(c.told) > 10*time.Second {
		c.told = time.Now()
		fmt.Fprintf(c.out, "... %s: %d plans, %.0f a second, %d violations\n", c.told.Sub(c.begun).Round(time.Second), c.plans(), c.rate(), len(c.wrong))
	}
}

func (c *campaign) plans() int {
	n := 0
	for _, played := range c.count {
		n += played
	}
	return n
}

func (c *campaign) rate() float64 {
	return float64(c.plans()) / max(time.Since(c.begun).Seconds(), 1e-9)
}

func (c *campaign) failed() bool { return len(c.wrong) > 0 }

// report is one line for each family and each kind of fault, and what follows
// from that many plans without a violation.
func (c *campaign) report() {
	fmt.Fprintf(c.out, "\nplans played: %d (%s), %.1f a second on %d cores, seed %d\n", c.plans(), counts(c.count), c.rate(), c.parallel, c.seed)
	fmt.Fprintf(c.out, "faults struck: %s\n", counts(c.fired))
	fmt.Fprintf(c.out, "held against the laws alone, for the fault left no room for what the scenario brings: %d\n", c.moot)
	fmt.Fprintf(c.out, "violations: %d\n", len(c.wrong))
	if random := c.count["pair"] + c.count["callback"] + c.count["seed"]; random > 0 && !c.failed() {
		fmt.Fprintf(c.out, "with 95 %% confidence fewer than %.2g of the drawn plans break a law (3/n; of these plans, not of what production will meet)\n", 3/float64(random))
	}
}

func counts[K cmp.Ordered](of map[K]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%v %d", k, of[k]))
	}
	return strings.Join(parts, ", ")
}
