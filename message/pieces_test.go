package message

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"teraslot/text"
)

// wide folds to eleven times its octets.
const wide = "\uFDFA"

// pieces are the units that ScanPieces gives if units of most octets are cut.
func pieces(t testing.TB, raw string, longest, most int) (units []text.Unit) {
	t.Helper()
	x := extractor{ctx: t.Context(), parts: maxParts, left: math.MaxInt64, room: math.MaxInt64, pieces: most, overlap: longest}
	x.yield = func(u text.Unit) bool {
		units = append(units, u)
		return true
	}
	if err := x.run(strings.NewReader(raw), int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	return units
}

// Whatever a key is, and wherever it lies, it is found in pieces where it is found in
// the whole, and nowhere else.
func TestScanPiecesIsScan(t *testing.T) {
	const most = 200 << 10
	for _, filler := range []string{"hay stack ", wide, "é", "x"} {
		body := strings.Repeat(filler, 3*most/len(text.Normalize(filler)))
		raw := "Content-Type: text/plain; charset=utf-8\nSubject: s\n\n" + body[:len(body)/3/len(filler)*len(filler)] + " first needle " +
			body[:len(body)/3/len(filler)*len(filler)] + "last needle " + body[:len(body)/3/len(filler)*len(filler)]
		var whole []text.Unit
		if err := Scan(t.Context(), strings.NewReader(raw), int64(len(raw)), func(u text.Unit) bool {
			whole = append(whole, u)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		units := pieces(t, raw, 100, most)
		if len(units) < len(whole)+2 {
			t.Errorf("%q: %d units, whole %d", filler, len(units), len(whole))
		}
		all := whole[len(whole)-1].Text
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.IntRange(0, len(all)-101).Draw(t, "at")
			if rapid.Bool().Draw(t, "at a cut") {
				at = min(most-rapid.IntRange(0, wordRoom+200).Draw(t, "before"), len(all)-101)
			}
			k := text.Key{Scope: text.InBody, Pattern: all[at : at+rapid.IntRange(1, 100).Draw(t, "length")]}
			if !k.Match(units) {
				t.Errorf("%q at %d is not found in pieces", k.Pattern, at)
			}
			k.Pattern += rapid.SampledFrom([]string{"needle", "S", " ", "É"}).Draw(t, "more")
			if len(k.Pattern) <= 100 && k.Match(units) != k.Match(whole) {
				t.Errorf("%q in pieces: %t", k.Pattern, k.Match(units))
			}
		})
		for _, u := range units {
			if len(u.Text) > most+12*piece {
				t.Errorf("%q: a piece of %d octets", filler, len(u.Text))
			}
		}
	}
}

// Pieces are cut between words.
func TestScanPiecesOfWords(t *testing.T) {
	units := pieces(t, "Subject: s\n\n"+strings.Repeat("haystack ", wholeUnit/4), 50, wholeUnit)
	if len(units) < 3 {
		t.Fatalf("%d units", len(units))
	}
	for _, u := range units[1:] {
		for token := range text.Tokens(u.Text) {
			if token != "HAYSTACK" {
				t.Fatalf("the token %q", token)
			}
		}
	}
}

// A scan that has found what it looks for reads no further, in the middle of a unit.
func TestScanPiecesEnds(t *testing.T) {
	raw := "Subject: s\n\nneedle " + strings.Repeat("haystack ", 3*wholeUnit)
	r := &countingReader{r: strings.NewReader(raw)}
	n := 0
	err := ScanPieces(t.Context(), r, int64(len(raw)), 10, func(u text.Unit) bool {
		n++
		return u.Kind == text.Header
	})
	if err != nil || n != 2 {
		t.Errorf("%d units, %v", n, err)
	}
}

type countingReader struct{ r *strings.Reader }

func (c *countingReader) ReadAt(p []byte, at int64) (int, error) { return c.r.ReadAt(p, at) }

// highWater runs fn and returns how many octets of heap there were at most beyond
// those before, as seen at each call of the function that fn is given.
func highWater(fn func(look func())) uint64 {
	var m runtime.MemStats
	look := func() uint64 {
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before, most := look(), uint64(0)
	fn(func() { most = max(most, look()) })
	return max(most, look()) - before
}

// A text of 6 MB that folds to nearly ten times as much costs neither a scan nor an
// extraction memory to match, in a body and in a header line.
func TestWideFoldIsBounded(t *testing.T) {
	const size = 6 << 20
	big := strings.Repeat(wide+" ", size/4) + "needle"
	for name, raw := range map[string]string{
		"body":   "Content-Type: text/plain; charset=utf-8\n\n" + big,
		"html":   "Content-Type: text/html; charset=utf-8\n\n<p>" + big,
		"header": "Content-Type: text/plain\nX-Big: " + big + "\n\n",
	} {
		key := text.NewKey(text.InText, "", "needle")
		var x Extraction
		used := highWater(func(look func()) {
			var err error
			if x, err = Extract(t.Context(), strings.NewReader(raw), int64(len(raw)), Limits{Text: 10 << 20}); err != nil {
				t.Fatal(err)
			}
			look()
		})
		if x.Complete || used > 90<<20 {
			t.Errorf("%s: complete %t, %d MB to extract", name, x.Complete, used>>20)
		}
		if name == "header" {
			continue // a header line is one unit
		}
		x = Extraction{}
		found := false
		used = highWater(func(look func()) {
			err := ScanPieces(t.Context(), strings.NewReader(raw), int64(len(raw)), len(key.Pattern), func(u text.Unit) bool {
				look()
				found = found || key.MatchUnit(u)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		if !found || used > 70<<20 {
			t.Errorf("%s: found %t, %d MB to scan", name, found, used>>20)
		}
		t.Logf("%s: %d MB to scan", name, used>>20)
	}
}

// What folds to more than the limit is not complete, and what folds to as much is.
func TestFoldedLimit(t *testing.T) {
	folded := len(text.Normalize(wide))
	raw := "Content-Type: text/plain; charset=utf-8\n\n" + strings.Repeat(wide, 1000)
	for limit, complete := range map[int64]bool{int64(1000*folded + 100): true, int64(1000*folded - 1): false} {
		x, err := Extract(t.Context(), strings.NewReader(raw), int64(len(raw)), Limits{Text: limit})
		if err != nil || x.Complete != complete {
			t.Errorf("with a limit of %d the extraction is complete: %t, %v", limit, x.Complete, err)
		}
	}
	for _, n := range []int{piece/len(wide) - 10, 2 * piece} { // short, and so long that it is folded in pieces
		line := "X-Wide: " + strings.Repeat(wide, n)
		x, err := Extract(t.Context(), strings.NewReader(line), int64(len(line)), Limits{Text: int64(len(line) + 100)})
		if err != nil || x.Complete {
			t.Errorf("a header line of %d such letters is complete: %v", n, err)
		}
		x, err = Extract(t.Context(), strings.NewReader(line), int64(len(line)), Limits{})
		if want := text.HeaderUnit("X-Wide", strings.Repeat(wide, n)); err != nil || !x.Complete || !slices.Equal(x.Units, []text.Unit{want}) {
			t.Errorf("a header line of %d such letters is another in pieces: %v", n, err)
		}
	}
}
