package exporter

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// readMboxrd is a reader of the mboxrd form that does nothing else: a message lies
// between a "From " line and the empty line before the next, and every line of ">"s
// and "From " has one ">" too many.
func readMboxrd(t rapid.TB, file string) (messages []string) {
	t.Helper()
	for len(file) > 0 {
		line, rest, ok := strings.Cut(file, "\n")
		if !ok || !strings.HasPrefix(line, "From ") {
			t.Fatalf("no From line: %q", line)
		}
		end := strings.Index(rest, "\n\nFrom ") // quoted lines never begin so
		switch {
		case strings.HasPrefix(rest, "\nFrom "):
			end = -1 // an empty message
			messages, file = append(messages, ""), rest[1:]
			continue
		case end < 0:
			end = len(rest) - 2
		}
		var body strings.Builder
		if end >= -1 {
			for l := range strings.Lines(rest[:end+1]) {
				if strings.HasPrefix(strings.TrimLeft(l, ">"), "From ") {
					l = l[1:]
				}
				body.WriteString(l)
			}
		}
		messages, file = append(messages, body.String()), rest[end+2:]
	}
	return messages
}

// mail draws messages that are hard to quote and to end.
func mail() *rapid.Generator[string] {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", "From here", ">From there", ">>From x Mon Jan  6 10:20:30 2020", "From x Mon Jan  6 10:20:30 2020",
			"From", "Fro", "From:", ">", ">>>", "Fr>om ", " From x", "\rFrom x", "\r", "Status: R", "From \x00\xff", strings.Repeat(">", 70000) + "From x", strings.Repeat("y", 70000)}),
		rapid.StringMatching(`[ -~]{0,40}`))
	end := rapid.SampledFrom([]string{"\r\n", "\r\n", "\r\n", "\n", "\r\r\n", "\r"})
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		plain := rapid.Bool().Draw(t, "plain")
		for range rapid.IntRange(0, 8).Draw(t, "lines") {
			b.WriteString(line.Draw(t, "line"))
			if plain {
				b.WriteString("\r\n")
			} else {
				b.WriteString(end.Draw(t, "end"))
			}
		}
		return b.String()
	})
}

// pieces reads in pieces of odd sizes.
func pieces(s string) io.Reader { return iotest.HalfReader(iotest.DataErrReader(strings.NewReader(s))) }

// TestMboxrdRoundTrip: what a reader of the form takes out of an mbox is, byte for
// byte, the messages, but for a last line that has no end.
func TestMboxrdRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file bytes.Buffer
		w := bufio.NewWriter(&file)
		messages := rapid.SliceOfN(mail(), 1, 4).Draw(t, "messages")
		var ends []lineEnds
		for _, m := range messages {
			e, err := scanLines(pieces(m))
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, e)
			w.WriteString(fromLine("a@b", morning))
			q := newQuoter(w)
			if err := copyLines(q, pieces(m), e); err != nil {
				t.Fatal(err)
			}
			q.end()
		}
		w.Flush()
		got := readMboxrd(t, file.String())
		if len(got) != len(messages) {
			t.Fatalf("%d messages of %d: %q", len(got), len(messages), file.String())
		}
		for i, want := range messages {
			if want != "" && !strings.HasSuffix(want, "\n") {
				want += "\n"
				if ends[i].lf() {
					want = messages[i] + "\r\n"
				}
			}
			back := got[i]
			if ends[i].lf() {
				back = strings.ReplaceAll(back, "\n", "\r\n")
			}
			if back != want {
				t.Fatalf("message %d is\n%q, not\n%q", i, back, want)
			}
		}
	})
}

// TestLineEnds: counted in pieces as at once, and the written form is LF for CRLF
// exactly where that can be taken back.
func TestLineEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := mail().Draw(t, "message")
		e, err := scanLines(pieces(m))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := copyLines(&b, pieces(m), e); err != nil {
			t.Fatal(err)
		}
		short := strings.ReplaceAll(m, "\r\n", "\n")
		addCR := func(s string) string {
			s = strings.ReplaceAll(s, "\r\n", "\n")
			return strings.ReplaceAll(s, "\n", "\r\n")
		}
		if want := addCR(short) == m; e.lf() != want {
			t.Fatalf("%+v: written with LF", e)
		}
		want := m
		if e.lf() {
			want = short
		}
		if b.String() != want || e.written() != int64(len(want)) || e.wide() != int64(len(addCR(m))) || e.size != int64(len(m)) {
			t.Fatalf("%+v, %q, not %q", e, b.String(), want)
		}
	})
}

func TestFromLine(t *testing.T) {
	for _, x := range []struct {
		header, sender string
	}{
		{"Return-Path: <ada@example.org>\r\nSubject: x\r\n\r\n", "ada@example.org"},
		{"Received: x\r\nRETURN-PATH :ada@example.org \r\n", "ada@example.org"},
		{"Return-Path: <>\r\n", unknownSender},
		{"Return-Path: <a b@example.org>\r\n", unknownSender},
		{"Return-Path: <é@example.org>\r\n", unknownSender},
		{"Return-Path: <:x>\r\n", unknownSender},
		{"Return-Path: <" + strings.Repeat("x", 400) + ">\r\n", unknownSender},
		{"Subject: x\r\n\r\nReturn-Path: <ada@example.org>\r\n", unknownSender},
		{" Return-Path: <ada@example.org>\r\n", unknownSender},
		{"X: " + strings.Repeat("x", 70<<10) + "\r\nReturn-Path: <ada@example.org>\r\n", unknownSender},
		{"X: " + strings.Repeat("x", 10<<10) + "\r\nReturn-Path: <ada@example.org>\r\n", "ada@example.org"},
		{"", unknownSender},
	} {
		if got := sender(strings.NewReader(x.header)); got != x.sender {
			t.Errorf("%.60q is from %q", x.header, got)
		}
	}
	for want, date := range map[string]time.Time{
		"From a Mon Jan  6 09:20:30 2020\n": morning,
		"From a Wed Dec 31 23:59:59 1969\n": time.Unix(-1, 0),
		"From a Sun Dec 31 00:00:00 9999\n": time.Date(12345, 12, 31, 0, 0, 0, 0, time.UTC),
		"From a Sat Jan  1 00:00:00 0000\n": time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		got := fromLine("a", date)
		if len(got) != len(want) || got[10:] != want[10:] {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestMboxFlags: the fields of a message's flags stand in place of those it had.
func TestMboxFlags(t *testing.T) {
	for _, x := range []struct{ flags, in, want string }{
		{"", "Subject: x\r\n\r\nStatus: body\r\n", "Status: O\nSubject: x\n\nStatus: body\n"},
		{`\Seen \Answered \Flagged \Draft \Deleted b a`, "A: 1\r\nStatus: O\r\n\tfolded\r\nX-KEYWORDS : old\r\nx-status: A\r\nB: 2\r\n 3\r\n\r\nx\r\n",
			"Status: RO\nX-Status: AFTD\nX-Keywords: a b\nA: 1\nB: 2\n 3\n\nx\n"},
		{`\Seen`, "Status: O\r\n", "Status: RO\n"},
		{`\Seen`, "\r\nStatus: O\r\n", "Status: RO\n\nStatus: O\n"},
		{`\Seen`, "A: 1\r\n\r\nbare\n", "Status: RO\r\nA: 1\r\n\r\nbare\n"},
		{`\Seen`, "X: " + strings.Repeat("x", 9000) + "\r\nStatus: " + strings.Repeat("y", 9000) + "\r\n\r\n", "Status: RO\nX: " + strings.Repeat("x", 9000) + "\n\n"},
		{`\Seen`, "no end", "Status: RO\nno end"},
	} {
		e, err := scanLines(strings.NewReader(x.in))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		if err := copyFlagged(&got, bufio.NewReader(pieces(x.in)), mailbox.MakeFlags(strings.Fields(x.flags)...), e); err != nil || got.String() != x.want {
			t.Errorf("%.80q, %v, not %.80q", got.String(), err, x.want)
		}
	}
}

// TestMboxLayout: the files of a small export.
func TestMboxLayout(t *testing.T) {
	b := newBox(t)
	b.add("INBOX", "Return-Path: <ada@example.org>\r\nSubject: 1\r\n\r\nFrom x\r\n>From x", morning, `\Seen`)
	b.add("INBOX", "Subject: 2\r\n\r\ntwo\n", time.Unix(0, 0).UTC().Add(time.Second))
	b.add("INBOX/a.mbox/.b%", "Subject: 3\r\n\r\n3\r\n", morning)
	dir := t.TempDir()
	if r := b.must(dir, Options{Format: Mbox}); r.Written != 3 {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{
		"INBOX.mbox": "From ada@example.org Mon Jan  6 09:20:30 2020\nReturn-Path: <ada@example.org>\nSubject: 1\n\n>From x\n>>From x\n\n" +
			"From MAILER-DAEMON Thu Jan  1 00:00:01 1970\nSubject: 2\r\n\r\ntwo\n\n",
		"INBOX/a%2Embox/%2Eb%25.mbox": "From MAILER-DAEMON Mon Jan  6 09:20:30 2020\nSubject: 3\n\n3\n\n",
		"Sent.mbox":                   "",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	// Another form of the messages replaces the first.
	if r := b.must(dir, Options{Format: Mbox, Flags: true}); r.Written != 3 {
		t.Errorf("%+v", r)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "INBOX.mbox")); !bytes.Contains(got, []byte("2020\nStatus: RO\nReturn-Path")) {
		t.Errorf("%q", got)
	}
}

// TestReadErrors: what cannot be read or written is told, from each copier.
func TestReadErrors(t *testing.T) {
	broken := func() io.Reader {
		return io.MultiReader(strings.NewReader("A: 1\r\n"), iotest.ErrReader(os.ErrPermission))
	}
	if _, err := scanLines(broken()); err != os.ErrPermission {
		t.Error(err)
	}
	if err := copyHeader(io.Discard, bufio.NewReader(broken())); err != os.ErrPermission {
		t.Error(err)
	}
	for _, e := range []lineEnds{{}, {bare: 1}} {
		if err := copyLines(io.Discard, broken(), e); err == nil {
			t.Error("no error")
		}
		if err := copyFlagged(full{}, bufio.NewReader(strings.NewReader("A\r\n\r\nB")), mailbox.Flags{}, e); err != errFull {
			t.Error(err)
		}
		if err := copyLines(full{}, strings.NewReader("A\r\n\r\nB\r"), e); err == nil {
			t.Error("no error")
		}
	}
	w := &watched{from: broken()}
	if _, err := io.Copy(io.Discard, w); err != os.ErrPermission || w.err != err {
		t.Error(err, w.err)
	}
}

var errFull = fmt.Errorf("full")

// full is a disk that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
