package imapd

import (
	"context"
	"errors"
	"slices"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// A message is recent for the first session that is told of it (RFC 3501 §2.3.2).
// Up to which UID sessions were told, the hub knows while the server runs and the
// store from one run to the next. The store learns of it at SELECT and when a
// mailbox is left, if there was anything new: after a crash messages that came
// meanwhile may be recent once more, which that section wants of a server that
// cannot know.

// claimRecent notes which of the messages this session is the first to be told of.
func (s *session) claimRecent(uids []mailbox.UID) {
	v := s.view
	if len(uids) == 0 {
		return
	}
	// above is below the highest UID there is, so above+1 is a UID.
	above := s.srv.hub.claimRecent(v.id, v.announced, uids[len(uids)-1], !v.readOnly)
	first, _ := slices.BinarySearch(uids, above+1)
	addAll(&v.recent, uids[first:])
}

// announce lets the store know what this session has claimed. That it cannot be
// kept, on a full disk for one, fails no command.
func (s *session) announce(ctx context.Context) {
	v := s.view
	if v == nil || v.readOnly || v.last() <= v.announced {
		return
	}
	err := s.withMail(ctx, func(m *mailstore.Mail) error {
		// Another session may have done so since.
		known, err := m.Announced(ctx, v.id)
		if err == nil && known < v.last() {
			err = m.Announce(ctx, v.id, v.last())
		}
		return err
	})
	if err != nil && !isMissing(err) && !errors.Is(err, context.Canceled) {
		s.log.Warn("imap: recent messages cannot be noted", "user", s.account.Name, "error", err)
		return
	}
	v.announced = v.last()
}

// recentIn is how many messages would be recent for a session that selected the
// mailbox now, without counting them: UIDs above the mark that were given out.
// Those of them that are expunged already count too, up to all messages.
func (s *session) recentIn(ctx context.Context, m *mailstore.Mail, b *mailbox.State) (uint64, error) {
	if s.selects(b.ID) {
		return s.view.recent.Len(), nil
	}
	announced, err := m.Announced(ctx, b.ID)
	if err != nil {
		return 0, err
	}
	above := s.srv.hub.claimRecent(b.ID, announced, 0, false)
	given := uint64(0)
	if b.UIDNext > above+1 {
		given = uint64(b.UIDNext - above - 1)
	}
	return min(given, uint64(b.Counts.Exists)), nil
}
