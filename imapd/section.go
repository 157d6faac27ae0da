package imapd

import (
	"io"

	"teraslot/imapd/wire"
	"teraslot/message"
)

// octets is a stretch of a message.
type octets struct{ from, to int64 }

func (o octets) size() int64 { return o.to - o.from }

// cut returns the part of o that a client's <offset.length> names; beyond the
// end there is nothing (RFC 9051 §6.4.5).
func (o octets) cut(s *wire.Span) octets {
	if s == nil {
		return o
	}
	from := o.from + min(s.Offset, o.size())
	return octets{from, from + min(s.Length, o.to-from)}
}

// sectionPart returns the part that a section names and, where the section is
// HEADER or TEXT of a numbered part, the message inside (RFC 9051 §6.4.5.1).
func sectionPart(st *message.Structure, sec *wire.Section) (*message.Part, bool) {
	path := make([]int, len(sec.Part))
	for i, n := range sec.Part {
		path[i] = int(n)
	}
	p, ok := st.Section(path)
	if !ok || len(path) == 0 {
		return p, ok
	}
	switch sec.Text {
	case wire.SectionHeader, wire.SectionHeaderFields, wire.SectionHeaderNot, wire.SectionBody:
		return p.Message, p.Message != nil
	}
	return p, true
}

// locate returns where a section's octets are: false if the message has no such
// section. Of HEADER.FIELDS it gives the header that the fields are taken from.
func locate(st *message.Structure, sec *wire.Section) (octets, bool) {
	p, ok := sectionPart(st, sec)
	if !ok {
		return octets{}, false
	}
	header, body := octets{p.HeaderStart, p.BodyStart}, octets{p.BodyStart, p.End}
	switch sec.Text {
	case wire.SectionBody:
		return body, true
	case wire.SectionHeader, wire.SectionHeaderFields, wire.SectionHeaderNot, wire.SectionMIME:
		return header, true
	}
	if len(sec.Part) > 0 {
		return body, true
	}
	return octets{0, st.Size}, true
}

// contentReader reads a stretch of a message.
func contentReader(r io.ReaderAt, o octets) *io.SectionReader {
	return io.NewSectionReader(r, o.from, o.size())
}
