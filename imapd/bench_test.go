package imapd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// benchMessages is the size of the mailbox that benchmarks work on.
const benchMessages = 6046

// fill stores n small messages in INBOX.
func (h *harness) fill(t testing.TB, user string, n int) {
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
			text := fmt.Sprintf("From: Ann Example <ann@example.com>\r\nTo: bob%d@example.org\r\nDate: Tue, 7 Nov 2023 10:00:00 +0000\r\n"+
				"Subject: number %d\r\nMessage-ID: <%d@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s", i, i, i,
				strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 100))
			msg, err := h.store.Spool(ctx, strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			defer msg.Close()
			items = append(items, mailstore.Append{Mailbox: box.ID, Message: msg, InternalDate: mailbox.Date{Unix: 1_700_000_000}})
		}
		if _, err := m.Append(ctx, "fill", items...); err != nil {
			t.Fatal(err)
		}
	}
}

// skim runs a command and reads over its answer.
func (p *peer) skim(t testing.TB, command string) {
	p.tags++
	tag := fmt.Sprintf("t%d ", p.tags)
	p.conn.Write([]byte(tag + command + "\r\n"))
	for {
		line, err := p.r.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(line), tag) {
			if !strings.HasPrefix(string(line), tag+"OK") {
				t.Fatalf("%s: %s", command, line)
			}
			return
		}
	}
}

func BenchmarkCommands(b *testing.B) {
	h := newHarness(b, Options{PlainLogin: true})
	h.fill(b, "alice", benchMessages)
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
			for b.Loop() {
				if c.command == "STORE" {
					command = "UID STORE 1:* " + [...]string{"+", "-"}[i%2] + `FLAGS.SILENT (\Flagged)`
					i++
				}
				p.skim(b, command)
			}
		})
	}
}
