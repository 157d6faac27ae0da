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
