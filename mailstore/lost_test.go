package mailstore

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
)

// cutUnder is mail whose WAL was cut under the process that has it open.
type cutUnder struct {
	s       *Store
	m       *Mail
	inbox   mailbox.ID
	text    map[mailbox.UID]string
	modseq  mailbox.ModSeq // before the cut
	log     bytes.Buffer
	damaged int // calls of Options.Damaged
}

// newCutUnder delivers messages and cuts the WAL behind so many of them, or by octets more. No connection has any page in memory.
func newCutUnder(t *testing.T, keep int, more int64) *cutUnder {
	t.Helper()
	c := &cutUnder{text: map[mailbox.UID]string{}}
	o := tracedOptions(t.TempDir())
	for _, d := range []string{o.Conf, o.Spool, o.Archive} {
		mkdir(t, d)
	}
	o.IdleTime = time.Nanosecond
	o.Logger = slog.New(slog.NewTextHandler(&c.log, nil))
	o.Damaged = func(mailbox.User) { c.damaged++ }
	c.s, c.m = openFor(t, o)
	c.inbox = named(t, c.m, Inbox).ID
	wal := c.s.databasePath(user1) + "-wal"
	var ends []int64
	for n := range 6 {
		rec := appendText(t, c.m, c.inbox, sized(n, 500))
		c.text[rec.UID] = sized(n, 500)
		info, err := os.Stat(wal)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, info.Size())
	}
	c.modseq = named(t, c.m, Inbox).HighestModSeq
	cold, err := openConn(c.m.path, false) // it keeps what SQLite knows of the WAL
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cold.integer("PRAGMA schema_version"); err != nil {
		t.Fatal(err)
	}
	if err := c.m.writer.close(); err != nil {
		t.Fatal(err)
	}
	c.m.writer, c.m.readers = nil, append(c.m.readers, cold)
	c.m.known.Store(nil)
	c.s.views.forget(user1)
	if err := os.Truncate(wal, ends[keep-1]+more); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cutUnder) view(t *testing.T) error {
	_, err := c.m.View(t.Context(), c.inbox)
	return err
}

// TestCommitsAreGone: where the end of a WAL is cut off under who has mail open, he does not go on without what was committed there: it is told once, nothing
// is served or taken, also after the mail was closed, until a repair brings the messages back under their UIDs, with counters above
// all that were told.
func TestCommitsAreGone(t *testing.T) {
	for _, cut := range []struct {
		keep int
		more int64
	}{{5, 0}, {5, 3000}, {4, 0}, {1, 0}, {1, -100}} {
		c := newCutUnder(t, cut.keep, cut.more)
		for tries := 0; !errors.Is(c.view(t), errLost); tries++ {
			if err := c.view(t); err == nil || tries > 4 {
				t.Fatalf("cut behind %d: %v", cut.keep, err)
			}
		}
		var d *Damage
		if err := c.view(t); !errors.As(err, &d) || d.User != user1 {
			t.Errorf("cut behind %d: %v", cut.keep, err)
		}
		msg, err := c.s.Spool(t.Context(), strings.NewReader(sized(77, 500)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.m.Append(t.Context(), "", Append{Mailbox: c.inbox, Message: msg}); !errors.Is(err, errLost) {
			t.Errorf("cut behind %d: mail is taken: %v", cut.keep, err)
		}
		if err := msg.Close(); err != nil {
			t.Error(err)
		}
		if err := c.s.Verify(t.Context(), user1, func(Finding) {}); !errors.Is(err, errLost) {
			t.Errorf("cut behind %d: verify: %v", cut.keep, err)
		}
		if m, err := c.s.Acquire(t.Context(), user1); !errors.Is(err, errLost) {
			t.Errorf("cut behind %d: somebody else has it: %v", cut.keep, err)
			m.Release()
		}
		if err := c.s.Repair(t.Context(), user1, func(string) {}); !errors.Is(err, ErrBusy) {
			t.Errorf("cut behind %d: repaired while somebody uses it: %v", cut.keep, err)
		}
		c.m.Release()
		c.s.CloseIdle()
		if m, err := c.s.Acquire(t.Context(), user1); !errors.Is(err, errLost) {
			t.Errorf("cut behind %d: opened again: %v", cut.keep, err)
			m.Release()
		}
		if n := strings.Count(c.log.String(), "level=ERROR"); n == 0 || c.damaged != n {
			t.Errorf("cut behind %d: told %d times, %d of them in the log:\n%s", cut.keep, c.damaged, n, &c.log)
		}
		c.repaired(t)
	}
}

// repaired repairs, and looks at what is there then.
func (c *cutUnder) repaired(t *testing.T) {
	t.Helper()
	var said []string
	if err := c.s.Repair(t.Context(), user1, func(line string) { said = append(said, line) }); err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
	}
	m := acquireUnreleased(t, c.s)
	v, err := m.View(t.Context(), c.inbox)
	if err != nil || len(v.Records) != len(c.text) {
		t.Fatalf("%d messages of %d, %v", len(v.Records), len(c.text), err)
	}
	for _, rec := range v.Records {
		if got := bytesOf(t, m, c.inbox, rec); got != c.text[rec.UID] {
			t.Errorf("UID %d is %.40q", rec.UID, got)
		}
		if rec.ModSeq <= c.modseq {
			t.Errorf("UID %d has the mod-sequence %d, and %d was told", rec.UID, rec.ModSeq, c.modseq)
		}
	}
	if v.State.UIDNext <= mailbox.UID(len(c.text)) {
		t.Errorf("UIDNEXT %d", v.State.UIDNext)
	}
	appendText(t, m, c.inbox, sized(100, 500))
	verify(t, c.s, user1)
	m.Release()
	aside, err := filepath.Glob(c.s.databasePath(user1) + ".damaged-*")
	if err != nil || len(aside) == 0 {
		t.Errorf("nothing was set aside: %q, %v", said, err)
	}
	if err := c.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNothingIsGone: mail that is closed, opened again, put back, removed or made anew under the same id is where it is.
func TestNothingIsGone(t *testing.T) {
	dir := t.TempDir()
	s, m := openFor(t, Options{Conf: dir, IdleTime: time.Nanosecond})
	inbox := named(t, m, Inbox).ID
	for n := range 5 {
		appendText(t, m, inbox, mailText(n))
	}
	copied := filepath.Join(dir, "copy")
	if _, err := m.Snapshot(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		appendText(t, m, inbox, mailText(n))
	}
	m.Release()
	s.CloseIdle()
	m = acquireUnreleased(t, s)
	if _, err := m.View(t.Context(), inbox); err != nil {
		t.Error(err)
	}
	m.Release()
	b, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutBack(t.Context(), user1, func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		t.Fatal(err)
	}
	m = acquireUnreleased(t, s)
	appendText(t, m, inbox, mailText(1))
	m.Release()
	if err := s.RemoveUser(t.Context(), user1); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	m = acquireUnreleased(t, s)
	appendText(t, m, named(t, m, Inbox).ID, mailText(1))
	m.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
