package mailstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
)

// crashed is a user's mail as kill -9 leaves it, with a WAL of several commits.
type crashed struct {
	*patient
	killed []savedFile
	wal    []byte
	ends   []int // of the WAL's commits, in octets
}

func newCrashed(t *testing.T) *crashed {
	t.Helper()
	c := &crashed{patient: newPatient(t)}
	c.killed = c.files(t)
	c.m.Release()
	c.m = nil
	if err := c.s.Close(); err != nil {
		t.Fatal(err)
	}
	c.wal = c.killed[1].bytes
	const size = walFrameHeaderSize + 4096
	for at := walHeaderSize; at+size <= len(c.wal); at += size {
		if binary.BigEndian.Uint32(c.wal[at+4:]) > 0 {
			c.ends = append(c.ends, at+size)
		}
	}
	if len(c.ends) < 4 {
		t.Fatalf("%d commits are in the WAL: the test shows little", len(c.ends))
	}
	return c
}

// put writes the files back, with another WAL.
func (c *crashed) put(t *testing.T, wal []byte) {
	t.Helper()
	c.damage(t, rand.New(rand.NewPCG(0, 0)), nil)
	for i, f := range c.killed {
		if i == 1 {
			f.bytes = wal
		}
		if err := os.WriteFile(f.name, f.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornWAL: whatever a crash leaves of the last commit, the mail opens.
func TestTornWAL(t *testing.T) {
	c := newCrashed(t)
	last := c.ends[len(c.ends)-2]
	r := rand.New(rand.NewPCG(7, 8))
	torn := [][]byte{nil, {}, c.wal[:walHeaderSize-1], c.wal[:walHeaderSize], c.wal}
	for range rounds(60) {
		torn = append(torn, c.wal[:last+r.IntN(len(c.wal)-last)])
		b := bytes.Clone(c.wal) // its pages came to the disk in any order
		for range 1 + r.IntN(5) {
			at := last + r.IntN(len(b)-last)
			clear(b[at:min(len(b), at+512)])
		}
		torn = append(torn, b)
	}
	for _, b := range torn {
		if _, damaged, err := damagedFrame(bytes.NewReader(b)); damaged || err != nil {
			t.Errorf("a WAL of %d octets of %d: damaged %v, %v", len(b), len(c.wal), damaged, err)
		}
	}
}

// TestDamagedWAL: a bit that is wrong before the last commit is found when the mail is
// opened, and nothing is served of a mail.db without what came after. Repair brings all
// messages back, under their UIDs, and gives no UID twice.
func TestDamagedWAL(t *testing.T) {
	c := newCrashed(t)
	last := c.ends[len(c.ends)-2]
	r := rand.New(rand.NewPCG(9, 10))
	for n := range rounds(12) {
		b := bytes.Clone(c.wal)
		at := r.IntN(last)
		switch {
		case n == 0:
			at = 5 // in the header
		case n == 1:
			at = walHeaderSize + 9 // in the salts of the first frame
		}
		b[at] ^= 1 << r.IntN(8)
		c.put(t, b)
		c.mend(t, at)
	}
	var err error
	if c.s, err = Open(t.Context(), c.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

func (c *crashed) mend(t *testing.T, at int) {
	t.Helper()
	s, err := Open(t.Context(), c.o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var d *Damage
	if m, err := s.Acquire(t.Context(), user1); !errors.Is(err, errWAL) || !errors.As(err, &d) || d.User != user1 {
		t.Errorf("octet %d: %v", at, err)
		if err == nil {
			m.Release()
		}
		return
	}
	if err := s.Verify(t.Context(), user1, func(Finding) {}); !errors.Is(err, errWAL) {
		t.Errorf("octet %d: verify: %v", at, err)
	}
	if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
		t.Fatalf("octet %d: %v", at, err)
	}
	m := acquireUnreleased(t, s)
	defer m.Release()
	v, err := m.View(t.Context(), c.inbox)
	if err != nil || len(v.Records) != len(c.text) {
		t.Fatalf("octet %d: %d messages of %d, %v", at, len(v.Records), len(c.text), err)
	}
	for _, rec := range v.Records {
		if got := bytesOf(t, m, c.inbox, rec); got != c.text[rec.UID] {
			t.Errorf("octet %d: UID %d is %.40q", at, rec.UID, got)
		}
	}
	if v.State.UIDNext <= mailbox.UID(len(c.text)) {
		t.Errorf("octet %d: UIDNEXT %d", at, v.State.UIDNext)
	}
	if _, err := os.Stat(s.databasePath(user1) + beforeWAL); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("octet %d: a copy is left: %v", at, err)
	}
	verify(t, s, user1)
}

// TestUnreadableWAL: a WAL that cannot be read is not passed over.
func TestUnreadableWAL(t *testing.T) {
	c := newCrashed(t)
	c.put(t, c.wal)
	for _, op := range []disk.Op{disk.OpOpen, disk.OpRead} {
		o := c.o
		o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(done disk.Op, name string) error {
			if done == op && name == c.killed[1].name {
				return io.ErrUnexpectedEOF
			}
			return nil
		}})
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := s.Acquire(t.Context(), user1); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", op, err)
			if err == nil {
				m.Release()
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	var err error
	if c.s, err = Open(t.Context(), c.o); err != nil { // for the cleanup
		t.Fatal(err)
	}
}

// TestMessageBehindEnd: a message that lies whole behind the end of its pack, as a delivery
// that was interrupted before its commit leaves it, is taken in by Repair, once.
func TestMessageBehindEnd(t *testing.T) {
	p := newPatient(t)
	var killed []savedFile
	p.m.s.o.Step = func(step string) {
		if step == StepPackSynced {
			killed = p.files(t)
		}
	}
	appendText(t, p.m, p.inbox, sized(50, 700))
	p.close(t)
	for _, f := range killed {
		if err := os.WriteFile(f.name, f.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.open(t)
	if n := named(t, p.m, Inbox).Counts.Exists; n != 12 {
		t.Fatalf("%d messages: the test shows nothing", n)
	}
	for range 2 {
		if err := p.s.Repair(t.Context(), user1, func(string) {}); err != nil {
			t.Fatal(err)
		}
		v, err := p.m.View(t.Context(), p.inbox)
		if err != nil || len(v.Records) != 13 || v.Records[12].GUID != mailbox.GUIDOf([]byte(sized(50, 700))) {
			t.Errorf("%d messages, %v", len(v.Records), err)
		}
		verify(t, p.s, user1)
	}
}
