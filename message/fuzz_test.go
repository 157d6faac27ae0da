package message

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds are messages with one oddity each.
var seeds = []string{
	"",
	"\n",
	"Subject: x\r\n\r\nbody\r\n",
	"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nbody",
	"no header at all\r\n\r\nbody\r\n",
	"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--b--\r\nepilogue",
	"Content-Type: multipart/mixed; boundary=\"b\"\n--b\nSubject: x\n--b",
	"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n\ntext\n--b--",
	"Content-Type: message/rfc822\n\nSubject: in\nContent-Type: message/rfc822\n\nTo: g: a@b, c@d;\n\nx",
	"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW4KCnRleHQ=\n",
	"Content-Type: text/plain; charset*0=ut; charset*1=f-8; name*=utf-8''%C3%A9; x*0*=l1''a; x*1=b%\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9=\n!=\n",
	"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n1\n--a\n\n2\n--b--\n--a--",
	"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\njunk\n--a\n\njunk: \njunk\n--a--",
	"Subject: =?utf-8?q?a?= =?utf-8?b?w6k=?= \xe9 =?x?\n folded\n\tmore\nCc: \"q\\\"\" <a@b>, (c(d)) e <@r,@s:f@g>, <h\n\n",
	"Date: Fri, 21 Nov 97 09:55:06 EST (comment)\nContent-Disposition: attachment; filename=a b (c).txt\nContent-Language: en, de\nContent-MD5: x\n\n",
	"Content-Type: text/plain; charset=utf-7\n\n+AOk- +- + +AOk",
	"Content-Type: text/html\n\n<p>a&eacute;<b>b</b>c<!-- x -->d<script>if (a</b) </script><img alt='e f'>g<style>",
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := check(raw)
		if err != nil {
			t.Fatal(err)
		}
		// What dumb leaves out: depth, and messages in an encoding.
		if len(raw) < 2000 && !strings.Contains(lower(raw), "encoding") {
			if err := compareWithDumb(string(raw)); err != nil {
				t.Fatal(err)
			}
		}
		s.Root.Walk(func(p *Part) bool {
			if _, err := HeaderFields(bytes.NewReader(raw), p, []string{"subject"}, false); err != nil {
				t.Fatal(err)
			}
			return true
		})
		s.Envelope.SentDate()
		MessageID(s.Envelope)
		s.Ancestors()
	})
}

func FuzzExtract(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := Extract(t.Context(), bytes.NewReader(raw), int64(len(raw)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkUnits(x.Units); err != nil {
			t.Fatal(err)
		}
		again, err := Extract(t.Context(), bytes.NewReader(raw), int64(len(raw)), Limits{})
		if err != nil || !reflect.DeepEqual(x, again) {
			t.Fatalf("a second extraction differs (%v)", err)
		}
	})
}

func FuzzUnmarshalStructure(f *testing.F) {
	for _, raw := range seeds {
		s, err := Parse(strings.NewReader(raw), int64(len(raw)))
		if err != nil {
			f.Fatal(err)
		}
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := UnmarshalStructure(b)
		if err != nil {
			return
		}
		parts := 0
		s.Root.Walk(func(*Part) bool { parts++; return true })
		if parts > maxParts {
			t.Fatalf("%d parts", parts)
		}
		if err := checkBinary(s); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{"", "plain", "=?utf-8?q?a=C3=A9_?=\r\n =?utf-8?B?w6k?=", "=?gb2312?b?xOO6w?= x", "=?a?q? =?b?b??=", "\xe9\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		out := DecodeHeader(value)
		if !utf8.ValidString(out) {
			t.Fatalf("DecodeHeader(%q) is not UTF-8: %q", value, out)
		}
		if !strings.ContainsAny(value, "=\r\n\x00") && utf8.ValidString(value) && out != value {
			t.Fatalf("DecodeHeader(%q) = %q", value, out)
		}
		ParseAddresses(value)
		ParseDate(value)
		MessageIDs(value)
	})
}

func FuzzDecodeText(f *testing.F) {
	for _, name := range []string{"utf-8", "utf-7", "iso-2022-jp", "iso-2022-kr", "gb18030", "hz", "shift_jis", "koi8-r", "x-unknown", "utf-16", "windows-1253"} {
		f.Add(name, []byte("a\xe9\x1b$B+AOk-\x0e~{"))
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if out := DecodeText(name, b); !utf8.ValidString(out) {
			t.Fatalf("DecodeText(%q, %q) is not UTF-8: %q", name, b, out)
		}
	})
}

func FuzzHTML(f *testing.F) {
	for _, s := range []string{"", "<", "</", "<a", "<!-->x", "<!--->x", "<!-- a -- b --!>c", "<script>x</scriptx></script >y", "<p a=\"'>\" b='>' c=>d", "&amp;&#x41;&bogus;", "<textarea><b></textarea>", "</ >x", "<img alt=a&amp;b/>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		if out := htmlText(s); !utf8.ValidString(out) {
			t.Fatalf("htmlText(%q) is not UTF-8: %q", s, out)
		}
	})
}
