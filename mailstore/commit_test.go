package mailstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// journal notes the steps of a store, in their order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.lines
	j.lines = nil
	return out
}

// traced is a store whose steps, file operations and events go to a journal.
func traced(t *testing.T, o Options) (*Store, *Mail, *journal) {
	t.Helper()
	j := &journal{}
	o.Step = j.add
	o.Notify = func(e mailbox.Event) { j.add(fmt.Sprintf("notify %d %s", e.Kind, e.UIDs)) }
	fence := o.Fence
	o.Fence = func(ctx context.Context, u mailbox.User) error {
		j.add("fence")
		if fence != nil {
			return fence(ctx, u)
		}
		return nil
	}
	o.FS = disk.WithFaults(disk.OS(), disk.Faults{Done: func(op disk.Op, name string) {
		if strings.HasSuffix(name, packSuffix) && (op == disk.OpWrite || op == disk.OpSync) || op == disk.OpSyncDir {
			j.add(string(op))
		}
	}})
	s, m := newStore(t, o)
	return s, m, j
}

// TestOrderOfDelivery holds still what must come before what.
func TestOrderOfDelivery(t *testing.T) {
	_, m, j := traced(t, Options{})
	id := named(t, m, Inbox).ID
	j.take()
	appendText(t, m, id, mailText(1))
	first := []string{
		"fence", StepFenced, StepCommitted, StepPackMade, "write", // the pack is registered, then made
		"write", "write", StepPackWritten, "sync", "syncdir", StepPackSynced, "fence", // the message, and zeros ahead
		StepFenced, StepCommitted, "notify 1 1", StepNotified,
	}
	if got := j.take(); !slices.Equal(got, first) {
		t.Errorf("first delivery: %q, want %q", got, first)
	}
	appendText(t, m, id, mailText(2))
	next := []string{"write", StepPackWritten, "sync", StepPackSynced, "fence", StepFenced, StepCommitted, "notify 1 2", StepNotified}
	if got := j.take(); !slices.Equal(got, next) {
		t.Errorf("next delivery: %q, want %q", got, next)
	}
}

// TestGroupCommit holds the writer's turn while deliveries gather: they are then
// committed together, with one sync.
func TestGroupCommit(t *testing.T) {
	_, m, j := traced(t, Options{})
	id := named(t, m, Inbox).ID
	appendText(t, m, id, mailText(0))
	if err := m.lockWriter(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := 1; n <= 20; n++ {
		msg := spool(t, m.s, mailText(n))
		wg.Go(func() {
			if _, err := m.Append(t.Context(), "", Append{Mailbox: id, Message: msg}); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, func() bool {
		m.queueMu.Lock()
		defer m.queueMu.Unlock()
		return len(m.queue) == 20
	})
	j.take()
	m.unlockWriter()
	wg.Wait()
	syncs, notices := 0, 0
	for _, line := range j.take() {
		if line == "sync" {
			syncs++
		} else if strings.HasPrefix(line, "notify") {
			notices++
		}
	}
	if syncs != 1 || notices != 20 {
		t.Errorf("%d syncs and %d notices for 20 deliveries", syncs, notices)
	}
	if st := named(t, m, Inbox); st.Counts.Exists != 21 {
		t.Errorf("%d messages", st.Counts.Exists)
	}
}

// waitFor yields until a condition on other goroutines holds.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		runtime.Gosched()
	}
}

// TestOneRefusedOfMany commits a batch of which some deliveries cannot be.
func TestOneRefusedOfMany(t *testing.T) {
	_, m, _ := traced(t, Options{})
	id := named(t, m, Inbox).ID
	if err := m.SetQuota(t.Context(), Quota{Messages: 3}); err != nil {
		t.Fatal(err)
	}
	if err := m.lockWriter(t.Context()); err != nil {
		t.Fatal(err)
	}
	var full, none, good atomic.Int32
	var wg sync.WaitGroup
	for n := range 8 {
		to := id
		if n%4 == 3 {
			to = "ffffffffffffffffffffffff"
		}
		msg := spool(t, m.s, mailText(n))
		wg.Go(func() {
			_, err := m.Append(t.Context(), "", Append{Mailbox: to, Message: msg})
			switch {
			case err == nil:
				good.Add(1)
			case errors.Is(err, ErrOverQuota):
				full.Add(1)
			case errors.Is(err, ErrNoMailbox):
				none.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	waitFor(t, func() bool {
		m.queueMu.Lock()
		defer m.queueMu.Unlock()
		return len(m.queue) == 8
	})
	m.unlockWriter()
	wg.Wait()
	if good.Load() != 3 || full.Load() != 3 || none.Load() != 2 {
		t.Errorf("%d stored, %d over quota, %d without a mailbox", good.Load(), full.Load(), none.Load())
	}
}

// TestFence refuses a commit at the last moment: nothing of it stays, and the
// next goes on as if it had not been.
func TestFence(t *testing.T) {
	fenced := errors.New("another slot is master")
	closed := false
	_, m, _ := traced(t, Options{Fence: func(context.Context, mailbox.User) error {
		if closed {
			return fenced
		}
		return nil
	}})
	id := named(t, m, Inbox).ID
	appendText(t, m, id, mailText(0))
	before := named(t, m, Inbox)
	closed = true
	for _, try := range []func() error{
		func() error {
			_, err := m.Append(t.Context(), "", Append{Mailbox: id, Message: spool(t, m.s, mailText(1))})
			return err
		},
		func() error {
			_, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDs(1), AddFlags, mailbox.MakeFlags(`\Seen`), nil)
			return err
		},
		func() error { _, err := m.Create(t.Context(), "", "x", ""); return err },
		func() error { _, err := m.Copy(t.Context(), "", id, mailbox.UIDs(1), id); return err },
	} {
		if err := try(); !errors.Is(err, fenced) {
			t.Errorf("fenced change: %v", err)
		}
	}
	closed = false
	if after := named(t, m, Inbox); after != before {
		t.Errorf("state is %+v, was %+v", after, before)
	}
	if r := appendText(t, m, id, mailText(2)); r.UID != 2 {
		t.Errorf("next message has UID %d", r.UID)
	}
	if v, err := m.View(t.Context(), id); err != nil || len(v.Records) != 2 {
		t.Errorf("view: %v", err)
	}
}

// TestFaultsOfPacks makes writes and syncs of packs fail under the whole store.
func TestFaultsOfPacks(t *testing.T) {
	failure := errors.New("injected")
	for _, op := range []disk.Op{disk.OpWrite, disk.OpSync, disk.OpCreate, disk.OpSyncDir} {
		t.Run(string(op), func(t *testing.T) {
			var fail atomic.Bool
			fs := disk.WithFaults(disk.OS(), disk.Faults{Fail: func(o disk.Op, name string) error {
				if fail.Load() && o == op && (op == disk.OpSyncDir || strings.HasSuffix(name, packSuffix)) {
					return failure
				}
				return nil
			}})
			_, m := newStore(t, Options{FS: fs, PackSize: 1000})
			id := named(t, m, Inbox).ID
			want := uint32(0)
			for n := range 12 {
				fail.Store(n%3 == 1)
				_, err := m.Append(t.Context(), "", Append{Mailbox: id, Message: spool(t, m.s, sized(n, 700))})
				if err == nil {
					want++
				} else if !errors.Is(err, failure) || n%3 != 1 {
					t.Errorf("append %d: %v", n, err)
				}
			}
			fail.Store(false)
			if st := named(t, m, Inbox); st.Counts.Exists != want || want < 8 {
				t.Errorf("%d messages, want %d", st.Counts.Exists, want)
			}
		})
	}
}

// TestWithdraw ends the wait of a delivery that no writer has taken.
func TestWithdraw(t *testing.T) {
	_, m := newStore(t, Options{})
	id := named(t, m, Inbox).ID
	msg := spool(t, m.s, mailText(1))
	if err := m.lockWriter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Append(ctx, "", Append{Mailbox: id, Message: msg}); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if _, err := m.Create(ctx, "", "x", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("create: %v", err)
	}
	m.unlockWriter()
	if st := named(t, m, Inbox); st.Counts.Exists != 0 {
		t.Error("a withdrawn delivery was stored")
	}
}

// TestManyAtOnce has writers, readers, and repacks at work on one user, for the
// race detector and for the check at the end.
func TestManyAtOnce(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t), PackSize: 20_000, CacheBytes: 50_000})
	id := named(t, m, Inbox).ID
	var wg sync.WaitGroup
	var stop atomic.Bool
	defer wg.Wait()
	defer stop.Store(true)
	try := func(what string, fn func() error) {
		wg.Go(func() {
			for !stop.Load() {
				if err := fn(); err != nil && !errors.Is(err, ErrNoMessage) {
					t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	var n atomic.Int64
	for range 3 {
		try("append", func() error {
			msg, err := s.Spool(t.Context(), strings.NewReader(sized(int(n.Add(1)), 900)))
			if err == nil {
				_, err = m.Append(t.Context(), "", Append{Mailbox: id, Message: msg})
			}
			return err
		})
	}
	try("read", func() error {
		v, err := m.View(t.Context(), id)
		if err != nil {
			return err
		}
		last := mailbox.UID(0)
		for _, r := range v.Records {
			if r.UID <= last {
				return fmt.Errorf("UID %d after %d", r.UID, last)
			}
			last = r.UID
			if r.UID%16 != 0 {
				continue
			}
			c, err := m.Open(t.Context(), id, r)
			if err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	try("expunge", func() error {
		_, uids, err := m.UIDs(t.Context(), id)
		if err != nil || len(uids) < 50 {
			return err
		}
		if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDs(uids[:20]...), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			return err
		}
		if _, _, err = m.Expunge(t.Context(), "", id, nil); err != nil {
			return err
		}
		_, err = m.Forget(t.Context(), s.o.Now().Add(time.Hour))
		return err
	})
	try("repack", func() error {
		_, err := m.Repack(t.Context(), RepackOptions{All: true})
		return err
	})
	waitFor(t, func() bool { return n.Load() > 300 || t.Failed() })
}

// TestOpenUsers keeps only so many databases open, and all users usable.
func TestOpenUsers(t *testing.T) {
	s, err := Open(t.Context(), Options{Conf: memoryDir(t), OpenUsers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	users := make([]mailbox.User, 6)
	for i := range users {
		users[i] = mailbox.User(fmt.Sprintf("%032x", i))
		if err := s.CreateUser(t.Context(), users[i], UserOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 30 {
				m, err := s.Acquire(t.Context(), users[(w*7+i*5)%len(users)])
				if err != nil {
					t.Error(err)
					return
				}
				inbox, err := m.MailboxNamed(t.Context(), Inbox)
				if err == nil {
					appendText(t, m, inbox.ID, sized(w*100+i, 300))
				} else {
					t.Error(err)
				}
				m.Release()
			}
		})
	}
	wg.Wait()
	if n := len(s.open); n > 2 {
		t.Errorf("%d users are open", n)
	}
	total := uint32(0)
	for _, u := range users {
		verify(t, s, u)
		m, err := s.Acquire(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		total += named(t, m, Inbox).Counts.Exists
		m.Release()
	}
	if total != 120 {
		t.Errorf("%d messages of 120", total)
	}
	if got, err := s.Users(t.Context()); err != nil || !slices.Equal(got, users) {
		t.Errorf("users: %v, %v", got, err)
	}
}
