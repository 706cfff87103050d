package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite" // also registers the SQL driver "sqlite"
	schema "go.temporal.io/server/schema/sqlite"
)

// database is the engine's only store: histories and visibility in one SQLite file, or in memory.
type database struct {
	config *config.SQL
	file   string // empty: in memory
	lock   *sql.DB
}

// openDatabase locks the file, so that two engines never write to one, and sets up the tables of a new one.
func openDatabase(ctx context.Context, file string, durable bool) (*database, error) {
	if file == "" {
		return &database{config: &config.SQL{
			PluginName:        sqlite.PluginName,
			DatabaseName:      strconv.FormatUint(rand.Uint64(), 10),
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}}, nil
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("resolving the database's path %s: %w; give another with --db", file, err)
	}
	if err := createFile(file); err != nil {
		return nil, err
	}
	lock, err := lockFile(ctx, file)
	if err != nil {
		return nil, err
	}
	d := &database{file: file, lock: lock, config: &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: escape(file),
		ConnectAttributes: map[string]string{
			"mode": "rw",
			// Write-ahead logging is what makes a file nearly as fast as memory: a write costs no wait for the
			// disk. A killed process loses nothing. A power cut may take the last moments with it, but never
			// breaks the file; who cannot live with that pays for --durable.
			"journal_mode": "wal",
			"synchronous":  "1",
			"busy_timeout": "5000", // somebody may be reading or backing up the file
		},
	}}
	if durable {
		d.config.ConnectAttributes["synchronous"] = "2"
	}
	if err := d.setUp(ctx); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return d, nil
}

// createFile makes an empty file that only its owner can read, for histories hold customers' data. SQLite gives
// its side files the same permissions.
func createFile(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("creating the database's folder: %w; give a writable path with --db", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the database for writing: %w; give a writable path with --db", err)
	}
	return f.Close()
}

// lockFile holds FILE.lock until the process ends, however it ends. Two engines on one file would each believe
// that they own the only shard. The lock is not on the database itself, so that it can be backed up while in use;
// it is SQLite's, so that it works wherever the database does.
func lockFile(ctx context.Context, file string) (*sql.DB, error) {
	lock, err := sql.Open("sqlite", "file:"+escape(file+".lock")+"?mode=rwc&_pragma=journal_mode(memory)")
	if err != nil {
		return nil, fmt.Errorf("locking the database %s: %w", file, err)
	}
	lock.SetMaxOpenConns(1)
	if _, err := lock.ExecContext(ctx, "BEGIN EXCLUSIVE"); err != nil {
		_ = lock.Close()
		if strings.Contains(err.Error(), "SQLITE_BUSY") {
			return nil, fmt.Errorf("the database %s is used by another engine: stop that one, or give another file with --db", file)
		}
		return nil, fmt.Errorf("locking the database with %s.lock: %w; give a writable path with --db", file, err)
	}
	return lock, nil
}

// setUp makes the tables of a new file in one transaction: an engine that is killed half-way leaves a file that
// is still new.
func (d *database) setUp(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+d.config.DatabaseName+"?mode=rw")
	if err != nil {
		return fmt.Errorf("opening the database %s: %w", d.file, err)
	}
	defer func() { _ = db.Close() }()
	var tables, ours int
	query := "SELECT count(*), count(CASE WHEN name = 'namespaces' THEN 1 END) FROM sqlite_master WHERE type = 'table'"
	if err := db.QueryRowContext(ctx, query).Scan(&tables, &ours); err != nil {
		return fmt.Errorf("reading the database %s: %w; give the file of an earlier engine, or a new one, with --db", d.file, err)
	}
	if tables > 0 {
		if ours == 0 {
			return fmt.Errorf("the database %s belongs to another program; give another file with --db", d.file)
		}
		return nil
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("setting up the database %s: %w", d.file, err)
	}
	err = schema.SetupSchemaOnDB(schemaWriter{tx: tx})
	if err != nil {
		return errors.Join(fmt.Errorf("setting up the database %s: %w", d.file, err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("setting up the database %s: %w; is the disk full?", d.file, err)
	}
	return nil
}

// schemaWriter lets the server's set-up run inside our transaction. Of AdminDB it needs Exec alone.
type schemaWriter struct {
	sqlplugin.AdminDB
	tx *sql.Tx
}

func (w schemaWriter) Exec(statement string, args ...any) error {
	_, err := w.tx.Exec(statement, args...)
	return err
}

// close folds the write-ahead log into the file, so that the file alone is the whole state, and gives up the lock.
func (d *database) close() error {
	if d.file == "" {
		return nil
	}
	defer func() { _ = d.lock.Close() }()
	db, err := sql.Open("sqlite", "file:"+d.config.DatabaseName+"?mode=rw&_pragma=busy_timeout=1000")
	if err != nil {
		return fmt.Errorf("closing the database %s: %w", d.file, err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("closing the database %s: %w; nothing is lost, keep the file together with its -wal file", d.file, err)
	}
	return nil
}

// escape makes a path safe inside SQLite's file: URIs.
func escape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
}
