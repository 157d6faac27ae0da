package slot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"teraslot/mailbox"
)

// TestTempOfPartitions: users of partitions without a temp of their own share the slot's
// and its size; the schedule is told of each temp by the key of its root, and of nobody
// whose place is not known.
func TestTempOfPartitions(t *testing.T) {
	c := newConfig(t, twoPartitions)
	const u = mailbox.User("0123456789abcdef0123456789abcdef")
	if err := os.MkdirAll(filepath.Join(c.Conf, u.Dir()), 0o700); err != nil {
		t.Fatal(err)
	}
	of := c.ScheduleOptions().TempOf
	if got, err := of(u); err != nil || got != "tiers.temp" {
		t.Errorf("who was never moved: %q, %v", got, err)
	}
	roots := make(map[string]bool)
	for _, r := range c.roots() {
		roots[r.key] = true
	}
	for partition, want := range map[string]string{"default": "tiers.temp", "spool": "tiers.temp", "other": "partitions.other.tiers.temp"} {
		if err := c.place(u, indexPlacement, placement{at: partition}); err != nil {
			t.Fatal(err)
		}
		if got, err := of(u); err != nil || got != want || !roots[got] {
			t.Errorf("in %s: %q, %v, want %q", partition, got, err, want)
		}
	}
	if err := c.place(u, indexPlacement, placement{at: "nowhere"}); err != nil {
		t.Fatal(err)
	}
	if got, err := of(u); !errors.Is(err, ErrMissing) {
		t.Errorf("in a partition that is not there: %q, %v", got, err)
	}
	if err := os.WriteFile(c.placementFile(u, indexPlacement), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := of(u); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with a damaged file: %q, %v", got, err)
	}
}
