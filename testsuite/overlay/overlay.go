// Package overlay compiles the product with mistakes in it and leaves every file
// as it is: Go's build overlay puts a changed copy in a file's place. So a tool
// can ask whether the proofs would notice, and no mistake ever lies in the tree.
package overlay

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Change is one change of a file: the first text becomes the second.
type Change struct {
	File string // from the root of the repository
	// From stands in the file exactly once.
	From, To string
}

// Apply returns the file with the change. A text that is not there any more, or
// is there twice, is an error: the change means nothing then.
func (c Change) Apply(source string) (string, error) {
	if n := strings.Count(source, c.From); n != 1 {
		return "", fmt.Errorf("its text stands %d times in %s, want once: %q", n, c.File, c.From)
	}
	return strings.Replace(source, c.From, c.To, 1), nil
}

// Root returns the folder of the repository.
func Root(ctx context.Context) (string, error) {
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(gomod))), nil
}

// Apply returns the changed files, by their paths from the root.
func Apply(root string, changes []Change) (map[string]string, error) {
	changed := map[string]string{}
	for _, c := range changes {
		source, known := changed[c.File]
		if !known {
			data, err := os.ReadFile(filepath.Join(root, c.File))
			if err != nil {
				return nil, fmt.Errorf("read what is to be changed: %w", err)
			}
			source = string(data)
		}
		var err error
		if changed[c.File], err = c.Apply(source); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// Write writes the changed files into a folder, under a name that no other has
// there, and returns the list that puts them in the others' place.
func Write(root, folder, name string, changes []Change) (string, error) {
	changed, err := Apply(root, changes)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, source := range changed {
		to := filepath.Join(folder, name+"-"+strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(to, []byte(source), 0o600); err != nil {
			return "", fmt.Errorf("write the changed %s: %w", file, err)
		}
		replace[filepath.Join(root, file)] = to
	}
	return writeList(folder, name, replace)
}

// writeList writes the list that puts files in the others' place.
func writeList(folder, name string, replace map[string]string) (string, error) {
	data, err := json.Marshal(map[string]any{"Replace": replace})
	list := filepath.Join(folder, name+".json")
	if err == nil {
		err = os.WriteFile(list, data, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	return list, nil
}

// Name makes a name for files of one that is for people.
func Name(of string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(of))
}
