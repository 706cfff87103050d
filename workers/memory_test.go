package workers

import (
	"runtime/debug"
	"testing"
)

func TestSpareMemory_UnlessToldOtherwise(t *testing.T) {
	was := debug.SetGCPercent(300)
	defer debug.SetGCPercent(was)
	t.Setenv("GOGC", "200")
	SpareMemory()
	if got := debug.SetGCPercent(300); got != 300 {
		t.Fatalf("GOGC says 200, and it was set to %d", got)
	}
	t.Setenv("GOGC", "")
	SpareMemory()
	if got := debug.SetGCPercent(300); got != 50 {
		t.Fatalf("a worker collects at %d", got)
	}
}
