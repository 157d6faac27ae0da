package squatter_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
)

func TestIndexUserIndexesWhatIsMissing(t *testing.T) {
	f := newFixture(t, squatter.Options{Bulk: 7})
	f.index(0, squatter.IndexOptions{})
	f.deliver(0, 30)
	if a := f.audit(); a.Whole() || len(a.Missing) != 1 || len(a.Missing[0].UIDs) != 30 {
		t.Errorf("before indexing: %+v", a)
	}
	f.index(30, squatter.IndexOptions{})
	f.index(0, squatter.IndexOptions{})
	f.deliver(30, 33)
	f.index(3, squatter.IndexOptions{})
	f.index(0, squatter.IndexOptions{})
	if a := f.audit(); !a.Whole() || a.Indexed != 33 || a.Double+a.Dead != 0 {
		t.Errorf("%+v", a)
	}
	f.index(33, squatter.IndexOptions{All: true})
	if a := f.audit(); !a.Whole() || a.Indexed != 33 || a.Double == 0 {
		t.Errorf("after indexing all again: %+v", a)
	}
	f.compact("data")
	if a := f.audit(); !a.Whole() || a.Indexed != 33 || a.Double != 0 {
		t.Errorf("after a compaction: %+v", a)
	}
	f.index(0, squatter.IndexOptions{})
}

// The cursor is no claim: whatever goes with a database is indexed again.
func TestIndexUserNoticesLostDatabases(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.compact("data")
	f.deliver(10, 15)
	f.index(5, squatter.IndexOptions{})
	f.index(0, squatter.IndexOptions{})
	f.must(os.RemoveAll(f.path("temp", "users")))
	f.index(5, squatter.IndexOptions{})
	f.must(os.RemoveAll(f.path("data", "users")))
	f.index(10, squatter.IndexOptions{})
	if a := f.audit(); len(a.Damage) != 1 || a.Damage[0].Database != "data:1" || len(a.Missing) > 0 || a.Indexed != 15 {
		t.Errorf("%+v", a)
	}
	done, err := f.q.Repair(t.Context(), user, nil)
	f.must(err)
	if !done.After.Whole() || done.Indexed != 0 {
		t.Errorf("repaired: %+v, %+v", done, done.After)
	}
}

// What few messages are committed to is part of what the cursor depends on, also if it is
// a database that held nothing when they were looked for.
func TestIndexUserNoticesLossOfANewFront(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	f.compact("data")
	f.index(0, squatter.IndexOptions{})
	f.deliver(10, 12)
	f.index(2, squatter.IndexOptions{})
	f.must(os.RemoveAll(f.path("temp", "users")))
	f.index(2, squatter.IndexOptions{})
	if n := f.indexed(); n != 12 {
		t.Errorf("%d messages are indexed, want 12", n)
	}
}

// Another process may compact while this one remembers what it has indexed.
func TestIndexUserAfterAnothersCompaction(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	other := squatter.New(squatter.Options{Store: f.store, Tiers: f.tiers})
	f.deliver(0, 10)
	f.index(10, squatter.IndexOptions{})
	_, err := other.Compact(t.Context(), user, squatter.CompactOptions{Sources: []string{"temp"}, Dest: "archive"})
	f.must(err)
	f.deliver(10, 12)
	f.index(2, squatter.IndexOptions{})
	if n, err := other.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 0 || err != nil {
		t.Errorf("the other indexed %d, %v; want nothing left", n, err)
	}
}

func TestIndexUserSomeMailboxes(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	box, err := f.mail.Create(t.Context(), "", "Projects", "")
	f.must(err)
	_, err = f.mail.Move(t.Context(), "", f.inbox, mailbox.UIDRange(1, 4), box.ID)
	f.must(err)
	f.index(4, squatter.IndexOptions{Mailboxes: []mailbox.ID{box.ID}})
	f.index(0, squatter.IndexOptions{Mailboxes: []mailbox.ID{}})
	f.index(6, squatter.IndexOptions{})
}

func TestIndexUserUnknown(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	_, err := f.q.IndexUser(t.Context(), mailbox.User(strings.Repeat("9", 32)), squatter.IndexOptions{})
	if !errors.Is(err, mailstore.ErrNoUser) {
		t.Errorf("got %v, want %v", err, mailstore.ErrNoUser)
	}
}

func TestIndexUserCancelled(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.q.IndexUser(ctx, user, squatter.IndexOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	f.index(10, squatter.IndexOptions{})
}

// A message that cannot be read never keeps others from being indexed, and is
// tried again ever more rarely.
func TestOneBadMessage(t *testing.T) {
	f := newFixture(t, squatter.Options{Bulk: 4})
	f.deliver(0, 10)
	f.spoil(3)
	n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{})
	skipped, ok := errors.AsType[*squatter.Skipped](err)
	if !ok || n != 9 || len(skipped.Failures) != 1 || skipped.Failures[0].Tries != 1 {
		t.Fatalf("got %d, %v; want 9 and one message skipped", n, err)
	}
	if _, ok := errors.AsType[*mailstore.Damage](err); !ok {
		t.Errorf("%v does not tell the cause", err)
	}
	bad := skipped.Failures[0].GUID
	for _, c := range []struct {
		wait  time.Duration
		tries int
		retry bool
	}{
		{0, 1, false}, {time.Minute, 2, false}, {time.Minute, 2, false}, {time.Minute, 3, false}, {0, 4, true},
	} {
		f.now = f.now.Add(c.wait)
		n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{Retry: c.retry})
		if _, ok := errors.AsType[*squatter.Skipped](err); !ok || n != 0 {
			t.Fatalf("got %d, %v", n, err)
		}
		if all := f.q.Failures(user); len(all) != 1 || all[0].GUID != bad || all[0].Tries != c.tries {
			t.Errorf("failures: %+v, want %d tries", all, c.tries)
		}
	}
	f.mend(3)
	f.index(1, squatter.IndexOptions{Retry: true})
	if len(f.q.Failures(user)) != 0 {
		t.Error("a message that was indexed is still on the list of failures")
	}
}

// mend undoes spoil.
func (f *fixture) mend(n int) {
	f.t.Helper()
	good := raw(n)
	bad := string([]byte{good[0] ^ 0xff}) + good[1:]
	packs, err := os.ReadDir(f.path("spool", user.Dir()))
	f.must(err)
	for _, p := range packs {
		name := f.path("spool", user.Dir(), p.Name())
		data, err := os.ReadFile(name)
		f.must(err)
		f.must(os.WriteFile(name, []byte(strings.Replace(string(data), bad, good, 1)), 0o600))
	}
	f.damaged = false
}

// A failure is forgotten with its message, and costs nothing in between.
func TestBadMessageGoes(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 4)
	f.spoil(2)
	if n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 3 || err == nil {
		t.Fatalf("got %d, %v", n, err)
	}
	f.deliver(4, 6)
	n, err := f.q.IndexUser(t.Context(), user, squatter.IndexOptions{})
	skipped, ok := errors.AsType[*squatter.Skipped](err)
	if n != 2 || !ok || len(skipped.Failures) != 1 || skipped.Tried != 0 {
		t.Errorf("got %d, %v; want 2 and the bad one at rest", n, err)
	}
	other := squatter.New(squatter.Options{Store: f.store, Tiers: f.tiers})
	f.mend(2)
	if n, err := other.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 1 || err != nil {
		t.Errorf("another process indexed %d, %v; want the mended one", n, err)
	}
	f.now = f.now.Add(time.Hour)
	f.index(0, squatter.IndexOptions{})
	if all := f.q.Failures(user); len(all) != 0 {
		t.Errorf("still on the list: %+v", all)
	}
}

func TestIndexUserFromSeveralGoroutines(t *testing.T) {
	f := newFixture(t, squatter.Options{Bulk: 3})
	f.deliver(0, 20)
	var wg sync.WaitGroup
	counts := make([]int, 6)
	for i := range counts {
		wg.Go(func() {
			var err error
			if counts[i], err = f.q.IndexUser(t.Context(), user, squatter.IndexOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != 20 {
		t.Errorf("%d documents were made of 20 messages", total)
	}
}

func TestIndexIsIndependentOfTheStoresOwner(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 5)
	reader, err := mailstore.Open(t.Context(), mailstore.Options{Conf: f.path("conf"), Spool: f.path("spool"),
		Archive: f.path("archive"), ReadOnly: true})
	f.must(err)
	defer func() { f.must(reader.Close()) }()
	other := squatter.New(squatter.Options{Store: reader, Tiers: f.tiers})
	if n, err := other.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 5 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	f.deliver(5, 8)
	if n, err := other.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 3 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	f.index(0, squatter.IndexOptions{})
}

func TestBigMessagesGoInBatchesOfTheirOwn(t *testing.T) {
	f := newFixture(t, squatter.Options{BulkBytes: 200})
	f.deliver(0, 9)
	var steps []int
	f.index(9, squatter.IndexOptions{Progress: func(done, of int) {
		if of != 9 {
			t.Errorf("of %d", of)
		}
		steps = append(steps, done)
	}})
	if len(steps) < 3 || steps[len(steps)-1] != 9 {
		t.Errorf("commits ended at %v; want batches of no more than 200 octets", steps)
	}
}

// New mail is indexed without looking into what is indexed already: damage there is
// met by whoever reads it, and mended by the next run.
func TestRecentMailOpensNoSegment(t *testing.T) {
	f := newFixture(t, squatter.Options{})
	f.deliver(0, 5)
	f.index(5, squatter.IndexOptions{})
	files, err := filepath.Glob(f.path("temp", user.Dir(), "*", "store", "*.terms"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	f.must(os.Truncate(files[0], 10))
	f.deliver(5, 6)
	f.index(1, squatter.IndexOptions{})
	snap, err := f.tiers.User(user).Snapshot(t.Context())
	f.must(err)
	if len(snap.Damaged()) != 1 || snap.Docs() != 0 {
		t.Errorf("%d documents, damaged %v", snap.Docs(), snap.Damaged())
	}
	snap.Close()
	f.index(6, squatter.IndexOptions{})
	if n := f.indexed(); n != 6 {
		t.Errorf("%d messages are indexed after the damage was met, want 6", n)
	}
	f.damaged = true
}

// More than a batch is compared with the index: another process may have indexed it.
func TestManyRecentAreCompared(t *testing.T) {
	f := newFixture(t, squatter.Options{Batch: 3})
	f.deliver(0, 2)
	f.index(2, squatter.IndexOptions{})
	f.deliver(2, 10)
	other := squatter.New(squatter.Options{Store: f.store, Tiers: f.tiers, Conf: f.path("conf")})
	if n, err := other.IndexUser(t.Context(), user, squatter.IndexOptions{}); n != 8 || err != nil {
		t.Fatal(n, err)
	}
	f.deliver(10, 11)
	f.index(1, squatter.IndexOptions{})
	f.deliver(11, 13)
	f.index(2, squatter.IndexOptions{})
	f.index(0, squatter.IndexOptions{})
}
