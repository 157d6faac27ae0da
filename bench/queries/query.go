package queries

import (
	"fmt"
	"strings"

	"teraslot/text"
)

// Scope is the search key that a string is looked for with.
type Scope string

// The scopes. Header needs a Key's Name.
const (
	Body    Scope = "BODY"
	Text    Scope = "TEXT"
	From    Scope = "FROM"
	Subject Scope = "SUBJECT"
	Header  Scope = "HEADER"
)

// Key is one string key of a query.
type Key struct {
	Scope Scope
	Name  string // of the header field
	Value string
	Not   bool
}

// Query is keys that all have to hold.
type Query struct {
	Kind    Kind
	Band    string // of its rarest word, "" where there is none
	Keys    []Key
	Smaller int  // if not 0: octets that the message has to be smaller than
	Fuzzy   bool // asked with FUZZY (RFC 6203): then nobody knows the answer
}

// String is the query as the arguments of SEARCH, with its charset where it needs one.
func (q Query) String() string {
	var b strings.Builder
	for _, k := range q.Keys {
		if strings.ContainsFunc(k.Value, func(r rune) bool { return r >= 0x80 }) {
			b.WriteString("CHARSET UTF-8 ")
			break
		}
	}
	for i, k := range q.Keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		if k.Not {
			b.WriteString("NOT ")
		}
		if q.Fuzzy {
			b.WriteString("FUZZY ")
		}
		b.WriteString(string(k.Scope) + " ")
		if k.Scope == Header {
			b.WriteString(k.Name + " ")
		}
		b.WriteString(astring(k.Value))
	}
	if q.Smaller > 0 {
		fmt.Fprintf(&b, " SMALLER %d", q.Smaller)
	}
	return b.String()
}

// astring is a quoted string, or a literal that is not waited for (RFC 7888).
func astring(s string) string {
	for _, r := range s {
		if r >= 0x80 || r < ' ' || r == '"' || r == '\\' {
			return fmt.Sprintf("{%d+}\r\n%s", len(s), s)
		}
	}
	return `"` + s + `"`
}

// Folded is the key as the index takes it, whatever Not says.
func (k Key) Folded() text.Key {
	switch k.Scope {
	case Body:
		return text.NewKey(text.InBody, "", k.Value)
	case Text:
		return text.NewKey(text.InText, "", k.Value)
	case Header:
		return text.NewKey(text.InHeader, k.Name, k.Value)
	}
	return text.NewKey(text.InHeader, string(k.Scope), k.Value)
}

// in reports whether a unit is one that the key looks at; value is the part of it.
func (k Key) in(u text.Unit) (value string, ok bool) {
	switch k.Scope {
	case Body:
		return u.Text, u.Kind == text.Body
	case Text:
		return u.Text, true
	case Header:
		return u.Value(), u.Kind == text.Header && u.Name == strings.ToLower(k.Name)
	}
	return u.Value(), u.Kind == text.Header && u.Name == strings.ToLower(string(k.Scope))
}
