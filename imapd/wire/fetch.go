package wire

import "teraslot/mailbox"

// Fetch is RFC 9051 §6.4.5.
type Fetch struct {
	UID   bool
	Set   Set
	Items []FetchItem // macros are expanded; at least one
	// ChangedSince is RFC 7162 §3.1.4.1; 0 if not given.
	ChangedSince mailbox.ModSeq
	Vanished     bool     // RFC 7162 §3.2.6
	Partial      *Partial // RFC 9394 §3.4; nil if not given
}

// FetchAttr says which data item of a message is meant.
type FetchAttr byte

// The data items.
const (
	FetchEnvelope FetchAttr = iota + 1
	FetchFlags
	FetchInternalDate
	FetchUID
	FetchBody          // BODY: the structure without extension data
	FetchBodyStructure // BODYSTRUCTURE
	FetchSection       // BODY[…], BODY.PEEK[…]
	FetchBinary        // BINARY[…], BINARY.PEEK[…] (RFC 3516)
	FetchBinarySize    // BINARY.SIZE[…]
	FetchRFC822        // RFC 3501: RFC822
	FetchRFC822Header  // RFC822.HEADER
	FetchRFC822Text    // RFC822.TEXT
	FetchRFC822Size
	FetchModSeq   // RFC 7162
	FetchEmailID  // RFC 8474
	FetchThreadID // RFC 8474
	FetchPreview  // RFC 8970
	FetchSaveDate // RFC 8514
)

// FetchItem is one data item of FETCH.
type FetchItem struct {
	Attr FetchAttr
	// Peek: \Seen stays as it is. Set for all items but BODY[…], BINARY[…],
	// RFC822 and RFC822.TEXT.
	Peek    bool
	Section Section // of FetchSection, FetchBinary and FetchBinarySize
	// Span is the part of the octets that is asked for; nil: all.
	Span *Span
	Lazy bool // of FetchPreview: only if it costs little
}

// Span is <offset.length> of a section.
type Span struct {
	Offset int64 // octets, from 0
	Length int64 // octets, at least 1
}

// Section names a part of a message (RFC 9051 §6.4.5.1).
type Section struct {
	Part   []uint32 // numbers of nested parts; none: the message
	Text   SectionText
	Fields []string // of HeaderFields and HeaderFieldsNot; as sent
}

// SectionText says what of a part is meant.
type SectionText byte

// The kinds of section.
const (
	SectionAll          SectionText = iota // the part whole
	SectionHeader                          // HEADER
	SectionHeaderFields                    // HEADER.FIELDS
	SectionHeaderNot                       // HEADER.FIELDS.NOT
	SectionBody                            // TEXT
	SectionMIME                            // MIME
)

// Partial is a range of results (RFC 9394): from First to Last, counted from 1
// at the beginning; if negative, from -1 at the end. Both have the same sign;
// First is nearer to where counting begins.
type Partial struct{ First, Last int64 }

// Name implements Command.
func (c *Fetch) Name() string { return uidName(c.UID, "FETCH") }
