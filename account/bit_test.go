package account

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestBitOnDisk: where a bit of a name or an id is another in the file, an index may still lead to the row by what it was.
// Whom it is of is himself or an error, nobody takes a name meanwhile, the others are listed, and the row is
// mended, index and all.
func TestBitOnDisk(t *testing.T) {
	for _, what := range []string{"name", "id"} {
		path := filepath.Join(t.TempDir(), "slot.db")
		o := Options{Cost: Cost{Memory: 8, Passes: 1, Lanes: 1}, Logger: slog.New(slog.DiscardHandler)}
		a, err := Open(t.Context(), path, o)
		check(t, err)
		anna, err := a.Add(t.Context(), "annalena", "one", Quota{})
		check(t, err)
		berta, err := a.Add(t.Context(), "bertabel", "one", Quota{})
		check(t, err)
		check(t, a.Close())
		b, err := os.ReadFile(path)
		check(t, err)
		row := []byte(string(anna.ID) + "annalena") // both stand in the row alone, one after the other
		if bytes.Count(b, row) != 1 {
			t.Fatalf("the row is there %d times", bytes.Count(b, row))
		}
		at := bytes.Index(b, row)
		if what == "name" {
			at += len(anna.ID)
		}
		b[at] ^= 2
		check(t, os.WriteFile(path, b, 0o600))
		a, err = Open(t.Context(), path, o)
		check(t, err)
		if got, err := a.Lookup(t.Context(), "annalena"); err == nil && got != anna || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if all, err := a.List(t.Context()); !slices.Contains(all, berta) || err == nil && !slices.Contains(all, anna) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: a list of %+v, %v", what, all, err)
		}
		for _, name := range []string{"annalena", "carolina"} {
			if _, err := a.Add(t.Context(), name, "two", Quota{}); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrExists) {
				t.Errorf("%s: %s is added: %v", what, name, err)
			}
		}
		left, err := a.Repair(t.Context(), nil, func(string) {})
		check(t, err)
		all, err := a.List(t.Context())
		check(t, err)
		if left > 0 || !slices.Equal(all, []Account{anna, berta}) {
			t.Errorf("%s: %d rows are left, %+v", what, left, all)
		}
		var s string
		if check(t, a.db.QueryRow("PRAGMA integrity_check").Scan(&s)); s != "ok" {
			t.Errorf("%s: %s", what, s)
		}
		check(t, a.Close())
	}
}
