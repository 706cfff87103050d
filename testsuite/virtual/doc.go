// Package virtual is a world in which months pass in a second: the production
// workflows with their real activities and adapters, the webhook gateway and
// the six simulated systems on the one clock of the SDK's test environment.
//
// A test says what happens when (At), lets the time pass (Run), and then reads
// the ledgers of the systems. Nothing of our own is replaced but the engine:
// its port is implemented over the environment, see engine.go.
//
// # One seed, one trace
//
// Within Bubble, a world is deterministic: Options.Seed decides who comes first,
// and the same seed gives the same Trace to the byte. Three things make it so.
//
// Time belongs to the universe, a workflow that sleeps until the next entry of
// the agenda is due. Nothing looks at another clock: the systems and the adapters
// are given World.Now, and a call that hangs hangs in virtual time (Hang).
//
// Order belongs to the turnstile. Every attempt of an activity, every HTTP call
// and every mail session, every message to the engine and every step waits
// there until everything else stands still, which synctest knows, and then one of
// them goes on. Who waits is sorted by what it is and not by when it came. What
// several systems do by themselves at the same moment comes in a drawn order too.
// Time passes only when nobody waits.
//
// Attempts belong to attempt.go: an activity is scheduled once in the environment,
// and retried here as the server does it, with its policy, its heartbeats, its
// start-to-close time, and for ever when no limit is set.
//
// To keep it so, nothing that runs in a world may hold a mutex while it calls
// out, start goroutines whose first act is not a call through a port, use a real
// socket, or let the order of a map out.
//
// # What it cannot show
//
// Histories and their replay, so neither an upgrade nor a workflow that is not
// deterministic. A worker of workflows that dies or is slow: workflow code runs
// in no time, and at once. Crash ends one attempt, where a process takes all that
// it does with it, and what it had learnt. Messages that the engine takes while
// it has no worker are answered at once. Search attributes never lag behind.
// Rates and limits of the engine, the size of histories, and how fast anything is.
// What production code reads of the machine's clock or draws at random would be
// the bubble's clock, or chance; there is no such code today.
// See outage.go and crash.go for what comes close.
package virtual
