package wire

import (
	"math"
	"strings"
)

// maxPos caps what a literal adds to a position in an error.
const maxPos = math.MaxInt32

// parser reads the grammar of one command from its Reader's lines. The first
// error sticks; after it nothing is left to read, so that loops end.
type parser struct {
	r       *Reader
	tag     string
	command string
	pos     int // in r.line
	base    int // octets of the command before r.line
	depth   int

	message  bool // the announced literal is a message
	utf8Open bool // and the parenthesis of UTF8 (~{…}) is still open

	err error // *SyntaxError, or what broke the Reader
}

// Next reads the next command. A *SyntaxError concerns one command: answer it,
// and go on. Any other error is final. What is left of the command before is
// discarded first: an APPEND whose message was not taken is refused that way.
func (r *Reader) Next() (Request, error) {
	for {
		if err := r.finish(); err != nil {
			return Request{}, err
		}
		r.startCommand()
		if err := r.readLine(); err != nil {
			return Request{}, err
		}
		if len(r.line) > 0 || r.tooBig || r.lit.announced {
			break
		}
	}
	r.cmd = parser{r: r}
	p := &r.cmd
	p.startLine()
	command := p.request()
	if err := p.result(); err != nil {
		return Request{}, err
	}
	return Request{Tag: p.tag, Command: command}, nil
}

// startLine begins at the line that was just read.
func (p *parser) startLine() {
	p.pos = 0
	switch r := p.r; {
	case r.tooBig:
		if p.tag == "" {
			p.tag = r.lost
		}
		p.refused("", ErrTooBig)
	case r.bad != "":
		if p.tag == "" {
			p.tag = leadingTag(r.line)
		}
		p.expected(r.bad)
	}
}

// leadingTag is the tag at the start of a line, or "".
func leadingTag(line []byte) string {
	n := 0
	for n < len(line) && isTag(line[n]) {
		n++
	}
	if n == len(line) || line[n] != ' ' {
		return ""
	}
	return string(line[:n])
}

// result is the parser's error as Next returns it.
func (p *parser) result() error {
	if p.err != nil {
		p.message = false
	}
	return p.err
}

// request reads the tag and the command.
func (p *parser) request() Command {
	tag := p.span(isTag, "a tag")
	if p.err == nil && (p.peek() == ' ' || p.atEnd()) {
		p.tag = tag
	}
	p.sp()
	return p.any()
}

// expected fails for text that is not in the grammar.
func (p *parser) expected(what string) { p.refused(what, nil) }

// refused fails with a cause. Only the first failure counts.
func (p *parser) refused(what string, cause error) {
	if p.err == nil {
		p.err = &SyntaxError{Tag: p.tag, Command: p.command, Pos: p.base + p.pos, Expected: what, Err: cause}
	}
}

// peek is the next octet of the line; 0, which no line has, at its end or after
// an error.
func (p *parser) peek() byte {
	if p.err != nil || p.pos >= len(p.r.line) {
		return 0
	}
	return p.r.line[p.pos]
}

// rest is what is left of the line; nothing after an error.
func (p *parser) rest() []byte {
	if p.err != nil {
		return nil
	}
	return p.r.line[p.pos:]
}

// take reads c if it is next.
func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) must(c byte, what string) {
	if !p.take(c) {
		p.expected(what)
	}
}

func (p *parser) sp() { p.must(' ', "SP") }

// atLiteral reports whether a literal is next.
func (p *parser) atLiteral() bool {
	return p.err == nil && p.pos == len(p.r.line) && p.r.lit.announced
}

// atEnd reports whether the command is read to its end, or to one space before.
func (p *parser) atEnd() bool {
	return len(p.rest()) == 0 && !p.r.lit.announced
}

// more reads the SP before another argument, if there is one.
func (p *parser) more() bool {
	if rest := p.rest(); len(rest) == 0 || rest[0] != ' ' || len(rest) == 1 && !p.r.lit.announced {
		return false
	}
	p.pos++
	return true
}

// end requires the end of the command; one space before it is let pass.
func (p *parser) end() {
	if len(p.rest()) == 1 {
		p.take(' ')
	}
	if !p.atEnd() {
		p.expected("the end of the command")
	}
}

// span reads the longest run of octets that are in class; at least one.
func (p *parser) span(class func(byte) bool, what string) string {
	rest := p.rest()
	n := 0
	for n < len(rest) && class(rest[n]) {
		n++
	}
	if n == 0 {
		p.expected(what)
		return ""
	}
	p.pos += n
	return string(rest[:n])
}

// label reads an atom as a name, in capitals.
func (p *parser) label(what string) string {
	return strings.ToUpper(p.span(isAtom, what))
}

// list reads "(" item *(SP item) ")".
func (p *parser) list(what string, item func()) {
	p.must('(', what)
	for p.err == nil {
		item()
		if p.take(')') {
			return
		}
		p.sp()
	}
}

// optionalList is list, with nothing between the parentheses allowed.
func (p *parser) optionalList(what string, item func()) {
	if rest := p.rest(); len(rest) > 1 && rest[0] == '(' && rest[1] == ')' {
		p.pos += 2
		return
	}
	p.list(what, item)
}

// nested runs read one level deeper.
func (p *parser) nested(read func()) {
	if p.depth++; p.depth > p.r.opt.Depth {
		p.refused("", ErrTooDeep)
	}
	if p.err == nil {
		read()
	}
	p.depth--
}

// keyword takes a name that is next, in any case, and is a whole atom.
func (p *parser) keyword(name string) bool {
	rest := p.rest()
	if len(rest) < len(name) || !strings.EqualFold(string(rest[:len(name)]), name) ||
		len(rest) > len(name) && isAtom(rest[len(name)]) {
		return false
	}
	p.pos += len(name)
	return true
}
