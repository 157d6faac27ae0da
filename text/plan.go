package text

import (
	"strings"
	"unicode/utf8"
)

// Op says which terms a Lookup means.
type Op uint8

// The ops: the terms that are equal to, begin with, end with, or contain the
// lookup's text; those that begin with it and go on, after their first space, with
// the lookup's Then; and, without regard to the text, all.
const (
	Exact Op = iota + 1
	Prefix
	Suffix
	Inside
	Across
)

// Lookup asks for the messages that have, in a field, one of the terms that it
// means.
type Lookup struct {
	Field string // "" stands for the header field that the alternative is about, FieldNear for its NearField
	Op    Op
	Text  string
	Then  string // for Across
	Ends  bool   // for Across: nothing comes after Then
}

// FieldNear stands for the NearField of the header field that an alternative is about.
// Where that has none, nothing is looked up; if then nothing is at all, nothing is
// found.
const FieldNear = ":near"

// Alternative is a way for a message to be a candidate: that all lookups find a
// term. One without lookups makes every message a candidate.
type Alternative struct {
	All []Lookup
	// AnyHeader: the lookups are about header fields of one name, whatever name
	// that is, which the message has; without lookups, all messages that have it
	// are meant. Only names count whose terms in FieldName end with NameSuffix.
	AnyHeader  bool
	NameSuffix string
	// Sure: the messages that it finds match. Others are to be verified with
	// Key.Match, unless Provable.
	Sure bool
	// Provable: of the messages that it finds, those match about which there are none
	// of Doubts. The others are to be verified.
	Provable bool
	Doubts   []Doubt
	// Settled: of those in doubt, or of all that are found if it is not Provable, only those
	// about which there is one of Open may match; the others are found by another alternative,
	// or do not.
	Settled bool
	Open    []Doubt
}

// Plan says how an index answers a key: its candidates are the messages that one of
// the alternatives finds. Every match is a candidate.
type Plan struct{ Any []Alternative }

// Plan makes the plan of a key.
func (k Key) Plan() Plan {
	if k.MatchesAll() {
		return Plan{[]Alternative{{Sure: true}}}
	}
	switch k.Scope {
	case InText:
		return Plan{append(planLines(k.Pattern), planBody(k.Pattern)...)}
	case InLines:
		return Plan{planLines(k.Pattern)}
	case InBody:
		return Plan{planBody(k.Pattern)}
	case InHeader:
		if strings.Contains(k.Name, ":") {
			return Plan{} // no header field has such a name, but fields of the index do
		}
		return Plan{k.planHeader()}
	}
	return Plan{} // no such scope: nothing matches
}

// planBody plans a pattern in body units.
func planBody(pattern string) []Alternative {
	if single(pattern) {
		return []Alternative{{All: []Lookup{{Field: FieldRune, Op: Exact, Text: pattern}}, Sure: true}}
	}
	if l, ok := oneSign(FieldSign, pattern); ok {
		return []Alternative{{All: []Lookup{l}, Sure: true}}
	}
	a := lookups(FieldBody, pattern, true)
	if a.Sure {
		return []Alternative{a}
	}
	if beside := besideSpace(pattern); len(beside) > 0 {
		return beside
	}
	a.Doubts, a.Provable = doubts(pattern)
	if triple, ok := planTriple(pattern, &a); ok {
		return []Alternative{triple, a}
	}
	if a.Provable {
		return []Alternative{a}
	}
	return besideSign(pattern, a)
}

// besideSpace finds who has a word, or a part of one, with a space before or after it:
// borders show the end of every word that lies at a space, and its beginning as well, but
// for one behind a symbol, which stretches show. Of a word that goes on beyond what is shown,
// there must be no other that has the same there.
func besideSpace(pattern string) []Alternative {
	part := strings.Trim(pattern, " ")
	if part == "" || len(pattern) != len(part)+1 {
		return nil
	}
	if r, end := nextRun(part, 0); r.class != word || end != len(part) || r.count >= window {
		return nil
	}
	if pattern[0] != ' ' {
		l := Lookup{Field: FieldBorder, Op: Inside, Text: " " + backwards(part, edge)}
		return []Alternative{atSpace(l, Lookup{Field: FieldBody, Op: Suffix, Text: part}, tail(part, edge))}
	}
	begins := Lookup{Field: FieldBody, Op: Prefix, Text: part}
	shown := head(part, signSpace)
	return []Alternative{
		atSpace(Lookup{Field: FieldBorder, Op: Prefix, Text: head(part, edge)}, begins, head(part, edge)),
		atSpace(Lookup{Field: FieldSign, Op: Inside, Text: " " + shown}, begins, shown),
	}
}

// atSpace finds who has a word at a space, by the lookup that shows so much of it.
func atSpace(at, part Lookup, shown string) Alternative {
	a := Alternative{All: []Lookup{part, at}, Sure: true}
	if shown != part.Text {
		a.Sure, a.Provable = false, true
		a.Doubts = []Doubt{{Has: Lookup{Field: FieldBody, Op: part.Op, Text: shown}, But: part}}
	}
	return a
}

// single reports whether a pattern is one code point.
func single(pattern string) bool {
	_, n := utf8.DecodeRuneInString(pattern)
	return pattern != "" && n == len(pattern)
}

// planHeader plans a key that looks at the values of one header field. A name
// that is not told apart by its term, or by its field, leads to candidates only;
// so does an empty one, whose field a Lookup cannot name.
func (k Key) planHeader() []Alternative {
	if k.Name == "" || k.Pattern == "" || !strings.ContainsFunc(k.Pattern, func(r rune) bool { return classOf(r) != blank }) {
		present := Lookup{Field: FieldName, Op: Exact, Text: nameTerm(k.Name)}
		return []Alternative{{All: []Lookup{present}, Sure: k.Pattern == "" && plainName(k.Name)}}
	}
	a := lookups(HeaderField(k.Name), k.Pattern, false)
	a.Sure = a.Sure && len(k.Name) < maxNameTerm
	if a.Sure {
		return []Alternative{a}
	}
	a.All = signLookups(a.All, FieldLineSign, k.Pattern)
	all := []Alternative{a}
	if field, ok := NearField(k.Name); ok {
		all = nearly(a, field, k.Pattern)
	}
	if len(all) == 1 && all[0].Sure || len(k.Name) >= maxNameTerm {
		return all
	}
	return append(all, inClause(HeaderField(k.Name), k.Pattern))
}

// inClause finds who has a clause in which a pattern lies: the pattern is no token, so
// what has it inside is one.
func inClause(field, pattern string) Alternative {
	return Alternative{All: []Lookup{{Field: field, Op: Inside, Text: pattern}}, AnyHeader: field == "", Sure: true}
}

// planLines plans a pattern in header lines. It lies in a value, in "NAME: ", or
// begins in that and ends in the value; or the line is none of the usual form.
func planLines(pattern string) []Alternative {
	if single(pattern) {
		return []Alternative{{All: []Lookup{{Field: FieldHeader, Op: Exact, Text: pattern}}, Sure: true}}
	}
	if l, ok := oneSign(FieldLineSign, pattern); ok {
		return []Alternative{{All: []Lookup{l}, Sure: true}}
	}
	value := lookups("", pattern, false)
	value.AnyHeader = true
	value.All = signLookups(value.All, FieldLineSign, pattern)
	line := lookups(FieldLine, pattern, false)
	line.All = signLookups(line.All, FieldLineSign, pattern)
	all := append(nearly(value, FieldNear, pattern), line)
	if !value.Sure {
		all = append(all, inClause("", pattern))
	}
	if name := strings.TrimSuffix(pattern, " "); name != "" && !strings.Contains(name, " ") {
		op := Inside
		if name != pattern {
			op = Suffix // the space comes after the colon
		}
		all = append(all, Alternative{All: []Lookup{{Field: FieldName, Op: op, Text: name}}, Sure: true})
	}
	if name, rest, ok := strings.Cut(pattern, ": "); ok && rest != "" {
		// What comes after the space begins the value, as in the value " rest".
		begins := Lookup{Op: Prefix, Text: opening + rest}
		all = append(all, Alternative{All: []Lookup{begins}, AnyHeader: true, NameSuffix: name + ":", Sure: true})
		a := lookups("", " "+rest, false)
		a.AnyHeader, a.NameSuffix = true, name+":"
		a.All = signLookups(a.All, FieldLineSign, pattern)
		all = append(all, a)
	}
	return all
}

// lookups returns what must be found in a unit that contains pattern. A run of the
// pattern is one of the unit's runs, bound on each side where the pattern goes on:
// there, another class or white space ends the unit's run too. In a body, where
// words meet is looked for in FieldBorder, and what stands around symbols in
// FieldSign.
func lookups(field, pattern string, body bool) Alternative {
	var a Alternative
	if body {
		a.All = signLookups(a.All, FieldSign, pattern)
	}
	var last span
	for r := range runs(pattern) {
		s := span{run: r, left: r.start > 0, right: r.start+len(r.text) < len(pattern)}
		s.shows = body && s.shown(pattern)
		if body && meet(last.run, r) {
			a.All = append(a.All, borderLookup(last, s))
			last.known, s.known = true, true
		}
		a.All = last.lookups(a.All, field)
		last = s
	}
	a.All = last.lookups(a.All, field)
	a.Sure = len(a.All) == 1 && covers(pattern, a.All[0])
	return a
}

// covers reports whether to have a term that l means is to have the pattern.
func covers(pattern string, l Lookup) bool {
	if l.Field == FieldBorder {
		left, right, _ := strings.Cut(pattern, " ")
		return left != "" && !strings.Contains(right, " ") &&
			utf8.RuneCountInString(left) <= edge && utf8.RuneCountInString(right) <= edge
	}
	return l.Text == pattern
}

// span is a run of a pattern.
type span struct {
	run
	left, right bool // bound there
	known       bool // part of a border that is looked for
	shows       bool // all of it lies in stretches around symbols that are looked for
}

// lookups appends what must be found where a unit has a run that contains s.
func (s span) lookups(all []Lookup, field string) []Lookup {
	switch {
	case s.text == "", s.shows:
		return all
	case s.known && s.count < edge, s.known && s.count == edge && !(s.left && s.right):
		return all // the border says it all
	}
	return s.run.lookups(all, field, s.left, s.right)
}

// borderLookup asks for the place where two runs of a pattern meet. A run that
// goes on to its other side, or is long enough, is all that the border holds of
// the word.
func borderLookup(left, right span) Lookup {
	begin, then := head(right.text, edge), backwards(left.text, edge)
	ends := left.left || left.count >= edge
	switch whole := right.right || right.count >= edge; {
	case whole && ends:
		return Lookup{Field: FieldBorder, Op: Exact, Text: begin + " " + then}
	case whole:
		begin += " "
	}
	return Lookup{Field: FieldBorder, Op: Across, Text: begin, Then: then, Ends: ends}
}

// lookups appends what must be found where a unit has a run that contains r,
// beginning with r if left is set, ending with it if right is set.
func (r run) lookups(all []Lookup, field string, left, right bool) []Lookup {
	add := func(op Op, s string) { all = append(all, Lookup{Field: field, Op: op, Text: s}) }
	switch {
	case r.class == dense && r.count > 1:
		pairs(r.text, func(pair string) bool { add(Exact, pair); return true })
	case r.class == dense || r.count <= window, r.count <= longest && (left || right):
		add(bound(left, right), r.text)
	case left && right:
		r.tokens(func(piece string) bool { add(Exact, piece); return true })
	default:
		r.lookupPieces(add, left, right)
	}
	return all
}

// bound is the op of a short run.
func bound(left, right bool) Op {
	switch {
	case left && right:
		return Exact
	case left:
		return Prefix
	case right:
		return Suffix
	}
	return Inside
}

// lookupPieces looks for a run too long for one lookup, of which at most one
// side is bound. The unit's run has a piece of its own at that side; elsewhere
// each stretch of window code points lies in some piece. The last stretch ends
// with r, so that all of r is looked for.
func (r run) lookupPieces(add func(Op, string), left, right bool) {
	at := r.offsets()
	if left && r.count >= longest {
		add(Exact, r.text[:at[longest]])
	}
	if right && r.count >= longest {
		add(Exact, r.text[at[r.count-longest]:])
	}
	for i := 0; i+window < r.count; i += window {
		add(Inside, r.text[at[i]:at[i+window]])
	}
	add(Inside, r.text[at[r.count-window]:])
}

// Means reports whether term is one of the terms that l looks for.
func (l Lookup) Means(term string) bool {
	switch l.Op {
	case Exact:
		return term == l.Text
	case Prefix:
		return strings.HasPrefix(term, l.Text)
	case Suffix:
		return strings.HasSuffix(term, l.Text)
	case Inside:
		return strings.Contains(term, l.Text)
	case Across:
		_, rest, _ := strings.Cut(term, " ")
		return strings.HasPrefix(term, l.Text) && strings.HasPrefix(rest, l.Then) && (!l.Ends || len(rest) == len(l.Then))
	}
	return false
}
