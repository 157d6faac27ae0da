package account

import (
	"cmp"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"teraslot/bench/behind"
	"teraslot/sealed"
)

// TestAnyValueDamaged gives single values of slot.db others, behind its back: nobody is then somebody else, has another
// quota or password, or is not there, but an error names the row; a copy is not made, and what the CRC
// proves with the entries of a backup is mended.
func TestAnyValueDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	a, err := Open(t.Context(), path, Options{Cost: Cost{Memory: 8, Passes: 1, Lanes: 1}})
	check(t, err)
	for _, name := range []string{"anna", "berta", "carla"} {
		_, err := a.Add(t.Context(), name, "one", Quota{Bytes: 1000, Messages: 7})
		check(t, err)
		check(t, a.MadeMail(t.Context(), name))
	}
	want, err := a.List(t.Context())
	check(t, err)
	known, err := a.Entries(t.Context())
	check(t, err)
	check(t, a.Close())
	whole, err := os.ReadFile(path)
	check(t, err)
	values, err := behind.Values(path)
	check(t, err)
	found, mended := 0, 0
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "120"))
	check(t, err)
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), "1"), 10, 64)
	check(t, err)
	for n := range count {
		check(t, os.WriteFile(path, whole, 0o600))
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		v := values[r.IntN(len(values))]
		if v.Spoil(path, r) != nil {
			continue // a rule of the table
		}
		a, err := Open(t.Context(), path, Options{Cost: Cost{Memory: 8, Passes: 1, Lanes: 1}, Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		damaged := 0
		check(t, a.Verify(t.Context(), func(string) { damaged++ }))
		for _, acc := range want {
			got, err := a.Lookup(t.Context(), acc.Name)
			if err == nil && got != acc {
				t.Errorf("%s of %s: %s is %+v", v.Column, v.Key, acc.Name, got)
			}
			if err != nil && (!errors.Is(err, ErrDamaged) || !errors.Is(err, sealed.ErrRow)) {
				t.Errorf("%s of %s: %s: %v", v.Column, v.Key, acc.Name, err)
			}
			if _, err := a.Authenticate(t.Context(), acc.Name, "two"); err == nil || damaged == 0 && !errors.Is(err, ErrCredentials) {
				t.Errorf("%s of %s: %v", v.Column, v.Key, err)
			}
		}
		all, err := a.List(t.Context())
		if err == nil && !slices.Equal(all, want) || damaged > 0 && err == nil {
			t.Errorf("%s of %s: a list of %d, %v", v.Column, v.Key, len(all), err)
		}
		if err := a.Snapshot(t.Context(), filepath.Join(t.TempDir(), "copy")); (err != nil) != (damaged > 0) {
			t.Errorf("%s of %s: a copy: %v", v.Column, v.Key, err)
		}
		found += damaged
		left, err := a.Repair(t.Context(), []Copy{{"a backup", known}}, func(string) {})
		check(t, err)
		if left > 0 {
			t.Errorf("%s of %s was not mended", v.Column, v.Key)
		} else if all, err := a.List(t.Context()); err != nil || !slices.Equal(all, want) {
			t.Errorf("%s of %s, mended: %+v, %v", v.Column, v.Key, all, err)
		} else if damaged > 0 {
			mended++
		}
		check(t, a.Close())
	}
	t.Logf("proof: %d values, seed %d: %d rows were damaged and mended", count, seed, mended)
	if found == 0 || mended != found {
		t.Errorf("%d damages were found, and %d mended", found, mended)
	}
}
