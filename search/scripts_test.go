package search_test

import (
	"encoding/base64"
	"fmt"
	"html"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/unicode/norm"

	"teraslot/mailbox"
	"teraslot/search"
)

// written is a text in a script, in what mail of it has been written in, and keys that find
// this text and none of the others.
type written struct {
	text     string
	charsets string
	keys     []string
	like     []string // words that FUZZY finds it by, without marks for instance
}

var inScripts = map[string]written{
	"Western":     {"Ein Mädchen aß süßen Käse", "iso-8859-1 iso-8859-15 windows-1252 macintosh utf-8", []string{"Mädchen", "MÄDCHEN", "süßen", "SÜßEN KÄSE", "ädche"}, []string{"madchen", "kaese", "sussen"}},
	"Central":     {"Zażółć gęślą jaźń", "iso-8859-2 windows-1250 utf-8", []string{"Zażółć", "JAŹŃ", "ęślą ja"}, []string{"zazolc", "gesla"}},
	"Turkish":     {"Işık çok güçlü", "iso-8859-9 windows-1254 utf-8", []string{"güçlü", "ÇOK GÜÇLÜ", "şık"}, []string{"cok guclu"}},
	"Baltic":      {"Ąžuolas ėjo lėtai", "iso-8859-13 windows-1257 utf-8", []string{"Ąžuolas", "ėjo lė"}, []string{"azuolas"}},
	"Vietnamese":  {"Tiếng Việt đẹp", "utf-8", []string{"Tiếng", "VIỆT", "ẹp"}, []string{"tieng viet"}},
	"Greek":       {"Καλημέρα κόσμε", "iso-8859-7 windows-1253 utf-8", []string{"Καλημέρα", "ΚΑΛΗΜΈΡΑ ΚΌΣΜΕ", "λημέ"}, []string{"καλημερα"}},
	"Russian":     {"Съешь ещё булок", "koi8-r windows-1251 iso-8859-5 ibm866 x-mac-cyrillic utf-8", []string{"Съешь", "ЕЩЁ БУЛОК", "уло"}, []string{"еще"}},
	"Ukrainian":   {"Їжак їсть ґудзик", "koi8-u windows-1251 utf-8", []string{"Їжак", "ЇСТЬ ҐУДЗИК", "ґудз"}, nil},
	"Hebrew":      {"שלום עולם", "windows-1255 iso-8859-8 iso-8859-8-i utf-8", []string{"שלום", "לום עו"}, nil},
	"Arabic":      {"مرحبا بالعالم", "windows-1256 iso-8859-6 utf-8", []string{"مرحبا", "بالعال"}, nil},
	"Thai":        {"สวัสดีชาวโลก", "windows-874 tis-620 utf-8", []string{"สวัสดี", "ชาวโลก", "ดีชา"}, nil},
	"Hindi":       {"नमस्ते दुनिया", "utf-8", []string{"नमस्ते", "दुनि"}, nil},
	"Japanese":    {"資料をお送りします", "iso-2022-jp euc-jp shift_jis utf-8", []string{"資料を", "お送り", "りし"}, []string{"送り"}},
	"Simplified":  {"请查收会议纪要", "gbk gb2312 gb18030 utf-8", []string{"请查收", "会议", "纪"}, []string{"会议"}},
	"Traditional": {"請查閱會議紀錄", "big5 utf-8", []string{"請查閱", "會議", "錄"}, nil},
	"Korean":      {"회의 문서를 보냅니다", "euc-kr utf-8", []string{"회의", "문서를 보", "냅니"}, nil},
	"emoji":       {"ship 🚀 it 👩‍👩‍👧", "utf-8 gb18030", []string{"🚀", "ship 🚀", "👩‍👧"}, nil},
	"full width":  {"ＱＷＥ１２３ ﾃｽﾄ", "shift_jis euc-jp utf-8", []string{"qwe123", "ＷＥ１", "テスト"}, nil},
	"mixed":       {"Zürich東京мир42", "utf-8", []string{"zürich", "東京", "мир42", "h東京м"}, []string{"zurich"}},
}

// inCharset is a text in a charset.
func inCharset(t *testing.T, charset, s string) string {
	t.Helper()
	e, err := htmlindex.Get(charset)
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.NewEncoder().String(s)
	if err != nil {
		t.Fatalf("%s cannot be in %s: %v", s, charset, err)
	}
	return out
}

// transferred is a body part, in a transfer encoding.
func transferred(t *testing.T, kind, charset, encoding, s string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: %s; charset=\"%s\"\r\nContent-Transfer-Encoding: %s\r\n\r\n", kind, charset, encoding)
	switch raw := inCharset(t, charset, s); encoding {
	case "base64":
		b.WriteString(base64.StdEncoding.EncodeToString([]byte(raw)))
	case "quoted-printable":
		q := quotedprintable.NewWriter(&b)
		_, err := q.Write([]byte(raw))
		if err == nil {
			err = q.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	default:
		b.WriteString(raw)
	}
	return b.String() + "\r\n"
}

// entities writes every code point as a reference of HTML.
func entities(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i%2 == 0 {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			fmt.Fprintf(&b, "&#x%X;", r)
		}
	}
	return b.String()
}

// decomposed writes marks behind their letters. Syllables of Hangul stay as they are: what
// i;unicode-casemap takes apart is what UnicodeData.txt does (RFC 5051 §2).
func decomposed(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.Is(unicode.Hangul, r) {
			b.WriteRune(r)
		} else {
			b.WriteString(norm.NFD.String(string(r)))
		}
	}
	return b.String()
}

// mailOf are messages with a text in their body, and others with it in their Subject, in all
// its charsets and encodings.
func mailOf(t *testing.T, w written) (bodies, subjects []*mail) {
	add := func(to *[]*mail, raw string) {
		*to = append(*to, &mail{raw: []byte(raw), internal: testNow, sent: testNow})
	}
	for _, charset := range strings.Fields(w.charsets) {
		for _, encoding := range []string{"8bit", "quoted-printable", "base64"} {
			add(&bodies, "Subject: plain\r\n"+transferred(t, "text/plain", charset, encoding, w.text))
			add(&bodies, "Subject: html\r\n"+transferred(t, "text/html", charset, encoding, "<p>"+html.EscapeString(w.text)+"</p>"))
		}
		raw := inCharset(t, charset, w.text)
		add(&subjects, fmt.Sprintf("Subject: =?%s?B?%s?=\r\n\r\nnothing\r\n", charset, base64.StdEncoding.EncodeToString([]byte(raw))))
		var q strings.Builder
		for _, c := range []byte(raw) {
			fmt.Fprintf(&q, "=%02X", c)
		}
		add(&subjects, fmt.Sprintf("Subject: =?%s?q?%s?=\r\n\r\nnothing\r\n", charset, q.String()))
	}
	add(&bodies, "Subject: entities\r\n"+transferred(t, "text/html", "us-ascii", "7bit", entities(w.text)))
	if d := decomposed(w.text); d != w.text {
		add(&bodies, "Subject: decomposed\r\n"+transferred(t, "text/plain", "utf-8", "8bit", d))
	}
	add(&subjects, "Subject: "+w.text+"\r\n\r\nnothing\r\n") // RFC 6532
	return bodies, subjects
}

// TestEveryScript: what was written in any script, in every charset and encoding that mail of
// it comes in, is found as it was written, in other letters and by a part, by
// FUZZY without its marks, in messages of that script alone, with an index and without.
func TestEveryScript(t *testing.T) {
	f := newFixture(t, search.Options{})
	bodies, subjects := map[string][]mailbox.UID{}, map[string][]mailbox.UID{}
	for name, w := range inScripts {
		inBody, inSubject := mailOf(t, w)
		f.deliver(slices.Concat(inBody, inSubject)...)
		for _, m := range inBody {
			bodies[name] = append(bodies[name], m.uid)
		}
		for _, m := range inSubject {
			subjects[name] = append(subjects[name], m.uid)
		}
	}
	for _, state := range []string{"no index", "an index"} {
		for name, w := range inScripts {
			for _, key := range append(slices.Clone(w.keys), w.text, strings.ToUpper(w.text)) {
				f.finds(state+", "+name+" by BODY "+key, search.Body(key), bodies[name])
				f.finds(state+", "+name+" by SUBJECT "+key, search.Header("subject", key), subjects[name])
				f.finds(state+", "+name+" by TEXT "+key, search.Anywhere(key), slices.Concat(bodies[name], subjects[name]))
			}
			for _, key := range append(slices.Clone(w.like), w.text) {
				f.finds(state+", "+name+" by FUZZY "+key, search.Fuzzy{Key: search.Anywhere(key)}, slices.Concat(bodies[name], subjects[name]))
			}
		}
		f.index(f.mails...)
	}
}

// finds fails unless a query finds these messages.
func (f *fixture) finds(what string, q search.Query, want []mailbox.UID) {
	f.t.Helper()
	res, err := f.find(q)
	f.must(err)
	if !slices.Equal(res.UIDs, want) {
		f.t.Errorf("%s: %d messages, want %d; %s", what, len(res.UIDs), len(want), f.difference(res.UIDs, want))
	}
}
