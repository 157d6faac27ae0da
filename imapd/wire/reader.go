package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits bound what one command may cost. The zero value of each field stands
// for its default.
type Limits struct {
	// Line is the most octets of a command's text, of all its lines together,
	// literals not counted; of each message of an APPEND anew. Default 64 KiB:
	// RFC 7162 §4 asks for 8 KiB at least, and clients send longer UID sets.
	Line int
	// Literals is the most octets of all of a command's literals together but
	// for message literals, of which the caller decides. Default 1 MiB.
	Literals int64
	// NonSync is the largest non-synchronizing literal that is taken: 4096 for
	// LITERAL-, 0 for no other limit than Literals (LITERAL+), negative for none
	// at all. Of message literals the caller decides.
	NonSync int64
	// Drain is the most octets of one refused command that are discarded to stay
	// in step; if there are more the Reader breaks. Default 64 MiB.
	Drain int64
	// Depth is how deep parentheses, NOT, OR and FUZZY may nest. Default 100.
	Depth int
}

func (l Limits) withDefaults() Limits {
	if l.Line <= 0 {
		l.Line = 64 << 10
	}
	if l.Literals <= 0 {
		l.Literals = 1 << 20
	}
	if l.Drain <= 0 {
		l.Drain = 64 << 20
	}
	if l.Depth <= 0 {
		l.Depth = 100
	}
	return l
}

// Options are a Reader's. The zero value works where no client waits.
type Options struct {
	Limits
	// Continue sends a command continuation request, and flushes it, so that the
	// client sends the literal it announced (RFC 9051 §7.6). nil: such literals
	// are read without asking.
	Continue func() error
	// Accept may refuse a literal that is an argument and within Limits: its error
	// becomes the cause of the SyntaxError. nil refuses none.
	Accept func(tag, command string, l Literal) error
}

// Sizes of a Reader's buffers. Many sessions idle: the line's buffer is dropped
// when a long command has been read.
const (
	readBuffer = 4 << 10
	keepLine   = 4 << 10
	markerMax  = 64 // more than any announcement of a literal needs
)

// Reader reads commands. See the package's documentation for its invariants.
type Reader struct {
	in     *bufio.Reader
	opt    Options
	utf8   bool
	broken error // sticks

	line   []byte // the line's text without its end and the announcement
	bad    string // what of the line is never right: NUL, a bare CR; "" if all is
	tooBig bool   // the line had more than the limit, and was discarded
	lost   string // the tag of such a line
	lit    litState
	cmd    parser // of the command at hand, between Next and More
	begun  bool   // a line of the command was read
	text   int    // octets of the command's text so far
	lits   int64  // octets of its argument literals so far
	drain  int64  // octets of it that were discarded
}

// litState is the literal that the line announced, if it did.
type litState struct {
	Literal
	announced bool  // and its octets neither read nor refused
	open      bool  // asked for, or sent unasked: its octets are next
	left      int64 // octets of an open literal not read yet
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader, o Options) *Reader {
	o.Limits = o.Limits.withDefaults()
	return &Reader{in: bufio.NewReaderSize(src, readBuffer), opt: o}
}

// SetLimits changes the limits from the next command on.
func (r *Reader) SetLimits(l Limits) { r.opt.Limits = l.withDefaults() }

// SetUTF8 says that mailbox names are sent in UTF-8: after ENABLE of IMAP4rev2 or
// UTF8=ACCEPT (RFC 9051 §5.1, RFC 6855 §3).
func (r *Reader) SetUTF8(on bool) { r.utf8 = on }

// Err returns the error that broke the Reader, or nil. Once set it stays, and
// is what every later call returns.
func (r *Reader) Err() error { return r.broken }

// Buffered is the number of octets that were received and not yet read.
func (r *Reader) Buffered() int { return r.in.Buffered() }

// Reset makes the Reader read from src from now on: the stream after STARTTLS or
// COMPRESS. It breaks if octets of the old stream wait, which somebody on
// the way may have put there (RFC 9051 §6.2.1).
func (r *Reader) Reset(src io.Reader) error {
	if r.broken == nil && (r.in.Buffered() > 0 || r.lit.announced || r.lit.open) {
		r.fail(fmt.Errorf("%w: octets before the new stream", ErrBroken))
	}
	if r.broken == nil {
		r.in.Reset(src)
	}
	return r.broken
}

// Wait blocks until input is there to be read, or the source ends or fails. An
// error of the source's deadline does not break the Reader.
func (r *Reader) Wait() error {
	if r.broken != nil {
		return r.broken
	}
	_, err := r.in.Peek(1)
	return err
}

// Line reads a line that is no command and returns it without its end: an
// answer to AUTHENTICATE's challenge, or the DONE that ends IDLE. A line beyond the limit, or one that
// announces a literal, which neither may have, breaks the Reader.
func (r *Reader) Line() (string, error) {
	if err := r.finish(); err != nil {
		return "", err
	}
	r.startCommand()
	if err := r.readLine(); err != nil {
		return "", err
	}
	if r.tooBig || r.lit.announced {
		return "", r.fail(fmt.Errorf("%w: a line too long or with a literal", ErrBroken))
	}
	return string(r.line), nil
}

func (r *Reader) startCommand() {
	r.begun, r.text, r.lits, r.drain = false, 0, 0, 0
	if cap(r.line) > keepLine {
		r.line = nil
	}
}

// fail breaks the Reader, if it is not yet, and returns what broke it.
func (r *Reader) fail(err error) error {
	if r.broken == nil {
		r.broken = err
	}
	return r.broken
}

// failIO breaks the Reader by an error of its source in the midst of a command.
func (r *Reader) failIO(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return r.fail(fmt.Errorf("reading a command: %w", err))
}

// finish discards what is left of the command before, so that the next octet
// is the first of a command. A synchronizing literal that was not asked for has
// no octets, unless the client did not wait: then it breaks.
func (r *Reader) finish() error {
	for r.broken == nil && (r.lit.announced || r.lit.open) {
		if r.lit.announced && !r.lit.NonSync {
			r.lit = litState{}
			if r.in.Buffered() > 0 {
				r.fail(fmt.Errorf("%w: a literal was sent without waiting", ErrBroken))
			}
			break
		}
		if r.lit.announced {
			r.lit.open, r.lit.left = true, r.lit.Size
		}
		if r.discard() == nil {
			r.readLine()
		}
	}
	return r.broken
}

// discard reads the rest of the open literal and drops it, within Limits.Drain.
func (r *Reader) discard() error {
	if r.lit.left > r.opt.Drain-r.drain {
		return r.fail(fmt.Errorf("%w: more was refused than is discarded", ErrBroken))
	}
	r.drain += r.lit.left
	if _, err := io.CopyN(io.Discard, r.in, r.lit.left); err != nil {
		return r.failIO(err)
	}
	r.lit = litState{}
	return nil
}

// readLine reads a line of a command into r.line, without its end and the
// announcement of a literal, which goes to r.lit. What exceeds the limit is
// discarded, and r.tooBig set. It fails only in ways that break the Reader; the end
// of the source before the first octet of a command is io.EOF.
func (r *Reader) readLine() error {
	r.line, r.bad, r.tooBig, r.lit = r.line[:0], "", false, litState{}
	for {
		part, err := r.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !r.begun && len(r.line)+len(part) == 0 && errors.Is(err, io.EOF) {
				return r.fail(io.EOF)
			}
			return r.failIO(err)
		}
		if broken := r.addToLine(part); broken != nil {
			return broken
		}
		if err == nil {
			return r.endLine()
		}
	}
}

// addToLine appends part, or, beyond the limit, keeps only as much of the line's
// end as an announcement needs.
func (r *Reader) addToLine(part []byte) error {
	r.line = append(r.line, part...)
	if !r.tooBig && r.text+len(r.line) <= r.opt.Line+len("\r\n") {
		return nil
	}
	if !r.tooBig {
		r.tooBig, r.lost = true, leadingTag(r.line)
	}
	if over := len(r.line) - markerMax; over > 0 {
		r.drain += int64(over)
		r.line = append(r.line[:0], r.line[over:]...)
	}
	if r.drain > r.opt.Drain {
		return r.fail(fmt.Errorf("%w: an endless line", ErrBroken))
	}
	return nil
}

// endLine takes the line's end and the announcement off, and looks for what is
// wrong in every line. Only CRLF ends a line (RFC 9051 §2.2).
func (r *Reader) endLine() error {
	n := len(r.line) - len("\r\n")
	if n < 0 || r.line[n] != '\r' {
		return r.fail(fmt.Errorf("%w: a line ended without a carriage return (CRLF is required)", ErrBroken))
	}
	r.line = r.line[:n]
	r.begun = true
	r.text += n
	if r.tooBig {
		r.text = r.opt.Line // nothing more of this command is kept
		if r.drain += int64(n); r.drain > r.opt.Drain {
			return r.fail(fmt.Errorf("%w: an endless command", ErrBroken))
		}
	}
	if bytes.IndexByte(r.line, 0) >= 0 {
		r.bad = "no NUL in a line"
	} else if bytes.IndexByte(r.line, '\r') >= 0 {
		r.bad = "no carriage return within a line"
	}
	l, start, ok := announcement(r.line)
	if !ok && r.tooBig && bytes.HasSuffix(r.line, []byte("}")) {
		return r.fail(fmt.Errorf("%w: an endless line that may announce a literal", ErrBroken))
	}
	if ok {
		r.line = r.line[:start]
		r.lit = litState{Literal: l, announced: true}
	}
	return nil
}

// announcement reads the announcement of a literal at the end of a line (RFC 9051
// §4.3, RFC 7888) and where it starts. A size beyond 63 bits counts as the largest.
func announcement(line []byte) (l Literal, start int, ok bool) {
	i := len(line)
	if i == 0 || line[i-1] != '}' {
		return l, 0, false
	}
	i--
	if i > 0 && line[i-1] == '+' {
		l.NonSync = true
		i--
	}
	end := i
	for i > 0 && isDigit(line[i-1]) {
		i--
	}
	if i == end || i == 0 || line[i-1] != '{' {
		return Literal{}, 0, false
	}
	l.Size = cappedNumber(line[i:end])
	i--
	if i > 0 && line[i-1] == '~' {
		l.Binary = true
		i--
	}
	return l, i, true
}

// cappedNumber is the value of digits, or the largest int64 if it is larger.
func cappedNumber(digits []byte) int64 {
	var n int64
	for _, c := range digits {
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return math.MaxInt64
		}
		n = n*10 + d
	}
	return n
}

// argument reads the announced literal as an argument of the command, and the
// line after it. refused is why it was not read; err broke the Reader.
func (r *Reader) argument(tag, command string) (data []byte, refused, err error) {
	if refused = r.refuse(tag, command); refused != nil {
		return nil, refused, nil
	}
	if err = r.open(); err != nil {
		return nil, nil, err
	}
	r.lits += r.lit.Size
	if data, err = readAll(r.in, r.lit.Size); err != nil {
		return nil, nil, r.failIO(err)
	}
	return data, nil, r.readLine()
}

// refuse says why the announced literal may not be read as an argument, or nil.
func (r *Reader) refuse(tag, command string) error {
	switch l := r.lit.Literal; {
	case l.Size > r.opt.Literals-r.lits:
		return ErrTooBig
	case l.NonSync && (r.opt.NonSync < 0 || r.opt.NonSync > 0 && l.Size > r.opt.NonSync):
		return ErrTooBig
	case r.opt.Accept != nil:
		return r.opt.Accept(tag, command, l)
	}
	return nil
}

// open asks for the announced literal if its sender waits to be asked.
func (r *Reader) open() error {
	if !r.lit.NonSync && r.opt.Continue != nil {
		if err := r.opt.Continue(); err != nil {
			return r.fail(fmt.Errorf("asking for a literal: %w", err))
		}
	}
	r.lit.announced, r.lit.open, r.lit.left = false, true, r.lit.Size
	return nil
}

// readAll reads size octets. Memory grows as they come: who announces much and
// sends nothing holds little.
func readAll(in io.Reader, size int64) ([]byte, error) {
	if size <= readBuffer {
		data := make([]byte, size)
		_, err := io.ReadFull(in, data)
		return data, err
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, in, size); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
