package squatter_test

import (
	"context"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/squatter"
	"teraslot/synclog"
)

// rolling starts Run, and the log's if there is one; stop ends both as a slot does.
func (f *fixture) rolling(log *synclog.Log) (stop func()) {
	f.t.Helper()
	lctx, lstop := context.WithCancel(f.t.Context())
	qctx, qstop := context.WithCancel(f.t.Context())
	var logs, runs errgroup.Group
	if log != nil {
		logs.Go(func() error { return log.Run(lctx) })
	}
	runs.Go(func() error { return f.q.Run(qctx) })
	return func() {
		f.t.Helper()
		qstop()
		f.must(runs.Wait())
		lstop()
		f.must(logs.Wait())
		if log != nil {
			f.must(log.Close())
		}
	}
}

func (f *fixture) log() *synclog.Log {
	f.t.Helper()
	l, err := synclog.Open(synclog.Options{Dir: f.path("conf", "sync", "squatter")})
	f.must(err)
	return l
}

// in waits until d has passed on the bubble's clock and all work of that moment
// is done.
func in(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// The rule of design §5: 20 messages or 2 seconds, and at once when woken.
func TestRunKeepsTheBatchingRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		f.notify = f.q.Notify
		stop := f.rolling(nil)
		defer stop()
		f.deliver(0, 19)
		in(2*time.Second - time.Millisecond)
		if n := f.indexed(); n != 0 {
			t.Errorf("%d messages are indexed before the delay", n)
		}
		in(time.Millisecond)
		if n := f.indexed(); n != 19 {
			t.Errorf("%d of 19 messages are indexed after the delay", n)
		}
		f.deliver(19, 39)
		in(0)
		if n := f.indexed(); n != 39 {
			t.Errorf("%d of 39 messages are indexed, the last 20 of which make a batch", n)
		}
		f.deliver(39, 40)
		in(time.Second)
		f.q.Wake(user)
		in(0)
		if n := f.indexed(); n != 40 {
			t.Errorf("%d of 40 messages are indexed after waking", n)
		}
	})
}

func TestRunFollowsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		log := f.log()
		log.Compared()
		f.reopen(squatter.Options{Log: log})
		stop := f.rolling(log)
		f.deliver(0, 3)
		log.Add(synclog.Note{User: user, Mailbox: f.inbox})
		in(3 * time.Second)
		if n := f.indexed(); n != 3 {
			t.Errorf("%d of 3 messages are indexed", n)
		}
		stop()
		// A clean stop with somebody waiting: he is remembered.
		log = f.log()
		if !log.Clean() {
			t.Fatal("the stop was not clean")
		}
		f.reopen(squatter.Options{Log: log})
		f.notify = f.q.Notify
		stop = f.rolling(log)
		f.deliver(3, 5)
		in(time.Second)
		stop()
		f.notify = nil
		if n := f.indexed(); n != 3 {
			t.Errorf("%d messages are indexed, want only the first 3 yet", n)
		}
		log = f.log()
		f.reopen(squatter.Options{Log: log})
		stop = f.rolling(log)
		in(3 * time.Second)
		if n := f.indexed(); n != 5 {
			t.Errorf("%d of 5 messages are indexed after the restart", n)
		}
		stop()
	})
}

// A sync log that cannot be read for a while stops nobody.
func TestRunOutlivesAFailingLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		var broken atomic.Bool
		log, err := synclog.Open(synclog.Options{Dir: f.path("conf", "sync", "squatter"), Logger: quiet(t),
			FS: disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
				if broken.Load() && op == disk.OpRename {
					return syscall.EIO
				}
				return nil
			}})})
		f.must(err)
		log.Compared()
		f.reopen(squatter.Options{Log: log})
		stop := f.rolling(log)
		f.deliver(0, 3)
		broken.Store(true)
		log.Add(synclog.Note{User: user, Mailbox: f.inbox})
		in(30 * time.Second)
		if n := f.indexed(); n != 0 {
			t.Errorf("%d messages are indexed, of which only the log knows", n)
		}
		f.q.Wake(user)
		in(0)
		if n := f.indexed(); n != 3 {
			t.Errorf("%d of 3 messages are indexed after waking", n)
		}
		f.deliver(3, 5)
		broken.Store(false)
		in(10 * time.Second)
		if n := f.indexed(); n != 5 {
			t.Errorf("%d of 5 messages are indexed after the log has recovered", n)
		}
		stop()
	})
}

// reopen replaces the squatter by a new one, as a restart does.
func (f *fixture) reopen(o squatter.Options) {
	o.Store, o.Tiers, o.Logger = f.store, f.tiers, quiet(f.t)
	f.q = squatter.New(o)
}

func TestRunComparesEveryoneAfterAnUncleanStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		f.deliver(0, 4) // of which no notice was left
		log := f.log()
		if log.Clean() {
			t.Fatal("a new log is clean")
		}
		f.reopen(squatter.Options{Log: log})
		stop := f.rolling(log)
		in(time.Second)
		if n := f.indexed(); n != 4 || !log.Clean() {
			t.Errorf("%d of 4 messages are indexed, clean %v", n, log.Clean())
		}
		stop()
	})
}

// A reboot empties the temp tier; nobody may have to wait for his next mail.
func TestRunRestoresLostDatabases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		f.deliver(0, 4)
		f.index(4, squatter.IndexOptions{})
		log := f.log()
		log.Compared()
		f.must(os.RemoveAll(f.path("temp", "users")))
		f.reopen(squatter.Options{Log: log})
		stop := f.rolling(log)
		in(time.Second)
		if n := f.indexed(); n != 4 {
			t.Errorf("%d of 4 messages are indexed", n)
		}
		stop()
	})
}

func TestRunTriesBadMessagesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		f.reopen(squatter.Options{}) // with the bubble's clock
		f.notify = f.q.Notify
		stop := f.rolling(nil)
		defer stop()
		f.deliver(0, 3)
		f.spoil(1)
		in(3 * time.Second)
		if n := f.indexed(); n != 2 {
			t.Errorf("%d messages are indexed, want 2", n)
		}
		f.mend(1)
		f.deliver(3, 4)
		in(3 * time.Second)
		if n := f.indexed(); n != 3 {
			t.Errorf("%d messages are indexed, want 3: the bad one rests", n)
		}
		in(time.Minute)
		if n := f.indexed(); n != 4 {
			t.Errorf("%d of 4 messages are indexed after a minute", n)
		}
	})
}

func TestRunForgetsRemovedUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		stop := f.rolling(nil)
		f.q.Wake(mailbox.User("99999999999999999999999999999999"))
		in(time.Hour)
		stop()
	})
}

// A squatter in a process of its own learns of mail by looking.
func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, squatter.Options{})
		f.deliver(0, 2)
		stop := f.rolling(nil)
		ctx, cancel := context.WithCancel(t.Context())
		var poll errgroup.Group
		poll.Go(func() error { return f.q.Poll(ctx, f.path("conf"), time.Second) })
		in(3 * time.Second)
		if n := f.indexed(); n != 2 {
			t.Errorf("%d of 2 messages are indexed at the start", n)
		}
		f.deliver(2, 5)
		in(4 * time.Second)
		if n := f.indexed(); n != 5 {
			t.Errorf("%d of 5 messages are indexed", n)
		}
		cancel()
		f.must(poll.Wait())
		stop()
	})
}
