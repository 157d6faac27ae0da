package text

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTriples(t *testing.T) {
	for _, c := range []struct {
		bodies []string
		want   []string
	}{
		{[]string{"ONE OF THE"}, nil}, // there once only
		{[]string{"ONE OF THE, OF"}, []string{"OF-THE ENO"}},
		{[]string{"OF, ONE OF THE"}, []string{"OF-THE ENO"}},
		{[]string{"ONE OF THE", "TWO OF 3"}, []string{"OF-THE ENO", "OF-3 OWT"}},
		{[]string{"A OF B OF C"}, []string{"OF-B A", "OF-C B"}},
		{[]string{"ALONG OF THE", "ONE OF THINGS", "ONE OF-THE"}, nil},
		{[]string{"IN THAT IN THAT IN"}, []string{"IN-THAT TAHT"}},
		{[]string{"BE 4U BE 4U BE", "A 日 B 日 C"}, []string{"BE-4U U4"}},
		{[]string{"X OF", "OF Y", "OF"}, nil},
	} {
		var units []Unit
		for _, b := range c.bodies {
			units = append(units, Unit{Body, "", b})
		}
		var got []string
		for field, term := range Terms(units) {
			if field == FieldTriple {
				got = append(got, term)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("the triples of %q are %q, want %q", c.bodies, got, c.want)
		}
	}
}

// Phrases of three short words, of which many are in each other: what the plan is sure of
// matches, and of what matches nothing is missed, though the plan rules out much that has
// both borders.
func TestTriplesProperty(t *testing.T) {
	families := [][]string{{"of", "oof", "proof", "off"}, {"the", "them", "there", "bathe"}, {"to", "2", "of2", "x2of"}, {"with", "within", "a", "é"}, {"of", "日", "abcde", "to"}}
	open, proved, out := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		vocabulary := slices.Concat([]string{"to", "to", "a"}, rapid.SampledFrom(families).Draw(t, "some"), rapid.SampledFrom(families).Draw(t, "others"))
		draw := func(what string, least, most int) string {
			var b strings.Builder
			for i, w := range rapid.SliceOfN(rapid.SampledFrom(vocabulary), least, most).Draw(t, what) {
				if i > 0 {
					b.WriteString(rapid.SampledFrom([]string{" ", " ", " ", ", "}).Draw(t, "gap"))
				}
				b.WriteString(w)
			}
			return b.String()
		}
		units := []Unit{BodyUnit(draw("body", 0, 14)), BodyUnit(draw("second", 0, 5))}
		x := indexOf(units)
		for range 20 {
			words := rapid.SliceOfN(rapid.SampledFrom(vocabulary), 3, 3).Draw(t, "key")
			key := NewKey(InBody, "", strings.Join(words, " "))
			p, match := key.Plan(), key.Match(units)
			found, sure := x.candidate(p), x.sure(p)
			switch {
			case sure && !match:
				t.Fatalf("%q does not match %q but is sure by %+v", key.Pattern, units, p)
			case match && !found:
				t.Fatalf("%q matches %q but is no candidate by %+v", key.Pattern, units, p)
			case sure:
				proved++
			case found:
				open++
			case x.all(p.Any[len(p.Any)-1].All):
				out++
			}
		}
	})
	if proved == 0 || open == 0 || out == 0 {
		t.Errorf("%d proved, %d left open, %d ruled out by the triples alone", proved, open, out)
	}
}

// Where there is no triple, a longer word may yet end or begin like the outer ones.
func TestNoTriple(t *testing.T) {
	for _, c := range []struct {
		key, body            string
		found, sure, matches bool
	}{
		{"of to the", "of to the, to", true, true, true},
		{"of to the", "of to. to the", false, false, false},
		{"of to the", "of to a; is to the", false, false, false},
		{"of to the", "proof to the, to", true, false, true},
		{"of to the", "of to there, to", true, false, true},
		{"of to the", "proof to a; is to the", true, false, false},
		{"of to with", "of to within, to", true, false, true},
		{"of to with", "of to a; is to with", false, false, false},
		{"with to of", "forthwith to of, to", true, false, true},
		{"of that the", "of that a; is that the", true, false, false},
	} {
		units := []Unit{BodyUnit(c.body)}
		k := NewKey(InBody, "", c.key)
		x, p := indexOf(units), k.Plan()
		if found, sure, matches := x.candidate(p), x.sure(p), k.Match(units); found != c.found || sure != c.sure || matches != c.matches {
			t.Errorf("%q in %q: a candidate %v, sure %v, matches %v: %+v", c.key, c.body, found, sure, matches, p)
		}
	}
}
