package message

import (
	"bytes"
	"io"
	"strings"
)

// The limits of Parse. Real mail stays far below them.
const (
	maxDepth  = 100     // parts open at the same time
	maxParts  = 10_000  // of one message
	maxHeader = 4 << 20 // octets of one header that are interpreted
	maxKept   = 8 << 20 // octets of strings (and what holds them) in a Structure

	// maxGuesses is how many lines of one header are looked at as the boundary that
	// shows its blank line to be missing. Each costs reading the header so far.
	maxGuesses = 8
)

// Parse takes a message of size octets apart, in one pass and time linear in
// size. It never fails on bad mail: an error is one of r's, wrapped, and
// io.ErrUnexpectedEOF if r holds fewer than size octets.
func Parse(r io.ReaderAt, size int64) (*Structure, error) {
	p := &parser{lines: newLines(r, size), most: maxParts, junk: -1}
	p.s = &Structure{Size: size, Root: &Part{}, Envelope: &Envelope{}}
	p.begin(p.s.Root, p.s.Envelope, false, 0)
	p.run()
	if p.err != nil {
		return nil, p.err
	}
	return p.s, nil
}

// parser holds the parts open at the place that has been reached: the last of
// open is the one whose header or body is being read.
type parser struct {
	*lines
	s      *Structure
	open   []entity
	bounds int // boundaries among them
	parts  int
	most   int // parts to be begun
	kept   int // octets of strings kept

	lf      int64 // line ends so far
	textEnd int64 // where the last line's text ends and its line end begins

	inHeader bool
	first    bool  // the header's first line is next
	guesses  int   // how often a missing blank line may still be looked for
	junk     int64 // where the lines at the header's end that are no fields begin; -1
	junkLF   int64

	byStretch bool     // stop where there is enough, instead of leaving something out
	paused    *stretch // where it stopped
}

// entity is an open part.
type entity struct {
	part     *Part
	envelope *Envelope // to be filled from the header; nil for a part of a multipart
	digest   bool      // the parent is a multipart/digest
	boundary []byte    // of a multipart whose end has not come
	lf       int64     // line ends before the body
}

// run reads all lines.
func (p *parser) run() {
	for p.inHeader || p.bounds > 0 {
		if line, start, end, ok := p.next(); ok {
			p.line(line, start, end)
		} else if p.inHeader && p.junk >= 0 && p.err == nil {
			p.rewind()
		} else {
			break
		}
	}
	if p.paused != nil {
		return
	}
	p.lf += p.rest()
	if p.err == nil {
		p.closeAbove(-1, p.size, 0)
	}
}

func (p *parser) line(line []byte, start, end int64) {
	if len(line) > 2 && line[0] == '-' && line[1] == '-' && p.delimiter(line, start, end) {
		return
	}
	if p.inHeader && !p.headerLine(line, start, end) {
		return // read again, as body
	}
	p.pass(line, end)
}

// pass counts a line and remembers where its text ends.
func (p *parser) pass(line []byte, end int64) {
	p.textEnd = end
	if line[len(line)-1] != '\n' {
		return
	}
	p.lf++
	p.textEnd--
	if n := len(line); n > 1 && line[n-2] == '\r' {
		p.textEnd--
	}
}

// begin opens a part whose header starts at offset.
func (p *parser) begin(part *Part, env *Envelope, digest bool, offset int64) {
	p.parts++
	part.HeaderStart = offset
	p.open = append(p.open, entity{part: part, envelope: env, digest: digest})
	p.inHeader, p.first, p.guesses, p.junk = true, true, maxGuesses, -1
}

// headerLine takes a line of a header; false if it is not one and has to be read
// again. A header ends with its blank line; but lines before that which are
// neither fields nor continuations, with no field after them, are body already. So
// is all of a part of a multipart whose first line is no field.
func (p *parser) headerLine(line []byte, start, end int64) bool {
	first := p.first
	p.first = false
	switch {
	case isBlank(line):
		if p.junk < 0 {
			p.endHeader(end, p.lf+1)
			return true
		}
		p.rewind()
		return false
	case !first && isWSP(line[0]):
	case nameEnd(line) >= 0:
		p.junk = -1
	case first && isMboxLine(line):
	default:
		if p.junk < 0 {
			p.junk, p.junkLF = start, p.lf
		}
		part := p.open[len(p.open)-1].envelope == nil
		if first && part || p.guesses > 0 && bytes.HasPrefix(line, []byte("--")) && p.declares(line, start) {
			p.rewind()
			return false
		}
	}
	return true
}

// rewind ends the header where its trailing lines that are no fields begin.
func (p *parser) rewind() {
	p.lf = p.junkLF
	p.textEnd = p.junk
	p.seek(p.junk)
	p.endHeader(p.junk, p.lf)
}

// declares reports whether the header so far, up to offset, names the boundary
// that line is: then its blank line is missing.
func (p *parser) declares(line []byte, offset int64) bool {
	p.guesses--
	e := p.open[len(p.open)-1]
	saved := bytes.Clone(line)
	var part Part
	part.setType(p.bytes(e.part.HeaderStart, offset, maxHeader))
	b := boundary(&part)
	if b == nil {
		return false
	}
	ok, _ := isDelimiter(saved, b)
	return ok
}

// boundary is what the part's header names as such, nil where it names none.
func boundary(p *Part) []byte {
	b := strings.TrimRight(rawParam(p.Params, "boundary"), " \t")
	if b == "" || p.Type != "multipart" {
		return nil
	}
	return []byte(b)
}

// endHeader ends the header of the innermost part, whose body starts at offset
// with lf line ends before it.
func (p *parser) endHeader(offset, lf int64) {
	p.inHeader = false
	e := &p.open[len(p.open)-1]
	e.part.BodyStart, e.lf = offset, lf
	p.interpret(e)
	deeper := len(p.open) < maxDepth && (p.byStretch || p.parts < p.most)
	switch part := e.part; {
	case part.Type == "multipart":
		if b := boundary(part); b != nil && deeper {
			e.boundary = b
			p.bounds++
		} else {
			p.s.Truncated = p.s.Truncated || !deeper
			part.degrade("text", "plain")
		}
	case encodesMessage(part.Type, part.Subtype):
		if !identity(part.Encoding) || !deeper {
			p.s.Truncated = p.s.Truncated || !deeper
			part.degrade("application", "octet-stream")
			break
		}
		part.Message, part.Envelope = &Part{}, &Envelope{}
		p.begin(part.Message, part.Envelope, false, offset)
	}
}

// degrade makes a leaf of a part that cannot be taken apart. Of its parameters
// only the name, and the charset of a text, mean anything now.
func (p *Part) degrade(t, subtype string) {
	var kept []Param
	for _, param := range p.Params {
		switch strings.TrimSuffix(param.Name, "*") {
		case "name":
			kept = append(kept, param)
		case "charset":
			if t == "text" {
				kept = append(kept, param)
			}
		}
	}
	p.Type, p.Subtype, p.Params, p.Degraded = t, subtype, kept, true
}

// delimiter takes a line that begins with "--" and reports whether it is a
// boundary of an open multipart, the innermost first.
func (p *parser) delimiter(line []byte, start, end int64) bool {
	for i := len(p.open) - 1; i >= 0; i-- {
		e := &p.open[i]
		if e.boundary == nil {
			continue
		}
		ok, last := isDelimiter(line, e.boundary)
		if !ok {
			continue
		}
		if p.inHeader && p.junk >= 0 {
			p.rewind() // and come back here
			return true
		}
		switch {
		case last || !p.full():
		case p.byStretch:
			p.pause(i, start)
			return true
		default:
			p.truncate()
			return false
		}
		p.closeAbove(i, p.textEnd, 1)
		p.pass(line, end)
		if last {
			// What follows, up to a boundary further out, is the epilogue.
			p.forget(i)
			return true
		}
		child := &Part{}
		e.part.Children = append(e.part.Children, child)
		p.begin(child, nil, e.part.Subtype == "digest", end)
		return true
	}
	return false
}

// full reports whether no other part should be begun.
func (p *parser) full() bool { return p.parts >= p.most || p.byStretch && p.kept > maxKept }

// truncate lets the rest of the message be the part that is open.
func (p *parser) truncate() {
	p.s.Truncated = true
	for i := range p.open {
		p.forget(i)
	}
}

// forget takes the boundary from open[i].
func (p *parser) forget(i int) {
	if p.open[i].boundary != nil {
		p.open[i].boundary = nil
		p.bounds--
	}
}

// closeAbove closes the parts above open[level] at offset. lf is how many of the
// line ends counted lie at or behind offset: the one that belongs to a boundary. A
// part so empty that it begins behind that line end ends there, and so do those
// around it.
func (p *parser) closeAbove(level int, offset, lf int64) {
	for len(p.open)-1 > level {
		if p.inHeader {
			start := p.open[len(p.open)-1].part.HeaderStart
			p.endHeader(max(offset, start), p.lf)
			continue // the header may have opened a message
		}
		p.forget(len(p.open) - 1)
		e := p.open[len(p.open)-1]
		p.open = p.open[:len(p.open)-1]
		part := e.part
		if part.BodyStart > offset {
			offset, lf = part.BodyStart, 0
		}
		part.End = offset
		part.Lines = max(0, p.lf-lf-e.lf)
		if part.Type == "multipart" && len(part.Children) == 0 {
			part.degrade("text", "plain")
		}
	}
}

// isDelimiter reports whether line is "--" boundary, and whether "--" follows,
// which makes it the last (RFC 2046 §5.1.1).
func isDelimiter(line, boundary []byte) (ok, last bool) {
	rest, ok := bytes.CutPrefix(line[2:], boundary)
	if !ok {
		return false, false
	}
	rest = bytes.TrimRight(rest, " \t\r\n")
	return len(rest) == 0 || string(rest) == "--", len(rest) == 2
}

// interpret reads the innermost part's header.
func (p *parser) interpret(e *entity) {
	part := e.part
	if part.BodyStart-part.HeaderStart > maxHeader {
		p.s.Truncated = true
	}
	var seen mimeField
	var buf [maxFieldName]byte
	for f := range fields(p.bytes(part.HeaderStart, part.BodyStart, maxHeader)) {
		name := f.lowerName(&buf)
		if bytes.HasPrefix(name, []byte("content-")) {
			part.setField(name, f.value, &seen)
		} else if e.envelope != nil && !p.byStretch {
			e.envelope.setField(name, f.value)
			if e.envelope == p.s.Envelope && string(name) == "references" {
				p.s.References = appendIDs(p.s.References, string(f.value))
			}
		}
	}
	if part.Type == "" {
		part.Type, part.Subtype = "text", "plain"
		if e.digest {
			part.Type, part.Subtype = "message", "rfc822" // RFC 2046 §5.1.5
		}
	}
	if part.Encoding == "" {
		part.Encoding = "7bit" // RFC 2045 §6.1
	}
	if e.envelope != nil && !p.byStretch {
		e.envelope.finish()
	}
	p.keep(e)
}

// keep counts what the part's strings take and drops them above the limit.
func (p *parser) keep(e *entity) {
	p.kept += e.part.weight()
	if p.byStretch {
		return // what is kept ends with the stretch
	}
	if p.kept > maxKept {
		p.s.Truncated = true
		e.part.dropStrings()
	}
	if e.envelope != nil {
		p.kept += e.envelope.weight()
		if e.envelope == p.s.Envelope {
			for _, id := range p.s.References {
				p.kept += len(id) + 16
			}
		}
		if p.kept > maxKept {
			p.s.Truncated = true
			*e.envelope = Envelope{}
			if e.envelope == p.s.Envelope {
				p.s.References = nil
			}
		}
	}
}

// weight is about what the part's strings take in memory.
func (p *Part) weight() int {
	n := len(p.Type) + len(p.Subtype) + len(p.ID) + len(p.Description) + len(p.Encoding) +
		len(p.MD5) + len(p.Disposition) + len(p.Location)
	for _, params := range [][]Param{p.Params, p.DispositionParams} {
		for _, x := range params {
			n += len(x.Name) + len(x.Value) + 32
		}
	}
	for _, l := range p.Language {
		n += len(l) + 16
	}
	return n
}

// dropStrings keeps of a part's strings what its structure needs.
func (p *Part) dropStrings() {
	boundary := rawParam(p.Params, "boundary")
	*p = Part{HeaderStart: p.HeaderStart, BodyStart: p.BodyStart, Type: p.Type, Subtype: p.Subtype, Encoding: p.Encoding}
	if len(p.Type)+len(p.Subtype)+len(p.Encoding)+len(boundary) > 1024 {
		p.Type, p.Subtype, p.Encoding = "application", "octet-stream", "binary"
		return
	}
	if boundary != "" {
		p.Params = []Param{{"boundary", boundary}}
	}
}
