package lmtp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// stripped does what cleaned does, with the whole message in hand.
func stripped(message []byte) []byte {
	line := func() []byte {
		end := bytes.IndexByte(message, '\n')
		if end < 0 || end >= maxCommand {
			return nil
		}
		return message[:end+1]
	}
	drop := func() {
		message = message[len(line()):]
		for l := line(); l != nil && (l[0] == ' ' || l[0] == '\t'); l = line() {
			message = message[len(l):]
		}
	}
	if l := line(); l != nil && isFromLine(l) {
		drop()
	}
	for l := line(); l != nil && isReturnPath(l); l = line() {
		drop()
	}
	return message
}

// cleaned is a cleaner of r.
func cleaned(r io.Reader) io.Reader {
	c := new(cleaner)
	c.reset(r)
	return c
}

func FuzzCleaned(f *testing.F) {
	for _, s := range []string{
		"", "x", "From a\r\n", "From a\r\nReturn-Path: <b>\r\n\tc\r\nSubject: x\r\n\r\n", "Return-Path: <b>", "from a\n", "From : a\n\n",
		"return-path\t:\n \n \nx", "From " + strings.Repeat("x", maxCommand) + "\nReturn-Path: y\n",
		"Return-Path: " + strings.Repeat("x", maxCommand-15) + "\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(message), "octet by octet": iotest.OneByteReader(bytes.NewReader(message)),
			"with its end": iotest.DataErrReader(bytes.NewReader(message)),
		} {
			got, err := io.ReadAll(cleaned(r))
			if err != nil || !bytes.Equal(got, stripped(message)) {
				t.Fatalf("%s: %q, %v, want %q", name, got, err, stripped(message))
			}
		}
	})
}

func TestCleanedPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, begin := range []string{"", "From a", "From a\r\n", "Return-Path: x\r\n", "Subject: x\r\n\r\nbody"} {
		_, err := io.ReadAll(cleaned(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(broken))))
		if !errors.Is(err, broken) {
			t.Errorf("after %q: %v", begin, err)
		}
	}
}
