package wire

import (
	"github.com/emersion/go-imap/v2"

	"teraslot/mailbox"
)

// Criteria are a charset and a search key, as SEARCH, SORT, THREAD and ESEARCH
// have them.
type Criteria struct {
	// Charset is in capitals; "" if none was given. Strings of the key
	// are octets in that charset.
	Charset string
	Key     And // as listed
}

// Search is RFC 9051 §6.4.4.
type Search struct {
	UID    bool
	Return *Return // nil without RETURN: an IMAP4rev1 client gets a SEARCH response
	Criteria
}

// Return are the options of RETURN (RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC
// 5267, RFC 6203, RFC 9394). An empty list, which means ALL, sets All.
type Return struct {
	Min, Max, All, Count, Save bool
	Relevancy                  bool
	Context, Update            bool
	Partial                    *Partial // nil without PARTIAL
}

// Sort is RFC 5256.
type Sort struct {
	UID    bool
	Return *Return
	By     []SortKey // at least one
	Criteria
}

// SortKey is a criterion of SORT: its name in capitals, such as ARRIVAL, CC,
// DATE, FROM, SIZE, SUBJECT, TO, DISPLAYFROM, DISPLAYTO or RELEVANCY.
type SortKey struct {
	Name    string
	Reverse bool
}

// Thread is RFC 5256.
type Thread struct {
	UID       bool
	Algorithm imap.ThreadAlgorithm
	Criteria
}

// ESearch is RFC 7377: a search of several mailboxes.
type ESearch struct {
	Sources []Filter // none: the selected mailbox
	Return  *Return
	Criteria
}

// SearchKey is a node of the search tree: one of the types below.
type SearchKey interface{ searchKey() }

type (
	// And matches what all keys match.
	And []SearchKey
	// Or matches what one of two keys matches.
	Or struct{ A, B SearchKey }
	// Not matches what the key does not.
	Not struct{ Key SearchKey }
	// All matches every message.
	All struct{}
	// Numbers matches messages by sequence number; with Saved set, by the
	// saved result.
	Numbers struct{ Set Set }
	// UIDs matches messages by UID.
	UIDs struct{ Set Set }
	// HasFlag matches messages with a flag: one of the system flags, \Recent
	// too, or a keyword. The negative forms (UNSEEN) are Not; NEW is
	// \Recent and Not \Seen; OLD is Not \Recent.
	HasFlag struct{ Flag string }
	// Text matches a string in a field, the body or all of the message.
	Text struct {
		Field TextField
		Name  string // of TextHeader: the header field's name
		Value string // octets in the criteria's charset; may be empty
	}
	// Larger matches messages of more octets.
	Larger struct{ Size int64 }
	// Smaller matches messages of fewer octets.
	Smaller struct{ Size int64 }
	// Day compares a day; zones are disregarded.
	Day struct {
		Of   DayOf
		Rel  DayRel
		Date int32 // days since 1970-01-01, as mailbox.Date.Day counts
	}
	// SaveDateSupported is SAVEDATESUPPORTED of RFC 8514.
	SaveDateSupported struct{}
	// Younger is RFC 5032: arrived less than so many seconds ago.
	Younger struct{ Seconds uint32 }
	// Older is RFC 5032: arrived that many seconds ago or earlier.
	Older struct{ Seconds uint32 }
	// ModSeq is RFC 7162 §3.1.5: changed at or after a mod-sequence. Entry
	// and Type may be "".
	ModSeq struct {
		Entry string // such as "/flags/\draft"
		Type  string // "priv", "shared" or "all"
		Value mailbox.ModSeq
	}
	// EmailID is RFC 8474.
	EmailID struct{ ID string }
	// ThreadID is RFC 8474.
	ThreadID struct{ ID string }
	// Fuzzy is RFC 6203: its key is matched approximately.
	Fuzzy struct{ Key SearchKey }
	// NamedFilter is FILTER of RFC 5466.
	NamedFilter struct{ Name string }
)

func (And) searchKey()               {}
func (Or) searchKey()                {}
func (Not) searchKey()               {}
func (All) searchKey()               {}
func (Numbers) searchKey()           {}
func (UIDs) searchKey()              {}
func (HasFlag) searchKey()           {}
func (Text) searchKey()              {}
func (Larger) searchKey()            {}
func (Smaller) searchKey()           {}
func (Day) searchKey()               {}
func (SaveDateSupported) searchKey() {}
func (Younger) searchKey()           {}
func (Older) searchKey()             {}
func (ModSeq) searchKey()            {}
func (EmailID) searchKey()           {}
func (ThreadID) searchKey()          {}
func (Fuzzy) searchKey()             {}
func (NamedFilter) searchKey()       {}

// TextField says where Text looks.
type TextField byte

// The fields that can be searched.
const (
	TextAll TextField = iota // TEXT: header and body
	TextBody
	TextSubject
	TextFrom
	TextTo
	TextCc
	TextBcc
	TextHeader // HEADER <name>
)

// DayOf says which date is compared.
type DayOf byte

// The dates of a message.
const (
	InternalDay DayOf = iota // BEFORE, ON, SINCE
	SentDay                  // SENTBEFORE, SENTON, SENTSINCE
	SavedDay                 // SAVEDBEFORE, SAVEDON, SAVEDSINCE
)

// DayRel says how a day is compared.
type DayRel byte

// The relations of days.
const (
	Before DayRel = iota
	On
	Since
)

// Name implements Command.
func (c *Search) Name() string { return uidName(c.UID, "SEARCH") }

// Name implements Command.
func (c *Sort) Name() string { return uidName(c.UID, "SORT") }

// Name implements Command.
func (c *Thread) Name() string { return uidName(c.UID, "THREAD") }

// Name implements Command.
func (*ESearch) Name() string { return "ESEARCH" }
