package search

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// noDoc stands for "no complete document" among document numbers.
const noDoc = ^uint32(0)

// noRow stands for "not in this mailbox" among row numbers.
const noRow = ^uint32(0)

// sparse is how many times more documents than rows there may be before a join
// keeps no row for each document and asks each row for its document instead.
const sparse = 16

// join ties the rows of one mailbox view to the documents of one snapshot. It
// is immutable.
type join struct {
	validity mailbox.UIDValidity
	modseq   mailbox.ModSeq
	array    *mailstore.Array
	uids     []mailbox.UID
	segments []place

	docOf []uint32          // by row: its complete document, or noDoc
	rowOf []uint32          // by document: a row, or noRow; nil where documents are many and rows few
	same  map[uint32]uint32 // by row: the next row with the same content

	all     *roaring.Bitmap // every row
	covered *roaring.Bitmap // rows with a complete document
	missing int             // rows without any document
}

// place is where a segment's documents begin in the snapshot's numbering.
type place struct {
	id   string
	base uint32
	size uint32
}

// places lists the segments of a snapshot.
func places(snap *tiers.Snapshot) []place {
	var out []place
	for _, seg := range snap.Segments() {
		out = append(out, place{seg.ID(), seg.Base(), seg.Len()})
	}
	return out
}

// fits reports whether the join is that of this view and these segments.
func (j *join) fits(view *mailstore.View, segments []place) bool {
	return j != nil && j.modseq == view.State.HighestModSeq && j.validity == view.State.UIDValidity &&
		len(j.uids) == len(view.Records) && slices.Equal(j.segments, segments)
}

// newJoin makes the join of a view and a snapshot. What prev, an earlier join of
// the same mailbox or nil, knows of rows and segments that are still there is
// taken over, so that the cost of a new message or a new segment is not that of
// looking up the whole mailbox.
func newJoin(view *mailstore.View, snap *tiers.Snapshot, segments []place, prev *join) *join {
	n := len(view.Records)
	j := &join{
		validity: view.State.UIDValidity,
		modseq:   view.State.HighestModSeq,
		array:    view.Array,
		uids:     make([]mailbox.UID, n),
		segments: segments,
		docOf:    make([]uint32, n),
		all:      roaring.New(),
	}
	j.all.AddRange(0, uint64(n))
	for row := j.copyUIDs(prev); row < n; row++ {
		j.uids[row] = view.Records[row].UID
	}
	for row := range j.docOf {
		j.docOf[row] = noDoc
	}
	if prev != nil && prev.validity == j.validity {
		j.inherit(prev)
	}
	j.lookUp(view, snap)
	if n >= int(snap.Docs())/sparse {
		j.invert(snap.Docs())
	}
	return j
}

// unjoined is the join of n rows with no index at all.
func unjoined(n int) *join {
	j := &join{all: roaring.New(), covered: roaring.New()}
	j.all.AddRange(0, uint64(n))
	return j
}

// copyUIDs takes over the UIDs of the rows that prev, which may be nil, is known to have
// too, and returns how many: to read them from the records takes ten times as long, since
// those are large.
func (j *join) copyUIDs(prev *join) int {
	if prev == nil || prev.array == nil || prev.array != j.array {
		return 0
	}
	return copy(j.uids, prev.uids)
}

// inherit takes over the documents of rows that prev has too, as far as their
// segments are still there.
func (j *join) inherit(prev *join) {
	moved := make(map[string]uint32, len(j.segments))
	for _, p := range j.segments {
		moved[p.id] = p.base
	}
	var from place // of the last document in prev: the next lies there mostly
	var base uint32
	var kept bool
	old := 0
	for row, uid := range j.uids {
		for old < len(prev.uids) && prev.uids[old] < uid {
			old++
		}
		if old == len(prev.uids) {
			return
		}
		doc := prev.docOf[old]
		if prev.uids[old] != uid || doc == noDoc {
			continue
		}
		if doc < from.base || doc-from.base >= from.size {
			from = prev.segmentOf(doc)
			base, kept = moved[from.id]
		}
		if kept {
			j.docOf[row] = base + doc - from.base
		}
	}
}

// segmentOf returns the segment that holds a document.
func (j *join) segmentOf(doc uint32) place {
	i, found := slices.BinarySearchFunc(j.segments, doc, func(p place, doc uint32) int {
		switch {
		case p.base+p.size <= doc:
			return -1
		case p.base > doc:
			return 1
		}
		return 0
	})
	if !found {
		return place{}
	}
	return j.segments[i]
}

// lookUp finds the documents of the rows that have none yet.
func (j *join) lookUp(view *mailstore.View, snap *tiers.Snapshot) {
	find := j.finder(view, snap)
	var bare []uint32 // rows without a complete document: mostly few, of many
	for row, doc := range j.docOf {
		if doc != noDoc {
			continue
		}
		found, ok := find(view.Records[row].GUID)
		if ok && snap.Complete(found) {
			j.docOf[row] = found
			continue
		}
		bare = append(bare, uint32(row))
		if !ok {
			j.missing++
		}
	}
	j.covered = roaring.AndNot(j.all, fromSorted(bare))
	j.covered.RunOptimize()
}

// lookupCost is about how many documents can be walked over in the time that it
// takes to look one up in a segment.
const lookupCost = 64

// finder returns how to find a row's document: one by one where few rows have
// none, else by walking over all documents once.
func (j *join) finder(view *mailstore.View, snap *tiers.Snapshot) func(mailbox.GUID) (uint32, bool) {
	unplaced := 0
	for _, doc := range j.docOf {
		if doc == noDoc {
			unplaced++
		}
	}
	if unplaced*len(j.segments)*lookupCost <= int(snap.Docs()) {
		return snap.Lookup
	}
	found := make(map[mailbox.GUID]uint32, unplaced)
	for row, doc := range j.docOf {
		if doc == noDoc {
			found[view.Records[row].GUID] = noDoc
		}
	}
	for _, seg := range snap.Segments() {
		for n := range seg.Len() {
			g := seg.GUID(n)
			before, wanted := found[g]
			if wanted && (before == noDoc || seg.Complete(n) && !snap.Complete(before)) {
				found[g] = seg.Base() + n
			}
		}
	}
	return func(g mailbox.GUID) (uint32, bool) {
		doc := found[g]
		return doc, doc != noDoc
	}
}

// invert fills rowOf, and same where two rows have the same content.
func (j *join) invert(docs uint32) {
	j.rowOf = make([]uint32, docs)
	for doc := range j.rowOf {
		j.rowOf[doc] = noRow
	}
	for row := len(j.docOf) - 1; row >= 0; row-- {
		doc := j.docOf[row]
		if doc == noDoc {
			continue
		}
		if next := j.rowOf[doc]; next != noRow {
			if j.same == nil {
				j.same = make(map[uint32]uint32)
			}
			j.same[uint32(row)] = next
		}
		j.rowOf[doc] = uint32(row)
	}
}

// rows translates a set of documents to the rows whose documents they are.
func (j *join) rows(docs *roaring.Bitmap) *roaring.Bitmap {
	if docs.IsEmpty() {
		return roaring.New()
	}
	out := make([]uint32, 0, min(docs.GetCardinality(), uint64(len(j.docOf))))
	if j.rowOf == nil {
		for row, doc := range j.docOf {
			if doc != noDoc && docs.Contains(doc) {
				out = append(out, uint32(row))
			}
		}
		return fromSorted(out)
	}
	for it := docs.ManyIterator(); ; {
		var buf [512]uint32
		n := it.NextMany(buf[:])
		if n == 0 {
			break
		}
		for _, doc := range buf[:n] {
			out = j.appendRows(out, doc)
		}
	}
	slices.Sort(out)
	return fromSorted(out)
}

// appendRows appends all rows of a document.
func (j *join) appendRows(out []uint32, doc uint32) []uint32 {
	if doc >= uint32(len(j.rowOf)) || j.rowOf[doc] == noRow {
		return out
	}
	row := j.rowOf[doc]
	out = append(out, row)
	for j.same != nil {
		next, ok := j.same[row]
		if !ok {
			break
		}
		out = append(out, next)
		row = next
	}
	return out
}

func fromSorted(rows []uint32) *roaring.Bitmap {
	bm := roaring.New()
	bm.AddMany(rows)
	return bm
}

// weight is about how many bytes the join keeps.
func (j *join) weight() int64 {
	return int64(8*len(j.uids) + 4*len(j.rowOf) + 32*len(j.same) + 32*len(j.segments) + 512)
}
