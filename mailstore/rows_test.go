package mailstore

import (
	"bytes"
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teraslot/bench/behind"
	"teraslot/mailbox"
	"teraslot/sealed"
)

// Mailboxes that changed their owner, as the rows of spoilt mail say.
const (
	handedAway mailbox.ID = "0123456789abcdef01234567"
	handedHere mailbox.ID = "76543210fedcba9876543210"
)

// spoilt is closed mail that has rows in all tables, of which single values are made others.
type spoilt struct {
	*patient
	names  []string // of mailboxes
	files  []savedFile
	values []behind.Value
}

// newSpoilt has what a merge, a renewal, deletions and settings leave, before and after the copy.
func newSpoilt(t *testing.T) *spoilt {
	t.Helper()
	p := newPatient(t)
	ctx := t.Context()
	p.close(t)
	p.o.RetainDeleted = true
	p.open(t)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Work", "Work/Old", "Gone"} {
		id, err := p.m.Create(ctx, "", name, "")
		do(err)
		appendText(t, p.m, id.ID, sized(100+len(name), 700), "$Later")
	}
	do(p.m.Rename(ctx, "", "Work/Old", "Older"))
	third := mailbox.UIDs(3)
	_, err := p.m.StoreFlags(ctx, "", p.inbox, third, AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	do(err)
	_, _, err = p.m.Expunge(ctx, "", p.inbox, &third)
	do(err)
	delete(p.text, 3)
	do(p.m.SetSetting(ctx, named(t, p.m, "Work").ID, "archive", &Age{Never: true}))
	do(p.m.Delete(ctx, "", named(t, p.m, "Gone").ID))
	do(p.m.write(ctx, "", func(tx *txn) error {
		return errors.Join(noteRenewal(tx.c, tx.m.s.o.Rand), tx.retireName("Elsewhere", 77, unknownHolder), storeLineage(tx.c, Lineage{{"a", 3}, {"b", 5}}),
			tx.storeSeen([]Tenure{{"c", 9}}), tx.noteName(&box{State: named(t, p.m, "Work")}, tx.nextModSeq()), tx.c.makeTable(slotTable),
			tx.c.exec(`REPLACE INTO slot VALUES (1, 'here')`), tx.noteHanded(handedAway, user2, true), tx.noteHanded(handedHere, user2, false),
			spoiltProvenance(tx, p.inbox))
	}))
	_, err = p.m.SaveDatabase(ctx)
	do(err)
	p.deliver(t, 13, 16) // after the copy
	all, err := p.m.Mailboxes(ctx)
	do(err)
	out := &spoilt{patient: p}
	for _, b := range all {
		out.names = append(out.names, b.Name)
	}
	p.m.Release()
	p.m = nil
	do(p.s.Close())
	verifyAt(t, p.o)
	out.files = p.files(t)
	packs, err := filepath.Glob(filepath.Join(p.o.Spool, user1.Dir(), "*"+packSuffix))
	do(err)
	for _, name := range packs {
		b, err := os.ReadFile(name)
		do(err)
		out.files = append(out.files, savedFile{name, b})
	}
	out.values, err = behind.Values(p.s.databasePath(user1))
	do(err)
	return out
}

// spoiltProvenance says of a message where it came from.
func spoiltProvenance(tx *txn, inbox mailbox.ID) error {
	b, err := tx.box(inbox)
	if err != nil {
		return err
	}
	modseq, err := tx.c.integer(`SELECT modseq FROM message WHERE id = ?`, rowID(b.row, 1))
	if err != nil {
		return err
	}
	e := Entry{Record: mailbox.Record{UID: 1, ModSeq: mailbox.ModSeq(modseq)}, Provenance: Provenance{Made: Dot{"a", 2}, UID: 4, Changed: Dot{"b", 4}}}
	return errors.Join(tx.c.exec(provenanceTable), tx.putProvenance(b, &e))
}

func verifyAt(t *testing.T, o Options) {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, s, user1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAnyValueDamaged gives single values of all tables of mail.db others, behind the store's back: all that is
// then answered is right or an error that is Damage, the full check finds something, and Repair mends
// it so that it finds nothing: all mailboxes have their names still, or nearly so, and all mail is there. COUNT
// is the number of values, AT does one of them alone.
func TestAnyValueDamaged(t *testing.T) {
	p := newSpoilt(t)
	count, err := strconv.Atoi(cmp.Or(os.Getenv("COUNT"), "40"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	tables, outcomes := map[string]int{}, map[string]int{}
	for n := range count {
		if at := os.Getenv("AT"); at != "" && at != strconv.Itoa(n) {
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		v := p.one(r)
		outcomes[p.spoil(t, r, v)]++
		tables[v.Table]++
		if t.Failed() {
			t.Fatalf("value %d of seed %d: %s %s of %s", n, seed, v.Table, v.Column, v.Key)
		}
	}
	t.Logf("proof: %d values, seed %d: %v; of tables %v", count, seed, outcomes, tables)
	p.putFiles(t)
	if p.s, err = Open(t.Context(), p.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

// one is a value, of each table as often.
func (p *spoilt) one(r *rand.Rand) behind.Value {
	var tables []string
	for _, v := range p.values {
		if !slices.Contains(tables, v.Table) {
			tables = append(tables, v.Table)
		}
	}
	table := tables[r.IntN(len(tables))]
	for {
		if v := p.values[r.IntN(len(p.values))]; v.Table == table {
			return v
		}
	}
}

func (p *patient) putFile(t *testing.T, f savedFile) {
	t.Helper()
	if err := os.WriteFile(f.name, f.bytes, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *spoilt) putFiles(t *testing.T) {
	t.Helper()
	leftovers, err := filepath.Glob(p.s.databasePath(user1) + `[.\-]*`)
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{p.o.Spool, p.o.Archive} {
		packs, err := filepath.Glob(filepath.Join(root, user1.Dir(), "*"+packSuffix))
		if err != nil {
			t.Fatal(err)
		}
		leftovers = append(leftovers, packs...)
	}
	for _, name := range leftovers {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range p.files {
		p.putFile(t, f)
	}
}

func (p *spoilt) spoil(t *testing.T, r *rand.Rand, v behind.Value) (outcome string) {
	t.Helper()
	p.putFiles(t)
	path := p.s.databasePath(user1)
	before := dump(t, path)
	if err := v.Spoil(path, r); err != nil {
		return "refused by a rule of the table"
	}
	if dump(t, path) == before {
		return "the same value"
	}
	s, err := Open(t.Context(), p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	p.askSpoilt(t, s)
	found := 0
	if err := s.Verify(t.Context(), user1, func(f Finding) { found++ }); err != nil {
		t.Errorf("the check: %v", err)
	} else if found == 0 {
		t.Error("the check finds nothing")
	}
	var said []string
	if err := s.Repair(t.Context(), user1, func(line string) { said = append(said, line) }); err != nil {
		t.Errorf("repair: %v", err)
		return "not repaired"
	}
	if err := s.Verify(t.Context(), user1, func(f Finding) { t.Errorf("after the repair: %s", f) }); err != nil {
		t.Error(err)
	}
	outcome = "made anew"
	if strings.Contains(strings.Join(said, "\n"), "as the CRC proves") {
		outcome = "proved by the CRC"
	}
	p.mailIsThere(t, s, outcome)
	if t.Failed() {
		t.Log(strings.Join(said, "\n"))
	}
	return outcome
}

// askSpoilt asks what the table may answer wrong.
func (p *spoilt) askSpoilt(t *testing.T, s *Store) {
	t.Helper()
	var d *Damage
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		if !errors.As(err, &d) || !errors.Is(err, sealed.ErrRow) {
			t.Errorf("it is not opened: %v", err)
		}
		return
	}
	defer m.Release()
	all, err := m.Mailboxes(t.Context())
	if err != nil {
		if !errors.As(err, &d) || !errors.Is(err, sealed.ErrRow) || d.User != user1 {
			t.Errorf("mailboxes: %v", err)
		}
		return
	}
	var names []string
	for _, b := range all {
		names = append(names, b.Name)
		view, err := m.View(t.Context(), b.ID)
		if errors.As(err, &d) {
			continue
		} else if err != nil {
			t.Errorf("%s: %v", b.Name, err)
			continue
		}
		if n := len(view.Records) + len(view.Damaged); n != int(b.Counts.Exists) {
			t.Errorf("%s has %d messages, and counts %d", b.Name, n, b.Counts.Exists)
		}
	}
	if !slices.Equal(names, p.names) {
		t.Errorf("mailboxes %q", names)
	}
	if _, err := m.Mailbox(t.Context(), p.inbox); err != nil && !errors.As(err, &d) {
		t.Errorf("INBOX: %v", err)
	}
	for _, gone := range []bool{true, false} {
		want := map[mailbox.ID]mailbox.User{handedHere: user2}
		if gone {
			want = map[mailbox.ID]mailbox.User{handedAway: user2}
		}
		if got, err := m.Handed(t.Context(), gone); err != nil && (!errors.As(err, &d) || !errors.Is(err, sealed.ErrRow)) || err == nil && !maps.Equal(got, want) {
			t.Errorf("handed (gone %v): %v, %v", gone, got, err)
		}
	}
}

// mailIsThere reads everything after a repair.
func (p *spoilt) mailIsThere(t *testing.T, s *Store, outcome string) {
	t.Helper()
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	all, err := m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	there := map[mailbox.GUID]bool{}
	for _, b := range all {
		v, err := m.View(t.Context(), b.ID)
		if err != nil {
			t.Fatalf("%s: %v", b.Name, err)
		}
		for _, rec := range v.Records {
			there[mailbox.GUIDOf([]byte(bytesOf(t, m, b.ID, rec)))] = true
			if want, known := p.text[rec.UID]; b.ID == p.inbox && known && mailbox.GUIDOf([]byte(want)) != rec.GUID {
				t.Errorf("UID %d is another message", rec.UID)
			}
		}
		if b.Name != Recovered && !strings.HasPrefix(b.Name, Recovered+Separator) {
			names = append(names, b.Name)
		}
	}
	for uid, want := range p.text {
		if !there[mailbox.GUIDOf([]byte(want))] {
			t.Errorf("UID %d is in no mailbox", uid)
		}
	}
	if lost := len(p.names) - len(names); lost > 1 || lost > 0 && outcome == "proved by the CRC" {
		t.Errorf("mailboxes %q after the repair", names)
	}
	appendText(t, m, named(t, m, Inbox).ID, sized(999, 300))
}

func (c *conn) texts(sql string) (out []string, err error) {
	err = c.each(sql, func(row []driver.Value) error {
		out = append(out, text(row[0]))
		return nil
	})
	return out, err
}

// dump is what all tables hold.
func dump(t *testing.T, path string) string {
	t.Helper()
	db, err := openConn(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	tables, err := db.texts(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, table := range tables {
		columns, err := db.texts(`SELECT '"' || name || '"' FROM pragma_table_info('` + table + `')`)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.texts(`SELECT concat_ws('|', quote(` + strings.Join(columns, "), quote(") + `)) FROM "` + table + `"`)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, table, rows)
	}
	return b.String()
}

// TestEveryTableHasCRCs: the mail whose values are spoilt has all tables there are, and each has CRCs of its rows, or is one of those
// that compute their own.
func TestEveryTableHasCRCs(t *testing.T) {
	p := newSpoilt(t)
	c, err := openConn(p.s.databasePath(user1), true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	there, err := c.texts(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"content", "message", "provenance", "structure"}
	for _, table := range sealedTables {
		want = append(want, table.Name)
		if done, err := isSealed(c, table.Name); err != nil || !done {
			t.Errorf("table %s: CRCs %v, %v", table.Name, done, err)
		}
	}
	if slices.Sort(want); !slices.Equal(there, want) {
		t.Errorf("tables %q, and known are %q", there, want)
	}
	if p.s, err = Open(t.Context(), p.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

// TestChangeOfDamagedRow: no statement makes a damaged row sound by changing it, and a copy by VACUUM
// does not either.
func TestChangeOfDamagedRow(t *testing.T) {
	d := newDamaged(t, 3)
	if err := behind.Exec(d.db, `UPDATE mailbox SET special = '\Junk' WHERE name = 'INBOX'`, `UPDATE pack SET held = held + 1`, `INSERT INTO keyword (box, word, n, seal) VALUES (1, 'x', 1, 7)`); err != nil {
		t.Fatal(err)
	}
	c, err := openConn(d.db, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, sql := range []string{`UPDATE mailbox SET uidnext = 99 WHERE sound AND name = 'INBOX'`, `UPDATE pack SET "end" = 1 WHERE sound`, `UPDATE keyword SET n = 2 WHERE word = 'x'`,
		`INSERT INTO pack VALUES (1, 0, 0, 0, 0) ON CONFLICT DO UPDATE SET "end" = 7 WHERE sound`, `SELECT n FROM {pack}`} {
		if err := c.exec(sql); !errors.Is(err, sealed.ErrRow) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if err := c.exec(`UPDATE mailbox SET recent = recent + 1 WHERE name <> 'INBOX' AND sound`); err != nil {
		t.Errorf("another row: %v", err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := c.exec("VACUUM INTO ?", path); err != nil {
		t.Fatal(err)
	}
	after, err := openConn(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer after.close()
	if rows, err := damagedRows(after); err != nil || len(rows) != 3 {
		t.Errorf("the copy has %d damaged rows, %v", len(rows), err)
	}
}

// TestBitOnDisk: where a bit of a mailbox's name is another in its row on the disk, and not in the index, no mail goes
// anywhere else meanwhile, and the repair mends both.
func TestBitOnDisk(t *testing.T) {
	d := newDamaged(t, 3)
	b, err := os.ReadFile(d.db)
	if err != nil {
		t.Fatal(err)
	}
	row := []byte(string(d.inbox) + "INBOX") // both stand in the row alone, one after the other
	if !bytes.Contains(b, row) {
		t.Fatal("the row is not there")
	}
	b = bytes.ReplaceAll(b, row, []byte(string(d.inbox)+"IOBOX")) // what it was before lies in the page as well
	if err := os.WriteFile(d.db, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d.with(t, func(s *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if st, err := m.MailboxNamed(t.Context(), Inbox); err == nil && st.ID != d.inbox || err != nil && !errors.Is(err, sealed.ErrRow) {
			t.Errorf("INBOX: %+v, %v", st, err)
		}
		if _, err := m.Create(t.Context(), "", "INBOX", ""); err == nil {
			t.Error("another INBOX was made")
		}
		var said []string
		if err := s.Repair(t.Context(), user1, func(line string) { said = append(said, line) }); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(said, "\n"), "mended, as the CRC proves") {
			t.Errorf("the repair said %q", said)
		}
		if st, err := m.MailboxNamed(t.Context(), Inbox); err != nil || st.ID != d.inbox || st.Counts.Exists != 3 {
			t.Errorf("INBOX, mended: %+v, %v", st, err)
		}
		verify(t, s, user1)
	})
}

// TestDamagedRowIsNamed: the error says whose mail it is, which row of which table, and what to do.
func TestDamagedRowIsNamed(t *testing.T) {
	d := newDamaged(t, 3)
	if err := behind.Exec(d.db, `UPDATE mailbox SET uidvalidity = 5 WHERE name = 'INBOX'`); err != nil {
		t.Fatal(err)
	}
	d.with(t, func(s *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.View(t.Context(), d.inbox)
		if err == nil {
			t.Fatal("no error")
		}
		for _, part := range []string{string(user1), d.db, "table mailbox", string(d.inbox), "INBOX", "slotctl verify --repair"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		if _, err := m.Append(t.Context(), "", Append{Mailbox: d.inbox, Message: spool(t, s, sized(99, 400))}); !errors.Is(err, sealed.ErrRow) {
			t.Errorf("a delivery: %v", err)
		}
		if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
			t.Fatal(err)
		}
		verify(t, s, user1)
	})
}

// TestEveryRowIsChecked: what the package reads of sealed tables it names in braces, and what it changes of those that
// have no trigger it asks to be sound.
func TestEveryRowIsChecked(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"mendrows.go": true} // they read what may be damaged
	changes := regexp.MustCompile("(UPDATE (account|mailbox|pack)|INSERT INTO (account|mailbox|pack) [^`\"]*DO UPDATE)[^`]+`|SET horizon[^`]+`")
	creates, checked := regexp.MustCompile("CREATE TABLE (IF NOT EXISTS )?([a-z]+)"), 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || allowed[name] {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, made := range creates.FindAllStringSubmatch(string(b), -1) {
			if !slices.Contains([]string{"message", "content", "structure", "provenance"}, made[2]) {
				t.Errorf("%s makes table %s, whose rows have no CRC", name, made[2])
			}
		}
		for _, change := range changes.FindAllString(string(b), -1) {
			if checked++; !strings.Contains(change, " WHERE sound") {
				t.Errorf("%s: not checked: %s", name, change)
			}
		}
		for i, line := range strings.Split(string(b), "\n") {
			for _, table := range sealedTables {
				for _, word := range []string{" FROM ", " JOIN "} {
					_, after, reads := strings.Cut(line, word+table.Name)
					if !reads || strings.Contains(line, "DELETE"+word+table.Name) || after != "" && (after[0] == '_' || 'a' <= after[0] && after[0] <= 'z') {
						continue
					}
					if table.Name != expungedTable.Name || strings.Contains(line, "gone <") || strings.Contains(line, "gone >") {
						t.Errorf("%s:%d reads %s without a check", name, i+1, table.Name)
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("%d changes are seen", checked)
	}
}
