package message

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"teraslot/text"
)

// bodies are the texts of an extraction's body units; header units are counted.
func bodies(t *testing.T, raw string) (headers int, body []string) {
	t.Helper()
	x, err := Extract(t.Context(), strings.NewReader(raw), int64(len(raw)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !x.Complete {
		t.Error("the extraction is not complete")
	}
	if err := checkUnits(x.Units); err != nil {
		t.Error(err)
	}
	for _, u := range x.Units {
		if u.Kind == text.Header {
			headers++
		} else {
			body = append(body, strings.TrimSpace(u.Text))
		}
	}
	return headers, body
}

func TestExtractBody(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		want      []string
	}{
		{"plain", "Subject: x\n\na  b\r\n\tc\n", []string{"A B C"}},
		{"empty", "Subject: x\n\n \r\n", nil},
		{"charset", "Content-Type: text/plain; charset=koi8-r\n\n\xf0\xd2\xc9", []string{"ПРИ"}},
		{"charset in pieces", "Content-Type: text/plain; charset*=''koi8%2Dr\n\n\xf0\xd2\xc9", []string{"ПРИ"}},
		{"no charset", "\ncaf\xe9\n", []string{text.Normalize("café")}},
		{"byte order mark", "Content-Type: text/plain; charset=x-none\nContent-Transfer-Encoding: base64\n\n//5hAOkA\n", []string{text.Normalize("aé")}},
		{"HTML", "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>caf=C3=A9<b>s</b><p>b", []string{text.Normalize("cafés b")}},
		{"HTML naming its charset", "Content-Type: text/html\n\n<meta http-equiv=x content='text/html; charset=koi8-r'>\xf0\xd2\xc9", []string{"ПРИ"}},
		{"HTML under a named charset", "Content-Type: text/html; charset=iso-8859-1\n\n<meta charset=koi8-r>\xe9", []string{text.Normalize("é")}},
		{"rubbish in the header of a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\nsigned by\n hand\nContent-Description: note\n\ntext\n--b--",
			[]string{"SIGNED BY HAND", "NOTE", "TEXT"}},
		{"name of an encoded message", "Content-Type: message/rfc822; name=\"a b.eml\"\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKdGV4dAo=",
			[]string{"A B.EML", "SUBJECT: X", "TEXT"}},
		{"name of a multipart without parts", "Content-Type: multipart/mixed; boundary=b; charset*=''koi8%2Dr; name*=''n%C3%A9\n\n\xf0\xd2\xc9", []string{text.Normalize("né"), "ПРИ"}},
		{"image", "Content-Type: image/png; name=\"=?utf-8?q?a=2Epng?=\"\nContent-Description: not again\n\nx", []string{"A.PNG"}},
		{"file names", "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\nContent-Type: image/png; name=one.png\n" +
			"Content-Disposition: attachment; filename*=utf-8''tw%C3%B6.png\nContent-Description: =?utf-8?q?a_picture?=\n\nx\n" +
			"--b\nContent-Type: image/png; name=three.png\nContent-Disposition: inline; filename=three.png\n\nx\n--b--\nepilogue",
			[]string{text.Normalize("twö.png"), "ONE.PNG", "A PICTURE", "THREE.PNG"}},
		{"message", "Content-Type: message/rfc822\n\nSubject: =?utf-8?q?in?=\n side\nTo: a@b\n\nbody\n", []string{"SUBJECT: IN SIDE", "TO: A@B", "BODY"}},
		{"encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW4KCnRleHQ=\n", []string{"SUBJECT: IN", "TEXT"}},
		{"report", "Content-Type: multipart/report; boundary=b\n\n--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--b\nContent-Type: text/rfc822-headers\n\nSubject: x\n--b--",
			[]string{"FAILED", "STATUS: 5.1.1", "SUBJECT: X"}},
		{"no parts", "Content-Type: multipart/mixed; boundary=b\n\nunbounded\n", []string{"UNBOUNDED"}},
		{"rubbish in the header", "Subject: x\nrubbish\nTo: y\n\nbody", []string{"RUBBISH", "BODY"}},
		{"rubbish for a header", "rubbish\n\nbody", []string{"RUBBISH BODY"}},
		{"other types", "Content-Type: application/pdf\n\nx", nil},
		{"XHTML", "Content-Type: application/xhtml+xml\n\n<p>x", []string{"X"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, got := bodies(t, test.raw); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestExtractHeader(t *testing.T) {
	raw := "From x\nSubject: =?utf-8?q?caf=C3?=\n =?utf-8?q?=A9?=  au\n\tlait\nX-Empty:\nTo : a@b\nSUBJECT: again\n\nbody"
	x, err := Extract(t.Context(), strings.NewReader(raw), int64(len(raw)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []text.Unit{
		text.HeaderUnit("Subject", "café au lait"), text.HeaderUnit("X-Empty", ""), text.HeaderUnit("To", "a@b"),
		text.HeaderUnit("subject", "again"), text.BodyUnit("body"),
	}
	if !reflect.DeepEqual(x.Units, want) {
		t.Errorf("got  %q\nwant %q", x.Units, want)
	}
}

// encodedMessages is a text in so many messages, one within the other, each encoded.
func encodedMessages(n int) string {
	encoded := "Subject: innermost\n\ndeepest=\nword"
	for range n {
		encoded = "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.ReplaceAll(encoded, "=", "=3D")
	}
	return encoded
}

func TestExtractLimits(t *testing.T) {
	big := "Subject: x\n\n" + strings.Repeat("word ", 10000)
	nested := strings.Repeat("Content-Type: message/rfc822\n\n", 2*maxDepth) + "body"
	many := "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", maxParts+5)
	header := strings.Repeat("X: y\n", maxUnits+1) + "\nbody"
	encoded := encodedMessages(maxEncodedMessages + 1)
	for _, test := range []struct {
		name, raw string
		limit     int64
		complete  bool
	}{
		{"as much as allowed", big, int64(len(big)), true},
		{"too much text", big, int64(len(big)) - 2, false},
		{"too much header", big, 5, false},
		{"deep", nested, 0, true},
		{"many parts", many, 0, true},
		{"too many fields", header, 0, false},
		{"encoded often", encoded, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, err := Extract(t.Context(), strings.NewReader(test.raw), int64(len(test.raw)), Limits{Text: test.limit})
			if err != nil {
				t.Fatal(err)
			}
			if x.Complete != test.complete {
				t.Errorf("complete: %v", x.Complete)
			}
			total := 0
			for _, u := range x.Units {
				total += len(u.Text)
			}
			if test.limit > 0 && int64(total) > test.limit {
				t.Errorf("%d octets of text, %d allowed", total, test.limit)
			}
		})
	}
}

func TestExtractCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	raw := seeds[5]
	if _, err := Extract(ctx, strings.NewReader(raw), int64(len(raw)), Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestNormalizer holds text in pieces against text in one.
func TestNormalizer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.StringOf(rapid.SampledFrom([]rune("aé \u00a0\t\n¨\u0301ßﬁ한")))).Draw(t, "pieces")
		n := normalizer{x: &extractor{room: math.MaxInt64}}
		for _, s := range pieces {
			n.add(s)
		}
		if want := text.Normalize(strings.Join(pieces, "")); n.out.String() != want {
			t.Fatalf("got %q, want %q", n.out.String(), want)
		}
	})
	long := strings.Repeat("é\u00a0 x한 ", piece)
	n := normalizer{x: &extractor{room: math.MaxInt64}}
	if n.add(long); n.out.String() != text.Normalize(long) {
		t.Error("a long text differs")
	}
}

func TestWholeRunes(t *testing.T) {
	for s, want := range map[string]int{"": 0, "a": 1, "a\xc3": 1, "aé": 3, "\xe2\x82": 0, "\xf0\x9f\x98": 0, "\xff": 1, "\x80\x80\x80\x80": 4, "é\xe2": 2} {
		if got := wholeRunes([]byte(s)); got != want || !utf8.ValidString(s[:got]) && utf8.ValidString(s) {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

// golden is what testdata/extract.json holds for each of our own messages in
// testdata: the units of ExtractVersion, under text's fold.
type golden struct {
	Version, Fold int
	Units         map[string][]text.Unit
}

// TestExtractVersion fails if Extract gives other units than it did under the
// present ExtractVersion. If they are meant to be other, raise the version and run
// the test with UPDATE=1.
func TestExtractVersion(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d messages in testdata: %v", len(files), err)
	}
	got := golden{ExtractVersion, text.FoldVersion, map[string][]text.Unit{}}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		x, err := Extract(t.Context(), bytes.NewReader(raw), int64(len(raw)), Limits{})
		if err != nil || !x.Complete {
			t.Fatalf("%s: complete %v, %v", name, x.Complete, err)
		}
		got.Units[filepath.Base(name)] = x.Units
	}
	if os.Getenv("UPDATE") != "" {
		writeGolden(t, got)
	}
	b, err := os.ReadFile("testdata/extract.json")
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if want.Version != ExtractVersion || want.Fold != text.FoldVersion {
		t.Fatalf("the golden units are of version %d and fold %d, the code's are %d and %d: run with UPDATE=1",
			want.Version, want.Fold, ExtractVersion, text.FoldVersion)
	}
	for name, units := range got.Units {
		if !reflect.DeepEqual(units, want.Units[name]) {
			t.Errorf("%s has other units than version %d had: raise ExtractVersion if that is meant\ngot  %q\nwant %q", name, ExtractVersion, units, want.Units[name])
		}
	}
	if len(want.Units) != len(got.Units) {
		t.Errorf("%d messages, golden units of %d", len(got.Units), len(want.Units))
	}
}

// writeGolden replaces the golden units; those of the same version only where
// messages were added.
func writeGolden(t *testing.T, g golden) {
	t.Helper()
	var old golden
	if b, err := os.ReadFile("testdata/extract.json"); err == nil {
		if err := json.Unmarshal(b, &old); err != nil {
			t.Fatal(err)
		}
	}
	for name, units := range old.Units {
		if old.Version == g.Version && old.Fold == g.Fold && !reflect.DeepEqual(units, g.Units[name]) {
			t.Fatalf("%s has other units than before: raise ExtractVersion", name)
		}
	}
	b, err := json.MarshalIndent(g, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/extract.json", append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
