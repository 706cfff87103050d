package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	_ "modernc.org/sqlite" // counts the pages of the engine's database
)

// ticksPerSecond is in which the kernel tells CPU time to programs, on every
// architecture that it runs on with Go.
const ticksPerSecond = 100

// usage reads what the processes have used up to now.
func (s *stage) usage(ctx context.Context) (used, error) {
	disk, err := s.pages(ctx)
	if err != nil {
		return used{}, err
	}
	return used{
		engine: cpu(s.enginePID()), worker: cpu(s.worker.pid()), systems: cpu(s.systems.pid()), gateway: cpu(s.gateway.pid()), disk: disk,
	}, nil
}

// cpu returns the CPU time of a process in milliseconds; NaN where there is no
// proc file system to tell.
func cpu(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return math.NaN()
	}
	text := string(data)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // the name may hold anything
	const user, system = 11, 12                                     // after the name
	if len(fields) <= system {
		return math.NaN()
	}
	u, err1 := strconv.ParseFloat(fields[user], 64)
	k, err2 := strconv.ParseFloat(fields[system], 64)
	if err1 != nil || err2 != nil {
		return math.NaN()
	}
	return (u + k) * 1000 / ticksPerSecond
}

// pages returns the bytes that the engine's database uses: its pages less the
// free ones, those that are still in the write-ahead log included.
func (s *stage) pages(ctx context.Context) (float64, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "engine.db")+"?_pragma=busy_timeout(10000)&_pragma=query_only(1)")
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	var count, free, size float64
	for name, into := range map[string]*float64{"page_count": &count, "freelist_count": &free, "page_size": &size} {
		if err := db.QueryRowContext(ctx, "PRAGMA "+name).Scan(into); err != nil {
			return 0, fmt.Errorf("count the pages of the engine's database: %w", err)
		}
	}
	return (count - free) * size, nil
}
