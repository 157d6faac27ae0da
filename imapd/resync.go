package imapd

import (
	"context"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// resync is what SELECT and EXAMINE with QRESYNC tell a client that comes back (RFC 7162 §3.2.5).
type resync struct {
	missed mailstore.Missed
	known  mailbox.UIDSet // the UIDs that it wants to hear of
	// agreed is the UID up to which it knows what was expunged.
	agreed mailbox.UID
}

// readMissed reads what the client of a mailbox that is being selected has missed; nil if it asks for
// nothing, or its UIDs are no longer valid.
func readMissed(ctx context.Context, m *mailstore.Mail, q *wire.QResync, sel *mailstore.Selection) (*resync, error) {
	if q == nil || q.UIDValidity != sel.State.UIDValidity {
		return nil, nil
	}
	missed, err := m.Missed(ctx, sel.State.ID, q.ModSeq)
	if err != nil {
		return nil, err
	}
	r := &resync{missed: missed}
	if !missed.Strange {
		r.agreed = agreed(q, sel.UIDs)
	}
	if q.Known != nil {
		r.known = *q.Known
	} else {
		r.known.AddRange(0, highest(&missed))
	}
	return r, nil
}

// highest returns the highest UID that a client may know: UIDNEXT less one (RFC 7162 §3.2.5.1), or above that what
// another slot may have told it.
func highest(missed *mailstore.Missed) mailbox.UID {
	last := missed.State.UIDNext - 1
	if all := missed.Vanished.Ranges(); len(all) > 0 {
		last = max(last, all[len(all)-1].Hi)
	}
	return last
}

// goneOf returns what vanished among the UIDs that a client asks for: of what another slot has told it, all that are not here.
func goneOf(missed *mailstore.Missed, asked mailbox.UIDSet) mailbox.UIDSet {
	gone, all := missed.Vanished, asked.Ranges()
	if missed.Strange && len(all) > 0 && all[len(all)-1].Hi >= missed.State.UIDNext {
		gone = gone.Clone()
		gone.AddRange(missed.State.UIDNext, all[len(all)-1].Hi)
	}
	return gone
}

// agreed returns the highest UID of a client's sample that has the sequence number which it had: none was
// expunged up to there but what the client knows of (RFC 7162 §3.2.5.2). Numbers only
// fall, so that after one that does not agree none does.
func agreed(q *wire.QResync, uids []mailbox.UID) mailbox.UID {
	last := mailbox.UID(0)
	for number, uid := range wire.Pairs(q.MatchNumbers, q.MatchUIDs) {
		if uint64(number) > uint64(len(uids)) || uids[number-1] != uid {
			break
		}
		last = uid
	}
	return last
}

// tellMissed tells it: what vanished before anything of messages that have a number (RFC 7162 §3.2.6).
func (s *session) tellMissed(r *resync) {
	if r == nil {
		return
	}
	gone := s.view.vanished(goneOf(&r.missed, r.known), r.known)
	if r.agreed > 0 {
		gone = without(gone, mailbox.UIDRange(1, r.agreed))
	}
	s.out.Vanished(true, gone)
	for i := range r.missed.Changed {
		if one := &r.missed.Changed[i]; r.known.Contains(one.UID) {
			s.tellFlags(one, true)
		}
	}
}

// vanished returns those of gone UIDs that a client which asks for some is told: what it counts in this session
// vanishes later, and without EARLIER (RFC 7162 §3.2.10).
func (v *view) vanished(gone, asked mailbox.UIDSet) mailbox.UIDSet {
	gone = without(gone, without(gone, asked))
	return without(gone, v.holding(gone))
}

// tellVanished is what UID FETCH with VANISHED tells before messages (RFC 7162 §3.2.6). Here "*" is the
// highest UID that was ever given: the message that has it may be among the vanished.
func (s *session) tellVanished(ctx context.Context, c *wire.Fetch) (missed mailstore.Missed, err error) {
	err = s.catchUpWith(ctx, true, func(m *mailstore.Mail, n *news) (err error) {
		if missed, err = m.Missed(ctx, s.view.id, c.ChangedSince); err != nil {
			return err
		}
		asked := s.view.found
		if !c.Set.Saved {
			asked = c.Set.UIDs(highest(&missed))
		}
		n.earlier = without(s.view.vanished(goneOf(&missed, asked), asked), mailbox.UIDs(n.expunged...))
		return nil
	})
	return missed, err
}

// changedSince returns those of the picked messages that changed after CHANGEDSINCE (RFC 7162 §3.1.4.1), and why
// some are not there.
//
// known is what was missed as it was read before, if it was.
func (s *session) changedSince(ctx context.Context, c *wire.Fetch, picked mailbox.UIDSet, known mailstore.Missed) (out []mailbox.Record, absent, err error) {
	if picked.IsEmpty() {
		return nil, nil, nil
	}
	err = s.withMail(ctx, func(m *mailstore.Mail) error {
		missed := known
		if missed.State.HighestModSeq < s.view.modSeq { // it was not, or news have come since
			if missed, err = m.Missed(ctx, s.view.id, c.ChangedSince); err != nil {
				return err
			}
		}
		for i := range missed.Changed {
			if picked.Contains(missed.Changed[i].UID) {
				out = append(out, missed.Changed[i])
			}
		}
		var damaged mailbox.UIDSet
		for i := range picked.Of(missed.Damaged) {
			damaged.Add(missed.Damaged[i])
		}
		if absent = damagedRecords(damaged); absent == nil {
			absent = s.allThere(ctx, m, c.UID, picked)
		}
		return nil
	})
	return out, absent, err
}
