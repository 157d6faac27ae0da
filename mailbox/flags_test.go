package mailbox

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMakeFlags(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{`\Seen`}, `\Seen`},
		{[]string{`\SEEN`, `\deleted`, `\seen`}, `\Seen \Deleted`},
		{[]string{`\Draft`, `\Flagged`, `\Answered`, `\Deleted`, `\Seen`}, `\Seen \Answered \Flagged \Deleted \Draft`},
		{[]string{`\Recent`, `\*`, `\Unknown`, `\`}, ``},
		{[]string{"$Junk", "$Forwarded"}, "$Forwarded $Junk"},
		{[]string{"Work", "WORK", "work"}, "Work"},
		{[]string{"b", "A", "a", "B"}, "A b"},
		{[]string{"", "a b", "a\r", "a\nb", "\x00", "ok"}, "ok"},
		{[]string{"a\tb", "c\vd", "e\ff", "\x7f"}, ""},
		{[]string{"x\u00a0y", "\u2003", "\u0085"}, "x\u00a0y \u0085 \u2003"}, // spaces, though not ASCII's
		{[]string{"A\xff", "a\xfe", "A\xfe"}, "a\xfe A\xff"},                 // not UTF-8, and not the same
		{[]string{"é", "É"}, "É é"},                                          // only ASCII is folded: RFC 9051 has no other in flags
	} {
		f := MakeFlags(c.names...)
		if f.String() != c.want {
			t.Errorf("%q are %q, want %q", c.names, f.String(), c.want)
		}
		if again := MakeFlags(f.List()...); again != f {
			t.Errorf("%q read again are %q", f, again)
		}
	}
}

func TestSystemFlag(t *testing.T) {
	for name, want := range map[string]System{`\Seen`: Seen, `\answered`: Answered, `\FLAGGED`: Flagged, `\Deleted`: Deleted, `\Draft`: Draft} {
		if got, ok := SystemFlag(name); got != want || !ok {
			t.Errorf("%s is %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "Seen", `\Recent`, `\Seen `, `\ſeen`} {
		if got, ok := SystemFlag(name); ok {
			t.Errorf("%q is %d", name, got)
		}
	}
	// Records hold these numbers.
	if Seen != 1 || Answered != 2 || Flagged != 4 || Deleted != 8 || Draft != 16 {
		t.Error("the values of the system flags have changed")
	}
}

func TestSpelling(t *testing.T) {
	a, b := MakeFlags("Work", `\Seen`), MakeFlags("WORK", `\Seen`)
	if !a.Equal(b) || a == b {
		t.Errorf("%q and %q", a, b)
	}
	if got := a.Union(b); got != a {
		t.Errorf("union %q", got)
	}
	if got := b.Union(a); got != b {
		t.Errorf("union %q", got)
	}
	if got := a.Minus(b); got != (Flags{}) {
		t.Errorf("minus %q", got)
	}
	if !a.HasKeyword("wOrK") || a.HasKeyword("Wor") || a.HasKeyword("") || a.HasKeyword(`\Seen`) {
		t.Errorf("keywords of %q", a)
	}
}

// flagSet is a set of flags as simple as can be: by folded name.
type flagSet map[string]bool

func setOf(names []string) flagSet {
	m := flagSet{}
	for _, n := range names {
		m[strings.ToLower(n)] = true
	}
	return m
}

func (m flagSet) is(t *rapid.T, what string, f Flags) {
	got := f.List()
	if len(got) != len(m) {
		t.Fatalf("%s: %q, want %v", what, got, m)
	}
	for _, n := range got {
		if !m[strings.ToLower(n)] {
			t.Fatalf("%s: %q, want %v", what, got, m)
		}
	}
	if !slices.IsSortedFunc(f.KeywordList(), compareFold) {
		t.Fatalf("%s: %q is not sorted", what, f.Keywords)
	}
}

var anyNames = rapid.SliceOf(rapid.SampledFrom([]string{
	`\Seen`, `\SEEN`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "$Junk", "$junk", "$NotJunk", "a", "A", "B", "b", "zz", "é"}))

func TestFlagsAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := anyNames.Draw(t, "x"), anyNames.Draw(t, "y")
		f, g := MakeFlags(x...), MakeFlags(y...)
		mx, my := setOf(x), setOf(y)
		mx.is(t, "made", f)
		union := setOf(append(slices.Clone(x), y...))
		union.is(t, "union", f.Union(g))
		minus := setOf(x)
		for n := range my {
			delete(minus, n)
		}
		minus.is(t, "minus", f.Minus(g))
		equal := len(mx) == len(my) && len(union) == len(mx)
		if f.Equal(g) != equal {
			t.Fatalf("Equal of %q and %q is %v", f, g, f.Equal(g))
		}
		for n := range union {
			s, system := SystemFlag(n)
			if system && f.Has(s) != mx[n] || !system && f.HasKeyword(n) != mx[n] {
				t.Fatalf("%q has %s: want %v", f, n, mx[n])
			}
		}
		if !f.Has(0) {
			t.Fatal("Has(0)")
		}
	})
}
