package mailstore

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
)

// patient is a store whose mail is to be damaged and mended.
type patient struct {
	o     Options
	s     *Store
	m     *Mail
	inbox mailbox.ID
	text  map[mailbox.UID]string
	flags map[mailbox.UID]string
	now   time.Time
}

// newPatient has 12 messages in INBOX, of which the first 8 are in the saved copy. What
// came after it is in the WAL.
func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{text: map[mailbox.UID]string{}, flags: map[mailbox.UID]string{}, now: time.Unix(1_700_000_000, 0)}
	p.o = partitions(t, &p.now)
	p.open(t)
	p.inbox = named(t, p.m, Inbox).ID
	p.deliver(t, 1, 8)
	if _, err := p.m.SaveDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.m.writer.integer("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	p.deliver(t, 9, 12)
	t.Cleanup(func() { p.close(t) })
	return p
}

func (p *patient) open(t *testing.T) {
	t.Helper()
	p.s, p.m = openFor(t, p.o)
}

func (p *patient) close(t *testing.T) {
	t.Helper()
	if p.m != nil {
		p.m.Release()
	}
	p.m = nil
	if err := p.s.Close(); err != nil {
		t.Error(err)
	}
}

func (p *patient) deliver(t *testing.T, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		r := appendText(t, p.m, p.inbox, sized(n, 1500), fmt.Sprintf("$n%d", n), `\Seen`)
		p.text[r.UID], p.flags[r.UID] = sized(n, 1500), r.Flags.String()
	}
}

func (p *patient) sql(t *testing.T, sql string) {
	t.Helper()
	if err := p.m.writer.exec(sql); err != nil {
		t.Fatal(err)
	}
	p.m.known.Store(nil)
	p.m.s.views.forget(user1)
	p.m.s.contents.forget(user1)
}

// repair mends, and expects the full check to find nothing afterwards, but for what is lost.
func (p *patient) repair(t *testing.T, lost int) string {
	t.Helper()
	var said strings.Builder
	if err := p.s.Repair(t.Context(), user1, func(line string) { said.WriteString(line + "\n") }); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var found []string
	if err := p.s.Verify(t.Context(), user1, func(f Finding) { found = append(found, f.String()) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != lost {
		t.Errorf("after the repair:\n%s\nsaid:\n%s", strings.Join(found, "\n"), &said)
	}
	return said.String()
}

// look compares INBOX with what is to be in it; without flags only the bytes count.
func (p *patient) look(t *testing.T, flagless ...mailbox.UID) {
	t.Helper()
	v, err := p.m.View(t.Context(), p.inbox)
	if err != nil {
		t.Fatal(err)
	}
	bare := map[mailbox.UID]bool{}
	for _, uid := range flagless {
		bare[uid] = true
	}
	if len(v.Records) != len(p.text) || len(v.Damaged) > 0 {
		t.Errorf("%d records of %d, damaged %v", len(v.Records), len(p.text), v.Damaged)
	}
	for _, r := range v.Records {
		if got := bytesOf(t, p.m, p.inbox, r); got != p.text[r.UID] {
			t.Errorf("UID %d has other bytes", r.UID)
		}
		if want := p.flags[r.UID]; r.Flags.String() != want && !(bare[r.UID] && r.Flags.String() == "") {
			t.Errorf("UID %d has flags %q, had %q", r.UID, r.Flags, want)
		}
	}
}

// TestRepair damages mail.db in one way at a time.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		flagless  []mailbox.UID
	}{
		{"flags of a record in the copy", `UPDATE message SET system = 9 WHERE id & 0xFFFFFFFF = 3`, nil},
		{"flags of a record after the copy", `UPDATE message SET system = 9 WHERE id & 0xFFFFFFFF = 11`, []mailbox.UID{11}},
		{"what is fixed, in the copy", `UPDATE message SET fixed = zeroblob(80) WHERE id & 0xFFFFFFFF = 3`, nil},
		{"what is fixed, after the copy", `UPDATE message SET fixed = zeroblob(80) WHERE id & 0xFFFFFFFF = 11`, []mailbox.UID{11}},
		{"a record is that of another", `UPDATE message SET fixed = (SELECT fixed FROM message AS o WHERE o.id & 0xFFFFFFFF = 4) WHERE id & 0xFFFFFFFF = 3`, nil},
		{"all records", `UPDATE message SET crc = 1`, []mailbox.UID{9, 10, 11, 12}},
		{"the place of a content", `UPDATE content SET start = 7 WHERE num = 5`, nil},
		{"the GUID of a content", `UPDATE content SET guid = zeroblob(32) WHERE num = 5`, nil},
		{"contents gone", `DELETE FROM content WHERE num IN (2, 3, 11)`, nil},
		{"all contents gone", `DELETE FROM content`, nil},
		{"references", `UPDATE content SET refs = 7 WHERE num IN (2, 3)`, nil},
		{"all structures", `UPDATE structure SET data = x'00'`, nil},
		{"structures gone", `DELETE FROM structure WHERE num > 3`, nil},
		{"counters", `UPDATE mailbox SET live = 3, unseen = 9, bytes = 0, first_unseen = 2 WHERE name = 'INBOX'`, nil},
		{"checksum", `UPDATE mailbox SET sum_a = 1 WHERE name = 'INBOX'`, nil},
		{"UIDNEXT and mod-sequence", `UPDATE mailbox SET uidnext = 2, modseq = 1 WHERE name = 'INBOX'`, nil},
		{"usage", `UPDATE account SET bytes = 1, messages = 1`, nil},
		{"counters of the account", `UPDATE account SET box = 0, num = 0, pack = 0, modseq = 0`, nil},
		{"bytes held", `UPDATE pack SET held = 5`, nil},
		{"keywords", `DELETE FROM keyword`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPatient(t)
			before := named(t, p.m, Inbox)
			p.sql(t, c.sql)
			if said := p.repair(t, 0); said == "" && !strings.Contains("references bytes held keywords counters of the account", c.name) {
				t.Error("nothing was said")
			}
			p.look(t, c.flagless...)
			if st := named(t, p.m, Inbox); st.UIDValidity != before.UIDValidity || st.UIDNext < before.UIDNext || st.HighestModSeq < before.HighestModSeq {
				t.Errorf("was %+v, is %+v", before, st)
			}
			p.deliver(t, 50, 52) // and mail goes on
			verify(t, p.s, user1)
			p.look(t, c.flagless...)
			if said := p.repair(t, 0); said != "" {
				t.Errorf("a second repair says\n%s", said)
			}
		})
	}
}

// TestRepairNothing leaves whole mail as it is.
func TestRepairNothing(t *testing.T) {
	p := newPatient(t)
	before := named(t, p.m, Inbox)
	if said := p.repair(t, 0); said != "" {
		t.Errorf("whole mail: %s", said)
	}
	if st := named(t, p.m, Inbox); st != before {
		t.Errorf("was %+v, is %+v", before, st)
	}
}

// TestRepairLost: a record of which nothing is left is dropped, its message goes to
// Recovered; a message whose bytes are gone is named, and its record stays.
func TestRepairLost(t *testing.T) {
	p := newPatient(t)
	if _, err := p.m.Copy(t.Context(), "", p.inbox, mailbox.UIDs(12), p.inbox); err != nil { // UID 13, in no frame
		t.Fatal(err)
	}
	p.sql(t, `UPDATE message SET fixed = zeroblob(80) WHERE id & 0xFFFFFFFF = 13`)
	said := p.repair(t, 0)
	if !strings.Contains(said, "UID 13: the record cannot be mended") {
		t.Errorf("said\n%s", said)
	}
	p.look(t)

	p.sql(t, `DELETE FROM message WHERE id & 0xFFFFFFFF = 12`)
	said = p.repair(t, 0)
	if !strings.Contains(said, "1 messages that no mailbox held are in Recovered") {
		t.Errorf("said\n%s", said)
	}
	box := named(t, p.m, Recovered)
	v, err := p.m.View(t.Context(), box.ID)
	if err != nil || len(v.Records) != 1 || bytesOf(t, p.m, box.ID, v.Records[0]) != p.text[12] {
		t.Errorf("recovered %+v: %v", v, err)
	}

	path := p.m.packs.path(spoolPlace, 1)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[packHeaderSize+frameHeaderSize+9] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := p.repair(t, 1); !strings.Contains(said, "lost, no whole copy") {
		t.Errorf("said\n%s", said)
	}
}

// TestRepairFromAnotherPack leads a message to another copy of its bytes, such as the one
// that archiving left on the spool.
func TestRepairFromAnotherPack(t *testing.T) {
	p := newPatient(t)
	if _, err := p.m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(p.o.Archive, user1.Dir(), "*"+packSuffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := packHeaderSize + 200; at < len(b); at += 700 {
		b[at] ^= 1
	}
	if err := os.WriteFile(found[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	p.m.s.contents.forget(user1)
	if said := p.repair(t, 0); !strings.Contains(said, "mended from pack") {
		t.Errorf("said\n%s", said)
	}
	p.look(t)
}

// reconstruct closes the mail and has it made anew: mail.db is lost or damaged.
func (p *patient) reconstruct(t *testing.T) string {
	t.Helper()
	return p.reconstructWith(t, ReconstructOptions{})
}

func (p *patient) reconstructWith(t *testing.T, o ReconstructOptions) string {
	t.Helper()
	if p.m != nil {
		p.m.Release()
		p.m = nil
	}
	var said strings.Builder
	if err := p.s.Reconstruct(t.Context(), user1, o, func(line string) { said.WriteString(line + "\n") }); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	m, err := p.s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	p.m = m
	verify(t, p.s, user1)
	return said.String()
}

// lose closes the mail and removes files of mail.db.
func (p *patient) lose(t *testing.T, names ...string) {
	t.Helper()
	p.close(t)
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if p.s, err = Open(t.Context(), p.o); err != nil {
		t.Fatal(err)
	}
}

// TestReconstructFromCopy: what is in the copy is as it was, what came after it is back
// under its UID, nothing is given twice.
func TestReconstructFromCopy(t *testing.T) {
	for _, how := range []string{"lost", "archived and repacked", "damaged"} {
		t.Run(how, func(t *testing.T) {
			p := newPatient(t)
			if how == "archived and repacked" {
				if _, err := p.m.Archive(t.Context(), ArchiveOptions{All: true}); err != nil {
					t.Fatal(err)
				}
				if _, err := p.m.Repack(t.Context(), RepackOptions{All: true}); err != nil {
					t.Fatal(err)
				}
			}
			before := named(t, p.m, Inbox)
			path := p.s.databasePath(user1)
			if how == "damaged" {
				p.close(t)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for at := 4096; at < len(b); at += 64 {
					b[at] ^= 0xff
				}
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				if p.s, err = Open(t.Context(), p.o); err != nil {
					t.Fatal(err)
				}
			} else {
				p.lose(t, path)
			}
			said := p.reconstruct(t)
			if !strings.Contains(said, "made of its copy") || strings.Count(said, "is back, without its flags") != 4 {
				t.Errorf("said\n%s", said)
			}
			p.look(t, 9, 10, 11, 12)
			st := named(t, p.m, Inbox)
			if st.UIDValidity != before.UIDValidity || st.UIDNext < before.UIDNext || st.HighestModSeq <= before.HighestModSeq {
				t.Errorf("was %+v, is %+v", before, st)
			}
			aside, err := filepath.Glob(path + ".damaged-*")
			if err != nil || (len(aside) > 0) != (how == "damaged") {
				t.Errorf("set aside: %v, %v", aside, err)
			}
			p.deliver(t, 60, 62)
			p.look(t, 9, 10, 11, 12)
		})
	}
}

// TestReconstructFromPacks: with packs alone all mail is in mailboxes below Recovered,
// and every UIDVALIDITY is another.
func TestReconstructFromPacks(t *testing.T) {
	p := newPatient(t)
	before := named(t, p.m, Inbox)
	p.now = p.now.Add(-time.Hour) // the clock went back, too
	p.lose(t, p.s.databasePath(user1), savedOf(t, p.s))
	said := p.reconstruct(t)
	if !strings.Contains(said, "only the packs are left") || !strings.Contains(said, Recovered+"/") {
		t.Errorf("said\n%s", said)
	}
	all, err := p.m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, st := range all {
		if st.UIDValidity <= before.UIDValidity {
			t.Errorf("%s has UIDVALIDITY %d, not above %d", st.Name, st.UIDValidity, before.UIDValidity)
		}
		v, err := p.m.View(t.Context(), st.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range v.Records {
			if !strings.HasPrefix(st.Name, Recovered+Separator) {
				t.Errorf("a message in %s", st.Name)
			}
			seen[bytesOf(t, p.m, st.ID, r)] = true
		}
	}
	for uid, text := range p.text {
		if !seen[text] {
			t.Errorf("UID %d is not there", uid)
		}
	}
	p.inbox = named(t, p.m, Inbox).ID
	p.text, p.flags = map[mailbox.UID]string{}, map[mailbox.UID]string{}
	p.deliver(t, 70, 71)
	p.look(t)
	verify(t, p.s, user1)
}

// TestReconstructWithoutHeader: with packs alone, of which one has less left than its
// header, the check finds nothing afterwards, and mail comes again.
func TestReconstructWithoutHeader(t *testing.T) {
	for _, left := range []int64{0, 1, packHeaderSize - 1, packHeaderSize} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			p := newPatient(t)
			pack := packOf(t, p.s, Pack{N: 1})
			p.lose(t, p.s.databasePath(user1), savedOf(t, p.s))
			if err := os.Truncate(pack, left); err != nil {
				t.Fatal(err)
			}
			p.reconstruct(t) // and checks
			p.inbox = named(t, p.m, Inbox).ID
			p.text, p.flags = map[mailbox.UID]string{}, map[mailbox.UID]string{}
			p.deliver(t, 70, 71)
			p.look(t)
			verify(t, p.s, user1)
		})
	}
}

// TestReconstructDamagedCopy: a copy that is damaged is no use, and not used.
func TestReconstructDamagedCopy(t *testing.T) {
	p := newPatient(t)
	saved := savedOf(t, p.s)
	p.lose(t, p.s.databasePath(user1))
	b, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	for at := 4096; at < len(b); at += 64 {
		b[at] ^= 0xff
	}
	if err := os.WriteFile(saved, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := p.reconstruct(t); !strings.Contains(said, "cannot be used") {
		t.Errorf("said\n%s", said)
	}
}

// TestReconstructAgain interrupts it where the new mail.db is in place and nothing more:
// the next run finishes. What is in place can be served meanwhile: it gives no UID that
// was given since the copy.
func TestReconstructAgain(t *testing.T) {
	p := newPatient(t)
	before := named(t, p.m, Inbox)
	p.lose(t, p.s.databasePath(user1))
	e, err := p.s.reserve(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.s.replaceDatabase(t.Context(), e, true, func(string) {}); err != nil {
		t.Fatal(err)
	}
	p.s.vanish(e)
	m, err := p.s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	if now := named(t, m, Inbox); now.UIDNext < before.UIDNext || now.HighestModSeq <= before.HighestModSeq || now.UIDValidity != before.UIDValidity {
		t.Errorf("was %+v, and what is served is %+v", before, now)
	}
	m.Release()
	if left, err := filepath.Glob(p.s.databasePath(user1) + ".new*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	p.reconstruct(t)
	p.look(t, 9, 10, 11, 12)
	p.now = p.now.Add(time.Minute) // another name for what is set aside
	p.reconstructWith(t, ReconstructOptions{Force: true})
	p.look(t, 9, 10, 11, 12)
}

// TestReconstructInUse is refused while somebody uses the mail.
func TestReconstructInUse(t *testing.T) {
	p := newPatient(t)
	if err := p.s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(string) {}); err == nil {
		t.Error("mail that is in use was replaced")
	}
	p.look(t)
}

// FuzzScanFrames: whatever the octets, what is found is whole.
func FuzzScanFrames(f *testing.F) {
	body := []byte(mailText(1))
	fr := frame{Length: int64(len(body)), GUID: mailbox.GUIDOf(body), Mailbox: "0123456789abcdef01234567", UID: 3, CRC: crc32.Checksum(body, castagnoli)}
	whole := append(fr.append(appendPackHeader(nil, 1, user1)), body...)
	f.Add(whole)
	f.Add(append(whole[:len(whole)-1:len(whole)-1], whole...))
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		last := int64(0)
		for _, l := range scanFrames(b, spoolPlace, 1) {
			if l.start < last || l.end() > int64(len(b)) || mailbox.GUIDOf(b[l.start+frameHeaderSize:l.end()]) != l.GUID {
				t.Fatalf("%+v", l)
			}
			last = l.end()
		}
	})
}
