package workflows

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// Settings are what an operator may set. A workflow reads them once a run, into
// its history, so that a replay decides as it did then.
type Settings struct {
	Policy reconcile.Policy `json:"policy"`
	// Retention is how long the engine remembers a closed order.
	Retention time.Duration `json:"retention"`
	// FollowEvery is how often systems that announce nothing are asked.
	FollowEvery time.Duration `json:"follow_every"`
	// FollowPolls is how many polls one activity makes before its workflow hears
	// of it: many on a real engine, one where time is simulated.
	FollowPolls int `json:"follow_polls"`
	// Linger is how long an ended order stays open for what still comes.
	Linger time.Duration `json:"linger"`
	// FreshFor is how young a reading may be to answer for a fresh verdict.
	FreshFor time.Duration `json:"fresh_for"`
	// Abilities say, among other things, how far a system's reads may be behind.
	Abilities []SystemAbilities `json:"abilities,omitempty"`
	// Budget bounds what one hour may repair.
	Budget reconcile.Budget `json:"budget"`
	// Canary is the order in whose deal a break is planted every PlantEvery; 0 and
	// "" plant none.
	Canary     order.ID      `json:"canary,omitempty"`
	PlantEvery time.Duration `json:"plant_every,omitempty"`
	// Followed are the systems that announce nothing.
	Followed []order.System `json:"followed,omitempty"`

	version string // a digest of all of it, as it was packed
}

// strong says that a system's look-ups show every write answered before them.
func (s Settings) strong(system order.System) bool {
	for _, a := range s.Abilities {
		if a.System == system {
			return a.Abilities.StrongLookup
		}
	}
	return false
}

// SystemAbilities are the declared abilities of one system's adapter.
type SystemAbilities struct {
	System    order.System        `json:"system"`
	Abilities reconcile.Abilities `json:"abilities"`
}

// Lag is how long a system's look-ups may be behind; none when they are strong.
func (s Settings) Lag(system order.System) time.Duration {
	for _, a := range s.Abilities {
		if a.System == system && !a.Abilities.StrongLookup {
			return a.Abilities.VisibilityLag
		}
	}
	return 0
}

// Workflows are the workflow functions with this worker's settings.
type Workflows struct {
	packed  []byte
	version string
	summary string
}

// New returns the workflow functions with these settings.
func New(s Settings) (*Workflows, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("pack the settings: %w", err)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack the settings: %w", err)
	}
	return &Workflows{packed: packed.Bytes(), version: digest(packed.Bytes()), summary: "settings, with policy " + s.Policy.Version()}, nil
}

// settings returns this worker's settings as of now. They go into every order's
// history, so they are packed there: a policy in full is as large as the rest of
// an order's history together.
func (w *Workflows) settings(ctx workflow.Context) (Settings, error) {
	var packed []byte
	encoded := workflow.SideEffectWithOptions(ctx, workflow.SideEffectOptions{Summary: w.summary},
		func(workflow.Context) any { return w.packed })
	if err := encoded.Get(&packed); err != nil {
		return Settings{}, fmt.Errorf("read the settings: %w", err)
	}
	return unpack(packed)
}

// renew returns the settings as of now where they are others than those of the
// run so far: only then are they recorded anew.
func (w *Workflows) renew(ctx workflow.Context, have Settings) (Settings, error) {
	var version string
	err := workflow.MutableSideEffectWithOptions(ctx, "settings", workflow.MutableSideEffectOptions{Summary: w.summary},
		func(workflow.Context) any { return w.version },
		func(a, b any) bool { return a == b }).Get(&version)
	if err != nil || version == have.version {
		return have, err
	}
	return w.settings(ctx)
}

func digest(packed []byte) string {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:6])
}

// today returns this worker's settings, for queries: they are in no history.
func (w *Workflows) today() (Settings, error) { return unpack(w.packed) }

func unpack(packed []byte) (Settings, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return Settings{}, fmt.Errorf("unpack the settings: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return Settings{}, fmt.Errorf("unpack the settings: %w", err)
	}
	var s Settings
	// Decoding recorded bytes into a plain struct depends on nothing else; the checker stumbles over reflect's panics.
	//workflowcheck:ignore
	if err := json.Unmarshal(data, &s); err != nil {
		return Settings{}, fmt.Errorf("unpack the settings: %w", err)
	}
	s.version = digest(packed)
	return s, nil
}
