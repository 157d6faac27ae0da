package search

import (
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/text"
)

// The words of a fuzzy key are looked up once for all mailboxes: a second evaluation of
// the same search asks no snapshot (it has none here).
func TestWordsAreLookedUpOnce(t *testing.T) {
	key := text.NewKey(text.InText, "", "meeting minutes")
	sh := newShared(1)
	known := &expanded{&expansion{size: 7}, weights{[]wordWeights{{rarity: 3}, {rarity: 5}}}}
	sh.expansions[key] = known
	e := &evaluation{join: &join{covered: roaring.BitmapOf(1)}, shared: sh}
	k := newFuzzyKey(key)
	if err := k.expand(t.Context(), e); err != nil || k.expansion != known.expansion || k.weights.of(1).rarity != 5 {
		t.Errorf("%v: %+v", err, k.expansion)
	}
	if other := newFuzzyKey(text.NewKey(text.InBody, "", "meeting minutes")); sh.expansions[other.key] != nil {
		t.Error("keys of other scopes share words")
	}
}

// The index is asked about an exact key once for all mailboxes: another time no snapshot is
// asked (there is none here).
func TestKeysAreAskedOnce(t *testing.T) {
	sh := newShared(1)
	key := text.NewKey(text.InBody, "", "minutes of the")
	known := documents{roaring.BitmapOf(1, 5), roaring.BitmapOf(9)}
	sh.documents[key] = known
	if d, err := sh.match(t.Context(), nil, key); err != nil || d != known {
		t.Errorf("%v, %v", d, err)
	}
}

// Of several mailboxes fewer messages each are ranked by their text, of one as many as ever.
func TestRerankedOfSeveral(t *testing.T) {
	if sh := newShared(1); sh.reranked != reranked {
		t.Errorf("%d messages of one mailbox are ranked by their text", sh.reranked)
	}
	for boxes, want := range map[int]int{1: reranked, 2: reranked / 2, 20: leastReranked, 1000: leastReranked} {
		if got := rerankedOf(boxes); got != want {
			t.Errorf("of each of %d mailboxes %d are, want %d", boxes, got, want)
		}
	}
}
