package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func decoded(t testing.TB, encoding, body string) string {
	t.Helper()
	raw := "Content-Transfer-Encoding: " + encoding + "\n\n" + body
	s, err := Parse(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(iotest.OneByteReader(DecodedPart(strings.NewReader(raw), s.Root)))
	if err != nil {
		t.Fatalf("%s %q: %v", encoding, body, err)
	}
	return string(b)
}

func TestDecodedPart(t *testing.T) {
	long := strings.Repeat(" ", 3*lookahead)
	for _, test := range []struct{ encoding, body, want string }{
		{"8bit", "a=41\xff", "a=41\xff"},
		{"x-unknown", "a=41", "a=41"},
		{"base64", "", ""},
		{"base64", "aGVsbG8=", "hello"},
		{"Base64", "aGVs\r\n bG8", "hello"},
		{"base64", "aGVs!bG8=\n", "hello"},
		{"base64", "aGVsb*G8", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGVsb", "hel"},
		{"base64", "aGVsbG8=\r\n-- \r\nthe footer\r\n", "hello"},
		{"base64", "aGVsbG8=\nd29ybGQ=\n", "helloworld"},
		{"base64", "aGVsbG8=\n\na footer!\nd29ybGQ=", "helloworld"},
		{"base64", "aGVsbG8= rubbish\nd29ybGQ=", "helloworld"},
		{"base64", "aGVsbG8=" + long + long + "\nd29ybGQ=\n", "helloworld"},
		{"base64", "====aGVsbG8=", "hello"},
		{"quoted-printable", "caf=C3=a9=\r\n!", "caf\xc3\xa9!"},
		{"quoted-printable", "a = b =3D =G1 =4", "a = b = =G1 =4"},
		{"quoted-printable", "soft = \t\r\nbreak=\nagain=", "soft breakagain"},
		{"quoted-printable", "padding \t \r\nkept=20\r\n  end", "padding\r\nkept \r\n  end"},
		{"quoted-printable", "a" + long + "b" + long + "\n", "a" + long + "b"},
		{"quoted-printable", "=" + long + "x", "=" + long + "x"},
		{"quoted-printable", "=\r", ""},
		{"quoted-printable", "=\rx", "=\rx"},
		{"quoted-printable", "\xe9=C3", "\xe9\xc3"},
		{"x-uuencode", "text\nbegin 644 f\n%:&5L;&\\\n`\nend\nrest\n", "hello"},
		{"uuencode", "begin 644 f\n#0V%T\n#0V", "CatC`\x00"},
	} {
		got := decoded(t, test.encoding, test.body)
		if test.encoding == "quoted-printable" && strings.HasPrefix(test.body, "a"+long) {
			got = strings.TrimRight(got, " \n") // how much of such padding goes is not promised
		}
		if got != test.want {
			t.Errorf("%s %.60q: got %.80q, want %.80q", test.encoding, test.body, got, test.want)
		}
	}
}

// TestTransferRoundTrip encodes as the standard library does.
func TestTransferRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octets := rapid.SliceOf(rapid.Byte()).Draw(t, "octets")
		var wrapped strings.Builder
		for i, c := range base64.StdEncoding.EncodeToString(octets) {
			if i%76 == 0 {
				wrapped.WriteString("\r\n")
			}
			wrapped.WriteRune(c)
		}
		got, err := io.ReadAll(newTransferReader(strings.NewReader(wrapped.String()), decoderFor("base64")))
		if err != nil || !bytes.Equal(got, octets) {
			t.Fatalf("base64: %q, %v", got, err)
		}
		var quoted bytes.Buffer
		w := quotedprintable.NewWriter(&quoted)
		w.Binary = true
		if _, err := w.Write(octets); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err = io.ReadAll(newTransferReader(&quoted, decoderFor("quoted-printable")))
		if err != nil || !bytes.Equal(got, octets) {
			t.Fatalf("quoted-printable: %q, %v", got, err)
		}
	})
}

// TestTransferPieces decodes whatever comes, cut anywhere, to the same octets.
func TestTransferPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("Aa4=\r\n \t-+/z`#%"))).Draw(t, "text")
		for _, encoding := range []string{"base64", "quoted-printable", "uuencode"} {
			if encoding == "uuencode" {
				text = "begin \n" + text
			}
			whole, err := io.ReadAll(newTransferReader(strings.NewReader(text), decoderFor(encoding)))
			if err != nil {
				t.Fatal(err)
			}
			pieces, err := io.ReadAll(newTransferReader(iotest.OneByteReader(strings.NewReader(text)), decoderFor(encoding)))
			if err != nil || !bytes.Equal(whole, pieces) {
				t.Fatalf("%s of %q: %q in one, %q in pieces (%v)", encoding, text, whole, pieces, err)
			}
		}
	})
}
