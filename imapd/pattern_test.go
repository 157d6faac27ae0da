package imapd

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "a/b/c", true},
		{"%", "a", true},
		{"%", "a/b", false},
		{"%/%", "a/b", true},
		{"%/%", "a", false},
		{"a%", "a", true},
		{"a%c", "abc", true},
		{"a%c", "ab/c", false},
		{"a*c", "ab/c", true},
		{"%*", "a/b", true},
		{"*%", "a/b", true},
		{"a/", "a", false},
		{"inbox", "INBOX", true},
		{"InBox/x", "INBOX/x", true},
		{"inbox*", "INBOX/x", true},
		{"inboxes", "INBOXes", false},
		{"Archive", "archive", false},
		{"*b", "ab", true},
		{"*b", "aba", false},
		{"%%%%%b", "aab", true},
	} {
		if got := matchPattern(c.pattern, c.name); got != c.want {
			t.Errorf("matchPattern(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

// slowMatch is the definition, by trying all ways.
func slowMatch(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	switch pattern[0] {
	case '*', '%':
		for i := 0; i <= len(name); i++ {
			if slowMatch(pattern[1:], name[i:]) {
				return true
			}
			if i < len(name) && pattern[0] == '%' && name[i] == separator {
				return false
			}
		}
		return false
	}
	return name != "" && name[0] == pattern[0] && slowMatch(pattern[1:], name[1:])
}

func TestMatchPatternEqualsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab/%*]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab/]{0,8}`).Draw(t, "name")
		if got, want := matchPattern(pattern, name), slowMatch(pattern, name); got != want {
			t.Fatalf("matchPattern(%q, %q) = %v, by definition %v", pattern, name, got, want)
		}
	})
}

// FuzzPattern: any octets in reference, pattern and name. The match is that of the
// definition, wherever that can be tried, and LIST answers the same to letters and marks
// that are written apart (RFC 5198 §3).
func FuzzPattern(f *testing.F) {
	for _, seed := range [][3]string{{"", "*", "INBOX"}, {"inb", "ox/%", "INBOX/a"}, {"a/", "%*%/b", "a/x/y/b"}, {"Entwu", "\u0308*", "Entw\u00fcrfe"},
		{"\xff", "%\xff", "\xff\xff"}, {"", strings.Repeat("*%", 40), strings.Repeat("/a", 30)}, {"/", "/", "//"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, reference, pattern, name string) {
		if len(reference)+len(pattern) > 2000 || len(name) > 1024 {
			t.Skip()
		}
		if got := matchPattern(pattern, name); strings.Count(pattern, "*")+strings.Count(pattern, "%") <= 4 && len(name) <= 30 && got != slowMatch(inboxCase(pattern), name) {
			t.Errorf("matchPattern(%q, %q) = %v, by definition %v", pattern, name, got, !got)
		}
		e := &entry{name: name}
		parted, _ := e.matches(reference, []string{pattern})
		if apart, _ := e.matches("", []string{norm.NFD.String(reference + pattern)}); apart != parted {
			t.Errorf("%q matches %q after %q: %v, with marks apart: %v", name, pattern, reference, parted, apart)
		}
	})
}

// TestPatternOfAnotherForm: a client that writes letters and marks apart finds what is kept composed.
func TestPatternOfAnotherForm(t *testing.T) {
	e := &entry{name: "Entw\u00fcrfe/\u00e9"}
	for _, c := range []struct {
		reference, pattern string
		want               bool
	}{
		{"", "Entwu\u0308rfe/e\u0301", true}, {"", "Entwu\u0308%/%", true}, {"", "*e\u0301", true},
		{"Entwu\u0308rfe/", "*", true}, {"Entwu", "\u0308rfe/*", true}, {"", "Entwurfe/*", false},
	} {
		if got, _ := e.matches(c.reference, []string{c.pattern}); got != c.want {
			t.Errorf("%+q %+q: %t", c.reference, c.pattern, got)
		}
	}
}

// Forty stars against a name that almost matches took other servers' minutes.
func TestMatchPatternManyStars(t *testing.T) {
	pattern := strings.Repeat("*a", 40) + "b"
	name := strings.Repeat("a", 1000)
	start := time.Now()
	if matchPattern(pattern, name) {
		t.Error("matched a name without a b")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}
