package imapd

import (
	"slices"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// claim is the mod-sequence with which a client would come back: what it makes of
// HIGHESTMODSEQ and of MODSEQ in FETCH responses (RFC 7162 §6).
type claim struct {
	has     mailbox.ModSeq // as of the last command's end
	heard   mailbox.ModSeq // the highest MODSEQ that it was told since
	expunge bool           // EXPUNGE or VANISHED was told since
}

// due returns the HIGHESTMODSEQ that the client has to be told at a command's end; 0 if none. It must not
// come back with more than it knows: a message whose expunging is kept back would never
// vanish from it (RFC 7162 §3.2).
func (v *view) due() mailbox.ModSeq {
	c := v.claim
	v.claim = claim{has: max(c.has, c.heard)}
	if v.claim.has <= v.whole && !c.expunge {
		return 0
	}
	v.claim.has = v.whole
	return v.whole
}

// asksModSeq reports whether a command makes its client one that is told mod-sequences (RFC 7162 §3.1,
// "CONDSTORE enabling command"); SELECT and ENABLE say it by themselves.
func asksModSeq(cmd wire.Command) bool {
	switch c := cmd.(type) {
	case *wire.Fetch:
		return c.ChangedSince > 0 || slices.ContainsFunc(c.Items, func(i wire.FetchItem) bool { return i.Attr == wire.FetchModSeq })
	case *wire.Store:
		return c.UnchangedSince != nil
	case *wire.Status:
		return slices.Contains(c.Items, wire.StatusHighestModSeq)
	case *wire.List:
		return slices.Contains(c.Return.Status, wire.StatusHighestModSeq)
	case *wire.Search:
		return hasModSeq(c.Key)
	case *wire.Sort:
		return hasModSeq(c.Key)
	case *wire.Thread:
		return hasModSeq(c.Key)
	case *wire.ESearch:
		return hasModSeq(c.Key)
	}
	return false
}

// enableModSeqs makes the client one that is told mod-sequences from here on. In a mailbox it is told where it
// stands.
func (s *session) enableModSeqs() {
	if s.condstore {
		return
	}
	s.condstore = true
	if v := s.view; v != nil {
		v.claim = claim{has: v.whole}
		s.tellHighest(v.whole)
	}
}

func (s *session) tellHighest(m mailbox.ModSeq) {
	s.tellCode(wire.HighestModSeqCode(m), "The highest mod-sequence")
}

// tellDue tells HIGHESTMODSEQ at the end of news, if that has to be.
func (s *session) tellDue() {
	if m := s.due(); m > 0 {
		s.tellHighest(m)
	}
}

func (s *session) due() mailbox.ModSeq {
	if s.view == nil || !s.condstore {
		return 0
	}
	return s.view.due()
}

// tellModSeq writes MODSEQ of a record.
func (s *session) tellModSeq(f *wire.FetchWriter, m mailbox.ModSeq) {
	s.view.claim.heard = max(s.view.claim.heard, m)
	f.ModSeq(m)
}

// hasKey reports whether one of the keys fits, or holds one that does.
func hasKey(k wire.SearchKey, fits func(wire.SearchKey) bool) bool {
	if fits(k) {
		return true
	}
	switch k := k.(type) {
	case wire.And:
		return slices.ContainsFunc(k, func(k wire.SearchKey) bool { return hasKey(k, fits) })
	case wire.Or:
		return hasKey(k.A, fits) || hasKey(k.B, fits)
	case wire.Not:
		return hasKey(k.Key, fits)
	case wire.Fuzzy:
		return hasKey(k.Key, fits)
	}
	return false
}

func hasModSeq(k wire.SearchKey) bool {
	return hasKey(k, func(k wire.SearchKey) bool { _, is := k.(wire.ModSeq); return is })
}

// hasNumbers reports whether messages are named by sequence number.
func hasNumbers(k wire.SearchKey) bool {
	return hasKey(k, func(k wire.SearchKey) bool { n, is := k.(wire.Numbers); return is && !n.Set.Saved })
}

// highestOf returns the highest mod-sequence of the messages that a search with the key MODSEQ returns; 0 for
// one without it (RFC 7162 §3.1.5; RFC 4731 §3.2).
func highestOf(keys wire.And, r *wire.Return, view *mailstore.View, uids []mailbox.UID) mailbox.ModSeq {
	if len(uids) == 0 || !hasModSeq(keys) {
		return 0
	}
	returned := mailbox.UIDs(uids...)
	if r != nil {
		returned = saved(uids, r)
	}
	highest := mailbox.ModSeq(0)
	for _, set := range returned.Ranges() {
		from, _ := slices.BinarySearchFunc(view.Records, set.Lo, func(r mailbox.Record, uid mailbox.UID) int {
			return int(int64(r.UID) - int64(uid))
		})
		for i := from; i < len(view.Records) && view.Records[i].UID <= set.Hi; i++ {
			highest = max(highest, view.Records[i].ModSeq)
		}
	}
	return highest
}
