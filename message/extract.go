package message

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"teraslot/text"
)

// ExtractVersion rises whenever Extract gives other units for any message of which
// it gave all before. A database of another version is no claim (design §4,
// decision 6).
const ExtractVersion = 2

// Limits bound what Extract takes. The zero value has the defaults.
type Limits struct {
	// Text is how many octets of decoded text of one message are taken, headers
	// included, and how many of folded text: a code point may fold to 33 octets. 0
	// stands for 64 MiB.
	Text int64
}

const defaultText = 64 << 20

// maxUnits is how many units of one message are taken: a hostile header has
// millions of fields.
const maxUnits = 50_000

// Extraction is a message's text, for the index.
type Extraction struct {
	Units []text.Unit
	// Complete is false if a limit was met, so that there are more units.
	Complete bool
}

// Extract collects the units that Scan gives for a message of size octets, as far
// as the limits go: a message with more than 50,000 is not Complete either. The only
// errors are r's and ctx's.
func Extract(ctx context.Context, r io.ReaderAt, size int64, lim Limits) (Extraction, error) {
	if lim.Text == 0 {
		lim.Text = defaultText
	}
	out := Extraction{Complete: true}
	x := extractor{ctx: ctx, parts: maxParts, left: lim.Text, room: lim.Text}
	x.yield = func(u text.Unit) bool {
		if len(out.Units) == maxUnits {
			out.Complete = false
			return false
		}
		out.Units = append(out.Units, u)
		return true
	}
	err := x.run(r, size)
	out.Complete = out.Complete && !x.cut
	if err != nil {
		return Extraction{}, err
	}
	return out, nil
}

// Scan calls yield with the text units of a message of size octets until it returns
// false: one for each field of its header, in order, then those of its body.
// docs/search.md, "What is searched", says what they are. All of them are given,
// whatever the message is: the time is linear in its size, the memory a multiple of
// its largest unit, not of their number, and for messages in a transfer encoding of
// those. The only errors are r's and ctx's.
func Scan(ctx context.Context, r io.ReaderAt, size int64, yield func(text.Unit) bool) error {
	x := extractor{ctx: ctx, parts: maxParts, left: math.MaxInt64, room: math.MaxInt64, yield: yield}
	return x.run(r, size)
}

// ScanPieces is Scan for whoever looks for strings of up to longest octets: a body
// unit of more than 4 MiB is handed on as several, which overlap by so much that a
// string of the whole is in one of them, and so takes no more memory than they do. They begin
// and end between words if they can.
func ScanPieces(ctx context.Context, r io.ReaderAt, size int64, longest int, yield func(text.Unit) bool) error {
	x := extractor{ctx: ctx, parts: maxParts, left: math.MaxInt64, room: math.MaxInt64, yield: yield, pieces: wholeUnit, overlap: longest}
	return x.run(r, size)
}

// extractor goes through the units of a message.
type extractor struct {
	ctx     context.Context // of the one call of Extract or Scan
	parts   int             // of which this many are taken apart at a time
	yield   func(text.Unit) bool
	written bool   // text is handed on as it is written, not folded
	stopped bool   // yield wants no more
	left    int64  // octets of text that may still be taken
	room    int64  // octets of folded text that may still be taken
	cut     bool   // there are more
	pieces  int    // body units of so many octets are handed on in pieces; 0: none are
	overlap int    // octets by which these overlap
	buf     []byte // for reading, piece octets or as many as the message has
}

// piece is how much text is decoded and folded at once.
const piece = 32 << 10

// maxEncodedMessages is how deep messages are followed that lie in a transfer
// encoding.
const maxEncodedMessages = 5

// source is a message, or one that was found encoded in it.
type source struct {
	r     io.ReaderAt
	depth int // of encoded messages around it
}

func (x *extractor) run(r io.ReaderAt, size int64) error {
	x.buf = make([]byte, min(piece, max(0, size)+utf8.UTFMax))
	return x.message(source{r, 0}, size)
}

// over reports whether no more units are wanted.
func (x *extractor) over() bool { return x.stopped || x.cut }

// message goes through a message, stretch by stretch.
func (x *extractor) message(src source, size int64) error {
	root, next, err := parseStretch(src.r, size, nil, x.parts)
	if err == nil {
		err = x.header(src, root, src.depth == 0)
	}
	for err == nil {
		if err = x.part(src, root, true); err != nil || next == nil || x.over() {
			break
		}
		root, next, err = parseStretch(src.r, size, next, x.parts)
	}
	return err
}

// header takes the fields of a message's header: the message's own are header
// units, those of a message within it belong to the body. Lines that are no fields
// are body, as a reader would see them there.
func (x *extractor) header(src source, p *Part, own bool) error {
	return eachField(x.ctx, src.r, p, func(f field) bool {
		if !x.take(len(f.raw)) {
			return false
		}
		switch {
		case f.name == nil:
			x.body(DecodeHeader(string(f.raw)))
		case own:
			x.field(string(f.name), decodeValue(f.value))
		default:
			x.body(string(f.name) + ": " + decodeValue(f.value))
		}
		return !x.over()
	})
}

// rubbish takes the lines of a part's header that are no fields.
func (x *extractor) rubbish(src source, p *Part) error {
	return eachField(x.ctx, src.r, p, func(f field) bool {
		if f.name == nil && x.take(len(f.raw)) {
			x.body(DecodeHeader(string(f.raw)))
		}
		return !x.over()
	})
}

func decodeValue(value []byte) string { return DecodeHeader(unfold(value)) }

// unit hands a unit on, unless it is a body without text.
func (x *extractor) unit(u text.Unit) {
	if u.Kind == text.Body && strings.TrimSpace(u.Text) == "" || x.stopped {
		return
	}
	x.stopped = !x.yield(u)
}

// field adds a header unit.
func (x *extractor) field(name, value string) {
	if x.written {
		x.unit(writtenField(name, value))
		return
	}
	if len(value) <= piece {
		u := text.HeaderUnit(name, value)
		if x.fits(len(u.Text)) {
			x.unit(u)
		}
		return
	}
	n := normalizer{x: x, whole: true}
	n.add(name + ": " + strings.TrimSpace(value))
	x.unit(text.Unit{Kind: text.Header, Name: strings.ToLower(name), Text: n.out.String()})
}

// body adds a body unit.
func (x *extractor) body(s string) {
	if x.written {
		x.unit(writtenBody(s))
		return
	}
	n := normalizer{x: x}
	n.add(s)
	n.close()
}

// part takes what belongs to a part and to all below it. root says that its
// header is a message's and has been taken.
func (x *extractor) part(src source, p *Part, root bool) error {
	if x.over() {
		return nil
	}
	if err := x.ctx.Err(); err != nil {
		return fmt.Errorf("message: extract: %w", err)
	}
	if !root {
		if err := x.rubbish(src, p); err != nil {
			return err
		}
	}
	x.labels(p, root)
	for _, c := range p.Children {
		if err := x.part(src, c, false); err != nil {
			return err
		}
	}
	if p.Message == nil {
		return x.leaf(src, p)
	}
	if err := x.header(src, p.Message, false); err != nil {
		return err
	}
	return x.part(src, p.Message, true)
}

// leaf takes the text of a part without parts. A message or a multipart too deep to
// be taken apart is a text, as it stands there: nothing that can be read is hidden.
func (x *extractor) leaf(src source, p *Part) error {
	switch {
	case x.over() || len(p.Children) > 0:
		return nil
	case p.Degraded && p.Type == "application" && !identity(p.Encoding) && src.depth < maxEncodedMessages:
		return x.encoded(src, p)
	case p.Is("text", "html") || p.Is("application", "xhtml+xml"):
		return x.html(src, p)
	case p.Type == "text" || p.Type == "message" || p.Degraded:
		return x.text(src, p)
	}
	return nil
}

// labels takes the names that a reader sees beside a part: those of its file, and
// its description if that is not in a header that has been taken.
func (x *extractor) labels(p *Part, root bool) {
	names := []string{decodedParam(p.DispositionParams, "filename"), p.Param("name")}
	if names[1] == names[0] {
		names[1] = ""
	}
	if !root {
		names = append(names, DecodeHeader(p.Description))
	}
	for _, name := range names {
		if name != "" && x.take(len(name)) {
			x.body(name)
		}
	}
}

// take counts n octets of text; false if they are more than is left.
func (x *extractor) take(n int) bool {
	x.left -= int64(n)
	x.cut = x.cut || x.left < 0
	return !x.cut
}

// fits counts n octets of folded text; false if they are more than there is room for.
func (x *extractor) fits(n int) bool {
	x.room -= int64(n)
	x.cut = x.cut || x.room < 0
	return !x.cut
}

// encoded follows a message that lies in a transfer encoding.
func (x *extractor) encoded(src source, p *Part) error {
	b, err := x.read(src, p)
	if err != nil || x.cut {
		return err
	}
	return x.message(source{bytes.NewReader(b), src.depth + 1}, int64(len(b)))
}

// text takes a text part, piece by piece where its charset allows it.
func (x *extractor) text(src source, p *Part) error {
	charset := lookup(rawOrExtended(p, "charset"))
	n := normalizer{x: x}
	if !charset.streams() || !charset.known {
		b, err := x.read(src, p)
		if err != nil {
			return err
		}
		n.add(decoderOf(b, charset).decode(b))
	} else if err := x.eachPiece(src, p, func(b []byte) { n.add(charset.decode(b)) }); err != nil {
		return err
	}
	n.close()
	return nil
}

// html takes an HTML part, which is seen whole.
func (x *extractor) html(src source, p *Part) error {
	b, err := x.read(src, p)
	if err != nil {
		return err
	}
	charset := lookup(rawOrExtended(p, "charset"))
	if !charset.known {
		charset = lookup(metaCharset(b))
	}
	n := normalizer{x: x}
	n.add(htmlText(decoderOf(b, charset).decode(b)))
	n.close()
	return nil
}

func rawOrExtended(p *Part, name string) string {
	if v := rawParam(p.Params, name); v != "" {
		return v
	}
	return p.Param(name)
}

// decoderOf is the charset that was named, or if none was that is known UTF-16
// where the text begins with its byte order mark.
func decoderOf(b []byte, named decoder) decoder {
	if !named.known && len(b) > 1 && (b[0] == 0xFF && b[1] == 0xFE || b[0] == 0xFE && b[1] == 0xFF) {
		return lookup("utf-16")
	}
	return named
}

// metaCharset is the charset that an HTML document names in its first 1024 octets.
func metaCharset(b []byte) string {
	b = bytes.ToLower(b[:min(len(b), 1024)])
	_, b, ok := bytes.Cut(b, []byte("charset="))
	if !ok {
		return ""
	}
	b = bytes.TrimLeft(b, " \"'")
	if i := bytes.IndexAny(b, " \"'/>;"); i >= 0 {
		b = b[:i]
	}
	return string(b[:min(len(b), maxCharset)])
}

// read reads a part's octets, transfer encoding undone, as far as the limit goes.
func (x *extractor) read(src source, p *Part) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(p.Size(), x.left, 1<<20)) + 1)
	err := x.eachPiece(src, p, func(piece []byte) { b.Write(piece) })
	return b.Bytes(), err
}

// eachPiece reads a part's octets, transfer encoding undone, and hands them on in
// pieces that end with a whole UTF-8 sequence.
func (x *extractor) eachPiece(src source, p *Part, fn func([]byte)) error {
	r := DecodedPart(src.r, p)
	kept := 0
	for {
		n, err := r.Read(x.buf[kept:])
		n += kept
		if n > 0 && !x.take(n-kept) {
			return nil
		}
		kept = 0
		if err == nil {
			kept = n - wholeRunes(x.buf[:n])
		}
		if n > kept {
			fn(x.buf[:n-kept])
		}
		if x.over() {
			return nil
		}
		copy(x.buf, x.buf[n-kept:n])
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = x.ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("message: extract at %d: %w", p.BodyStart, err)
		}
	}
}

// wholeRunes is how many octets of b end before a UTF-8 sequence that is cut.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(b[i]) {
			if b[i] >= utf8.RuneSelf && !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}
