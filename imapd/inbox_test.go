package imapd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailstore"
)

// TestInboxStays refuses to delete INBOX, which a session that has it selected
// does not lose by trying (RFC 9051 §6.3.5), and RENAME moves its messages and
// leaves it empty (§6.3.6).
func TestInboxStays(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.selected(t, "alice", "INBOX")
	p.say(t, "a APPEND INBOX {8+}\r\nA: b\r\n\r\n\r\n")
	waitTagged(t, p, "a OK ")
	p.say(t, "b DELETE inbox\r\n")
	waitTagged(t, p, "b NO [CANNOT] ")
	p.say(t, "c FETCH 1 UID\r\n")
	waitTagged(t, p, "c OK ")
	p.say(t, "d RENAME INBOX old\r\ne STATUS INBOX (MESSAGES)\r\n")
	waitTagged(t, p, "d OK ")
	if said := waitTagged(t, p, "e OK "); !strings.Contains(said, `"INBOX" (MESSAGES 0)`) && !strings.Contains(said, `INBOX (MESSAGES 0)`) {
		t.Errorf("INBOX after RENAME: %q", said)
	}
	p.say(t, "f STATUS old (MESSAGES)\r\n")
	if said := waitTagged(t, p, "f OK "); !strings.Contains(said, `(MESSAGES 1)`) {
		t.Errorf("the new mailbox: %q", said)
	}
	p.say(t, "g RENAME INBOX old\r\n")
	waitTagged(t, p, "g NO [ALREADYEXISTS] ")
	p.say(t, "h SELECT old\r\n")
	waitTagged(t, p, "h OK ")
	p.say(t, "i DELETE old\r\nj CHECK\r\n")
	waitTagged(t, p, "i OK ")
	waitTagged(t, p, "j BAD ")
}

// waitTagged reads up to a command's completion, which has to begin so.
func waitTagged(t *testing.T, p *peer, want string) (said string) {
	t.Helper()
	tag, _, _ := strings.Cut(want, " ")
	for {
		line := p.response(t)
		said += line
		if strings.HasPrefix(line, tag+" ") {
			if !strings.HasPrefix(line, want) {
				t.Errorf("%q instead of %q", line, want)
			}
			return said
		}
	}
}

// TestLiteralPlus offers LITERAL- to strangers and LITERAL+ to users, never both
// (RFC 7888 §5), and holds to it.
func TestLiteralPlus(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.dial(t)
	checkLiteral(t, p.response(t), "LITERAL-", "LITERAL+")
	p.say(t, "a LOGIN {5000+}\r\n"+strings.Repeat("x", 5000)+" y\r\n")
	waitTagged(t, p, "a BAD ")
	p = h.selected(t, "alice", "INBOX")
	p.say(t, "b CAPABILITY\r\n")
	checkLiteral(t, waitTagged(t, p, "b OK "), "LITERAL+", "LITERAL-")
	p.say(t, "c SEARCH TEXT {5000+}\r\n"+strings.Repeat("x", 5000)+"\r\n")
	waitTagged(t, p, "c OK ")
	p.say(t, "d SEARCH TEXT {2000000+}\r\n"+strings.Repeat("x", 2_000_000)+"\r\ne NOOP\r\n")
	waitTagged(t, p, "d BAD ")
	waitTagged(t, p, "e OK ")
}

func checkLiteral(t *testing.T, said, want, not string) {
	t.Helper()
	if !strings.Contains(said, want) || strings.Contains(said, not) {
		t.Errorf("%q does not offer %s alone", said, want)
	}
}

// TestUnknownVersion tells a client whose mail another version of the server wrote
// whom to ask, and the operator what is wrong.
func TestUnknownVersion(t *testing.T) {
	r, expected := refuse(fmt.Errorf("user x: %w", mailstore.ErrVersion))
	if r.Code != "CONTACTADMIN" || r.Type != imap.StatusResponseTypeNo || expected || !strings.Contains(r.Text, "version") {
		t.Errorf("%+v, expected %v", r, expected)
	}
	if r, expected := refuse(errors.New("something else")); r.Code != "SERVERBUG" || expected {
		t.Errorf("%+v, expected %v", r, expected)
	}
}
