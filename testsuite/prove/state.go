package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// state is how far the pairs of a seed have been played.
type state struct {
	Seed  uint64   `json:"seed"`
	Total int      `json:"total"` // pairs that there are
	Done  int      `json:"done"`  // in the order of the seed
	Wrong []string `json:"wrong"` // violations so far
}

// load reads where an earlier run stopped. When the product has changed so that
// there are other pairs, it begins anew.
func (c *campaign) load(total int) (state, error) {
	s := state{Seed: c.seed, Total: total}
	if c.statePath == "" {
		return s, nil
	}
	data, err := os.ReadFile(c.statePath)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read how far the pairs are: %w", err)
	}
	var kept state
	if err := json.Unmarshal(data, &kept); err != nil {
		return s, fmt.Errorf("read how far the pairs are: %s: %w", c.statePath, err)
	}
	if kept.Seed != s.Seed || kept.Total != s.Total {
		fmt.Fprintf(c.out, "%s is about %d pairs in the order of seed %d: it begins anew\n", c.statePath, kept.Total, kept.Seed)
		return s, nil
	}
	c.wrong = append(c.wrong, kept.Wrong...)
	return kept, nil
}

func (c *campaign) save(s state) error {
	if c.statePath == "" {
		return nil
	}
	s.Wrong = c.wrong
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(c.statePath, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember how far the pairs are: %w", err)
	}
	return nil
}
