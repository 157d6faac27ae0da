package lmtp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// atOnce bounds how many recipients of one message are served at a time: each
// is a commit of its own, waiting mostly for its disk.
const atOnce = 16

// deliver stores m for every recipient and returns the outcome of each target.
// Recipients that are the same mailbox share one copy.
func (s *Server) deliver(ctx context.Context, m *mailstore.Message, to []recipient) map[target]error {
	outcome := make(map[target]error, len(to))
	for _, r := range to {
		outcome[r.target] = nil
	}
	if len(outcome) == 1 {
		outcome[to[0].target] = s.store(ctx, m, to[0].target)
		return outcome
	}
	var mu sync.Mutex // guards the errors in outcome
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for t := range maps.Clone(outcome) {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			err := s.storeGuarded(ctx, m, t)
			mu.Lock()
			defer mu.Unlock()
			outcome[t] = err
		})
	}
	wg.Wait()
	return outcome
}

// storeGuarded makes a fault an error: it is one recipient's.
func (s *Server) storeGuarded(ctx context.Context, m *mailstore.Message, t target) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("fault: %v\n%s", p, debug.Stack())
		}
	}()
	return s.store(ctx, m, t)
}

// store appends m to the target's mailbox, or to INBOX if that has gone since
// RCPT, unless it is there already.
func (s *Server) store(ctx context.Context, m *mailstore.Message, t target) error {
	mail, err := s.o.Store.Acquire(ctx, t.user)
	if err != nil {
		return err
	}
	defer mail.Release()
	id, known := t.mailbox, true
	if id == "" {
		id, known = s.inboxes.get(t.user)
	}
	if known {
		if err = s.storeOnce(ctx, mail, m, t.user, id); !errors.Is(err, mailstore.ErrNoMailbox) {
			return err
		}
	}
	inbox, err := mail.MailboxNamed(ctx, "INBOX")
	if err != nil {
		return err
	}
	s.inboxes.put(t.user, inbox.ID)
	return s.storeOnce(ctx, mail, m, t.user, inbox.ID)
}

// inboxes remembers each user's INBOX, whose id hardly ever changes, and then an
// append to the old one fails. A place for each user of a slot is 100 bytes.
type inboxes struct {
	mu sync.Mutex // guards id
	id map[mailbox.User]mailbox.ID
}

func (b *inboxes) get(u mailbox.User) (mailbox.ID, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, ok := b.id[u]
	return id, ok
}

// maxInboxes is more users than a slot is made for; beyond it, memory is given
// up all at once.
const maxInboxes = 100_000

func (b *inboxes) put(u mailbox.User, id mailbox.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.id == nil || len(b.id) >= maxInboxes {
		b.id = make(map[mailbox.User]mailbox.ID)
	}
	b.id[u] = id
}

func (s *Server) storeOnce(ctx context.Context, mail *mailstore.Mail, m *mailstore.Message, u mailbox.User, id mailbox.ID) error {
	messageID := m.Structure().Envelope.MessageID
	if s.seen == nil || messageID == "" {
		return s.append(ctx, mail, m, id)
	}
	claim, err := s.seen.claim(ctx, u, id, messageID)
	if err != nil {
		return err
	}
	if claim == nil {
		s.metrics.outcome("duplicate")
		return nil
	}
	err = s.append(ctx, mail, m, id)
	claim(err == nil)
	return err
}

func (s *Server) append(ctx context.Context, mail *mailstore.Mail, m *mailstore.Message, id mailbox.ID) error {
	item := mailstore.Append{Mailbox: id, Message: m, InternalDate: mailbox.DateOf(s.o.Now())}
	if _, err := mail.Append(ctx, "", item); err != nil {
		return err
	}
	s.metrics.outcome("delivered")
	return nil
}
