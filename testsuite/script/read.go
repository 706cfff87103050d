package script

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on what a file may say, so that a slip of the pen is found.
const (
	maxFile  = 1 << 20
	maxNodes = 200_000 // also through aliases, so that a small file stays small
)

// Problem is one thing that is wrong with a file, and where.
type Problem struct {
	Line   int
	Reason string
}

// Error lists everything that is wrong with a file, one line each.
type Error struct {
	Path     string
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for n, p := range e.Problems {
		lines[n] = e.Path + ":" + strconv.Itoa(p.Line) + ": " + p.Reason
	}
	return strings.Join(lines, "\n")
}

// Read reads an incident file.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read incident: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read incident %s: %w", path, err)
	}
	return Parse(path, data)
}

// Parse reads an incident file's text; path is for its errors. The file is read
// whole and every problem is named with its line: an error is an *Error.
func Parse(path string, data []byte) (*File, error) {
	document, problem := decode(data)
	if problem != nil {
		return nil, &Error{path, []Problem{*problem}}
	}
	r := &reader{file: &File{Path: path}}
	r.top(document)
	r.refer()
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Error{path, r.problems}
	}
	return r.file, nil
}

// decode returns the one document of a file.
func decode(data []byte) (*yaml.Node, *Problem) {
	if len(data) > maxFile {
		return nil, &Problem{1, fmt.Sprintf("the file has more than %d bytes; a story is shorter", maxFile)}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, &Problem{1, "the file is empty; want one YAML document as docs/incidents.md shows it"}
	case err != nil:
		return nil, syntax(err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, &Problem{max(1, second.Line), "a second document begins; a file is one incident: put the other into a file of its own"}
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	if len(document.Content) != 1 {
		return nil, &Problem{1, "the file has no document"}
	}
	return document.Content[0], nil
}

// syntax finds the line in the library's message, "yaml: line 3: …".
func syntax(err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, reason, found := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil && found {
			return &Problem{line, "this is not YAML: " + reason}
		}
	}
	return &Problem{1, "this is not YAML: " + text}
}

// top reads the document. Orders come before the steps that name them, wherever
// they stand.
func (r *reader) top(n *yaml.Node) {
	var world, orders, steps, quiet, expect *yaml.Node
	keep := func(into **yaml.Node) func(*yaml.Node) { return func(v *yaml.Node) { *into = v } }
	var id, title bool
	if r.follow(n).Kind != yaml.MappingNode {
		r.add(n, "the file is %s; want a mapping with id, title, steps and expect, as docs/incidents.md shows it", shown(n))
		return
	}
	r.mapping(
		n, "an incident file",
		field{"id", func(v *yaml.Node) { id, r.file.ID = true, r.text(v, "id") }},
		field{"title", func(v *yaml.Node) { title, r.file.Title = true, r.text(v, "title") }},
		field{"source", r.source},
		field{"world", keep(&world)},
		field{"orders", keep(&orders)},
		field{"steps", keep(&steps)},
		field{"quiet", keep(&quiet)},
		field{"expect", keep(&expect)},
	)
	r.began = len(r.problems)
	r.need(n, "the file", id, "id", "id: P-02")
	r.began = len(r.problems)
	r.need(n, "the file", title, "title", "title: what happened, in one line")
	r.world(world)
	r.orders(orders)
	r.steps(n, steps)
	r.file.Quiet = defaultQuiet
	if quiet != nil {
		r.duration(quiet, "quiet", &r.file.Quiet, forAnyTime)
	}
	if expect != nil {
		r.file.Expect = r.expect(expect)
	} else if !slices.ContainsFunc(r.file.Steps, func(s Step) bool { _, is := s.Do.(Check); return is }) {
		r.add(n, "the file expects nothing; say under expect how the story must end")
	}
}

// source is an address, or several.
func (r *reader) source(v *yaml.Node) {
	v = r.follow(v)
	switch {
	case isNull(v):
	case v.Kind == yaml.SequenceNode:
		var all []string
		for _, one := range v.Content {
			all = append(all, r.text(one, "source"))
		}
		r.file.Source = strings.Join(all, " ")
	default:
		r.file.Source = r.text(v, "source")
	}
}
