package simulator

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"modernc.org/sqlite" // the database of every simulated system
)

// connector opens the one connection of a database. A universe opens thousands
// of databases that begin alike and asks each the same few hundred questions: so
// an image spares the laying out, and statements are prepared once.
type connector struct {
	driver driver.Driver
	dsn    string
	image  []byte
}

// openDatabase opens a file, or a database in memory when the name is empty.
func openDatabase(file string, image []byte) *sql.DB {
	c := connector{driver: &sqlite.Driver{}, dsn: ":memory:?_pragma=foreign_keys(1)", image: image}
	if file != "" {
		c.dsn = "file:" + file + "?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-65536)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
		c.image = nil
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(1) // an in-memory database lives as long as its one connection
	return db
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if len(c.image) > 0 {
		if err := conn.(interface{ Deserialize(image []byte) error }).Deserialize(c.image); err != nil {
			return nil, errors.Join(fmt.Errorf("begin with an image: %w", err), conn.Close())
		}
	}
	return &connection{sqliteConn: conn.(sqliteConn), prepared: map[string]*statement{}}, nil
}

// sqliteConn is what we use of a connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

// connection keeps the statements that it prepared.
type connection struct {
	sqliteConn
	prepared map[string]*statement
}

// statement is a prepared statement, which one at a time can use.
type statement struct {
	driver.Stmt
	busy bool
}

// mostPrepared bounds what is kept: some texts are made for one question.
const mostPrepared = 400

// statement returns a prepared statement that is free, or nil.
func (c *connection) statement(query string) (*statement, error) {
	s, known := c.prepared[query]
	if known && s.busy || !known && len(c.prepared) >= mostPrepared && len(query) > len("ROLLBACK") {
		return nil, nil
	}
	if known {
		return s, nil
	}
	prepared, err := c.Prepare(query)
	if err != nil {
		return nil, err
	}
	s = &statement{Stmt: prepared}
	c.prepared[query] = s
	return s, nil
}

// ExecContext implements driver.ExecerContext. What has no arguments is done
// once, as the laying out is.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	s, err := c.statement(query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &answers{Rows: rows, of: s}, nil
}

// BeginTx implements driver.ConnBeginTx.
func (c *connection) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	return c, c.do(ctx, "BEGIN")
}

// Commit implements driver.Tx.
func (c *connection) Commit() error { return c.do(context.Background(), "COMMIT") }

// Rollback implements driver.Tx.
func (c *connection) Rollback() error { return c.do(context.Background(), "ROLLBACK") }

func (c *connection) do(ctx context.Context, query string) error {
	s, err := c.statement(query)
	if err != nil || s == nil {
		return errors.Join(err, errors.New(query+" cannot be prepared"))
	}
	_, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, nil)
	return err
}

// Close implements driver.Conn.
func (c *connection) Close() error {
	for _, s := range c.prepared {
		_ = s.Close()
	}
	return c.sqliteConn.Close()
}

// answers are the rows of a prepared statement.
type answers struct {
	driver.Rows
	of *statement
}

// Close gives the statement back.
func (a *answers) Close() error {
	a.of.busy = false
	return a.Rows.Close()
}

// Image returns the database of a system as it is, with which another one can
// begin.
func (s *System) Image() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return nil, fmt.Errorf("simulated %s: take an image: %w", s.Name, err)
	}
	defer func() { _ = conn.Close() }()
	var image []byte
	err = conn.Raw(func(raw any) error {
		image, err = raw.(*connection).sqliteConn.(interface{ Serialize() ([]byte, error) }).Serialize()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("simulated %s: take an image: %w", s.Name, err)
	}
	return image, nil
}
