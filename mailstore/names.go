package mailstore

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Inbox is the name of the mailbox that every user has.
const Inbox = "INBOX"

// Separator parts the levels of a name.
const Separator = "/"

// Limits of a mailbox name: bytes and levels.
const (
	maxName   = 1024
	maxLevels = 64
)

// CleanName returns the form of a mailbox name that is stored, or ErrName. INBOX
// is taken in any case (RFC 9051 §5.1), as the first level of a name too. Names
// are UTF-8 in Normalization Form C (RFC 5198 §2) without control characters and
// line separators, and without empty levels; all else is allowed and distinct.
func CleanName(name string) (string, error) {
	if len(name) <= maxName {
		name = norm.NFC.String(name)
	}
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, forbidden) {
		return "", fmt.Errorf("%q: %w", name, ErrName)
	}
	levels := strings.Split(name, Separator)
	for _, l := range levels {
		if l == "" {
			return "", fmt.Errorf("%q: %w", name, ErrName)
		}
	}
	if len(levels) > maxLevels {
		return "", fmt.Errorf("%q: %w", name, ErrName)
	}
	if strings.EqualFold(levels[0], Inbox) {
		levels[0] = Inbox
	}
	return strings.Join(levels, Separator), nil
}

// forbidden are the characters that Net-Unicode keeps out of names (RFC 5198 §2).
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// parents returns the names above a name, the highest first.
func parents(name string) []string {
	var out []string
	for i := range len(name) {
		if name[i] == Separator[0] {
			out = append(out, name[:i])
		}
	}
	return out
}

// specialUses are the attributes of RFC 6154 §2 that a mailbox may have.
// \All and \Flagged are views over other mailboxes, which there are none of.
var specialUses = map[string]bool{`\Archive`: true, `\Drafts`: true, `\Junk`: true, `\Sent`: true, `\Trash`: true}
