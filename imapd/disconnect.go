package imapd

import (
	"context"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/account"
	"teraslot/mailbox"
)

// dismissal is how a session is ended from outside. It may be used from any
// goroutine.
type dismissal struct {
	once sync.Once
	told chan struct{}      // closed when the session is to end
	over chan struct{}      // closed when it has ended
	cut  context.CancelFunc // cuts the command in flight
}

func newDismissal() dismissal {
	return dismissal{told: make(chan struct{}), over: make(chan struct{}), cut: func() {}}
}

// isTold reports whether the session is to end.
func (d *dismissal) isTold() bool {
	select {
	case <-d.told:
		return true
	default:
		return false
	}
}

// Disconnect ends all sessions of a user: with BYE those that wait for a command or
// idle, the others when their command is done, and by force those that are not
// done within Limits.Grace. It returns when all have ended. Call it once the user
// was removed, disabled, or got another password: sessions that log in meanwhile by
// what was valid before are refused.
func (srv *Server) Disconnect(user mailbox.User) {
	all := srv.hub.of(user)
	for _, s := range all {
		s.dismiss()
	}
	grace := time.NewTimer(srv.o.Limits.Grace)
	defer grace.Stop()
	expired := false
	for _, s := range all {
		if !expired {
			select {
			case <-s.leave.over:
				continue
			case <-grace.C:
				expired = true
			}
		}
		s.leave.cut()
		s.c.cut()
		<-s.leave.over
	}
}

// dismiss tells the session to end at the next occasion.
func (s *session) dismiss() {
	s.leave.once.Do(func() { close(s.leave.told) })
	s.c.interrupt()
}

// dismissed takes leave of a client whose user may no longer be here.
func (s *session) dismissed() {
	s.bye("", "The administrator has ended this user's sessions")
}

// admitted makes sure that a user who has just joined the hub, and so will be
// ended by Disconnect, was not removed or disabled between the password and now.
func (s *session) admitted(ctx context.Context, acc account.Account) error {
	now, err := s.srv.o.Accounts.ByID(ctx, acc.ID)
	if err == nil && !now.Disabled {
		return nil
	}
	s.log.Warn("imap: user was removed or disabled while logging in", "user", acc.Name, "error", err)
	return no(imap.ResponseCodeAuthenticationFailed, "Wrong user name or password")
}

// of returns the sessions of a user.
func (h *hub) of(user mailbox.User) []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*session, 0, len(h.sessions[user]))
	for s := range h.sessions[user] {
		all = append(all, s)
	}
	return all
}
