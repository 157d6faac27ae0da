package search

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"teraslot/text"
)

func TestLikeness(t *testing.T) {
	for _, c := range []struct {
		word, term string
		want       kind
	}{
		{"meeting", "meeting", same}, {"Müller", "MÜLLER", same},
		{"resume", "résumé", respelt}, {"Müller", "Mueller", respelt}, {"Mueller", "Müller", respelt}, {"Muller", "Müller", respelt},
		{"strasse", "Straße", respelt}, {"Ærø", "Aeroe", respelt}, {"aether", "æther", respelt}, {"lodz", "Łódź", respelt}, {"Ångström", "Aangstroem", respelt},
		{"ёлка", "елка", respelt}, {"שלום", "שָׁלוֹם", respelt}, {"が", "か", unlike}, {"कि", "क", unlike}, {"öl", "oel", respelt}, {"öl", "ol", respelt},
		{"mee", "meeting", begun}, {"me", "meeting", unlike}, {"200", "2002", begun}, {"mp3", "mp3s", begun}, {"müll", "muellers", begun},
		{"meeting", "meetings", inflected}, {"meetings", "meeting", inflected}, {"organise", "organisation", inflected}, {"happiness", "happy", inflected},
		{"canciones", "canción", inflected}, {"Häuser", "Hauses", inflected}, {"книга", "книги", inflected}, {"dying", "die", unlike}, {"meet", "meeting", inflected},
		{"helo", "hello", inflected}, {"helo", "help", oneTypo}, {"lunch", "lucnh", oneTypo}, {"lunch", "ulnch", oneTypo}, {"hel", "help", begun}, {"hel", "hal", unlike},
		{"lunch", "punch", unlike}, {"lunch", "lumchh", unlike}, {"receive", "recieve", oneTypo}, {"invoice", "nivoice", oneTypo}, {"xenophobia", "xenohpobai", twoTypos},
		{"2002", "2003", unlike}, {"mp34", "mp35", unlike}, {"word", "wor9", unlike}, {"assassin", "assasin", inflected}, {"assassin", "asasin", twoTypos}, {"assassin", "asain", unlike},
		{"会議", "会議", same}, {"会議", "会話", unlike}, {"c", "c", same}, {"c", "d", unlike},
	} {
		w := newFuzzyWord(text.Normalize(c.word))
		if got := w.like(text.Normalize(c.term)); got.kind != c.want {
			t.Errorf("%s is like %s: %d, want %d", c.term, c.word, got.kind, c.want)
		}
	}
}

func TestFormsNameTheirLanguages(t *testing.T) {
	w := newFuzzyWord("CANCIONES")
	l := w.like(text.Normalize("canción"))
	var names []string
	for i, in := range inflections {
		if l.langs>>i&1 == 1 {
			names = append(names, in.name)
		}
	}
	if !slices.Contains(names, "spanish") || slices.Contains(names, "turkish") || slices.Contains(names, "russian") {
		t.Errorf("the plural of canción is one in %v", names)
	}
}

// nearby draws a word and a term that may be like it.
func nearby(t *rapid.T) (word, term string) {
	letters := []rune("abceinorst\u0301\u0308ßøÆ9か会к")
	draw := rapid.StringOfN(rapid.SampledFrom(letters), 1, 12, -1)
	word = draw.Draw(t, "word")
	runes := []rune(word)
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		at := rapid.IntRange(0, len(runes)).Draw(t, "at")
		r := rapid.SampledFrom(letters).Draw(t, "letter")
		switch rapid.IntRange(0, 2).Draw(t, "edit") {
		case 0:
			runes = append(runes[:at], append([]rune{r}, runes[at:]...)...)
		case 1:
			if at < len(runes) {
				runes[at] = r
			}
		case 2:
			if at < len(runes) && len(runes) > 1 {
				runes = append(runes[:at], runes[at+1:]...)
			}
		}
	}
	return firstWord(word), firstWord(string(runes))
}

func firstWord(s string) string {
	for token := range text.Tokens(text.Normalize(s)) {
		if isWord(token) {
			return token
		}
	}
	return "A"
}

// What is passed over in the dictionary is nothing that is like the word: the dictionary is
// asked by the word's prefixes, and most terms are told by how far they are.
func TestNothingLikeAWordIsPassedOver(t *testing.T) {
	alike := 0
	rapid.Check(t, func(t *rapid.T) {
		word, term := nearby(t)
		w := newFuzzyWord(word)
		l := w.like(term)
		if l.kind == unlike {
			return
		}
		alike++
		if w.farFrom(term) {
			t.Fatalf("%q is like %q (%d), but far from it", term, word, l.kind)
		}
		if term != word && !w.begins(term) {
			t.Fatalf("%q is like %q (%d), but begins with none of %q", term, word, l.kind, w.prefixes)
		}
	})
	if alike < 20 {
		t.Errorf("only %d terms were like their words", alike)
	}
}

// The exact term has to be found by the prefixes, too.
func TestAWordBeginsWithItsPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := firstWord(rapid.String().Draw(t, "word"))
		if !newFuzzyWord(word).begins(word) {
			t.Fatalf("%q begins with none of its prefixes", word)
		}
	})
}

// edits agrees with the definition, and says limit+1 for all above the limit.
func TestEdits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		word := func() string {
			b := make([]rune, 1+r.IntN(6))
			for i := range b {
				b[i] = []rune("abcé")[r.IntN(4)]
			}
			return string(b)
		}
		a, b := word(), word()
		want := alignment([]rune(a), []rune(b))
		for limit := 1; limit <= 2; limit++ {
			if got := edits(a, b, limit); got != min(want, limit+1) {
				t.Fatalf("edits(%q, %q, %d) = %d, the distance is %d", a, b, limit, got, want)
			}
		}
	}
}

// alignment is the distance of optimal string alignment, by its definition: of two words of
// six letters that is 9,000 calls, of eight 265,000.
func alignment(a, b []rune) int {
	if len(a) == 0 || len(b) == 0 {
		return len(a) + len(b)
	}
	change := 1
	if a[len(a)-1] == b[len(b)-1] {
		change = 0
	}
	shorterA, shorterB := a[:len(a)-1], b[:len(b)-1]
	d := min(alignment(shorterA, shorterB)+change, alignment(shorterA, b)+1, alignment(a, shorterB)+1)
	if n, m := len(a), len(b); n > 1 && m > 1 && a[n-1] == b[m-2] && a[n-2] == b[m-1] {
		d = min(d, alignment(a[:n-2], b[:m-2])+1)
	}
	return d
}

// FuzzLikeness: no word, however odd, does anything but get an answer; the stemmers are
// other people's.
func FuzzLikeness(f *testing.F) {
	f.Add("meeting", "meetings")
	f.Add("\u0301", "ß\u0308")
	f.Add("y'ing", "İıſ")
	f.Fuzz(func(t *testing.T, word, term string) {
		for a := range text.Tokens(text.Normalize(word)) {
			if utf8.RuneCountInString(a) > 64 || !isWord(a) {
				continue
			}
			w := newFuzzyWord(a)
			for b := range text.Tokens(text.Normalize(term)) {
				if l := w.like(b); l.kind != unlike && w.farFrom(b) {
					t.Errorf("%q is like %q, but far from it", b, a)
				}
			}
		}
	})
}

func TestPhrasesOfAKey(t *testing.T) {
	for _, c := range []struct {
		pattern        string
		words, phrases int
	}{
		{"", 0, 0}, {"->", 0, 0}, {"one two", 2, 0}, {`"one two"`, 2, 1}, {`one "two`, 2, 0}, {`"one"`, 1, 0}, {`"one two" three "four five"`, 5, 2},
		{`"one one"`, 1, 1}, {"会議資料", 3, 0}, {"c++", 1, 0},
	} {
		k := newFuzzyKey(text.NewKey(text.InBody, "", c.pattern))
		if len(k.words) != c.words || len(k.phrases) != c.phrases {
			t.Errorf("%s: %d words, %d phrases", c.pattern, len(k.words), len(k.phrases))
		}
	}
	long := ""
	for i := range 100 {
		long += string(rune('a'+i%26)) + string(rune('a'+i/26)) + " "
	}
	if k := newFuzzyKey(text.NewKey(text.InBody, "", long)); len(k.words) != maxFuzzyWords {
		t.Errorf("%d words of 100 are looked for", len(k.words))
	}
}

func TestBest(t *testing.T) {
	for _, c := range []struct {
		score []float32
		n     int
		want  []int
	}{
		{nil, 5, []int{}}, {[]float32{1, 3, 2}, 2, []int{1, 2}}, {[]float32{1, 1, 1}, 2, []int{0, 1}}, {[]float32{1}, 0, []int{}}, {[]float32{1, 2, 3}, 9, []int{2, 1, 0}},
	} {
		got := best(c.score, c.n)
		if len(got) != len(c.want) {
			t.Errorf("best %d of %v: %v", c.n, c.score, got)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("best %d of %v: %v", c.n, c.score, got)
			}
		}
	}
}

func TestScores(t *testing.T) {
	got := Scores([]float32{0, 0.5, 2, 1})
	if want := []uint8{1, 25, 100, 50}; len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Scores([]float32{0}); got[0] != 1 {
		t.Errorf("nothing relevant has the score %d", got[0])
	}
	for top := float32(0.001); top < 20; top += 0.0137 {
		if got := Scores([]float32{top, top / 2}); got[0] != 100 || got[1] != 50 {
			t.Fatalf("relevance %v, the best of two: %v", top, got)
		}
	}
}
