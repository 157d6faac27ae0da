package mailstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/message"
)

// damaged is a closed store of n messages, of which copies are damaged.
type damaged struct {
	dir      string
	inbox    mailbox.ID
	text     map[mailbox.UID]string
	pack     string // path
	db       string // path
	database []byte // what is in it
}

func newDamaged(t *testing.T, n int) damaged {
	t.Helper()
	d := damaged{dir: t.TempDir(), text: map[mailbox.UID]string{}}
	s, m := openFor(t, Options{Conf: d.dir})
	d.inbox = named(t, m, Inbox).ID
	for i := range n {
		body := sized(i, 300+i*100)
		d.text[appendText(t, m, d.inbox, body, "$Work").UID] = body
	}
	d.pack = m.packs.path(spoolPlace, 1)
	d.db = s.databasePath(user1)
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if d.database, err = os.ReadFile(d.db); err != nil {
		t.Fatal(err)
	}
	return d
}

// with runs fn on the store as it is on disk now, without any check at the end.
func (d damaged) with(t *testing.T, fn func(s *Store, m *Mail, err error)) {
	t.Helper()
	s, err := Open(t.Context(), Options{Conf: d.dir})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Acquire(t.Context(), user1)
	fn(s, m, err)
	if m != nil {
		m.Release()
	}
	if err := s.Close(); err != nil && !databaseDamaged(err) {
		t.Error(err)
	}
}

// TestPackDamage flips bits and cuts bytes of a pack. Each message is then read
// right or is a Damage that names user, mailbox, UID and pack; Verify finds the
// same ones; and new mail is taken all the same.
func TestPackDamage(t *testing.T) {
	d := newDamaged(t, 6)
	whole, err := os.ReadFile(d.pack)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	lost := 0
	for range rounds(40) {
		b := append([]byte(nil), whole...)
		if r.IntN(4) == 0 {
			b = b[:r.IntN(len(b))]
		} else {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		if err := os.WriteFile(d.pack, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d.with(t, func(s *Store, m *Mail, err error) {
			if err != nil {
				t.Fatal(err)
			}
			lost += d.readAll(t, s, m)
			extra := appendText(t, m, d.inbox, sized(1000, 100))
			if got := bytesOf(t, m, d.inbox, extra); got != sized(1000, 100) {
				t.Errorf("new mail reads as %q", got)
			}
		})
		d.restore(t)
	}
	if lost == 0 {
		t.Error("no damage was met: the test shows nothing")
	}
}

// restore makes mail.db what it was when newDamaged ended.
func (d damaged) restore(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(d.db, d.database, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readAll reads every message and returns how many are damaged.
func (d damaged) readAll(t *testing.T, s *Store, m *Mail) int {
	t.Helper()
	bad := map[mailbox.UID]bool{}
	v, err := m.View(t.Context(), d.inbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range v.Records {
		c, err := m.Open(t.Context(), d.inbox, r)
		if err == nil {
			var b strings.Builder
			if _, err := c.WriteTo(&b); err != nil || b.String() != d.text[r.UID] {
				t.Errorf("UID %d: wrong bytes, %v", r.UID, err)
			}
			c.Close()
			continue
		}
		bad[r.UID] = true
		var dm *Damage
		if !errors.As(err, &dm) || dm.User != user1 || dm.Mailbox != d.inbox || dm.UID != r.UID || dm.Pack != 1 || dm.Offset == 0 {
			t.Errorf("UID %d: %v does not name the place", r.UID, err)
		}
	}
	sameTogether(t, m, d.inbox, v.Records)
	found := map[mailbox.UID]bool{}
	if err := s.Verify(t.Context(), user1, func(f Finding) {
		if f.UID != 0 {
			found[f.UID] = true
		}
	}); err != nil {
		t.Fatal(err)
	}
	for uid := range bad {
		if !found[uid] {
			t.Errorf("Verify did not find UID %d", uid)
		}
	}
	return len(bad)
}

// TestDatabaseDamage flips bits and cuts bytes of mail.db. Whatever is then
// answered is right, or an error; nothing panics.
func TestDatabaseDamage(t *testing.T) {
	d := newDamaged(t, 12)
	whole := d.database
	r := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for range rounds(60) {
		b := append([]byte(nil), whole...)
		switch r.IntN(5) {
		case 0:
			b = b[:r.IntN(len(b))]
		case 1: // a page of an older or other time
			page := r.IntN(len(b) / 4096)
			copy(b[page*4096:], b[r.IntN(len(b)/4096)*4096:][:4096])
		default:
			for range 1 + r.IntN(3) {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
		}
		if err := os.WriteFile(d.db, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d.with(t, func(s *Store, m *Mail, err error) {
			if err == nil {
				err = d.askAll(t, m)
			}
			if err != nil {
				refused++
			}
		})
	}
	if refused == 0 {
		t.Error("no damage was met: the test shows nothing")
	}
}

// askAll checks all that the store answers about INBOX.
func (d damaged) askAll(t *testing.T, m *Mail) error {
	ctx := context.Background()
	if _, uids, err := m.UIDs(ctx, d.inbox); err != nil {
		return err
	} else if len(uids) != len(d.text) {
		t.Errorf("%d UIDs without an error", len(uids))
	}
	v, err := m.View(ctx, d.inbox)
	if err != nil {
		return err
	}
	if len(v.Records)+len(v.Damaged) != len(d.text) {
		t.Errorf("%d records without an error", len(v.Records))
	}
	for _, r := range v.Records {
		if want := d.text[r.UID]; r.GUID != mailbox.GUIDOf([]byte(want)) || r.Flags != mailbox.MakeFlags("$Work") || r.Size != int64(len(want)) {
			t.Errorf("wrong record without an error: %+v", r)
		}
		c, err := m.Open(ctx, d.inbox, r)
		if err != nil {
			return err
		}
		var b strings.Builder
		if _, err := c.WriteTo(&b); err != nil || b.String() != d.text[r.UID] {
			t.Errorf("UID %d: wrong bytes, %v", r.UID, err)
		}
		c.Close()
	}
	return m.Structures(ctx, v.Records, func(i int, s *message.Structure) error {
		if want := int64(len(d.text[v.Records[i].UID])); s.Size != want || !strings.HasPrefix(s.Envelope.Subject, "message ") {
			t.Errorf("UID %d: wrong structure", v.Records[i].UID)
		}
		return nil
	})
}

// alone begins the names of damages that concern one record.
const alone = "one record "

// TestVanishedRecord takes single rows out of mail.db, as a lost page would.
func TestVanishedRecord(t *testing.T) {
	for _, tc := range []struct{ name, sql string }{
		{alone + "of another time", `UPDATE message SET system = 9 WHERE id & 0xFFFFFFFF = 2`},
		{alone + "in the place of another", `UPDATE message SET fixed = (SELECT fixed FROM message AS o WHERE o.id & 0xFFFFFFFF = 3) WHERE id & 0xFFFFFFFF = 2`},
		{"record", `DELETE FROM message WHERE id & 0xFFFFFFFF = 2`},
		{"counter", `UPDATE mailbox SET live = live + 1 WHERE name = 'INBOX'`},
		{"checksum", `UPDATE mailbox SET sum_a = sum_a + 1 WHERE name = 'INBOX'`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDamaged(t, 4)
			d.exec(t, tc.sql)
			d.with(t, func(s *Store, m *Mail, err error) {
				if err != nil {
					t.Fatal(err)
				}
				var dm *Damage
				v, err := m.View(t.Context(), d.inbox)
				if strings.HasPrefix(tc.name, alone) { // found by its CRC, and served around
					if err != nil || len(v.Records) != 3 || len(v.Damaged) != 1 || v.Damaged[0] != 2 {
						t.Errorf("view: %+v, %v", v, err)
					}
				} else if !errors.As(err, &dm) || dm.Mailbox != d.inbox {
					t.Errorf("view: %v", err)
				}
				// From here on writing could only make it worse: a delivery has to fail.
				_, err = m.Append(t.Context(), "", Append{Mailbox: d.inbox, Message: spool(t, s, sized(99, 400))})
				if counted := !strings.HasPrefix(tc.name, alone); counted && !errors.As(err, &dm) {
					t.Errorf("append after damage was seen: %v", err)
				}
				found := 0
				if err := s.Verify(t.Context(), user1, func(Finding) { found++ }); err != nil || found == 0 {
					t.Errorf("verify: %d findings, %v", found, err)
				}
			})
		})
	}
}

// TestDeliveryIntoDamage: what nobody has read is found by the first delivery, which
// fails; so do those after it, also when the user's mail was closed in between.
func TestDeliveryIntoDamage(t *testing.T) {
	damages := map[string]func(t *testing.T, d damaged){
		"record": func(t *testing.T, d damaged) { d.exec(t, `DELETE FROM message WHERE id & 0xFFFFFFFF = 2`) },
		"counter": func(t *testing.T, d damaged) {
			d.exec(t, `UPDATE mailbox SET live = live - 1 WHERE name = 'INBOX'`)
		},
		"pages": func(t *testing.T, d damaged) {
			b := bytes.Clone(d.database)
			r := rand.New(rand.NewPCG(5, 6))
			for page := 2; page*4096 < len(b); page += 3 {
				for range 200 {
					b[page*4096+r.IntN(4096)] ^= byte(1 + r.IntN(255))
				}
			}
			if err := os.WriteFile(d.db, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range damages {
		t.Run(name, func(t *testing.T) {
			d := newDamaged(t, 150)
			spoil(t, d)
			deliver := func(s *Store, m *Mail) {
				t.Helper()
				_, err := m.Append(t.Context(), "", Append{Mailbox: d.inbox, Message: spool(t, s, sized(99, 400))})
				var dm *Damage
				if !errors.As(err, &dm) {
					t.Errorf("acknowledged: %v", err)
				}
			}
			s, err := Open(t.Context(), Options{Conf: d.dir, OpenUsers: -1})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				m, err := s.Acquire(t.Context(), user1)
				if err != nil {
					continue // refused already
				}
				deliver(s, m)
				deliver(s, m)
				m.Release() // and closed
			}
			if err := s.Close(); err != nil && !databaseDamaged(err) {
				t.Error(err)
			}
		})
	}
}

// TestVettedAnew: what may be another mail.db is looked at again.
func TestVettedAnew(t *testing.T) {
	s, m := newStore(t, Options{})
	id := named(t, m, Inbox).ID
	appendText(t, m, id, mailText(1))
	k := viewKey{user1, id}
	if !s.vetted.has(k) {
		t.Error("a mailbox with mail was not looked at")
	}
	m.Release()
	e, err := s.reserve(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	s.vanish(e)
	if s.vetted.has(k) {
		t.Error("it is believed to be whole after somebody had it for himself")
	}
}

// TestLostContent takes away what records refer to.
func TestLostContent(t *testing.T) {
	d := newDamaged(t, 4)
	d.exec(t, `DELETE FROM content WHERE num = 2`, `UPDATE content SET start = 48 WHERE num = 3`, `DELETE FROM structure WHERE num = 4`,
		`UPDATE structure SET data = (SELECT data FROM structure WHERE num = 3) WHERE num = 1`)
	d.with(t, func(s *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.View(t.Context(), d.inbox)
		if err != nil {
			t.Fatal(err)
		}
		sameTogether(t, m, d.inbox, v.Records)
		for i, r := range v.Records {
			c, err := m.Open(t.Context(), d.inbox, r)
			var dm *Damage
			if i == 1 || i == 2 {
				if !errors.As(err, &dm) || dm.UID != r.UID || dm.Mailbox != d.inbox {
					t.Errorf("UID %d: %v", r.UID, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("UID %d: %v", r.UID, err)
				continue
			}
			c.Close()
			// The cached structures of both are lost, and made anew.
			if err := m.Structures(t.Context(), v.Records[i:i+1], func(_ int, s *message.Structure) error {
				if s.Size != r.Size {
					t.Errorf("UID %d: structure of %d bytes", r.UID, s.Size)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
}

func (d damaged) exec(t *testing.T, statements ...string) {
	t.Helper()
	c, err := openConn(d.db, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements {
		if err := c.exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

// TestHealByRedelivery delivers a message whose stored bytes are damaged: the
// new copy is whole, and mends the old.
func TestHealByRedelivery(t *testing.T) {
	d := newDamaged(t, 2)
	b, err := os.ReadFile(d.pack)
	if err != nil {
		t.Fatal(err)
	}
	b[packHeaderSize+frameHeaderSize+5] ^= 1
	if err := os.WriteFile(d.pack, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, m := openFor(t, Options{Conf: d.dir})
	defer s.Close()
	defer m.Release()
	again := appendText(t, m, d.inbox, d.text[1])
	v, err := m.View(t.Context(), d.inbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []mailbox.Record{again, v.Records[0]} {
		if got := bytesOf(t, m, d.inbox, r); got != d.text[1] {
			t.Errorf("UID %d: %q", r.UID, got)
		}
	}
	if again.Num != v.Records[0].Num {
		t.Errorf("the same bytes are held twice")
	}
	verify(t, s, user1)
}

// TestHealContentRow delivers messages together, one of which is known by a
// damaged row: that row is mended, and the others are not kept from coming in.
func TestHealContentRow(t *testing.T) {
	for _, tc := range []struct{ name, sql string }{
		{"crc", `UPDATE content SET crc = crc + 1 WHERE num = 1`},
		{"start", `UPDATE content SET start = start + 7 WHERE num = 1`},
		{"size", `UPDATE content SET size = size + 1 WHERE num = 1`},
		{"pack that is not there", `UPDATE content SET pack = 77 WHERE num = 1`},
		{"thread", `UPDATE content SET thread = x'0102' WHERE num = 1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDamaged(t, 3)
			d.exec(t, tc.sql)
			s, m := openFor(t, Options{Conf: d.dir})
			defer s.Close()
			defer m.Release()
			batch := d.batch(t, s, d.text[1], mailText(77))
			m.turn <- struct{}{}
			m.queue = batch
			m.deliver(t.Context())
			for i, q := range batch {
				if q.err != nil {
					t.Fatalf("delivery %d: %v", i, q.err)
				}
			}
			v, err := m.View(t.Context(), d.inbox)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []string{d.text[1], d.text[2], d.text[3], d.text[1], mailText(77)} {
				if got := bytesOf(t, m, d.inbox, v.Records[i]); got != want {
					t.Errorf("UID %d: %.60q", v.Records[i].UID, got)
				}
			}
			verify(t, s, user1)
		})
	}
}

// batch makes deliveries to INBOX that wait.
func (d damaged) batch(t *testing.T, s *Store, texts ...string) []*delivery {
	t.Helper()
	var all []*delivery
	for _, text := range texts {
		all = append(all, &delivery{items: []Append{{Mailbox: d.inbox, Message: spool(t, s, text)}}, done: make(chan struct{})})
	}
	return all
}

// TestTailIsCut leaves bytes behind the end, as an unfinished delivery does.
func TestTailIsCut(t *testing.T) {
	d := newDamaged(t, 3)
	before, err := os.ReadFile(d.pack)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.pack, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, strings.Repeat("torn", 1000)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	reader, err := Open(t.Context(), Options{Conf: d.dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, reader, user1)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.pack); err != nil || info.Size() == int64(len(before)) {
		t.Errorf("a reader cut the tail: %v", err)
	}
	d.with(t, func(s *Store, m *Mail, err error) {
		appendText(t, m, d.inbox, "A: b\r\n\r\nnext\r\n")
		verify(t, s, user1)
	})
	after, err := os.ReadFile(d.pack)
	if err != nil {
		t.Fatal(err)
	}
	if string(after[:len(before)]) != string(before) || strings.Contains(string(after), "torntorn") {
		t.Error("the tail was not cut where it begins")
	}
	if filepath.Base(d.pack) != "1.pack" {
		t.Error("another pack was begun")
	}
}
