package imapd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// benchMessages is the size of the mailbox that benchmarks work on.
const benchMessages = 6046

// fill stores n messages of 4.5 kB in INBOX.
func (h *harness) fill(t testing.TB, user string, n int) {
	t.Helper()
	h.fillWith(t, user, n, func(i int) string {
		return fmt.Sprintf("From: Ann Example <ann@example.com>\r\nTo: bob%d@example.org\r\nDate: Tue, 7 Nov 2023 10:00:00 +0000\r\n"+
			"Subject: number %d\r\nMessage-ID: <%d@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s", i, i, i,
			strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 100))
	})
}

// fillWith stores n messages in INBOX, 500 at once.
func (h *harness) fillWith(t testing.TB, user string, n int, text func(i int) string) {
	t.Helper()
	ctx := context.Background()
	m, err := h.store.Acquire(ctx, h.users[user])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	box, err := m.MailboxNamed(ctx, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < n; at += 500 {
		var items []mailstore.Append
		for i := at; i < min(at+500, n); i++ {
			msg, err := h.store.Spool(ctx, strings.NewReader(text(i)))
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, mailstore.Append{Mailbox: box.ID, Message: msg, InternalDate: mailbox.Date{Unix: 1_700_000_000}})
		}
		if _, err := m.Append(ctx, "fill", items...); err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			item.Message.Close()
		}
	}
}

// skim runs a command and reads over its answer as cheaply as a client can: what is
// measured is the server.
func (p *peer) skim(t testing.TB, command string) {
	p.tags++
	tag := fmt.Sprintf("t%d ", p.tags)
	if _, err := p.conn.Write([]byte(tag + command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	buf, n := make([]byte, 256<<10), 0
	for {
		got, err := p.conn.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += got
		last := buf[bytes.LastIndexByte(buf[:n-1], '\n')+1 : n]
		if buf[n-1] == '\n' && bytes.HasPrefix(last, []byte(tag)) {
			if !bytes.HasPrefix(last[len(tag):], []byte("OK")) {
				t.Fatalf("%s: %s", command, last)
			}
			return
		}
		// A line that is cut by the end of the buffer moves to its beginning.
		if len(buf)-n < 4<<10 {
			n = copy(buf, buf[n-min(n, 256):n])
		}
	}
}

// fillReal stores real mail where there is some, else n small messages.
func (h *harness) fillReal(t testing.TB, user string, n int) {
	dir := os.Getenv("CORPUS")
	if dir == "" {
		h.fill(t, user, n)
		return
	}
	eachMessage(t, filepath.Join(dir, "spamassassin.tar.xz"), func(raw []byte) bool {
		h.deliver(t, user, "INBOX", string(raw))
		n--
		return n > 0
	})
}

// processor is the processor time that this process has used.
func processor(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkCommands(b *testing.B) {
	h := newHarness(b, Options{PlainLogin: true})
	h.fillReal(b, "alice", benchMessages)
	for _, c := range []struct{ name, command string }{
		{"Select", "SELECT INBOX"},
		{"FetchFlags", "UID FETCH 1:* FLAGS"},
		{"FetchEnvelope", "UID FETCH 1:* ENVELOPE"},
		{"FetchBodyStructure", "UID FETCH 1:* BODYSTRUCTURE"},
		{"FetchBody1000", "UID FETCH 1:1000 BODY.PEEK[]"},
		{"StoreSilentAll", "STORE"},
		{"Noop", "NOOP"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := h.selected(b, "alice", "INBOX")
			p.conn.SetDeadline(time.Time{})
			command, i := c.command, 0
			if command == "STORE" {
				command = "NOOP"
			}
			p.skim(b, command)
			start := processor(b)
			for b.Loop() {
				if c.command == "STORE" {
					command = "UID STORE 1:* " + [...]string{"+", "-"}[i%2] + `FLAGS.SILENT (\Flagged)`
					i++
				}
				p.skim(b, command)
			}
			b.ReportMetric(float64((processor(b)-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// BenchmarkResync is a client's return to a mailbox of 100,000 messages, of which twenty changed and twenty are gone.
func BenchmarkResync(b *testing.B) {
	const all = 100_000
	h := newHarness(b, Options{PlainLogin: true})
	h.damaged = true // it is not: to verify all would take longer than the rest
	h.fillWith(b, "alice", all, func(i int) string { return fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i) })
	p := h.login(b, "alice")
	p.conn.SetDeadline(time.Time{})
	p.do(b, "ENABLE QRESYNC")
	selected := strings.Join(p.do(b, "SELECT INBOX"), "\n")
	var validity, highest int
	for _, line := range strings.Split(selected, "\n") {
		fmt.Sscanf(line, "* OK [UIDVALIDITY %d]", &validity)
		fmt.Sscanf(line, "* OK [HIGHESTMODSEQ %d]", &highest)
	}
	for i := range 20 {
		p.do(b, fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, 1000+4000*i))
		p.do(b, fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Seen)`, 3000+4000*i))
	}
	p.do(b, "EXPUNGE")
	p.conn.SetDeadline(time.Time{})
	for _, c := range []struct{ name, command string }{
		{"Select", "SELECT INBOX"},
		{"SelectQResync", fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, highest)},
		{"SelectQResyncKnown", fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d 1:%d))", validity, highest, all)},
		{"SelectQResyncForgotten", fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, 1<<40)},
		{"FetchChangedSince", fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", highest)},
		{"FetchFlags", "UID FETCH 1:* FLAGS"},
		{"FetchFlagsModSeq", "UID FETCH 1:* (FLAGS MODSEQ)"},
	} {
		b.Run(c.name, func(b *testing.B) {
			p.skim(b, c.command)
			start := processor(b)
			for b.Loop() {
				p.skim(b, c.command)
			}
			b.ReportMetric(float64((processor(b)-start).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}
