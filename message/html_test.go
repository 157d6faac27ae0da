package message

import (
	"io"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"teraslot/text"
)

func TestHTMLText(t *testing.T) {
	for _, test := range []struct{ html, want string }{
		{"plain", "plain"},
		{"a<b>b</b>c <i>d</i>", "abc d"},
		{"<p>a</p><p>b</p>", " a b "},
		{"a<br>b<BR/>c", "a b c"},
		{"<td>a<td>b", " a b"},
		{"a&amp;b&eacute;&#233;&#xe9;&nbsp;c&unknown;", "a&bééé\u00a0c&unknown;"},
		{"ex&shy;am\u00adple", "example"},
		{"a<!-- b -->c<!--d--!>e<!-->f<!--->g", "acefg"},
		{"a<!-- never closed", "a"},
		{"a<!-- -- > --->b", "ab"},
		{"<!DOCTYPE html><?xml x?>a</>b", "ab"},
		{"<title>t</title><style>s</style><script>if (a<b) '</p>'</script>x", " x"},
		{"<script>a</scripty>b</SCRIPT >c", "c"},
		{"<script>never closed", ""},
		{"<textarea>a<b>&lt;</textarea>c", " a<b>< c"},
		{"<noscript>a<b>b</b></noscript>", " ab "},
		{`a<img src="x" alt="b &amp; c">d`, "a b & c d"},
		{`a<img alt=b>c<img alt=''>d<img alt>e<img alt="">f`, "a b cdef"},
		{`<a href="http://x/" title='>'>link</a>`, "link"},
		{`<img alt='' ALT=b><img alt=c alt=d>`, " c "},
		{`<a href=x>y`, "y"},
		{"1 < 2 <3 << <", "1 < 2 <3 << <"},
		{"a<b", "a"},
		{`a<b c="`, "a"},
		{"<a b=c/>d", "d"},
		{"<a =b>c", "c"},
		{"<A\nB=\">\"\nC>d", "d"},
		{"<my-element>a</my-element>b", "ab"},
	} {
		if got := text.Normalize(htmlText(test.html)); got != text.Normalize(test.want) {
			t.Errorf("%s\ngot  %q\nwant %q", test.html, got, text.Normalize(test.want))
		}
	}
}

// tokenizedText does with the tokenizer of x/net/html what htmlText does.
func tokenizedText(s string) string {
	var h htmlScanner // for its output and its border only
	skip := ""
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return h.out.String()
		}
		token := z.Token()
		switch kind {
		case html.TextToken:
			if skip == "" {
				h.out.WriteString(strings.ReplaceAll(token.Data, "\u00ad", ""))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			skip = ""
			h.border(token.Data)
			switch token.Data {
			case "img", "area", "input":
				for _, a := range token.Attr {
					if a.Key == "alt" && a.Val != "" {
						h.out.WriteString(" " + strings.ReplaceAll(a.Val, "\u00ad", "") + " ")
						break
					}
				}
			case "script", "style", "title", "iframe", "noembed", "noframes":
				skip = token.Data
			case "noscript":
				z.NextIsNotRawText()
			}
		case html.EndTagToken:
			skip = ""
			h.border(token.Data)
		}
	}
}

// TestHTMLOfRealMail compares with the tokenizer over the HTML of real mail.
func TestHTMLOfRealMail(t *testing.T) {
	parts, differ := 0, 0
	for _, archive := range archives {
		corpus(t, archive, func(name string, raw []byte) {
			r := strings.NewReader(string(raw))
			s, err := Parse(r, int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			s.Root.Walk(func(p *Part) bool {
				if !p.Is("text", "html") || len(p.Children) > 0 {
					return true
				}
				var b strings.Builder
				if _, err := io.Copy(&b, DecodedPart(r, p)); err != nil {
					t.Fatal(err)
				}
				doc := strings.ReplaceAll(fallbackString(b.String()), "\x00", "")
				parts++
				if got, want := text.Normalize(htmlText(doc)), text.Normalize(tokenizedText(doc)); got != want {
					differ++
					i := 0
					for i < len(got) && i < len(want) && got[i] == want[i] {
						i++
					}
					t.Errorf("%s: at %d of %d\ngot  …%.150q\nwant …%.150q", name, i, len(want), got[max(0, i-30):], want[max(0, i-30):])
				}
				return true
			})
		})
	}
	t.Logf("%d HTML parts, %d differ", parts, differ)
	if parts < 500 {
		t.Errorf("only %d HTML parts", parts)
	}
}
