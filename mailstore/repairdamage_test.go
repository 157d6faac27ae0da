package mailstore

import (
	"bytes"
	"cmp"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// TestRepairAnyDamage damages mail.db, its WAL, the copy and the packs at random places:
// bits, runs of zeros, stale pages, cuts. Repair, and where that cannot be had
// Reconstruct, leave mail that the full check finds nothing wrong with but lost bytes,
// (of each of which the cached structure may be lost too), and never a wrong message.
// COUNT is the number of damages.
func TestRepairAnyDamage(t *testing.T) {
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "40"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	p := newPatient(t)
	p.m.Release()
	p.m = nil
	if err := p.s.Close(); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range []string{p.s.databasePath(user1), p.s.savedPath(user1), p.s.o.PackFile(user1, Pack{N: 1})} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	outcomes := map[string]int{}
	for n := range count {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		for _, name := range slices.Sorted(maps.Keys(files)) { // the same damages for the same seed
			whole := files[name]
			b := whole
			if r.IntN(2) == 0 {
				b = damageAt(r, bytes.Clone(whole))
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		leftovers, err := filepath.Glob(p.s.databasePath(user1) + `[.\-]*`)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range leftovers { // WALs, and what was set aside
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		outcome := p.mendOnce(t)
		if outcomes[outcome]++; outcomes[outcome] == 1 {
			t.Logf("damage %d: %s", n, outcome)
		}
		if t.Failed() {
			t.Fatalf("damage %d of seed %d", n, seed)
		}
	}
	t.Logf("%d damages: %v", count, outcomes)
	if p.s, err = Open(t.Context(), p.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

// damageAt does one damage.
func damageAt(r *rand.Rand, b []byte) []byte {
	at := r.IntN(len(b))
	switch r.IntN(4) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		clear(b[at:min(len(b), at+1+r.IntN(4096))])
	case 2:
		if pages := len(b) / 4096; pages > 1 {
			copy(b[r.IntN(pages)*4096:], b[r.IntN(pages)*4096:][:4096])
		}
	case 3:
		b = b[:at]
	}
	return b
}

// mendOnce repairs, or reconstructs, and checks what is left.
func (p *patient) mendOnce(t *testing.T) (outcome string) {
	t.Helper()
	s, err := Open(t.Context(), p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var found []string
	findings := func() (n int, err error) {
		found = nil
		err = s.Verify(t.Context(), user1, func(f Finding) { n++; found = append(found, f.String()) })
		return n, err
	}
	lost, afterAll := 0, false
	quiet := func(line string) {
		afterAll = afterAll || strings.Contains(line, "damaged after all")
		if bytes.Contains([]byte(line), []byte("lost, no whole copy")) {
			lost++
		}
	}
	outcome = "repaired"
	err = s.Repair(t.Context(), user1, quiet)
	left, verr := 0, error(nil)
	if err == nil {
		left, verr = findings()
	}
	if err != nil || verr != nil || left > 2*lost {
		outcome, lost = "reconstructed", 0
		if err := s.Reconstruct(t.Context(), user1, quiet); err != nil {
			t.Errorf("neither repaired nor reconstructed: %v", err)
			return outcome
		}
		if left, verr = findings(); verr != nil || left > 2*lost {
			t.Errorf("reconstructed, with %d lost; the check finds %d, %v:\n%s", lost, left, verr, strings.Join(found, "\n"))
		}
	}
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	all, err := m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range all {
		v, err := m.View(t.Context(), st.ID)
		if err != nil {
			t.Fatalf("%s: %v", st.Name, err)
		}
		for _, rec := range v.Records {
			c, err := m.Open(t.Context(), st.ID, rec)
			if err != nil {
				continue // lost, and said so
			}
			h := mailbox.NewGUIDHash()
			if _, err := copyAll(h, c); err != nil || mailbox.GUID(h.Sum(nil)) != rec.GUID {
				t.Errorf("%s UID %d has other bytes: %v", st.Name, rec.UID, err)
			}
			c.Close()
			if want, known := p.text[rec.UID]; st.ID == p.inbox && known && mailbox.GUIDOf([]byte(want)) != rec.GUID {
				t.Errorf("UID %d is another message", rec.UID)
			}
		}
	}
	if afterAll {
		outcome += " without the copy after all"
	}
	if lost > 0 {
		outcome += ", with losses"
	}
	return outcome
}
