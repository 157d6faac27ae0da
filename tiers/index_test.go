package tiers

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/text"

	"pgregory.net/rapid"
)

// testTerm is a term of a made-up index.
type testTerm struct {
	field, text string
	docs        []uint32
	counts      []uint8
}

// makeIndex writes an index of total documents, of which all are complete.
func makeIndex(t testing.TB, total uint32, terms []testTerm) (termsFile, listsFile []byte) {
	t.Helper()
	var tb, lb bytes.Buffer
	guids := make([]mailbox.GUID, total)
	complete := newDocSet(total)
	complete.addRange(0, total)
	for i := range guids {
		guids[i] = guid(i * 7919 % 1000003)
	}
	w := newIndexWriter(&tb, &lb, guids, complete)
	for _, term := range terms {
		w.term(term.field, []byte(term.text), term.docs, term.counts)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	return tb.Bytes(), lb.Bytes()
}

// someDocs draws documents: few, many, nearly all, all.
func someDocs(r *rand.Rand, total uint32) (docs []uint32, counts []uint8) {
	share := []float64{0, 0.01, 0.1, 0.5, 0.9, 0.99, 1}[r.IntN(7)]
	for doc := range total {
		if r.Float64() < share {
			docs = append(docs, doc)
		}
	}
	if len(docs) == 0 {
		docs = []uint32{uint32(r.IntN(int(total)))}
	}
	for range docs {
		n := uint8(1)
		if r.IntN(3) == 0 {
			n = uint8(1 + r.IntN(255))
		}
		counts = append(counts, n)
	}
	if r.IntN(2) == 0 {
		for i := range counts {
			counts[i] = 1
		}
	}
	return docs, counts
}

// newList is the list of docs.
func newList(docs []uint32, counts []uint8, total uint32) docList {
	data, bare := appendList(nil, docs, counts, total)
	if len(docs) == 1 && bare {
		data = nil
	}
	return docList{data: data, bare: bare, first: docs[0], total: total}
}

// Lists come back as they were, counts rounded down, in the shortest form.
func TestList(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	forms, bare := map[form]int{}, 0
	for range 2000 {
		total := uint32(1 + r.IntN(700))
		docs, counts := someDocs(r, total)
		l := newList(docs, counts, total)
		gotDocs, gotCounts, err := l.appendTo(nil, nil)
		want := slices.Clone(counts)
		for i := range want {
			want[i] = rounded(want[i])
		}
		if err != nil || !slices.Equal(gotDocs, docs) || !slices.Equal(gotCounts, want) {
			t.Fatalf("of %d: %v %v come back as %v %v, %v", total, docs, want, gotDocs, gotCounts, err)
		}
		set := newDocSet(total)
		n, lenErr := l.len()
		if err := l.orInto(set); err != nil || lenErr != nil || !slices.Equal(set.appendTo(nil), docs) || n != uint32(len(docs)) {
			t.Fatalf("as a set: %v, %v, %d, %v", set.appendTo(nil), err, n, lenErr)
		}
		if gaps := len(appendGaps(nil, docs)); len(newList(docs, nil, total).data) > gaps {
			t.Errorf("the list of %v is longer than its gaps", docs)
		}
		_, f, _, _, _ := l.head()
		forms[f]++
		if l.bare {
			bare++
		}
	}
	if len(forms) != 4 || bare == 0 || bare == forms[formGaps] {
		t.Errorf("forms met: %v, %d bare", forms, bare)
	}
}

func TestRounded(t *testing.T) {
	last := uint8(0)
	for n := range 256 {
		got := rounded(uint8(n))
		if got > uint8(n) || n <= 4 && got != uint8(n) || got < last || 2*int(got) < n {
			t.Errorf("%d is rounded to %d", n, got)
		}
		last = got
	}
}

// A short gap after a document beyond all that there can be does not begin anew.
func TestListGapsRise(t *testing.T) {
	for _, gaps := range [][]uint32{{1<<32 - 2, 0x7F, 0}, {1<<32 - 2, 0}, {1<<32 - 1}, {5, 1<<32 - 6}} {
		b := []byte{byte(1+len(gaps)) << 3}
		for _, gap := range gaps {
			b = binary.AppendUvarint(b, uint64(gap))
		}
		for _, l := range []docList{{data: b, total: 1000}, {data: b[1:], bare: true, total: 1000}} {
			if docs, _, err := l.appendTo(nil, nil); !errors.Is(err, errList) {
				t.Errorf("gaps %d are documents %d, %v", gaps, docs, err)
			}
			if err := l.orInto(newDocSet(1000)); !errors.Is(err, errList) {
				t.Errorf("gaps %d are a set, %v", gaps, err)
			}
		}
	}
}

func FuzzList(f *testing.F) {
	add := func(docs []uint32, counts []uint8, total uint32) {
		l := newList(docs, counts, total)
		f.Add(l.data, l.bare, l.first, total)
	}
	add([]uint32{1, 5, 9}, []uint8{1, 2, 200}, 10)
	add([]uint32{1, 5, 300}, nil, 1000)
	add([]uint32{7}, []uint8{3}, 10)
	add([]uint32{7}, nil, 10)
	add([]uint32{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11}, nil, 12)
	add([]uint32{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24}, nil, 26)
	add([]uint32{3, 24, 40, 60, 97, 200, 201, 800}, []uint8{1, 1, 2, 1, 1, 1, 1, 1}, 1000)
	f.Add([]byte{3 << 3, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 0x7F, 0}, false, uint32(0), uint32(1000))
	f.Add([]byte{0x7F, 0xFE}, true, uint32(9), uint32(1000))
	f.Add([]byte{0}, false, uint32(0), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, bare bool, first, total uint32) {
		total %= 1 << 16
		if first >= total || len(b) == 0 {
			return // as the heads of a block have it, none is
		}
		l := docList{data: b, bare: bare, first: first, total: total}
		docs, counts, err := l.appendTo(nil, nil)
		if err != nil {
			l.orInto(newDocSet(total))
			return
		}
		for i, doc := range docs {
			if doc >= total || i > 0 && doc <= docs[i-1] {
				t.Fatalf("%x is %v of %d", b, docs, total)
			}
		}
		d, c, err := newList(docs, counts, total).appendTo(nil, nil)
		if err != nil || !slices.Equal(d, docs) || !slices.Equal(c, counts) {
			t.Errorf("%x is %v %v, which comes back as %v %v, %v", b, docs, counts, d, c, err)
		}
	})
}

// Heads of lists come back from any place, whatever their width.
func TestHeads(t *testing.T) {
	if got, want := appendHeads(nil, []uint64{1, 6, 5, 2}, 4), []byte{0b01_110_001, 0b010_1}; !slices.Equal(got, want) {
		t.Errorf("%08b, want %08b", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.SampledFrom([]uint32{1, 2, 3, 256, 257, 1 << 20, 1<<31 + 1, 1<<32 - 1}).Draw(t, "total")
		heads := rapid.SliceOfN(rapid.Uint64Range(0, uint64(total)*2-1), 1, blockTerms).Draw(t, "heads")
		b := appendHeads(nil, heads, total)
		if len(b) != headsSize(uint32(len(heads)), total) {
			t.Fatalf("%d heads of %d documents take %d octets, want %d", len(heads), total, len(b), headsSize(uint32(len(heads)), total))
		}
		for i, want := range heads {
			if got := bitsAt(b, uint64(i)*uint64(headBits(total))) & (1<<headBits(total) - 1); got != want {
				t.Errorf("head %d of %d is %d, want %d", i, total, got, want)
			}
		}
	})
}

// drawTerms draws the terms of some fields, in order.
func drawTerms(t *rapid.T, total uint32) []testTerm {
	alphabet := []rune("ab .é")
	term := rapid.StringOfN(rapid.RuneFrom(alphabet), 1, 5, -1)
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	fields := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{":body", ":border", ":name", "", "from", "subject", "x-" + strings.Repeat("y", 250)}), 0, 5, rapid.ID).Draw(t, "fields")
	slices.SortFunc(fields, compareFields)
	var out []testTerm
	for _, field := range fields {
		for _, s := range sortedSet(rapid.SliceOfN(term, 0, 200).Draw(t, "terms")) {
			docs, counts := someDocs(r, total)
			out = append(out, testTerm{field, s, docs, counts})
		}
	}
	return out
}

func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}

// An index finds the terms that a lookup means, and their documents.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		total := uint32(rapid.IntRange(1, 200).Draw(rt, "documents"))
		terms := drawTerms(rt, total)
		x, err := openSegmentIndex(makeIndex(t, total, terms))
		if err != nil {
			rt.Fatal(err)
		}
		guids, complete, err := x.documents()
		if err != nil || len(guids) != int(total) || complete.count() != total {
			rt.Fatalf("%d documents, %v", len(guids), err)
		}
		if err := x.verify(guids); err != nil {
			rt.Fatal(err)
		}
		for i, g := range guids {
			if doc, ok, err := x.find(guids, g); !ok || err != nil || int(doc) != i {
				rt.Fatalf("document %d is found as %d, %v, %v", i, doc, ok, err)
			}
		}
		if _, ok, err := x.find(guids, guid(2000000)); ok || err != nil {
			rt.Fatalf("a document that is not there: %v, %v", ok, err)
		}
		for _, field := range []string{":body", ":border", "from", "subject", "none", ""} {
			for range 5 {
				l := text.Lookup{Field: field, Op: text.Op(rapid.IntRange(1, 5).Draw(rt, "op")),
					Text: rapid.StringOfN(rapid.RuneFrom([]rune("ab .é")), 1, 4, -1).Draw(rt, "key"), Then: rapid.SampledFrom([]string{"", "a", "b."}).Draw(rt, "then")}
				checkLookup(rt, x, terms, l)
			}
		}
	})
}

func checkLookup(t *rapid.T, x *segmentIndex, terms []testTerm, l text.Lookup) {
	var got, want []string
	f, ok := x.lookupField(l.Field)
	if ok {
		lists := x.blockLists(f)
		for at, term := range x.lookup(f, l) {
			list, err := lists.of(at)
			if err != nil {
				t.Fatal(err)
			}
			docs, counts, err := list.appendTo(nil, nil)
			got = append(got, fmt.Sprint(string(term), docs, counts, err))
		}
		for range x.lookup(f, l) {
			break // who has enough may stop
		}
	}
	for _, term := range terms {
		if term.field == l.Field && l.Means(term.text) {
			counts := slices.Clone(term.counts)
			for i := range counts {
				counts[i] = rounded(counts[i])
			}
			want = append(want, fmt.Sprint(term.text, term.docs, counts, nil))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%+v finds %q, want %q", l, got, want)
	}
}

// An index octet by octet, as docs/formats.md draws it.
func TestIndexGolden(t *testing.T) {
	terms, lists := makeIndex(t, 2, []testTerm{
		{":body", "A", []uint32{0}, []uint8{1}}, {":body", "BC", []uint32{0, 1}, []uint8{1, 5}}, {"to", "D", []uint32{1}, nil}})
	const wantTerms = "TSLterm4\n" + "A\nBC\n" + "D\n" +
		"\x00\x00\x00\x00\x09" + "\x00\x00\x00\x00\x58" + "\x00\x00\x00\x00\x0e" + "\x00\x00\x00\x00\x5d" + // blocks
		"\x00\x00\x00\x05" + "\x00\x00\x00\x00\x00\x00\x00\x0e" + "\x00\x00\x00\x01" + "\x00\x00\x00\x02" + "\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x10" + "\x00\x00\x00\x02" + "\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00" +
		":bodyto" + "\x00\x00\x00\x00\x00\x00\x00\x10" + "\x00\x00\x00\x02" + "\x00\x00\x00\x02" + "\x00\x00\x00\x07" + "TSLterm4"
	if string(terms) != wantTerms {
		t.Errorf("terms are\n%q, want\n%q", terms, wantTerms)
	}
	a, b := guid(0), guid(7919)
	wantLists := "TSLlist3" + string(a[:]) + string(b[:]) + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x03\x00\x00\x00\x00\x00\x00\x00" +
		"\x01" + "\x06\x15\x02\x02" + "\x03" +
		"\x00\x00\x00\x02\x00\x00\x00\x02" + "TSLlist3"
	if string(lists) != wantLists {
		t.Errorf("lists are\n%s, want\n%s", hex.Dump(lists), hex.Dump([]byte(wantLists)))
	}
}

// Borders are held by what they do not share, anew in each block; the terms of other
// fields are whole.
func TestSharedTerms(t *testing.T) {
	all := []testTerm{{":body", "AB", []uint32{0}, nil}, {":body", "ABC", []uint32{0}, nil},
		{":border", "THE FO", []uint32{0}, nil}, {":border", "THE FOOR", []uint32{0}, nil}, {":border", "THEM", []uint32{0}, nil}, {":border", "ÉA", []uint32{0}, nil}, {":border", "ÊA", []uint32{0}, nil}}
	terms, _ := makeIndex(t, 1, all)
	if want := "TSLterm4\nAB\nABC\n\x01THE FO\aOR\x04M\x01ÉA\x02\x8aA\n"; !strings.HasPrefix(string(terms), want) {
		t.Errorf("terms are\n%q, want\n%q", terms[:min(len(terms), len(want))], want)
	}
	all = nil
	for i := range 3 * blockTerms {
		all = append(all, testTerm{":border", fmt.Sprintf("THE %04d", i), []uint32{0}, nil})
	}
	x, err := openSegmentIndex(makeIndex(t, 1, all))
	if err != nil {
		t.Fatal(err)
	}
	f, _ := x.lookupField(":border")
	for i, term := range all {
		w, ok := x.seek(f, []byte(term.text))
		if !ok || string(w.term) != term.text {
			t.Errorf("sought %q, found %q, %v", term.text, w.term, ok)
		}
		if begins := x.line(f, w.at)[0] == f.none; begins != (i%blockTerms == 0) {
			t.Errorf("term %d of its block begins with %q", i%blockTerms, x.line(f, w.at)[0])
		}
	}
	if w, ok := x.seek(f, []byte("THE 9999")); ok {
		t.Errorf("a term after the last: %q", w.term)
	}
}

// Gaps in Rice's code octet by octet, and of all kinds there and back.
func TestRice(t *testing.T) {
	// 4 documents of 100: a median gap of 17, so four low bits; the gaps 3, 20, 15 and 56.
	docs := []uint32{3, 24, 40, 97}
	// From the lowest bit on: 1 1100, 01 0010, 1 1111, 0001 0001.
	if got, want := appendRice(nil, docs, 0, 100), []byte{0b01000111, 0b11111010, 0b10001000}; !slices.Equal(got, want) {
		t.Errorf("%08b, want %08b", got, want)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 3000 {
		total := uint32(1) << (1 + r.IntN(20))
		var docs []uint32
		if i == 0 { // many neighbours, and one far away: a gap of more zeros than are read at once
			total = 1 << 20
			for doc := range uint32(199) {
				docs = append(docs, doc)
			}
			docs = append(docs, total-1)
		}
		for doc := uint32(0); doc < total && len(docs) < 199; doc += 1 + uint32(r.Float64()*r.Float64()*r.Float64()*float64(total)/4) {
			docs = append(docs, doc)
		}
		from := docs[0] - r.Uint32N(docs[0]+1)
		b := append(appendRice(nil, docs, from, total), 0xA5)
		if len(b)-1 != riceLen(docs, from, total) {
			t.Fatalf("%v of %d take %d octets, and not %d", docs, total, len(b)-1, riceLen(docs, from, total))
		}
		var got []uint32
		rest, err := eachRice(b, uint32(len(docs)), from, total, func(doc uint32) error {
			got = append(got, doc)
			return nil
		})
		if err != nil || !slices.Equal(got, docs) || !bytes.Equal(rest, []byte{0xA5}) {
			t.Fatalf("%v of %d come back as %v, %x, %v", docs, total, got, rest, err)
		}
		got, rest, err = appendRiceDocs(nil, b, uint32(len(docs)), from, total)
		if err != nil || !slices.Equal(got, docs) || !bytes.Equal(rest, []byte{0xA5}) {
			t.Fatalf("%v of %d are appended as %v, %x, %v", docs, total, got, rest, err)
		}
		if len(docs) > 1 {
			if _, err := eachRice(b[:(len(b)-1)/2], uint32(len(docs)), from, total, func(uint32) error { return nil }); !errors.Is(err, errList) {
				t.Fatalf("cut short: %v", err)
			}
		}
		if _, err := eachRice(b, uint32(len(docs)), from, docs[len(docs)-1], func(uint32) error { return nil }); !errors.Is(err, errList) && riceBits(uint32(len(docs)), from, total) == riceBits(uint32(len(docs)), from, docs[len(docs)-1]) {
			t.Fatalf("a document beyond the last: %v", err)
		}
	}
}

// A field with much text is looked through where a string may lie, and nothing is
// missed.
func TestStripes(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var all []string
	for range 20_000 {
		b := make([]byte, 1+r.IntN(40))
		for i := range b {
			b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+="[r.IntN(39)]
		}
		all = append(all, string(b))
	}
	all = append(all, strings.Repeat("LONG", 2000), strings.Repeat("Z", 5000))
	var terms []testTerm
	for i, s := range sortedSet(all) {
		terms = append(terms, testTerm{"dkim-signature", s, []uint32{uint32(i % 100)}, nil})
	}
	x, err := openSegmentIndex(makeIndex(t, 100, terms))
	if err != nil {
		t.Fatal(err)
	}
	f, ok := x.lookupField("dkim-signature")
	if !ok || f.table == 0 {
		t.Fatalf("no table: %+v", f)
	}
	looked := uint64(0)
	for i := range 300 {
		s := terms[r.IntN(len(terms))].text
		if i == 0 {
			s = strings.Repeat("Z", 5000)
		}
		from := r.IntN(len(s))
		key := s[from : from+1+r.IntN(min(9, len(s)-from))]
		for _, op := range []text.Op{text.Inside, text.Suffix} {
			var got, want []string
			for _, term := range x.lookup(f, text.Lookup{Op: op, Text: key}) {
				got = append(got, string(term))
			}
			for _, term := range terms {
				if (text.Lookup{Op: op, Text: key}).Means(term.text) {
					want = append(want, term.text)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("op %d, %q finds %q, want %q", op, key, got, want)
			}
		}
		for from, to := range x.regions(f, "QXJZ72") {
			looked += to - from
		}
	}
	if all := 300 * (f.end - f.start); looked*5 > all {
		t.Errorf("%d octets of %d are looked through", looked, all)
	}
}

// What a segment holds depends on its documents, not on how they came together: a
// merge writes what building from all documents would, octet by octet.
func TestMergeIsBuild(t *testing.T) {
	docs := docsOf(0, 300)
	for i := range docs {
		docs[i].Units = append(docs[i].Units, text.HeaderUnit(fmt.Sprintf("X-%d", i%5), strings.Repeat("rare again ", i%40)))
		docs[i].Complete = i%17 != 3
	}
	x := newIndex(t)
	for at := 0; at < len(docs); at += 60 {
		commit(t, x, docs[at:at+60]...)
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	h := snapshot(t, x).segments[0].h
	byID := map[mailbox.GUID]Doc{}
	for _, d := range docs {
		byID[d.GUID] = d
	}
	var ordered []Doc
	for _, g := range h.guids {
		ordered = append(ordered, byID[g])
	}
	all, err := x.set.buildPart(t.Context(), ordered)
	if err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	b := all[0]
	if !bytes.Equal(b.terms, h.terms) || !bytes.Equal(b.lists, h.lists) {
		t.Errorf("built: %d and %d octets, merged: %d and %d, or others", len(b.terms), len(b.lists), len(h.terms), len(h.lists))
	}
}

// A damaged index gives errors, or nonsense, but neither a panic nor endless work.
func FuzzIndex(f *testing.F) {
	terms, lists := makeIndex(f, 70, []testTerm{
		{":body", "A", []uint32{0}, nil}, {":body", "A B", []uint32{3, 9}, nil}, {":border", "A B", []uint32{3, 9, 20, 41}, nil}, {":border", "A C", []uint32{4}, nil}, {":name", "TO:", []uint32{5, 6, 7, 8}, []uint8{1, 2, 3, 4}}, {"to", "D", []uint32{1}, nil}})
	f.Add(terms, lists, "A")
	f.Fuzz(func(t *testing.T, terms, lists []byte, key string) {
		x, err := openSegmentIndex(terms, lists)
		if err != nil {
			return
		}
		if guids, _, err := x.documents(); err == nil {
			x.verify(guids)
			x.find(guids, guid(1))
		}
		for i := range x.len() {
			f, _ := x.lookupField(x.name(i))
			for op := text.Exact; op <= text.Across && f.blocks > 0; op++ {
				readLists(x, f, text.Lookup{Op: op, Text: key})
			}
		}
	})
}

func readLists(x *segmentIndex, f fieldRange, l text.Lookup) {
	lists := x.blockLists(f)
	for at := range x.lookup(f, l) {
		if l, err := lists.of(at); err == nil {
			l.appendTo(nil, nil)
			l.orInto(newDocSet(x.total))
		}
	}
}

// The dictionary of a snapshot is that of its documents, over all segments.
func TestDictionary(t *testing.T) {
	x := newIndex(t)
	commit(t, x, docsOf(0, 40)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(40, 43)...)
	commit(t, x, plain(43, "common common common common common zebra"))
	s := snapshot(t, x)
	type place struct{ field, term string }
	want := map[place]map[mailbox.GUID]int{}
	fields := map[string]bool{}
	for _, d := range append(docsOf(0, 43), plain(43, "common common common common common zebra")) {
		for field, term := range text.Terms(d.Units) {
			p := place{field, term}
			if want[p] == nil {
				want[p] = map[mailbox.GUID]int{}
			}
			want[p][d.GUID]++
			fields[field] = true
		}
	}
	if got := s.Fields(); !slices.Equal(got, slices.Sorted(maps.Keys(fields))) {
		t.Errorf("fields are %q", got)
	}
	n := 0
	for field := range fields {
		last := ""
		terms, err := s.Select(t.Context(), field, "", anyTerm)
		if err != nil {
			t.Fatal(err)
		}
		for _, term := range terms {
			w := want[place{field, string(term.Text)}]
			if string(term.Text) <= last || int(term.Docs) != len(w) {
				t.Errorf("%s: %q has %d documents after %q, want %d", field, term.Text, term.Docs, last, len(w))
			}
			last = string(term.Text)
			if docs, err := s.DocsWith(t.Context(), field, last); err != nil || int(docs) != len(w) {
				t.Errorf("%s: %d documents are said to have %q, want %d; %v", field, docs, last, len(w), err)
			}
			checkPostings(t, s, field, last, w)
			n++
		}
	}
	if n != len(want) {
		t.Errorf("%d terms, want %d", n, len(want))
	}
	for _, p := range []place{{text.FieldBody, "WORD"}, {text.FieldBody, "ZZZ"}, {"none", "WORD1"}, {text.FieldBody, ""}} {
		if docs, err := s.DocsWith(t.Context(), p.field, p.term); docs != 0 || err != nil {
			t.Errorf("%d documents have %v; %v", docs, p, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := s.DocsWith(ctx, text.FieldBody, "WORD1"); !errors.Is(err, gone) {
		t.Errorf("after it was given up: %v", err)
	}
	if p, err := s.Postings(t.Context(), "none", "A"); len(p) != 0 || err != nil {
		t.Errorf("postings of no field: %v, %v", p, err)
	}
}

func anyTerm([]byte) bool { return true }

func checkPostings(t *testing.T, s *Snapshot, field, term string, want map[mailbox.GUID]int) {
	t.Helper()
	got, err := s.Postings(t.Context(), field, term)
	if err != nil || len(got) != len(want) {
		t.Errorf("%s: %q has %d postings, want %d; %v", field, term, len(got), len(want), err)
	}
	for _, p := range got {
		n := want[s.GUID(p.Doc)]
		if field == text.FieldBody && int(p.Count) != int(rounded(uint8(n))) || field != text.FieldBody && p.Count != 1 {
			t.Errorf("%s: %q is counted %d times, want %d", field, term, p.Count, n)
		}
	}
}
