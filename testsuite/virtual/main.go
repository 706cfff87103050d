package virtual

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
)

// Main runs worlds outside of a test binary: it calls run as a test, in which
// Bubble works, ends the process with the code that run returns, and never
// returns itself. What run reports through t is printed when it fails, and makes
// of the code 0 a 1.
//
// synctest needs a *testing.T, and testing.RunTests alone runs nothing outside of
// a test binary and calls it a success. So it is testing.Main that runs it, with
// the arguments cut off, for they are run's; and an example, which comes after
// the tests in any case, tells whether run has run.
func Main(run func(t *testing.T) int) {
	debug.SetGCPercent(400) // many worlds are short, and die whole
	os.Args = os.Args[:1]
	code, ran, failed := 0, false, false
	tests := []testing.InternalTest{{Name: "universes", F: func(t *testing.T) {
		defer func() { failed = t.Failed() }()
		code = run(t)
		ran = true
	}}}
	ended := testing.InternalExample{Name: "ended", F: func() {
		switch {
		case !ran && !failed:
			fmt.Fprintln(os.Stderr, "nothing was run")
			os.Exit(3)
		case code == 0 && failed:
			os.Exit(1)
		}
		os.Exit(code)
	}}
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, tests, nil, []testing.InternalExample{ended})
}
