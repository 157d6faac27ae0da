package message

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// outline shows a structure and the bodies of its leaves on one line.
func outline(raw string, p *Part) string {
	name := p.Type + "/" + p.Subtype
	if p.Degraded {
		name = "!" + name
	}
	switch {
	case p.Message != nil:
		return name + "(" + outline(raw, p.Message) + ")"
	case len(p.Children) > 0:
		var list []string
		for _, c := range p.Children {
			list = append(list, outline(raw, c))
		}
		return name + "(" + strings.Join(list, " ") + ")"
	}
	return fmt.Sprintf("%s%q", name, raw[p.BodyStart:p.End])
}

func TestParse(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"empty", "", `text/plain""`},
		{"no body", "Subject: x\n", `text/plain""`},
		{"only a body", "\r\nbody\r\n", `text/plain"body\r\n"`},
		{"no header", "Dear all,\r\n\r\nbody\r\n", `text/plain"Dear all,\r\n\r\nbody\r\n"`},
		{"mbox line", "From a@b Thu Jan  1 00:00:00 1970\nContent-Type: text/html\n\nbody", `text/html"body"`},
		{"a field named From", "From : a@b\nContent-Type: text/html\n\nbody", `text/html"body"`},
		{"rubbish within the header", "Subject: x\n>From here\nContent-Type: text/html\n\nbody", `text/html"body"`},
		{"rubbish at its end", "Content-Type: text/html\nhello\n there\n\nbody", `text/html"hello\n there\n\nbody"`},
		{"a type without subtype", "Content-Type: text\n\nx", `text/plain"x"`},
		{"a type with three", "Content-Type: a/b/c\n\nx", `text/plain"x"`},
		{"an empty type", "Content-Type:\n\nx", `text/plain"x"`},
		{"comments and case", "Content-Type: (a) TEXT (b) / (c) HTML (d); charset=x\n\nx", `text/html"x"`},
		{"no semicolon", "Content-Type: text/html charset=utf-8\n\nx", `text/html"x"`},
		{"the first of two types", "Content-Type: text/html\nContent-Type: image/png\n\nx", `text/html"x"`},
		{"multipart", "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n--b\r\n\r\nnot a part\r\n",
			`multipart/mixed(text/plain"one" text/html"two\r\n")`},
		{"space behind a boundary", "Content-Type: multipart/mixed; boundary=b\n\n--b \t\n\none\n--b-- \n", `multipart/mixed(text/plain"one")`},
		{"a longer boundary is another", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bc\n--b---\n--b--", `multipart/mixed(text/plain"--bc\n--b---")`},
		{"quoted boundary", "Content-Type: multipart/mixed; boundary=\"a \\\"b;c\"\n\n--a \"b;c\n\none\n--a \"b;c--", `multipart/mixed(text/plain"one")`},
		{"no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n", `multipart/mixed(text/plain"one" text/plain"two\n")`},
		{"no boundary parameter", "Content-Type: multipart/mixed\n\n--b\n\none\n--b--", `!text/plain"--b\n\none\n--b--"`},
		{"no boundary line", "Content-Type: multipart/mixed; boundary=b; charset=x\n\none\n", `!text/plain"one\n"`},
		{"only the last boundary", "Content-Type: multipart/mixed; boundary=b\n\none\n--b--\n", `!text/plain"one\n--b--\n"`},
		{"no blank line before the boundary", "Content-Type: multipart/mixed; boundary=b\n--b\nContent-Type: text/html\n\none\n--b--", `multipart/mixed(text/html"one")`},
		{"no blank line, but rubbish before the boundary", "Content-Type: multipart/mixed; boundary=b\n(\n-- \n--b\nContent-Type: text/html\n\none\n--b--", `multipart/mixed(text/html"one")`},
		{"no blank line in a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nhello\n--b\nSubject: x\n--b--", `multipart/mixed(text/plain"hello" text/plain"")`},
		{"no header in a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nhello\nWhere: here\n\nthere\n--b--", `multipart/mixed(text/plain"hello\nWhere: here\n\nthere")`},
		{"empty parts", "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\n--b\n\n\n--b--", `multipart/mixed(text/plain"" text/plain"" text/plain"")`},
		{"nested", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n\n--a\n\nthree\n--a--",
			`multipart/mixed(multipart/alternative(text/plain"one" text/plain"two") text/plain"three")`},
		{"an outer boundary ends the inner parts", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--a\n\nthree\n--b\n--a--",
			`multipart/mixed(multipart/alternative(text/plain"one") text/plain"three\n--b")`},
		{"one boundary for both", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=a\n\n--a\n\none\n--a--\n--a\n\ntwo\n--a--",
			`multipart/mixed(multipart/alternative(text/plain"one") text/plain"two")`},
		{"message", "Content-Type: message/rfc822\n\nSubject: in\n\nbody\n", `message/rfc822(text/plain"body\n")`},
		{"message in a multipart", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--a\n\ntwo\n--a--",
			`multipart/mixed(message/rfc822(multipart/mixed(text/plain"one")) text/plain"two")`},
		{"a message cut off in its header", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nSubject: x\n--a\n\ntwo\n--a--",
			`multipart/mixed(message/rfc822(text/plain"") text/plain"two")`},
		{"a message of rubbish", "Content-Type: message/rfc822\n\nhello\n", `message/rfc822(text/plain"hello\n")`},
		{"a message without its blank line", "Content-Type: message/rfc822\nhello\n", `message/rfc822(text/plain"hello\n")`},
		{"an encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: BASE64\n\nU3V\n", `!application/octet-stream"U3V\n"`},
		{"digest", "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: in\n\none\n--a\nContent-Type: text/plain\n\ntwo\n--a--",
			`multipart/digest(message/rfc822(text/plain"one") text/plain"two")`},
		{"external body", "Content-Type: message/external-body; access-type=x\n\nContent-Type: image/png\n\n", `message/external-body"Content-Type: image/png\n\n"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := check([]byte(test.raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := outline(test.raw, s.Root); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestWindow moves a message over the places where the window ends.
func TestWindow(t *testing.T) {
	for _, at := range []int{window - 300, window, 2 * window} {
		for shift := range 120 {
			filler := strings.Repeat("x", at-shift) + "\r\n"
			raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + filler +
				"--b\r\nContent-Type: text/html\r\n\r\none\r\ntwo\r\n--b--\r\n"
			s, err := check([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(`multipart/mixed(text/plain%q text/html"one\r\ntwo")`, filler[:len(filler)-2])
			if got := outline(raw, s.Root); got != want {
				t.Fatalf("filler of %d: %.200s", len(filler), got)
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	raw := seeds[5]
	if _, err := Parse(strings.NewReader(raw), int64(len(raw))+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too short: %v", err)
	}
	broken := brokenAt{strings.NewReader(raw), int64(len(raw)) / 2}
	if _, err := Parse(broken, int64(len(raw))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a broken disk: %v", err)
	}
	if _, err := Extract(t.Context(), broken, int64(len(raw)), Limits{}); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a broken disk: %v", err)
	}
}

// brokenAt fails for what lies behind at.
type brokenAt struct {
	r  io.ReaderAt
	at int64
}

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= b.at {
		return b.r.ReadAt(p, off)
	}
	n, _ := b.r.ReadAt(p[:max(0, b.at-off)], off)
	return n, iotest.ErrTimeout
}

func TestSection(t *testing.T) {
	// The example of RFC 9051 §6.4.5.1.
	raw := "Content-Type: multipart/mixed; boundary=A\n\n" +
		"--A\n\n1\n" +
		"--A\nContent-Type: application/octet-stream\n\n2\n" +
		"--A\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=B\nSubject: 3\n\n" +
		"--B\n\n3.1\n--B\nContent-Type: application/octet-stream\n\n3.2\n--B--\n" +
		"--A\nContent-Type: multipart/mixed; boundary=C\n\n" +
		"--C\nContent-Type: image/gif\n\n4.1\n" +
		"--C\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=D\nSubject: 4.2\n\n" +
		"--D\n\n4.2.1\n--D\nContent-Type: multipart/alternative; boundary=E\n\n" +
		"--E\n\n4.2.2.1\n--E\nContent-Type: text/richtext\n\n4.2.2.2\n--E--\n--D--\n--C--\n" +
		"--A\nContent-Type: message/rfc822\n\nSubject: 5\n\n5.1\n--A--\n"
	s, err := check([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range [][]int{{1}, {2}, {3, 1}, {3, 2}, {4, 1}, {4, 2, 1}, {4, 2, 2, 1}, {4, 2, 2, 2}, {5, 1}} {
		want := strings.ReplaceAll(strings.Trim(fmt.Sprint(path), "[]"), " ", ".")
		p, ok := s.Section(path)
		if !ok {
			t.Errorf("no part %s", want)
		} else if got := raw[p.BodyStart:p.End]; got != want {
			t.Errorf("part %s is %q", want, got)
		}
	}
	for _, path := range [][]int{{0}, {-1}, {6}, {1, 1}, {1, 0}, {3, 3}, {4, 3}, {4, 2, 2, 3}, {5, 2}, {5, 1, 1}} {
		if p, ok := s.Section(path); ok {
			t.Errorf("part %v is %s/%s", path, p.Type, p.Subtype)
		}
	}
	if p, ok := s.Section(nil); !ok || p != s.Root {
		t.Error("the empty path is not the message")
	}
	if p, _ := s.Section([]int{4, 2}); p.Envelope.Subject != "4.2" {
		t.Errorf("the envelope of 4.2 has subject %q", p.Envelope.Subject)
	}
}

func TestSectionOfSinglePart(t *testing.T) {
	s, err := check([]byte("Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: x\n\nbody"))
	if err != nil {
		t.Fatal(err)
	}
	one, _ := s.Section([]int{1})
	two, _ := s.Section([]int{1, 1})
	three, _ := s.Section([]int{1, 1, 1})
	if one != s.Root || two != one.Message || three != two.Message {
		t.Error("messages in a message are not 1, 1.1, 1.1.1")
	}
	if _, ok := s.Section([]int{1, 1, 1, 1}); ok {
		t.Error("a text has a part")
	}
}

func TestHeaderFields(t *testing.T) {
	fields := "From x\nSubject: a\n  b\nrubbish\nTO : c\r\nto: d\nX: e"
	for _, test := range []struct {
		names []string
		not   bool
		want  string
	}{
		{[]string{"To", "subject"}, false, "Subject: a\n  b\nTO : c\r\nto: d\n"},
		{[]string{"To", "subject"}, true, "X: e\r\n"},
		{[]string{"absent"}, false, ""},
		{nil, true, "Subject: a\n  b\nTO : c\r\nto: d\nX: e\r\n"},
	} {
		// A blank line follows where there is one, or a body (RFC 9051 §6.4.5.1).
		for rest, blank := range map[string]string{"": "", "\n": "", "\r\n": "", "\n\n": "\r\n", "\r\n\r\n": "\r\n", "\r\n\n": "\r\n", "\n\nbody": "\r\n"} {
			s, err := check([]byte(fields + rest))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(test.want, "\r\n")
			if want != test.want && rest != "" { // the last field ends as the mail has it
				want += rest[:strings.IndexByte(rest, '\n')+1]
			} else {
				want = test.want
			}
			got, err := HeaderFields(strings.NewReader(fields+rest), s.Root, test.names, test.not)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want+blank {
				t.Errorf("%v, %v, then %q: %q, want %q", test.names, test.not, rest, got, want+blank)
			}
		}
	}
	for raw, want := range map[string]string{"": "", "\r\n": "\r\n", "\r\nbody": "\r\n", "\n": "\r\n"} {
		s, err := check([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := HeaderFields(strings.NewReader(raw), s.Root, []string{"to"}, false); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", raw, got, err, want)
		}
	}
}

func TestPartFields(t *testing.T) {
	raw := "Content-Type: Image/PNG; NAME=\"a\\\"b\"; x*1*=%20c; x*0*=utf-8'en'%C3%A9; y*0=\"a \"; y*1=b; z*=l1''%e9; z=plain; z=again\n" +
		"Content-ID: <id@host>\nContent-Description: =?utf-8?q?d?=\n more\nContent-Transfer-Encoding: \"Base64\" ;\n" +
		"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Disposition: ATTACHMENT; filename=my file (1).txt; size=3\n" +
		"Content-Language: en, (c) de-AT\nContent-Location: http://a/\n b\nContent-ID: second\n\n"
	s, err := check([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	p := s.Root
	got := fmt.Sprintf("%q %q %q %q %q %q %q %q %q %q %q", p.Type, p.Subtype, p.Params, p.ID, p.Description, p.Encoding, p.MD5,
		p.Disposition, p.DispositionParams, p.Language, p.Location)
	want := `"image" "png" [{"name" "a\"b"} {"x*" "utf-8'en'%C3%A9%20c"} {"y" "a b"} {"z*" "l1''%e9"} {"z" "plain"} {"z" "again"}] ` +
		`"<id@host>" "=?utf-8?q?d?= more" "base64" "Q2hlY2sgSW50ZWdyaXR5IQ==" "attachment" ` +
		`[{"filename" "my file (1).txt"} {"size" "3"}] ["en" "de-AT"] "http://a/b"`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{"x": "é c", "y": "a b", "z": "é", "name": `a"b`, "none": ""} {
		if got := p.Param(name); got != want {
			t.Errorf("parameter %s is %q", name, got)
		}
	}
	if got := p.FileName(); got != "my file (1).txt" {
		t.Errorf("the file is named %q", got)
	}
}

func TestParams(t *testing.T) {
	for value, want := range map[string]string{
		``:                                 `[]`,
		`; ;;a=b;`:                         `[{"a" "b"}]`,
		`; a = b ; c`:                      `[{"a" "b"}]`,
		`; a="b`:                           `[{"a" "b"}]`,
		`; a="b" rubbish; c=d`:             `[{"a" "b"} {"c" "d"}]`,
		`; a=b (comment); c=d`:             `[{"a" "b"} {"c" "d"}]`,
		`; =x; a=b`:                        `[{"a" "b"}]`,
		`; a*0*=x'y'1%; a*1=2 3; a*2*=%34`: `[{"a*" "x'y'1%2%203%34"}]`,
		`; a*0=1; a*1*=%32; a*3=lost`:      `[{"a*" "''1%32"}]`,
		`; a*1=only`:                       `[{"a" ""}]`,
		`; a*x=1; *=2; *0=3`:               `[{"a*x" "1"} {"*" "2"} {"*0" "3"}]`,
		`; a="C:\dir\3.txt"; b="\"\\\;"`:   `[{"a" "C:\\dir\\3.txt"} {"b" "\"\\;"}]`,
		`; a*0=1; a*0=2`:                   `[{"a" "1"}]`,
		"; a=\"folded\r\n value\"; b=two\r\n\twords": `[{"a" "folded value"} {"b" "two	words"}]`,
	} {
		_, _, params := parseType([]byte("text/plain" + value))
		if got := fmt.Sprintf("%q", params); got != strings.ReplaceAll(want, "\t", `\t`) {
			t.Errorf("%s\ngot  %s\nwant %s", value, got, want)
		}
	}
}
