package tiers

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"teraslot/disk"
	"teraslot/text"
)

// manifestName is the file that says what a database is; a directory without
// one is none.
const manifestName = "manifest"

// maxManifest bounds what is read of a manifest.
const maxManifest = 1 << 20

// errForeign is wrapped in errors about a manifest of a format that this
// program does not know: not damage, and never to be deleted as such.
var errForeign = errors.New("unknown format")

// stamp identifies a database for good: no other has it, whatever its name.
type stamp [16]byte

func (s stamp) String() string { return hex.EncodeToString(s[:]) }

func newStamp(r io.Reader) (s stamp, err error) {
	if r == nil {
		r = rand.Reader
	}
	_, err = io.ReadFull(r, s[:])
	return s, err
}

// versions are those of all that decides a database's terms. A database whose
// versions are not the current ones makes no claims.
type versions struct{ Extract, Fold, Token, Segment uint32 }

// segmentVersion is that of the form of a segment's files.
const segmentVersion = 3

func currentVersions(extract uint32) versions {
	return versions{Extract: extract, Fold: text.FoldVersion, Token: text.TokenVersion, Segment: segmentVersion}
}

// manifest is the content of a database: docs/formats.md has its form.
type manifest struct {
	ID       stamp
	Versions versions
	Frozen   bool   // written once, by a compaction
	Next     uint64 // number of the next segment; none is used twice
	Segments []segmentInfo
}

// segmentInfo is a segment as its manifest has it.
type segmentInfo struct {
	Number   uint64
	Docs     uint32
	Complete uint32 // of Docs
	Lists    fileInfo
	Terms    fileInfo
	Text     fileInfo
}

// fileInfo is what a file has to be.
type fileInfo struct {
	Size int64
	CRC  uint32 // CRC-32C of the whole file
}

const (
	manifestFirst  = "teraslot-database 2\n"
	crcForm        = "crc %08x\n"
	kindFrozen     = "frozen"
	kindWritable   = "writable"
	manifestOld    = "teraslot-database 1\n" // with segments of zapx
	manifestPrefix = "teraslot-database "
)

// encode writes a manifest in its only form. Each commit and each search reads some:
// hence without package fmt.
func (m manifest) encode() []byte {
	b := make([]byte, 0, 192+128*len(m.Segments))
	b = hex.AppendEncode(append(b, manifestFirst+"id "...), m.ID[:])
	if m.Frozen {
		b = append(b, " "+kindFrozen+"\n"...)
	} else {
		b = append(b, " "+kindWritable+"\n"...)
	}
	b = appendNumber(b, "versions extract ", m.Versions.Extract)
	b = appendNumber(b, " fold ", m.Versions.Fold)
	b = appendNumber(b, " token ", m.Versions.Token)
	b = appendNumber(b, " segment ", m.Versions.Segment)
	b = append(appendNumber(b, "\nnext ", m.Next), '\n')
	for _, s := range m.Segments {
		b = appendNumber(b, "segment ", s.Number)
		b = appendNumber(b, " docs ", s.Docs)
		b = appendNumber(b, " complete ", s.Complete)
		b = s.Lists.append(b, " lists ")
		b = s.Terms.append(b, " terms ")
		b = append(s.Text.append(b, " text "), '\n')
	}
	return fmt.Appendf(b, crcForm, crc32.Checksum(b, castagnoli))
}

func appendNumber[T uint32 | uint64](b []byte, name string, n T) []byte {
	return strconv.AppendUint(append(b, name...), uint64(n), 10)
}

// append writes what a file has to be: its size, and its checksum in hexadecimal.
func (f fileInfo) append(b []byte, name string) []byte {
	b = append(strconv.AppendInt(append(b, name...), f.Size, 10), ' ')
	return hex.AppendEncode(b, binary.BigEndian.AppendUint32(nil, f.CRC))
}

// parseManifest reads what encode writes, and nothing else: what does not come
// out the same when it is written again is damaged.
func parseManifest(data []byte) (manifest, error) {
	var m manifest
	if bytes.HasPrefix(data, []byte(manifestOld)) {
		return parseOldManifest(data)
	}
	if !bytes.HasPrefix(data, []byte(manifestFirst)) {
		if line, _, ok := bytes.Cut(data, []byte("\n")); ok && bytes.HasPrefix(line, []byte(manifestPrefix)) {
			return m, fmt.Errorf("%q: %w", line, errForeign)
		}
		return m, errors.New("not a manifest")
	}
	for line := range strings.Lines(string(data[len(manifestFirst):])) {
		m.parseLine(line)
	}
	if !bytes.Equal(m.encode(), data) {
		return manifest{}, errors.New("the manifest's bytes or checksum are wrong")
	}
	return m, nil
}

// parseOldManifest reads what it takes to know a database of the format before
// this one: its id. Its versions are none, so it claims nothing.
func parseOldManifest(data []byte) (m manifest, err error) {
	at := bytes.LastIndex(data, []byte("\ncrc ")) + 1
	if string(data[at:]) != fmt.Sprintf(crcForm, crc32.Checksum(data[:at], castagnoli)) {
		return m, errors.New("the manifest's bytes or checksum are wrong")
	}
	for line := range strings.Lines(string(data[len(manifestOld):at])) {
		m.parseLine(line)
	}
	return manifest{ID: m.ID, Frozen: m.Frozen}, nil
}

// parseLine takes what it can from a line; parseManifest compares the whole.
func (m *manifest) parseLine(line string) {
	w := words{strings.TrimSuffix(line, "\n")}
	switch w.next() {
	case "id":
		if b, err := hex.DecodeString(w.next()); err == nil && len(b) == len(m.ID) {
			m.ID = stamp(b)
		}
		m.Frozen = w.next() == kindFrozen
	case "versions":
		v := &m.Versions
		v.Extract, v.Fold = uint32(w.number()), uint32(w.number())
		v.Token, v.Segment = uint32(w.number()), uint32(w.number())
	case "next":
		m.Next = w.decimal()
	case "segment":
		s := segmentInfo{Number: w.decimal(), Docs: uint32(w.number()), Complete: uint32(w.number())}
		s.Lists, s.Terms, s.Text = w.file(), w.file(), w.file()
		m.Segments = append(m.Segments, s)
	}
}

// words reads the words of a line, one after the other.
type words struct{ rest string }

func (w *words) next() (word string) {
	word, w.rest, _ = strings.Cut(w.rest, " ")
	return word
}

// decimal reads a number; what is none is 0.
func (w *words) decimal() uint64 {
	n, _ := strconv.ParseUint(w.next(), 10, 64)
	return n
}

// number reads a name and a number.
func (w *words) number() uint64 {
	w.next()
	return w.decimal()
}

// file reads a name and what a file has to be.
func (w *words) file() fileInfo {
	size := int64(w.number())
	crc, _ := strconv.ParseUint(w.next(), 16, 32)
	return fileInfo{size, uint32(crc)}
}

// readManifest reads the manifest of the database in dir.
func readManifest(fsys disk.FS, dir string) (manifest, error) {
	name := filepath.Join(dir, manifestName)
	info, err := fsys.Stat(name)
	if err != nil {
		return manifest{}, err
	}
	if info.Size() > maxManifest {
		return manifest{}, fmt.Errorf("%s: %d octets are too many", name, info.Size())
	}
	data, err := disk.ReadFile(fsys, name)
	if err != nil {
		return manifest{}, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// publishManifest replaces the manifest of the database in dir.
func publishManifest(fsys disk.FS, dir string, m manifest) error {
	return disk.Publish(fsys, filepath.Join(dir, manifestName), 0o600, func(w io.Writer) error {
		_, err := w.Write(m.encode())
		return err
	})
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
