package transfer

import (
	"slices"

	"teraslot/mailbox"
	"teraslot/slot"
)

// plan is what has to be done for a mailbox.
type plan struct {
	keep     []Message      // to be stored under their UIDs
	stray    []Message      // to be stored unless their octets are here, under new UIDs
	flags    []slot.FlagSet // to be set
	changed  int            // messages whose flags differ
	same     int            // messages that are here
	deleted  int            // messages that were deleted here
	expunged mailbox.UIDSet // here, and no longer there
	unsure   int            // the like, which may have been delivered here
}

// compare makes the plan for a mailbox whose UIDs are kept. Messages and known ones
// are sorted by UID.
func compare(there Mailbox, messages []Message, here slot.Prepared, known []slot.Known) plan {
	var p plan
	byFlags := map[mailbox.Flags]*mailbox.UIDSet{}
	i := 0
	for _, m := range messages {
		for ; i < len(known) && m.UID > 0 && known[i].UID < m.UID; i++ {
			p.onlyHere(there, known[i])
		}
		found := i < len(known) && known[i].UID == m.UID
		switch {
		case m.UID == 0:
			p.stray = append(p.stray, m)
		case found && known[i].Deleted:
			p.deleted++
		case found && same(m, known[i]):
			p.same++
			if m.Flags != mailbox.MakeFlags(known[i].Flags...) {
				p.changed++
				if byFlags[m.Flags] == nil {
					byFlags[m.Flags] = new(mailbox.UIDSet)
				}
				byFlags[m.Flags].Add(m.UID)
			}
		case found || m.UID < here.UIDNext:
			p.stray = append(p.stray, m)
		default:
			p.keep = append(p.keep, m)
		}
		if found {
			i++
		}
	}
	for ; i < len(known); i++ {
		p.onlyHere(there, known[i])
	}
	for flags, uids := range byFlags {
		p.flags = append(p.flags, slot.FlagSet{UIDs: uids.String(), Flags: flags.List()})
	}
	slices.SortFunc(p.flags, func(a, b slot.FlagSet) int { return slices.Compare(a.Flags, b.Flags) })
	return p
}

// same tells whether a message is one that is known here. Flags may differ.
func same(m Message, k slot.Known) bool {
	return (m.Date.IsZero() || m.Date.Unix() == k.Date) && (m.Size == 0 || m.Size == k.Size)
}

// onlyHere takes note of a message that the other server does not have. If it has
// given that UID, it had the message once, or the message was delivered here.
func (p *plan) onlyHere(there Mailbox, k slot.Known) {
	switch {
	case k.Deleted, k.UID >= there.UIDNext:
	case k.MayBeDelivered():
		p.unsure++
	default:
		p.expunged.Add(k.UID)
	}
}
