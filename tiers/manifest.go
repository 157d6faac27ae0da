package tiers

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
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
	idForm         = "id %s %s\n"
	versionsForm   = "versions extract %d fold %d token %d segment %d\n"
	nextForm       = "next %d\n"
	segmentForm    = "segment %d docs %d complete %d lists %d %08x terms %d %08x text %d %08x\n"
	crcForm        = "crc %08x\n"
	kindFrozen     = "frozen"
	kindWritable   = "writable"
	manifestOld    = "teraslot-database 1\n" // with segments of zapx
	manifestPrefix = "teraslot-database "
)

// encode writes a manifest in its only form.
func (m manifest) encode() []byte {
	var b bytes.Buffer
	kind := kindWritable
	if m.Frozen {
		kind = kindFrozen
	}
	b.WriteString(manifestFirst)
	fmt.Fprintf(&b, idForm, m.ID, kind)
	fmt.Fprintf(&b, versionsForm, m.Versions.Extract, m.Versions.Fold, m.Versions.Token, m.Versions.Segment)
	fmt.Fprintf(&b, nextForm, m.Next)
	for _, s := range m.Segments {
		fmt.Fprintf(&b, segmentForm, s.Number, s.Docs, s.Complete,
			s.Lists.Size, s.Lists.CRC, s.Terms.Size, s.Terms.CRC, s.Text.Size, s.Text.CRC)
	}
	fmt.Fprintf(&b, crcForm, crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
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
	var s segmentInfo
	var id, kind string
	if n, _ := fmt.Sscanf(line, segmentForm, &s.Number, &s.Docs, &s.Complete,
		&s.Lists.Size, &s.Lists.CRC, &s.Terms.Size, &s.Terms.CRC, &s.Text.Size, &s.Text.CRC); n == 9 {
		m.Segments = append(m.Segments, s)
	} else if n, _ := fmt.Sscanf(line, idForm, &id, &kind); n == 2 {
		if b, err := hex.DecodeString(id); err == nil && len(b) == len(m.ID) {
			m.ID = stamp(b)
		}
		m.Frozen = kind == kindFrozen
	} else if n, _ := fmt.Sscanf(line, versionsForm, &m.Versions.Extract, &m.Versions.Fold, &m.Versions.Token, &m.Versions.Segment); n != 4 {
		fmt.Sscanf(line, nextForm, &m.Next)
	}
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
