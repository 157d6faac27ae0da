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

// TestVisits holds that users of whom each gets a message and searches for it, COUNT of them,
// one after the other, find it, and that the databases opened for them take no more
// descriptors and memory than those of the users who stay open: 1,024.
func TestVisits(t *testing.T) {
	n := 30
	if count, err := strconv.Atoi(os.Getenv("COUNT")); err == nil && count > 0 {
		n = count
	}
	v := Visit(t, filepath.Join(daemon.Scratch(t), "slot"), n)
	t.Logf("proof: %d users: resident %d MB before and %d MB at most, %d descriptors and %d databases open at most, %d left",
		n, v.Empty>>20, v.Resident>>20, v.Descriptors, v.Databases, v.Left)
	if v.Wrong > 0 {
		t.Errorf("%d of %d users did not find their message", v.Wrong, n)
	}
	if v.Databases > 1024+64 || v.Descriptors > 6*1024+400 || v.Resident > 900<<20 {
		t.Errorf("too much is open: %+v", v)
	}
	if v.Left > few {
		t.Errorf("%d databases are open when nobody comes any longer", v.Left)
	}
}
