package message

import "strings"

// AddressKind tells an address from the brackets of a group.
type AddressKind uint8

// The kinds of addresses. ENVELOPE shows a group as its start, its members and
// its end (RFC 9051 §7.5.2): (NIL NIL name NIL) … (NIL NIL NIL NIL).
const (
	Mailbox    AddressKind = iota
	GroupStart             // Mailbox is the group's name
	GroupEnd               // all strings are empty
)

// Address is one address of a header field, or the start or end of a group.
// Strings are as the message has them, without quoting; encoded words are not
// decoded.
type Address struct {
	Kind    AddressKind
	Name    string // display name, or a comment in its place; "" where none
	Route   string // at-domain-list (RFC 5322 §4.4), such as "@a,@b"; nearly always ""
	Mailbox string // local part
	Host    string // "" where the address has no domain: not NIL, which is a group's
}

// maxAddresses is how many addresses of one field occurrence are looked at.
const maxAddresses = 50_000

// ParseAddresses reads an address list (RFC 5322 §3.4, obsolete forms included)
// from an unfolded field value. What is no address is made the most of: a text
// without "@" becomes a local part without a host.
func ParseAddresses(value string) []Address {
	p := addressParser{scanner: scanner{b: []byte(value)}}
	for !p.done() && len(p.list) < maxAddresses {
		p.element()
	}
	if p.group {
		p.list = append(p.list, Address{Kind: GroupEnd})
	}
	return p.list
}

// addressParser collects the words of an element until what follows says what
// they were.
type addressParser struct {
	scanner
	list    []Address
	group   bool
	words   []word
	comment string // the last one
}

// word is an atom, a quoted string, or one of the specials "@" and ".".
type word struct {
	text   string
	quoted bool
	spaced bool // white space comes before it
}

// element reads up to the end of an address, a group's start or a group's end.
func (p *addressParser) element() {
	p.words, p.comment = p.words[:0], ""
	for {
		spaced := p.gap()
		if p.done() {
			p.bare()
			return
		}
		switch c := p.b[p.i]; c {
		case ',':
			p.i++
			p.bare()
			return
		case ';':
			p.i++
			p.bare()
			p.endGroup()
			return
		case ':':
			p.i++
			if p.startGroup() {
				return
			}
		case '<':
			p.angle()
			return
		case '"':
			p.word(word{string(p.quoted()), true, spaced})
		default:
			p.word(word{p.atom(c), false, spaced})
		}
	}
}

// maxWords is how many words of one address are kept: a hostile field has
// millions.
const maxWords = 1000

func (p *addressParser) word(w word) {
	if len(p.words) < maxWords {
		p.words = append(p.words, w)
	}
}

// gap passes white space and comments, keeping the last comment.
func (p *addressParser) gap() bool {
	start := p.i
	for !p.done() {
		switch c := p.b[p.i]; {
		case c <= ' ':
			p.i++
		case c == '(':
			p.comment = strings.TrimSpace(string(unquote(p.scanner.comment())))
		default:
			return p.i > start
		}
	}
	return p.i > start
}

// atom is a run up to what has a meaning in an address, or that alone. The
// brackets of a domain literal hold everything.
func (p *addressParser) atom(c byte) string {
	start := p.i
	p.i++
	switch c {
	case '@':
		return "@"
	case '[':
		for !p.done() && p.b[p.i] != ']' && p.b[p.i] != '>' && p.b[p.i] != ',' {
			p.i++
		}
		if !p.done() && p.b[p.i] == ']' {
			p.i++
		}
		return string(p.b[start:p.i])
	}
	for !p.done() && p.b[p.i] > ' ' && strings.IndexByte(`@,;:<>"(`, p.b[p.i]) < 0 {
		p.i++
	}
	return string(p.b[start:p.i])
}

// bare ends an element without angle brackets: an addr-spec, or a word.
func (p *addressParser) bare() {
	if len(p.words) == 0 {
		return
	}
	a := spec(p.words)
	a.Name = p.comment
	p.add(a)
}

// add adds an address, unless there is nothing in it.
func (p *addressParser) add(a Address) {
	if a != (Address{}) {
		p.list = append(p.list, a)
	}
}

// startGroup takes the words for a group's name. A colon inside an address, or
// inside a group, has no meaning.
func (p *addressParser) startGroup() bool {
	if p.group || len(p.words) == 0 || hasAt(p.words) {
		return false
	}
	p.list = append(p.list, Address{Kind: GroupStart, Mailbox: phrase(p.words)})
	p.group = true
	return true
}

func (p *addressParser) endGroup() {
	if p.group {
		p.list = append(p.list, Address{Kind: GroupEnd})
		p.group = false
	}
}

// angle reads <route:local@domain> and what may follow it before the next
// comma: a comment that is the name, or rubbish. A "<" there is the next address,
// whose comma is missing.
func (p *addressParser) angle() {
	name := phrase(p.words)
	p.i++
	route := p.route()
	p.words = p.words[:0]
	p.inBrackets()
	a := spec(p.words)
	a.Route = route
	for p.gap(); !p.done() && strings.IndexByte(",;<", p.b[p.i]) < 0; p.gap() {
		if p.b[p.i] == '"' {
			p.quoted()
		} else {
			p.i++
		}
	}
	if !p.done() && p.b[p.i] == ',' {
		p.i++
	}
	if a.Name = name; name == "" {
		a.Name = p.comment
	}
	p.add(a)
}

// inBrackets collects words up to ">", or to a comma that shows it missing.
func (p *addressParser) inBrackets() {
	for {
		spaced := p.gap()
		if p.done() || p.b[p.i] == ',' && hasAt(p.words) {
			return
		}
		switch c := p.b[p.i]; c {
		case '>':
			p.i++
			return
		case '"':
			p.word(word{string(p.quoted()), true, spaced})
		case '<':
			p.i++
		default:
			p.word(word{p.atom(c), false, spaced})
		}
	}
}

// route reads an at-domain-list and its colon.
func (p *addressParser) route() string {
	p.gap()
	if p.done() || p.b[p.i] != '@' {
		return ""
	}
	start := p.i
	for i := start; i < len(p.b) && p.b[i] != '>' && p.b[i] != '<'; i++ {
		if p.b[i] == ':' {
			p.i = i + 1
			return strings.Join(strings.Fields(string(p.b[start:i])), "")
		}
	}
	return ""
}

func hasAt(words []word) bool {
	for _, w := range words {
		if w.text == "@" && !w.quoted {
			return true
		}
	}
	return false
}

// phrase joins words to a display name.
func phrase(words []word) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 && w.spaced {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// spec is the address that words spell: local part and domain are divided by
// the last "@", and white space in them means nothing (RFC 5322 §4.4) unless
// there is no "@".
func spec(words []word) Address {
	at := -1
	for i, w := range words {
		if w.text == "@" && !w.quoted {
			at = i
		}
	}
	if at < 0 {
		return Address{Mailbox: phrase(words)}
	}
	return Address{Mailbox: concat(words[:at]), Host: concat(words[at+1:])}
}

func concat(words []word) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(w.text)
	}
	return b.String()
}
