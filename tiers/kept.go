package tiers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"unsafe"

	"teraslot/text"

	"github.com/klauspost/compress/zstd"
)

// Kept text is the folded text of a segment's documents, so that candidates are
// verified without reading mail again: blocks of whole documents, compressed,
// each with a checksum; then the tables. Header lines and bodies have blocks of
// their own: lines repeat each other over many messages and are small, so their
// blocks are large; bodies are what phrases are looked for in, and each candidate
// costs the unpacking of a block, so theirs are small. docs/formats.md has the form.
const (
	keptMagic   = "TSLkept2"
	keptTail    = 8 + 4 + 4 + 4 + 4 + len(keptMagic)
	keptDocSize = 4 // in each stream
	keptBlkSize = 8 + 4 + 4 + 4 + 4

	// notKept is set in the offset of a document whose text is not kept.
	notKept = 1 << 31
	// maxKeptBlock bounds what a block may say it needs in memory.
	maxKeptBlock = 1 << 30
	// maxKeptDoc bounds the text that is kept of a document, so that it fits in a
	// block whatever it folds to.
	maxKeptDoc = maxKeptBlock / 2
)

// The streams of kept text.
const (
	headStream = iota
	bodyStream
	streams
)

// keptBlock is how many octets close a block of a stream.
var keptBlock = [streams]int{64 << 10, 16 << 10}

// wholeBlock is how many octets of a stream a block has at least that merges copy as it is.
func wholeBlock(stream int) int { return keptBlock[stream] / 2 }

var errKept = errors.New("damaged kept text")

// keptBlockInfo is where a block lies, and what it has to be.
type keptBlockInfo struct {
	offset          uint64
	packed, rawSize uint32
	crc             uint32 // CRC-32C of the packed octets
	first           uint32 // its first document
}

// keptWriter writes kept text.
type keptWriter struct {
	w       io.Writer
	encs    encoders
	most    int // octets of a document
	offset  uint64
	packed  []byte
	streams [streams]keptStream
}

// keptStream is one of the streams on its way.
type keptStream struct {
	offsets []uint32 // of the documents, in their blocks
	first   uint32   // document of the block at hand
	raw     []byte   // the block at hand
	blocks  []keptBlockInfo
}

// newKeptWriter begins kept text; the encoders may be shared.
func newKeptWriter(w io.Writer, encs encoders) (*keptWriter, error) {
	k := &keptWriter{encs: encs, most: maxKeptDoc}
	return k, k.reset(w)
}

// reset begins other kept text, with the memory of that before.
func (k *keptWriter) reset(w io.Writer) error {
	k.w, k.offset = w, 0
	for i := range k.streams {
		s := &k.streams[i]
		*s = keptStream{offsets: s.offsets[:0], raw: s.raw[:0], blocks: s.blocks[:0]}
	}
	return k.write([]byte(keptMagic))
}

func (k *keptWriter) write(b []byte) error {
	n, err := k.w.Write(b)
	k.offset += uint64(n)
	return err
}

// memory is how many octets are held for the next block of the larger stream.
func (k *keptWriter) memory() int {
	return max(cap(k.streams[headStream].raw), cap(k.streams[bodyStream].raw))
}

// none adds a document whose text is not kept.
func (k *keptWriter) none() error {
	return errors.Join(k.addRaw(headStream, nil, notKept), k.addRaw(bodyStream, nil, notKept))
}

// add adds the next document. One that is too long is not kept.
func (k *keptWriter) add(units []text.Unit) error {
	size := 0
	for _, u := range units {
		size += len(u.Name) + len(u.Text) + 2*binary.MaxVarintLen64
	}
	if size > k.most {
		return k.none()
	}
	for i := range k.streams {
		s := &k.streams[i]
		s.offsets = append(s.offsets, uint32(len(s.raw)))
	}
	for _, u := range units {
		s := &k.streams[streamOf(u.Kind)]
		s.raw = slices.Grow(s.raw, len(u.Name)+len(u.Text)+2*binary.MaxVarintLen64)
		s.raw = appendUnit(s.raw, u)
	}
	return errors.Join(k.full(headStream), k.full(bodyStream))
}

func streamOf(k text.Kind) int {
	if k == text.Header {
		return headStream
	}
	return bodyStream
}

// addRaw adds the next document of a stream in its encoded form.
func (k *keptWriter) addRaw(stream int, b []byte, mark uint32) error {
	s := &k.streams[stream]
	s.offsets = append(s.offsets, uint32(len(s.raw))|mark)
	s.raw = append(s.raw, b...)
	return k.full(stream)
}

// full closes the block at hand if it is large enough.
func (k *keptWriter) full(stream int) error {
	s := &k.streams[stream]
	if len(s.raw) > maxKeptBlock {
		return fmt.Errorf("kept text of %d octets is too much for a block", len(s.raw))
	}
	if len(s.raw) < keptBlock[stream] {
		return nil
	}
	return k.flush(stream)
}

// addBlock adds a block of a stream as it is, with the offsets of its documents.
func (k *keptWriter) addBlock(stream int, packed []byte, info keptBlockInfo, offsets []uint32) error {
	s := &k.streams[stream]
	if len(s.offsets) > int(s.first) {
		if err := k.flush(stream); err != nil {
			return err
		}
	}
	info.offset, info.first = k.offset, s.first
	s.offsets = append(s.offsets, offsets...)
	s.blocks = append(s.blocks, info)
	s.first = uint32(len(s.offsets))
	return k.write(packed)
}

// flush closes the block at hand of a stream.
func (k *keptWriter) flush(stream int) error {
	s := &k.streams[stream]
	info := keptBlockInfo{offset: k.offset, rawSize: uint32(len(s.raw)), first: s.first}
	k.packed = k.packed[:0]
	if len(s.raw) > 0 {
		k.packed = k.encs.of(stream, len(s.raw)).EncodeAll(s.raw, k.packed)
	}
	info.packed, info.crc = uint32(len(k.packed)), crc32.Checksum(k.packed, castagnoli)
	s.blocks = append(s.blocks, info)
	s.raw, s.first = s.raw[:0], uint32(len(s.offsets))
	return k.write(k.packed)
}

// close writes the tables.
func (k *keptWriter) close() error {
	be := binary.BigEndian
	var offsets, blocks, tail []byte
	for i := range k.streams {
		s := &k.streams[i]
		if len(s.offsets) > int(s.first) {
			if err := k.flush(i); err != nil {
				return err
			}
		}
		for _, o := range s.offsets {
			offsets = be.AppendUint32(offsets, o)
		}
		for _, b := range s.blocks {
			blocks = be.AppendUint32(be.AppendUint32(be.AppendUint64(blocks, b.offset), b.packed), b.rawSize)
			blocks = be.AppendUint32(be.AppendUint32(blocks, b.crc), b.first)
		}
	}
	tables := append(offsets, blocks...)
	tail = be.AppendUint64(tail, k.offset)
	tail = be.AppendUint32(tail, uint32(len(k.streams[headStream].offsets)))
	for i := range k.streams {
		tail = be.AppendUint32(tail, uint32(len(k.streams[i].blocks)))
	}
	tail = be.AppendUint32(tail, crc32.Checksum(tables, castagnoli))
	return errors.Join(k.write(tables), k.write(append(tail, keptMagic...)))
}

// keptText reads kept text. It may be used by several goroutines at once.
type keptText struct {
	r       io.ReaderAt
	docs    uint32
	streams [streams]keptTable
	rooms   sync.Pool // of *[]byte, for blocks as they lie there
}

// keptTable says where the documents of a stream lie.
type keptTable struct {
	offsets []uint32
	blocks  []keptBlockInfo
}

// openKept reads the tables; the blocks' checksums are checked as they are read.
func openKept(r io.ReaderAt, size int64) (*keptText, error) {
	if size < int64(len(keptMagic)+keptTail) {
		return nil, fmt.Errorf("%w: %d octets are too few", errKept, size)
	}
	tail := make([]byte, keptTail)
	if _, err := r.ReadAt(tail, size-int64(keptTail)); err != nil {
		return nil, err
	}
	be := binary.BigEndian
	at, docs := be.Uint64(tail), be.Uint32(tail[8:])
	counts := [streams]uint32{be.Uint32(tail[12:]), be.Uint32(tail[16:])}
	length := streams*keptDocSize*uint64(docs) + keptBlkSize*(uint64(counts[0])+uint64(counts[1]))
	if string(tail[24:]) != keptMagic || at > uint64(size) || at+length+uint64(keptTail) != uint64(size) {
		return nil, fmt.Errorf("%w: the tail is wrong", errKept)
	}
	tables := make([]byte, length)
	if _, err := r.ReadAt(tables, int64(at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(tables, castagnoli) != be.Uint32(tail[20:]) {
		return nil, fmt.Errorf("%w: the tables' checksum is wrong", errKept)
	}
	return parseKept(r, at, tables, docs, counts)
}

func parseKept(r io.ReaderAt, at uint64, tables []byte, docs uint32, counts [streams]uint32) (*keptText, error) {
	be := binary.BigEndian
	k := &keptText{r: r, docs: docs}
	for i := range k.streams {
		offsets := make([]uint32, docs)
		for j := range offsets {
			offsets[j] = be.Uint32(tables[keptDocSize*j:])
		}
		k.streams[i].offsets = offsets
		tables = tables[keptDocSize*len(offsets):]
	}
	for i := range k.streams {
		t := &k.streams[i]
		t.blocks = make([]keptBlockInfo, counts[i])
		for j := range t.blocks {
			t.blocks[j] = keptBlockInfo{be.Uint64(tables), be.Uint32(tables[8:]), be.Uint32(tables[12:]), be.Uint32(tables[16:]), be.Uint32(tables[20:])}
			tables = tables[keptBlkSize:]
		}
		if err := t.check(at, docs); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// check looks whether the blocks of a stream hold all documents, one after the
// other.
func (t *keptTable) check(end uint64, docs uint32) error {
	if docs > 0 && (len(t.blocks) == 0 || t.blocks[0].first != 0) || docs == 0 && len(t.blocks) > 0 {
		return fmt.Errorf("%w: documents in no block", errKept)
	}
	for i, b := range t.blocks {
		next := t.after(uint32(i))
		if b.offset > end || uint64(b.packed) > end-b.offset || b.rawSize > maxKeptBlock || next <= b.first || next > docs {
			return fmt.Errorf("%w: block %d lies outside", errKept, i)
		}
		last := uint32(0)
		for _, o := range t.offsets[b.first:next] {
			if o &^= notKept; o < last || o > b.rawSize {
				return fmt.Errorf("%w: a document of block %d lies outside", errKept, i)
			}
			last = o
		}
	}
	return nil
}

// after is the document after those of a block.
func (t *keptTable) after(block uint32) uint32 {
	if int(block)+1 < len(t.blocks) {
		return t.blocks[block+1].first
	}
	return uint32(len(t.offsets))
}

// place is the block that a document lies in, and where in it.
func (t *keptTable) place(doc uint32) (block, from, to uint32) {
	block = uint32(sort.Search(len(t.blocks), func(i int) bool { return t.blocks[i].first > doc })) - 1
	to = t.blocks[block].rawSize
	if doc+1 < t.after(block) {
		to = t.offsets[doc+1] &^ notKept
	}
	return block, t.offsets[doc] &^ notKept, to
}

// has reports whether a document's text is kept.
func (k *keptText) has(doc uint32) bool {
	return (k.streams[headStream].offsets[doc]|k.streams[bodyStream].offsets[doc])&notKept == 0
}

// packed reads a block of a stream as it lies there and checks it; it uses the memory of
// room, if that is enough.
func (k *keptText) packed(stream int, block uint32, room []byte) ([]byte, error) {
	info := k.streams[stream].blocks[block]
	b := sized(room, int(info.packed))
	if _, err := k.r.ReadAt(b, int64(info.offset)); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != info.crc {
		return nil, fmt.Errorf("%w: the checksum of block %d is wrong", errKept, block)
	}
	return b, nil
}

// unpackRoom is how much more than a block's text there is room for where it is unpacked:
// with less, zstd's decoder copies octet by octet.
const unpackRoom = 16

// unpack returns the documents of a block.
func (k *keptText) unpack(dec *zstd.Decoder, stream int, block uint32) (string, error) {
	info := k.streams[stream].blocks[block]
	if info.rawSize == 0 {
		return "", nil
	}
	room, ok := k.rooms.Get().(*[]byte)
	if !ok {
		room = new([]byte)
	}
	defer k.rooms.Put(room)
	b, err := k.packed(stream, block, *room)
	if err != nil {
		return "", err
	}
	*room = b
	raw, err := dec.DecodeAll(b, make([]byte, 0, info.rawSize+unpackRoom))
	if err != nil || len(raw) != int(info.rawSize) {
		return "", fmt.Errorf("%w: block %d does not unpack: %v", errKept, block, err)
	}
	// Nobody changes raw from here on: units are parts of it.
	return unsafe.String(unsafe.SliceData(raw), len(raw)), nil
}

// appendUnit encodes a unit. A header's name, unless it is that which its line
// begins with, stands before it.
func appendUnit(b []byte, u text.Unit) []byte {
	if u.Kind != text.Header {
		b = binary.AppendUvarint(b, uint64(len(u.Text)))
		return append(b, u.Text...)
	}
	if lineName(u.Text) == u.Name {
		b = binary.AppendUvarint(b, uint64(len(u.Text))<<1)
		return append(b, u.Text...)
	}
	b = binary.AppendUvarint(b, uint64(len(u.Text))<<1|1)
	b = binary.AppendUvarint(b, uint64(len(u.Name)))
	return append(append(b, u.Name...), u.Text...)
}

// lineName is the name that a folded line begins with, in lower case.
func lineName(line string) string {
	name, _, _ := strings.Cut(line, ":")
	return strings.ToLower(name)
}

// appendUnits appends the units that appendUnit encoded; they share b's memory.
func appendUnits(units []text.Unit, kind text.Kind, b string) ([]text.Unit, error) {
	for b != "" {
		u, named, rest, err := cutUnit(kind, b)
		if err != nil {
			return units, err
		}
		if kind == text.Header && !named {
			u.Name = lineName(u.Text)
		}
		units = append(units, u)
		b = rest
	}
	return units, nil
}

// cutUnit cuts the first unit off. Named says that the unit has a name of its own;
// other header lines' is for the caller to find.
func cutUnit(kind text.Kind, b string) (u text.Unit, named bool, rest string, err error) {
	u.Kind = kind
	size, n := uvarint(b)
	b = b[n:]
	if kind == text.Header {
		named, size = size&1 != 0, size>>1
	}
	if named {
		name, m := uvarint(b)
		if b = b[m:]; m == 0 || name > uint64(len(b)) {
			return u, named, "", errCut
		}
		u.Name, b = b[:name], b[name:]
	}
	if n == 0 || size > uint64(len(b)) {
		return u, named, "", errCut
	}
	u.Text = b[:size]
	return u, named, b[size:], nil
}

var errCut = fmt.Errorf("%w: a unit is cut short", errKept)

// uvarint is binary.Uvarint for strings.
func uvarint(s string) (n uint64, size int) {
	for i := range min(len(s), binary.MaxVarintLen64) {
		n |= uint64(s[i]&0x7F) << (7 * i)
		if s[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// encoders are those of the streams.
type encoders [streams]*zstd.Encoder

// levels are how hard the streams are packed. Header lines are most like each other: a
// block of them shrinks by a twelfth for twice the time, and unpacks faster; one of a body,
// packed harder than this, by a hundredth.
var levels = [streams]zstd.EncoderLevel{zstd.SpeedBetterCompression, zstd.SpeedDefault}

// of is the encoder for a block of so many octets. One that a merge will not copy as it is
// (copyBlock) is packed again there: until then the fast encoder is good enough for it.
func (e *encoders) of(stream, size int) *zstd.Encoder {
	if size < wholeBlock(stream) {
		stream = bodyStream
	}
	return e[stream]
}

// newCoders makes the encoders and the decoder that a Set shares: whole blocks only,
// so none starts a goroutine.
func newCoders() (encs encoders, dec *zstd.Decoder, err error) {
	for i := range encs {
		if encs[i], err = zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(levels[i])); err != nil {
			return encs, nil, err
		}
	}
	dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxKeptBlock))
	return encs, dec, err
}
