package sealed

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Table is a table whose rows have a CRC.
type Table struct {
	Name string
	// Columns are the definitions of its columns, one a line, each ended by a comma.
	Columns string
	// Constraints of the whole table; "" if there are none.
	Constraints string
	// Of are the columns that the CRC is of, without those that have one of their own; nil: all.
	Of []string
	// Key are how many of the sealed columns, the first ones, tell rows apart.
	Key int
	// Often is that of a table whose rows change with each message: there is no trigger, which costs
	// a delivery a tenth. Each UPDATE of it has "WHERE sound" instead.
	Often bool
	// WithoutRowID is SQLite's.
	WithoutRowID bool
}

// names returns the names of all columns.
func (t Table) names() []string {
	var out []string
	for line := range strings.Lines(t.Columns) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f[0])
		}
	}
	return out
}

// Sealed returns the names of the columns that the CRC is of, as SQL writes them.
func (t Table) Sealed() []string {
	if t.Of != nil {
		return t.Of
	}
	return t.names()
}

// Create returns the statements that make the table, if it is not there.
func (t Table) Create() []string {
	constraints, options := "", "STRICT"
	if t.Constraints != "" {
		constraints = ", " + t.Constraints
	}
	if t.WithoutRowID {
		options += ", WITHOUT ROWID"
	}
	out := []string{
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS %[1]s (%[2]s\n\tseal INTEGER NOT NULL GENERATED ALWAYS AS (row_crc('%[1]s', %[3]s)) STORED,"+
			"\n\tsound INTEGER GENERATED ALWAYS AS (row_is_sound(seal, '%[1]s', %[3]s)) VIRTUAL%[4]s) %[5]s",
			t.Name, t.Columns, strings.Join(t.Sealed(), ", "), constraints, options),
	}
	if t.Often {
		return out
	}
	return append(out, fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS %[1]s_seal BEFORE UPDATE ON %[1]s WHEN NOT OLD.sound BEGIN SELECT 1; END", t.Name))
}

// rows is what a statement reads in place of the table. That the check is a column of it, and not written
// out here, keeps SQLite from putting the constants in it that the statement compares other columns to.
func (t Table) rows() string {
	return fmt.Sprintf("(SELECT %[1]s FROM %[2]s WHERE sound) AS %[2]s", strings.Join(t.names(), ", "), t.Name)
}

// Expand replaces the names of tables in braces by their rows, each of which is checked.
func Expand(sql string, tables []Table) string {
	if !strings.Contains(sql, "{") {
		return sql
	}
	for _, t := range tables {
		sql = strings.ReplaceAll(sql, "{"+t.Name+"}", t.rows())
	}
	return sql
}

// Intact is Expand for who passes over the rows that do not match: that there are any he has to tell otherwise.
func (t Table) Intact(sql string) string {
	columns := strings.Join(t.Sealed(), ", ")
	return strings.ReplaceAll(sql, "{"+t.Name+"}",
		fmt.Sprintf("(SELECT %[1]s FROM %[2]s WHERE row_crc('%[2]s', %[3]s) IS seal) AS %[2]s", strings.Join(t.names(), ", "), t.Name, columns))
}

// Damaged asks for all columns that are sealed, and the CRC, of rows that do not match it.
func (t Table) Damaged() string {
	columns := strings.Join(t.Sealed(), ", ")
	return fmt.Sprintf("SELECT %[1]s, seal FROM %[2]s WHERE row_crc('%[2]s', %[1]s) IS NOT seal", columns, t.Name)
}

// Describe names a row in words.
func (t Table) Describe(row []driver.Value) string {
	return describe(t.Name, row[:min(t.Key, len(row))])
}

func describe(table string, key []driver.Value) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the row of table %s", table)
	for i, v := range key {
		b.WriteString([]string{" (", ", "}[min(i, 1)])
		switch v := v.(type) {
		case string:
			fmt.Fprintf(&b, "%.100q", v)
		case []byte:
			fmt.Fprintf(&b, "%.100x", v)
		default:
			fmt.Fprint(&b, v)
		}
	}
	if len(key) > 0 {
		b.WriteString(")")
	}
	return b.String()
}

// ErrRow is the error for a row that does not match its CRC.
var ErrRow = errors.New("does not match its CRC")

// rowError is what SQLite says of a row that does not match: the text of ErrRow and the
// row, which is all that a function can hand through it.
type rowError struct{ err error }

func (e rowError) Error() string   { return e.err.Error() }
func (e rowError) Unwrap() []error { return []error{e.err, ErrRow} }

// Classify makes an error of SQLite one that is ErrRow where it is.
func Classify(err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) && se.Code()&0xff == sqlite3.SQLITE_ERROR && strings.Contains(se.Error(), ErrRow.Error()) {
		return rowError{err}
	}
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the CRC of a row: docs/formats.md, "CRCs of rows". values are the table's name
// and the sealed columns.
func Sum(values ...driver.Value) int64 {
	var buf [256]byte
	p := buf[:0]
	crc := uint32(0)
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			p = binary.BigEndian.AppendUint64(append(p, 'i'), uint64(v))
		case string:
			p = binary.BigEndian.AppendUint64(append(p, 't'), uint64(len(v)))
			p = append(p, v...)
		case []byte:
			p = binary.BigEndian.AppendUint64(append(p, 'b'), uint64(len(v)))
			p = append(p, v...)
		default: // NULL; STRICT tables have no other but REAL, which no column is
			p = append(p, 'n')
		}
		if len(p) > 128 {
			crc, p = crc32.Update(crc, castagnoli, p), p[:0]
		}
	}
	return int64(crc32.Update(crc, castagnoli, p))
}

// seals is the driver whose connections have the two functions. The driver keeps what it is
// given for as long as the process lives, so there is one.
var seals = sync.OnceValues(func() (*sqlite.Driver, error) {
	d := new(sqlite.Driver)
	err := d.RegisterFunction("row_crc", &sqlite.FunctionImpl{NArgs: -1, Deterministic: true, VolatileArgs: true,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) { return Sum(args...), nil }})
	if err != nil {
		return nil, err
	}
	return d, d.RegisterFunction("row_is_sound", &sqlite.FunctionImpl{NArgs: -1, Deterministic: true, VolatileArgs: true, Scalar: check})
})

// check is 1, or the error that names the row: of a CRC, the table and the sealed columns.
func check(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	if crc, is := args[0].(int64); is && crc == Sum(args[1:]...) {
		return int64(1), nil
	}
	table, _ := args[1].(string)
	return nil, fmt.Errorf("%s %w", describe(table, args[2:min(len(args), 5)]), ErrRow)
}

// Open opens a connection that can write and check sealed tables.
func Open(dsn string) (driver.Conn, error) {
	d, err := seals()
	if err != nil {
		return nil, err
	}
	return d.Open(dsn)
}

// Connector opens such connections for sql.OpenDB.
func Connector(dsn string) driver.Connector { return connector(dsn) }

type connector string

// Connect is driver.Connector's.
func (c connector) Connect(context.Context) (driver.Conn, error) { return Open(string(c)) }

// Driver is driver.Connector's.
func (c connector) Driver() driver.Driver { return opener{} }

type opener struct{}

// Open is driver.Driver's.
func (opener) Open(dsn string) (driver.Conn, error) { return Open(dsn) }
