package queries

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"teraslot/text"
)

// The kinds that do not keep to words and spaces: what people paste.
//
//   - Together: two to five words from a random place of a random message, with what is
//     between them; in one of four, the outer words lose one to three letters at the outside.
//     By turns from each band, by the rarest of the words that are whole. BODY, or one time in
//     four TEXT.
//   - Stretch: of a random Subject, From, To or Cc, or one time in five of any field, one to
//     three words with what is between them, or one time in four any stretch of three to
//     twenty letters. HEADER, or one time in four TEXT.
//   - Address: one of a random From, To, Cc or Reply-To, what stands before its "@", what
//     stands behind it, or the last two labels of that. HEADER, or as often TEXT.

// fieldNames are the fields that have a sample of their own; "" is that of all fields.
var fieldNames = []string{"subject", "from", "to", "cc", "reply-to", ""}

// longestField bounds what is kept of a field, in octets.
const longestField = 1000

// togetherWords is how many words are kept from one place at most.
const togetherWords = 5

// takeField offers a field to its sample and to that of all.
func (l *Lexicon) takeField(u text.Unit) {
	k := Key{Scope: Header, Name: u.Name, Value: strings.ToLower(cut(u.Value(), longestField))}
	l.fields[""].offer(k)
	if own := l.fields[u.Name]; own != nil {
		own.offer(k)
	}
}

// cut is the beginning of s, of n octets at most, in whole code points.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// takeTogether takes what stands at a random place. The first word there may be a part of
// one and is passed over.
func (l *Lexicon) takeTogether(s string) {
	at := l.rand.IntN(len(s) - 20)
	spans := spansOf(cut(s[at:], 200))
	if len(spans) < 4 {
		return
	}
	spans = spans[1 : len(spans)-1]
	spans = spans[:min(len(spans), 2+l.rand.IntN(togetherWords-1))]
	from, to := at+spans[0].from, at+spans[len(spans)-1].to
	l.together.offer(strings.ToLower(s[from:to]))
}

// span is where a word stands: from, and up to.
type span struct{ from, to int }

// spansOf are the words of a text: runs of letters, digits and marks.
func spansOf(s string) (spans []span) {
	open := false
	for i, r := range s {
		switch in := inWord(r); {
		case in && !open:
			spans, open = append(spans, span{i, len(s)}), true
		case !in && open:
			spans[len(spans)-1].to, open = i, false
		}
	}
	return spans
}

func inWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r))
}

func (d *drawer) together(n int) {
	for i, band := range d.byTurns(len(d.Lexicon.together.kept), func(i int) int { return d.rarest(d.Lexicon.together.kept[i]) }) {
		if len(d.out) == n {
			return
		}
		k := Key{Scope: d.scope(Body, 4), Value: d.Lexicon.together.kept[i]}
		if d.rand.IntN(4) == 0 {
			k.Value = d.cutEnds(k.Value)
		}
		if k.Value != "" {
			d.add(Query{Band: band, Keys: []Key{k}})
		}
	}
}

// rarest is how many of the messages read have the rarest of a text's words. Words that are
// not counted, numbers for instance, are passed over; without another it is 1.
func (d *drawer) rarest(s string) int {
	least := 0
	for _, w := range spansOf(s) {
		if n := d.body[s[w.from:w.to]]; n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return cmp.Or(least, 1)
}

// scope is the scope given, or one time in n Text.
func (d *drawer) scope(otherwise Scope, n int) Scope {
	if d.rand.IntN(n) == 0 {
		return Text
	}
	return otherwise
}

// cutEnds takes one to three letters off at each end, "" if less than three are left.
func (d *drawer) cutEnds(s string) string {
	r := []rune(s)
	from, to := 1+d.rand.IntN(3), len(r)-1-d.rand.IntN(3)
	if to-from < 3 {
		return ""
	}
	return string(r[from:to])
}

// fieldOf draws a field of those names.
func (d *drawer) fieldOf(names ...string) (k Key, ok bool) {
	kept := d.fields[names[d.rand.IntN(len(names))]].kept
	if len(kept) == 0 {
		return Key{}, false
	}
	return kept[d.rand.IntN(len(kept))], true
}

func (d *drawer) stretches(n int) {
	for tries := 0; len(d.out) < n && tries < 100*n; tries++ {
		k, ok := d.fieldOf("subject", "from", "to", "cc", "")
		if !ok {
			continue
		}
		if k.Value = d.stretch(k.Value); strings.TrimSpace(k.Value) != "" {
			d.addInField(k, 4)
		}
	}
}

// addInField asks for the key, or one time in n by TEXT.
func (d *drawer) addInField(k Key, n int) {
	if k.Scope = d.scope(Header, n); k.Scope == Text {
		k.Name = ""
	}
	d.add(Query{Keys: []Key{k}})
}

// stretch draws a part of a field.
func (d *drawer) stretch(value string) string {
	if d.rand.IntN(4) == 0 {
		r := []rune(value)
		n := 3 + d.rand.IntN(18)
		if len(r) <= n {
			return value
		}
		from := d.rand.IntN(len(r) - n + 1)
		return string(r[from : from+n])
	}
	spans := spansOf(value)
	if len(spans) == 0 {
		return ""
	}
	first := d.rand.IntN(len(spans))
	last := min(first+d.rand.IntN(3), len(spans)-1)
	return value[spans[first].from:spans[last].to]
}

func (d *drawer) addresses(n int) {
	for tries := 0; len(d.out) < n && tries < 100*n; tries++ {
		k, ok := d.fieldOf("from", "to", "cc", "reply-to")
		if !ok {
			continue
		}
		if k.Value = d.address(k.Value); k.Value != "" {
			d.addInField(k, 2)
		}
	}
}

// address draws an address of a field or a part of one, "" where there is none.
func (d *drawer) address(value string) string {
	all := slices.DeleteFunc(strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(` <>,;:()"`, r) }), func(w string) bool {
		local, host, _ := strings.Cut(w, "@")
		return local == "" || host == ""
	})
	if len(all) == 0 {
		return ""
	}
	whole := all[d.rand.IntN(len(all))]
	local, host, _ := strings.Cut(whole, "@")
	labels := strings.Split(host, ".")
	return []string{whole, local, host, strings.Join(labels[max(0, len(labels)-2):], ".")}[d.rand.IntN(4)]
}
