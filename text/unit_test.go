package text

import "testing"

func TestKeyMatch(t *testing.T) {
	units := []Unit{
		HeaderUnit("Subject", "  Re: Straße\r\n nach Köln "),
		HeaderUnit("X-Empty", ""),
		HeaderUnit("From", "Ann <ann@example.org>"),
		BodyUnit("one\r\ntwo"),
		BodyUnit("three"),
	}
	for _, c := range []struct {
		scope         Scope
		name, pattern string
		want          bool
	}{
		{InText, "", "", true},
		{InBody, "", "", true},
		{InText, "", "subject: re:", true},
		{InText, "", "koln", false}, // the mark stands between
		{InText, "", "KÖLN", true},
		{InText, "", "e nach", true},
		{InText, "", "two three", false},
		{InBody, "", "one two", true},
		{InBody, "", "ann", false},
		{InHeader, "From", "ANN@", true},
		{InHeader, "from", "from:", false},
		{InHeader, "x-empty", "", true},
		{InHeader, "X-Empty", " ", false},
		{InHeader, "x-other", "", false},
		{InHeader, "subject", "köln ", false},
	} {
		k := NewKey(c.scope, c.name, c.pattern)
		if got := k.Match(units); got != c.want {
			t.Errorf("%+v matches: %v, want %v", k, got, c.want)
		}
	}
	if (Key{Scope: InHeader}).MatchesAll() || !NewKey(InText, "", "").Match(nil) {
		t.Error(`only TEXT "" and BODY "" match every message`)
	}
}

// TestValueOfSpacingMark: a spacing diacritic folds to a space and a mark; as the
// first of a value, it must be found there.
func TestValueOfSpacingMark(t *testing.T) {
	for _, v := range []string{"´Sonderangebot´ heute", "¨quoted¨", "￣ー￣ hello", "゛x", "¸"} {
		units := []Unit{HeaderUnit("Subject", v)}
		for _, k := range []Key{NewKey(InHeader, "subject", v), NewKey(InText, "", v)} {
			if !k.Match(units) {
				t.Errorf("scope %d: the value %q is not found in itself: %q in %q", k.Scope, v, k.Pattern, units[0].Value())
			}
		}
	}
}
