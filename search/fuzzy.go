package search

import (
	"context"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/text"
)

// Fuzzy matches what its key matches, and what is like it (RFC 6203 §3).
// docs/search.md, "FUZZY", says what that is for each key. Below Not, and where
// nothing is said, keys are matched exactly.
type Fuzzy struct{ Key Query }

func (q Fuzzy) plan(depth int) (node, error) {
	if q.Key == nil || depth >= maxDepth {
		return Not(q).plan(depth) // which says what is wrong
	}
	switch k := q.Key.(type) {
	case And:
		return And(fuzzyAll(k)).plan(depth)
	case Or:
		return Or(fuzzyAll(k)).plan(depth)
	case Fuzzy:
		return k.plan(depth)
	case Text:
		return planFuzzyText(k, depth)
	}
	return planNear(q.Key, depth)
}

// nearKey is a key on a date or a size that leaves room at its borders.
type nearKey struct {
	node
	exact recordKey
}

// planNear plans a key on a date or a size with room at its borders; others as they
// are.
func planNear(q Query, depth int) (node, error) {
	exact, err := q.plan(depth)
	if err != nil {
		return nil, err
	}
	wide := widened(q)
	key, ok := exact.(recordKey)
	if wide == nil || !ok {
		return exact, nil
	}
	n, err := wide.plan(depth)
	return nearKey{n, key}, err
}

func fuzzyAll(keys []Query) []Query {
	out := make([]Query, len(keys))
	for i, k := range keys {
		out[i] = Fuzzy{k}
	}
	return out
}

// How far dates and sizes may lie outside of what was asked for.
const (
	fuzzyDays = 3
	fuzzyPart = 10 // a tenth
)

// widened is a key on a date or a size that leaves room at its borders; nil for
// others.
func widened(q Query) Query {
	switch k := q.(type) {
	case Larger:
		return Larger{k.Bytes - k.Bytes/fuzzyPart}
	case Smaller:
		return Smaller{k.Bytes + min(k.Bytes/fuzzyPart, math.MaxInt64-k.Bytes)}
	case Older:
		return Older{k.Seconds - k.Seconds/fuzzyPart}
	case Younger:
		return Younger{k.Seconds + k.Seconds/fuzzyPart}
	case InternalDate:
		return aroundDay(k.When, k.Day, func(w When, d int32) Query { return InternalDate{w, d} })
	case SentDate:
		return aroundDay(k.When, k.Day, func(w When, d int32) Query { return SentDate{w, d} })
	case SaveDate:
		return aroundDay(k.When, k.Day, func(w When, d int32) Query { return SaveDate{w, d} })
	}
	return nil
}

func aroundDay(w When, day int32, key func(When, int32) Query) Query {
	switch w {
	case Before:
		return key(Before, day+fuzzyDays)
	case Since:
		return key(Since, day-fuzzyDays)
	}
	return And{key(Since, day-fuzzyDays), key(Before, day+fuzzyDays+1)}
}

// planFuzzyText plans a fuzzy text key: what matches exactly, or by its words.
func planFuzzyText(k Text, depth int) (node, error) {
	exact, err := k.plan(depth)
	if err != nil || k.Key.Pattern == "" {
		return exact, err
	}
	fuzzy := newFuzzyKey(k.Key)
	if len(fuzzy.words) == 0 {
		return exact, nil
	}
	return disjunction([]node{exact, fuzzy}), nil
}

// maxFuzzyWords bounds the words of a fuzzy key; the others are not looked for.
const maxFuzzyWords = 32

// fuzzyKey is the part of a fuzzy text key that looks at words: a message matches if
// it has a term like each of them, wherever they are in the units of the key's
// scope, and each phrase. It is made for one evaluation.
type fuzzyKey struct {
	key     text.Key
	words   []*fuzzyWord
	phrases [][]int // numbers of words that stand between quotes, in order
	first   [256]bool
	// expansion is what the index has of the words; set by that evaluation's
	// goroutine before texts are read.
	expansion *expansion
	weights   weights
}

// newFuzzyKey takes a key's pattern apart. Symbols are no words.
func newFuzzyKey(key text.Key) *fuzzyKey {
	k := &fuzzyKey{key: key, weights: defaultWeights()}
	number := map[string]int{}
	parts := strings.Split(key.Pattern, `"`)
	for i, part := range parts {
		var phrase []int
		for token := range text.Tokens(part) {
			if !isWord(token) {
				continue
			}
			n, known := number[token]
			if !known && len(k.words) == maxFuzzyWords {
				break
			}
			if !known {
				n = len(k.words)
				number[token] = n
				k.words = append(k.words, newFuzzyWord(token))
			}
			phrase = append(phrase, n)
		}
		if quoted := i%2 == 1 && i < len(parts)-1; quoted && len(phrase) > 1 {
			k.phrases = append(k.phrases, phrase)
		}
	}
	for _, w := range k.words {
		k.first[w.token[0]] = true
		for _, p := range w.prefixes {
			k.first[p[0]] = true
		}
	}
	return k
}

// isWord tells a token of letters, numbers or marks from a run of symbols.
func isWord(token string) bool {
	r, _ := utf8.DecodeRuneInString(token)
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}

// looksAt returns what a fuzzy key reads of a unit; false if it passes over it. For
// TEXT, these are the body and the fields that people look at: in the others
// nobody remembers a word.
func (k *fuzzyKey) looksAt(u text.Unit) (field fieldKind, s string, ok bool) {
	if u.Kind != text.Header {
		return fieldBody, u.Text, k.key.Scope != text.InHeader
	}
	field = fieldKindOf(u.Name)
	switch k.key.Scope {
	case text.InHeader:
		ok = u.Name == k.key.Name
	case text.InText:
		ok = field != fieldOther
	}
	if !ok {
		return field, "", false
	}
	return field, u.Value(), true
}

// fields are the index's fields that hold the terms of what the key looks at; sure says
// that they hold no others.
func (k *fuzzyKey) fields() (fields []string, sure bool) {
	switch {
	case k.key.Scope == text.InBody:
		return []string{text.FieldBody}, true
	case k.key.Scope == text.InText:
		fields = append(fields, text.FieldBody)
		for _, name := range text.ValueFields() {
			fields = append(fields, text.HeaderField(name))
		}
		return fields, true
	case strings.Contains(k.key.Name, ":"):
		return nil, true // no header field has such a name, but fields of the index do
	}
	// A name so long that the index cuts it may stand for others.
	cut := text.HeaderField(k.key.Name + "-")
	return []string{text.HeaderField(k.key.Name)}, len(cut) > len(k.key.Name)
}

func (k *fuzzyKey) cost() int { return costFuzzy }

// judge asks the index for the words. It decides, but for phrases.
func (k *fuzzyKey) judge(ctx context.Context, e *evaluation, rows *roaring.Bitmap) (verdict, error) {
	e.asked.Or(rows)
	unknown := roaring.AndNot(rows, e.join.covered)
	covered := roaring.And(rows, e.join.covered)
	if covered.IsEmpty() {
		return verdict{roaring.New(), unknown}, nil
	}
	found, sure, err := k.indexed(ctx, e)
	if err != nil {
		return none(), err
	}
	found = roaring.And(found, covered)
	if sure {
		return verdict{found, unknown}, nil
	}
	unknown.Or(found)
	return verdict{roaring.New(), unknown}, nil
}

// indexed returns the covered rows that the index finds, and whether they are
// matches or have to be read.
func (k *fuzzyKey) indexed(ctx context.Context, e *evaluation) (rows *roaring.Bitmap, sure bool, err error) {
	if err := k.expand(ctx, e); err != nil {
		return nil, false, err
	}
	if k.expansion == nil {
		return e.join.covered, false, nil
	}
	_, sure = k.fields()
	return e.join.rows(k.expansion.docs()), sure && len(k.phrases) == 0, nil
}

// expand looks the words up in the dictionary, once. If the index has none of the rows
// there is no expansion; nor if it fails: then it is left aside.
func (k *fuzzyKey) expand(ctx context.Context, e *evaluation) error {
	if k.expansion != nil || e.blind || e.join.covered.IsEmpty() {
		return nil
	}
	x, err := e.shared.expand(ctx, e.snap, k, e.ranked)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		e.s.o.Logger.Warn("the index failed; reading messages instead", "user", e.key.user, "err", err)
		e.blind = true
		return nil
	}
	k.expansion, k.weights = x.expansion, x.weights
	return nil
}

func (k *fuzzyKey) match(ctx context.Context, _ *evaluation, c *candidate) (bool, error) {
	r, err := c.reading(ctx, k)
	if err != nil {
		return false, err
	}
	return r.matches(), nil
}

// fuzzyKeys appends all fuzzy keys of a query.
func fuzzyKeys(n node, to []*fuzzyKey) []*fuzzyKey {
	switch n := n.(type) {
	case andNode:
		for _, kid := range n {
			to = fuzzyKeys(kid, to)
		}
	case orNode:
		for _, kid := range n {
			to = fuzzyKeys(kid, to)
		}
	case negation:
		to = fuzzyKeys(n.kid, to)
	case *fuzzyKey:
		to = append(to, n)
	}
	return to
}
