package tiers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"teraslot/text"

	"github.com/klauspost/compress/zstd"
)

// Kept text is the folded text of a segment's documents, so that candidates are
// verified without reading mail again: blocks of whole documents, compressed,
// each with a checksum; then a table of documents and one of blocks.
// docs/formats.md has its form.
const (
	keptMagic   = "TSLkept1"
	keptBlock   = 64 << 10 // a block is closed when it has so many octets
	keptTail    = 8 + 4 + 4 + 4 + len(keptMagic)
	keptDocSize = 4 + 4 + 4
	keptBlkSize = 8 + 4 + 4 + 4
	noBlock     = ^uint32(0)  // of a document whose text is not kept
	emptyBlock  = noBlock - 1 // of a document without any text

	// maxKeptBlock bounds what a block may say it needs in memory.
	maxKeptBlock = 1 << 30
)

var errKept = errors.New("damaged kept text")

// keptDoc is where a document's text lies.
type keptDoc struct{ block, offset, size uint32 }

// keptBlockInfo is where a block lies, and what it has to be.
type keptBlockInfo struct {
	offset          uint64
	packed, rawSize uint32
	crc             uint32 // CRC-32C of the packed octets
}

// keptWriter writes kept text.
type keptWriter struct {
	w      io.Writer
	enc    *zstd.Encoder
	offset uint64
	raw    []byte
	packed []byte
	docs   []keptDoc
	blocks []keptBlockInfo
}

// newKeptWriter begins kept text; the encoder may be shared.
func newKeptWriter(w io.Writer, enc *zstd.Encoder) (*keptWriter, error) {
	k := &keptWriter{w: w, enc: enc}
	return k, k.write([]byte(keptMagic))
}

func (k *keptWriter) write(b []byte) error {
	n, err := k.w.Write(b)
	k.offset += uint64(n)
	return err
}

// none adds a document whose text is not kept.
func (k *keptWriter) none() { k.docs = append(k.docs, keptDoc{block: noBlock}) }

// add adds the next document.
func (k *keptWriter) add(units []text.Unit) error {
	from := len(k.raw)
	for _, u := range units {
		k.raw = appendUnit(k.raw, u)
	}
	return k.added(from)
}

// addRaw adds the next document in its encoded form.
func (k *keptWriter) addRaw(b []byte) error {
	from := len(k.raw)
	k.raw = append(k.raw, b...)
	return k.added(from)
}

func (k *keptWriter) added(from int) error {
	if len(k.raw) == from {
		k.docs = append(k.docs, keptDoc{block: emptyBlock})
		return nil
	}
	k.docs = append(k.docs, keptDoc{uint32(len(k.blocks)), uint32(from), uint32(len(k.raw) - from)})
	if len(k.raw) >= keptBlock {
		return k.flush()
	}
	return nil
}

// addBlock adds a block as it is, with its documents in order.
func (k *keptWriter) addBlock(packed []byte, info keptBlockInfo, docs []keptDoc) error {
	if err := k.flush(); err != nil {
		return err
	}
	for _, d := range docs {
		if d.block < emptyBlock {
			d.block = uint32(len(k.blocks))
		}
		k.docs = append(k.docs, d)
	}
	info.offset = k.offset
	k.blocks = append(k.blocks, info)
	return k.write(packed)
}

// flush closes the block at hand.
func (k *keptWriter) flush() error {
	if len(k.raw) == 0 {
		return nil
	}
	k.packed = k.enc.EncodeAll(k.raw, k.packed[:0])
	k.blocks = append(k.blocks, keptBlockInfo{k.offset, uint32(len(k.packed)), uint32(len(k.raw)),
		crc32.Checksum(k.packed, castagnoli)})
	k.raw = k.raw[:0]
	return k.write(k.packed)
}

// close writes the tables.
func (k *keptWriter) close() error {
	if err := k.flush(); err != nil {
		return err
	}
	tables := make([]byte, 0, len(k.docs)*keptDocSize+len(k.blocks)*keptBlkSize+keptTail)
	be := binary.BigEndian
	for _, d := range k.docs {
		tables = be.AppendUint32(be.AppendUint32(be.AppendUint32(tables, d.block), d.offset), d.size)
	}
	for _, b := range k.blocks {
		tables = be.AppendUint32(be.AppendUint32(be.AppendUint32(be.AppendUint64(tables, b.offset), b.packed), b.rawSize), b.crc)
	}
	crc := crc32.Checksum(tables, castagnoli)
	tables = be.AppendUint64(tables, k.offset)
	tables = be.AppendUint32(be.AppendUint32(tables, uint32(len(k.docs))), uint32(len(k.blocks)))
	tables = be.AppendUint32(tables, crc)
	return k.write(append(tables, keptMagic...))
}

// keptText reads kept text. It may be used by several goroutines at once.
type keptText struct {
	r      io.ReaderAt
	docs   []keptDoc
	blocks []keptBlockInfo
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
	at, nDocs, nBlocks := be.Uint64(tail), be.Uint32(tail[8:]), be.Uint32(tail[12:])
	length := uint64(nDocs)*keptDocSize + uint64(nBlocks)*keptBlkSize
	if string(tail[20:]) != keptMagic || at > uint64(size) || at+length+uint64(keptTail) != uint64(size) {
		return nil, fmt.Errorf("%w: the tail is wrong", errKept)
	}
	tables := make([]byte, length)
	if _, err := r.ReadAt(tables, int64(at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(tables, castagnoli) != be.Uint32(tail[16:]) {
		return nil, fmt.Errorf("%w: the tables' checksum is wrong", errKept)
	}
	return parseKept(r, at, tables, int(nDocs), int(nBlocks))
}

func parseKept(r io.ReaderAt, at uint64, tables []byte, nDocs, nBlocks int) (*keptText, error) {
	be := binary.BigEndian
	k := &keptText{r: r, docs: make([]keptDoc, nDocs), blocks: make([]keptBlockInfo, nBlocks)}
	for i := range k.docs {
		k.docs[i] = keptDoc{be.Uint32(tables), be.Uint32(tables[4:]), be.Uint32(tables[8:])}
		tables = tables[keptDocSize:]
	}
	for i := range k.blocks {
		b := keptBlockInfo{be.Uint64(tables), be.Uint32(tables[8:]), be.Uint32(tables[12:]), be.Uint32(tables[16:])}
		if b.offset+uint64(b.packed) > at || b.rawSize > maxKeptBlock {
			return nil, fmt.Errorf("%w: block %d lies outside", errKept, i)
		}
		k.blocks[i] = b
		tables = tables[keptBlkSize:]
	}
	for i, d := range k.docs {
		if d.block < emptyBlock && (int(d.block) >= nBlocks || uint64(d.offset)+uint64(d.size) > uint64(k.blocks[d.block].rawSize)) {
			return nil, fmt.Errorf("%w: document %d lies outside", errKept, i)
		}
	}
	return k, nil
}

// packed reads a block as it lies there and checks it.
func (k *keptText) packed(block uint32) ([]byte, error) {
	info := k.blocks[block]
	b := make([]byte, info.packed)
	if _, err := k.r.ReadAt(b, int64(info.offset)); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != info.crc {
		return nil, fmt.Errorf("%w: the checksum of block %d is wrong", errKept, block)
	}
	return b, nil
}

// unpack returns the documents of a block.
func (k *keptText) unpack(dec *zstd.Decoder, block uint32) ([]byte, error) {
	info := k.blocks[block]
	b, err := k.packed(block)
	if err != nil {
		return nil, err
	}
	raw, err := dec.DecodeAll(b, make([]byte, 0, info.rawSize))
	if err != nil || len(raw) != int(info.rawSize) {
		return nil, fmt.Errorf("%w: block %d does not unpack: %v", errKept, block, err)
	}
	return raw, nil
}

// appendUnit encodes a unit: its kind, the lengths of name and text, and both.
func appendUnit(b []byte, u text.Unit) []byte {
	b = append(b, byte(u.Kind))
	b = binary.AppendUvarint(b, uint64(len(u.Name)))
	b = binary.AppendUvarint(b, uint64(len(u.Text)))
	b = append(b, u.Name...)
	return append(b, u.Text...)
}

// parseUnits reads what appendUnit wrote.
func parseUnits(b []byte) ([]text.Unit, error) {
	var units []text.Unit
	all := string(b) // the units share it
	for at := 0; at < len(b); {
		kind := text.Kind(b[at])
		name, n := binary.Uvarint(b[at+1:])
		size, m := binary.Uvarint(b[at+1+max(n, 0):])
		at += 1 + max(n, 0) + max(m, 0)
		left := uint64(len(b) - at)
		if n <= 0 || m <= 0 || name > left || size > left-name {
			return nil, fmt.Errorf("%w: a unit is cut short", errKept)
		}
		start, end := at+int(name), at+int(name)+int(size)
		units = append(units, text.Unit{Kind: kind, Name: all[at:start], Text: all[start:end]})
		at = end
	}
	return units, nil
}

// newCoders makes the encoder and decoder that a Set shares: whole blocks only,
// so neither starts a goroutine.
func newCoders() (*zstd.Encoder, *zstd.Decoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxKeptBlock))
	return enc, dec, err
}
