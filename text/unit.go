package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind tells header lines from body text.
type Kind uint8

// The kinds of units.
const (
	Header Kind = iota + 1 // one occurrence of one field of the message's own header
	Body                   // one decoded text part, or what of nested headers counts as body
)

// Unit is a stretch of a message's text. A key never spans two units.
type Unit struct {
	Kind Kind
	// Name is a header field's name in lower-case ASCII; "" for Body.
	Name string
	// Text is folded and spaced (Normalize). For a header field it is the whole
	// line: the folded name, ": ", and the decoded, unfolded value without white
	// space at its ends.
	Text string
}

// HeaderUnit makes the unit of a header field from its decoded value.
func HeaderUnit(name, value string) Unit {
	return Unit{Header, strings.ToLower(name), Normalize(name + ": " + strings.TrimSpace(value))}
}

// BodyUnit makes the unit of a decoded text part.
func BodyUnit(body string) Unit { return Unit{Body, "", Normalize(body)} }

// Value is a header field's value, folded; all of the text for a body unit.
func (u Unit) Value() string {
	if u.Kind == Header {
		// The name is ASCII or was folded to something without ": ".
		if _, value, ok := strings.Cut(u.Text, ":"); ok {
			// A spacing diacritic folds to a space and a mark, and its space has become
			// one with the separator: then that belongs to both.
			trimmed := strings.TrimPrefix(value, " ")
			if r, _ := utf8.DecodeRuneInString(trimmed); unicode.IsMark(r) {
				return value
			}
			return trimmed
		}
	}
	return u.Text
}

// Scope says which units a key looks at, as SEARCH's keys do (RFC 9051 §6.4.4).
type Scope uint8

// The scopes.
const (
	InText   Scope = iota + 1 // TEXT: whole header lines and bodies
	InBody                    // BODY
	InHeader                  // HEADER name, FROM, TO, CC, BCC, SUBJECT: values of one field
	InLines                   // whole header lines: what TEXT is beside BODY
)

// Key is a string looked for in a scope. Make one with NewKey.
type Key struct {
	Scope   Scope
	Name    string // the field's name in lower-case ASCII, for InHeader
	Pattern string // folded and spaced
}

// NewKey folds a key as given by a client, already decoded to UTF-8.
func NewKey(scope Scope, name, pattern string) Key {
	return Key{scope, strings.ToLower(name), Normalize(pattern)}
}

// MatchesAll reports whether the key matches every message: TEXT "", BODY "", and header
// lines with nothing in particular.
// (HEADER name "" asks whether the field is present.)
func (k Key) MatchesAll() bool { return k.Pattern == "" && k.Scope != InHeader }

// Match reports whether the key occurs in one of a message's units: the meaning
// of SEARCH, by which every faster way is judged.
func (k Key) Match(units []Unit) bool {
	if k.MatchesAll() {
		return true
	}
	for _, u := range units {
		if k.MatchUnit(u) {
			return true
		}
	}
	return false
}

// MatchUnit reports whether the key occurs in u.
func (k Key) MatchUnit(u Unit) bool {
	switch k.Scope {
	case InText:
		return strings.Contains(u.Text, k.Pattern)
	case InLines:
		return u.Kind == Header && strings.Contains(u.Text, k.Pattern)
	case InBody:
		return u.Kind == Body && strings.Contains(u.Text, k.Pattern)
	case InHeader:
		return u.Kind == Header && u.Name == k.Name && strings.Contains(u.Value(), k.Pattern)
	}
	return false
}
