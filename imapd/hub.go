package imapd

import (
	"sync"

	"teraslot/mailbox"
)

// hub knows the sessions of each user and tells them of events. Its zero value
// is ready.
type hub struct {
	mu       sync.Mutex // guards sessions and recent
	sessions map[mailbox.User]map[*session]struct{}
	recent   map[mailbox.ID]mailbox.UID
}

// rememberRecent bounds the mailboxes whose messages are known not to be recent.
const rememberRecent = 100_000

// join makes the session hear of its user's events, and reports whether it is the
// first of them.
func (h *hub) join(s *session) (first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	user := s.account.ID
	if h.sessions == nil {
		h.sessions = make(map[mailbox.User]map[*session]struct{})
	}
	if h.sessions[user] == nil {
		h.sessions[user] = make(map[*session]struct{})
	}
	h.sessions[user][s] = struct{}{}
	return len(h.sessions[user]) == 1
}

// part undoes join.
func (h *hub) part(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	user := s.account.ID
	if delete(h.sessions[user], s); len(h.sessions[user]) == 0 {
		delete(h.sessions, user)
	}
}

// notify wakes the sessions that the event concerns. It never blocks: an event
// is a hint, and a session reads the state itself.
func (h *hub) notify(ev mailbox.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.sessions[ev.User] {
		if s.id != ev.Session && s.selects(ev.Mailbox) {
			s.wake()
		}
	}
}

// claimRecent returns the UID above which messages are recent for a session
// that is told of those up to last, and takes them from later sessions if claim
// is set. stored is up to where the store knows that none are recent.
func (h *hub) claimRecent(id mailbox.ID, stored, last mailbox.UID, claim bool) mailbox.UID {
	h.mu.Lock()
	defer h.mu.Unlock()
	above := max(h.recent[id], stored)
	if !claim || last <= above {
		return above
	}
	if h.recent == nil || len(h.recent) >= rememberRecent {
		h.recent = make(map[mailbox.ID]mailbox.UID)
	}
	h.recent[id] = last
	return above
}
