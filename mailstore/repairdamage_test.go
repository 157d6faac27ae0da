package mailstore

import (
	"bytes"
	"cmp"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// TestRepairAnyDamage damages mail.db, its WAL, the copy and the packs at random places:
// bits, runs of zeros, stale pages, cuts. Repair, and where that cannot be had
// Reconstruct, leave mail that the full check finds nothing wrong with but lost bytes,
// (of each of which the cached structure may be lost too), never a wrong message, and
// every message whose bytes are whole in a pack. COUNT is the number of damages,
// and AT does one of them alone.
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
	killed := p.files(t) // as kill -9 would leave them
	p.m.Release()
	p.m = nil
	if err := p.s.Close(); err != nil {
		t.Fatal(err)
	}
	stopped := p.files(t)
	outcomes := map[string]int{}
	for n := range count {
		if at := os.Getenv("AT"); at != "" && at != strconv.Itoa(n) {
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		pack := p.damage(t, r, [][]savedFile{killed, stopped}[r.IntN(2)])
		outcome := p.mendOnce(t, pack)
		if outcomes[outcome]++; outcomes[outcome] == 1 {
			t.Logf("damage %d: %s", n, outcome)
		}
		if t.Failed() {
			t.Fatalf("damage %d of seed %d", n, seed)
		}
	}
	t.Logf("proof: %d damages, seed %d: %v", count, seed, outcomes)
	if p.s, err = Open(t.Context(), p.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

// savedFile is a file of a user and what was in it.
type savedFile struct {
	name  string
	bytes []byte
}

// files reads what the patient has on disk, in an order that is always the same.
func (p *patient) files(t *testing.T) (all []savedFile) {
	t.Helper()
	db := p.s.databasePath(user1)
	for _, name := range []string{db, db + "-wal", savedOf(t, p.s), packOf(t, p.s, Pack{N: 1})} {
		b, err := os.ReadFile(name)
		if err != nil && name != db+"-wal" {
			t.Fatal(err)
		}
		if len(b) > 0 {
			all = append(all, savedFile{name, b})
		}
	}
	return all
}

// damage puts the files back and does one damage or more, and returns what is left of the pack.
func (p *patient) damage(t *testing.T, r *rand.Rand, files []savedFile) (pack []byte) {
	t.Helper()
	leftovers, err := filepath.Glob(p.s.databasePath(user1) + `[.\-]*`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range leftovers { // WALs, and what was set aside
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		b := f.bytes
		if r.IntN(2) == 0 {
			b = damageAt(r, bytes.Clone(b))
		}
		if err := os.WriteFile(f.name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f.name, packSuffix) {
			pack = b
		}
	}
	return pack
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
func (p *patient) mendOnce(t *testing.T, pack []byte) (outcome string) {
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
		if os.Getenv("AT") != "" {
			t.Log(line)
		}
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
		err := s.Reconstruct(t.Context(), user1, ReconstructOptions{}, quiet)
		if errors.Is(err, ErrWhole) { // the packs are damaged, not mail.db
			err = s.Reconstruct(t.Context(), user1, ReconstructOptions{Force: true}, quiet)
		}
		if err != nil {
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
	p.noneLost(t, m, pack)
	if afterAll {
		outcome += " without the copy after all"
	}
	if lost > 0 {
		outcome += ", with losses"
	}
	return outcome
}

// noneLost reads all mail: no message is another, and each that is whole in the pack is there.
func (p *patient) noneLost(t *testing.T, m *Mail, pack []byte) {
	t.Helper()
	missing := map[mailbox.GUID]bool{}
	for _, l := range scanFrames(pack, spoolPlace, 1) {
		missing[l.GUID] = true
	}
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
			if _, err := c.WriteTo(h); err != nil || mailbox.GUID(h.Sum(nil)) != rec.GUID {
				t.Errorf("%s UID %d has other bytes: %v", st.Name, rec.UID, err)
			}
			c.Close()
			delete(missing, rec.GUID)
			if want, known := p.text[rec.UID]; st.ID == p.inbox && known && mailbox.GUIDOf([]byte(want)) != rec.GUID {
				t.Errorf("UID %d is another message", rec.UID)
			}
		}
	}
	for guid := range missing {
		t.Errorf("message %s is whole in the pack and in no mailbox", guid)
	}
}
