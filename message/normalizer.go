package message

import (
	"strings"
	"unicode/utf8"

	"teraslot/text"
)

// normalizer folds and spaces text that comes in pieces: the same as
// text.Normalize of the whole, since a fold looks at no neighbours, without a
// second copy of it.
type normalizer struct {
	x     *extractor
	out   strings.Builder
	whole bool // it is handed on by whoever makes it
}

// add takes a piece that ends with a whole UTF-8 sequence, unless no more is wanted.
func (n *normalizer) add(s string) {
	if n.x.written {
		n.out.WriteString(s)
		return
	}
	for len(s) > 0 && !n.x.over() {
		cut := len(s)
		if cut > piece {
			for cut = piece; cut > 0 && !utf8.RuneStart(s[cut]); cut-- {
			}
		}
		folded := text.Normalize(s[:cut])
		if s = s[cut:]; n.out.Len() > 0 && n.spaced() {
			folded = strings.TrimPrefix(folded, " ")
		}
		if !n.x.fits(len(folded)) {
			return
		}
		n.out.WriteString(folded)
		n.handOn()
	}
}

// spaced reports whether the text so far ends with a space.
func (n *normalizer) spaced() bool { return strings.HasSuffix(n.out.String(), " ") }

// close hands on the unit, or what is left of it.
func (n *normalizer) close() { n.x.unit(text.Unit{Kind: text.Body, Text: n.out.String()}) }

// How large units are handed on in pieces.
const (
	wholeUnit = 4 << 20  // octets of a unit that is handed on as it is
	wordRoom  = 64 << 10 // octets in which a space is looked for to cut at
)

// handOn hands on what there is if it is much, and keeps the overlap.
func (n *normalizer) handOn() {
	if n.x.pieces == 0 || n.whole || n.out.Len() < max(n.x.pieces, 4*n.x.overlap) {
		return
	}
	s := n.out.String()
	end := cutBefore(s, len(s))
	from := cutBefore(s, max(0, end-n.x.overlap))
	n.x.unit(text.Unit{Kind: text.Body, Text: s[:end]})
	n.out = strings.Builder{}
	n.out.WriteString(s[from:])
}

// cutBefore is the last place up to at that lies before a space, or else at a code
// point's beginning.
func cutBefore(s string, at int) int {
	if i := strings.LastIndexByte(s[max(0, at-wordRoom):at], ' '); i >= 0 {
		return max(0, at-wordRoom) + i
	}
	for at > 0 && at < len(s) && !utf8.RuneStart(s[at]) {
		at--
	}
	return at
}
