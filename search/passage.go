package search

import (
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// passage returns the best stretch of a text, with its marks, in at most o.Bytes
// octets, and how much is marked there: more for marks of different things.
func passage(s string, marks []mark, o SnippetOptions) (out string, worth int) {
	p := passageOf{s: s, marks: marks, o: o}
	from, to := 0, 0
	if len(marks) > 0 {
		from, to, worth = p.densest()
	}
	from, to = p.widen(from, to)
	return p.render(from, to), worth
}

// passageOf is a text under the knife.
type passageOf struct {
	s     string
	marks []mark
	o     SnippetOptions
}

const ellipsis = "…"

// room is how many octets text and marks may take: an ellipsis may come at each end.
func (p *passageOf) room() int { return p.o.Bytes - 2*len(ellipsis) }

// densest is the stretch from one mark to another that has most different marks, then
// most of them, then is shortest, of those that there is room for. It may be empty.
func (p *passageOf) densest() (from, to, worth int) {
	gaps, signs := make([]int, len(p.marks)), len(p.o.Open)+len(p.o.Close)
	for i := 1; i < len(p.marks); i++ {
		gaps[i] = p.costOver(p.marks[i-1].to, p.marks[i].from, p.room())
	}
	var distinct []int
	for i, first := range p.marks {
		cost := 0
		distinct = distinct[:0]
		for j, m := range p.marks[i:] {
			if j > 0 {
				cost += gaps[i+j]
			}
			if cost += signs; cost > p.room() {
				break
			}
			if cost += p.cost(m.from, m.to); cost > p.room() {
				break
			}
			if !slices.Contains(distinct, m.what) {
				distinct = append(distinct, m.what)
			}
			if w := 1000*len(distinct) + min(j+1, 99); w > worth {
				from, to, worth = first.from, m.to, w
			}
		}
	}
	return from, to, worth
}

// cost is how many octets a stretch takes, without marks.
func (p *passageOf) cost(from, to int) int { return p.costOver(from, to, math.MaxInt) }

// costOver is cost, but no more of a stretch is counted than makes it more than most.
func (p *passageOf) costOver(from, to, most int) (n int) {
	for _, r := range p.s[from:to] {
		if n += p.costOf(r); n > most {
			break
		}
	}
	return n
}

func (p *passageOf) costOf(r rune) int {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == ' ':
		return 1
	case !shown(r):
		return 0
	case unicode.IsSpace(r):
		return 1
	case p.o.Plain:
		return utf8.RuneLen(r)
	}
	if e := escape(r); e != "" {
		return len(e)
	}
	return utf8.RuneLen(r)
}

// escape is how a character that means something stands in HTML, in text and in
// attributes in quotes; "" for others.
func escape(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '"':
		return "&#34;"
	case '\'':
		return "&#39;"
	}
	return ""
}

// shown reports whether a character may appear in a snippet: no control characters, and
// none of those that change the direction of what comes after the snippet.
func shown(r rune) bool {
	if unicode.IsSpace(r) {
		return true
	}
	return !unicode.IsControl(r) && !(0x202A <= r && r <= 0x202E) && !(0x2066 <= r && r <= 0x2069)
}

// widen adds text around a stretch, a third of what there is room for in front, and
// ends it between words where one is near.
func (p *passageOf) widen(from, to int) (int, int) {
	left := p.room() - p.cost(from, to)
	for _, m := range p.marks {
		if m.from >= from && m.to <= to {
			left -= len(p.o.Open) + len(p.o.Close)
		}
	}
	start := p.backward(from, left/3)
	end := p.forward(to, left-p.cost(start, from))
	if end == len(p.s) { // what was not needed behind serves in front
		start = p.backward(from, left-p.cost(to, end))
	}
	return start, end
}

// backward is as far before from as there is room; it does not cut a mark.
func (p *passageOf) backward(from, room int) int {
	at := from
	for at > 0 {
		r, n := utf8.DecodeLastRuneInString(p.s[:at])
		if room -= p.costOf(r); room < 0 {
			break
		}
		at -= n
	}
	for _, m := range p.marks {
		if m.to <= from && m.from < from && m.to > at { // there is no room for its signs
			at = m.to
		}
	}
	if at == 0 {
		return 0
	}
	const near = 20
	if i := strings.IndexFunc(p.s[at:from], unicode.IsSpace); i >= 0 && i < near {
		return at + i
	}
	return at
}

// forward is as far behind to as there is room; it does not cut a mark.
func (p *passageOf) forward(to, room int) int {
	at := to
	for at < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[at:])
		if room -= p.costOf(r); room < 0 {
			break
		}
		at += n
	}
	for _, m := range p.marks {
		if m.from >= to && m.from < at {
			at = m.from
			break
		}
	}
	if at == len(p.s) {
		return at
	}
	const near = 20
	if i := strings.LastIndexFunc(p.s[to:at], unicode.IsSpace); i >= 0 && at-to-i < near {
		return to + i
	}
	return at
}

// render writes a stretch with its marks, and an ellipsis where text was left out.
func (p *passageOf) render(from, to int) string {
	var b strings.Builder
	if strings.TrimSpace(p.s[:from]) != "" && len(ellipsis) <= p.o.Bytes-p.room() {
		b.WriteString(ellipsis)
	}
	w := writer{b: &b, plain: p.o.Plain}
	at := from
	for _, m := range p.marks {
		if m.from < from || m.to > to {
			continue
		}
		w.write(p.s[at:m.from])
		w.flush()
		b.WriteString(p.o.Open)
		w.write(p.s[m.from:m.to])
		b.WriteString(p.o.Close)
		at = m.to
	}
	w.write(p.s[at:to])
	if strings.TrimSpace(p.s[to:]) != "" {
		b.WriteString(ellipsis)
	}
	if b.Len() > p.o.Bytes { // not even the ellipses have room
		return ""
	}
	return b.String()
}

// writer writes text with single spaces, none at the start, and escaped.
type writer struct {
	b     *strings.Builder
	plain bool
	space bool // one is due
	begun bool
}

func (w *writer) write(s string) {
	for _, r := range s {
		switch {
		case !shown(r):
			continue
		case unicode.IsSpace(r):
			w.space = true
			continue
		}
		w.flush()
		w.begun = true
		if e := escape(r); e != "" && !w.plain {
			w.b.WriteString(e)
			continue
		}
		w.b.WriteRune(r)
	}
}

// flush writes the space that is due.
func (w *writer) flush() {
	if w.space && w.begun {
		w.b.WriteByte(' ')
	}
	w.space = false
}
