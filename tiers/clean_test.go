package tiers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestCleanWhatWasTheFirst: what an interrupted commit has left in the first database
// goes, also when an interrupted compaction has put another in front of it since.
func TestCleanWhatWasTheFirst(t *testing.T) {
	t.Parallel()
	x := newSet(t, testOptions(t.TempDir())).User(testUser)
	commit(t, x, docsOf(0, 3)...)
	active, err := x.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := x.databaseDir(active.Databases[0])
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, storeDir, "000000000099.lists")
	if err := os.WriteFile(left, []byte("half a segment"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("interrupted")
	_, err = x.Compact(t.Context(), CompactOptions{Sources: []string{"temp"}, Dest: "data", Pace: func(context.Context, int) error { return stop }})
	if !errors.Is(err, stop) {
		t.Fatalf("the compaction ended with %v", err)
	}
	commit(t, x, docsOf(3, 5)...)
	if now, err := x.read(t.Context()); err != nil || now.Databases[0] == active.Databases[0] {
		t.Fatalf("active is %s, %v: nothing was put in front", now, err)
	}
	noLeftovers(t, x)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", left, err)
	}
}
