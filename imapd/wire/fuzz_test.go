package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// drive reads to the end, takes messages if take is set, and tells what it saw.
func drive(r *Reader, take bool) (seen []string, final error) {
	for {
		req, err := r.Next()
		var bad *SyntaxError
		switch {
		case errors.As(err, &bad):
			seen = append(seen, bad.Tag+" "+bad.Error())
			continue
		case err != nil:
			return seen, err
		}
		seen = append(seen, fmt.Sprintf("%s %s %#v", req.Tag, req.Command.Name(), req.Command))
		for more := take; more; {
			src, err := r.Message()
			if err != nil {
				break
			}
			data, _ := io.ReadAll(src)
			m, err := r.More()
			seen = append(seen, fmt.Sprintf("message %q, %v", data, err))
			more = m != nil
		}
	}
}

// pointers are what differs between two prints of the same command.
var pointers = regexp.MustCompile(`\(0x[0-9a-f]+\)|0xc[0-9a-f]+`)

func readerSeeds(f *testing.F) {
	for _, s := range []string{
		"a NOOP\r\n", "a LOGIN {3+}\r\nabc {3}\r\nabc\r\n", "a APPEND x (a) {3+}\r\nabc {3+}\r\nabc\r\nb NOOP\r\n",
		"a APPEND x UTF8 (~{3+}\r\nabc)\r\n", "a UID SEARCH RETURN (ALL) CHARSET UTF-8 OR (1:* NOT SEEN) TEXT {1+}\r\nx\r\n",
		"a LIST (SUBSCRIBED) \"\" (a b) RETURN (STATUS (SIZE))\r\n", "a FETCH 1 (BODY[1.HEADER.FIELDS (A)]<0.1> FLAGS) (CHANGEDSINCE 1)\r\n",
		"a LOGIN {99999+}\r\n", "\r\n\r\n", "a NOOP\n", "a \x00\r\n", strings.Repeat("x", 300) + " {3+}\r\nabc\r\n", "a REPLACE 1 x {1}\r\n",
		"a NOTIFY SET STATUS (selected (MessageNew (UID) MessageExpunge))\r\n", "a SELECT x (QRESYNC (1 2 3:4 (5 6)))\r\n",
		"a EXAMINE x (CONDSTORE QRESYNC (4294967295 9223372036854775807 1:4294967295 (1:4294967295 1:4294967295)))\r\n",
		"a UID SEARCH MODSEQ \"/flags/\\\\seen\" shared 9223372036854775807\r\n", "a UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 5 VANISHED)\r\n",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
}

// FuzzReader holds on any input: no panic, bounded memory, and the same commands
// however the input is cut into pieces.
func FuzzReader(f *testing.F) {
	readerSeeds(f)
	waits := regexp.MustCompile(`[0-9]\}\r\n`) // whether more came at once then matters
	f.Fuzz(func(t *testing.T, input []byte, take bool) {
		o := Options{Limits: Limits{Line: 200, Literals: 100, Drain: 1000}}
		r := NewReader(bytes.NewReader(input), o)
		whole, final := drive(r, take)
		if final == nil || r.Err() != final {
			t.Fatalf("ended with %v, Err() = %v", final, r.Err())
		}
		if cap(r.line) > 2*readBuffer+400 {
			t.Fatalf("%d octets kept of a line", cap(r.line))
		}
		if waits.Match(input) {
			return
		}
		pieces, finalPieces := drive(NewReader(iotest.OneByteReader(bytes.NewReader(input)), o), take)
		a, b := fmt.Sprintf("%q %v", whole, final), fmt.Sprintf("%q %v", pieces, finalPieces)
		if pointers.ReplaceAllString(a, "") != pointers.ReplaceAllString(b, "") {
			t.Fatalf("whole:  %s\npieces: %s", a, b)
		}
	})
}

// FuzzRefusedLiteral puts any text behind the announcement of a literal that any
// command made: it must never come out as a command.
func FuzzRefusedLiteral(f *testing.F) {
	for _, prefix := range []string{"a LOGIN", "a APPEND INBOX", "a FOO", "", `a "`, "a SEARCH TEXT", "a APPEND x (", "a REPLACE 1 x", "a \x00", "(((", "a APPEND x UTF8 (~"} {
		f.Add([]byte(prefix), []byte(evil), int64(10))
		f.Add([]byte(prefix), []byte("x {9+}\r\nx NOOP\r\n\r\n"), int64(1000))
	}
	f.Fuzz(func(t *testing.T, prefix, content []byte, limit int64) {
		prefix = bytes.ReplaceAll(prefix, []byte("\n"), nil)
		if len(content) > 5000 || len(prefix) > 5000 {
			return
		}
		input := fmt.Appendf(nil, "%s {%d+}\r\n%s\r\nend NOOP\r\n", prefix, len(content), content)
		r := NewReader(bytes.NewReader(input), Options{Limits: Limits{Line: 100, Literals: max(limit, 1)}})
		seen, final := drive(r, limit%2 == 0)
		if len(seen) > 0 && strings.HasPrefix(seen[len(seen)-1], "end NOOP ") {
			seen = seen[:len(seen)-1]
		} else {
			t.Fatalf("%q: the command after it is lost: %q, %v", input, seen, final)
		}
		if len(seen) == 2 && strings.HasPrefix(seen[1], "message ") {
			seen = seen[:1]
		}
		if len(seen) != 1 || final != io.EOF {
			t.Fatalf("%q: read as %q, %v", input, seen, final)
		}
	})
}

// FuzzParse reads any text as a command; an error says where, in words of ours.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"NOOP", "LOGIN a b", `STORE 1 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\Seen)`, "SORT (REVERSE DATE) UTF-8 ALL",
		"SEARCH OR (NOT 1:*) SENTSINCE 1-Feb-1994", "ESEARCH IN (subtree (a b)) ALL", `APPEND x "17-Jul-1996 02:44:25 -0700" {0}`,
		`SETMETADATA x (/a {1}` + "\r\nx)", "UID FETCH 1 FLAGS (PARTIAL -1:-5 VANISHED CHANGEDSINCE 1)", `ID ("a" NIL)`} {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, utf8Names bool) {
		c, err := parse(text, utf8Names)
		var bad *SyntaxError
		switch {
		case err == nil:
			if _, ok := commands[strings.TrimPrefix(c.Name(), "UID ")]; !ok {
				t.Fatalf("a command of the name %q", c.Name())
			}
		case errors.As(err, &bad):
			if bad.Pos < 0 || bad.Pos > len(text)+len("a ") {
				t.Fatalf("position %d in %d octets", bad.Pos, len(text))
			}
			for _, ch := range []byte(bad.Error()) {
				if ch < ' ' || ch > 126 {
					t.Fatalf("the error says %q", bad.Error())
				}
			}
		}
	})
}

// FuzzUTF7: a name has one encoding, and an encoding one name.
func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "&AOQ-", "a&-b", "&ZeVnLIqe-", "&AOQ-&AOQ-", "&2D3eAA-", "&2D0-", "&AGE-", "&", "&AO", "&AOQA-", "😀", "ä&b", "\x00", "&AAAA-", "&AOT-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, ok := DecodeUTF7(s); ok {
			if !utf8.ValidString(name) {
				t.Fatalf("%q decodes to %q", s, name)
			}
			if back := string(AppendUTF7(nil, name)); back != s {
				t.Fatalf("%q is %q is %q", s, name, back)
			}
		}
		if !utf8.ValidString(s) {
			return
		}
		coded := AppendUTF7(nil, s)
		if name, ok := DecodeUTF7(string(coded)); !ok || name != s {
			t.Fatalf("%q is %q is %q, %v", s, coded, name, ok)
		}
	})
}

// FuzzStrings: what the Writer writes the Reader reads.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "a", "NIL", `"\`, "a b", "ä", "\xff", "\r\n", "\x00", "a]b", "{3}", "INBOX", "R&D", "*"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, utf8OK bool) {
		text := written(t, utf8OK, func(w *Writer) {
			w.Raw("LOGIN ")
			w.AString(s)
			w.Raw(" ")
			w.String(s)
		})
		if len(text) > 60000 {
			return
		}
		want := strings.ReplaceAll(s, "\x00", "")
		if c, err := parse(text, utf8OK); err != nil || !reflect.DeepEqual(c, &Login{want, want}) {
			t.Fatalf("%q: %#v, %v", text, c, err)
		}
		if !utf8.ValidString(s) || want != s || strings.EqualFold(s, "INBOX") {
			return
		}
		text = written(t, utf8OK, func(w *Writer) { w.Raw("DELETE "); w.Mailbox(s) })
		if c, err := parse(text, utf8OK); err != nil || c.(*Delete).Mailbox != s {
			t.Fatalf("%q: %#v, %v", text, c, err)
		}
	})
}

// FuzzReply: no text and no code makes more than one line.
func FuzzReply(f *testing.F) {
	f.Add("a\r\n* BYE", "X]\r\n* BYE", true)
	f.Fuzz(func(t *testing.T, text, code string, utf8OK bool) {
		got := written(t, utf8OK, func(w *Writer) { w.Untagged(Reply{imap.StatusResponseTypeOK, Code(code), text}) })
		if strings.Count(got, "\n") != 1 || strings.Count(got, "\r") != 1 || !strings.HasSuffix(got, "\r\n") || strings.ContainsRune(got, 0) {
			t.Fatalf("%q", got)
		}
		if code == "" && strings.HasPrefix(got, "* OK [") {
			t.Fatalf("text became a code: %q", got)
		}
	})
}
