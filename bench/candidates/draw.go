package candidates

import (
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"teraslot/text"
)

// Query is one key.
type Query struct {
	Kind string // word, part, phrase, header or address
	Key  text.Key
}

// kinds of queries, drawn in turn.
var kinds = []string{"word", "part", "phrase", "header", "address"}

// bands say how many messages have a word: from the limit before up to this part of
// all. The first is words of one message.
var bands = []float64{0, 0.001, 0.01, 0.1, 1}

// Lexicon is what the mail says about words.
type Lexicon struct {
	mail  [][]text.Unit
	words [][]string       // of each band, sorted
	in    map[string][]int // messages that have a word in their bodies
}

// Read reads the words of messages, each given by its text units.
func Read(mail [][]text.Unit) *Lexicon {
	l := &Lexicon{mail: mail, words: make([][]string, len(bands)), in: map[string][]int{}}
	for i, units := range mail {
		for _, u := range units {
			if u.Kind != text.Body {
				continue
			}
			for t := range text.Tokens(u.Text) {
				if r, _ := utf8.DecodeRuneInString(t); !unicode.IsLetter(r) {
					continue
				}
				if in := l.in[t]; len(in) == 0 || in[len(in)-1] != i {
					l.in[t] = append(in, i)
				}
			}
		}
	}
	for w, in := range l.in {
		band := 0
		for len(in) > 1 && float64(len(in)) > bands[band]*float64(len(mail)) {
			band++
		}
		l.words[band] = append(l.words[band], strings.Clone(w))
	}
	for _, words := range l.words {
		slices.Sort(words)
	}
	return l
}

// Draw draws n different queries: seed, mail and n decide which. The kinds take turns.
//
//   - A word is of a band drawn with even chances, and any of that band; asked for by
//     BODY or TEXT, with even chances.
//   - A part of a word is of a word of four letters or more, drawn so: any three letters
//     or more of it that stand together, but not all; BODY or TEXT.
//   - A phrase is what stands around a word drawn so, in one of its messages and there at
//     one of its places, all even: two to five words of it, with what is between them;
//     in one of four, outer words lose letters at the outside; BODY, or one time in four
//     TEXT.
//   - A header query is what stands in a header field of any message: the field is the
//     Subject, From, To or Cc, or one time in five any; of its value one to three words with
//     what is between them, or one time in four any stretch of three letters to twenty;
//     asked for by the field's key, or one time in four TEXT.
//   - An address is of From, To, Cc or Reply-To of any message: the address, what stands
//     before its "@", behind it, or the last two words behind it; by the field or TEXT.
func (l *Lexicon) Draw(seed uint64, n int) []Query {
	d := &drawing{l, rand.New(rand.NewPCG(seed, 0x63616e64))}
	known := map[text.Key]bool{}
	var out []Query
	for tries := 0; len(out) < n && tries < 100*n+1000; tries++ {
		q := Query{Kind: kinds[len(out)%len(kinds)]}
		q.Key = d.key(q.Kind)
		if strings.TrimSpace(q.Key.Pattern) == "" || known[q.Key] {
			continue
		}
		known[q.Key] = true
		out = append(out, q)
	}
	return out
}

type drawing struct {
	*Lexicon
	*rand.Rand
}

func (d *drawing) key(kind string) text.Key {
	switch kind {
	case "word":
		return d.bodyOrText(2, d.word(1))
	case "part":
		w := []rune(d.word(4))
		if len(w) < 4 {
			return text.Key{}
		}
		n := 3 + d.IntN(len(w)-3)
		from := d.IntN(len(w) - n + 1)
		return d.bodyOrText(2, string(w[from:from+n]))
	case "phrase":
		return d.bodyOrText(4, d.phrase())
	case "header":
		return d.header()
	}
	return d.address()
}

// bodyOrText asks for TEXT one time in n.
func (d *drawing) bodyOrText(n int, pattern string) text.Key {
	scope := text.InBody
	if d.IntN(n) == 0 {
		scope = text.InText
	}
	return text.Key{Scope: scope, Pattern: pattern}
}

// word draws a word of at least so many letters.
func (d *drawing) word(least int) string {
	for range 1000 {
		words := d.words[d.IntN(len(d.words))]
		if len(words) == 0 {
			continue
		}
		if w := words[d.IntN(len(words))]; utf8.RuneCountInString(w) >= least {
			return w
		}
	}
	return ""
}

// phrase draws words as they stand together.
func (d *drawing) phrase() string {
	w := d.word(1)
	in := d.in[w]
	if len(in) == 0 {
		return ""
	}
	var at []place
	for _, u := range d.mail[in[d.IntN(len(in))]] {
		if u.Kind == text.Body {
			at = appendPlaces(at, u.Text, w)
		}
	}
	if len(at) == 0 {
		return ""
	}
	p := at[d.IntN(len(at))]
	n := 2 + d.IntN(4)
	s := p.around(n, d.IntN(n))
	if d.IntN(4) == 0 {
		s = d.cutEnds(s)
	}
	return s
}

// place is where a word stands.
type place struct {
	text     string
	from, to int
}

func appendPlaces(to []place, s, w string) []place {
	for from := 0; ; {
		k := strings.Index(s[from:], w)
		if k < 0 {
			return to
		}
		from += k
		before, _ := utf8.DecodeLastRuneInString(s[:from])
		after, _ := utf8.DecodeRuneInString(s[from+len(w):])
		if !inWord(before) && !inWord(after) {
			to = append(to, place{s, from, from + len(w)})
		}
		from += len(w)
	}
}

func inWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r))
}

// around is n words, the place's being number k, as far as there are so many.
func (p place) around(n, k int) string {
	from, to := p.from, p.to
	for range k {
		gap := strings.LastIndexFunc(p.text[:from], inWord)
		if gap < 0 {
			break
		}
		from = strings.LastIndexFunc(p.text[:gap], func(r rune) bool { return !inWord(r) }) + 1
		if from > 0 {
			_, size := utf8.DecodeRuneInString(p.text[from-1:])
			from += size - 1
		}
	}
	for range n - 1 - k {
		gap := strings.IndexFunc(p.text[to:], inWord)
		if gap < 0 {
			break
		}
		end := strings.IndexFunc(p.text[to+gap:], func(r rune) bool { return !inWord(r) })
		if end < 0 {
			end = len(p.text) - to - gap
		}
		to += gap + end
	}
	return p.text[from:to]
}

// cutEnds takes one to three letters off at each end.
func (d *drawing) cutEnds(s string) string {
	r := []rune(s)
	from, to := 1+d.IntN(3), len(r)-1-d.IntN(3)
	if to-from < 3 {
		return ""
	}
	return string(r[from:to])
}

// header draws a key on a header field.
func (d *drawing) header() text.Key {
	name := []string{"subject", "from", "to", "cc", ""}[d.IntN(5)]
	u, ok := d.field(name)
	if !ok {
		return text.Key{}
	}
	pattern := d.stretch(u.Value())
	if d.IntN(4) == 0 {
		return text.Key{Scope: text.InText, Pattern: pattern}
	}
	return text.Key{Scope: text.InHeader, Name: u.Name, Pattern: pattern}
}

// field draws a field of a message; any field for "".
func (d *drawing) field(name string) (text.Unit, bool) {
	var all []text.Unit
	for _, u := range d.mail[d.IntN(len(d.mail))] {
		if u.Kind == text.Header && (name == "" || u.Name == name) {
			all = append(all, u)
		}
	}
	if len(all) == 0 {
		return text.Unit{}, false
	}
	return all[d.IntN(len(all))], true
}

// stretch draws a part of a value.
func (d *drawing) stretch(value string) string {
	if d.IntN(4) == 0 {
		r := []rune(value)
		n := 3 + d.IntN(18)
		if len(r) <= n {
			return value
		}
		from := d.IntN(len(r) - n)
		return string(r[from : from+n])
	}
	var starts []place
	for i, w := range strings.FieldsFunc(value, func(r rune) bool { return !inWord(r) }) {
		if at := appendPlaces(nil, value, w); len(at) > 0 && i < 100 {
			starts = append(starts, at[0])
		}
	}
	if len(starts) == 0 {
		return ""
	}
	return starts[d.IntN(len(starts))].around(1+d.IntN(3), 0)
}

// address draws an address or a part of one.
func (d *drawing) address() text.Key {
	u, ok := d.field([]string{"from", "to", "cc", "reply-to"}[d.IntN(4)])
	if !ok {
		return text.Key{}
	}
	var all []string
	for _, w := range strings.FieldsFunc(u.Value(), func(r rune) bool { return strings.ContainsRune(` <>,;:()"`, r) }) {
		if local, host, ok := strings.Cut(w, "@"); ok && local != "" && host != "" {
			all = append(all, w)
		}
	}
	if len(all) == 0 {
		return text.Key{}
	}
	pattern := all[d.IntN(len(all))]
	local, host, _ := strings.Cut(pattern, "@")
	switch d.IntN(4) {
	case 0:
		pattern = local
	case 1:
		pattern = host
	case 2:
		labels := strings.Split(host, ".")
		pattern = strings.Join(labels[max(0, len(labels)-2):], ".")
	}
	if d.IntN(2) == 0 {
		return text.Key{Scope: text.InText, Pattern: pattern}
	}
	return text.Key{Scope: text.InHeader, Name: u.Name, Pattern: pattern}
}
