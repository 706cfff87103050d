package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trueup-orders/trueup/order"
)

// columns aligns rows of cells, two blanks apart.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for n, cell := range row {
			if n == len(widths) {
				widths = append(widths, 0)
			}
			widths[n] = max(widths[n], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for n, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[n]+2-utf8.RuneCountInString(cell)))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// ago writes how long ago a moment was, as a person reads it; "-" for none.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(t))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// moment writes a moment and how long ago it was.
func moment(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339) + " (" + ago(t, now) + " ago)"
}

func (c *call) json(v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(append(data, '\n'))
	return err
}

// beside says what a list leaves out: below it, and beside one in JSON on standard
// error, where whoever reads the JSON is not disturbed.
func (c *call) beside(asJSON bool, command, text string) {
	if asJSON {
		_, _ = fmt.Fprintf(c.Stderr, "trueup %s: %s\n", command, text)
		return
	}
	c.print("%s\n", text)
}

// orderID reads an order's id from an argument.
func orderID(s string) (order.ID, error) {
	id, err := order.ParseID(s)
	if err != nil {
		return "", usage("the order's id %q %v", s, err)
	}
	return id, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
