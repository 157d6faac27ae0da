package text

import (
	"iter"
	"unicode/utf8"
)

// TokenVersion rises whenever Tokens or Terms gives another result for any
// input.
const TokenVersion = 7

// Lengths in code points. A run of more than longest is split into pieces of
// longest, one every stride and one at its end, so each stretch of at most
// window code points lies whole in some piece.
const (
	longest = 96
	stride  = 48
	window  = longest - stride + 1
)

// Tokens yields the tokens of folded text in the order of their ends, repeated
// ones too; they share s's memory and are never empty. A run is as many
// neighbours of one class as there are:
//
//   - a run of letters, numbers and marks is a token, and so is a run of
//     symbols; long ones are split into overlapping pieces;
//   - a run of a script without spaces gives all pairs of neighbours; a lone
//     code point is a token itself.
func Tokens(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for r := range runs(s) {
			if !r.tokens(yield) {
				return
			}
		}
	}
}

// IsToken tells a token from a clause of a header field.
func IsToken(term string) bool {
	_, end := nextRun(term, 0)
	return end == len(term)
}

// run is a stretch of folded text whose code points are all of one class.
type run struct {
	text  string
	class class
	count int // code points
	start int // offset in the text it comes from
}

// runs yields the runs of s without white space.
func runs(s string) iter.Seq[run] {
	return func(yield func(run) bool) {
		for i := 0; i < len(s); {
			var r run
			r, i = nextRun(s, i)
			if r.class != blank && !yield(r) {
				return
			}
		}
	}
}

// nextRun returns the run that begins at an offset, white space too, and where it
// ends. Nearly all of most mail is ASCII: those octets are passed over first.
func nextRun(s string, start int) (run, int) {
	class := octetClasses[s[start]]
	end := start + 1
	for end < len(s) && octetClasses[s[end]] == class {
		end++
	}
	if class == beyond || end < len(s) && octetClasses[s[end]] == beyond {
		return nextWideRun(s, start)
	}
	return run{s[start:end], class, end - start, start}, end
}

// nextWideRun is nextRun for text that is not all ASCII.
func nextWideRun(s string, start int) (run, int) {
	r := run{start: start}
	i := start
	for i < len(s) {
		c, n := utf8.DecodeRuneInString(s[i:])
		class := classOf(c)
		if i == start {
			r.class = class
		}
		if class != r.class {
			break
		}
		i += n
		r.count++
	}
	r.text = s[start:i]
	return r, i
}

// tokens yields the tokens of a run; it returns false if yield did.
func (r run) tokens(yield func(string) bool) bool {
	switch {
	case r.class == dense && r.count > 1:
		return pairs(r.text, yield)
	case r.class == dense || r.count <= longest:
		return yield(r.text)
	}
	from, to := 0, len(head(r.text, longest))
	for i := 0; i+longest < r.count; i += stride {
		if !yield(r.text[from:to]) {
			return false
		}
		from += len(head(r.text[from:], stride))
		to += len(head(r.text[to:], stride))
	}
	return yield(tail(r.text, longest))
}

// pairs yields the neighbours in s, which has two code points or more.
func pairs(s string, yield func(string) bool) bool {
	_, second := utf8.DecodeRuneInString(s)
	for first := 0; second < len(s); {
		_, n := utf8.DecodeRuneInString(s[second:])
		if !yield(s[first : second+n]) {
			return false
		}
		first, second = second, second+n
	}
	return true
}

// offsets returns where each code point begins, and the length at the end.
func (r run) offsets() []int {
	at := make([]int, 0, r.count+1)
	for i := range r.text {
		at = append(at, i)
	}
	return append(at, len(r.text))
}
