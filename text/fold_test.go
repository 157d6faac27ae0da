package text

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"Hello, World", "HELLO, WORLD"},
		{"café", "CAFE\u0301"},
		{"cafe\u0301", "CAFE\u0301"},
		{"\u01c4", "Dz\u030c"}, // the example of RFC 5051 §2: no titlecase after decomposition
		{"\u01c6", "Dz\u030c"},
		{"ａＢ１", "AB1"},
		{"ß", "ß"}, // no simple titlecase
		{"ﬁ", "fi"},
		{"ŉ", "\u02bcn"},
		{"\u1e69", "S\u0323\u0307"}, // recursively
		{"한글", "한글"},
		{"が", "か\u3099"},
		{"ｶﾞ", "カ\u3099"},
		{"\u00a0", " "},
		{"½", "1\u20442"},
		{"a\xffb\xc3", "A\ufffdB\ufffd"},
		{"\xed\xa0\x80", "\ufffd\ufffd\ufffd"}, // a surrogate is not UTF-8
		{"ἄᾳ", "Α\u0313\u0301Α\u0345"},
	} {
		if got := string(Fold(nil, c.in)); got != c.want {
			t.Errorf("Fold(%+q) = %+q, want %+q", c.in, got, c.want)
		}
	}
}

// The whole of the fold, so that nothing changes it without a new version: a
// newer Unicode among the libraries would.
func TestFoldGolden(t *testing.T) {
	h := sha256.New()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		h.Write(append(Fold(nil, string(r)), '\n'))
	}
	const version, want = 1, "f15066f9b6fe7210c7aa0fc91cbfaa3753a5fcee9d8bb5e92fc1df68b391e530"
	if FoldVersion != version || hex.EncodeToString(h.Sum(nil)) != want {
		t.Errorf("fold %d of all code points has the hash %x, want version %d and %s: raise the version with each change",
			FoldVersion, h.Sum(nil), version, want)
	}
}

// The rule again, from normalisation's other entry.
func TestFoldRule(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if 0xAC00 <= r && r <= 0xD7A3 {
			continue
		}
		want := norm.NFKD.Bytes([]byte(string(unicode.ToTitle(r))))
		if got := Fold(nil, string(r)); !bytes.Equal(got, want) {
			t.Fatalf("Fold(%U) = %+q, want %+q", r, got, want)
		}
	}
}

func TestFoldContextFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if got, want := string(Fold(nil, a+b)), string(Fold(nil, a))+string(Fold(nil, b)); got != want {
			t.Fatalf("Fold(%+q %+q) = %+q, want %+q", a, b, got, want)
		}
	})
}

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" \r\n\ta\u00a0\u2003b\n", " A B "},
		{"\u3000", " "},
		{"a\u200bb", "A\u200bB"}, // a zero width space is no white space
		{"\u00a8", " \u0308"},
		{"a\u0085\u2028b", "A B"},
	} {
		if got := Normalize(c.in); got != c.want {
			t.Errorf("Normalize(%+q) = %+q, want %+q", c.in, got, c.want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("Café \xff \u01c4 が")
	f.Fuzz(func(t *testing.T, s string) {
		n := Normalize(s)
		if !utf8.ValidString(n) {
			t.Errorf("Normalize(%+q) = %+q is not UTF-8", s, n)
		}
		if bytes.Contains([]byte(n), []byte("  ")) {
			t.Errorf("Normalize(%+q) = %+q has two spaces in a row", s, n)
		}
	})
}
