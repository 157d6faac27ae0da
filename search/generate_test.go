package search_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/encoding/charmap"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/text"
)

// generator makes mail and queries that are as unpleasant as possible for an
// index of words.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 0x7e2a510))} }

func pick[T any](g generator, from []T) T { return from[g.IntN(len(from))] }

// scripts are ranges of letters from which words are made.
var scripts = []struct{ lo, hi rune }{
	{'a', 'z'}, {'a', 'z'}, {'a', 'z'}, {'A', 'Z'}, {'à', 'ö'}, {'а', 'я'}, {'α', 'ω'}, {'א', 'ת'}, {'ا', 'غ'},
	{'क', 'ह'}, {'ก', 'ฮ'}, {'一', '丠'}, {'ぁ', 'ゖ'}, {'ァ', 'ヶ'}, {'가', '갸'}, {'Ａ', 'Ｚ'}, {'𝐀', '𝐙'}, {'ა', 'ჰ'},
}

// odd are words at the borders of classes, of folding and of encodings.
var odd = []string{
	"c++", "->", "#42", "a_b", "x86-64", "foo.bar@example.org", "http://h.example/p?q=1&r=%20", "don't", "--", "...",
	"ﬁnance", "Straße", "İstanbul", "ſeven", "ǅ", "Å", "e\u0301a\u0300", "q\u0323\u0307", "½", "①", "㎏", "Ⅷ", "№5",
	"漢字kana漢", "abc漢字def", "日本語", "検索エンジン", "ภาษาไทย", "한국어", "ｶﾞｷﾞ", "𠮷野家", "👍🏽", "👩‍👩‍👧", "♥", "→", "a→b",
	"123abc", "abc123", "1,234.56", "v1.2.3-rc4", "_", "\u00adsoft\u00adhyphen", "zero\u200bwidth", "nb\u00a0sp", "क्षेत्र", "ا\u064eل\u0652", "𝒳y",
}

// word returns one word: an everyday one, a long run, an odd one, or one of
// some script.
func (g generator) word() string {
	switch g.IntN(10) {
	case 0:
		return pick(g, odd)
	case 1:
		return g.run(30 + g.IntN(101))
	case 2:
		return g.marked(24 + g.IntN(50))
	case 4, 5:
		return pick(g, forms)
	case 3:
		return g.letters(1+g.IntN(3)) + pick(g, []string{"", "-", "_", ".", "+", "'", "/", "9", "漢"}) + g.letters(1+g.IntN(6))
	}
	return g.letters(1 + g.IntN(9))
}

func (g generator) letters(n int) string {
	s := pick(g, scripts)
	out := make([]rune, n)
	for i := range out {
		out[i] = s.lo + rune(g.IntN(int(s.hi-s.lo)+1))
	}
	return string(out)
}

// run is one long token without separators, of few letters so that its pieces
// resemble each other.
func (g generator) run(n int) string {
	alphabet := pick(g, []string{"ab", "0123456789abcdef", "xyzXYZ019", "éèa", "жшы", "漢字仮名"})
	runes := []rune(alphabet)
	out := make([]rune, n)
	for i := range out {
		out[i] = pick(g, runes)
	}
	return string(out)
}

// marked is a long run with combining marks around the places where pieces may
// be cut.
func (g generator) marked(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte("mnopq"[g.IntN(5)])
		if i%31 > 26 || g.IntN(12) == 0 {
			b.WriteRune(pick(g, []rune{'\u0301', '\u0308', '\u0323', '\u0336'}))
		}
	}
	return b.String()
}

func (g generator) words(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = g.word()
	}
	seps := []string{" ", " ", " ", ", ", "\r\n", "  ", "\t", ". ", "\u3000"}
	var b strings.Builder
	for i, w := range out {
		if i > 0 {
			b.WriteString(pick(g, seps))
		}
		b.WriteString(w)
	}
	return b.String()
}

// message makes one message; it returns what the Date field says, zero for none.
func (g generator) message(n int, internal time.Time) (raw []byte, sent time.Time) {
	var b bytes.Buffer
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	field("Received", "from a.example by b.example; "+internal.Format(time.RFC1123Z))
	field("From", g.address())
	for range 1 + g.IntN(2) {
		field("To", g.address()+", "+g.address())
	}
	if g.IntN(2) == 0 {
		field("Cc", g.address())
	}
	if g.IntN(5) == 0 {
		field("Bcc", g.address())
	}
	switch g.IntN(6) {
	case 0: // no date
	case 1:
		field("Date", "yesterday at noon")
	default:
		zone := time.FixedZone("", (g.IntN(27)-12)*3600)
		sent = internal.Add(-time.Duration(g.IntN(72)) * time.Hour).In(zone).Truncate(time.Second)
		field("Date", sent.Format(time.RFC1123Z))
	}
	field("Message-ID", fmt.Sprintf("<%d.%s@example.org>", n, g.letters(3)))
	switch g.IntN(8) {
	case 0: // no subject
	case 1:
		field("Subject", "")
	default:
		field("Subject", g.encodedWord(g.oneLine(1+g.IntN(6))))
	}
	if g.IntN(3) == 0 {
		field("X-Odd", g.encodedWord(g.oneLine(2)))
	}
	b.WriteString("MIME-Version: 1.0\r\n")
	g.body(&b, 0)
	return b.Bytes(), sent
}

func (g generator) oneLine(n int) string {
	return strings.Join(strings.FieldsFunc(g.words(n), func(r rune) bool { return r == '\r' || r == '\n' || r == '\t' }), " ")
}

func (g generator) address() string {
	return fmt.Sprintf("%s <%d@%s.example>", g.encodedWord(g.oneLine(1+g.IntN(2))), g.IntN(50), pick(g, []string{"a", "bb", "c-d"}))
}

// encodedWord writes text for a header: as it is, in Q or in B.
func (g generator) encodedWord(s string) string {
	switch g.IntN(4) {
	case 0:
		return mime.BEncoding.Encode("UTF-8", s)
	case 1:
		return mime.QEncoding.Encode("utf-8", s)
	case 2:
		if latin, err := charmap.ISO8859_1.NewEncoder().String(s); err == nil {
			return mime.QEncoding.Encode("iso-8859-1", latin)
		}
	}
	return s // raw UTF-8 (RFC 6532)
}

func (g generator) body(b *bytes.Buffer, depth int) {
	kind := g.IntN(8)
	if depth > 2 {
		kind = 0
	}
	switch kind {
	case 5, 6:
		boundary := fmt.Sprintf("=_%d_%d", depth, g.Uint32())
		fmt.Fprintf(b, "Content-Type: multipart/%s; boundary=\"%s\"\r\n\r\npreamble\r\n", pick(g, []string{"mixed", "alternative"}), boundary)
		for range 1 + g.IntN(3) {
			fmt.Fprintf(b, "--%s\r\n", boundary)
			g.body(b, depth+1)
			b.WriteString("\r\n")
		}
		fmt.Fprintf(b, "--%s--\r\n", boundary)
	case 7:
		fmt.Fprintf(b, "Content-Type: message/rfc822\r\n\r\n")
		inner, _ := g.message(g.IntN(1000), time.Unix(1.7e9, 0).UTC())
		b.Write(inner)
	case 4:
		g.part(b, "text/html", "<html><body><p>"+strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(g.words(10))+
			"</p><p>par<b>ti</b>al</p></body></html>")
	default:
		g.part(b, "text/plain", g.words(1+g.IntN(30)))
	}
}

// part writes a text part in some charset and transfer encoding.
func (g generator) part(b *bytes.Buffer, kind, body string) {
	charset := "utf-8"
	if latin, err := charmap.ISO8859_1.NewEncoder().String(body); err == nil && g.IntN(2) == 0 {
		charset, body = "iso-8859-1", latin
	}
	switch g.IntN(3) {
	case 0:
		fmt.Fprintf(b, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n", kind, charset)
		for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(body))), 76) {
			fmt.Fprintf(b, "%s\r\n", line)
		}
	case 1:
		fmt.Fprintf(b, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", kind, charset)
		w := quotedprintable.NewWriter(b)
		w.Write([]byte(body))
		w.Close()
		b.WriteString("\r\n")
	default:
		fmt.Fprintf(b, "Content-Type: %s; charset=%s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s\r\n", kind, charset, body)
	}
}

// shape says how a key lies in the text that it was cut from.
type shape struct{ inside, across bool }

// key cuts a key out of the text of some message, and sometimes spoils it.
func (g generator) key(from []text.Unit) (search.Query, shape) {
	u := pick(g, from)
	scope, name, value := text.InText, "", u.Text
	switch {
	case u.Kind == text.Body && g.IntN(3) > 0:
		scope = text.InBody
	case u.Kind == text.Header && g.IntN(2) == 0:
		scope, name, value = text.InHeader, u.Name, u.Value()
	}
	cut, s := g.cut(value)
	if g.IntN(6) == 0 {
		cut, s = g.spoil(cut), shape{}
	}
	return search.Text{Key: text.NewKey(scope, name, g.disguise(cut))}, s
}

// cut returns a stretch of folded text, mostly short.
func (g generator) cut(value string) (string, shape) {
	runes := []rune(value)
	if len(runes) == 0 || g.IntN(40) == 0 {
		return "", shape{}
	}
	longest := pick(g, []int{1, 2, 3, 5, 8, 12, 20, 40, 70, 140})
	from := g.IntN(len(runes))
	to := min(len(runes), from+1+g.IntN(longest))
	key := runes[from:to]
	inWord := func(i int) bool { return i >= 0 && i < len(runes) && wordRune(runes[i]) }
	s := shape{across: acrossSeparators(key)}
	if !slices.ContainsFunc(key, func(r rune) bool { return !wordRune(r) }) {
		s.inside = inWord(from-1) || inWord(to)
	}
	return string(key), s
}

func wordRune(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.M) }

// acrossSeparators reports whether words stand on both sides of something else.
func acrossSeparators(key []rune) bool {
	first := slices.IndexFunc(key, wordRune)
	if first < 0 {
		return false
	}
	gap := slices.IndexFunc(key[first:], func(r rune) bool { return !wordRune(r) })
	return gap >= 0 && slices.ContainsFunc(key[first+gap:], wordRune)
}

// spoil changes a key so that it will hardly be found.
func (g generator) spoil(key string) string {
	runes := []rune(key)
	switch at := g.IntN(len(runes) + 1); g.IntN(3) {
	case 0:
		return string(slices.Insert(runes, at, pick(g, []rune("zqx漢 -é"))))
	case 1:
		return string(runes[:at]) + string(runes[min(at+1, len(runes)):])
	default:
		slices.Reverse(runes)
		return string(runes)
	}
}

// disguise writes a key in another way that folds to the same.
func (g generator) disguise(key string) string {
	switch g.IntN(4) {
	case 0:
		if low := strings.ToLower(key); text.Normalize(low) == text.Normalize(key) {
			return low
		}
	case 1:
		return strings.ReplaceAll(key, " ", pick(g, []string{"\r\n", "\t ", "\u00a0", "  "}))
	}
	return key
}

// query makes a tree over the given messages' text; its shape is that of all its
// keys together.
func (g generator) query(mails []*mail, units func(*mail) []text.Unit, depth int) (search.Query, shape) {
	if depth == 0 || g.IntN(3) > 0 {
		if g.IntN(5) == 0 {
			return g.maybeFuzzy(g.recordKey(mails)), shape{}
		}
		if g.IntN(3) == 0 {
			return g.fuzzyKey(units(pick(g, mails))), shape{}
		}
		return g.key(units(pick(g, mails)))
	}
	var all shape
	note := func(q search.Query, s shape) search.Query {
		all = shape{all.inside || s.inside, all.across || s.across}
		return q
	}
	sub := func() search.Query { return note(g.query(mails, units, depth-1)) }
	switch g.IntN(4) {
	case 0:
		return search.Not{Key: sub()}, all
	case 1:
		return search.Or{sub(), sub()}, all
	case 2: // two keys of one message: an AND that has hits
		from := units(pick(g, mails))
		return search.And{note(g.key(from)), note(g.key(from))}, all
	}
	return search.And{sub(), search.Or{sub(), sub()}}, all
}

// recordKey makes a key that looks at no text.
func (g generator) recordKey(mails []*mail) search.Query {
	m := pick(g, mails)
	when := pick(g, []search.When{search.Before, search.On, search.Since})
	day := func(at time.Time) int32 { return mailbox.DateOf(at).Day() + int32(g.IntN(3)-1) }
	switch g.IntN(12) {
	case 0:
		set := mailbox.UIDRange(m.uid, m.uid+mailbox.UID(g.IntN(20)))
		set.AddRange(4_000_000_000, 4294967295)
		return search.UIDs{Set: set}
	case 1:
		return search.SystemFlag{Flags: pick(g, []mailbox.System{mailbox.Seen, mailbox.Flagged, mailbox.Answered, mailbox.Deleted, mailbox.Draft})}
	case 2:
		return search.Keyword{Name: pick(g, []string{"$Forwarded", "$forwarded", "Work", "absent"})}
	case 3:
		return search.Larger{Bytes: int64(len(m.raw))}
	case 4:
		return search.Smaller{Bytes: int64(len(m.raw))}
	case 5:
		return search.InternalDate{When: when, Day: day(m.internal)}
	case 6:
		return search.SentDate{When: when, Day: day(m.sent)}
	case 7:
		return search.SaveDate{When: when, Day: day(time.Unix(m.saved, 0).UTC())}
	case 8:
		return search.Older{Seconds: int64(testNow.Sub(m.internal) / time.Second)}
	case 9:
		return search.Younger{Seconds: int64(testNow.Sub(m.internal) / time.Second)}
	case 10:
		return search.ModSeq{Min: m.modseq}
	}
	return search.EmailID{ID: mailstore.EmailID(m.guid)}
}

// testNow is the time of searches.
var testNow = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
