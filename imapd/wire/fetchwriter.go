package wire

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"teraslot/mailbox"
)

// FetchWriter writes the data items of one FETCH response, in the order of the
// calls. It is a value that belongs to its Writer: begin with Writer.Fetch, close with
// End, and write nothing else in between.
type FetchWriter struct {
	w    *Writer
	more bool
}

// Fetch begins the FETCH response of a message (RFC 9051 §7.5.2).
func (w *Writer) Fetch(seq uint32) FetchWriter {
	b := append(w.at(), "* "...)
	b = strconv.AppendUint(b, uint64(seq), 10)
	w.put(append(b, " FETCH ("...))
	return FetchWriter{w: w}
}

// End ends the response.
func (f *FetchWriter) End() { f.w.Raw(")\r\n") }

// item begins an item: its name and a space.
func (f *FetchWriter) item(name string) []byte {
	b := f.w.at()
	if f.more {
		b = append(b, ' ')
	}
	f.more = true
	b = append(b, name...)
	return append(b, ' ')
}

func (f *FetchWriter) number(name string, n uint64) {
	f.w.put(strconv.AppendUint(f.item(name), n, 10))
}

// UID writes UID.
func (f *FetchWriter) UID(uid mailbox.UID) { f.number("UID", uint64(uid)) }

// Size writes RFC822.SIZE: octets.
func (f *FetchWriter) Size(n int64) { f.number("RFC822.SIZE", uint64(n)) }

// ModSeq writes MODSEQ (RFC 7162).
func (f *FetchWriter) ModSeq(m mailbox.ModSeq) {
	b := strconv.AppendUint(append(f.item("MODSEQ"), '('), uint64(m), 10)
	f.w.put(append(b, ')'))
}

// Flags writes FLAGS, with \Recent if recent is set.
func (f *FetchWriter) Flags(flags mailbox.Flags, recent bool) {
	f.w.put(appendFlags(f.item("FLAGS"), flags, recent))
}

// systemLists are the system flags as a list, each with a space behind it, for each
// value of mailbox.System.
var systemLists = makeSystemLists()

func makeSystemLists() (lists [mailbox.Draft << 1]string) {
	for set := range lists {
		for _, name := range (mailbox.Flags{System: mailbox.System(set)}).List() {
			lists[set] += name + " "
		}
	}
	return lists
}

// appendFlags appends a flag list.
func appendFlags(b []byte, flags mailbox.Flags, recent bool) []byte {
	b = append(b, '(')
	start := len(b)
	b = append(b, systemLists[int(flags.System)%len(systemLists)]...)
	if recent {
		b = append(b, `\Recent `...)
	}
	if flags.Keywords != "" {
		b = append(appendKeywords(b, flags.Keywords), ' ')
	}
	if len(b) > start {
		b = b[:len(b)-1]
	}
	return append(b, ')')
}

// appendKeywords appends keywords separated by spaces. Those that came from
// elsewhere than a client may have what no atom has: it becomes "_", lest it end
// the list.
func appendKeywords(b []byte, keywords string) []byte {
	start := len(b)
	b = append(b, keywords...)
	for i, c := range b[start:] {
		if c != ' ' && !isFlag(c) {
			b[start+i] = '_'
		}
	}
	return b
}

// InternalDate writes INTERNALDATE.
func (f *FetchWriter) InternalDate(d mailbox.Date) {
	f.w.put(appendDateTime(f.item("INTERNALDATE"), d))
}

// SaveDate writes SAVEDATE (RFC 8514); nil is NIL.
func (f *FetchWriter) SaveDate(d *mailbox.Date) {
	b := f.item("SAVEDATE")
	if d == nil {
		b = append(b, "NIL"...)
	} else {
		b = appendDateTime(b, *d)
	}
	f.w.put(b)
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// appendDateTime appends date-time (RFC 9051 §9). A year that has no four digits
// becomes the nearest that has.
func appendDateTime(b []byte, d mailbox.Date) []byte {
	t := time.Unix(d.Unix+int64(d.Zone)*60, 0).UTC()
	year, month, day := t.Date()
	h, m, s := t.Clock()
	year = min(max(year, 0), 9999)
	b = append(b, '"', byte('0'+day/10), byte('0'+day%10), '-')
	if day < 10 {
		b[len(b)-3] = ' ' // date-day-fixed
	}
	b = append(b, monthNames[3*(month-1):3*month]...)
	b = append(b, '-', byte('0'+year/1000), byte('0'+year/100%10))
	b = appendTwo(b, year%100)
	b = appendTwo(append(b, ' '), h)
	b = appendTwo(append(b, ':'), m)
	b = appendTwo(append(b, ':'), s)
	sign, zone := byte('+'), int(d.Zone)
	if zone < 0 {
		sign, zone = '-', -zone
	}
	b = appendTwo(append(b, ' ', sign), zone/60)
	return append(appendTwo(b, zone%60), '"')
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

// EmailID writes EMAILID (RFC 8474).
func (f *FetchWriter) EmailID(id string) { f.parenthesized("EMAILID", id) }

// ThreadID writes THREADID (RFC 8474); "" is NIL.
func (f *FetchWriter) ThreadID(id string) {
	if id == "" {
		f.w.put(append(f.item("THREADID"), "NIL"...))
		return
	}
	f.parenthesized("THREADID", id)
}

func (f *FetchWriter) parenthesized(name, id string) {
	b := append(f.item(name), '(')
	f.w.put(append(append(b, id...), ')'))
}

// Preview writes PREVIEW (RFC 8970); nil is NIL.
func (f *FetchWriter) Preview(text *string) {
	f.w.put(f.item("PREVIEW"))
	f.w.NString(text)
}

// Section writes a section's octets: of BODY[…], RFC822, RFC822.HEADER or
// RFC822.TEXT as a literal, of BINARY[…] as a literal8. src gives at least
// size octets: those of item.Span if that is set, whose offset is in the answer (RFC
// 9051 §7.5.2).
func (f *FetchWriter) Section(item *FetchItem, size int64, src io.Reader) {
	f.sectionName(item)
	if item.Attr == FetchBinary {
		f.w.Literal8(size, src)
		return
	}
	f.w.Literal(size, src)
}

// SectionBytes is Section for octets at hand.
func (f *FetchWriter) SectionBytes(item *FetchItem, data []byte) {
	var r bytes.Reader
	r.Reset(data)
	f.Section(item, int64(len(data)), &r)
}

// NoSection writes NIL for a section that the message does not have.
func (f *FetchWriter) NoSection(item *FetchItem) {
	f.sectionName(item)
	f.w.Raw("NIL")
}

// BinarySize writes BINARY.SIZE[…]: decoded octets (RFC 3516 §4.3).
func (f *FetchWriter) BinarySize(item *FetchItem, size int64) {
	f.sectionName(item)
	f.w.Number(uint64(size))
}

// sectionName writes a section item's name as responses have it.
func (f *FetchWriter) sectionName(item *FetchItem) {
	switch item.Attr {
	case FetchRFC822:
		f.w.put(f.item("RFC822"))
		return
	case FetchRFC822Header:
		f.w.put(f.item("RFC822.HEADER"))
		return
	case FetchRFC822Text:
		f.w.put(f.item("RFC822.TEXT"))
		return
	}
	name := "BODY"
	if item.Attr == FetchBinary {
		name = "BINARY"
	} else if item.Attr == FetchBinarySize {
		name = "BINARY.SIZE"
	}
	b := f.item(name)
	b[len(b)-1] = '['
	b = append(item.Section.Append(b, f.w.utf8), ']')
	if item.Span != nil {
		b = strconv.AppendInt(append(b, '<'), item.Span.Offset, 10)
		b = append(b, '>')
	}
	f.w.put(append(b, ' '))
}
