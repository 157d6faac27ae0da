package tiers

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"teraslot/text"

	"github.com/klauspost/compress/zstd"
)

// golden is a manifest as docs/formats.md draws it.
const golden = `teraslot-database 2
id 000102030405060708090a0b0c0d0e0f frozen
versions extract 3 fold 1 token 1 segment 17
next 3
segment 2 docs 6000 complete 5998 lists 16515363 0a0b0c0d terms 3152027 00000001 text 9266744 ffffffff
crc 0aa4300f
`

func TestManifest(t *testing.T) {
	m := manifest{ID: stamp{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Versions: versions{3, 1, 1, 17}, Frozen: true, Next: 3,
		Segments: []segmentInfo{{2, 6000, 5998, fileInfo{16515363, 0x0a0b0c0d}, fileInfo{3152027, 1}, fileInfo{9266744, 0xffffffff}}}}
	if got := string(m.encode()); got != golden {
		t.Errorf("encoded:\n%s\nwant:\n%s", got, golden)
	}
	back, err := parseManifest([]byte(golden))
	if err != nil || fmt.Sprint(back) != fmt.Sprint(m) {
		t.Errorf("parsed: %+v, %v", back, err)
	}
	for i := range golden {
		for _, spoiled := range []string{golden[:i], golden[:i] + "x" + golden[i+1:], golden[:i] + golden[i+1:], golden[:i] + "\n" + golden[i:]} {
			if spoiled == golden {
				continue
			}
			if _, err := parseManifest([]byte(spoiled)); err == nil {
				t.Errorf("no error for a manifest spoiled at %d:\n%s", i, spoiled)
			}
		}
	}
	if _, err := parseManifest([]byte("teraslot-database 3\n")); !errors.Is(err, errForeign) {
		t.Errorf("another version: %v", err)
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(golden))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseManifest(b); err == nil && !bytes.Equal(m.encode(), b) {
			t.Errorf("%q parses as %+v", b, m)
		}
	})
}

// keptDocs draws documents of all sizes, some without text, some not kept (nil).
func keptDocs(r *rand.Rand, n int) [][]text.Unit {
	docs := make([][]text.Unit, n)
	for i := range docs {
		switch r.IntN(6) {
		case 0:
		case 1:
			docs[i] = []text.Unit{}
		default:
			docs[i] = []text.Unit{text.HeaderUnit("Subject", fmt.Sprint(r.Uint64())), text.BodyUnit(strings.Repeat(fmt.Sprint(r.Uint32()), r.IntN(5000)))}
		}
	}
	return docs
}

func makeKept(t testing.TB, docs [][]text.Unit) []byte {
	t.Helper()
	var buf bytes.Buffer
	encs, _, err := newCoders()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newKeptWriter(&buf, encs)
	for _, d := range docs {
		if d == nil {
			err = errors.Join(err, w.none())
		} else {
			err = errors.Join(err, w.add(d))
		}
	}
	if err = errors.Join(err, w.close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func readKept(b []byte) ([][]text.Unit, error) {
	k, err := openKept(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	_, dec, err := newCoders()
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	h := &handle{kept: k, dec: dec, texts: newBlockCache(-1)}
	var out [][]text.Unit
	for doc := range k.docs {
		if !k.has(doc) {
			out = append(out, nil)
			continue
		}
		t := Texts{units: []text.Unit{}}
		if err := t.read(h, doc, AllParts); err != nil {
			return nil, err
		}
		out = append(out, t.units)
	}
	return out, nil
}

func TestKept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 30 {
		docs := keptDocs(r, n)
		got, err := readKept(makeKept(t, docs))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != n || n > 0 && fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", docs) {
			t.Fatalf("of %d documents others come back", n)
		}
	}
}

// The text of a document that is too long for a block is not kept; that of its
// neighbours is, and nothing fails.
func TestKeptTooLong(t *testing.T) {
	encs, _, err := newCoders()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w, err := newKeptWriter(&buf, encs)
	w.most = 1000
	docs := [][]text.Unit{{text.BodyUnit("a")}, {text.HeaderUnit("Subject", "b"), text.BodyUnit(strings.Repeat("c", 990))}, {text.BodyUnit("d")}}
	for _, units := range docs {
		err = errors.Join(err, w.add(units))
	}
	if err = errors.Join(err, w.close()); err != nil {
		t.Fatal(err)
	}
	docs[1] = nil
	if got, err := readKept(buf.Bytes()); err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", docs) {
		t.Errorf("%v come back, %v", got, err)
	}
}

// Merging copies blocks or documents; which of them must not be seen.
func TestKeptMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	x := newIndex(t)
	var docs []Doc
	for i, units := range keptDocs(r, 60) {
		docs = append(docs, Doc{GUID: guid(i), Complete: units != nil, Units: units})
	}
	for at := 0; at < len(docs); at += 20 {
		commit(t, x, docs[at:at+20]...)
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	s := snapshot(t, x)
	for _, d := range docs {
		n, ok := s.Lookup(d.GUID)
		units, kept, err := s.Units(t.Context(), n)
		if !ok || err != nil || kept != d.Complete || !slices.Equal(units, d.Units) {
			t.Errorf("document %v: %v, %v, %v", d.GUID, ok, kept, err)
		}
	}
}

func FuzzOpenKept(f *testing.F) {
	f.Add(makeKept(f, keptDocs(rand.New(rand.NewPCG(1, 1)), 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		readKept(b) // any error will do; a panic or endless memory will not
	})
}

func FuzzAppendUnits(f *testing.F) {
	f.Add(string(appendUnit(appendUnit(nil, text.HeaderUnit("a", "b")), text.Unit{Kind: text.Header, Name: "other", Text: "C: d"})), true)
	f.Add(string(appendUnit(appendUnit(nil, text.BodyUnit("c")), text.BodyUnit(""))), false)
	f.Fuzz(func(t *testing.T, b string, header bool) {
		kind := text.Body
		if header {
			kind = text.Header
		}
		units, err := appendUnits(nil, kind, b)
		if err != nil {
			return
		}
		var again []byte
		for _, u := range units {
			again = appendUnit(again, u)
		}
		if back, err := appendUnits(nil, kind, string(again)); err != nil || !slices.Equal(back, units) {
			t.Errorf("%q is %+v, which comes back as %+v, %v", b, units, back, err)
		}
	})
}

// A block whose size is a lie does not make the reader take its memory for granted.
func TestKeptLies(t *testing.T) {
	b := makeKept(t, [][]text.Unit{{text.BodyUnit("text")}})
	k, err := openKept(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	block := &k.streams[bodyStream].blocks[0]
	block.rawSize++
	if _, err := k.unpack(dec, bodyStream, 0); !errors.Is(err, errKept) {
		t.Errorf("a wrong size: %v", err)
	}
	block.rawSize--
	block.crc++
	if _, err := k.unpack(dec, bodyStream, 0); !errors.Is(err, errKept) {
		t.Errorf("a wrong checksum: %v", err)
	}
}

func TestGenerationName(t *testing.T) {
	names := []string{"1", "264", "0", "007", "-1", "+1", "1x", "", "18446744073709551616"}
	var ok []string
	for _, name := range names {
		if _, is := generationName(name); is {
			ok = append(ok, name)
		}
	}
	sort.Strings(ok)
	if !slices.Equal(ok, []string{"0", "1", "264"}) {
		t.Errorf("%q are names of databases", ok)
	}
}
