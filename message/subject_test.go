package message

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBaseSubject(t *testing.T) {
	for _, test := range []struct {
		subject, base string
		reply         bool
	}{
		{"", "", false},
		{" \t ", "", false},
		{"lunch", "lunch", false},
		{"  lunch \t at\r\n noon  ", "lunch at noon", false},
		{"Re: lunch", "lunch", true},
		{"RE:lunch", "lunch", true},
		{"re  : lunch", "lunch", true},
		{"Fw: lunch", "lunch", true},
		{"fWd: lunch", "lunch", true},
		{"Fwdx: lunch", "Fwdx: lunch", false},
		{"Rex: lunch", "Rex: lunch", false},
		{"re lunch", "re lunch", false},
		{"Re: Re: FW: re: lunch", "lunch", true},
		{"Re[2]: lunch", "lunch", true},
		{"Re [2] : lunch", "lunch", true},
		{"Re[2][3]: lunch", "Re[2][3]: lunch", false},
		{"[list] lunch", "lunch", false},
		{"[list] Re: lunch", "lunch", true},
		{"Re: [list] lunch", "lunch", true},
		{"[a] [b] Re: [c] [d] fwd[e]: [f] lunch", "lunch", true},
		{"[list]", "[list]", false},
		{"[a][b]", "[b]", false},
		{"[a] [b] ", "[b]", false},
		{"Re: [a]", "[a]", true},
		{"[a] Re:", "", true},
		{"[]lunch", "lunch", false},
		{"[a[b]] lunch", "[a[b]] lunch", false},
		{"[a]b] lunch", "b] lunch", false},
		{"lunch (fwd)", "lunch", true},
		{"lunch(FWD) (fwd)  (Fwd)", "lunch", true},
		{"lunch (fwd) today", "lunch (fwd) today", false},
		{"(fwd)", "", true},
		{"(fwd) lunch", "(fwd) lunch", false},
		{"re: (fwd)", "", true},
		{"[Fwd: lunch]", "lunch", true},
		{"[fwd: Re: [list] lunch (fwd)]", "lunch", true},
		{"[fwd: [fwd: [fwd: lunch]]]", "lunch", true},
		{"Re: [fwd: lunch] (fwd)", "lunch", true},
		{"[fwd: lunch", "[fwd: lunch", false},
		{"[fwd:]", "", true},
		{"[fwd: a] b", "b", false},
		{"[fwd: a] b]", "b]", false},
		{"[x] [fwd: a]", "a", true},
		{"[fwd: a] [fwd: b]", "b", true},
		{"[fwd: [x]]", "[x]", true},
		{"AW: lunch", "AW: lunch", false},
		{"Ｒｅ: lunch", "Ｒｅ: lunch", false},
		{"Re: café　bar", "café　bar", true},
		{"ſre: x", "ſre: x", false},
	} {
		base, reply := BaseSubject(test.subject)
		if base != test.base || reply != test.reply {
			t.Errorf("%q: %q, %t; want %q, %t", test.subject, base, reply, test.base, test.reply)
		}
		if b, r := slowBaseSubject(test.subject); b != test.base || r != test.reply {
			t.Errorf("the oracle: %q: %q, %t; want %q, %t", test.subject, b, r, test.base, test.reply)
		}
	}
}

// The rules of RFC 5256 §5 as regular expressions: subj-blob, subj-refwd, and
// subj-leader and subj-trailer, WSP being the space after step 1.
const (
	ruleBlob  = `\[[^\[\]\x00]*\] *`
	ruleRefwd = `(?:re|fwd?) *(?:` + ruleBlob + `)?:`
)

var (
	leaderRule  = regexp.MustCompile(`(?is)^(?:((?:` + ruleBlob + `)*` + ruleRefwd + `)| )`)
	trailerRule = regexp.MustCompile(`(?is)(?:(\(fwd\))| )$`)
	blobRule    = regexp.MustCompile(`(?is)^` + ruleBlob)
	forwardRule = regexp.MustCompile(`(?is)^\[fwd:(.*)\]$`)
	spaceRule   = regexp.MustCompile(`[\t\r\n ]+`)
)

// slowBaseSubject is RFC 5256 §2.1 sentence by sentence.
func slowBaseSubject(s string) (base string, reply bool) {
	s = spaceRule.ReplaceAllString(s, " ") // (1)
	for {
		for m := trailerRule.FindStringSubmatchIndex(s); m != nil; m = trailerRule.FindStringSubmatchIndex(s) { // (2)
			reply = reply || m[2] >= 0
			s = s[:m[0]]
		}
		for again := true; again; { // (5)
			again = false
			for m := leaderRule.FindStringSubmatch(s); m != nil; m = leaderRule.FindStringSubmatch(s) { // (3)
				reply = reply || m[1] != ""
				s, again = s[len(m[0]):], true
			}
			if b := blobRule.FindString(s); b != "" && len(b) < len(s) { // (4)
				s, again = s[len(b):], true
			}
		}
		m := forwardRule.FindStringSubmatch(s) // (6)
		if m == nil {
			return s, reply // (7)
		}
		s, reply = m[1], true
	}
}

// subjects are made of what the rules speak of.
func subjects() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{"re", "Re:", "fw", "FWD", "fwd:", ":", "[", "]", "[x]", "[]", "[fwd:", "[Fwd: ", "(fwd)",
		"(Fwd)", " ", "  ", "\t", "\r\n ", "x", "é", "lunch", "(", ")", "d", "[re:]", "re[1]:"})
	return rapid.Map(rapid.SliceOfN(piece, 0, 14), func(p []string) string { return strings.Join(p, "") })
}

func TestBaseSubjectAgreesWithTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subject := subjects().Draw(t, "subject")
		base, reply := BaseSubject(subject)
		if b, r := slowBaseSubject(subject); b != base || r != reply {
			t.Fatalf("%q: %q, %t; by the rules %q, %t", subject, base, reply, b, r)
		}
		if again, _ := BaseSubject(base); again != base && !strings.HasPrefix(base, "[") {
			t.Fatalf("%q: %q becomes %q", subject, base, again)
		}
	})
}

// TestBaseSubjectIsLinear: subjects made to be looked at again and again.
func TestBaseSubjectIsLinear(t *testing.T) {
	const n = 1 << 19
	for _, piece := range []string{"[]", "[a] ", "re:", "[a]re:", "[fwd:", "(fwd)", " ", "re[", "re[]", "[fwd:re:", "[x][fwd:"} {
		long := strings.Repeat(piece, n)
		start := time.Now()
		BaseSubject(long)
		BaseSubject(long + strings.Repeat("]", n))
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%q, %d times: %v", piece, n, took)
		}
	}
}

func FuzzBaseSubject(f *testing.F) {
	for _, s := range []string{"", "Re: [x] y (fwd)", "[fwd: [fwd: a]]", "[a][b]", "re[x] :"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		subject = strings.ToValidUTF8(strings.ReplaceAll(subject, "\x00", ""), "")
		base, reply := BaseSubject(subject)
		if len(subject) > 4000 {
			return // the rules are slow
		}
		if b, r := slowBaseSubject(subject); b != base || r != reply {
			t.Fatalf("%q: %q, %t; by the rules %q, %t", subject, base, reply, b, r)
		}
	})
}
