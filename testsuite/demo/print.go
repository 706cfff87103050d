package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// width is what the demo's own lines keep to.
const width = 100

// printer writes the story.
type printer struct {
	w      io.Writer
	colour bool
	step   int
}

func newPrinter(f *os.File) *printer {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &printer{w: f, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p *printer) line(s string) { _, _ = fmt.Fprintln(p.w, s) }

func (p *printer) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// head begins a numbered step.
func (p *printer) head(format string, a ...any) {
	p.step++
	p.line("")
	p.line(p.paint("1", fmt.Sprintf("%2d  %s", p.step, fmt.Sprintf(format, a...))))
}

// says prints what one source said.
func (p *printer) says(source, format string, a ...any) {
	const indent = 16
	text := fmt.Sprintf(format, a...)
	for i, l := range wrapped(text, width-indent) {
		if i > 0 {
			source = ""
		}
		p.line(fmt.Sprintf("    %-*s%s", indent-4, source, l))
	}
}

// wrapped breaks a text into lines.
func wrapped(text string, most int) []string {
	var lines []string
	current := ""
	for _, word := range strings.Fields(text) {
		if current != "" && utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) > most {
			lines, current = append(lines, current), ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	return append(lines, current)
}

// quote prints what a program printed, as it is.
func (p *printer) quote(command, text string, code int) {
	p.line("    $ " + command)
	p.line("")
	for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		p.line(l)
	}
	p.line("")
	p.line(fmt.Sprintf("    exit code %d", code))
}

// table prints rows under a head, in columns.
func (p *printer) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		b.WriteString("    ")
		for i, cell := range row {
			b.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		text := strings.TrimRight(b.String(), " ")
		if n == 0 {
			text = p.paint("2", text)
		}
		p.line(text)
	}
}
