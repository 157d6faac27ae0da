package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"sync"
	"unicode/utf8"
)

// writerSize is what a Writer gathers before it writes: some records of TLS.
const writerSize = 32 << 10

// buffers are shared by all Writers, so that a session that waits holds none.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, writerSize+4<<10)
	return &b
}}

// Writer encodes responses. The first error, its own or of what it writes to,
// sticks: after it nothing is written, and Flush returns it. What was
// written out cannot be taken back: after an error the connection has to be
// closed.
type Writer struct {
	out  io.Writer
	buf  *[]byte // from buffers; nil while nothing waits
	b    []byte  // *buf and what was appended to it
	err  error
	utf8 bool
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// SetUTF8 says that the client takes UTF-8: after ENABLE of IMAP4rev2 or
// UTF8=ACCEPT. Before that, names are written in modified UTF-7, and other
// strings that are not ASCII as literals.
func (w *Writer) SetUTF8(on bool) { w.utf8 = on }

// Err returns the first error.
func (w *Writer) Err() error { return w.err }

// Reset makes the Writer write to out from now on. What waits must have been
// flushed.
func (w *Writer) Reset(out io.Writer) {
	if len(w.b) > 0 {
		w.fail(fmt.Errorf("wire: %d octets not flushed", len(w.b)))
	}
	w.out = out
}

// Buffered is the number of octets that wait for Flush.
func (w *Writer) Buffered() int { return len(w.b) }

// Flush writes out what waits, gives the buffer back, and returns the first error.
func (w *Writer) Flush() error {
	w.spill()
	if w.buf != nil {
		if cap(w.b) <= 2*writerSize {
			*w.buf = w.b[:0]
			buffers.Put(w.buf)
		}
		w.buf, w.b = nil, nil
	}
	return w.err
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// spill writes out what waits.
func (w *Writer) spill() {
	if len(w.b) > 0 && w.err == nil {
		if _, err := w.out.Write(w.b); err != nil {
			w.fail(fmt.Errorf("writing to a client: %w", err))
		}
	}
	w.b = w.b[:0]
}

// put takes the buffer with something appended to it: w.put(append(w.at(), …)).
func (w *Writer) put(b []byte) {
	if w.b = b; len(b) >= writerSize {
		w.spill()
	}
}

// at is the buffer to append to.
func (w *Writer) at() []byte {
	if w.buf == nil {
		w.buf = buffers.Get().(*[]byte)
		w.b = *w.buf
	}
	return w.b
}

// Raw writes text as it is.
func (w *Writer) Raw(text string) { w.put(append(w.at(), text...)) }

// CRLF ends a response.
func (w *Writer) CRLF() { w.Raw("\r\n") }

// Number writes a number.
func (w *Writer) Number(n uint64) { w.put(strconv.AppendUint(w.at(), n, 10)) }

// String writes a string: quoted if it may be, otherwise as a literal. NUL, which
// may stand in neither, is left out.
func (w *Writer) String(s string) { w.put(appendString(w.at(), s, w.utf8)) }

// NString writes a string, or NIL if s is nil.
func (w *Writer) NString(s *string) {
	if s == nil {
		w.Raw("NIL")
		return
	}
	w.String(*s)
}

// AString writes an atom if s is one, otherwise a string.
func (w *Writer) AString(s string) { w.put(appendAString(w.at(), s, w.utf8)) }

// Mailbox writes a mailbox name, which is UTF-8, in the client's encoding.
func (w *Writer) Mailbox(name string) {
	if !w.utf8 && !plainName(name) {
		var buf [128]byte
		name = string(AppendUTF7(buf[:0], name))
	}
	w.put(appendAString(w.at(), name, w.utf8))
}

// plainName reports whether a name is its own modified UTF-7.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > 126 || c == '&' {
			return false
		}
	}
	return true
}

// Literal writes size octets of src as a literal, as they come, but for NUL, which
// a literal may not hold (RFC 9051 §9, CHAR8): it becomes 0x80, so that sizes and
// offsets stay. If src ends before, nothing the client could be told puts it
// right: that error sticks.
func (w *Writer) Literal(size int64, src io.Reader) {
	w.announce("{", size)
	w.stream(size, src, false)
}

// Literal8 is Literal for octets with NUL among them (RFC 3516).
func (w *Writer) Literal8(size int64, src io.Reader) {
	w.announce("~{", size)
	w.stream(size, src, true)
}

func (w *Writer) announce(open string, size int64) {
	b := append(w.at(), open...)
	b = strconv.AppendInt(b, size, 10)
	w.put(append(b, "}\r\n"...))
}

// stream copies through the buffer, so that what is small shares a write with
// what stands around it.
func (w *Writer) stream(size int64, src io.Reader, binary bool) {
	for size > 0 && w.err == nil {
		b := w.at()
		free := b[len(b):cap(b)]
		if int64(len(free)) > size {
			free = free[:size]
		}
		n, err := io.ReadFull(src, free)
		size -= int64(n)
		if !binary {
			coverNUL(free[:n])
		}
		w.put(b[:len(b)+n])
		if err != nil {
			w.fail(fmt.Errorf("a literal lacks %d octets: %w", size, err))
		}
	}
}

// coverNUL puts what stands for NUL in its place.
func coverNUL(b []byte) {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return
		}
		b[i] = 0x80
		b = b[i+1:]
	}
}

// Continue writes a command continuation request with text (RFC 9051 §7.6).
func (w *Writer) Continue(text string) {
	w.Raw("+ ")
	w.text(text)
	w.CRLF()
}

// Challenge writes a continuation request with base64 of data: a SASL challenge.
func (w *Writer) Challenge(data []byte) {
	w.Raw("+ ")
	w.put(base64.StdEncoding.AppendEncode(w.at(), data))
	w.CRLF()
}

// text writes human-readable text (RFC 9051 §9, text): what may not stand there
// becomes a space or, before UTF-8 is enabled, "?".
func (w *Writer) text(s string) {
	b := w.at()
	for _, r := range s {
		switch {
		case r < ' ' || r == 127:
			b = append(b, ' ')
		case r < utf8.RuneSelf:
			b = append(b, byte(r))
		case w.utf8:
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, '?')
		}
	}
	w.put(b)
}

// appendAString appends an atom if s is one, otherwise a string. The atom NIL
// would be taken for no string.
func appendAString(b []byte, s string, utf8 bool) []byte {
	if s == "" || len(s) == 3 && (s[0]|0x20 == 'n') && (s[1]|0x20 == 'i') && (s[2]|0x20 == 'l') {
		return appendString(b, s, utf8)
	}
	for i := range len(s) {
		if !isAtom(s[i]) {
			return appendString(b, s, utf8)
		}
	}
	return append(b, s...)
}

// appendString appends a quoted string or a literal. Nearly all strings can be
// copied as they are.
func appendString(b []byte, s string, utf8OK bool) []byte {
	start := len(b)
	b = append(b, '"')
	b = append(b, s...)
	if !allPlain(b[start+1:]) {
		return appendEscaped(b[:start], s, utf8OK)
	}
	return append(b, '"')
}

// allPlain reports whether b can stand between quotes as it is. It looks at eight octets
// at a time, and at each where one of them may not be plain.
func allPlain(b []byte) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		x := binary.LittleEndian.Uint64(b)
		quote, backslash := x^each*'"', x^each*'\\'
		// The high bit of an octet of y-each*n &^ y is set if it is the lowest one that is less than n.
		suspect := x | (x-each*' ')&^x | (quote-each)&^quote | (backslash-each)&^backslash
		if suspect&high != 0 && !eachPlain(b[:8]) {
			return false
		}
	}
	return eachPlain(b)
}

func eachPlain(b []byte) bool {
	for _, c := range b {
		if !isPlain(c) {
			return false
		}
	}
	return true
}

// appendEscaped is appendString for any string.
func appendEscaped(b []byte, s string, utf8OK bool) []byte {
	start := len(b)
	b = append(b, '"')
	high := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\r' || c == '\n' || c >= utf8.RuneSelf && !utf8OK:
			return appendLiteral(b[:start], s)
		case c != 0:
			high = high || c >= utf8.RuneSelf
			b = append(b, c)
		}
	}
	if high && !utf8.ValidString(s) {
		return appendLiteral(b[:start], s)
	}
	return append(b, '"')
}

// appendLiteral appends a literal, without NUL.
func appendLiteral(b []byte, s string) []byte {
	n := 0
	for i := range len(s) {
		if s[i] != 0 {
			n++
		}
	}
	b = append(b, '{')
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, "}\r\n"...)
	for i := range len(s) {
		if s[i] != 0 {
			b = append(b, s[i])
		}
	}
	return b
}
