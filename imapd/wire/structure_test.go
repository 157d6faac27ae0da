package wire

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/message"
)

// oddMail has every production of envelope and body.
const oddMail = `Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: "Terry \"T\" Gray" <gray@cac.washington.edu>
Sender: <@a.example,@b.example:gray@cac.washington.edu>
To: Friends: a@example.org, "B C" <b@example.org>;, nobody
Subject: =?utf-8?q?caf=C3=A9?= "quoted"
Message-Id: <B27397-0100000@cac.washington.edu>
In-Reply-To:
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="x"; foo="a b"
Content-Language: en, de

--x
Content-Type: TEXT/PLAIN; charset=us-ascii; name="a\"b"
Content-ID: <id@x>
Content-Description: a text
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Disposition: attachment; filename="x.txt"; size=5
Content-Language: fr
Content-Location: http://example.org/x

one
two
--x
Content-Type: message/rfc822

Subject: inner
From: x@y

hi
--x
Content-Type: image/gif
Content-Transfer-Encoding: base64

R0lGODlh
--x--
`

func parsed(t *testing.T, mail string) *message.Structure {
	t.Helper()
	s, err := message.Parse(strings.NewReader(mail), int64(len(mail)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWriteEnvelope(t *testing.T) {
	s := parsed(t, crlf(oddMail))
	got := written(t, false, func(w *Writer) { f := w.Fetch(1); f.Envelope(s.Envelope); f.End() })
	gray := `(("Terry \"T\" Gray" NIL "gray" "cac.washington.edu"))`
	want := `* 1 FETCH (ENVELOPE ("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "=?utf-8?q?caf=C3=A9?= \"quoted\"" ` + gray +
		` ((NIL "@a.example,@b.example" "gray" "cac.washington.edu")) ` + gray +
		` ((NIL NIL "Friends" NIL)(NIL NIL "a" "example.org")("B C" NIL "b" "example.org")(NIL NIL NIL NIL)(NIL NIL "nobody" ""))` +
		` NIL NIL "" "<B27397-0100000@cac.washington.edu>"))` + "\r\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWriteBodyStructure(t *testing.T) {
	s := parsed(t, crlf(oddMail))
	inner := `(NIL "inner" ((NIL NIL "x" "y")) ((NIL NIL "x" "y")) ((NIL NIL "x" "y")) NIL NIL NIL NIL NIL)`
	tests := []struct {
		want  string
		write func(f *FetchWriter)
	}{
		{`BODY (("text" "plain" ("charset" "us-ascii" "name" "a\"b") "<id@x>" "a text" "7bit" 8 1)` +
			`("message" "rfc822" NIL NIL NIL "7bit" 31 ` + inner + ` ("text" "plain" NIL NIL NIL "7bit" 2 0) 3)` +
			`("image" "gif" NIL NIL NIL "base64" 8) "mixed")`,
			func(f *FetchWriter) { f.Body(s) }},
		{`BODYSTRUCTURE (("text" "plain" ("charset" "us-ascii" "name" "a\"b") "<id@x>" "a text" "7bit" 8 1 ` +
			`"Q2hlY2sgSW50ZWdyaXR5IQ==" ("attachment" ("filename" "x.txt" "size" "5")) "fr" "http://example.org/x")` +
			`("message" "rfc822" NIL NIL NIL "7bit" 31 ` + inner + ` ("text" "plain" NIL NIL NIL "7bit" 2 0 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)` +
			`("image" "gif" NIL NIL NIL "base64" 8 NIL NIL NIL NIL) "mixed" ("boundary" "x" "foo" "a b") NIL ("en" "de") NIL)`,
			func(f *FetchWriter) { f.BodyStructure(s) }},
	}
	for _, tt := range tests {
		got := written(t, false, func(w *Writer) { f := w.Fetch(1); tt.write(&f); f.End() })
		if want := "* 1 FETCH (" + tt.want + ")\r\n"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// What the grammar has no form for must not be promised by a type.
func TestPartsWithoutWhatTheirTypePromises(t *testing.T) {
	for _, p := range []*message.Part{
		{Type: "multipart", Subtype: "mixed", Encoding: "7bit"},
		{Type: "message", Subtype: "rfc822", Encoding: "7bit"},
		{Type: "message", Subtype: "global", Encoding: "7bit"},
	} {
		got := string(appendPart(nil, p, true, false))
		if want := `("application" "octet-stream" NIL NIL NIL "7bit" 0 NIL NIL NIL NIL)`; got != want {
			t.Errorf("%s/%s: got %s, want %s", p.Type, p.Subtype, got, want)
		}
	}
	delivery := &message.Part{Type: "message", Subtype: "delivery-status", Encoding: "7bit"}
	if got, want := string(appendPart(nil, delivery, false, false)), `("message" "delivery-status" NIL NIL NIL "7bit" 0)`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// checker follows the grammar of RFC 9051 §9 over what was written; it shares
// nothing with the parser of commands.
type checker struct {
	s    string
	utf8 bool // may stand in quoted strings
	err  error
}

func (c *checker) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("want %s at %.60q", what, c.s)
	}
	c.s = ""
}

func (c *checker) skip(prefix string) {
	if !strings.HasPrefix(c.s, prefix) {
		c.fail(prefix)
		return
	}
	c.s = c.s[len(prefix):]
}

func (c *checker) next(prefix string) bool { return strings.HasPrefix(c.s, prefix) }

func (c *checker) number() {
	n := 0
	for n < len(c.s) && c.s[n] >= '0' && c.s[n] <= '9' {
		n++
	}
	if n == 0 {
		c.fail("a number")
		return
	}
	c.s = c.s[n:]
}

// string is a quoted string of 7 bits, or a literal without NUL.
func (c *checker) string() {
	if c.next("{") {
		var n int
		if _, err := fmt.Sscanf(c.s, "{%d}\r\n", &n); err != nil || n < 0 {
			c.fail("a literal")
			return
		}
		c.s = c.s[strings.IndexByte(c.s, '\n')+1:]
		if n > len(c.s) || strings.IndexByte(c.s[:n], 0) >= 0 {
			c.fail("the literal's octets")
			return
		}
		c.s = c.s[n:]
		return
	}
	c.skip(`"`)
	for i := 0; i < len(c.s); i++ {
		switch ch := c.s[i]; {
		case ch == '"':
			c.s = c.s[i+1:]
			return
		case ch == '\\':
			if i++; i == len(c.s) || c.s[i] != '"' && c.s[i] != '\\' {
				c.fail("an escape")
			}
		case ch == 0 || ch == '\r' || ch == '\n' || ch > 127 && !c.utf8:
			c.fail("a quoted character")
		}
	}
	c.fail("the end of a quoted string")
}

func (c *checker) nstring() {
	if c.next("NIL") {
		c.skip("NIL")
		return
	}
	c.string()
}

// list is "(" 1*item ")" with sep between.
func (c *checker) list(sep string, item func()) {
	c.skip("(")
	for c.err == nil {
		item()
		if c.next(")") {
			break
		}
		c.skip(sep)
	}
	c.skip(")")
}

func (c *checker) orNil(read func()) {
	if c.next("NIL") {
		c.skip("NIL")
		return
	}
	read()
}

func (c *checker) envelope() {
	c.skip("(")
	c.nstring()
	c.skip(" ")
	c.nstring()
	for range 6 {
		c.skip(" ")
		c.orNil(func() { c.list("", c.address) })
	}
	c.skip(" ")
	c.nstring()
	c.skip(" ")
	c.nstring()
	c.skip(")")
}

func (c *checker) address() {
	c.skip("(")
	for i := range 4 {
		if i > 0 {
			c.skip(" ")
		}
		c.nstring()
	}
	c.skip(")")
}

func (c *checker) params() {
	c.orNil(func() { c.list(" ", func() { c.string(); c.skip(" "); c.string() }) })
}

func (c *checker) body(extended bool) {
	c.skip("(")
	switch {
	case c.next("("):
		for c.next("(") && c.err == nil {
			c.body(extended)
		}
		c.skip(" ")
		c.string()
		if extended {
			c.skip(" ")
			c.params()
			c.extension()
		}
	default:
		c.single(extended)
	}
	c.skip(")")
}

func (c *checker) single(extended bool) {
	start := c.s
	c.string()
	c.skip(" ")
	c.string()
	kind := start[:len(start)-len(c.s)]
	c.skip(" ")
	c.params()
	for range 2 {
		c.skip(" ")
		c.nstring()
	}
	c.skip(" ")
	c.string()
	c.skip(" ")
	c.number()
	if kind == `"message" "rfc822"` || kind == `"message" "global"` {
		c.skip(" ")
		c.envelope()
		c.skip(" ")
		c.body(extended)
		c.skip(" ")
		c.number()
	}
	if strings.HasPrefix(kind, `"text"`) {
		c.skip(" ")
		c.number()
	}
	if extended {
		c.skip(" ")
		c.nstring()
		c.extension()
	}
}

// extension is disposition, language and location.
func (c *checker) extension() {
	c.skip(" ")
	c.orNil(func() { c.skip("("); c.string(); c.skip(" "); c.params(); c.skip(")") })
	c.skip(" ")
	if c.next("(") {
		c.list(" ", c.string)
	} else {
		c.nstring()
	}
	c.skip(" ")
	c.nstring()
}

// checkStructure writes all that is said of a message and checks it.
func checkStructure(t testing.TB, name string, mail []byte) {
	s, err := message.Parse(strings.NewReader(string(mail)), int64(len(mail)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var out strings.Builder
	w := NewWriter(&out)
	f := w.Fetch(1)
	f.Envelope(s.Envelope)
	f.Body(s)
	f.BodyStructure(s)
	f.End()
	if err := w.Flush(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c := &checker{s: out.String()}
	c.skip("* 1 FETCH (ENVELOPE ")
	c.envelope()
	c.skip(" BODY ")
	c.body(false)
	c.skip(" BODYSTRUCTURE ")
	c.body(true)
	c.skip(")\r\n")
	if c.err != nil || c.s != "" {
		t.Errorf("%s: %v, rest %.60q, in\n%.2000s", name, c.err, c.s, out.String())
	}
}

func TestStructuresKeepTheGrammar(t *testing.T) {
	for name, mail := range map[string]string{
		"odd": crlf(oddMail), "empty": "", "no header": "\r\nx", "no colon": "foo\r\n\r\nx", "one octet": "\xff",
		"NUL everywhere": "Subject: a\x00b\r\nFrom: \x00 <a\x00@b>\r\nContent-Type: text/pl\x00ain; name=\x00\r\n\r\n\x00",
		"8 bits":         "Subject: \xe4\r\nFrom: \xff <\xe4@\xe4>\r\nContent-Type: text/plain; name=\xe4\r\nContent-Disposition: \xe4; filename=\xe4\r\n\r\n",
		"bare CR":        "Subject: a\rb\r\nContent-Type: text/plain; name=\"a\rb\"\r\n\r\n",
	} {
		checkStructure(t, name, []byte(mail))
	}
}

func FuzzStructure(f *testing.F) {
	f.Add([]byte(crlf(oddMail)))
	f.Add([]byte("Content-Type: multipart/x; boundary=a\r\n\r\n--a\r\n--a--"))
	f.Fuzz(func(t *testing.T, mail []byte) { checkStructure(t, "fuzz", mail) })
}

func TestStructuresOfRealMail(t *testing.T) {
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: no real mail to test with")
	}
	for _, archive := range []string{"mime-torture", "spamassassin"} {
		t.Run(archive, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "xz", "-dc", filepath.Join(dir, archive+".tar.xz"))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Skipf("the corpora cannot be unpacked: %v", err)
			}
			messages := 0
			for r := tar.NewReader(out); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if h.Typeflag != tar.TypeReg {
					continue
				}
				mail, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				messages++
				checkStructure(t, h.Name, mail)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if messages < 400 {
				t.Fatalf("only %d messages", messages)
			}
			t.Logf("%d messages", messages)
		})
	}
}

func BenchmarkStructure(b *testing.B) {
	s, err := message.Parse(strings.NewReader(crlf(oddMail)), int64(len(crlf(oddMail))))
	if err != nil {
		b.Fatal(err)
	}
	w := NewWriter(io.Discard)
	for name, write := range map[string]func(f *FetchWriter){
		"envelope":      func(f *FetchWriter) { f.Envelope(s.Envelope) },
		"bodystructure": func(f *FetchWriter) { f.BodyStructure(s) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f := w.Fetch(1)
				write(&f)
				f.End()
			}
		})
	}
}
