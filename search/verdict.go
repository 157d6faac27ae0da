package search

import "github.com/RoaringBitmap/roaring/v2"

// verdict is what is known of a set of rows: sure match, open may match, and
// the others do not. The two are disjoint. A verdict's bitmaps may be shared
// with other verdicts: nothing changes them once they are in one.
type verdict struct{ sure, open *roaring.Bitmap }

// none is the verdict that nothing matches.
func none() verdict { return verdict{roaring.New(), roaring.New()} }

// possible are the rows that match or may.
func (v verdict) possible() *roaring.Bitmap {
	if v.open.IsEmpty() {
		return v.sure
	}
	return roaring.Or(v.sure, v.open)
}

// and combines the verdicts of two keys over the same rows.
func (v verdict) and(w verdict) verdict {
	sure := roaring.And(v.sure, w.sure)
	if v.open.IsEmpty() && w.open.IsEmpty() {
		return verdict{sure, v.open}
	}
	open := roaring.And(v.possible(), w.possible())
	open.AndNot(sure)
	return verdict{sure, open}
}

// or combines the verdicts of two keys over the same rows.
func (v verdict) or(w verdict) verdict {
	sure := roaring.Or(v.sure, w.sure)
	open := roaring.Or(v.open, w.open)
	open.AndNot(sure)
	return verdict{sure, open}
}

// not turns the verdict over rows round. What was open stays so.
func (v verdict) not(rows *roaring.Bitmap) verdict {
	sure := roaring.AndNot(rows, v.sure)
	sure.AndNot(v.open)
	return verdict{sure, v.open}
}
