package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A header field has, beside the tokens of its values, clauses of them: stretches of
// more than one word, as they stand there. What many messages have in common is in
// clauses: how a value begins, words that follow each other, addresses, domains. What
// is different in each is not: numbers, identifiers, signatures. So who has a clause in
// which a key lies, matches; and where a clause that most messages have decides, few are
// left to be verified, although a key may stand where there is no clause.

// opening stands before the clause that a value begins with. It is an octet that no
// folded text has.
const opening = "\xff"

// Lengths in code points: of what is kept at least and at most of a value's beginning, of
// words and of what separates them in a clause, of words that may have digits.
const (
	openingLeast = 4
	openingMost  = 24
	clauseWord   = 16
	clauseGap    = 4
	clauseMixed  = 4
)

// identifying are the header fields that hold nothing but identifiers and signatures (RFC
// 5322 §3.6.4, RFC 6376 §3.5, RFC 8617 §4.1).
var identifying = map[string]bool{"message-id": true, "references": true, "in-reply-to": true,
	"dkim-signature": true, "domainkey-signature": true, "x-google-dkim-signature": true, "x-gm-message-state": true,
	"arc-seal": true, "arc-message-signature": true}

// tracing are the header fields that say which way a message took, and when (RFC 5322
// §3.6.7, §3.6.1): each has hosts and times of its own, and is there several times.
var tracing = map[string]bool{"received": true, "x-received": true, "return-path": true, "date": true}

// feedClauses hands on the clauses of a header field's value. Usual says that the line is
// the field's name, a colon, a space and the value.
func feedClauses(name, value string, usual bool, to Sink) bool {
	if identifying[name] {
		return true
	}
	_, near := nearFields[name]
	most := openingMost
	switch {
	case near && name != "subject":
		most = 0 // how a value begins says little: it is a name
	case near, tracing[name]:
		most = openingLeast + 1
	}
	if n := openingOf(value, most); usual && n > 0 && !to.Term(opening+value[:n]) {
		return false
	}
	if name == "subject" {
		return tags(value, to.Term)
	}
	return (near || chains(value, to.Term)) && (tracing[name] || names(value, to.Term))
}

// plain reports whether a run is a word of which clauses are made: letters, or few code
// points after a letter.
func plain(r run) bool {
	if r.class != word || r.count > clauseWord {
		return false
	}
	for i, c := range r.text {
		switch {
		case 'A' <= c && c <= 'Z':
		case i == 0 && !unicode.IsLetter(c):
			return false
		case r.count > clauseMixed && unicode.IsNumber(c):
			return false
		}
	}
	return true
}

// openingOf is where the beginning of a value ends that is kept: before a word that is
// not plain, but for a single, short one.
func openingOf(value string, most int) int {
	end, other := 0, 0
	for end < len(value) {
		r, next := nextRun(value, end)
		if r.class != blank && r.class != sign && !plain(r) {
			if other++; other > 1 || r.count > clauseMixed {
				break
			}
		}
		end = next
	}
	return min(max(end, len(head(value, openingLeast))), len(head(value, most)))
}

// chains yields the stretches of plain words with little between them; long ones in
// pieces.
func chains(value string, yield func(string) bool) bool {
	from, to, words := 0, 0, 0
	end := func() bool {
		if words < 2 {
			return true
		}
		chain := value[from:to]
		return run{text: chain, class: word, count: utf8.RuneCountInString(chain)}.tokens(yield)
	}
	for at := 0; at < len(value); {
		r, next := nextRun(value, at)
		at = next
		switch {
		case r.class == blank || r.class == sign:
			continue
		case plain(r) && words > 0 && joins(value[to:r.start]):
			words++
		case !end():
			return false
		case plain(r):
			from, words = r.start, 1
		default:
			words = 0
		}
		to = next
	}
	return end()
}

// joins reports whether what stands between two words lets a chain go on. Names of hosts
// are no chains, and neither is base64.
func joins(gap string) bool {
	return !strings.ContainsAny(gap, ".@+([") && utf8.RuneCountInString(gap) <= clauseGap
}

// tags yields what stands in brackets, such as the names of lists, as far as it is made of
// plain words.
func tags(value string, yield func(string) bool) bool {
	for {
		from := strings.IndexByte(value, '[')
		if from < 0 {
			return true
		}
		value = value[from:]
		end := 1
		for end < len(value) && value[end] != ']' {
			r, next := nextRun(value, end)
			if r.class == word && !plain(r) || r.class == sign {
				break
			}
			end = next
		}
		if end < len(value) && value[end] == ']' {
			end++
		}
		if tag := value[:end]; end > 1 && !yield(head(tag, openingMost)) {
			return false
		}
		value = value[1:]
	}
}

// endsName are the octets that end a name in a value.
var endsName = func() (set [256]bool) {
	for _, c := range []byte(" (),;:\"[]'") {
		set[c] = true
	}
	return set
}()

// names yields the addresses and names of hosts in a value that are made of plain words,
// with the angle brackets around them.
func names(value string, yield func(string) bool) bool {
	for value != "" {
		end := 0
		for end < len(value) && !endsName[value[end]] {
			end++
		}
		name := value[:end]
		value = value[min(end+1, len(value)):]
		if strings.Contains(name, ".") && plainWords(name) && !yield(name) {
			return false
		}
	}
	return true
}

// plainWords reports whether a name is short, and all of its words are plain.
func plainWords(name string) bool {
	if utf8.RuneCountInString(name) > longest {
		return false
	}
	n := 0
	for r := range runs(name) {
		if r.class != sign && !plain(r) {
			return false
		}
		n++
	}
	return n > 1
}
