package imapd

import (
	"slices"
	"testing"
)

// TestOwnChange: a session that changes flags is not told of its own change, and still
// of all that others changed before and after it.
func TestOwnChange(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, subject := range []string{"one", "two", "three"} {
		h.deliver(t, "alice", "INBOX", mail(subject))
	}
	h.selected(t, "alice", "INBOX") // to whom they are recent
	own, other := h.selected(t, "alice", "INBOX"), h.selected(t, "alice", "INBOX")
	tell := func(p *peer, command string, want ...string) {
		t.Helper()
		if got := p.do(t, command); !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", command, got, want)
		}
	}
	tell(own, `STORE 1 +FLAGS.SILENT (\Seen)`)
	tell(own, "NOOP")
	tell(other, "NOOP", `* 1 FETCH (FLAGS (\Seen))`)
	// Now the other's change comes first, and this session does not know it yet.
	tell(other, `STORE 2 +FLAGS.SILENT (\Flagged)`)
	tell(own, `STORE 3 +FLAGS.SILENT (\Answered)`, `* 2 FETCH (FLAGS (\Flagged))`)
	tell(own, "NOOP")
	tell(other, "NOOP", `* 3 FETCH (FLAGS (\Answered))`)
	// The same message: what the client believes of it is not what it is.
	tell(other, `STORE 1 FLAGS.SILENT (\Draft)`)
	tell(own, `STORE 1 +FLAGS.SILENT (\Flagged)`, `* 1 FETCH (FLAGS (\Flagged \Draft))`)
	tell(own, "NOOP")
	// What is told of a change says all.
	tell(other, "NOOP", `* 1 FETCH (FLAGS (\Flagged \Draft))`)
	tell(own, `STORE 1:2 -FLAGS (\Flagged)`, `* 1 FETCH (FLAGS (\Draft))`, `* 2 FETCH (FLAGS ())`)
	tell(own, "NOOP")
}
