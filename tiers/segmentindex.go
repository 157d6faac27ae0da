package tiers

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"

	"teraslot/mailbox"
	"teraslot/text"
)

// segmentIndex reads what indexWriter writes, out of two mapped files: under guard
// only. It may be used by several goroutines at once.
type segmentIndex struct {
	terms, lists []byte // the files

	text    []byte // of terms: what comes before the tables
	blocks  []byte // the table of blocks
	fields  []byte // the table of fields
	names   []byte
	total   uint32 // documents
	nBlocks uint32
}

var errIndex = errors.New("damaged index of a segment")

// openSegmentIndex checks that the tables lie within the files and rise.
func openSegmentIndex(terms, lists []byte) (*segmentIndex, error) {
	x := &segmentIndex{terms: terms, lists: lists}
	if !x.whole() {
		return nil, fmt.Errorf("%w: no magic", errIndex)
	}
	be := binary.BigEndian
	tail := terms[len(terms)-termsTail:]
	textSize, nBlocks, nFields, names := be.Uint64(tail), be.Uint32(tail[8:]), be.Uint32(tail[12:]), be.Uint32(tail[16:])
	rest := uint64(len(terms) - termsTail)
	tables := uint64(nBlocks)*blockSize + uint64(nFields)*fieldSize + uint64(names)
	if textSize > rest || rest-textSize != tables || textSize <= uint64(len(termsMagic)) || terms[len(termsMagic)] != '\n' {
		return nil, fmt.Errorf("%w: tables of %d octets do not fit", errIndex, tables)
	}
	x.text, x.nBlocks = terms[:textSize], nBlocks
	x.blocks = terms[textSize:][:uint64(nBlocks)*blockSize]
	x.fields = terms[textSize+uint64(len(x.blocks)):][:uint64(nFields)*fieldSize]
	x.names = terms[textSize+tables-uint64(names):][:names]
	x.total = be.Uint32(lists[len(lists)-listsTail:])
	if uint64(x.total)*uint64(guidSize+orderSize)+uint64(x.completeSize()) > uint64(len(lists)-len(listsMagic)-listsTail) {
		return nil, fmt.Errorf("%w: %d documents do not fit", errIndex, x.total)
	}
	return x, x.check()
}

// whole reports whether both files have their beginnings and ends. A file that was
// cut short faults where its pages are gone, but reads as zeros in the rest of its
// last page.
func (x *segmentIndex) whole() bool {
	return len(x.terms) > len(termsMagic)+termsTail && bytes.HasPrefix(x.terms, []byte(termsMagic)) && bytes.HasSuffix(x.terms, []byte(termsMagic)) &&
		len(x.lists) >= len(listsMagic)+listsTail && bytes.HasPrefix(x.lists, []byte(listsMagic)) && bytes.HasSuffix(x.lists, []byte(listsMagic))
}

// check looks at the table of fields.
func (x *segmentIndex) check() error {
	last := fieldRange{end: uint64(len(termsMagic)) + 1}
	for i := range x.len() {
		f, ok := x.field(i)
		if !ok || f.start != last.end || f.first != last.first+last.blocks ||
			i > 0 && compareFields(x.name(i-1), x.name(i)) >= 0 || x.text[f.end-1] != '\n' ||
			uint64(f.blocks) != (uint64(f.terms)+blockTerms-1)/blockTerms {
			return fmt.Errorf("%w: field %d", errIndex, i)
		}
		last = f
	}
	if last.end != uint64(len(x.text)) || last.first+last.blocks != x.nBlocks {
		return fmt.Errorf("%w: terms of no field", errIndex)
	}
	return nil
}

// len is the number of fields.
func (x *segmentIndex) len() int { return len(x.fields) / fieldSize }

// fieldRange is where a field lies: its terms in text, its blocks in the table.
type fieldRange struct {
	start, end    uint64 // of text; a line feed stands before and at the end
	first, blocks uint32
	terms         uint32
	table         uint64 // of stripes, in lists; 0: none
	sharing
}

// field is the ith field; false if it lies outside.
func (x *segmentIndex) field(i int) (f fieldRange, ok bool) {
	be := binary.BigEndian
	f.start = uint64(len(termsMagic)) + 1
	if i > 0 {
		before := x.fields[(i-1)*fieldSize:]
		f.start, f.first = be.Uint64(before[4:]), be.Uint32(before[12:])
	}
	b := x.fields[i*fieldSize:]
	f.end, f.terms, f.table = be.Uint64(b[4:]), be.Uint32(b[16:]), uint40(b[20:])
	end := be.Uint32(b[12:])
	f.blocks = end - f.first
	f.sharing = x.sharingOf(i)
	return f, f.start < f.end && f.end <= uint64(len(x.text)) && f.first < end && end <= x.nBlocks
}

// name is that of the ith field.
func (x *segmentIndex) name(i int) string { return string(x.nameOctets(i)) }

func (x *segmentIndex) nameOctets(i int) []byte {
	be := binary.BigEndian
	from, to := uint32(0), be.Uint32(x.fields[i*fieldSize:])
	if i > 0 {
		from = be.Uint32(x.fields[(i-1)*fieldSize:])
	}
	if from > to || uint64(to) > uint64(len(x.names)) {
		return nil
	}
	return x.names[from:to]
}

// sharingOf is sharingOf of the ith field.
func (x *segmentIndex) sharingOf(i int) sharing {
	name := x.nameOctets(i)
	if len(name) == 0 || name[0] != ':' {
		return sharing{}
	}
	return sharingOf(string(name))
}

// lookupField finds a field by its name.
func (x *segmentIndex) lookupField(name string) (fieldRange, bool) {
	i := sort.Search(x.len(), func(i int) bool { return string(x.nameOctets(i)) >= name })
	if i == x.len() || string(x.nameOctets(i)) != name {
		return fieldRange{}, false
	}
	return x.field(i)
}

// Documents.

func (x *segmentIndex) completeSize() int { return (int(x.total) + 63) / 64 * 8 }

// guids are a copy of the documents' ids, complete one of those that are complete.
func (x *segmentIndex) documents() (guids []mailbox.GUID, complete docSet, err error) {
	guids = make([]mailbox.GUID, x.total)
	b := x.lists[len(listsMagic):]
	for i := range guids {
		b = b[copy(guids[i][:], b):]
	}
	b = b[orderSize*int(x.total):]
	complete = newDocSet(x.total)
	for i := range complete {
		complete[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	if n := len(complete); n > 0 && x.total%64 != 0 && complete[n-1]>>(x.total%64) != 0 ||
		complete.count() != binary.BigEndian.Uint32(x.lists[len(x.lists)-listsTail+4:]) {
		return nil, nil, fmt.Errorf("%w: complete documents that there are not", errIndex)
	}
	return guids, complete, nil
}

// byGUID are the numbers of documents in the order of their ids.
func byGUID(guids []mailbox.GUID) []uint32 {
	order := make([]uint32, len(guids))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		if d := bytes.Compare(guids[a][:], guids[b][:]); d != 0 {
			return d
		}
		return cmp.Compare(a, b)
	})
	return order
}

// inOrder is the number of the ith document in the order of ids.
func (x *segmentIndex) inOrder(i int) uint32 {
	return binary.BigEndian.Uint32(x.lists[len(listsMagic)+int(x.total)*guidSize+orderSize*i:])
}

// find finds a document by its id.
func (x *segmentIndex) find(guids []mailbox.GUID, g mailbox.GUID) (uint32, bool, error) {
	lo, hi := 0, len(guids)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		doc := x.inOrder(mid)
		if int(doc) >= len(guids) {
			return 0, false, fmt.Errorf("%w: the order of documents", errIndex)
		}
		switch c := bytes.Compare(guids[doc][:], g[:]); {
		case c == 0:
			return doc, true, nil
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false, nil
}

// Terms. A term is named by the offset in text at which it begins.

// lineAt is what stands from an offset, which is below the text's end, to the next line
// feed: a term, but in shared fields.
func (x *segmentIndex) lineAt(at uint64) []byte {
	b := x.text[at:]
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		return b[:n]
	}
	return b
}

// line is what stands from an offset to the end of a term of a field.
func (x *segmentIndex) line(f fieldRange, at uint64) []byte {
	if !f.ends {
		return x.lineAt(at)
	}
	b := x.text[min(at, f.end):f.end]
	for i := 1; i < len(b); i++ {
		if b[i] < ' ' {
			return b[:i]
		}
	}
	return b
}

// termsBetween is how many terms of a field begin from an offset to below another.
func (x *segmentIndex) termsBetween(f fieldRange, from, to uint64) int {
	if !f.ends {
		return bytes.Count(x.text[from:to], lineFeed)
	}
	n := 0
	for _, c := range x.text[from:to] {
		if c < ' ' {
			n++
		}
	}
	return n
}

// blockText is where the terms of a block begin; 0, which none does, if the block
// lies outside.
func (x *segmentIndex) blockText(i uint32) uint64 {
	at := uint40(x.blocks[uint64(i)*blockSize:])
	if at > uint64(len(x.text)) {
		return 0
	}
	return at
}

// blockOf is the last block of a field that begins at or before an offset.
func (x *segmentIndex) blockOf(f fieldRange, at uint64) uint32 {
	n := sort.Search(int(f.blocks), func(i int) bool { return x.blockText(f.first+uint32(i)) > at })
	return f.first + uint32(max(n-1, 0))
}

// blockEnd is where the terms of a block of a field end.
func (x *segmentIndex) blockEnd(f fieldRange, block uint32) uint64 {
	if block+1 < f.first+f.blocks {
		return x.blockText(block + 1)
	}
	return f.end
}

// lookup yields where the terms of a field begin that a lookup means, in order, and
// the terms, which are valid until the next one.
func (x *segmentIndex) lookup(f fieldRange, l text.Lookup) iter.Seq2[uint64, []byte] {
	switch {
	case l.Op == text.Exact:
		return x.exact(f, l.Text)
	case l.Op == text.Prefix:
		return x.prefixed(f, l.Text, func([]byte) bool { return true })
	case l.Op == text.Across:
		then := []byte(l.Then)
		return x.prefixed(f, l.Text, func(term []byte) bool {
			_, rest, _ := bytes.Cut(term, []byte{' '})
			return bytes.HasPrefix(rest, then) && (!l.Ends || len(rest) == len(then))
		})
	case f.ends && l.Op == text.Inside && strings.HasPrefix(l.Text, " "):
		return x.behindSpace(f, l.Text)
	case f.none != 0:
		pattern := []byte(l.Text)
		return x.prefixed(f, "", func(term []byte) bool {
			if l.Op == text.Suffix {
				return bytes.HasSuffix(term, pattern)
			}
			return bytes.Contains(term, pattern)
		})
	case l.Op == text.Suffix:
		return x.containing(f, l.Text+"\n")
	}
	return x.containing(f, l.Text)
}

func (x *segmentIndex) exact(f fieldRange, term string) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		if w, ok := x.seek(f, []byte(term)); ok && string(w.term) == term {
			yield(w.at, w.term)
		}
	}
}

// prefixed yields the terms that begin with prefix and are wanted.
func (x *segmentIndex) prefixed(f fieldRange, prefix string, wanted func([]byte) bool) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		p := []byte(prefix)
		for w, ok := x.seek(f, p); ok && bytes.HasPrefix(w.term, p); ok = w.forth() {
			if wanted(w.term) && !yield(w.at, w.term) {
				return
			}
		}
	}
}

// behindSpace yields the terms of a field of borders that go on with pattern, a space and what
// comes behind it, after their only space. Of terms that are the same up to the space,
// which are most where words are frequent, those lie together: blocks of others are passed over.
func (x *segmentIndex) behindSpace(f fieldRange, pattern string) iter.Seq2[uint64, []byte] {
	wanted := []byte(pattern)
	return func(yield func(uint64, []byte) bool) {
		for block := f.first; block < f.first+f.blocks; block++ {
			if x.passedOver(f, block, wanted) {
				continue
			}
			w, end := x.walkBlock(f, block), x.blockEnd(f, block)
			for w.next < end && w.forth() {
				if bytes.HasPrefix(fromSpace(w.term), wanted) && !yield(w.at, w.term) {
					return
				}
			}
		}
	}
}

// fromSpace is a term from its first space on.
func fromSpace(term []byte) []byte { return term[max(bytes.IndexByte(term, ' '), 0):] }

// passedOver reports whether no term of a block can have wanted from its space on: because the
// first one and that of the next block are the same up to there, and what follows rises from the
// one to the other without coming by.
func (x *segmentIndex) passedOver(f fieldRange, block uint32, wanted []byte) bool {
	if block+1 >= f.first+f.blocks {
		return false
	}
	first, next := x.first(f, x.blockText(block)), x.first(f, x.blockText(block+1))
	from, to := fromSpace(first), fromSpace(next)
	if !bytes.Equal(first[:len(first)-len(from)], next[:len(next)-len(to)]) {
		return false
	}
	return bytes.Compare(to, wanted) < 0 || bytes.Compare(from, wanted) > 0 && !bytes.HasPrefix(from, wanted)
}

// containing yields the terms around each place where pattern is found, which may
// end with the line feed after a term.
func (x *segmentIndex) containing(f fieldRange, pattern string) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		for from, to := range x.regions(f, pattern) {
			if pattern == "" || !containing(x.text, []byte(pattern), from, to, yield) {
				return
			}
		}
	}
}

// containing looks through the terms from from to below to.
func containing(text, pattern []byte, from, to uint64, yield func(uint64, []byte) bool) bool {
	first := from
	for from < to {
		k := bytes.Index(text[from:to], pattern)
		if k < 0 {
			return true
		}
		at := from + uint64(k)
		start := uint64(bytes.LastIndexByte(text[first:at], '\n')+1) + first
		n := bytes.IndexByte(text[at:to], '\n')
		if n < 0 || !yield(start, text[start:at+uint64(n)]) {
			return false
		}
		from = at + uint64(n) + 1
	}
	return true
}

// Lists.

// blockLists are the lists of one block.
type blockLists struct {
	x     *segmentIndex
	f     fieldRange
	block uint32
	valid bool
	n     int // lists
	lists [blockTerms]docList
}

func (x *segmentIndex) blockLists(f fieldRange) *blockLists { return &blockLists{x: x, f: f} }

// reset makes b read the lists of another field.
func (b *blockLists) reset(x *segmentIndex, f fieldRange) { b.x, b.f, b.valid = x, f, false }

// of returns the list of the term that begins at an offset. Terms that are asked
// for in order cost least.
func (b *blockLists) of(at uint64) (docList, error) {
	if !b.valid || at < b.x.blockText(b.block) || at >= b.x.blockEnd(b.f, b.block) {
		block := b.block + 1 // often the next
		if !b.valid || block >= b.f.first+b.f.blocks || at < b.x.blockText(block) || at >= b.x.blockEnd(b.f, block) {
			block = b.x.blockOf(b.f, at)
		}
		if err := b.load(block); err != nil {
			return docList{}, err
		}
	}
	from := b.x.blockText(b.block)
	if at < from {
		return docList{}, fmt.Errorf("%w: the table of blocks", errIndex)
	}
	i := b.x.termsBetween(b.f, from, at)
	if i >= b.n {
		return docList{}, fmt.Errorf("%w: a block of %d terms has more", errIndex, b.n)
	}
	return b.lists[i], nil
}

// nth returns the list of a field's nth term, from 0 on, which begins at an offset: of
// for who goes through all terms, and has counted them.
func (b *blockLists) nth(n uint32, at uint64) (docList, error) {
	block := b.f.first + n/blockTerms
	if !b.valid || block != b.block {
		if block >= b.f.first+b.f.blocks || at < b.x.blockText(block) || at >= b.x.blockEnd(b.f, block) {
			return docList{}, fmt.Errorf("%w: the table of blocks", errIndex)
		}
		if err := b.load(block); err != nil {
			return docList{}, err
		}
	}
	i := int(n % blockTerms)
	if i >= b.n || i == 0 && at != max(b.x.blockText(block), b.f.start) {
		return docList{}, fmt.Errorf("%w: a block of %d terms has others", errIndex, b.n)
	}
	return b.lists[i], nil
}

// load reads where the lists of a block lie.
func (b *blockLists) load(block uint32) error {
	b.block, b.valid, b.n = block, false, 0
	at, total := uint40(b.x.blocks[uint64(block)*blockSize+5:]), b.x.total
	n := b.x.termsOf(b.f, block)
	size := headsSize(n, total)
	if at > uint64(len(b.x.lists)) || size > len(b.x.lists)-int(at) {
		return fmt.Errorf("%w: the table of blocks", errIndex)
	}
	heads, data := b.x.lists[at:][:size], b.x.lists[at:][size:]
	each := headBits(total)
	for i := range b.lists[:n] {
		head := bitsAt(heads, uint64(i)*uint64(each)) & (1<<each - 1)
		l := docList{first: uint32(head >> 1), total: total}
		if l.first >= total {
			return fmt.Errorf("%w: document %d of %d", errList, l.first, total)
		}
		if head&1 == 0 {
			size, m := binary.Uvarint(data)
			if m <= 0 || size>>1 == 0 || size>>1 > uint64(len(data)-m) {
				return fmt.Errorf("%w: a list of %d octets", errList, size>>1)
			}
			data = data[m:]
			l.bare, l.data, data = size&1 != 0, data[:size>>1], data[size>>1:]
		}
		b.lists[i] = l
	}
	b.n, b.valid = int(n), true
	return nil
}

// termsOf is how many terms a block of a field has.
func (x *segmentIndex) termsOf(f fieldRange, block uint32) uint32 {
	return min(blockTerms, f.terms-min(f.terms, (block-f.first)*blockTerms))
}
