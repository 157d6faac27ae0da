package message

import (
	"encoding/base64"
	"fmt"
	"html"
	"mime"
	"mime/quotedprintable"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"teraslot/text"
)

// script is a charset with text that it can hold.
type script struct {
	name  string
	enc   encoding.Encoding
	words []string
}

var scripts = []script{
	{"utf-8", unicode.UTF8, []string{"größe", "日本", "ﬁn", "😀", "plain"}},
	{"iso-8859-1", charmap.Windows1252, []string{"größe", "naïve", "plain"}},
	{"windows-1251", charmap.Windows1251, []string{"привет", "мир"}},
	{"koi8-r", charmap.KOI8R, []string{"привет", "мир"}},
	{"iso-8859-7", charmap.ISO8859_7, []string{"αβγ", "λόγος"}},
	{"shift_jis", japanese.ShiftJIS, []string{"日本語", "テスト", "plain"}},
	{"iso-2022-jp", japanese.ISO2022JP, []string{"日本語", "テスト", "plain"}},
	{"euc-jp", japanese.EUCJP, []string{"日本語", "テスト"}},
	{"ks_c_5601-1987", korean.EUCKR, []string{"한국어", "편지"}},
	{"gb2312", simplifiedchinese.GBK, []string{"简体", "中文", "plain"}},
	{"big5", traditionalchinese.Big5, []string{"繁體", "中文"}},
	{"utf-16", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), []string{"größe", "日本"}},
}

// TestTextRoundTrip writes texts in many charsets and encodings, as parts and as
// headers, and expects them as units.
func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := "Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n"
		var want []string
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			part, unit := textPart(t)
			raw += "--=_b\r\n" + part + "\r\n"
			if strings.TrimSpace(unit) != "" {
				want = append(want, strings.TrimSpace(text.Normalize(unit)))
			}
		}
		raw += "--=_b--\r\n"
		x, err := Extract(t.Context(), strings.NewReader(raw), int64(len(raw)), Limits{})
		if err != nil || !x.Complete {
			t.Fatalf("complete %v, %v", x.Complete, err)
		}
		var got []string
		for _, u := range x.Units[1:] {
			got = append(got, strings.TrimSpace(u.Text))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("of %q\ngot  %q\nwant %q", raw, got, want)
		}
	})
}

// textPart writes a part and the text that a reader sees of it.
func textPart(t *rapid.T) (raw, unit string) {
	s := rapid.SampledFrom(scripts).Draw(t, "script")
	words := rapid.SliceOfN(rapid.SampledFrom(s.words), 0, 8).Draw(t, "words")
	unit = strings.Join(words, " ")
	body, subtype := strings.Join(words, "\r\n"), "plain"
	if rapid.Bool().Draw(t, "html") {
		subtype, body = "html", ""
		for _, w := range words {
			half := w[:len(string([]rune(w)[:1]))]
			body += "<p title='<'>" + html.EscapeString(half) + "<b>" + html.EscapeString(w[len(half):]) + "</b><!-- no --></p>\r\n"
		}
	}
	octets, err := s.enc.NewEncoder().String(body)
	if err != nil {
		t.Fatal(err)
	}
	encodings := []string{"base64", "quoted-printable", "8bit"}
	if s.name == "utf-16" {
		encodings = encodings[:1]
	}
	cte := rapid.SampledFrom(encodings).Draw(t, "encoding")
	raw = fmt.Sprintf("Content-Type: text/%s; charset=%q\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype, s.name, cte)
	switch cte {
	case "base64":
		octets = base64.StdEncoding.EncodeToString([]byte(octets))
	case "quoted-printable":
		var b strings.Builder
		w := quotedprintable.NewWriter(&b)
		if _, err := w.Write([]byte(octets)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		octets = b.String()
	}
	return raw + octets, unit
}

// TestHeaderRoundTrip encodes values as the standard library does.
func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"größe", "日本", "plain", "a=b", "?", "_", "😀", "="}), 1, 30).Draw(t, "words")
		value := strings.Join(words, " ")
		encoder := rapid.SampledFrom([]mime.WordEncoder{mime.QEncoding, mime.BEncoding}).Draw(t, "encoding")
		if got := DecodeHeader(encoder.Encode("utf-8", value)); got != value {
			t.Fatalf("got %q, want %q", got, value)
		}
		media := mime.FormatMediaType("attachment", map[string]string{"filename": value})
		_, params := parseDisposition([]byte(media))
		if got := decodedParam(params, "filename"); got != value {
			t.Fatalf("of %q\ngot  %q\nwant %q", media, got, value)
		}
	})
}

// TestKept drops strings that are too many for a Structure, and nothing that its
// shape needs.
func TestKept(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	raw := "Content-Type: multipart/mixed; boundary=a\n\n"
	for range 200 {
		raw += "--a\nContent-Type: text/html; name=" + long + "\nContent-Description: " + long + "\n\nbody\n"
	}
	raw += "--a\nContent-Type: multipart/mixed; boundary=inner; name=" + long + "\n\n--inner\nContent-Type: " + long + "/x\n\none\n--inner--\n" +
		"--a\nContent-Type: message/rfc822\n\nSubject: " + long + "\n\ntwo\n--a--"
	s, err := check([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Truncated || len(s.Root.Children) != 202 {
		t.Fatalf("truncated %v, %d parts", s.Truncated, len(s.Root.Children))
	}
	first, last, inner, message := s.Root.Children[0], s.Root.Children[199], s.Root.Children[200], s.Root.Children[201]
	if first.Param("name") != long || last.Param("name") != "" || last.Subtype != "html" || last.Size() != 4 {
		t.Errorf("the first part's name has %d octets, the last one's %d", len(first.Param("name")), len(last.Param("name")))
	}
	if len(inner.Children) != 1 || inner.Children[0].Type != "application" {
		t.Errorf("the inner multipart has %d parts", len(inner.Children))
	}
	if message.Message == nil || message.Envelope.Subject != "" {
		t.Errorf("the message's subject has %d octets", len(message.Envelope.Subject))
	}
	b, err := s.AppendBinary(nil)
	if err != nil || len(b) > maxKept+1<<16 {
		t.Errorf("%d octets encoded, %v", len(b), err)
	}
}

func TestDecodable(t *testing.T) {
	for encoding, want := range map[string]bool{"7bit": true, "8BIT": true, "binary": true, "base64": true, "Quoted-Printable": true, "x-uuencode": true, "x-gzip": false} {
		raw := "Content-Transfer-Encoding: " + encoding + "\n\n"
		s, err := check([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Root.Decodable(); got != want {
			t.Errorf("%s: %v", encoding, got)
		}
	}
}

func TestWalk(t *testing.T) {
	raw := seeds[11] + "\n"
	s, err := check([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	for stop := 1; stop <= 4; stop++ {
		seen := 0
		done := s.Root.Walk(func(*Part) bool { seen++; return seen < stop })
		if seen != min(stop, 4) || done {
			t.Errorf("stopping at %d: %d parts, done %v", stop, seen, done)
		}
	}
}
