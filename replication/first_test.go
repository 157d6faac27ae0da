package replication

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"teraslot/bench/synthetic"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// fill adds messages to a user's INBOX.
func (n *node) fill(u mailbox.User, texts [][]byte) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		st, err := m.MailboxNamed(n.t.Context(), "INBOX")
		if err != nil {
			return err
		}
		for part := range slices.Chunk(texts, 256) {
			var items []mailstore.Append
			for _, text := range part {
				msg, err := n.store.Spool(n.t.Context(), bytes.NewReader(text))
				if err != nil {
					return err
				}
				defer msg.Close()
				items = append(items, mailstore.Append{Mailbox: st.ID, Message: msg})
			}
			if _, err := m.Append(n.t.Context(), "", items...); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkFirstSync brings a user's mail to a replica that has nothing of it. The mail is
// synthetic.
func BenchmarkFirstSync(b *testing.B) {
	const messages = 4096
	var texts [][]byte
	size := int64(0)
	for m := range synthetic.Messages(synthetic.Options{Count: messages, Seed: 1}) {
		texts = append(texts, m.Raw)
		size += int64(len(m.Raw))
	}
	master, _, c := pair(b)
	b.SetBytes(size)
	var used time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		u := master.user(fmt.Sprintf("user%d", n))
		master.fill(u, texts)
		b.StartTimer()
		before := processorTime(b)
		if s := master.sync(c, u); s.Messages != messages {
			b.Fatalf("%d messages were sent", s.Messages)
		}
		used += processorTime(b) - before
	}
	b.ReportMetric(float64(used.Microseconds())/float64(messages*b.N), "processor-µs/message")
	b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// processorTime is what this process has used.
func processorTime(t testing.TB) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSteadySync brings one message after the other to a replica that has all before.
func BenchmarkSteadySync(b *testing.B) {
	master, _, c := pair(b)
	u := master.user("anna")
	master.sync(c, u)
	var used time.Duration
	n := 0
	for ; b.Loop(); n++ {
		b.StopTimer()
		master.deliver(u, "INBOX", letter(n))
		b.StartTimer()
		before := processorTime(b)
		master.sync(c, u)
		used += processorTime(b) - before
	}
	b.ReportMetric(float64(used.Microseconds())/float64(n), "processor-µs/message")
}
