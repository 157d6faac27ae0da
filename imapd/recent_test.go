package imapd

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"teraslot/mailbox"
)

// restart ends the server as a stop does, and starts another over the same slot.
func (h *harness) restart(t *testing.T) {
	t.Helper()
	h.stop()
	<-h.ended
	o := h.srv.o
	h.srv = New(o)
	h.serve(t, false)
}

// recents selects a mailbox, or examines it, and returns the number in RECENT.
func (h *harness) recents(t *testing.T, command string) string {
	t.Helper()
	p := h.login(t, "alice")
	lines, _ := p.run(t, command+" INBOX")
	p.do(t, "LOGOUT")
	for _, line := range lines {
		if n, ok := strings.CutSuffix(line, " RECENT"); ok {
			return strings.TrimPrefix(n, "* ")
		}
	}
	t.Fatalf("no RECENT in %q", lines)
	return ""
}

// Messages that a session was told of are not recent after a restart; those that
// came since are, and looking does not change it.
func TestRecentAfterRestart(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.deliver(t, "alice", "INBOX", mail("one"))
	h.deliver(t, "alice", "INBOX", mail("two"))
	for i, step := range []struct {
		command, recent string
		restart         bool
	}{
		{"EXAMINE", "2", true}, {"EXAMINE", "2", true}, {"SELECT", "2", false}, {"SELECT", "0", true},
		{"EXAMINE", "0", true}, {"SELECT", "0", true},
	} {
		if got := h.recents(t, step.command); got != step.recent {
			t.Errorf("step %d, %s: %s RECENT, want %s", i, step.command, got, step.recent)
		}
		if step.restart {
			h.restart(t)
		}
	}

	// A session that is told of mail as it comes takes it too, when it ends.
	p := h.selected(t, "alice", "INBOX")
	h.deliver(t, "alice", "INBOX", mail("three"))
	p.do(t, "NOOP")
	h.restart(t)
	if lines, _ := h.login(t, "alice").run(t, "STATUS INBOX (RECENT)"); len(lines) != 1 || lines[0] != "* STATUS INBOX (RECENT 0)" {
		t.Errorf("after a session was told: %q", lines)
	}
	h.deliver(t, "alice", "INBOX", mail("four"))
	if lines, _ := h.login(t, "alice").run(t, `LIST "" INBOX RETURN (STATUS (RECENT))`); len(lines) != 2 || lines[1] != "* STATUS INBOX (RECENT 1)" {
		t.Errorf("after one more: %q", lines)
	}
}

// Where nothing came, SELECT writes nothing.
func TestSelectWritesOnce(t *testing.T) {
	var commits atomic.Int64
	o := Options{PlainLogin: true}
	h := openSlotOn(t, &o, nil, func(context.Context, mailbox.User) error { commits.Add(1); return nil })
	h.srv = New(o)
	h.serve(t, false)
	t.Cleanup(func() { h.close(t) })
	h.deliver(t, "alice", "INBOX", mail("one"))
	before := commits.Load()
	for range 5 {
		h.recents(t, "SELECT")
		h.recents(t, "EXAMINE")
	}
	if n := commits.Load() - before; n != 1 {
		t.Errorf("%d commits for one message that was announced", n)
	}
}
