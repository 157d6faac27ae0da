package imapd

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
)

// pick is view.pick for a command of the session. A UID may have come to the client by
// another connection: where a set goes beyond what this one was told of, it is told
// first of what came since.
func (s *session) pick(ctx context.Context, set wire.Set, uid bool) (mailbox.UIDSet, error) {
	if uid && !set.Saved && set.Beyond(s.view.last()) {
		if err := s.catchUp(ctx, false); err != nil {
			return mailbox.UIDSet{}, err
		}
		if s.view == nil {
			return mailbox.UIDSet{}, errMailboxGone
		}
	}
	return s.view.pick(set, uid)
}

var errMailboxGone = no(imap.ResponseCodeNonExistent, "The mailbox is gone")

// pick returns the messages that a command's set names, as UIDs that the client
// was told of. UIDs that are not there are no error (RFC 9051 §6.4.9); sequence
// numbers that are not there are.
func (v *view) pick(set wire.Set, uid bool) (mailbox.UIDSet, error) {
	if uid || set.Saved {
		return v.holding(v.named(set)), nil
	}
	return v.numbered(set)
}

// named returns the UIDs that a UID set names; "*" is the highest told of.
func (v *view) named(set wire.Set) mailbox.UIDSet {
	if set.Saved {
		return v.found
	}
	return set.UIDs(v.last())
}

// numbered returns the UIDs behind a set of sequence numbers; with an error if one
// is not there, the UIDs of those that are. In an empty mailbox "*" names nothing, and
// clients that ask for 1:* mean no harm.
func (v *view) numbered(set wire.Set) (mailbox.UIDSet, error) {
	if set.Saved {
		return v.found, nil
	}
	if len(v.uids) == 0 && set.HasStar() {
		return mailbox.UIDSet{}, nil
	}
	ranges, ok := set.Numbers(v.exists())
	var out mailbox.UIDSet
	for _, r := range ranges {
		addAll(&out, v.uids[r.From-1:r.To])
	}
	if !ok {
		return out, bad("There is no message of that number")
	}
	return out, nil
}

// holding returns the UIDs of set that the client was told of.
func (v *view) holding(set mailbox.UIDSet) mailbox.UIDSet {
	var out mailbox.UIDSet
	for _, r := range set.Ranges() {
		from, _ := slices.BinarySearch(v.uids, r.Lo)
		to, found := slices.BinarySearch(v.uids, r.Hi)
		if found {
			to++
		}
		addAll(&out, v.uids[from:to])
	}
	return out
}

// addAll adds rising UIDs; those without gaps at the cost of one.
func addAll(s *mailbox.UIDSet, uids []mailbox.UID) {
	if len(uids) == 0 {
		return
	}
	first, last := uids[0], uids[len(uids)-1]
	if int64(last)-int64(first) == int64(len(uids)-1) {
		s.AddRange(first, last)
		return
	}
	for _, u := range uids {
		s.Add(u)
	}
}
