package sample

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"
	"github.com/emersion/go-message/charset"
)

func generate(o Options) []Message { return slices.Collect(Messages(o)) }

func TestSameSeedSameBytes(t *testing.T) {
	digest := func(o Options) string {
		h := sha256.New()
		for m := range Messages(o) {
			h.Write(m.Raw)
			io.WriteString(h, m.Mailbox+m.Flags.String()+m.Date.String())
		}
		return hex.EncodeToString(h.Sum(nil))
	}
	if a, b := digest(Options{Seed: 7}), digest(Options{Seed: 7}); a != b {
		t.Errorf("the same seed gave %s and %s", a, b)
	}
	if a, b := digest(Options{Seed: 7}), digest(Options{Seed: 8}); a == b {
		t.Error("another seed gave the same mail")
	}
}

func TestEveryLanguageCharsetAndShapeOccurs(t *testing.T) {
	seen := map[string]int{}
	messages := generate(Options{Seed: 1})
	if len(messages) != 400 {
		t.Fatalf("%d messages, want 400", len(messages))
	}
	for _, m := range messages {
		seen["language "+m.Language]++
		seen["charset "+m.Charset]++
		seen["shape "+m.Kind]++
		seen["mailbox "+m.Mailbox]++
		if strings.Contains(string(m.Raw), "\nReferences:") {
			seen["answers"]++
		}
	}
	for _, b := range phrasebooks() {
		if seen["language "+b.language] == 0 {
			t.Errorf("no message in %s", b.language)
		}
	}
	charsets := map[string]bool{}
	for _, b := range phrasebooks() {
		for _, c := range b.charsets {
			charsets[c] = true
		}
	}
	for c := range charsets {
		if seen["charset "+c] == 0 {
			t.Logf("no message in charset %s", c)
			delete(charsets, c)
		}
	}
	if len(charsets) < 25 {
		t.Errorf("only %d charsets occur", len(charsets))
	}
	for _, s := range shapes {
		if seen["shape "+s.name] == 0 {
			t.Errorf("no message of shape %s", s.name)
		}
	}
	for _, box := range []string{"mailbox INBOX", "mailbox Sent", "mailbox Archive/2021"} {
		if seen[box] == 0 {
			t.Errorf("nothing in %s", box)
		}
	}
	if seen["answers"] < 100 {
		t.Errorf("%d answers, want a hundred or more", seen["answers"])
	}
}

func TestPhrasesFitTheirCharsets(t *testing.T) {
	for _, b := range phrasebooks() {
		if len(b.people) < 2 || len(b.subjects) < 2 || len(b.lines) < 5 || len(b.charsets) == 0 {
			t.Errorf("%s: too little to write with", b.language)
		}
		texts := slices.Concat(b.subjects, b.lines)
		for _, p := range b.people {
			texts = append(texts, p.Name)
		}
		for _, c := range b.charsets {
			for _, text := range texts {
				if !encodable(c, text) {
					t.Errorf("%s: %q cannot be written in %s", b.language, text, c)
				}
			}
		}
	}
}

// TestHeadersDecode reads every well-formed message with the standard library
// and go-message, which share no code with the writer of headers.
func TestHeadersDecode(t *testing.T) {
	words := mime.WordDecoder{CharsetReader: charset.Reader}
	for _, m := range generate(Options{Seed: 3}) {
		for _, line := range strings.Split(string(m.Raw), "\r\n") {
			if len(line) > 998 && m.Kind != "broken" {
				t.Errorf("%s: a line of %d octets", m.Kind, len(line))
			}
		}
		if m.Kind == "broken" {
			continue
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m.Raw))
		if err != nil {
			t.Fatalf("%s: %v", m.Kind, err)
		}
		if got, err := words.DecodeHeader(parsed.Header.Get("Subject")); err != nil || got != m.Subject {
			t.Errorf("%s %s: subject %q (%v), want %q", m.Kind, m.Charset, got, err, m.Subject)
		}
		from, err := (&mail.AddressParser{WordDecoder: &words}).Parse(parsed.Header.Get("From"))
		if err != nil || from.Name != m.From {
			t.Errorf("%s %s: from %v (%v), want %q", m.Kind, m.Charset, from, err, m.From)
		}
		if date, err := parsed.Header.Date(); err != nil || !date.Equal(m.Date) {
			t.Errorf("%s: date %v (%v), want %v", m.Kind, date, err, m.Date)
		}
	}
}

func TestEncodedWordsKeepTheirLimit(t *testing.T) {
	for _, m := range generate(Options{Seed: 5}) {
		for word := range strings.FieldsSeq(string(m.Raw)) {
			if strings.HasPrefix(word, "=?") && len(word) > 75 { // RFC 2047 §2
				t.Errorf("%s: encoded word of %d octets: %s", m.Charset, len(word), word)
			}
		}
	}
}

// TestLinesAreInTheText decodes all text with go-message and looks for what the
// generator says is there.
func TestLinesAreInTheText(t *testing.T) {
	for _, m := range generate(Options{Seed: 4}) {
		if m.Kind == "broken" || m.Kind == "html" || m.Kind == "related" {
			continue // these need more than transfer decoding
		}
		var text strings.Builder
		entity, err := gomessage.Read(bytes.NewReader(m.Raw))
		if err != nil && !gomessage.IsUnknownCharset(err) {
			t.Fatalf("%s: %v", m.Kind, err)
		}
		collect(t, entity, &text)
		whole := strings.Join(strings.Fields(text.String()), " ")
		for _, line := range m.Lines {
			if !strings.Contains(whole, strings.Join(strings.Fields(line), " ")) {
				t.Errorf("%s in %s: %q is not in the text", m.Kind, m.Charset, line)
			}
		}
	}
}

func collect(t *testing.T, e *gomessage.Entity, to *strings.Builder) {
	t.Helper()
	if mediaType, _, _ := e.Header.ContentType(); mediaType == "message/rfc822" {
		inner, err := gomessage.Read(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		collect(t, inner, to)
		return
	}
	parts := e.MultipartReader()
	if parts == nil {
		if _, err := io.Copy(to, e.Body); err != nil {
			t.Fatal(err)
		}
		return
	}
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		collect(t, p, to)
	}
}
