package simulator

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/trueup-orders/trueup/order"
)

// FaultKind names a fault.
type FaultKind string

// The faults. Those marked [system] are carried out by the system itself, which
// gets the kind in Do; the frame carries out the others for every system alike.
const (
	NoFault       FaultKind = ""
	Refused       FaultKind = "refused"        // the connection is cut, no effect
	Unavailable   FaultKind = "unavailable"    // 503, no effect
	ResponseLost  FaultKind = "response_lost"  // the effect happens, the connection is cut
	ResponseError FaultKind = "response_error" // the effect happens, 500 is answered
	RateLimited   FaultKind = "rate_limited"   // 429 with Retry-After, no effect
	Late          FaultKind = "late"           // the effect lands Delay after the client gave up
	Rejected      FaultKind = "rejected"       // [system] a permanent business refusal
	Garbage       FaultKind = "garbage"        // 200 with a body that makes no sense; a write has its effect
	Twice         FaultKind = "twice"          // a middlebox delivers the request twice
	Stale         FaultKind = "stale"          // reads answer with what they answered Delay ago
	Vanishes      FaultKind = "vanishes"       // [system] accepted, then gone at once after the answer
	Partial       FaultKind = "partial"        // [system] the right effect with a wrong amount
	Unauthorized  FaultKind = "unauthorized"   // 401, no effect
	ReplaysError  FaultKind = "replays_error"  // [system] stores its own 5xx under the key and repeats it, no effect
	NotListed     FaultKind = "not_listed"     // [system] List omits the record, a look-up finds it
	EmptyList     FaultKind = "empty_list"     // [system] List answers with nothing
	Foreign       FaultKind = "foreign"        // [system] a well-formed answer about somebody else's order; no effect on ours
)

// FaultKinds returns all of them.
func FaultKinds() []FaultKind {
	return []FaultKind{
		Refused, Unavailable, ResponseLost, ResponseError, RateLimited, Late, Rejected, Garbage, Twice, Stale,
		Vanishes, Partial, Unauthorized, ReplaysError, NotListed, EmptyList, Foreign,
	}
}

// Fault is a fault that the next calls of an operation suffer.
type Fault struct {
	ID        int             `json:"id"`
	Operation order.Operation `json:"operation"` // "*": any; else as "capture", "lookup", "list"
	Kind      FaultKind       `json:"kind"`
	Times     int             `json:"times"`               // calls that suffer it; 0: once; -1: until cleared
	Skip      int             `json:"skip,omitempty"`      // calls that pass before the first one suffers
	Delay     time.Duration   `json:"delay,omitempty"`     // of Late and Stale
	Order     order.ID        `json:"order,omitempty"`     // only calls about this order
	Orderless bool            `json:"orderless,omitempty"` // only calls about no single order, as listings
	Fired     int             `json:"fired"`
	Cleared   bool            `json:"cleared,omitempty"`
}

type faults struct {
	mu   sync.Mutex
	all  []Fault
	skew time.Duration
	gate Gate
}

// Inject lets the next calls of an operation suffer a fault, and returns the
// fault's id.
func (s *System) Inject(f Fault) (int, error) {
	if !slices.Contains(FaultKinds(), f.Kind) {
		return 0, fmt.Errorf("inject fault: unknown kind %q; want one of %v", f.Kind, FaultKinds())
	}
	if f.Operation == "" {
		f.Operation = "*"
	}
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults.mu.Lock()
	f.ID, f.Fired, f.Cleared = len(s.faults.all)+1, 0, false
	s.faults.all = append(s.faults.all, f)
	s.faults.mu.Unlock()
	s.changed(s.Name)
	return f.ID, nil
}

// Suffers says whether the next calls of an operation may suffer a fault, or are
// answered by a wrong clock.
func (s *System) Suffers(operation order.Operation) bool {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.skew != 0 || slices.ContainsFunc(s.faults.all, func(f Fault) bool {
		return !f.Cleared && (f.Times < 0 || f.Fired < f.Times) && (f.Operation == "*" || f.Operation == operation)
	})
}

// Clear ends the faults of an operation, "*" or "" those of all.
func (s *System) Clear(operation order.Operation) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	for i := range s.faults.all {
		if operation == "" || operation == "*" || s.faults.all[i].Operation == operation {
			s.faults.all[i].Cleared = true
		}
	}
}

// Faults returns every fault that was ever injected, with how often it fired: a
// fault that never fired proves nothing.
func (s *System) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return slices.Clone(s.faults.all)
}

// Skew makes the system's clock wrong by d.
func (s *System) Skew(d time.Duration) {
	s.faults.mu.Lock()
	s.faults.skew = d
	s.faults.mu.Unlock()
	s.changed(s.Name)
}

func (f *faults) skewed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skew
}

// next returns the fault that this call suffers, oldest first, and counts it.
func (f *faults) next(operation order.Operation, of order.ID) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.all {
		x := &f.all[i]
		switch {
		case x.Cleared, x.Operation != "*" && x.Operation != operation, x.Order != "" && x.Order != of, x.Orderless && of != "":
			continue
		case x.Times > 0 && x.Fired >= x.Times:
			continue
		case x.Skip > 0:
			x.Skip--
			continue
		}
		x.Fired++
		return *x
	}
	return Fault{}
}

// ParseOn splits "payment.capture" into its system and operation.
func ParseOn(on string) (order.System, order.Operation, error) {
	system, operation, ok := strings.Cut(on, ".")
	if !ok || !slices.Contains(order.Systems(), order.System(system)) {
		return "", "", fmt.Errorf("%q is not SYSTEM.OPERATION with one of the systems %v", on, order.Systems())
	}
	return order.System(system), order.Operation(operation), nil
}
