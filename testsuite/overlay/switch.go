package overlay

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Compiling takes longer than most proofs. So many mistakes are compiled into one
// program, and an environment variable says which of them it makes: each function
// that a mistake changes gets the changed body beside its own.

// variable names the mistake that a program makes, by its number; none or 0: none.
const variable = "TRUEUP_MISTAKE"

// Making returns the environment in which a program makes the mistake of a number.
func Making(n int) []string { return append(os.Environ(), variable+"="+strconv.Itoa(n)) }

// switched is what puts the mistake's number into a package.
const switched = `package %s

import (
	"os"
	"strconv"
)

var theMistake, _ = strconv.Atoi(os.Getenv(%q))
`

// Switch writes, as Write does, files with many mistakes each of which is made when
// it is asked for by its number: its place in the list, from 1. It says which they
// are: a mistake that changes more than bodies of functions is not among them.
func Switch(root, folder, name string, mistakes [][]Change) (list string, within []bool, err error) {
	s := switching{root: root, sources: map[string]*source{}}
	within = make([]bool, len(mistakes))
	for i, changes := range mistakes {
		if within[i], err = s.take(i+1, changes); err != nil {
			return "", nil, err
		}
	}
	replace := map[string]string{}
	put := func(file, text string) error {
		to := filepath.Join(folder, name+"-"+strings.ReplaceAll(file, "/", "-"))
		replace[filepath.Join(root, file)] = to
		return os.WriteFile(to, []byte(text), 0o600)
	}
	for _, file := range slices.Sorted(maps.Keys(s.sources)) {
		of := s.sources[file]
		if len(of.bodies) == 0 {
			continue
		}
		err := put(file, of.text())
		if err == nil {
			err = put(filepath.Join(filepath.Dir(file), "the_mistake.go"), fmt.Sprintf(switched, of.parsed.Name.Name, variable))
		}
		if err != nil {
			return "", nil, fmt.Errorf("write the mistakes of %s: %w", file, err)
		}
	}
	list, err = writeList(folder, name, replace)
	return list, within, err
}

// switching collects the mistakes by the files that they change.
type switching struct {
	root    string
	sources map[string]*source
}

// source is a file with the bodies that functions of it have by mistake.
type source struct {
	data   []byte
	files  *token.FileSet
	parsed *ast.File
	bodies map[int][]body // by the function's place among the declarations
}

type body struct {
	mistake int
	text    string
}

// take takes up one mistake; false when it changes more than bodies of functions.
func (s *switching) take(n int, changes []Change) (bool, error) {
	changed, err := Apply(s.root, changes)
	if err != nil {
		return false, err
	}
	found := map[string]map[int]string{}
	for file, text := range changed {
		of, err := s.source(file)
		if err != nil {
			return false, err
		}
		bodies, within := of.differ(text)
		if !within {
			return false, nil
		}
		found[file] = bodies
	}
	for file, bodies := range found {
		for i, text := range bodies {
			of := s.sources[file]
			of.bodies[i] = append(of.bodies[i], body{n, text})
		}
	}
	return true, nil
}

func (s *switching) source(file string) (*source, error) {
	if of, known := s.sources[file]; known {
		return of, nil
	}
	data, err := os.ReadFile(filepath.Join(s.root, file))
	if err != nil {
		return nil, fmt.Errorf("read what is to be changed: %w", err)
	}
	of := &source{data: data, bodies: map[int][]body{}}
	if of.files, of.parsed, err = parse(data); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	s.sources[file] = of
	return of, nil
}

func parse(data []byte) (*token.FileSet, *ast.File, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", data, parser.SkipObjectResolution)
	return files, parsed, err
}

// differ returns the bodies that are others in a changed text of the file; false
// when something else is another as well.
func (s *source) differ(changed string) (map[int]string, bool) {
	files, parsed, err := parse([]byte(changed))
	if err != nil || len(parsed.Decls) != len(s.parsed.Decls) {
		return nil, false
	}
	bodies := map[int]string{}
	for i, d := range s.parsed.Decls {
		was, is := cut(s.files, s.data, d.Pos(), d.End()), cut(files, []byte(changed), parsed.Decls[i].Pos(), parsed.Decls[i].End())
		if bytes.Equal(was, is) {
			continue
		}
		f, isFunc := d.(*ast.FuncDecl)
		g, stillFunc := parsed.Decls[i].(*ast.FuncDecl)
		if !isFunc || !stillFunc || f.Body == nil || g.Body == nil || labelled(g) ||
			!bytes.Equal(cut(s.files, s.data, f.Pos(), f.Body.Lbrace), cut(files, []byte(changed), g.Pos(), g.Body.Lbrace)) {
			return nil, false
		}
		bodies[i] = string(cut(files, []byte(changed), g.Body.Lbrace+1, g.Body.Rbrace))
	}
	return bodies, true
}

func cut(files *token.FileSet, data []byte, from, to token.Pos) []byte {
	return data[files.Position(from).Offset:files.Position(to).Offset]
}

// labelled says that a function has labels, which no function may have twice.
func labelled(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		_, is := n.(*ast.LabeledStmt)
		found = found || is
		return true
	})
	return found
}

// text is the file with the mistakes.
func (s *source) text() string {
	var out strings.Builder
	done := 0
	for i, d := range s.parsed.Decls {
		if len(s.bodies[i]) == 0 {
			continue
		}
		f := d.(*ast.FuncDecl)
		begin := s.files.Position(f.Body.Lbrace).Offset + 1
		out.Write(s.data[done:begin])
		done = begin
		for _, b := range s.bodies[i] {
			fmt.Fprintf(&out, "\nif theMistake == %d {\n%s\n", b.mistake, b.text)
			if f.Type.Results == nil {
				out.WriteString("return\n")
			}
			out.WriteString("}\n")
		}
	}
	out.Write(s.data[done:])
	return out.String()
}
