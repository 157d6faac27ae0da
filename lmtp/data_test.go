package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"teraslot/mailstore"
)

// undotted is what dotReader yields, with everything in hand: the message, what
// follows it, and whether it ended.
func undotted(in []byte) (message, rest []byte, whole bool) {
	for begins := true; len(in) > 0; {
		end := bytes.IndexByte(in, '\n') + 1
		if end == 0 {
			return message, nil, false
		}
		line := in[:end]
		in = in[end:]
		if begins && string(line) == ".\r\n" {
			return message, in, true
		}
		if begins {
			message = append(message, bytes.TrimPrefix(line, []byte("."))...)
		} else {
			message = append(message, line...)
		}
		begins = bytes.HasSuffix(line, []byte("\r\n")) // a line is whole here
	}
	return message, nil, false
}

func FuzzDotReader(f *testing.F) {
	for _, s := range []string{
		".\r\n", "a\r\n.\r\nQUIT\r\n", "..\r\n...\r\n.\r\n", ".a\r\n.\r\n", "a\n.\r\nb\r\n.\r\n", "a\r.\r\n\r\n.\r\n", "\r\n.\n.\r\n", "", ".", "a\r\n.",
		"\r\r\n.\r\nx", strings.Repeat("x", 16) + "\r\n.\r\n", strings.Repeat("x", 15) + "\r\n.\r\n", strings.Repeat("x", 14) + "\r\n.\r\n",
		"\r\n" + strings.Repeat(".", 40) + "\r\n.\r\n", "\n\n\n.\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		want, rest, whole := undotted(sent)
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(sent), "octet by octet": iotest.OneByteReader(bytes.NewReader(sent)), "half": iotest.HalfReader(bytes.NewReader(sent)),
		} {
			in := bufio.NewReaderSize(r, 16) // the least: lines do not fit
			d := &dotReader{in: in}
			got, err := io.ReadAll(iotest.OneByteReader(d))
			if len(sent) < 100 {
				in = bufio.NewReaderSize(bytes.NewReader(sent), 16)
				d = &dotReader{in: in}
				got, err = io.ReadAll(d)
			}
			if (err == nil) != whole || err != nil && !errors.Is(err, errAborted) {
				t.Fatalf("%s: %q: %v, whole %v", name, sent, err, whole)
			}
			if !whole {
				continue
			}
			left, _ := io.ReadAll(in)
			if !bytes.Equal(got, want) || !bytes.Equal(left, rest) {
				t.Fatalf("%s: %q yields %q and leaves %q, want %q and %q", name, sent, got, left, want, rest)
			}
			if n, err := d.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("behind the end: %d, %v", n, err)
			}
		}
	})
}

// TestSmuggling: the end of a message is a dot alone between CRLFs, whatever other
// servers take for one.
func TestSmuggling(t *testing.T) {
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n.\n", "\r.\r\n", "\r\n\x00.\r\n"} {
		sent := "Subject: x\r\n\r\nbegin" + end + "MAIL FROM:<b@example.org>\r\n.\r\n"
		d := &dotReader{in: bufio.NewReaderSize(strings.NewReader(sent), maxCommand)}
		got, err := io.ReadAll(d)
		if err != nil || !strings.Contains(string(got), "MAIL FROM") {
			t.Errorf("%q ends a message: %q, %v", end, got, err)
		}
	}
}

func TestLimited(t *testing.T) {
	for size, want := range map[int]error{99: nil, 100: nil, 101: mailstore.ErrTooBig} {
		_, err := io.ReadAll(&limited{strings.NewReader(strings.Repeat("x", size)), 100})
		if !errors.Is(err, want) {
			t.Errorf("%d octets of 100: %v", size, err)
		}
	}
}
