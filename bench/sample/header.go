package sample

import (
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// encode puts s into a charset. What the charset lacks becomes a question mark.
func encode(charset, s string) []byte {
	if charset == "utf-8" || charset == "us-ascii" && isASCII(s) {
		return []byte(s)
	}
	enc, err := htmlindex.Get(charset)
	if err != nil || charset == "us-ascii" {
		return []byte(strings.Map(func(r rune) rune {
			if r >= 0x80 {
				return '?'
			}
			return r
		}, s))
	}
	var out []byte
	e := enc.NewEncoder()
	if b, err := e.Bytes([]byte(s)); err == nil {
		out = b
	} else {
		for _, r := range s {
			b, err := enc.NewEncoder().Bytes([]byte(string(r)))
			if err != nil {
				b = []byte("?")
			}
			out = append(out, b...)
		}
	}
	if charset == "iso-2022-jp" && strings.LastIndex(string(out), "\x1b(B") < strings.LastIndex(string(out), "\x1b$") {
		out = append(out, "\x1b(B"...) // RFC 1468: text ends in ASCII
	}
	return out
}

// encodable reports whether the charset has all of s.
func encodable(charset, s string) bool {
	if charset == "utf-8" || isASCII(s) {
		return true
	}
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return false
	}
	_, err = enc.NewEncoder().String(s)
	return err == nil
}

// encodedWords writes s as RFC 2047 encoded words, each of whole characters
// and at most 75 octets (§2), folded.
func encodedWords(charset string, word byte, s string) string {
	if isASCII(s) {
		return s
	}
	if !encodable(charset, s) {
		charset = "utf-8"
	}
	var words []string
	var piece []rune
	for _, r := range s {
		if len(encodedWord(charset, word, string(piece)+string(r))) > 75 {
			words = append(words, encodedWord(charset, word, string(piece)))
			piece = piece[:0]
		}
		piece = append(piece, r)
	}
	return strings.Join(append(words, encodedWord(charset, word, string(piece))), "\r\n ")
}

func encodedWord(charset string, word byte, s string) string {
	b := encode(charset, s)
	if word == 'B' {
		return fmt.Sprintf("=?%s?B?%s?=", charset, base64.StdEncoding.EncodeToString(b))
	}
	var q strings.Builder
	for _, c := range b {
		switch {
		case c == ' ':
			q.WriteByte('_')
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
			q.WriteByte(c) // what may stand in a phrase, RFC 2047 §5 (3)
		default:
			fmt.Fprintf(&q, "=%02X", c)
		}
	}
	return fmt.Sprintf("=?%s?Q?%s?=", charset, q.String())
}

// mailboxOf writes an address with its display name (RFC 5322 §3.4).
func mailboxOf(charset string, word byte, p Person) string {
	return encodedWords(charset, word, p.Name) + " <" + p.Address + ">"
}

// parameter writes a MIME parameter, by RFC 2231 where its value is not ASCII:
// in pieces where it is long.
func parameter(name, charset, value string) string {
	if isASCII(value) {
		return fmt.Sprintf(";\r\n %s=%q", name, value)
	}
	if !encodable(charset, value) {
		charset = "utf-8"
	}
	var coded []string // one of each octet, so that pieces are cut between them
	for _, c := range encode(charset, value) {
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '.' || c == '-' {
			coded = append(coded, string(rune(c)))
		} else {
			coded = append(coded, fmt.Sprintf("%%%02X", c))
		}
	}
	prefix := charset + "''"
	if len(coded) <= 16 {
		return fmt.Sprintf(";\r\n %s*=%s%s", name, prefix, strings.Join(coded, ""))
	}
	var b strings.Builder
	for i := 0; len(coded) > 0; i++ {
		n := min(16, len(coded))
		fmt.Fprintf(&b, ";\r\n %s*%d*=%s%s", name, i, prefix, strings.Join(coded[:n], ""))
		coded, prefix = coded[n:], ""
	}
	return b.String()
}
