package imapd

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"teraslot/imapd/wire"
)

// Sessions of a user that wait, idle, and do not come to the end of a command are
// ended; those of others go on.
func TestDisconnect(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{Grace: 100 * time.Millisecond}})
	h.fill(t, "alice", 3000)
	waiting, idling, stuck := h.login(t, "alice"), h.selected(t, "alice", "INBOX"), h.selected(t, "alice", "INBOX")
	appending, other := h.login(t, "alice"), h.selected(t, "bob", "INBOX")
	idling.say(t, "i IDLE\r\n")
	idling.response(t)
	appending.say(t, "a APPEND INBOX {100}\r\n")
	appending.response(t)
	stuck.say(t, "f FETCH 1:* BODY.PEEK[]\r\n") // and reads none of 14 MB

	h.srv.Disconnect(h.users["alice"])
	for name, p := range map[string]*peer{"waiting": waiting, "idling": idling} {
		if line := p.response(t); !strings.HasPrefix(line, "* BYE ") {
			t.Errorf("%s: %q", name, line)
		}
	}
	if n := len(h.srv.hub.of(h.users["alice"])); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	// Nothing holds the user's mail any longer.
	if err := h.store.RemoveUser(context.Background(), h.users["alice"]); err != nil {
		t.Error(err)
	}
	delete(h.users, "alice")
	other.do(t, "NOOP")
	h.srv.Disconnect(h.users["alice"]) // once more, and of nobody
}

// Commands that a client sent ahead are not carried out after the dismissal.
func TestDisconnectBetweenCommands(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.login(t, "alice")
	p.say(t, "a IDLE\r\nb DONE\r\n")
	p.response(t)
	if line := p.response(t); !strings.HasPrefix(line, "a BAD") {
		t.Fatal(line)
	}
	p.say(t, "c IDLE\r\n")
	p.response(t)
	h.srv.Disconnect(h.users["alice"])
	if line := p.response(t); !strings.HasPrefix(line, "* BYE ") {
		t.Error(line)
	}
}

// A user who is disabled between the check of the password and the moment when
// Disconnect would find the session does not get in.
func TestDisabledWhileLoggingIn(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	ctx := context.Background()
	acc, err := h.accounts.Authenticate(ctx, "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.accounts.Disable(ctx, "alice", true); err != nil {
		t.Fatal(err)
	}
	s := &session{srv: h.srv, log: slog.New(slog.DiscardHandler), in: wire.NewReader(strings.NewReader(""), wire.Options{})}
	if _, err := s.loggedIn(ctx, acc, "LOGIN"); err == nil || s.state != notAuthenticated {
		t.Errorf("logged in: error %v, state %d", err, s.state)
	}
	if len(h.srv.hub.of(acc.ID)) != 0 || s.account.ID != "" {
		t.Error("the session is known as the user's")
	}
}
