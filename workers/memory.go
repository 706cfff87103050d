package workers

import (
	"os"
	"runtime/debug"
)

// SpareMemory has the runtime collect once half as much as is held has been left behind,
// where it usually waits for as much again: what a worker holds at once is a day of orders
// and which payments a shop has, and collecting costs it little beside waiting for six
// systems. GOGC in the environment says otherwise, as for any Go program.
func SpareMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
