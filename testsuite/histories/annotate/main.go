// Command annotate writes, for each recorded history, the page that tells it
// line by line: docs/histories/NAME.md. Run it from the repository's folder.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"

	"github.com/trueup-orders/trueup/testsuite/histories"
)

func main() {
	from := flag.String("from", filepath.Join("testsuite", "histories"), "the folder of the recorded histories")
	to := flag.String("to", filepath.Join("docs", "histories"), "the folder of the pages")
	flag.Parse()
	if err := write(*from, *to); err != nil {
		fmt.Fprintln(os.Stderr, "annotate:", err)
		os.Exit(1)
	}
}

// write writes the pages of the stories whose histories are there.
func write(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, s := range histories.Stories() {
		text, err := page(s, from, to)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, s.Name+".md"), []byte(text), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the page of %s: %w", s.Name, err)
		}
	}
	return nil
}

// page tells one story. The screenshot is shown where there is one.
func page(s histories.Story, from, to string) (string, error) {
	data, err := os.ReadFile(filepath.Join(from, s.Name+".json"))
	if err != nil {
		return "", err
	}
	h, err := client.HistoryFromJSON(bytes.NewReader(data), client.HistoryJSONOptions{})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", s.Title)
	fmt.Fprintf(&b, "Look at this: %s\n\n", s.Look)
	if s.Rule != "" {
		fmt.Fprintf(&b, "The rule: *%s*, in [the business rules](../design.md#4-business-rules-where-two-are-defensible). ", s.Rule)
	}
	b.WriteString("How to read it: [the life of an order](../order-life.md#how-to-read-a-history-in-the-temporal-ui).\n\n")
	if _, err := os.Stat(filepath.Join(to, s.Name+".png")); err == nil {
		fmt.Fprintf(&b, "![The same history in the Temporal UI](%s.png)\n\n", s.Name)
		b.WriteString("The timeline begins at the bottom. A red bar on top is no failure: that run was alive, and was ended for the picture.\n\n")
	}
	lines := tell(h)
	b.WriteString("| after | what | what came of it |\n|---:|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.after, cell(l.what), cell(l.outcome))
	}
	fmt.Fprintf(&b, "\n%s\n", measure(h, len(lines)))
	return b.String(), nil
}

// measure says how long the history is, and how much of it is left out here.
func measure(h *historypb.History, lines int) string {
	bytes := 0
	for _, e := range h.GetEvents() {
		bytes += e.Size()
	}
	return fmt.Sprintf("%d events, %.1f kB; the %d lines above leave out workflow tasks, the memo, and echoes of our own doing.",
		len(h.GetEvents()), float64(bytes)/1024, lines)
}

// cell writes text into a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}
