package mailstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"teraslot/mailbox"
)

// sized is a message of about size bytes that no other number gives.
func sized(n, size int) string {
	head := mailText(n)
	line := fmt.Sprintf("line of message %d, as long as lines of mail are wont to be, and then some\r\n", n)
	return head + strings.Repeat(line, max(0, size-len(head))/len(line))
}

// BenchmarkAppend is a delivery: spool, parse, append, until it is on disk. The
// mean size of the SpamAssassin corpus is some 5 KB.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 4} {
		for _, users := range []int{1, 4} {
			b.Run(fmt.Sprintf("writers=%d/users=%d", writers, users), func(b *testing.B) { benchmarkAppend(b, writers, users) })
		}
	}
}

func benchmarkAppend(b *testing.B, writers, users int) {
	s, err := Open(context.Background(), Options{Conf: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var mails []*Mail
	var inboxes []mailbox.ID
	for i := range users {
		u := mailbox.User(fmt.Sprintf("%032x", i))
		if err := s.CreateUser(context.Background(), u, UserOptions{}); err != nil {
			b.Fatal(err)
		}
		m, err := s.Acquire(context.Background(), u)
		if err != nil {
			b.Fatal(err)
		}
		defer m.Release()
		st, err := m.MailboxNamed(context.Background(), Inbox)
		if err != nil {
			b.Fatal(err)
		}
		mails, inboxes = append(mails, m), append(inboxes, st.ID)
	}
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for n := w; n < b.N; n += writers {
				i := n % users
				msg, err := s.Spool(context.Background(), strings.NewReader(sized(n, 5000)))
				if err == nil {
					_, err = mails[i].Append(context.Background(), "", Append{Mailbox: inboxes[i], Message: msg})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// filled opens a store with n messages in INBOX, appended in large batches.
func filled(b testing.TB, dir string, n int) (*Store, *Mail, mailbox.ID) {
	b.Helper()
	s, m := newStore(b, Options{Conf: dir})
	id := named(b, m, Inbox).ID
	for at := 0; at < n; {
		var items []Append
		for ; len(items) < 2000 && at < n; at++ {
			items = append(items, Append{Mailbox: id, Message: spool(b, s, mailText(at))})
		}
		if _, err := m.Append(context.Background(), "", items...); err != nil {
			b.Fatal(err)
		}
	}
	return s, m, id
}

func BenchmarkLarge(b *testing.B) {
	dir := b.TempDir()
	_, m, id := filled(b, dir, 100_000)
	ctx := context.Background()
	b.Run("open and UIDs", func(b *testing.B) {
		for range b.N {
			r, err := Open(ctx, Options{Conf: dir, ReadOnly: true})
			if err != nil {
				b.Fatal(err)
			}
			rm, err := r.Acquire(ctx, user1)
			if err != nil {
				b.Fatal(err)
			}
			if _, uids, err := rm.UIDs(ctx, id); err != nil || len(uids) != 100_000 {
				b.Fatal(len(uids), err)
			}
			rm.Release()
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("UIDs again", func(b *testing.B) {
		for range b.N {
			if _, _, err := m.UIDs(ctx, id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("View", func(b *testing.B) {
		for range b.N {
			m.s.views.forget(user1)
			if _, err := m.View(ctx, id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append and View", func(b *testing.B) {
		for n := range b.N {
			appendText(b, m, id, mailText(200_000+n))
			if _, err := m.View(ctx, id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("StoreFlags 6046", func(b *testing.B) {
		for n := range b.N {
			op := AddFlags
			if n%2 == 1 {
				op = RemoveFlags
			}
			if _, err := m.StoreFlags(ctx, "", id, mailbox.UIDRange(1, 6046), op, mailbox.MakeFlags(`\Flagged`), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Open", func(b *testing.B) {
		v, err := m.View(ctx, id)
		if err != nil {
			b.Fatal(err)
		}
		for n := range b.N {
			c, err := m.Open(ctx, id, v.Records[n%len(v.Records)])
			if err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
}

// BenchmarkMissed is what a client that comes back has missed of a mailbox of 100,000 messages: twenty changes and
// twenty expunges, with the records in memory and without.
func BenchmarkMissed(b *testing.B) {
	ctx := context.Background()
	s, m, id := filled(b, b.TempDir(), 100_000)
	known := named(b, m, Inbox).HighestModSeq
	for i := range 20 {
		gone := mailbox.UIDs(mailbox.UID(1000 + 4000*i))
		for uids, flag := range map[mailbox.UID]string{mailbox.UID(1000 + 4000*i): `\Deleted`, mailbox.UID(3000 + 4000*i): `\Seen`} {
			if _, err := m.StoreFlags(ctx, "", id, mailbox.UIDs(uids), AddFlags, mailbox.MakeFlags(flag), nil); err != nil {
				b.Fatal(err)
			}
		}
		if _, _, err := m.Expunge(ctx, "", id, &gone); err != nil {
			b.Fatal(err)
		}
	}
	for _, cold := range []bool{false, true} {
		b.Run(fmt.Sprintf("cold=%v", cold), func(b *testing.B) {
			if _, err := m.View(ctx, id); err != nil {
				b.Fatal(err)
			}
			start := processor(b)
			for b.Loop() {
				if cold {
					s.views.forget(user1)
				}
				missed, err := m.Missed(ctx, id, known)
				if err != nil || len(missed.Changed) != 20 || missed.Vanished.Len() != 20 {
					b.Fatalf("%d changed, %d vanished, %v", len(missed.Changed), missed.Vanished.Len(), err)
				}
			}
			b.ReportMetric(float64((processor(b)-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// processor is the processor time that this process has used.
func processor(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
