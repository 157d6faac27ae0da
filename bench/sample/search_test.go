package sample

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"teraslot/message"
	"teraslot/text"
)

// TestEveryLineIsFound parses each message and looks for what the generator says
// is in it: every line by BODY, the subject and the author by their fields.
func TestEveryLineIsFound(t *testing.T) {
	found := 0
	for m := range Messages(Options{Seed: 11, Count: 800}) {
		x, err := message.Extract(t.Context(), bytes.NewReader(m.Raw), int64(len(m.Raw)), message.Limits{})
		if err != nil || !x.Complete {
			t.Fatalf("%s: %v, complete %v", m.Kind, err, x.Complete)
		}
		keys := []text.Key{text.NewKey(text.InHeader, "Subject", m.Subject), text.NewKey(text.InHeader, "From", m.From)}
		for _, line := range m.Lines {
			keys = append(keys, text.NewKey(text.InBody, "", line))
		}
		for _, k := range keys {
			if !k.Match(x.Units) {
				t.Errorf("%s in %s (%s): %q is not found", m.Kind, m.Language, m.Charset, k.Pattern)
				continue
			}
			found++
		}
		if k := text.NewKey(text.InText, "", "no such words anywhere"); k.Match(x.Units) {
			t.Errorf("%s: what is not there is found", m.Kind)
		}
	}
	if found < 3000 {
		t.Errorf("only %d keys", found)
	}
}

// TestStructure: what a client is told of the parts is what the generator made.
func TestStructure(t *testing.T) {
	want := map[string]string{
		"alternative": "multipart/alternative", "attachment": "multipart/mixed", "related": "multipart/related",
		"forward": "multipart/mixed", "report": "multipart/report", "html": "text/html", "plain": "text/plain",
	}
	for m := range Messages(Options{Seed: 12}) {
		s, err := message.Parse(bytes.NewReader(m.Raw), int64(len(m.Raw)))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ToLower(s.Root.Type + "/" + s.Root.Subtype)
		if w := want[m.Kind]; w != "" && got != w {
			t.Errorf("%s is %s", m.Kind, got)
		}
		if m.Kind == "forward" && (len(s.Root.Children) != 2 || s.Root.Children[1].Message == nil) {
			t.Errorf("a forwarded message has no message in it")
		}
		if m.Kind == "attachment" {
			last := s.Root.Children[len(s.Root.Children)-1]
			if !strings.EqualFold(last.Disposition, "attachment") || !slices.ContainsFunc(last.DispositionParams, func(p message.Param) bool {
				return strings.HasPrefix(strings.ToLower(p.Name), "filename")
			}) {
				t.Errorf("an attachment without a name: %+v", last)
			}
		}
	}
}
