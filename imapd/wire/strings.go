package wire

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// astring reads astring.
func (p *parser) astring() string {
	if c := p.peek(); c == '"' || c == 0 && p.atLiteral() {
		return p.string()
	}
	return p.span(isAString, "an atom or a string")
}

// string reads string: quoted, or a literal that is no literal8.
func (p *parser) string() string {
	if p.atLiteral() {
		return string(p.literal(false))
	}
	return p.quoted()
}

// quoted reads quoted. "\" is for "\" and DQUOTE only.
func (p *parser) quoted() string {
	p.must('"', "a string")
	rest := p.rest()
	n := 0
	for n < len(rest) && isText(rest[n]) {
		n++
	}
	if n < len(rest) && rest[n] == '"' {
		p.pos += n + 1
		return string(rest[:n])
	}
	return p.escaped(rest)
}

// escaped reads on from within a quoted string that has a "\".
func (p *parser) escaped(rest []byte) string {
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			p.pos += i + 1
			return b.String()
		case c == '\\' && i+1 < len(rest) && (rest[i+1] == '"' || rest[i+1] == '\\'):
			i++
			b.WriteByte(rest[i])
		case isText(c):
			b.WriteByte(c)
		default:
			p.pos += i
			p.expected(`\" or \\`)
			return ""
		}
	}
	p.pos += len(rest)
	p.expected("the end of a quoted string")
	return ""
}

// literal reads a literal as an argument; literal8 only if binary is set.
func (p *parser) literal(binary bool) []byte {
	l := p.r.lit.Literal
	if l.Binary && !binary {
		p.expected("a literal without ~")
		return nil
	}
	before := len(p.r.line)
	data, refused, err := p.r.argument(p.tag, p.command)
	if refused != nil {
		p.refused("", refused)
		return nil
	}
	if err != nil {
		p.err = err
		return nil
	}
	if !l.Binary && strings.IndexByte(string(data), 0) >= 0 {
		p.expected("no NUL in a literal")
		return nil
	}
	p.base += before + len(data)
	p.startLine()
	return data
}

// isNil takes NIL if it is next.
func (p *parser) isNil() bool {
	rest := p.rest()
	if len(rest) < 3 || !strings.EqualFold(string(rest[:3]), "NIL") || len(rest) > 3 && isAString(rest[3]) {
		return false
	}
	p.pos += 3
	return true
}

// nstring reads nstring; nil is NIL.
func (p *parser) nstring() *string {
	if p.isNil() {
		return nil
	}
	s := p.string()
	return &s
}

// mailbox reads a mailbox name and gives it in UTF-8.
func (p *parser) mailbox() string {
	at := p.pos
	return p.name(p.astring(), at)
}

// pattern reads list-mailbox: a name with wildcards.
func (p *parser) pattern() string {
	at := p.pos
	if c := p.peek(); c == '"' || c == 0 && p.atLiteral() {
		return p.name(p.string(), at)
	}
	return p.name(p.span(isPattern, "a mailbox pattern"), at)
}

// name decodes the name that began at position at. A client that has not enabled
// UTF-8 and sends it all the same is understood: modified UTF-7 has no octet
// above 127.
func (p *parser) name(s string, at int) string {
	if p.r.utf8 || !isASCII(s) {
		if !utf8.ValidString(s) {
			p.pos = min(at, p.pos)
			p.expected("a mailbox name in UTF-8")
		}
		return s
	}
	name, ok := DecodeUTF7(s)
	if !ok {
		p.pos = min(at, p.pos)
		p.expected("a mailbox name in modified UTF-7")
	}
	return name
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// base64 reads base64; "=" stands for none (RFC 4959).
func (p *parser) base64() []byte {
	text := p.span(isAString, "base64")
	if text == "=" {
		return []byte{}
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		p.expected("base64")
	}
	return data
}

// flag reads a flag or keyword, \Recent and other unknown flags too: what to
// make of them is not for the codec to say.
func (p *parser) flag() string {
	if p.take('\\') {
		return `\` + p.span(isFlag, "a flag")
	}
	return p.span(isFlag, "a flag")
}

// flags reads flag-list.
func (p *parser) flags() []string {
	flags := []string{}
	p.optionalList("a list of flags", func() { flags = append(flags, p.flag()) })
	return flags
}
