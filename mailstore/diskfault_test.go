package mailstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// suspects are packs whose sync failed: nothing may be written to one, nor synced, again.
type suspects struct {
	mu     sync.Mutex
	failed map[string]bool
	again  []string
	met    bool // a fault
}

// faults fails the nth operation of a kind, and watches what is done to suspects.
func (s *suspects) faults(n int, op disk.Op, fault error) disk.Faults {
	fail := disk.FailAt(n, fault, op)
	return disk.Faults{Fail: func(op disk.Op, name string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed[name] && (op == disk.OpWrite || op == disk.OpSync) {
			s.again = append(s.again, fmt.Sprint(op, " ", name))
		}
		err := fail(op, name)
		s.met = s.met || err != nil
		if err != nil && op == disk.OpSync && strings.HasSuffix(name, packSuffix) {
			s.failed[name] = true
		}
		return err
	}}
}

// life is what a user's mail goes through: it returns what was acknowledged and not
// expunged.
func life(t *testing.T, o Options) (kept map[mailbox.GUID]string) {
	t.Helper()
	ctx := t.Context()
	kept = map[mailbox.GUID]string{}
	note := func(err error) bool {
		if err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "closed") {
			t.Errorf("the disk fails with %v", err)
		}
		return err == nil
	}
	s, err := Open(ctx, o)
	if !note(err) {
		return kept
	}
	defer func() { note(s.Close()) }()
	m, err := s.Acquire(ctx, user1)
	if !note(err) {
		return kept
	}
	defer m.Release()
	inbox := named(t, m, Inbox).ID
	var gone []mailbox.UID
	deliver := func(n, size int) {
		body := sized(n, size)
		msg, err := s.Spool(ctx, strings.NewReader(body))
		if !note(err) {
			return
		}
		defer msg.Close()
		recs, err := m.Append(ctx, "", Append{Mailbox: inbox, Message: msg})
		if !note(err) {
			return
		}
		if n%3 == 0 {
			gone = append(gone, recs[0].UID)
			return
		}
		kept[recs[0].GUID] = body
	}
	for n := range 9 {
		deliver(n, []int{400, 3000, 9000}[n%3])
	}
	_, err = m.StoreFlags(ctx, "", inbox, mailbox.UIDs(gone...), AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	note(err)
	_, _, err = m.Expunge(ctx, "", inbox, nil)
	note(err)
	_, err = m.SaveDatabase(ctx)
	note(err)
	_, err = m.Forget(ctx, o.Now().Add(time.Hour))
	note(err)
	_, err = m.Repack(ctx, RepackOptions{All: true, Archive: o.Now().Add(time.Hour)})
	note(err)
	deliver(10, 500)
	return kept
}

// TestFaultsEverywhere lets each operation of each kind fail once, with EIO or for want of
// room, in the life of a user's mail: what was acknowledged is there on a disk that
// works again, the check finds nothing, and no pack whose sync failed is trusted again.
func TestFaultsEverywhere(t *testing.T) {
	cases := 0
	step := 7
	if rounds(1) > 1 {
		step = 1
	}
	for _, op := range []disk.Op{disk.OpOpen, disk.OpCreate, disk.OpRead, disk.OpWrite, disk.OpTruncate, disk.OpSync, disk.OpRename,
		disk.OpRemove, disk.OpMkdir, disk.OpReadDir, disk.OpStat, disk.OpSyncDir} {
		for n := 1; ; n += step {
			fault := []error{syscall.EIO, syscall.ENOSPC}[n%2]
			if op == disk.OpRead || op == disk.OpOpen || op == disk.OpStat || op == disk.OpReadDir {
				fault = syscall.EIO
			}
			now := time.Unix(1_700_000_000, 0)
			o := partitions(t, &now)
			o.ArchiveSize, o.MemoryMessage = 5000, 4000
			s, m := openFor(t, o)
			m.Release()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			suspect := suspects{failed: map[string]bool{}}
			bad := o
			bad.FS = disk.WithFaults(disk.OS(), suspect.faults(n, op, fault))
			kept := life(t, bad)
			afterLife(t, o, kept, fmt.Sprintf("%s number %d", op, n))
			for _, again := range suspect.again {
				t.Errorf("%s number %d: after its sync had failed: %s", op, n, again)
			}
			if cases++; !suspect.met {
				break
			}
		}
	}
	t.Logf("proof: %d operations failed", cases)
}

// afterLife looks at the mail through a disk that works.
func afterLife(t *testing.T, o Options, kept map[mailbox.GUID]string, what string) {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	inbox := named(t, m, Inbox).ID
	v, err := m.View(t.Context(), inbox)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, r := range v.Records {
		if want, ok := kept[r.GUID]; ok && bytesOf(t, m, inbox, r) == want {
			delete(kept, r.GUID)
		}
	}
	for guid := range kept {
		t.Errorf("%s: message %s was acknowledged and is not there", what, guid)
	}
	if err := s.Verify(t.Context(), user1, func(f Finding) {
		if !f.Harmless {
			t.Errorf("%s: %v", what, f)
		}
	}); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
