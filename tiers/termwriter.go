package tiers

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	"teraslot/mailbox"
	"teraslot/text"
)

// A segment's index is two files: in .terms the terms of each field in order, each
// between two line feeds, so that one pass through memory finds those that contain
// a string; in .lists the documents' ids and, for each term, its list. What binds
// them is the table of blocks at the end of .terms: where the terms of each block
// begin, and where their lists. docs/formats.md has both forms.
const (
	termsMagic = "TSLterm4"
	listsMagic = "TSLlist3"

	blockTerms = 64 // terms of a block; the last one of a field may have fewer

	blockSize = 5 + 5             // of a block in the table
	fieldSize = 4 + 8 + 4 + 4 + 5 // of a field in the table
	termsTail = 8 + 4 + 4 + 4 + len(termsMagic)
	listsTail = 4 + 4 + len(listsMagic)
	guidSize  = len(mailbox.GUID{})
	orderSize = 4
)

// indexWriter writes the index of a segment: its documents first, then field by
// field, term by term, all in order.
type indexWriter struct {
	terms, lists counter
	total        uint32
	complete     uint32

	blocks, fields, names []byte
	nBlocks, nFields      uint32
	field                 openedField
	stripes               stripeWriter       // of the field at hand
	inBlock               int                // terms in the block at hand
	before                []byte             // the term before, in a shared field
	firsts                [blockTerms]uint64 // of the block at hand: its heads
	data, list            []byte             // its lists, and the last one
	failed                error
}

// openedField is the field that terms are added to.
type openedField struct {
	open    bool
	striped bool
	sharing
	terms uint32
}

// striped reports whether strings are looked for inside of a field's terms.
func striped(field string) bool {
	switch field {
	case text.FieldBorder, text.FieldTriple, text.FieldRune, text.FieldHeader, text.FieldSign, text.FieldLineSign:
		return false
	}
	return true
}

// err is what writing has failed with so far.
func (w *indexWriter) err() error { return cmp.Or(w.failed, w.terms.err, w.lists.err) }

// counter collects what is written to a file, and counts it.
type counter struct {
	w   io.Writer
	buf []byte
	n   uint64 // octets, those in buf too
	err error
}

// writeAtOnce is how much is collected.
const writeAtOnce = 64 << 10

func (c *counter) write(b []byte) {
	c.n += uint64(len(b))
	if c.buf = append(c.buf, b...); len(c.buf) >= writeAtOnce {
		c.flush()
	}
}

// line writes b and a line feed.
func (c *counter) line(b []byte) {
	c.buf = append(c.buf, b...)
	c.write(lineFeed)
	c.n += uint64(len(b))
}

var lineFeed = []byte{'\n'}

func (c *counter) writeString(s string) {
	c.n += uint64(len(s))
	if c.buf = append(c.buf, s...); len(c.buf) >= writeAtOnce {
		c.flush()
	}
}

func (c *counter) flush() {
	if c.err == nil {
		_, c.err = c.w.Write(c.buf)
	}
	c.buf = c.buf[:0]
}

// newIndexWriter begins the index of the documents with these ids, of which those
// in complete are complete.
func newIndexWriter(terms, lists io.Writer, guids []mailbox.GUID, complete docSet) *indexWriter {
	w := &indexWriter{}
	w.reset(terms, lists, guids, complete)
	return w
}

// reset begins another index, with the memory of the one before.
func (w *indexWriter) reset(terms, lists io.Writer, guids []mailbox.GUID, complete docSet) {
	*w = indexWriter{
		terms: counter{w: terms, buf: w.terms.buf[:0]}, lists: counter{w: lists, buf: w.lists.buf[:0]},
		total: uint32(len(guids)), complete: complete.count(),
		blocks: w.blocks[:0], fields: w.fields[:0], names: w.names[:0], stripes: w.stripes,
		before: w.before[:0], data: w.data[:0], list: w.list[:0],
	}
	w.terms.writeString(termsMagic + "\n")
	w.lists.writeString(listsMagic)
	for i := range guids {
		w.lists.write(guids[i][:])
	}
	var b []byte
	for _, doc := range byGUID(guids) {
		b = binary.BigEndian.AppendUint32(b, doc)
	}
	w.lists.write(b)
	b = b[:0]
	for _, bits := range complete {
		b = binary.LittleEndian.AppendUint64(b, bits)
	}
	w.lists.write(b)
}

// begin begins a field; names come in order.
func (w *indexWriter) begin(name string) {
	w.end()
	w.names = append(w.names, name...)
	w.field.open, w.field.striped, w.field.sharing = true, striped(name), sharingOf(name)
	w.stripes.reset()
}

// end ends the field at hand. A field without terms is left out.
func (w *indexWriter) end() {
	w.flush()
	f := &w.field
	if !f.open {
		return
	}
	if f.terms == 0 {
		w.names = w.names[:w.lastName()]
	} else {
		if f.ends {
			w.terms.line(nil)
		}
		be := binary.BigEndian
		w.fields = be.AppendUint32(w.fields, uint32(len(w.names)))
		w.fields = be.AppendUint64(w.fields, w.terms.n)
		w.fields = be.AppendUint32(w.fields, w.nBlocks)
		w.fields = be.AppendUint32(w.fields, f.terms)
		w.fields = appendUint40(w.fields, w.table())
		w.nFields++
	}
	*f = openedField{}
}

// table writes the table of stripes of the field at hand, and returns where it
// lies; 0 for a field without one.
func (w *indexWriter) table() uint64 {
	t := w.stripes.table()
	if t == nil {
		return 0
	}
	at := w.lists.n
	w.lists.write(t)
	return at
}

// lastName is where the name at hand begins.
func (w *indexWriter) lastName() uint32 {
	if len(w.fields) == 0 {
		return 0
	}
	return binary.BigEndian.Uint32(w.fields[len(w.fields)-fieldSize:])
}

// add adds a term of the field at hand, which has at least one document.
func (w *indexWriter) add(term []byte, docs []uint32, counts []uint8) {
	if w.inBlock == 0 {
		w.block()
	}
	if w.field.none != 0 {
		w.share(term)
	} else {
		w.terms.line(term)
	}
	if w.field.striped {
		w.stripes.add(term)
	}
	first := uint64(docs[0]) << 1
	if len(docs) == 1 && (len(counts) == 0 || counts[0] == 1) {
		first |= 1
	} else {
		var bare bool
		w.list, bare = appendList(w.list[:0], docs, counts, w.total)
		size := uint64(len(w.list)) << 1
		if bare {
			size |= 1
		}
		w.data = append(binary.AppendUvarint(w.data, size), w.list...)
	}
	w.firsts[w.inBlock] = first
	w.field.terms++
	if w.inBlock++; w.inBlock == blockTerms {
		w.flush()
	}
}

// share writes what a term does not share with the one before it in its block.
func (w *indexWriter) share(term []byte) {
	n := 0
	if w.inBlock > 0 {
		n = w.field.shared(w.before, term)
	}
	w.before = append(w.before[:0], term...)
	w.terms.buf = append(w.terms.buf, w.field.none+byte(n))
	w.terms.n++
	if w.field.ends {
		w.terms.write(term[n:])
	} else {
		w.terms.line(term[n:])
	}
}

// block begins a block.
func (w *indexWriter) block() {
	const most = 1<<40 - 1
	if w.terms.n > most || w.lists.n > most || w.nBlocks == math.MaxUint32 {
		w.failed = fmt.Errorf("an index of %d and %d octets is too large", w.terms.n, w.lists.n)
	}
	w.blocks = appendUint40(appendUint40(w.blocks, w.terms.n), w.lists.n)
	w.nBlocks++
}

func appendUint40(b []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(n>>32)), uint32(n))
}

func uint40(b []byte) uint64 { return uint64(b[0])<<32 | uint64(binary.BigEndian.Uint32(b[1:])) }

// flush writes the lists of the block at hand.
func (w *indexWriter) flush() {
	if w.inBlock == 0 {
		return
	}
	w.list = appendHeads(w.list[:0], w.firsts[:w.inBlock], w.total)
	w.lists.write(w.list)
	w.lists.write(w.data)
	w.data, w.inBlock = w.data[:0], 0
}

// headBits is how many bits the head of a list has: the number of its first document,
// after a bit that is set if there is no other.
func headBits(total uint32) uint { return 1 + uint(bits.Len32(total-min(total, 1))) }

// headsSize is how many octets the heads of n lists take.
func headsSize(n, total uint32) int { return (int(n)*int(headBits(total)) + 7) / 8 }

// appendHeads appends the heads of lists, bits from the lowest of an octet on.
func appendHeads(b []byte, heads []uint64, total uint32) []byte {
	var word uint64
	have, each := uint(0), headBits(total) // 33 at most
	for _, h := range heads {
		word |= h << have
		for have += each; have >= 8; have -= 8 {
			b = append(b, byte(word))
			word >>= 8
		}
	}
	if have > 0 {
		b = append(b, byte(word))
	}
	return b
}

// close writes the tables.
func (w *indexWriter) close() error {
	w.end()
	be := binary.BigEndian
	tail := be.AppendUint64(nil, w.terms.n)
	tail = be.AppendUint32(be.AppendUint32(be.AppendUint32(tail, w.nBlocks), w.nFields), uint32(len(w.names)))
	for _, b := range [][]byte{w.blocks, w.fields, w.names, append(tail, termsMagic...)} {
		w.terms.write(b)
	}
	tail = be.AppendUint32(be.AppendUint32(nil, w.total), w.complete)
	w.lists.write(append(tail, listsMagic...))
	w.terms.flush()
	w.lists.flush()
	return errors.Join(w.failed, w.terms.err, w.lists.err)
}

// compareFields orders the fields of an index.
func compareFields(a, b string) int { return strings.Compare(a, b) }

// term adds a term, beginning its field if that is another than before.
func (w *indexWriter) term(field string, term []byte, docs []uint32, counts []uint8) {
	if !w.field.open || string(w.names[w.lastName():]) != field {
		w.begin(field)
	}
	w.add(term, docs, counts)
}
