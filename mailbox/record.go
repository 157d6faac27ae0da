package mailbox

import (
	"math"
	"time"
)

// Date is a moment to the second with the zone it was written in, as
// INTERNALDATE needs it (RFC 9051 §2.3.3).
type Date struct {
	Unix int64 // seconds since 1970-01-01T00:00:00Z
	Zone int16 // minutes east of UTC, -1439 to 1439
}

// DateOf returns t's second and zone, without the zone's seconds, and within what
// a Date may have.
func DateOf(t time.Time) Date {
	_, offset := t.Zone()
	return Date{t.Unix(), int16(min(max(offset/60, -1439), 1439))}
}

// Time returns the moment in its zone.
func (d Date) Time() time.Time {
	return time.Unix(d.Unix, 0).In(time.FixedZone("", int(d.Zone)*60))
}

// Day is the number of days from 1970-01-01 to the calendar day of d in its own
// zone: what SEARCH's day keys compare. Days beyond an int32 are its ends.
func (d Date) Day() int32 {
	const perDay = 24 * 60 * 60
	day, second := d.Unix/perDay, d.Unix%perDay
	second += int64(d.Zone) * 60
	for ; second < 0; second += perDay {
		day--
	}
	day += second / perDay
	return int32(min(max(day, math.MinInt32), math.MaxInt32))
}

// Record is one message in one mailbox.
type Record struct {
	UID UID
	// Num numbers the message's content within its user: dense, from 1, the
	// same for all copies of it in the user's mailboxes, never re-used.
	Num           uint32
	GUID          GUID
	Size          int64  // bytes: RFC822.SIZE
	ModSeq        ModSeq // of the last change
	CreatedModSeq ModSeq
	Flags         Flags
	InternalDate  Date
	// SentDate is the Date field as written; where that cannot be parsed, the
	// internal date.
	SentDate Date
	SaveDate int64 // seconds since 1970: when it came into this mailbox (RFC 8514)
	Expunged bool  // kept for resynchronisation only
}

// Counts are the counters of a mailbox, kept with it and never counted anew.
type Counts struct {
	Exists  uint32 // messages that are not expunged
	Unseen  uint32 // of those, without \Seen
	Deleted uint32 // of those, with \Deleted
	Size    int64  // of those, the sum of sizes in bytes
}

// State is all that is known of a mailbox besides its records.
type State struct {
	ID            ID
	Name          string // UTF-8, hierarchy separator "/", INBOX in capitals
	UIDValidity   UIDValidity
	UIDNext       UID
	HighestModSeq ModSeq
	CreatedModSeq ModSeq
	Counts        Counts
	Checksum      Checksum // over its records
	SpecialUse    string   // an attribute of RFC 6154 such as `\Sent`, or ""
	Subscribed    bool
}

// Kind says what an Event tells.
type Kind uint8

// The kinds of events.
const (
	Appended    Kind = iota + 1 // messages came: append, delivery, copy, move
	FlagsStored                 // flags changed
	Expunged                    // messages went: expunge, move
	Created                     // a mailbox was made
	Renamed
	Removed    // a mailbox was deleted
	Subscribed // a subscription came or went
)

// Event tells of a change after its commit. It is a hint about a state that can
// always be read: whoever loses one converges by comparing MODSEQ.
type Event struct {
	User    User
	Mailbox ID
	Kind    Kind
	UIDs    UIDSet // of the messages concerned, if any
	ModSeq  ModSeq // of the change
	Session string // who caused it, as given by the caller; may be ""
}
