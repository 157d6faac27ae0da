package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"teraslot/sealed"
)

// conn is one connection to a mail.db, with its prepared statements. It is used
// by one goroutine at a time. It speaks to the driver directly: database/sql's
// pool, locks and conversions cost more than SQLite itself for statements as
// small as these.
type conn struct {
	dc    driver.Conn
	stmts map[string]*statement
	// unsealed says that it is a mail.db of a version that has no CRCs of rows.
	unsealed bool
	sound    map[string]bool // tables of which soundOnce read all rows
}

type statement struct {
	stmt driver.Stmt
	row  []driver.Value
	args []driver.NamedValue
}

// A WAL of checkpointPages pages of 4 KiB is copied into the database by the
// commit that reaches it. A larger one takes longer to read and lies longer on
// disk; a smaller one makes deliveries wait more often for the copying.
const checkpointPages = 2000

// openConn opens the database at path, which must exist.
func openConn(path string, readOnly bool) (*conn, error) {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(10000)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "cache_size(-2048)")
	q.Add("_pragma", "wal_autocheckpoint("+strconv.Itoa(checkpointPages)+")")
	q.Add("_pragma", "journal_size_limit(16777216)")
	if readOnly {
		q.Set("mode", "ro")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("mode", "rw")
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return dial(u.String())
}

func dial(dsn string) (*conn, error) {
	dc, err := sealed.Open(dsn)
	if err != nil {
		return nil, classify(err)
	}
	return &conn{dc: dc, stmts: map[string]*statement{}, sound: map[string]bool{}}, nil
}

// openCopy opens a copy of mail.db to read it, of this version or an earlier one.
func openCopy(path string) (*conn, error) {
	c, err := openConn(path, true)
	if err != nil {
		return nil, err
	}
	version, err := c.integer("PRAGMA user_version")
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.unsealed = version < 4
	return c, nil
}

// close ends the connection. The last one to a database copies its WAL back.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.stmt.Close())
	}
	return errors.Join(append(errs, c.dc.Close())...)
}

func (c *conn) prepare(sql string) (*statement, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	expanded := sealed.Expand(sql, sealedTables)
	if c.unsealed {
		expanded = strings.NewReplacer("{", "", "}", "").Replace(sql)
	}
	stmt, err := c.dc.Prepare(expanded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, classify(err))
	}
	s := &statement{stmt: stmt}
	c.stmts[sql] = s
	return s, nil
}

func (s *statement) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs one statement with arguments of the types int64, string and []byte.
func (c *conn) exec(sql string, args ...any) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	_, err = s.stmt.(driver.StmtExecContext).ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return fmt.Errorf("%s: %w", sql, classify(err))
	}
	return nil
}

// each calls fn with every row of a query until one fails. The row belongs to
// the statement and is overwritten by the next; strings and blobs in it are
// copies and may be kept. fn must not run the same statement.
func (c *conn) each(sql string, fn func(row []driver.Value) error, args ...any) (err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := s.stmt.(driver.StmtQueryContext).QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return fmt.Errorf("%s: %w", sql, classify(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if n := len(rows.Columns()); len(s.row) != n {
		s.row = make([]driver.Value, n)
	}
	for {
		if err := rows.Next(s.row); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", sql, classify(err))
		}
		if err := fn(s.row); err != nil {
			return err
		}
	}
}

// one calls fn with the first row of a query and reports whether there was one.
func (c *conn) one(sql string, fn func(row []driver.Value) error, args ...any) (bool, error) {
	found := false
	err := c.each(sql, func(row []driver.Value) error {
		if found {
			return nil
		}
		found = true
		return fn(row)
	}, args...)
	return found, err
}

// integer returns the one integer that a query yields.
func (c *conn) integer(sql string, args ...any) (int64, error) {
	var n int64
	found, err := c.one(sql, func(row []driver.Value) error {
		n, _ = row[0].(int64)
		return nil
	}, args...)
	if err == nil && !found {
		err = fmt.Errorf("%s: no row", sql)
	}
	return n, err
}

// The types of columns are held by STRICT tables; a NULL or a value of another
// type, which only damage can bring, reads as the zero value and fails the
// CRC that covers it.

func integer(v driver.Value) int64 { n, _ := v.(int64); return n }
func text(v driver.Value) string   { s, _ := v.(string); return s }
func blob(v driver.Value) []byte   { b, _ := v.([]byte); return b }
