package script

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find returns the incident files that paths name: a file as it is, and of a
// directory every .yaml and .yml beneath it, sorted. None twice.
func Find(paths ...string) ([]string, error) {
	var all []string
	for _, path := range paths {
		found, err := beneath(path)
		if err != nil {
			return nil, fmt.Errorf("find incidents: %w", err)
		}
		for _, f := range found {
			if f = filepath.Clean(f); !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all, nil
}

func beneath(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var found []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := strings.ToLower(filepath.Ext(p))
		if !d.IsDir() && (ext == ".yaml" || ext == ".yml") {
			found = append(found, p)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("there is no .yaml or .yml in %s", path)
	}
	slices.Sort(found)
	return found, err
}
