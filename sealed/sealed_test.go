package sealed_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/bench/behind"
	"teraslot/sealed"
)

var fruit = sealed.Table{Name: "fruit", Key: 1, Columns: `
	name TEXT PRIMARY KEY,
	n INTEGER NOT NULL,
	raw BLOB,`}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db := sql.OpenDB(sealed.Connector("file:" + path))
	t.Cleanup(func() { db.Close() })
	return db
}

func do(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestRowsAreChecked: whatever statement wrote a row, it is read; one whose value, or whose CRC, was made another is
// an error, and its neighbours are not. What is compared to a constant is checked as it is stored.
func TestRowsAreChecked(t *testing.T) {
	for _, spoil := range []string{"", "n = 7", "raw = x'00'", "raw = NULL", "seal = seal + 1", "n = 2"} {
		path := filepath.Join(t.TempDir(), "db")
		db := open(t, path)
		do(t, db, fruit.Create()...)
		do(t, db, `INSERT INTO fruit VALUES ('apple', 1, x'0102'), ('pear', 2, NULL)`, `UPDATE fruit SET n = n + 1`,
			`INSERT INTO fruit VALUES ('pear', 9, x'') ON CONFLICT DO UPDATE SET n = 5`, `REPLACE INTO fruit VALUES ('fig', 3, x'')`)
		if spoil != "" {
			if err := behind.Exec(path, "UPDATE fruit SET "+spoil+" WHERE name = 'apple'"); err != nil {
				t.Fatal(err)
			}
		}
		same := spoil == "" || spoil == "n = 2"
		for query, meets := range map[string]bool{`SELECT n FROM {fruit} WHERE name = 'apple'`: true, `SELECT n FROM {fruit} WHERE name = 'pear'`: false,
			`SELECT sum(n) FROM {fruit}`: true, `SELECT n FROM {fruit} WHERE n = 2`: true, `SELECT fruit.n FROM {fruit} JOIN (SELECT 'fig' AS x) ON x = fruit.name`: false} {
			var n int
			err := sealed.Classify(db.QueryRow(sealed.Expand(query, []sealed.Table{fruit})).Scan(&n))
			if meets && !same {
				if !errors.Is(err, sealed.ErrRow) || !strings.Contains(err.Error(), "table fruit (\"apple\"") {
					t.Errorf("%s after %s: %v", query, spoil, err)
				}
			} else if err != nil {
				t.Errorf("%s after %q: %v", query, spoil, err)
			}
		}
		_, err := db.Exec(`UPDATE fruit SET n = 1 WHERE name = 'apple'`)
		if err = sealed.Classify(err); errors.Is(err, sealed.ErrRow) == same {
			t.Errorf("a change after %q: %v", spoil, err)
		}
	}
}

// TestMend: a row with one wrong bit, or one wrong value that is known otherwise, is what it was; with more it is not made up.
func TestMend(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	was := []driver.Value{"a name", int64(77), []byte("some octets")}
	crc := sealed.Sum(append([]driver.Value{"fruit"}, was...)...)
	for range 200 {
		now := slices.Clone(was)
		switch r.IntN(3) {
		case 0:
			b := []byte("a name")
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			now[0] = string(b)
		case 1:
			now[1] = int64(77) ^ 1<<r.IntN(64)
		case 2:
			b := []byte("some octets")
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			now[2] = b
		}
		if got, ok := fruit.Mend(now, crc, nil); !ok || sealed.Sum(append([]driver.Value{"fruit"}, got...)...) != crc {
			t.Fatalf("%v: %v, %v", now, got, ok)
		}
		now[0], now[1] = now[0].(string)+"zz", now[1].(int64)^3<<r.IntN(60)
		if got, ok := fruit.Mend(now, crc, nil); ok {
			t.Fatalf("%v was mended to %v", now, got)
		}
	}
	if got, ok := fruit.Mend([]driver.Value{"a name", int64(-5), was[2]}, crc, [][]driver.Value{{"x"}, {int64(3), int64(77)}}); !ok || got[1] != int64(77) {
		t.Errorf("a known value: %v, %v", got, ok)
	}
	if _, ok := fruit.Mend(was, crc^16, nil); !ok {
		t.Error("a bit of the CRC")
	}
}

// TestSumTellsValuesApart: moving octets from one value to the next, or a value's type, is another row.
func TestSumTellsValuesApart(t *testing.T) {
	seen := map[int64]bool{}
	rows := [][]driver.Value{{"t", "ab", "c"}, {"t", "a", "bc"}, {"t", []byte("ab"), "c"}, {"t", nil, "c"}, {"t", "", "c"}, {"t", "c"}, {"t", int64(0), "c"},
		{"t", strings.Repeat("x", 1000)}, {"t", strings.Repeat("x", 999), "x"}}
	for _, row := range rows {
		seen[sealed.Sum(row...)] = true
	}
	if len(seen) != len(rows) {
		t.Errorf("%d rows have %d sums", len(rows), len(seen))
	}
}
