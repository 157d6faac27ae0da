package mailstore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/mailbox"
)

// TestRepairBesideOthers: while a repair reads the packs, no repack moves messages and
// no delivery makes packs longer. What it has read is what it goes by.
func TestRepairBesideOthers(t *testing.T) {
	s, m, recs := withDead(t, Options{Conf: t.TempDir(), PackSize: 12_000}, 9)
	defer s.Close()
	defer m.Release()
	id := named(t, m, Inbox).ID
	// The last pack that is read is none, so that its reader tells of it.
	stray := filepath.Join(s.o.Conf, user1.Dir(), "99"+packSuffix)
	if err := os.WriteFile(stray, []byte("no pack"), 0o600); err != nil {
		t.Fatal(err)
	}
	came := map[mailbox.UID]string{}
	read := false
	others := func() {
		read = true
		if m.repack.TryLock() {
			m.repack.Unlock()
			if _, err := m.Repack(t.Context(), RepackOptions{}); err != nil {
				t.Error(err)
			}
		}
		select {
		case m.turn <- struct{}{}:
			m.unlockWriter()
			for n := range 8 {
				came[appendText(t, m, id, sized(100+n, 5000)).UID] = sized(100+n, 5000)
			}
		default:
		}
	}
	for name, run := range map[string]func(func(string)) error{
		"repair": func(report func(string)) error { return s.Repair(t.Context(), user1, report) },
	} {
		read = false
		if err := run(func(line string) {
			if strings.Contains(line, stray) {
				others()
			} else if strings.Contains(line, "lost") || strings.Contains(line, "mended") {
				t.Errorf("%s: %s", name, line)
			}
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !read {
			t.Errorf("%s read no packs", name)
		}
	}
	if err := os.Remove(stray); err != nil {
		t.Fatal(err)
	}
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range v.Records {
		want := came[r.UID]
		if want == "" {
			want = sized(int(r.UID)-1, 5000)
		}
		c, err := m.Open(t.Context(), id, r)
		if err != nil {
			t.Errorf("UID %d: %v", r.UID, err)
			continue
		}
		if got, _ := openedText(c, nil); got != want {
			t.Errorf("UID %d is another message", r.UID)
		}
	}
	if len(v.Records) != 6+len(came) || len(recs) != 9 {
		t.Errorf("%d records", len(v.Records))
	}
	verify(t, s, user1)
}

// TestReconstructAlone: from the copy on, which has UIDs to give that were given since,
// nobody else opens the mail until it is renewed and has all messages.
func TestReconstructAlone(t *testing.T) {
	p := newPatient(t)
	p.lose(t, p.s.databasePath(user1))
	told := 0
	if err := p.s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(line string) {
		told++
		p.s.mu.Lock()
		defer p.s.mu.Unlock()
		if e := p.s.open[user1]; e == nil || e.refs >= 0 {
			t.Errorf("others may open the mail when told: %s", line)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if told < 5 {
		t.Errorf("told %d things", told)
	}
	m, err := p.s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	p.m = m
	p.look(t, 9, 10, 11, 12)
}
