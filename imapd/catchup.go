package imapd

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// catchUp tells the client what changed in the selected mailbox since it was
// told last: one state against another, so that a flag that went to and fro is
// told once. Expunges wait unless expunge is set.
func (s *session) catchUp(ctx context.Context, expunge bool) error {
	return s.catchUpWith(ctx, expunge, func(*mailstore.Mail, *news) error { return nil })
}

// catchUpWith is catchUp with something more among the news, which is read behind them.
func (s *session) catchUpWith(ctx context.Context, expunge bool, more func(*mailstore.Mail, *news) error) error {
	var n news
	err := s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		if n, err = s.readNews(ctx, m, expunge); err == nil {
			err = more(m, &n)
		}
		return err
	})
	if isMissing(err) {
		// RFC 2180 §3.1 leaves the choice; a client that reconnects is sure to notice.
		s.unselect()
		s.bye(imap.ResponseCodeNonExistent, "The selected mailbox was deleted")
		return nil
	}
	if err != nil {
		return err
	}
	s.tell(n)
	return nil
}

// readNews moves the view to the store's state.
func (s *session) readNews(ctx context.Context, m *mailstore.Mail, expunge bool) (news, error) {
	v := s.view
	state, err := m.Mailbox(ctx, v.id)
	if err != nil {
		return news{}, err
	}
	if state.UIDValidity != v.validity {
		return news{}, fmt.Errorf("UIDs of %s are no longer valid: %w", state.Name, mailstore.ErrNoMailbox)
	}
	complete := v.live() == uint64(state.Counts.Exists)
	if state.HighestModSeq == v.modSeq && complete && (!expunge || v.gone.IsEmpty()) {
		v.own = nil
		return news{}, nil
	}
	changes, err := m.Changes(ctx, v.id, v.modSeq)
	if err != nil {
		return news{}, err
	}
	upTo := state.HighestModSeq
	for i := range changes {
		upTo = max(upTo, changes[i].ModSeq)
	}
	told := len(v.uids)
	n := v.take(changes, upTo, false)
	if upTo == state.HighestModSeq && v.live() != uint64(state.Counts.Exists) {
		// Some were expunged so long ago that no record is left of them.
		_, held, err := m.UIDs(ctx, v.id)
		if err != nil {
			return n, err
		}
		v.missing(held, told)
	}
	if expunge {
		n.expunged, n.numbers = v.expunge()
	}
	v.settle()
	return n, nil
}

// tell writes news. Nothing of the store is held meanwhile.
func (s *session) tell(n news) {
	s.tellExpunged(&n)
	if len(n.arrived) > 0 {
		s.claimRecent(n.arrived)
		s.out.Exists(s.view.exists())
		if !s.rev2 {
			s.out.Recent(uint32(s.view.recent.Len()))
		}
	}
	s.out.Vanished(true, n.earlier)
	for i := range n.changed {
		s.tellFlags(&n.changed[i], s.rev2 || s.byUID)
	}
}

// tellExpunged tells which messages are gone (RFC 9051 §7.5.1, RFC 7162 §3.2.10).
func (s *session) tellExpunged(n *news) {
	if s.view.claim.expunge = s.view.claim.expunge || len(n.expunged) > 0; s.qresync {
		s.out.Vanished(false, mailbox.UIDs(n.expunged...))
		return
	}
	for _, number := range n.numbers {
		s.out.Expunge(number)
	}
}

// tellFlags tells a message's flags, if the client was told of the message.
// Responses to a command on UIDs have the UID (§6.4.9), and for IMAP4rev2 those that
// were not asked for too (§7.5.2); so have all of a client that is told mod-sequences (RFC 7162 §3.2.4).
func (s *session) tellFlags(r *mailbox.Record, withUID bool) {
	number, ok := s.view.number(r.UID)
	if !ok {
		return
	}
	s.introduce(r.Flags)
	f := s.out.Fetch(number)
	if withUID || s.condstore {
		f.UID(r.UID)
	}
	f.Flags(r.Flags, s.isRecent(r.UID))
	if s.condstore {
		s.tellModSeq(&f, r.ModSeq)
	}
	f.End()
}

// isRecent reports whether the message shows \Recent, which IMAP4rev2 has no more.
func (s *session) isRecent(uid mailbox.UID) bool { return !s.rev2 && s.view.recent.Contains(uid) }
