package text

import "strings"

// Op says which terms a Lookup means.
type Op uint8

// The ops: the terms that are equal to, begin with, end with, or contain the
// lookup's text.
const (
	Exact Op = iota + 1
	Prefix
	Suffix
	Inside
)

// Lookup asks for the messages that have, in a field, one of the terms that it
// means.
type Lookup struct {
	Field string
	Op    Op
	Text  string
}

// Plan says how an index answers a key: its candidates are the messages for
// which, in one of the alternatives, all lookups find a term. Every match is a
// candidate. An alternative without lookups makes all messages candidates.
type Plan struct {
	Any [][]Lookup
	// Sure: every candidate is a match. Otherwise candidates are to be verified
	// with Key.Match.
	Sure bool
}

// Plan makes the plan of a key.
func (k Key) Plan() Plan {
	if k.MatchesAll() {
		return Plan{Any: [][]Lookup{nil}, Sure: true}
	}
	switch k.Scope {
	case InText:
		header, sure := lookups(FieldHeader, k.Pattern)
		body, _ := lookups(FieldBody, k.Pattern)
		return Plan{Any: [][]Lookup{header, body}, Sure: sure}
	case InBody:
		body, sure := lookups(FieldBody, k.Pattern)
		return Plan{Any: [][]Lookup{body}, Sure: sure}
	case InHeader:
		return k.planHeader()
	}
	return Plan{} // no such scope: nothing matches
}

// planHeader plans a key that looks at the values of one header field.
func (k Key) planHeader() Plan {
	present := Lookup{FieldName, Exact, nameTerm(k.Name)}
	if k.Pattern == "" {
		return Plan{Any: [][]Lookup{{present}}, Sure: len(k.Name) < maxNameTerm}
	}
	if isValueField(k.Name) {
		value, sure := lookups(k.Name, k.Pattern)
		return Plan{Any: [][]Lookup{append(value, present)}, Sure: sure}
	}
	line, _ := lookups(FieldHeader, k.Pattern)
	return Plan{Any: [][]Lookup{append(line, present)}}
}

// lookups returns what must be found in a unit that contains pattern, and
// whether that suffices. A run of the pattern is one of the unit's runs, bound
// on each side where the pattern goes on: there, another class or white space
// ends the unit's run too.
func lookups(field, pattern string) (all []Lookup, sure bool) {
	for r := range runs(pattern) {
		left := r.start > 0
		right := r.start+len(r.text) < len(pattern)
		all = r.lookups(all, field, left, right)
		sure = !left && !right && len(all) == 1
	}
	return all, sure
}

// lookups appends what must be found where a unit has a run that contains r,
// beginning with r if left is set, ending with it if right is set.
func (r run) lookups(all []Lookup, field string, left, right bool) []Lookup {
	add := func(op Op, s string) { all = append(all, Lookup{field, op, s}) }
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
	}
	return false
}
