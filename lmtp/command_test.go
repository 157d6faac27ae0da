package lmtp

import (
	"strings"
	"testing"
)

func TestCutAddress(t *testing.T) {
	for _, x := range []struct{ in, written, name, rest string }{
		{"<>", "", "", ""},
		{"<> SIZE=1", "", "", " SIZE=1"},
		{"<anna@example.org>", "anna@example.org", "anna@example.org", ""},
		{"<anna@example.org> SIZE=1", "anna@example.org", "anna@example.org", " SIZE=1"},
		{"anna@example.org SIZE=1", "anna@example.org", "anna@example.org", " SIZE=1"},
		{"<postmaster>", "postmaster", "postmaster", ""},
		{"<@relay.example,@b.example:anna@example.org>", "anna@example.org", "anna@example.org", ""},
		{`<"anna b"@example.org>`, `"anna b"@example.org`, "anna b@example.org", ""},
		{`<"a\"b\\c>"@example.org>x`, `"a\"b\\c>"@example.org`, `a"b\c>@example.org`, "x"},
		{"<anna@[127.0.0.1]>", "anna@[127.0.0.1]", "anna@[127.0.0.1]", ""},
		{"<anna@[IPv6:::1]>", "anna@[IPv6:::1]", "anna@[IPv6:::1]", ""},
		{"<jürgen@пример.example>", "jürgen@пример.example", "jürgen@пример.example", ""},
	} {
		got, rest, err := cutAddress(x.in)
		if err != nil || got != (address{x.written, x.name}) || rest != x.rest {
			t.Errorf("%q: %+v, %q, %v", x.in, got, rest, err)
		}
	}
	for _, in := range []string{"", " ", "<", "<anna@example.org", `<"anna@example.org>`, "<a b@example.org>", "<a\tb@c>", "<a\x00@b>", "<a<b>",
		"<a,b@c>", "<@relay.example>x<>", "<a@b\x7f>", `<"a`, `<"a\`, "<(x)@y>"} {
		if got, rest, err := cutAddress(in); err == nil && got.sane() {
			t.Errorf("%q is read as %+v, %q", in, got, rest)
		}
	}
}

// FuzzCutAddress: what is read as a path can be put between brackets and read again.
func FuzzCutAddress(f *testing.F) {
	for _, s := range []string{"<a@b>", `<"x\"y"@z> SIZE=1`, "<@r:a@b>", "<>", "a@b c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, rest, err := cutAddress(s)
		if err != nil {
			return
		}
		if !strings.HasSuffix(s, rest) || strings.ContainsAny(a.written, "\r\n\x00") {
			t.Fatalf("%q is read as %+v, %q", s, a, rest)
		}
		if strings.HasPrefix(a.written, "@") {
			return // would be a route
		}
		again, rest, err := cutAddress("<" + a.written + ">")
		if again != a || rest != "" || err != nil {
			t.Fatalf("%q is read as %+v, and that as %+v, %q, %v", s, a, again, rest, err)
		}
	})
}

func TestParseMail(t *testing.T) {
	for in, want := range map[string]struct {
		size int64
		code int
	}{
		"":                            {0, 0},
		" SIZE=100":                   {100, 0},
		" size=0 body=8bitmime":       {0, 0},
		" SMTPUTF8 BODY=7BIT":         {0, 0},
		" SIZE=1000":                  {1000, 0},
		" SIZE=1001":                  {0, 552},
		" SIZE=99999999999":           {0, 552},
		" SIZE=99999999999999999999":  {0, 552}, // 20 digits, more than 63 bits
		" SIZE=999999999999999999999": {0, 501},
		" SIZE=":                      {0, 501},
		" SIZE":                       {0, 501},
		" SIZE=-1":                    {0, 501},
		" SIZE=+1":                    {0, 501},
		" SIZE=0x1":                   {0, 501},
		" BODY=BINARYMIME":            {0, 504},
		" BODY":                       {0, 504},
		" SMTPUTF8=1":                 {0, 555},
		" RET=FULL":                   {0, 555},
		" x":                          {0, 555},
	} {
		p, bad := parseMail(in, 1000)
		if bad.code != want.code || want.code == 0 && p.size != want.size {
			t.Errorf("%q: %+v, %v", in, p, bad)
		}
	}
}

func TestParseChunk(t *testing.T) {
	for in, want := range map[string]struct {
		size     int64
		last, ok bool
	}{
		"0": {0, false, true}, "10": {10, false, true}, "10 LAST": {10, true, true}, "10 last": {10, true, true},
		"": {}, "LAST": {}, "-1": {}, "10 FIRST": {}, "10 LAST x": {}, "1x": {}, "99999999999999999999": {}, "10 ": {},
	} {
		size, last, ok := parseChunk(in)
		if ok != want.ok || ok && (size != want.size || last != want.last) {
			t.Errorf("%q: %d, %v, %v", in, size, last, ok)
		}
	}
}
