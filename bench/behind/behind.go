package behind

import (
	"database/sql"
	"errors"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"

	"teraslot/sealed"
)

var generated = regexp.MustCompile(`(?s) GENERATED ALWAYS AS \(row_crc\(.*\) VIRTUAL`)

// Exec runs statements on the database at path, in which CRCs are columns like others and nothing
// is checked: an INSERT has to name its columns.
func Exec(path string, statements ...string) (err error) {
	rules := map[string]string{}
	err = with(path, func(db *sql.DB) error {
		rows, err := db.Query(`SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%GENERATED ALWAYS AS (row_crc%' OR type = 'trigger'`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, text string
			if err := rows.Scan(&name, &text); err != nil {
				return err
			}
			rules[name] = text
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	if err := schema(path, rules, func(text string) string {
		return strings.Replace(generated.ReplaceAllString(text, ""), "WHEN NOT OLD.sound", "WHEN 0", 1)
	}); err != nil {
		return err
	}
	err = with(path, func(db *sql.DB) error {
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, schema(path, rules, func(text string) string { return text }))
}

func schema(path string, rules map[string]string, form func(string) string) error {
	return with(path, func(db *sql.DB) error {
		if _, err := db.Exec("PRAGMA writable_schema = ON"); err != nil {
			return err
		}
		for name, text := range rules {
			if _, err := db.Exec("UPDATE sqlite_schema SET sql = ? WHERE name = ?", form(text), name); err != nil {
				return err
			}
		}
		return nil
	})
}

func with(path string, fn func(*sql.DB) error) error {
	db := sql.OpenDB(sealed.Connector((&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_pragma=busy_timeout(10000)"}).String()))
	db.SetMaxOpenConns(1)
	return errors.Join(fn(db), db.Close())
}

// Value is one value of a database: a column of a row.
type Value struct {
	Table, Column, Key string // Key is an expression that is true of the row alone
}

// Values returns all of them, in an order that is always the same, but for the CRCs of sealed tables' rows.
func Values(path string) (out []Value, err error) {
	err = with(path, func(db *sql.DB) error {
		tables, err := texts(db, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
		if err != nil {
			return err
		}
		for _, table := range tables {
			columns, err := texts(db, `SELECT '"' || name || '"' FROM pragma_table_info(?) ORDER BY cid`, table)
			if err != nil {
				return err
			}
			key, err := texts(db, `SELECT '"' || name || '" IS ''||quote("' || name || '")||''' FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk`, table)
			if err != nil {
				return err
			}
			rows, err := texts(db, `SELECT '`+strings.Join(key, " AND ")+`' FROM "`+table+`"`)
			if err != nil {
				return err
			}
			for _, row := range rows {
				for _, column := range columns {
					out = append(out, Value{table, column, row})
				}
			}
		}
		return nil
	})
	return out, err
}

func texts(db *sql.DB, query string, args ...any) (out []string, err error) {
	rows, err := db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Spoil gives a value another one, of the same type: a bit of it is another, or it is something else.
func (v Value) Spoil(path string, r *rand.Rand) error {
	next := []string{
		`CASE typeof(%) WHEN 'integer' THEN % + 1 WHEN 'text' THEN % || 'x' ELSE CAST(% || x'01' AS BLOB) END`,
		`CASE typeof(%) WHEN 'integer' THEN ((% | 4) - (% & 4)) WHEN 'text' THEN substr(%, 2) ELSE zeroblob(length(%)) END`,
		`CASE typeof(%) WHEN 'integer' THEN 0 WHEN 'text' THEN '' ELSE x'' END`,
		`CASE typeof(%) WHEN 'integer' THEN % - 1 WHEN 'text' THEN upper(%) ELSE substr(%, 2) END`,
		`CASE typeof(%) WHEN 'integer' THEN 1 << 40 WHEN 'text' THEN 'INBOX' ELSE randomblob(length(%)) END`,
	}[r.IntN(5)]
	return Exec(path, `UPDATE OR IGNORE "`+v.Table+`" SET `+v.Column+` = `+strings.ReplaceAll(next, "%", v.Column)+` WHERE `+v.Key)
}
