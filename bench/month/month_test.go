package main

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// number reads a number that the caller of the tests may set.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// TestMonth lives through COUNT days: three of twelve users by default, with 30 or more
// of 200. What it checks on the way is said in doc.go.
func TestMonth(t *testing.T) {
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: it names the directory of the real mail archives")
	}
	o := options{dir: t.TempDir(), days: number("COUNT", 3), users: 12, seed: uint64(number("SEED", 1)), out: t.Output()}
	names, each := []string{"spamassassin", "mime-torture"}, 10.0
	if o.days >= 30 {
		o.users, names, each = 200, everything, 5
	}
	var err error
	if o.mail, err = archives(dir, names...); err != nil {
		t.Fatal(err)
	}
	r, err := live(t.Context(), sized(o, each))
	if errors.Is(err, errMount) {
		t.Skipf("the month is not lived through: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.write(t.Output())
	if r.reboots == 0 || r.renamed == 0 || r.removed == 0 || r.expunged == 0 || r.hits == 0 || r.rules["full"] == 0 || r.rules["quiet"] == 0 || r.rules["moved"] == 0 {
		t.Errorf("something did not happen: %+v", r)
	}
	t.Logf("proof: %d days, %d users, %d messages: temp held %d of %d bytes at most; %d searches as scans answer them",
		o.days, o.users, r.delivered, r.peak.bytes, r.temp, r.searches)
}
