package tiers

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/mailbox"
	"teraslot/text"
)

// anyWord makes words short and long, of one octet a code point and of several, and
// some that are the beginning of another.
func anyWord(t *rapid.T) string {
	letters := rapid.SampledFrom([]string{"AB", "AÉ", "É", "AB日", "A\x00", "𐐀B", "-\x00", "0123456789ABCDEFGHIJ"}).Draw(t, "letters")
	return rapid.StringOfN(rapid.SampledFrom([]rune(letters)), 1, 12, -1).Draw(t, "word")
}

// anyText is folded text of such words.
func anyText(t *rapid.T) string {
	words := rapid.SliceOfN(rapid.Custom(anyWord), 0, 30).Draw(t, "words")
	return text.Normalize(strings.Join(words, rapid.SampledFrom([]string{" ", ", ", "\x00 "}).Draw(t, "between")))
}

func anyUnits(t *rapid.T) []text.Unit {
	var units []text.Unit
	for range rapid.IntRange(0, 4).Draw(t, "units") {
		if rapid.Bool().Draw(t, "header") {
			units = append(units, text.HeaderUnit(rapid.SampledFrom([]string{"From", "X-A", "É", ""}).Draw(t, "name"), anyText(t)))
		} else {
			units = append(units, text.Unit{Kind: text.Body, Text: anyText(t)})
		}
	}
	return units
}

// termMap is what an analysis says, in the dumbest way: by field and term, how often
// each document has it.
type termMap map[[2]string]map[uint32]int

func (m termMap) add(doc uint32, units []text.Unit) {
	for field, term := range text.Terms(units) {
		k := [2]string{field, term}
		if m[k] == nil {
			m[k] = map[uint32]int{}
		}
		m[k][doc]++
	}
}

// checkAnalysis compares an analysis with a map.
func checkAnalysis(t interface{ Errorf(string, ...any) }, a *analysis, want termMap) {
	var last [2]string
	n := 0
	a.each(func(field string, term []byte, docs []uint32, counts []uint8) {
		k := [2]string{field, string(term)}
		if c := compareFields(last[0], field); n > 0 && (c > 0 || c == 0 && last[1] >= k[1]) {
			t.Errorf("%q comes after %q", k, last)
		}
		last = k
		n++
		if !slices.Equal(docs, slices.Sorted(maps.Keys(want[k]))) {
			t.Errorf("%q is in documents %v, want %v", k, docs, want[k])
		}
		for i, doc := range docs {
			if counted(field) && int(counts[i]) != min(want[k][doc], 255) || !counted(field) && counts != nil {
				t.Errorf("%q in document %d is counted %v, want %d", k, doc, counts, want[k][doc])
			}
		}
	})
	if n != len(want) {
		t.Errorf("%d terms, want %d", n, len(want))
	}
}

// An analysis says what a map of maps would, in order, whatever the documents are,
// those with too many terms left out.
func TestAnalysisIsMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, want := newAnalysis(rapid.SampledFrom([]int{1, linesWorth}).Draw(t, "expected")), termMap{}
		var known []text.Unit // so that lines come again
		most := rapid.SampledFrom([]int{5, 40, 1000}).Draw(t, "most")
		for doc := range uint32(rapid.IntRange(0, 8).Draw(t, "documents")) {
			units := anyUnits(t)
			for range rapid.IntRange(0, min(3, len(known))).Draw(t, "again") {
				units = append(units, rapid.SampledFrom(known).Draw(t, "unit"))
			}
			known = append(known, units...)
			distinct := termMap{}
			distinct.add(0, units)
			ok := len(distinct) <= most
			if a.add(units, most) != ok {
				t.Errorf("a document of %d terms where %d are the most: %t", len(distinct), most, ok)
			}
			if ok {
				want.add(doc, units)
			}
		}
		checkAnalysis(t, a, want)
	})
}

// Many terms are sorted octet by octet, and their tables grow: as few are.
func TestAnalysisOfManyTerms(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	a, want := newAnalysis(1), termMap{}
	for doc := range uint32(20) {
		var s strings.Builder
		for range 2000 {
			word := fmt.Sprintf("%x%c%d", r.IntN(1<<(4*r.IntN(8))), " Éé日."[r.IntN(3)], r.IntN(3))
			s.WriteString(word[:1+r.IntN(len(word))] + strings.Repeat("x", r.IntN(2)*r.IntN(9)) + " ")
		}
		units := []text.Unit{text.BodyUnit(s.String()), text.HeaderUnit("Subject", s.String()[:200])}
		want.add(doc, units)
		if !a.add(units, maxTerms) {
			t.Fatal("too many terms")
		}
	}
	checkAnalysis(t, a, want)
}

// A term is packed so that it can be made again, and so that keys sort as terms do.
func TestPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other := anyWord(t), anyWord(t)
		k1, whole := packed(one)
		k2, _ := packed(other)
		if whole != (len(one) <= 8 && one[len(one)-1] != 0) {
			t.Errorf("%q is packed whole: %t", one, whole)
		}
		if whole && string(appendPacked(nil, k1)) != one {
			t.Errorf("%q is packed as %x, %q", one, k1, appendPacked(nil, k1))
		}
		if k1 < k2 && one >= other || k1 > k2 && one <= other {
			t.Errorf("%q and %q are packed as %x and %x", one, other, k1, k2)
		}
	})
}

// So are borders, those of ASCII among the others.
func TestPackedBorder(t *testing.T) {
	words := rapid.StringOfN(rapid.SampledFrom([]rune("ABZ0ÉЖ日𐐀")), 0, 6, -1)
	key := func(t *rapid.T, left, right string) (uint64, string) {
		border := text.Border(left, right)
		k, ok := packedBorder(left, right)
		if !ok {
			return borderKey(border), border
		}
		if again := appendPackedBorder(nil, k); string(again) != border {
			t.Errorf("the border of %q and %q is %q, want %q", left, right, again, border)
		}
		if k != borderKey(border) {
			t.Errorf("the key of %q is %x and %x", border, k, borderKey(border))
		}
		return k, border
	}
	rapid.Check(t, func(t *rapid.T) {
		k1, one := key(t, words.Draw(t, "left"), words.Draw(t, "right"))
		k2, other := key(t, words.Draw(t, "left"), words.Draw(t, "right"))
		if k1 < k2 && one >= other || k1 > k2 && one <= other {
			t.Errorf("%q and %q have the keys %x and %x", one, other, k1, k2)
		}
	})
	if k1, k2 := borderKey("ÉÉ A"), borderKey("ÉÉA A"); k1 >= k2 {
		t.Errorf("a word of four octets sorts after one that goes on: %x, %x", k1, k2)
	}
}

// What a document of too many terms leaves behind does not count for the next one.
func TestUndo(t *testing.T) {
	a := newAnalysis(1)
	body := func(s string) []text.Unit { return []text.Unit{text.BodyUnit(s)} }
	long := "alpha beta gamma delta epsilon internationalisation"
	if a.add(body(long), 9) || !a.add(body("delta internationalisation"), 20) || !a.add(body(""), 9) || !a.add(body("alpha alpha"), 9) {
		t.Fatal("a document is taken that has too many terms, or another is not")
	}
	want := termMap{}
	want.add(1, body("delta internationalisation"))
	want.add(3, body("alpha alpha"))
	checkAnalysis(t, a, want)
}

// headers are the units of header lines.
func headers(lines ...string) (units []text.Unit) {
	for _, l := range lines {
		units = append(units, text.HeaderUnit("X-Line", l))
	}
	return units
}

// A line is known when it comes for the third time, unless its batch is small or it is long.
func TestKnownLine(t *testing.T) {
	long := strings.Repeat("word ", lineMost/5)
	for _, c := range []struct {
		docs int
		line string
		want []bool // for each document, whether the line's terms have to come
	}{
		{linesWorth, "a list of lists", []bool{true, true, false, false}},
		{linesWorth - 1, "a list of lists", []bool{true, true, true, true}},
		{linesWorth, long, []bool{true, true, true, true}},
	} {
		a, want := newAnalysis(c.docs), termMap{}
		for doc, wanted := range c.want {
			units := headers(c.line)
			probe := a.lines // what of does to hashes is done again
			probe.met = slices.Clone(probe.met)
			if _, known := probe.of(units[0]); known == wanted {
				t.Errorf("of a batch of %d, document %d: the line is known: %t", c.docs, doc, known)
			}
			a.add(units, maxTerms)
			want.add(uint32(doc), units)
		}
		checkAnalysis(t, a, want)
	}
}

// Lines of one name or one text only are not the same line.
func TestKnownLineIsTheSame(t *testing.T) {
	a, want := newAnalysis(linesWorth), termMap{}
	for doc := range uint32(9) {
		u := text.HeaderUnit("X-One", "one two")
		if doc > 5 {
			u.Name = "x-two" // as where a folded name is not the name
		}
		a.add([]text.Unit{u}, maxTerms)
		want.add(doc, []text.Unit{u})
	}
	checkAnalysis(t, a, want)
}

// More lines than are kept take the places of each other.
func TestManyLines(t *testing.T) {
	a, want := newAnalysis(linesWorth), termMap{}
	r := rand.New(rand.NewPCG(5, 6))
	for doc := range uint32(60) {
		var units []text.Unit
		for range 400 {
			units = append(units, headers(fmt.Sprintf("line %d of a good many", r.IntN(3*linesKnown)*r.IntN(2)))...)
		}
		a.add(units, maxTerms)
		want.add(doc, units)
	}
	checkAnalysis(t, a, want)
}

// Nor do lines that were known of a document of too many terms count for the next one, nor
// those that it would have made known.
func TestUndoLines(t *testing.T) {
	a, want := newAnalysis(linesWorth), termMap{}
	add := func(doc uint32, taken bool, units ...text.Unit) {
		t.Helper()
		if a.add(units, 40) != taken {
			t.Fatalf("document %d is taken: %t", doc, !taken)
		}
		if taken {
			want.add(doc, units)
		}
	}
	known, many := headers("alpha beta gamma internationalisation"), []text.Unit{text.BodyUnit("six seven eight nine ten eleven twelve")}
	for doc := range uint32(3) {
		add(doc, true, known...)
	}
	others := headers("one two three", "four five")
	add(3, false, slices.Concat(known, others, many)...)
	add(4, true, known...)
	add(5, true, others...)
	add(6, false, slices.Concat(others, known, many)...)
	add(7, true, others...)
	add(8, true, others...)
	checkAnalysis(t, a, want)
}

// A document of very many terms is taken, and leaves no large table behind.
func TestOwnTable(t *testing.T) {
	a, want := newAnalysis(1), termMap{}
	for doc, words := range []int{maxOwn, 10, 3 * ownSlots, 10} {
		var s strings.Builder
		for i := range words {
			fmt.Fprintf(&s, "%d ", i*i)
			if i%7 == 0 {
				fmt.Fprintf(&s, "antidisestablishment%d ", i)
			}
		}
		units := []text.Unit{text.BodyUnit(s.String())}
		if !a.add(units, maxTerms) {
			t.Fatalf("a document of %d words is not taken", words)
		}
		want.add(uint32(doc), units)
		if small := words == 10; small && (len(a.own.slots) != ownSlots || cap(a.own.short)+cap(a.own.long) > maxOwn) {
			t.Errorf("after a document of %d words there are %d slots, and room for %d terms", words, len(a.own.slots), cap(a.own.short)+cap(a.own.long))
		}
	}
	checkAnalysis(t, a, want)
}

// Of documents with one GUID the first complete one is taken.
func TestOneEach(t *testing.T) {
	g1, g2 := mailbox.GUIDOf([]byte("1")), mailbox.GUIDOf([]byte("2"))
	docs := []Doc{{GUID: g1}, {GUID: g2, Complete: true, Units: make([]text.Unit, 1)}, {GUID: g1, Complete: true}, {GUID: g2, Complete: true}, {GUID: g1}}
	got := oneEach(docs)
	if len(got) != 2 || got[0].GUID != g1 || !got[0].Complete || got[1].GUID != g2 || len(got[1].Units) != 1 {
		t.Errorf("taken are %+v", got)
	}
}

// Keys are sorted by all of their octets.
func TestSortByKey(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, mask := range []uint64{0, 0xFF, 0xFF00FF00FF00, ^uint64(0)} {
		keys := make([]termKey, 3000)
		for i := range keys {
			keys[i] = termKey{key: r.Uint64() & mask, term: uint32(i)}
		}
		want := slices.Clone(keys)
		slices.SortStableFunc(want, func(x, y termKey) int {
			return bytes.Compare(be(x.key), be(y.key))
		})
		sortByKey(keys, make([]termKey, len(keys)))
		if !slices.Equal(keys, want) {
			t.Errorf("keys of %x are not in order", mask)
		}
	}
}

func be(key uint64) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(key >> (56 - 8*i))
	}
	return b[:]
}
