package squatter_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"teraslot/bench/corpus"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/squatter"
)

// cpu is the time that this process has had on all processors: unlike the time on
// the wall it says something on a machine with other work to do.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchMail are the messages of the corpus that MAIL names, or spamassassin's; the first
// COUNT of them, if it says so.
func benchMail(b *testing.B) [][]byte {
	b.Helper()
	name := os.Getenv("MAIL")
	if name == "" {
		name = "spamassassin"
	}
	var mail [][]byte
	for _, m := range corpus.Messages(b, name) {
		mail = append(mail, m.Raw)
	}
	if n, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		mail = mail[:min(max(n, 0), len(mail))]
	}
	return mail
}

// append appends messages to a mailbox in one transaction.
func (f *fixture) append(mail *mailstore.Mail, id mailbox.ID, raw ...[]byte) {
	f.t.Helper()
	var items []mailstore.Append
	for _, r := range raw {
		msg, err := f.store.Spool(f.t.Context(), bytes.NewReader(r))
		f.must(err)
		defer msg.Close()
		items = append(items, mailstore.Append{Mailbox: id, Message: msg})
	}
	_, err := mail.Append(f.t.Context(), "", items...)
	f.must(err)
}

// clear removes a user's index.
func (f *fixture) clear(u mailbox.User) {
	f.t.Helper()
	for _, name := range []string{"index.active", "index.failed"} {
		if err := os.Remove(f.path("conf", u.Dir(), name)); err != nil && !os.IsNotExist(err) {
			f.t.Fatal(err)
		}
	}
	f.must(os.RemoveAll(f.path("temp", u.Dir())))
}

// BenchmarkBulk indexes all messages of a corpus from nothing.
func BenchmarkBulk(b *testing.B) {
	mail := benchMail(b)
	f := newFixture(b, squatter.Options{})
	for at := 0; at < len(mail); at += 500 {
		f.append(f.mail, f.inbox, mail[at:min(at+500, len(mail))]...)
	}
	var used time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		f.clear(user)
		b.StartTimer()
		before := cpu()
		done, err := f.q.IndexUser(b.Context(), user, squatter.IndexOptions{All: true})
		f.must(err)
		n += done
		used += cpu() - before
	}
	b.ReportMetric(float64(used.Microseconds())/float64(n), "cpu-µs/msg")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkRolling delivers messages one by one to 500 users in turn and indexes each
// user when so many have gathered: eight of them, where 200 a second come in and the rolling
// rule lets a user's gather for 20 seconds.
func BenchmarkRolling(b *testing.B) {
	const users = 500
	mail := benchMail(b)
	f := newFixture(b, squatter.Options{})
	for i := range users {
		f.must(f.store.CreateUser(b.Context(), rollingUser(i), mailstore.UserOptions{}))
	}
	for _, gathered := range []int{0, 1, 8} {
		b.Run(fmt.Sprintf("indexed=%d", gathered), func(b *testing.B) {
			n := 0
			before := cpu()
			for b.Loop() {
				f.roll(rollingUser(n%users), mail[n*7%len(mail)], gathered > 0 && n/users%gathered == gathered-1)
				n++
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(n), "cpu-µs/msg")
		})
	}
}

func rollingUser(i int) mailbox.User { return mailbox.User(fmt.Sprintf("%032x", i+1)) }

// roll delivers a message to a user, and indexes him.
func (f *fixture) roll(u mailbox.User, raw []byte, indexed bool) {
	f.t.Helper()
	mail, err := f.store.Acquire(f.t.Context(), u)
	f.must(err)
	defer mail.Release()
	state, err := mail.MailboxNamed(f.t.Context(), "INBOX")
	f.must(err)
	f.append(mail, state.ID, raw)
	if !indexed {
		return
	}
	_, err = f.q.IndexUser(f.t.Context(), u, squatter.IndexOptions{})
	f.must(err)
}
