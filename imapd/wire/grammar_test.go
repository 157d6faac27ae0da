package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// responses recognizes the responses of a server by the formal syntax of RFC 9051 §9, with RFC
// 3501's RECENT, SEARCH and LSUB. It shares nothing with the Writer: it is written after the
// RFC's rules, each method named after its rule, and takes a response as octets.
type responses struct {
	text string
	at   int
	rev1 bool // quoted strings are ASCII alone
}

// wrongAt is what a rule panics with, which check returns.
type wrongAt struct {
	at   int
	want string
}

// check returns what is wrong with responses, of which there may be several.
func check(text string, rev1 bool) (err error) {
	g := &responses{text: text, rev1: rev1}
	defer func() {
		if w, ok := recover().(wrongAt); ok {
			err = fmt.Errorf("at octet %d, %.40q: not %s, in %.200q", w.at, g.text[w.at:], w.want, g.text)
		}
	}()
	for g.at < len(g.text) {
		g.response()
	}
	return nil
}

func (g *responses) wrong(want string) { panic(wrongAt{g.at, want}) }

func (g *responses) rest() string { return g.text[g.at:] }

func (g *responses) is(s string) bool { return strings.HasPrefix(g.rest(), s) }

func (g *responses) took(s string) bool {
	if !g.is(s) {
		return false
	}
	g.at += len(s)
	return true
}

func (g *responses) must(s string) {
	if !g.took(s) {
		g.wrong(fmt.Sprintf("%q", s))
	}
}

// span takes at least least octets that may stand.
func (g *responses) span(what string, least int, may func(byte) bool) string {
	from := g.at
	for g.at < len(g.text) && may(g.text[g.at]) {
		g.at++
	}
	if g.at-from < least {
		g.wrong(what)
	}
	return g.text[from:g.at]
}

func atomChar(c byte) bool { return c > ' ' && c < 127 && !strings.ContainsRune(`(){%*"\]`, rune(c)) }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func (g *responses) atom() string { return g.span("atom", 1, atomChar) }

func (g *responses) number() {
	if n := g.span("number", 1, digit); len(n) > 19 {
		g.wrong("number64")
	}
}

func (g *responses) nzNumber() {
	if g.is("0") {
		g.wrong("nz-number")
	}
	g.number()
}

// modSeq is mod-sequence-value: 63 bits, and not 0 (RFC 7162 §7).
func (g *responses) modSeq() {
	from := g.at
	if n, err := strconv.ParseUint(g.span("a mod-sequence", 1, digit), 10, 63); err != nil || n == 0 {
		g.at = from
		g.wrong("a mod-sequence")
	}
}

func (g *responses) quoted() {
	g.must(`"`)
	for !g.took(`"`) {
		r, size := utf8.DecodeRuneInString(g.rest())
		switch {
		case g.took(`\"`), g.took(`\\`):
		case size == 0, r == 0, r == '\r', r == '\n', r == '\\', r == utf8.RuneError && size == 1, g.rev1 && r > 127:
			g.wrong("QUOTED-CHAR")
		default:
			g.at += size
		}
	}
}

func (g *responses) literal(binary bool) {
	if binary {
		g.must("~")
	}
	g.must("{")
	size := 0
	for _, c := range g.span("number64", 1, digit) {
		size = size*10 + int(c-'0')
	}
	g.must("}\r\n")
	if size > len(g.rest()) {
		g.wrong("so many octets")
	}
	if i := strings.IndexByte(g.rest()[:size], 0); i >= 0 && !binary {
		g.wrong("CHAR8")
	}
	g.at += size
}

func (g *responses) str() {
	if g.is("{") {
		g.literal(false)
		return
	}
	g.quoted()
}

func (g *responses) nstring() {
	if !g.took("NIL") {
		g.str()
	}
}

func (g *responses) astring() {
	if g.is(`"`) || g.is("{") {
		g.str()
		return
	}
	g.span("astring", 1, func(c byte) bool { return atomChar(c) || c == ']' })
}

// mailbox is an astring that is not NIL, which clients take for none.
func (g *responses) mailbox() {
	from := g.at
	g.astring()
	if strings.EqualFold(g.text[from:g.at], "NIL") {
		g.wrong("mailbox")
	}
}

// list is "(" [item *(SP item)] ")", with at least one if least is 1.
func (g *responses) list(least int, item func()) {
	g.must("(")
	if least == 0 && g.took(")") {
		return
	}
	for {
		item()
		if g.took(")") {
			return
		}
		g.must(" ")
	}
}

func (g *responses) orNil(item func()) {
	if !g.took("NIL") {
		item()
	}
}

// flag is flag-fetch with keywords as they are in use: "]" in them, too.
func (g *responses) flag() {
	g.took(`\`)
	g.span("flag", 1, func(c byte) bool { return atomChar(c) || c == ']' })
}

func (g *responses) sequenceSet() {
	for {
		g.nzNumber()
		if g.took(":") {
			g.nzNumber()
		}
		if !g.took(",") {
			return
		}
	}
}

// dateTime is date-time, of a calendar that is checked elsewhere.
func (g *responses) dateTime() {
	for _, c := range `"_9-Aaa-9999 99:99:99 +9999"` {
		ok := g.at < len(g.text)
		if ok {
			have := g.text[g.at]
			switch c {
			case '_':
				ok = digit(have) || have == ' '
			case '9':
				ok = digit(have)
			case 'A':
				ok = 'A' <= have && have <= 'Z'
			case 'a':
				ok = 'a' <= have && have <= 'z'
			case '+':
				ok = have == '+' || have == '-'
			default:
				ok = have == byte(c)
			}
		}
		if !ok {
			g.wrong("date-time")
		}
		g.at++
	}
}

func (g *responses) response() {
	switch {
	case g.took("+ "): // continue-req: text may be nothing, as base64 of nothing is
		g.span("text", 0, textChar)
	case g.took("* "):
		g.data()
	default:
		g.span("tag", 1, func(c byte) bool { return (atomChar(c) || c == ']') && c != '+' })
		g.must(" ")
		g.status("OK ", "NO ", "BAD ")
	}
	g.must("\r\n")
}

func textChar(c byte) bool { return c != 0 && c != '\r' && c != '\n' }

// status is resp-cond-state, -auth or -bye: its name was not read yet.
func (g *responses) status(names ...string) {
	for _, name := range names {
		if g.took(name) {
			g.respText()
			return
		}
	}
	g.wrong("a status")
}

func (g *responses) respText() {
	if g.took("[") {
		g.code()
		g.must("] ")
	}
	from := g.at
	g.span("text", 1, textChar)
	if text := g.text[from:g.at]; !utf8.ValidString(text) || g.rev1 && strings.ContainsFunc(text, func(r rune) bool { return r > 127 }) {
		g.at = from
		g.wrong("text")
	}
}

// code is resp-text-code; of those with mod-sequences and sets the rest too (RFC 7162 §7).
func (g *responses) code() {
	switch {
	case g.took("HIGHESTMODSEQ"):
		g.must(" ")
		g.modSeq()
	case g.took("MODIFIED"):
		g.must(" ")
		g.sequenceSet()
	default:
		g.span("resp-text-code", 1, func(c byte) bool { return c >= ' ' && c < 127 && c != ']' })
	}
}

// data is what stands behind "* ".
func (g *responses) data() {
	if g.at < len(g.text) && digit(g.text[g.at]) {
		g.messageData()
		return
	}
	from := g.at
	switch name := g.span("a response", 1, atomChar); name {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		g.at = from
		g.status("OK ", "NO ", "BAD ", "BYE ", "PREAUTH ")
	case "CAPABILITY", "ENABLED":
		for g.took(" ") {
			g.atom()
		}
	case "SEARCH", "SORT":
		for n := 0; g.took(" "); n++ {
			if n > 0 && g.took("(MODSEQ ") { // search-sort-mod-seq is the last (RFC 7162 §7)
				g.modSeq()
				g.must(")")
				return
			}
			g.nzNumber()
		}
	default:
		g.must(" ")
		g.mailboxData(name)
	}
}

func (g *responses) mailboxData(name string) {
	switch name {
	case "FLAGS":
		g.list(0, g.flag)
	case "LIST", "LSUB":
		g.mailboxList()
	case "STATUS":
		g.mailbox()
		g.must(" ")
		g.list(0, func() { g.atom(); g.must(" "); g.number() })
	case "ESEARCH":
		g.esearch()
	case "VANISHED": // RFC 7162 §7, expunged-resp
		g.took("(EARLIER) ")
		g.sequenceSet()
	case "NAMESPACE":
		for i := range 3 {
			if i > 0 {
				g.must(" ")
			}
			g.orNil(g.namespace)
		}
	case "ID":
		g.orNil(func() { g.list(0, func() { g.str(); g.must(" "); g.nstring() }) })
	default:
		g.wrong("a response that is known")
	}
}

func (g *responses) mailboxList() {
	g.list(0, func() { g.must(`\`); g.atom() })
	g.must(" ")
	g.orNil(g.quoted)
	g.must(" ")
	g.mailbox()
	if !g.took(" ") {
		return
	}
	g.list(0, func() {
		g.astring()
		g.must(" ")
		g.list(1, g.astring) // the values that these have: tagged-ext-comp in parentheses
	})
}

func (g *responses) namespace() {
	g.must("(")
	for !g.took(")") {
		g.must("(")
		g.str()
		g.must(" ")
		g.orNil(g.quoted)
		g.must(")")
	}
}

func (g *responses) esearch() {
	// "* ESEARCH" has been read with a space: there is a correlator here always.
	g.must("(TAG ")
	g.str()
	if g.took(" MAILBOX ") {
		g.mailbox()
		g.must(" UIDVALIDITY ")
		g.nzNumber()
	}
	g.must(")")
	g.took(" UID")
	for g.took(" ") {
		switch name := g.atom(); name {
		case "MIN", "MAX":
			g.must(" ")
			g.nzNumber()
		case "COUNT":
			g.must(" ")
			g.number()
		case "ALL":
			g.must(" ")
			g.sequenceSet()
		case "MODSEQ":
			g.must(" ")
			g.modSeq()
		case "RELEVANCY":
			g.must(" ")
			g.list(1, g.nzNumber)
		default:
			g.wrong("search-return-data")
		}
	}
}

func (g *responses) messageData() {
	from := g.at
	g.number()
	switch {
	case g.took(" EXISTS"), g.took(" RECENT"):
	case g.took(" EXPUNGE"):
		g.notZero(from)
	case g.took(" FETCH "):
		g.notZero(from)
		g.list(1, g.fetchItem)
	default:
		g.wrong("EXISTS, RECENT, EXPUNGE or FETCH")
	}
}

func (g *responses) notZero(from int) {
	if g.text[from] == '0' {
		g.at = from
		g.wrong("nz-number")
	}
}

func (g *responses) fetchItem() {
	switch name := g.span("a fetch item", 1, func(c byte) bool { return 'A' <= c && c <= 'Z' || digit(c) || c == '.' }); name {
	case "BODY", "BINARY", "BINARY.SIZE":
		if g.is("[") {
			g.section(name)
			return
		}
		g.must(" ")
		g.structure(func(c *checker) { c.body(false) })
	case "BODYSTRUCTURE":
		g.must(" ")
		g.structure(func(c *checker) { c.body(true) })
	case "FLAGS":
		g.must(" ")
		g.list(0, g.flag)
	case "UID":
		g.must(" ")
		g.nzNumber()
	case "RFC822.SIZE":
		g.must(" ")
		g.number()
	case "MODSEQ":
		g.must(" (")
		g.modSeq()
		g.must(")")
	case "INTERNALDATE":
		g.must(" ")
		g.dateTime()
	case "ENVELOPE":
		g.must(" ")
		g.structure((*checker).envelope)
	case "RFC822", "RFC822.HEADER", "RFC822.TEXT":
		g.must(" ")
		g.nstring()
	default:
		g.wrong("a fetch item")
	}
}

// section is what stands behind BODY, BINARY or BINARY.SIZE.
func (g *responses) section(name string) {
	g.must("[")
	for g.at < len(g.text) && digit(g.text[g.at]) {
		g.nzNumber()
		if !g.took(".") {
			break
		}
	}
	if !g.is("]") {
		if name != "BODY" {
			g.wrong("section-binary")
		}
		text := g.span("section-text", 1, func(c byte) bool { return 'A' <= c && c <= 'Z' || c == '.' })
		switch text {
		case "HEADER", "TEXT", "MIME":
		case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
			g.must(" ")
			g.list(1, g.astring)
		default:
			g.wrong("section-text")
		}
	}
	g.must("]")
	if g.took("<") {
		g.number()
		g.must(">")
	}
	g.must(" ")
	switch {
	case name == "BINARY.SIZE":
		g.number()
	case name == "BINARY" && g.is("~"):
		g.literal(true)
	default:
		g.nstring()
	}
}

// structure lets the checker of envelopes and bodies, by RFC 9051 §9 too, take its part.
func (g *responses) structure(rule func(*checker)) {
	c := &checker{s: g.rest(), utf8: !g.rev1}
	rule(c)
	took := g.rest()[:len(g.rest())-len(c.s)]
	g.at += len(took)
	if c.err != nil {
		g.wrong(c.err.Error())
	}
	// What is said as quoted UTF-8 has to be that; octets of other kinds come in literals.
	inner := &responses{text: took}
	for inner.at < len(took) {
		switch {
		case inner.is(`"`), inner.is("{"):
			inner.str()
		default:
			inner.at++
		}
	}
}
