package imapd

import (
	"slices"

	"teraslot/mailbox"
)

// view is the selected mailbox as its client knows it: the UIDs behind the
// sequence numbers, and the mod-sequence up to which the client was told. It
// keeps no flags and no records, so that a session that sleeps costs four bytes
// a message at most, and none while it shares the store's list.
//
// A view belongs to its session's goroutine.
type view struct {
	id       mailbox.ID
	validity mailbox.UIDValidity
	readOnly bool
	// modSeq is up to where the client was told of changes; expunges of gone
	// are older and still to be told.
	modSeq mailbox.ModSeq
	// whole is up to where it was told of all, expunges too.
	whole mailbox.ModSeq
	claim claim
	// uids are the messages that the client counts, rising: sequence number n is
	// uids[n-1]. The list may be the store's, so it is replaced and never changed.
	uids []mailbox.UID
	// gone are UIDs of uids that are expunged, which the client has not been told.
	gone mailbox.UIDSet
	// recent are the messages that this session was the first to be told of
	// (RFC 3501 §2.3.2).
	recent mailbox.UIDSet
	// announced is the UID up to which the store knows that messages are not recent.
	announced mailbox.UID
	// keywords are those that the client was told of.
	keywords knownKeywords
	// found is the search result variable "$" (RFC 9051 §6.4.4.1).
	found mailbox.UIDSet
	// own are the flag changes that this client made and so knows.
	own []ownChange
}

// ownChange is a change of flags that the client was told of, or had made
// silently.
type ownChange struct {
	modSeq mailbox.ModSeq
	uids   mailbox.UIDSet
}

// news is what a client has to be told of its mailbox, in the order of the fields.
type news struct {
	expunged []mailbox.UID
	// sequence numbers of expunged, each as it is once those before it are gone
	// (RFC 9051 §7.5.1).
	numbers []uint32
	// arrived are new messages: EXISTS has to be told if there are any.
	arrived []mailbox.UID
	// earlier are UIDs that the client does not count and asked whether they are gone: they are.
	earlier mailbox.UIDSet
	// changed are messages whose flags the client may not know, by rising UID.
	changed []mailbox.Record
}

// exists is the number of messages as the client counts them.
func (v *view) exists() uint32 { return uint32(len(v.uids)) }

// number returns the sequence number of a message that the client was told of.
func (v *view) number(uid mailbox.UID) (uint32, bool) {
	i, ok := slices.BinarySearch(v.uids, uid)
	return uint32(i + 1), ok
}

// last is the highest UID, for "*"; 0 if there is no message.
func (v *view) last() mailbox.UID {
	if len(v.uids) == 0 {
		return 0
	}
	return v.uids[len(v.uids)-1]
}

// knows notes that the client knows the flags that the messages got at modSeq.
func (v *view) knows(modSeq mailbox.ModSeq, uids mailbox.UIDSet) {
	if modSeq > v.modSeq && !uids.IsEmpty() {
		v.own = append(v.own, ownChange{modSeq, uids})
	}
}

func (v *view) isOwn(r *mailbox.Record) bool {
	return slices.ContainsFunc(v.own, func(o ownChange) bool {
		return o.modSeq == r.ModSeq && o.uids.Contains(r.UID)
	})
}

// take moves the view to modSeq by the records changed since view.modSeq, which
// are sorted by UID, and returns what the client has to be told. Expunges are
// kept back unless expunge is set; they renumber messages, which must not happen
// under a command that names them by number (RFC 9051 §7.5.1).
func (v *view) take(changes []mailbox.Record, modSeq mailbox.ModSeq, expunge bool) news {
	var n news
	last := v.last()
	for i := range changes {
		r := &changes[i]
		_, told := v.number(r.UID)
		switch {
		case r.Expunged && told:
			v.gone.Add(r.UID)
		case r.Expunged: // came and went untold
		case told && !v.isOwn(r):
			n.changed = append(n.changed, *r)
		case r.UID > last:
			n.arrived = append(n.arrived, r.UID)
		}
	}
	v.modSeq, v.own = max(v.modSeq, modSeq), nil
	if expunge {
		n.expunged, n.numbers = v.expunge()
	}
	if len(n.arrived) > 0 {
		v.uids = append(v.uids[:len(v.uids):len(v.uids)], n.arrived...)
	}
	return n
}

// missing notes as gone, of the first told messages, those that the store does not
// hold, for the case that it no longer keeps records of some that were expunged.
// held are the store's UIDs.
func (v *view) missing(held []mailbox.UID, told int) {
	at := 0
	for _, uid := range v.uids[:told] {
		for at < len(held) && held[at] < uid {
			at++
		}
		if at == len(held) || held[at] != uid {
			v.gone.Add(uid)
		}
	}
}

// settle notes that the client was told of all that it was told up to, unless expunges are kept back.
func (v *view) settle() {
	if v.gone.IsEmpty() {
		v.whole = v.modSeq
	}
}

// live is the number of messages that the client counts and that are not gone.
func (v *view) live() uint64 { return uint64(len(v.uids)) - v.gone.Len() }

// expunge takes the gone messages out and returns them with their sequence
// numbers in the order of telling.
func (v *view) expunge() (uids []mailbox.UID, numbers []uint32) {
	if v.gone.IsEmpty() {
		return nil, nil
	}
	keep := make([]mailbox.UID, 0, len(v.uids))
	from := 0
	for i := range v.gone.Of(v.uids) {
		keep = append(keep, v.uids[from:i]...)
		from = i + 1
		uids = append(uids, v.uids[i])
		numbers = append(numbers, uint32(i+1-len(numbers)))
	}
	v.uids = append(keep, v.uids[from:]...)
	v.recent, v.found = without(v.recent, v.gone), without(v.found, v.gone)
	v.gone = mailbox.UIDSet{}
	return uids, numbers
}

// without returns the UIDs of s that are not in t.
func without(s, t mailbox.UIDSet) mailbox.UIDSet {
	var out mailbox.UIDSet
	cut := t.Ranges()
	for _, r := range s.Ranges() {
		for len(cut) > 0 && cut[0].Hi < r.Lo {
			cut = cut[1:]
		}
		for _, c := range cut {
			if c.Lo > r.Hi || r.Lo > r.Hi {
				break
			}
			if c.Lo > r.Lo {
				out.AddRange(r.Lo, c.Lo-1)
			}
			if c.Hi >= r.Hi {
				r.Lo, r.Hi = 1, 0
				break
			}
			r.Lo = max(r.Lo, c.Hi+1)
		}
		if r.Lo <= r.Hi {
			out.AddRange(r.Lo, r.Hi)
		}
	}
	return out
}
