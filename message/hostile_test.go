package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"teraslot/text"
)

// hostile are messages that are small to send and dear to read carelessly.
func hostile() map[string]func() []byte {
	repeat := func(head, s string, n int) func() []byte {
		return func() []byte { return append([]byte(head), bytes.Repeat([]byte(s), n)...) }
	}
	const mixed = "Content-Type: multipart/mixed; boundary="
	return map[string]func() []byte{
		"100,000 nested multiparts": func() []byte {
			var b bytes.Buffer
			for i := range 100_000 {
				s := "b" + strings.Repeat("x", i%50)
				b.WriteString(mixed + s + "\n\n--" + s + "\n")
			}
			return b.Bytes()
		},
		"100,000 nested multiparts of one boundary": repeat("", mixed+"b\n\n--b\n", 100_000),
		"100,000 nested messages":                   repeat("", "Content-Type: message/rfc822\n\n", 100_000),
		"1,000,000 parts":                           repeat(mixed+"b\n\n", "--b\n\n", 1_000_000),
		"boundaries at 100 levels": func() []byte {
			var b bytes.Buffer
			for range 99 {
				b.WriteString(mixed + strings.Repeat("-", 60) + "b\n\n" + "--" + strings.Repeat("-", 60) + "b\n")
			}
			b.WriteString("\n")
			b.Write(bytes.Repeat([]byte(strings.Repeat("-", 62)+"\n"), 200_000))
			return b.Bytes()
		},
		"a line of 50 MB":              repeat("Subject: x\n\n", "word word ", 5_000_000),
		"a header line of 50 MB":       repeat("Subject: ", "word word ", 5_000_000),
		"a Content-Type of 50 MB":      repeat("Content-Type: text/plain", "; a=b", 10_000_000),
		"To of 50 MB":                  repeat("To: ", "a@b, ", 10_000_000),
		"To of 50 MB without commas":   repeat("To: ", "@ ", 25_000_000),
		"To of comments":               repeat("To: ", "(", 10_000_000),
		"5,000,000 header fields":      repeat("", "a:\n", 5_000_000),
		"5,000,000 lines of no field":  repeat("", "a\n", 5_000_000),
		"encoded words without an end": repeat("Subject: ", "=?a?q? ", 1_000_000),
		"encoded words":                repeat("Subject: ", "=?utf-8?q?=C3?=\n ", 1_000_000),
		"parameters in pieces":         repeat("Content-Type: a/b", "; a*1*=x", 1_000_000),
		"10,000 nested messages of 5 kB": func() []byte {
			return bytes.Repeat([]byte("Content-Type: message/rfc822\nX-Long: "+strings.Repeat("y", 5000)+"\n\n"), 10_000)
		},
		"messages in quoted-printable": repeat("", "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n", 300_000),
		"messages in base64":           nestedBase64,
		"parts with long names":        repeat(mixed+"b\n", "--b\nContent-Type: a/b; name="+strings.Repeat("n", 100<<10)+"\n\n", 400),
		"300,000 parts at 90 levels": func() []byte {
			var b bytes.Buffer
			for i := range 90 {
				fmt.Fprintf(&b, "%sb%d\n\n--b%[2]d\n", mixed, i)
			}
			return append(b.Bytes(), bytes.Repeat([]byte("\n--b89\n"), 300_000)...)
		},
		"base64 of 16 MB":            repeat("Content-Transfer-Encoding: base64\n\n", "QUJD", 4_000_000),
		"base64 behind its padding":  repeat("Content-Transfer-Encoding: base64\n\nQQ==", "-", 10_000_000),
		"quoted-printable of spaces": repeat("Content-Transfer-Encoding: quoted-printable\n\n", " ", 10_000_000),
		"quoted-printable of =":      repeat("Content-Transfer-Encoding: quoted-printable\n\n", "=", 3_000_000),
		"HTML of tags":               repeat("Content-Type: text/html\n\n", "<", 10_000_000),
		"HTML of one tag":            repeat("Content-Type: text/html\n\n<a", " a", 10_000_000),
		"HTML of comments":           repeat("Content-Type: text/html\n\n", "<!--", 5_000_000),
		"HTML of hyphens":            repeat("Content-Type: text/html\n\n<!--", "-", 10_000_000),
		"HTML of scripts":            repeat("Content-Type: text/html\n\n", "<script></", 2_000_000),
		"HTML of references":         repeat("Content-Type: text/html\n\n", "&amp", 5_000_000),
		"HTML of quotes":             repeat("Content-Type: text/html\n\n", "<a b='<a b=\"", 2_000_000),
		"UTF-7":                      repeat("Content-Type: text/plain; charset=utf-7\n\n", "+A", 5_000_000),
		"UTF-16":                     repeat("Content-Type: text/plain; charset=utf-16\n\n", "\xd8", 3_000_000),
	}
}

// nestedBase64 is a message in more messages than are followed, each in base64.
func nestedBase64() []byte {
	raw := bytes.Repeat([]byte("word\n"), 2_000_000)
	for range maxEncodedMessages + 2 {
		raw = append([]byte("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"), base64.StdEncoding.EncodeToString(raw)...)
	}
	return raw
}

// TestHostileMail bounds time and memory. The bounds leave room for a slow and
// busy machine: what is quadratic would miss them by far.
func TestHostileMail(t *testing.T) {
	for name, build := range hostile() {
		t.Run(name, func(t *testing.T) {
			raw := build()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			s, err := Parse(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			parsed := time.Since(start)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
				t.Errorf("Parse allocated %d MB", got>>20)
			}
			b, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > maxKept {
				t.Errorf("the encoded structure takes %d octets", len(b))
			}
			start = time.Now()
			units := 0
			err = Scan(t.Context(), bytes.NewReader(raw), int64(len(raw)), func(text.Unit) bool {
				units++
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			scanned := time.Since(start)
			var last runtime.MemStats
			runtime.ReadMemStats(&last)
			t.Logf("%d MB: Parse %v, %d MB allocated, %d octets encoded; Scan %v, %d MB allocated, %d units", len(raw)>>20,
				parsed.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20, len(b),
				scanned.Round(time.Millisecond), (last.TotalAlloc-after.TotalAlloc)>>20, units)
			if parsed > 10*time.Second || scanned > 20*time.Second {
				t.Errorf("Parse took %v, Scan %v", parsed, scanned)
			}
		})
	}
}
