package reconcile

import (
	"strings"
	"unicode/utf8"
)

// failer is what both *testing.T and *rapid.T are.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkText holds a verdict's renderings against their limits.
func checkText(t failer, v Verdict) {
	t.Helper()
	for _, line := range strings.Split(v.Table(), "\n") {
		if utf8.RuneCountInString(line) > tableWidth {
			t.Fatalf("a line of the table has %d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
	if n := len(v.Markdown()); n > maxMarkdown {
		t.Fatalf("the details have %d characters", n)
	}
	if v.Summary == "" || strings.Contains(v.Summary, "\n") {
		t.Fatalf("the summary is not one line: %q", v.Summary)
	}
}
