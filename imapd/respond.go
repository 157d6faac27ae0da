package imapd

import (
	"context"
	"io"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
)

// fetched is what was read of a message for a FETCH.
type fetched struct {
	record    *mailbox.Record
	structure *message.Structure // nil if not needed
	content   *mailstore.Content // nil if not needed
}

// respond writes the FETCH response of a message. Octets go from disk to the client
// in pieces. Items that have to be read before anything is written are read
// first, so that a failure costs no half response.
func (f *fetcher) respond(ctx context.Context, number uint32, m *fetched) (sent bool, err error) {
	prepared, err := f.prepare(m)
	if err != nil {
		if f.skips(err) {
			return false, nil
		}
		return false, err
	}
	w := f.s.out.Fetch(number)
	if f.plan.withUID {
		w.UID(m.record.UID)
	}
	for i := range f.plan.items {
		f.item(&w, &f.plan.items[i], m, &prepared[i])
	}
	w.End()
	if err := f.s.out.Err(); err != nil {
		return false, err
	}
	return true, ctx.Err()
}

// prepared is the octets of an item: of the message, or made for it.
type prepared struct {
	missing bool   // the message has no such section
	span    octets // where the octets are, unless made
	made    []byte
	isMade  bool
	decoded *message.Part // BINARY: the part, and how many octets it decodes to
	size    int64
}

// prepare finds the octets of all items. The result is good until the next call.
func (f *fetcher) prepare(m *fetched) (_ []prepared, err error) {
	if f.prepared == nil {
		f.prepared = make([]prepared, len(f.plan.items))
	}
	if !f.plan.contents {
		return f.prepared, nil
	}
	for i := range f.plan.items {
		if f.prepared[i], err = prepareItem(&f.plan.items[i], m); err != nil {
			return nil, err
		}
	}
	return f.prepared, nil
}

func prepareItem(item *wire.FetchItem, m *fetched) (prepared, error) {
	switch item.Attr {
	case wire.FetchRFC822:
		return prepared{span: octets{0, m.content.Size}}, nil
	case wire.FetchRFC822Header:
		return prepareSection(&wire.FetchItem{Section: wire.Section{Text: wire.SectionHeader}}, m)
	case wire.FetchRFC822Text:
		return prepareSection(&wire.FetchItem{Section: wire.Section{Text: wire.SectionBody}}, m)
	case wire.FetchSection:
		return prepareSection(item, m)
	case wire.FetchBinary, wire.FetchBinarySize:
		return prepareBinary(item, m)
	}
	return prepared{}, nil
}

func prepareSection(item *wire.FetchItem, m *fetched) (prepared, error) {
	if !needsStructure(&wire.FetchItem{Attr: wire.FetchSection, Section: item.Section}) {
		return prepared{span: octets{0, m.content.Size}.cut(item.Span)}, nil
	}
	span, ok := locate(m.structure, &item.Section)
	if !ok {
		return prepared{missing: true}, nil
	}
	text := item.Section.Text
	if text != wire.SectionHeaderFields && text != wire.SectionHeaderNot {
		return prepared{span: span.cut(item.Span)}, nil
	}
	p, _ := sectionPart(m.structure, &item.Section)
	fields, err := message.HeaderFields(m.content, p, item.Section.Fields, text == wire.SectionHeaderNot)
	cut := octets{0, int64(len(fields))}.cut(item.Span)
	return prepared{made: fields[cut.from:cut.to], isMade: true}, err
}

// item writes one data item.
func (f *fetcher) item(w *wire.FetchWriter, item *wire.FetchItem, m *fetched, p *prepared) {
	switch item.Attr {
	case wire.FetchUID:
		w.UID(m.record.UID)
	case wire.FetchFlags:
		w.Flags(m.record.Flags, f.s.isRecent(m.record.UID))
	case wire.FetchInternalDate:
		w.InternalDate(m.record.InternalDate)
	case wire.FetchRFC822Size:
		w.Size(m.record.Size)
	case wire.FetchModSeq:
		f.s.tellModSeq(w, m.record.ModSeq)
	case wire.FetchEnvelope:
		w.Envelope(m.structure.Envelope)
	case wire.FetchBody:
		w.Body(m.structure)
	case wire.FetchBodyStructure:
		w.BodyStructure(m.structure)
	case wire.FetchBinarySize:
		w.BinarySize(item, p.size)
	default:
		writeOctets(w, item, m, p)
	}
}

// writeOctets writes the octets of a section.
func writeOctets(w *wire.FetchWriter, item *wire.FetchItem, m *fetched, p *prepared) {
	switch {
	case p.missing:
		w.NoSection(item)
	case p.isMade:
		w.SectionBytes(item, p.made)
	case p.decoded != nil:
		decoded := message.DecodedPart(m.content, p.decoded)
		// What this skips was read once already, to count; an error comes again
		// where the octets are read, and breaks the response.
		_, _ = io.CopyN(io.Discard, decoded, p.span.from)
		w.Section(item, p.span.size(), decoded)
	default:
		w.Section(item, p.span.size(), contentReader(m.content, p.span))
	}
}

var errUnknownEncoding = no(imap.ResponseCodeUnknownCTE, "A part's transfer encoding is not known")

// prepareBinary counts the octets of a decoded part (RFC 3516 §4.2). It decodes the
// part twice rather than keep it.
func prepareBinary(item *wire.FetchItem, m *fetched) (prepared, error) {
	part, ok := sectionPart(m.structure, &item.Section)
	if !ok {
		return prepared{missing: true}, nil
	}
	if len(item.Section.Part) == 0 {
		// The whole message has no transfer encoding.
		return prepared{span: octets{0, m.content.Size}.cut(item.Span), size: m.content.Size}, nil
	}
	if !part.Decodable() {
		return prepared{}, errUnknownEncoding
	}
	n, err := io.Copy(io.Discard, message.DecodedPart(m.content, part))
	return prepared{decoded: part, span: octets{0, n}.cut(item.Span), size: n}, err
}
