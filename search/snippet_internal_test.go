package search

import (
	"html"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"teraslot/text"
)

// snip makes the passage of a body.
func snip(t testing.TB, q Query, s string, o SnippetOptions) string {
	t.Helper()
	root, err := q.plan(0)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := passage(s, newMarker(root).marks(text.Unit{Kind: text.Body}, s), o.complete())
	return out
}

func fuzzyBody(pattern string) Query { return Fuzzy{Body(pattern)} }

func TestPassage(t *testing.T) {
	long := strings.Repeat("one two three four five six seven. ", 20)
	for _, c := range []struct {
		what, in string
		q        Query
		bytes    int
		want     string
	}{
		{"a word", "Hello  brave\r\nnew world", Body("new"), 0, "Hello brave <mark>new</mark> world"},
		{"inside a word", "the assassins", Body("SASS"), 0, "the as<mark>sass</mark>ins"},
		{"across a line end", "of the\r\n following", Body("the following"), 0, "of <mark>the following</mark>"},
		{"a typo and a form", "Meetings were organised", fuzzyBody("meeting orgainse"), 0, "<mark>Meetings</mark> were <mark>organised</mark>"},
		{"a form", "They were organised, twice", fuzzyBody("organise"), 0, "They were <mark>organised</mark>, twice"},
		{"a word inside of the one before", "concat cat", fuzzyBody("zebra cat"), 0, "concat <mark>cat</mark>"},
		{"pairs that come again", "会会会料会 会料", fuzzyBody("zebra 会料"), 0, "会会<mark>会料</mark>会 <mark>会料</mark>"},
		{"diacritics as written", "le Café, cafe\u0301s", fuzzyBody("cafe"), 0, "le <mark>Café</mark>, <mark>cafe\u0301s</mark>"},
		{"what folds to more", "a ½ cup", Body("2 c"), 0, "a <mark>½ c</mark>up"},
		{"escaped", `a<b>"&'`, Body("b"), 0, "a&lt;<mark>b</mark>&gt;&#34;&amp;&#39;"},
		{"no control", "a\x1b[31mb\x00 \u202eевил", Body("b"), 0, "a[31m<mark>b</mark> евил"},
		{"not UTF-8", "a\xffb", Body("b"), 0, "a\ufffd<mark>b</mark>"},
		{"nothing matches", "Dear all", Body("x"), 0, "Dear all"},
		{"NOT marks nothing", "Dear all", Not{Body("dear")}, 0, "Dear all"},
		{"overlapping", "aaaa", And{Body("aaa"), Body("aa")}, 0, "<mark>aaaa</mark>"},
		{"the best of several", "needle " + long + "needle and haystack " + long, fuzzyBody("needle haystack"), 80,
			"…seven. <mark>needle</mark> and <mark>haystack</mark> one two three four…"},
		{"at the end", long + "needle", Body("needle"), 60, "…two three four five six seven. <mark>needle</mark>"},
		{"a script without spaces", "会議資料をお送りします", fuzzyBody("資料"), 0, "会議<mark>資料</mark>をお送りします"},
		{"no room for the mark", "needle", Body("needle"), 12, "…"},
		{"no room", "needle", Body("needle"), 2, ""},
	} {
		got := snip(t, c.q, c.in, SnippetOptions{Bytes: c.bytes})
		if got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.what, got, c.want)
		}
	}
	if got := snip(t, Body("b"), "a <b>", SnippetOptions{Open: "[", Close: "]", Plain: true}); got != "a <[b]>" {
		t.Errorf("plain: %q", got)
	}
}

// FuzzPassage: whatever text and key, a snippet is UTF-8, within its bound, escaped,
// without control characters, its marks paired; and it is a part of the text.
func FuzzPassage(f *testing.F) {
	f.Add("Hello <b>brave</b>\r\nnew world", "brave world", 40)
	f.Add("ﬁn ½ ǅ が cafe\u0301 \xff\xc3 \u202e", "fin cafe", 255)
	f.Add(strings.Repeat("&", 300)+"x", "x", 100)
	f.Add("会議資料\u00a0 日", `"議資" c++`, 30)
	f.Fuzz(func(t *testing.T, s, pattern string, bytes int) {
		for _, q := range []Query{Body(pattern), fuzzyBody(pattern), And{fuzzyBody(pattern), Body(pattern)}} {
			checkPassage(t, q, s, 1+(bytes&0x3ff))
		}
	})
}

func checkPassage(t *testing.T, q Query, s string, bytes int) {
	t.Helper()
	out := snip(t, q, s, SnippetOptions{Bytes: bytes})
	if !utf8.ValidString(out) || len(out) > bytes || strings.ContainsFunc(out, unicode.IsControl) {
		t.Fatalf("%d octets of at most %d: %q", len(out), bytes, out)
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(out, ellipsis), ellipsis)
	opens, plain := 0, strings.Builder{}
	for part := range strings.SplitSeq(inner, "<mark>") {
		if opens++; opens > 1 {
			if strings.Count(part, "</mark>") != 1 {
				t.Fatalf("marks are not paired: %q", out)
			}
			part = strings.Replace(part, "</mark>", "", 1)
		}
		plain.WriteString(part)
	}
	if strings.ContainsAny(plain.String(), `<>"'`) {
		t.Fatalf("not escaped: %q", out)
	}
	got, whole := html.UnescapeString(plain.String()), visible(s)
	if !strings.Contains(whole, strings.TrimSuffix(strings.TrimPrefix(got, ellipsis), ellipsis)) {
		t.Fatalf("%q is no part of %q", got, whole)
	}
}

// visible is a text as a reader may see it.
func visible(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)), " ")
}

// Where a token stands is told by its memory: also of pieces of long words, of pairs, and of
// words that stand there several times.
func TestOffsetIn(t *testing.T) {
	s := "AB ABAB 会会会料 " + strings.Repeat("ÉX", 120) + " AB--AB ก็กก 𐐀AB " + strings.Repeat("A", 200)
	end := 0
	for token := range text.Tokens(s) {
		at := offsetIn(s, token)
		if at < 0 || at+len(token) > len(s) || s[at:at+len(token)] != token {
			t.Fatalf("%q does not stand at %d", token, at)
		}
		if at+len(token) <= end {
			t.Errorf("%q at %d ends before the one before it, %d", token, at, end)
		}
		end = at + len(token)
	}
	if end != len(s) {
		t.Errorf("the last token ends at %d of %d", end, len(s))
	}
}

// A text folded for its marks is what Normalize makes of it, and each octet knows its
// character.
func TestFoldedIsNormalized(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "Zz", " ", "\r\n\t", "é", "½", "\u00a0", "\u3000 ", "ﬁ", "会", "\xff", "\u0308", "𐐨", "long word "}), 0, 40).Draw(t, "parts")
		written := strings.Join(parts, "")
		f := folded{text: make([]byte, 3), from: make([]int32, 5)} // of a text before
		f.fold(written)
		if want := text.Normalize(written); string(f.text) != want || len(f.from) != len(want) {
			t.Fatalf("%q is folded to %q, %d places, want %q", written, f.text, len(f.from), want)
		}
		last := int32(0)
		for i, from := range f.from {
			if from < last || int(from) >= len(written) || !utf8.RuneStart(written[from]) && written[from] != 0xFF {
				t.Fatalf("octet %d of %q comes from %d", i, f.text, from)
			}
			last = from
		}
	})
}
