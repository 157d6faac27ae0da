package imapd

import "strings"

// separator is the hierarchy separator of mailbox names.
const separator = '/'

// matchPattern reports whether a mailbox name matches a LIST pattern (RFC 9051
// §6.3.9): "*" stands for any octets, "%" for any but the separator. INBOX, as
// the name or as its first level, matches in any case.
//
// It keeps the set of pattern positions that the name read so far can have
// reached, so its time is at most len(name)·len(pattern) whatever the number of
// wildcards.
func matchPattern(pattern, name string) bool {
	pattern = inboxCase(pattern)
	reached := make([]bool, len(pattern)+1)
	reached[0] = true
	skipWildcards(pattern, reached)
	for i := range len(name) {
		step(pattern, name[i], reached)
		skipWildcards(pattern, reached)
	}
	return reached[len(pattern)]
}

// step reads one octet of the name. Positions are updated from the right, so
// each sees its left neighbour as it was before the octet.
func step(pattern string, c byte, reached []bool) {
	for p := len(pattern); p >= 0; p-- {
		stays := p < len(pattern) && reached[p] && (pattern[p] == '*' || pattern[p] == '%' && c != separator)
		moves := p > 0 && reached[p-1] && pattern[p-1] == c && !wildcard(pattern[p-1])
		reached[p] = stays || moves
	}
}

// skipWildcards lets a wildcard stand for nothing.
func skipWildcards(pattern string, reached []bool) {
	for p := range len(pattern) {
		if reached[p] && wildcard(pattern[p]) {
			reached[p+1] = true
		}
	}
}

func wildcard(c byte) bool { return c == '*' || c == '%' }

// inboxCase gives a leading INBOX its canonical case: "INBOX is not case-
// sensitive" (RFC 9051 §5.1).
func inboxCase(name string) string {
	const inbox = "INBOX"
	if len(name) >= len(inbox) && strings.EqualFold(name[:len(inbox)], inbox) &&
		(len(name) == len(inbox) || name[len(inbox)] == separator || wildcard(name[len(inbox)])) {
		return inbox + name[len(inbox):]
	}
	return name
}
