package idle

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"teraslot/bench/daemon"
)

func TestMain(m *testing.M) {
	daemon.Tags("steps") // the hashes of passwords are cheap
	code := m.Run()
	daemon.Clean()
	os.Exit(code)
}

// TestIdle holds that each of some idle sessions is told, COUNT of them, and that the
// server keeps neither their databases open nor much memory for them.
func TestIdle(t *testing.T) {
	n := 60
	if count, err := strconv.Atoi(os.Getenv("COUNT")); err == nil && count > 0 {
		n = count
	}
	rest := time.Second
	if n >= 1000 {
		rest = 12 * time.Second // the memory of so many is looked at
	}
	r := Run(t, filepath.Join(daemon.Scratch(t), "slot"), n, rest)
	t.Logf("resident: none %d MB, idle %d MB, after %d MB", r.Empty>>20, r.Idle>>20, r.After>>20)
	if r.Told != n {
		t.Errorf("%d of %d sessions were told of their message", r.Told, n)
	}
	if r.Databases > few {
		t.Errorf("%d databases are open while %d users idle", r.Databases, n)
	}
	limit := int64(100 << 20)
	if n > 1000 {
		limit = 80_000 * int64(n)
	}
	if n >= 1000 && r.Idle > limit {
		t.Errorf("%d bytes for %d idle sessions", r.Idle, n)
	}
}
