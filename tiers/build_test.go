package tiers

import (
	"bytes"
	"context"
	"testing"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// anyDocs are documents of which some are incomplete, or have more terms than others.
func anyDocs(t *rapid.T) []Doc {
	docs := make([]Doc, rapid.IntRange(1, 6).Draw(t, "documents"))
	for i := range docs {
		docs[i] = Doc{GUID: mailbox.GUIDOf([]byte{byte(i)}), Complete: rapid.IntRange(0, 4).Draw(t, "incomplete") > 0, Units: anyUnits(t)}
	}
	return docs
}

// sameFiles reports whether two lists of segments have the same files.
func sameFiles(a, b []*built) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].docs != b[i].docs || a[i].complete != b[i].complete || !bytes.Equal(a[i].terms, b[i].terms) || !bytes.Equal(a[i].lists, b[i].lists) || !bytes.Equal(a[i].text, b[i].text) {
			return false
		}
	}
	return true
}

// A segment built in the memory of others before it is what it would be in fresh memory,
// and stays so until its own memory is taken back.
func TestBuiltInUsedMemory(t *testing.T) {
	s := newSet(t, testOptions(t.TempDir()))
	rapid.Check(t, func(t *rapid.T) {
		var held, wanted [][]*built
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			docs := anyDocs(t)
			got, err := s.build(context.Background(), docs)
			if err != nil {
				t.Fatal(err)
			}
			fresh := &Set{o: s.o, encs: s.encs}
			want, err := fresh.build(context.Background(), docs)
			if err != nil {
				t.Fatal(err)
			}
			if !sameFiles(got, want) {
				t.Errorf("%d documents make other files in used memory", len(docs))
			}
			if rapid.Bool().Draw(t, "recycle") {
				s.recycle(got)
			} else {
				held, wanted = append(held, got), append(wanted, want)
			}
		}
		for i := range held {
			if !sameFiles(held[i], wanted[i]) {
				t.Error("a segment that is still in use has changed")
			}
			s.recycle(held[i])
		}
	})
}

// Memory of large segments is not kept.
func TestLargeMemoryGoes(t *testing.T) {
	s := newSet(t, testOptions(t.TempDir()))
	var docs []Doc
	for i := range 2 * smallBatch {
		docs = append(docs, plain(i, "one two three"))
	}
	for _, c := range []struct {
		docs []Doc
		want bool
	}{{docs, false}, {docs[:1], true}, {[]Doc{plain(1, string(bytes.Repeat([]byte("word "), smallFiles/4)))}, false}} {
		b, err := s.newSegmentBuilder(len(c.docs))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.docs {
			if err := b.add(d); err != nil {
				t.Fatal(err)
			}
		}
		one, err := b.finish()
		if err != nil {
			t.Fatal(err)
		}
		if got := one.memory != nil; got != c.want {
			t.Errorf("the memory of %d documents is kept: %t", len(c.docs), got)
		}
	}
}
