package wire

import (
	"strconv"
	"strings"

	"teraslot/mailbox"
)

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

// fetchAtoms are the items that are a name alone.
var fetchAtoms = map[string]FetchItem{
	"ENVELOPE":      {Attr: FetchEnvelope, Peek: true},
	"FLAGS":         {Attr: FetchFlags, Peek: true},
	"INTERNALDATE":  {Attr: FetchInternalDate, Peek: true},
	"UID":           {Attr: FetchUID, Peek: true},
	"BODYSTRUCTURE": {Attr: FetchBodyStructure, Peek: true},
	"RFC822":        {Attr: FetchRFC822},
	"RFC822.HEADER": {Attr: FetchRFC822Header, Peek: true},
	"RFC822.TEXT":   {Attr: FetchRFC822Text},
	"RFC822.SIZE":   {Attr: FetchRFC822Size, Peek: true},
	"MODSEQ":        {Attr: FetchModSeq, Peek: true},
	"EMAILID":       {Attr: FetchEmailID, Peek: true},
	"THREADID":      {Attr: FetchThreadID, Peek: true},
	"SAVEDATE":      {Attr: FetchSaveDate, Peek: true},
}

// fetchMacros stand for lists of items (RFC 9051 §6.4.5).
var fetchMacros = map[string][]string{
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

func (p *parser) fetch(uid bool) Command {
	c := &Fetch{UID: uid, Set: p.setArgument()}
	p.sp()
	c.Items = p.fetchItems(true)
	if p.more() {
		p.list("a list of modifiers", func() { p.fetchModifier(c) })
		if c.Vanished && (!uid || c.ChangedSince == 0) {
			p.expected("UID FETCH with CHANGEDSINCE for VANISHED") // RFC 7162 §3.2.6
		}
	}
	return c
}

// fetchItems reads one item, a list of them, or a macro if that is allowed. An item
// that is asked for twice is there once.
func (p *parser) fetchItems(macro bool) []FetchItem {
	var items itemList
	if p.peek() == '(' {
		p.list("a list of items", func() { items.add(p.fetchItem(p.fetchName())) })
		return items.items
	}
	name := p.fetchName()
	names, ok := fetchMacros[name]
	if !ok || !macro {
		items.add(p.fetchItem(name))
		return items.items
	}
	for _, name := range names {
		items.add(p.fetchItem(name))
	}
	return items.items
}

// itemList is a list of different items. The same section a thousand times over
// would cost the server a thousand times what it costs the client.
type itemList struct {
	items []FetchItem
	seen  map[string]bool
}

func (l *itemList) add(item FetchItem) {
	key := string(item.appendKey(nil))
	if l.seen[key] {
		return
	}
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	l.seen[key] = true
	l.items = append(l.items, item)
}

// appendKey appends what tells the item from others.
func (i *FetchItem) appendKey(b []byte) []byte {
	b = append(b, byte(i.Attr), 0)
	if i.Peek {
		b[1] |= 1
	}
	if i.Lazy {
		b[1] |= 2
	}
	if i.Section.isWhole() && i.Span == nil {
		return b
	}
	b = i.Section.Append(b, false)
	if i.Span != nil {
		b = append(b, '<')
		b = strconv.AppendInt(b, i.Span.Offset, 10)
		b = append(b, '.')
		b = strconv.AppendInt(b, i.Span.Length, 10)
	}
	return b
}

// fetchName reads an item's name up to what may follow it: "[" is an ATOM-CHAR.
func (p *parser) fetchName() string {
	return strings.ToUpper(p.span(isLabel, "a fetch item"))
}

// fetchItem reads on after an item's name.
func (p *parser) fetchItem(name string) FetchItem {
	item, ok := fetchAtoms[name]
	switch {
	case ok || p.err != nil:
	case name == "BODY" && p.peek() != '[':
		item = FetchItem{Attr: FetchBody, Peek: true}
	case name == "BODY" || name == "BODY.PEEK":
		item = FetchItem{Attr: FetchSection, Peek: name == "BODY.PEEK"}
		item.Section = p.section(true)
		item.Span = p.spanOf()
	case name == "BINARY" || name == "BINARY.PEEK":
		item = FetchItem{Attr: FetchBinary, Peek: name == "BINARY.PEEK"}
		item.Section = p.section(false)
		item.Span = p.spanOf()
	case name == "BINARY.SIZE":
		item = FetchItem{Attr: FetchBinarySize, Peek: true, Section: p.section(false)}
	case name == "PREVIEW":
		item = FetchItem{Attr: FetchPreview, Peek: true, Lazy: p.lazy()}
	default:
		p.expected("a known fetch item")
	}
	return item
}

// lazy takes " (LAZY)" (RFC 8970 §3.1). A list of modifiers of FETCH may stand in
// the same place, so it looks ahead.
func (p *parser) lazy() bool {
	const text = " (LAZY)"
	rest := p.rest()
	if len(rest) < len(text) || !strings.EqualFold(string(rest[:len(text)]), text) {
		return false
	}
	p.pos += len(text)
	return true
}

// section reads section, or section-binary, which has no text.
func (p *parser) section(text bool) Section {
	var s Section
	p.must('[', "[")
	named := false
	for isDigit(p.peek()) && !named {
		s.Part = append(s.Part, p.nzNumber())
		named = !p.take('.')
	}
	if p.peek() != ']' || len(s.Part) > 0 && !named {
		if named || !text {
			p.expected("]")
		}
		p.sectionText(&s)
	}
	p.must(']', "]")
	return s
}

func (p *parser) sectionText(s *Section) {
	const what = "HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or, of a part, MIME"
	switch strings.ToUpper(p.span(isLabel, what)) {
	case "HEADER":
		s.Text = SectionHeader
	case "TEXT":
		s.Text = SectionBody
	case "MIME":
		if s.Text = SectionMIME; len(s.Part) == 0 {
			p.expected("a part before MIME")
		}
	case "HEADER.FIELDS":
		s.Text = SectionHeaderFields
	case "HEADER.FIELDS.NOT":
		s.Text = SectionHeaderNot
	default:
		p.expected(what)
	}
	if s.Text == SectionHeaderFields || s.Text == SectionHeaderNot {
		p.sp()
		p.list("a list of header fields", func() { s.Fields = append(s.Fields, p.astring()) })
	}
}

// spanOf reads partial, if it is there.
func (p *parser) spanOf() *Span {
	if !p.take('<') {
		return nil
	}
	s := &Span{Offset: p.number64()}
	p.must('.', ".")
	if p.peek() == '0' {
		p.expected("a number of octets above 0")
	}
	s.Length = p.number64()
	p.must('>', ">")
	return s
}

func (p *parser) fetchModifier(c *Fetch) {
	switch p.label("a modifier") {
	case "CHANGEDSINCE":
		p.sp()
		c.ChangedSince = p.modSeq(false)
	case "VANISHED":
		c.Vanished = true
	case "PARTIAL":
		p.sp()
		c.Partial = p.partial()
	default:
		p.expected("CHANGEDSINCE, VANISHED or PARTIAL")
	}
}

// isWhole reports whether s is the section "[]".
func (s *Section) isWhole() bool { return len(s.Part) == 0 && s.Text == SectionAll }

// sectionNames are the texts in sections.
var sectionNames = [...]string{
	SectionHeader: "HEADER", SectionHeaderFields: "HEADER.FIELDS", SectionHeaderNot: "HEADER.FIELDS.NOT",
	SectionBody: "TEXT", SectionMIME: "MIME",
}

// Append appends the section as it stands between brackets. Field names are
// quoted where they must be; utf8 says whether quoted strings may hold UTF-8.
func (s *Section) Append(b []byte, utf8 bool) []byte {
	for i, n := range s.Part {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	if s.Text == SectionAll {
		return b
	}
	if len(s.Part) > 0 {
		b = append(b, '.')
	}
	b = append(b, sectionNames[s.Text]...)
	if s.Text != SectionHeaderFields && s.Text != SectionHeaderNot {
		return b
	}
	b = append(b, " ("...)
	for i, name := range s.Fields {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendAString(b, name, utf8)
	}
	return append(b, ')')
}
