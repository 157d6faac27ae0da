package text

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestTokens(t *testing.T) {
	long := strings.Repeat("0123456789", 15)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" ", nil},
		{"ONE TWO", []string{"ONE", "TWO"}},
		{"C++ A->B #42", []string{"C", "++", "A", "->", "B", "#", "42"}},
		{"CAFE\u0301", []string{"CAFE\u0301"}},
		{"会議資料", []string{"会議", "議資", "資料"}},
		{"日", []string{"日"}},
		{"A日本B", []string{"A", "日本", "B"}},
		{"か\u3099き", []string{"か\u3099", "\u3099き"}},
		{"สวัส", []string{"สว", "วั", "ัส"}},
		{"한글 말", []string{"한글", "말"}},
		{long[:96], []string{long[:96]}},
		{long[:97], []string{long[:96], long[1:97]}},
		{long[:144], []string{long[:96], long[48:144]}},
		{long[:145], []string{long[:96], long[48:144], long[49:145]}},
		{strings.Repeat("-", 110), []string{strings.Repeat("-", 96), strings.Repeat("-", 96)}},
	} {
		if got := slices.Collect(Tokens(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("Tokens(%+q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// Classes and tokens as they are in this version, over all code points.
func TestTokenGolden(t *testing.T) {
	h := sha256.New()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		h.Write([]byte{byte(classOf(r))})
	}
	var terms []string
	for field, term := range Terms([]Unit{HeaderUnit("Subject", strings.Repeat("x", 97)+" 日本語 c++"), BodyUnit("สวัส and more_than c."), HeaderUnit("X-Y", "z"),
		HeaderUnit("é", "odd")}) {
		terms = append(terms, field+"="+term+"\n")
	}
	slices.Sort(terms) // those of single code points come in any order
	h.Write([]byte(strings.Join(terms, "")))
	const version, want = 7, "b818cffb2b3728069d240bedf37efe1558f839df005aa82186c0f7736033b874"
	if TokenVersion != version || hex.EncodeToString(h.Sum(nil)) != want {
		t.Errorf("token version %d has the hash %x, want version %d and %s: raise the version with each change",
			TokenVersion, h.Sum(nil), version, want)
	}
}

// index is the dumbest index there is: by field, how often it has each term.
type index map[string]map[string]int

func indexOf(units []Unit) index {
	x := index{}
	for field, term := range Terms(units) {
		if x[field] == nil {
			x[field] = map[string]int{}
		}
		x[field][term]++
	}
	return x
}

// candidate answers a plan for one message.
func (x index) candidate(p Plan) bool {
	return slices.ContainsFunc(p.Any, func(a Alternative) bool {
		return x.has(a) && !(a.Settled && (!a.Provable || x.anyDoubt(a.Doubts)) && !x.anyDoubt(a.Open))
	})
}

// sure reports whether an alternative that needs no verification finds the message.
func (x index) sure(p Plan) bool {
	return slices.ContainsFunc(p.Any, func(a Alternative) bool { return (a.Sure || a.Provable && !x.doubtful(a)) && x.has(a) })
}

// doubtful reports whether there is a doubt about the message.
func (x index) doubtful(a Alternative) bool { return x.anyDoubt(a.Doubts) }

func (x index) anyDoubt(doubts []Doubt) bool {
	return slices.ContainsFunc(doubts, func(d Doubt) bool {
		for term, n := range x[d.Has.Field] {
			if d.Means(term, n) {
				return true
			}
		}
		return false
	})
}

func (x index) has(a Alternative) bool {
	if !a.AnyHeader {
		return x.all(a.All)
	}
	for field := range x {
		if strings.Contains(field, ":") || !strings.HasSuffix(strings.ToUpper(field)+":", a.NameSuffix) {
			continue
		}
		var about []Lookup
		for _, l := range a.All {
			near, ok := NearField(field)
			if l.Field == FieldNear && !ok {
				continue
			} else if l.Field == FieldNear {
				l.Field = near
			}
			l.Field = cmp.Or(l.Field, field)
			about = append(about, l)
		}
		if (len(about) > 0 || len(a.All) == 0) && x.all(about) {
			return true
		}
	}
	return false
}

func (x index) all(all []Lookup) bool {
	return !slices.ContainsFunc(all, func(l Lookup) bool { return !x.finds(l) })
}

func (x index) finds(l Lookup) bool {
	for term := range x[l.Field] {
		if l.Means(term) {
			return true
		}
	}
	return false
}

// genText makes text in which runs of all classes and lengths meet.
func genText() *rapid.Generator[string] {
	lengths := rapid.OneOf(rapid.IntRange(1, 4), rapid.IntRange(45, 53), rapid.IntRange(92, 100), rapid.IntRange(140, 200))
	alphabets := []string{"ab", "a b", ": ab", "aé1", "-+", "日本語", "ก็า", "が", " \r\n", "ЖжΣ", "\u0301", "한글"}
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			alphabet := []rune(rapid.SampledFrom(alphabets).Draw(t, "alphabet"))
			for range lengths.Draw(t, "length") {
				b.WriteRune(rapid.SampledFrom(alphabet).Draw(t, "rune"))
			}
		}
		return b.String()
	})
}

// genKey draws mostly keys that occur in one of the units.
func genKey(t *rapid.T, units []Unit) Key {
	scope := rapid.SampledFrom([]Scope{InText, InBody, InHeader}).Draw(t, "scope")
	name := rapid.SampledFrom([]string{"subject", "to", "x-odd", "none", "x é"}).Draw(t, "name")
	pattern := rapid.SampledFrom([]string{"", " ", "A", "日", "-", "X-ODD: A", "ODD: A", ": ", "SUBJECT:", "JECT: ", ": A", "B A", " A"}).Draw(t, "pattern")
	if len(units) > 0 && rapid.IntRange(0, 9).Draw(t, "inside") > 0 {
		u := rapid.SampledFrom(units).Draw(t, "unit")
		rs := []rune(u.Text)
		from := rapid.IntRange(0, len(rs)).Draw(t, "from")
		to := rapid.IntRange(from, len(rs)).Draw(t, "to")
		pattern = string(rs[from:to])
		if u.Kind == Header {
			name = u.Name
		}
	}
	if scope != InHeader {
		name = ""
	}
	k := NewKey(scope, name, "")
	k.Pattern = pattern // already folded; a second fold might change it
	return k
}

func TestPlan(t *testing.T) {
	var keys, hits, sure int
	rapid.Check(t, func(t *rapid.T) {
		var units []Unit
		for range rapid.IntRange(0, 3).Draw(t, "units") {
			s := genText().Draw(t, "text")
			if name := rapid.SampledFrom([]string{"", "Subject", "To", "X-Odd", "X é"}).Draw(t, "field"); name != "" {
				units = append(units, HeaderUnit(name, s))
			} else {
				units = append(units, BodyUnit(s))
			}
		}
		x := indexOf(units)
		for range 10 {
			k := genKey(t, units)
			p := k.Plan()
			found, match := x.candidate(p), k.Match(units)
			if match && !found {
				t.Fatalf("%+v matches %+v but is no candidate by %+v", k, units, p)
			}
			if x.sure(p) && !match {
				t.Fatalf("%+v does not match %+v but is sure by %+v", k, units, p)
			}
			keys++
			if match {
				hits++
			}
			if x.sure(p) {
				sure++
			}
		}
	})
	if hits*10 < keys*3 || sure*20 < keys {
		t.Errorf("of %d keys %d matched and %d were sure: too few to say much", keys, hits, sure)
	}
}

// sureAll reports whether no candidate of a plan has to be verified.
func sureAll(p Plan) bool {
	return !slices.ContainsFunc(p.Any, func(a Alternative) bool { return !a.Sure && !slices.ContainsFunc(a.All, isLineField) })
}

// isLineField: lines of an unusual form are looked through whatever the key is.
func isLineField(l Lookup) bool { return l.Field == FieldLine }

// Candidates that are no matches cost reading, so keys of one token must have
// none, and be known to have none.
func TestPlanSure(t *testing.T) {
	for _, c := range []struct {
		pattern                     string
		body, lines, near, uncommon bool // near: in fields with stretches; uncommon: in others
	}{
		{"assassin", true, true, true, true}, {"++", true, true, true, true}, {"日", true, true, true, true}, {"日本", true, true, true, true},
		{"日本語", false, false, false, false},
		{strings.Repeat("x", window), true, true, true, true}, {strings.Repeat("x", window+1), false, false, false, false},
		{"two words", false, false, false, false}, {"of the", true, false, true, false}, {"with this", true, false, false, false}, {"a b", true, false, true, false},
		{"of the ", false, false, false, false}, {" of the", false, false, false, false}, {"of the-", false, false, false, false}, {"of the following", false, false, false, false},
		{"a.b", true, true, true, false}, {"e. ", true, true, true, false}, {" - ", true, true, false, false}, {"ab.c", false, false, true, false}, {", the", true, false, true, false}, {", them", false, false, false, false}, {" (the", true, false, true, false},
		{"a.b.", true, false, false, false}, {"ab.c.d", false, false, false, false}, {"-->", true, true, true, true}, {"a-->b", false, false, true, false},
		{" a", true, false, true, false}, {"a ", true, false, true, false}, {"re: ", false, false, true, false}, {"abcd ", true, false, false, false}, {" abcd", false, false, false, false}, {"abcde ", false, false, false, false},
	} {
		for k, want := range map[Key]bool{
			NewKey(InText, "", c.pattern):              c.body && c.lines,
			NewKey(InBody, "", c.pattern):              c.body,
			NewKey(InHeader, "subject", c.pattern):     c.near,
			NewKey(InHeader, "x-mailer", c.pattern):    c.uncommon,
			NewKey(InHeader, "\x01odd\xff", c.pattern): c.uncommon,
		} {
			if got := sureAll(k.Plan()); got != want {
				t.Errorf("plan of %+v is sure: %v, want %v: %+v", k, got, want, k.Plan())
			}
		}
	}
	if p := NewKey(InHeader, "X-Mailer", "").Plan(); !sureAll(p) || len(p.Any) != 1 {
		t.Errorf("presence of a field: %+v", p)
	}
	for _, name := range []string{strings.Repeat("n", 300), "odd name", "\xff", ""} {
		for _, pattern := range []string{"", " "} {
			if p := NewKey(InHeader, name, pattern).Plan(); sureAll(p) {
				t.Errorf("a name %q has no term of its own: %+v", name, p)
			}
		}
	}
	for _, pattern := range []string{"a", "a b", "a b c"} {
		p := NewKey(InHeader, "", pattern).Plan()
		if len(p.Any) != 1 || sureAll(p) || p.Any[0].AnyHeader || slices.ContainsFunc(p.Any[0].All, func(l Lookup) bool { return l.Field == "" }) {
			t.Errorf("fields without a name are looked for in a field without one: %+v", p)
		}
	}
	if p := (Key{Scope: 99, Pattern: "a"}).Plan(); len(p.Any) != 0 {
		t.Errorf("an unknown scope has candidates: %+v", p)
	}
}

func TestBorders(t *testing.T) {
	for in, want := range map[string][]string{
		"ONE":                           nil,
		"ONE TWO":                       {"TWO ENO"},
		"OF THE FOLLOWING":              {"THE FO", "FOLL EHT"},
		"DONE, SO. IT -- IS":            {" TI"},
		"日本 語 A":                        {"A "},
		"A 日 (B) C":                     {" A"},
		"A ":                            {" A"},
		" A":                            {"A "},
		" ":                             nil,
		"A 42 B":                        {"42 A", "B 24"},
		"ÜBERMUT ÉTÉ":                   {"ÉTÉ TUMR"},
		strings.Repeat("X", 200) + " Y": {"Y XXXX"},
	} {
		var got []string
		for field, term := range Terms([]Unit{{Body, "", in}}) {
			if field == FieldBorder {
				got = append(got, term)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the borders of %q are %q, want %q", in, got, want)
		}
	}
}

func TestSigns(t *testing.T) {
	for in, want := range map[string][2][]string{ // of bodies, and of header lines
		"": {}, "-": {}, "A": {}, "A-": {{"A-"}, nil}, "-A": {{"-A"}, nil}, " -": {{" -"}, nil},
		"A-B": {{"A-B"}, {"A-B"}}, "THAT, ANDY": {{"T, AND", "THAT, "}, {"T, "}}, "THAT, A B": {{"T, A", "THAT, "}, {"T, "}}, "E. ": {{"E. ", "E. "}, {"E. "}}, "--->": {{"---", "--->", "-->", "->"}, {"---", "-->"}},
		"日-本": {{"日-本"}, {"日-本"}}, "é→𝒳→": {{"é→𝒳→", "𝒳→"}, {"é→𝒳"}}, "A → B": {{" → B"}, {" → "}}, "X_Y_Z": {{"X_Y_", "Y_Z"}, {"X_Y", "Y_Z"}}, "FIRST_LAST": {{"IRST_LA"}, {"T_L"}}, "THERE, A-B. 日, (C)": {{"E, A", "A-B.", "B. 日", "B. ", "日, (", " (C)", "C)"}, {"E, ", "A-B", "B. ", "日, ", " (C"}}, "SOME/PATH": {{"SOME/PA"}, nil}, "MAIL.COM": {{"L.CO"}, {"L.C"}}, "HTTPS://LORE": {{"TTPS://", "://L", "//LOR"}, {"S:/"}}, "é__B": {{"é__B", "__B"}, {"é__", "__B"}},
		"A+B/C=D": {{"A+B/", "B/C=", "C=D"}, {"C=D"}},
	} {
		for i, u := range []Unit{{Body, "", in}, {Header, "to", in}} {
			var got []string
			for field, term := range Terms([]Unit{u}) {
				if field == FieldSign || field == FieldLineSign {
					got = append(got, term)
				}
			}
			if !slices.Equal(got, want[i]) {
				t.Errorf("the stretches around symbols of %+v are %q, want %q", u, got, want[i])
			}
		}
	}
}

// The stretches around what separates words in some header fields.
func TestNears(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, "WORD": nil, "...": nil, "--------": nil, "日本語": nil,
		"TWO WORDS": {"TWO WOR"}, "A B C": {"A B", "B C"}, "RE: [PATCH 1/2]": {"RE: [PAT", "TCH 1", "1/2", "2]"},
		"ANN@EXAMPLE.ORG>, <BOB": {"ANN@EXA", "PLE.ORG", "ORG>, <BOB"}, "LONG -- >> GAP": {"ONG -- ", " >> GAP"},
		"(X)": {"(X", "X)"}, "会議-資料です": {"会議-資料で"}, "-------X-------": {"----X", "X----"}, "ÉTÉS ÖSTL": {"TÉS ÖST"},
	} {
		var got []string
		for field, term := range Terms([]Unit{{Header, "to", "TO: " + in}, {Header, "x-to", "X-TO: " + in}}) {
			if strings.HasSuffix(field, ":") {
				got = append(got, strings.TrimPrefix(field, "to:")+term)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the stretches of %q are %q, want %q", in, got, want)
		}
	}
}

// A word beside a symbol is decided by the stretch there, whatever else stands in the
// message, unless another of its words begins or ends as much like it as the stretch shows.
func TestBesideSign(t *testing.T) {
	for _, c := range []struct {
		key, body              string
		match, candidate, sure bool
	}{
		{"https://", "see https://lore, http is", true, true, true}, {"https://", "https: //lore http://a ahttps", false, false, false},
		{"https://", "https and xttps://", false, true, false}, {"https://", "https://x xttps", true, true, false},
		{", because", "so, because of", true, true, true}, {", because", "so, because becoming", true, true, false}, {", because", "so, became because", false, true, false},
		{"drivers/", "in drivers/net", true, true, true}, {"drivers/", "in drivers/", true, true, true}, {"drivers/", "in drivers/ net", true, true, false},
		{"drivers/", "drivers, net/", false, false, false}, {"drivers/", "rivers/net drivers", false, true, false}, {"net/", "in net/a", true, true, true},
		{"(the", "f(there", true, true, false}, {"(the", "a (there", true, true, true}, {"(the", "(there", true, true, true}, {"(the", "a (to the", false, false, false},
		{"(the", "f(thx the", false, true, false}, {", the", "so, there", true, true, true}, {", the", "so the, to", false, false, false}, {", the", ", them", true, true, true},
		{"the,", "the, x", true, true, true}, {"the,", "bathe, x the", true, true, false}, {"the,", "bathe then, the", false, false, false}, {"the,", "so the e,fo", false, true, false},
		{"the,", "she, the", false, false, false}, {"the,", "bathe the,", true, true, true}, {"it. ", "sit. it", true, true, true}, {"it. ", "commit. x", true, true, false},
		{"it. ", "it x. commit, y", false, false, false}, {"it. ", "what. it commit", false, true, false}, {"it. ", "what. it is", false, false, false}, {"it. ", "it.- x", false, false, false},
		{"ab_", "ab_c", true, true, true}, {"ab_", "x_ab b_c", false, false, false}, {"label_", "label_x", true, true, true}, {"label_", "mabel_x label", false, true, false},
		{"it ", "commit - x", true, true, true}, {"it ", "commit 日", true, true, true}, {"it ", "commit- x it", false, false, false}, {"commit ", "commit -x", true, true, true}, {"commit ", "summit (commit)", false, true, false},
		{" di", "x (b) dim", true, true, true}, {" di", "x 日 dim", true, true, true}, {" di", "(dim) x", false, false, false}, {" dime", "x, dimes", true, true, true}, {" dime", "x, dimly. (dime", false, true, false},
	} {
		units := []Unit{BodyUnit(c.body)}
		x, k := indexOf(units), NewKey(InBody, "", c.key)
		p := k.Plan()
		if match, candidate, sure := k.Match(units), x.candidate(p), x.sure(p); match != c.match || candidate != c.candidate || sure != c.sure {
			t.Errorf("%q in %q: matches %v, is a candidate %v, sure %v, by %+v", c.key, c.body, match, candidate, sure, p)
		}
	}
}

// A key of very many symbols is looked up by some of the stretches around them.
func TestSignsOfLongKey(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		b.WriteString(string(rune('A'+i%26)) + string(rune('!'+i%8)))
	}
	k := NewKey(InBody, "", b.String())
	n := 0
	for _, l := range k.Plan().Any[0].All {
		if l.Field == FieldSign {
			n++
		}
	}
	if n != maxSigns {
		t.Errorf("%d stretches are looked up, want %d", n, maxSigns)
	}
}

// A short word before the last, short one of a phrase is not the end of a longer one:
// the border between them has all of it.
func TestShortInnerWord(t *testing.T) {
	for body, want := range map[string]bool{"x of you": true, "x of, roof you": false, "fix of yours": true, "x of. Proof, of a. roof you": false} {
		units := []Unit{BodyUnit(body)}
		x, p := indexOf(units), NewKey(InBody, "", "x of y").Plan()
		if x.candidate(p) != want || x.sure(p) != want {
			t.Errorf("%q: a candidate %v, sure %v; want %v", body, x.candidate(p), x.sure(p), want)
		}
	}
}

// Doubts are what the borders of a phrase leave open, and nothing else.
func TestDoubts(t *testing.T) {
	for _, c := range []struct {
		key      string
		body     string
		provable bool // the plan says what is doubtful
		doubt    bool // that body is
	}{
		{"linux kernel", "the linux kernel", true, false},
		{"linux kernel", "sulinux kernels", true, false},
		{"linux kernel", "the linux kernel, by minux", true, true},
		{"linux kernel", "the linux kernel, a kernal", true, true},
		{"kernel of linux", "the kernel of linux", true, false},
		{"kernel of linux", "the kernel of minux and of linux", true, true},
		{"a linux kernel", "a linux kernel", true, false},
		{"a linux kernel", "a linux kernel, linux", true, true},
		{"a linux kernel", "a linux kernel, linuxes", true, true},
		{"a linux kernel", "a linux kernel, gnu-linux kernels and mulinux", true, true},
		{"a long kernel", "a long kernel", true, false},
		{"a long kernel", "a longer long kernel", true, true},
		{"a linux-kernel", "a linux-kernel", false, false},
		{"linux kernel ", "linux kernel ", false, false},
		{" linux kernel", " linux kernel", false, false},
		{"linux  日本", "linux 日本", false, false},
		{"linux " + strings.Repeat("x", window), "", false, false},
	} {
		a := NewKey(InBody, "", c.key).Plan().Any[0]
		x := indexOf([]Unit{BodyUnit(c.body)})
		if a.Provable != c.provable || x.doubtful(a) != c.doubt {
			t.Errorf("%q in %q: provable %v, in doubt %v; want %v, %v: %+v", c.key, c.body, a.Provable, x.doubtful(a), c.provable, c.doubt, a.Doubts)
		}
	}
}

// Phrases of few words, all like each other, are proved rightly where they are proved.
func TestDoubtsProperty(t *testing.T) {
	vocabulary := []string{"a", "of", "off", "roof", "proof", "the", "them", "then", "thenes", "bathe", "thing", "things", "nothing", "anything", "xthing", "thingx", "linux", "minux"}
	proved := 0
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string, least, most int) string {
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), least, most).Draw(t, what), " ")
		}
		units := []Unit{BodyUnit(draw("body", 0, 12)), BodyUnit(draw("second", 0, 3))}
		key := NewKey(InBody, "", draw("key", 2, 4))
		if from := rapid.IntRange(0, 4).Draw(t, "from"); from < len(key.Pattern) {
			key.Pattern = key.Pattern[from:] // a part of the first word
		}
		x, p := indexOf(units), key.Plan()
		if x.sure(p) && !key.Match(units) {
			t.Fatalf("%q does not match %q but is sure", key.Pattern, units)
		}
		if !x.candidate(p) && key.Match(units) {
			t.Fatalf("%q matches %q but is no candidate", key.Pattern, units)
		}
		if x.sure(p) {
			proved++
		}
	})
	if proved == 0 {
		t.Error("nothing was proved")
	}
}

// A message may be one word of 50 MB: nothing is kept for each of its code points.
func TestTokensOfLongRun(t *testing.T) {
	for _, letter := range []string{"A", "é", "𐐀"} {
		s := strings.Repeat(letter, 10_000)
		n := 0
		allocs := testing.AllocsPerRun(1, func() {
			n = 0
			for token := range Tokens(s) {
				if utf8.RuneCountInString(token) != longest {
					t.Errorf("a piece of %d code points", utf8.RuneCountInString(token))
				}
				n++
			}
		})
		if want := (10_000-longest+stride-1)/stride + 1; n != want || allocs > 0 {
			t.Errorf("%d pieces of %q, want %d; %v allocations", n, letter, want, allocs)
		}
	}
}

// The pieces of a long run begin every stride code points and at its end.
func TestPieces(t *testing.T) {
	for _, letters := range []string{"ABCDEFGHIJKLMNOPQ", "AéßÑ", "𐐀A\u0301"} {
		for n := longest - 1; n < 4*longest; n++ {
			all := []rune(strings.Repeat(letters, n))[:n]
			var want []string
			for i := 0; i+longest < n; i += stride {
				want = append(want, string(all[i:i+longest]))
			}
			want = append(want, string(all[max(0, n-longest):]))
			if got := slices.Collect(Tokens(string(all))); !slices.Equal(got, want) {
				t.Fatalf("the pieces of %q are %q, want %q", string(all), got, want)
			}
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("C++ 会議 " + strings.Repeat("é", 80))
	f.Add("\xff\x80a")
	f.Fuzz(func(t *testing.T, s string) {
		end := 0
		for token := range Tokens(s) {
			if token == "" || strings.ContainsFunc(token, unicode.IsSpace) || utf8.RuneCountInString(token) > longest {
				t.Errorf("Tokens(%+q) yields %+q", s, token)
			}
			at := strings.Index(s, token)
			if at < 0 {
				t.Errorf("Tokens(%+q) yields %+q, which is not part of it", s, token)
			}
			end = max(end, at+len(token))
		}
		for range Tokens(s) {
			break // an early end is allowed
		}
	})
}

func BenchmarkTokens(b *testing.B) {
	s := Normalize(strings.Repeat("The quick brown fox <jumps@over.example> the lazy dog, 42 times. ", 1000))
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		for range Tokens(s) {
		}
	}
}
