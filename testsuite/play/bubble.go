package play

import (
	"flag"
	"os"
	"testing"

	"github.com/trueup-orders/trueup/testsuite/virtual"
)

// A world is deterministic in a bubble of testing/synctest, and the library gives
// bubbles to tests alone. So each story is played within a test of its own, of
// which nothing else is wanted: it never fails, and prints nothing.

// Main runs a command that plays stories, and exits with what it returns. In a
// test nothing of it is needed.
func Main(command func() int) {
	testing.Init()
	_ = flag.CommandLine.Parse(nil) // the command's flags are its own
	testing.Main(everything, []testing.InternalTest{{Name: "command", F: func(*testing.T) { os.Exit(command()) }}}, nil, nil)
}

func everything(_, _ string) (bool, error) { return true, nil }

// inBubble runs f in a bubble, in which the worlds that end with s are
// deterministic.
func inBubble(s *stage, f func()) {
	testing.RunTests(everything, []testing.InternalTest{{Name: "story", F: func(t *testing.T) {
		defer func() { // one story that does not end must not end the others
			if failed := recover(); failed != nil {
				s.Errorf("the story did not end: %v", failed)
			}
		}()
		virtual.Within(t, s, f)
	}}})
}
