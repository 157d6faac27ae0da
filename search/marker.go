package search

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"teraslot/text"
)

// mark is a stretch of a text that matches. what numbers that of the query which it
// matches: two marks of one number say less than two of two.
type mark struct{ from, to, what int }

// marker finds what of a text matches the text keys of a query. It is for one goroutine.
type marker struct {
	exact []text.Key
	fuzzy []*fuzzyKey
	// known are, by fuzzy key, the words that the tokens met so far are like, or -1:
	// the results of a search share most of their words.
	known []map[string]int
	text  folded // of the unit at hand
}

// maxKnown bounds the tokens that a marker remembers for a key.
const maxKnown = 20_000

// newMarker collects the keys under no NOT.
func newMarker(root node) *marker {
	m := &marker{}
	m.collect(root)
	return m
}

func (m *marker) collect(n node) {
	switch n := n.(type) {
	case andNode:
		for _, kid := range n {
			m.collect(kid)
		}
	case orNode:
		for _, kid := range n {
			m.collect(kid)
		}
	case textKey:
		if n.key.Pattern != "" && n.key.Pattern != " " {
			m.exact = append(m.exact, n.key)
		}
	case *fuzzyKey:
		m.fuzzy = append(m.fuzzy, n)
		m.known = append(m.known, map[string]int{})
	}
}

// marks returns what of s, a unit's text as it is written, matches: in order, and
// no two overlap.
func (m *marker) marks(u text.Unit, s string) []mark {
	f := &m.text
	f.fold(s)
	var out []mark
	number := 0
	for _, k := range m.exact {
		if looksAtUnit(k, u) {
			out = f.occurrences(out, strings.Trim(k.Pattern, " "), number)
		}
		number++
	}
	for i, k := range m.fuzzy {
		// What the key reads of the unit was given by the caller already.
		if _, _, ok := k.looksAt(u); ok {
			if len(m.known[i]) > maxKnown {
				clear(m.known[i])
			}
			out = f.terms(out, k, number, m.known[i])
		}
		number += len(k.words)
	}
	slices.SortFunc(out, func(a, b mark) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	return apart(out)
}

// looksAtUnit reports whether an exact key may match in a unit.
func looksAtUnit(k text.Key, u text.Unit) bool {
	switch k.Scope {
	case text.InText:
		return true
	case text.InBody:
		return u.Kind == text.Body
	}
	return u.Kind == text.Header && u.Name == k.Name
}

// apart joins marks that overlap.
func apart(marks []mark) []mark {
	out := marks[:0]
	for _, m := range marks {
		if n := len(out); n > 0 && m.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, m.to)
			continue
		}
		out = append(out, m)
	}
	return out
}

// folded is a text folded and spaced, that knows where each octet comes from. Its memory
// is used again for the next text.
type folded struct {
	written string
	text    []byte
	from    []int32 // by octet of text: where in written its code point begins
}

// fold takes a text and folds it as text.Normalize does.
func (f *folded) fold(s string) {
	f.written = s
	f.text, f.from = slices.Grow(f.text[:0], len(s)+len(s)/8), slices.Grow(f.from[:0], len(s)+len(s)/8)
	wasSpace := false
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i, wasSpace = f.foldASCII(i, wasSpace)
			continue
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		f.text, wasSpace = appendFolded(f.text, s[i:i+n], wasSpace)
		for len(f.from) < len(f.text) {
			f.from = append(f.from, int32(i))
		}
		i += n
	}
}

// foldASCII folds the characters from i on that are ASCII, and returns where they end and
// whether what is there now ends with a space.
func (f *folded) foldASCII(i int, wasSpace bool) (end int, space bool) {
	at := len(f.text)
	f.text, f.from = slices.Grow(f.text, len(f.written)-i), slices.Grow(f.from, len(f.written)-i)
	out, from := f.text[at:cap(f.text)], f.from[at:cap(f.from)]
	n := 0
	for ; i < len(f.written) && f.written[i] < utf8.RuneSelf; i++ {
		c := f.written[i]
		switch {
		case c == ' ' || c-'\t' <= '\r'-'\t':
			if wasSpace {
				continue
			}
			c, wasSpace = ' ', true
		case c-'a' <= 'z'-'a':
			c -= 'a' - 'A'
			fallthrough
		default:
			wasSpace = false
		}
		out[n], from[n] = c, int32(i)
		n++
	}
	f.text, f.from = f.text[:at+n], f.from[:at+n]
	return i, wasSpace
}

// appendFolded appends the fold of a code point, and returns whether it ends with a
// space; one comes after another only once.
func appendFolded(out []byte, c string, wasSpace bool) ([]byte, bool) {
	var buf [64]byte
	for rest := text.Fold(buf[:0], c); len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch space := unicode.IsSpace(r); {
		case !space:
			out, wasSpace = append(out, rest[:n]...), false
		case !wasSpace:
			out, wasSpace = append(out, ' '), true
		}
		rest = rest[n:]
	}
	return out, wasSpace
}

// mark is the stretch written that octets from up to to come from, with all marks
// that combine with its last character.
func (f *folded) mark(from, to, what int) mark {
	m := mark{int(f.from[from]), len(f.written), what}
	last := f.from[to-1]
	if _, n := utf8.DecodeRuneInString(f.written[last:]); n > 0 {
		m.to = int(last) + n
	}
	for m.to < len(f.written) {
		r, n := utf8.DecodeRuneInString(f.written[m.to:])
		if !unicode.IsMark(r) {
			break
		}
		m.to += n
	}
	return m
}

// occurrences appends where a folded pattern is.
func (f *folded) occurrences(out []mark, pattern string, what int) []mark {
	wanted := []byte(pattern)
	for at := 0; pattern != ""; {
		i := bytes.Index(f.text[at:], wanted)
		if i < 0 {
			break
		}
		out = append(out, f.mark(at+i, at+i+len(pattern), what))
		at += i + len(pattern)
	}
	return out
}

// terms appends where terms like the words of a fuzzy key are; the words are numbered
// from what on.
func (f *folded) terms(out []mark, k *fuzzyKey, what int, known map[string]int) []mark {
	if len(f.text) == 0 {
		return out
	}
	s := unsafe.String(unsafe.SliceData(f.text), len(f.text)) // nobody changes it while the tokens last
	for token := range text.Tokens(s) {
		if !k.first[token[0]] || !isWord(token) {
			continue
		}
		n, ok := known[token]
		if !ok {
			n = slices.IndexFunc(k.words, func(w *fuzzyWord) bool { return w.like(token).kind != unlike })
			known[strings.Clone(token)] = n
		}
		if n >= 0 {
			at := offsetIn(s, token)
			out = append(out, f.mark(at, at+len(token), what+n))
		}
	}
	return out
}

// offsetIn is where a part of s, that shares its memory, begins in it.
func offsetIn(s, part string) int {
	return int(uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(s))))
}
