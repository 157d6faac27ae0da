package mailstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"teraslot/disk"
	"teraslot/mailbox"
)

// located is a whole message in a pack.
type located struct {
	frame
	place place
	n     uint64
	start int64
}

func (l *located) end() int64 { return l.start + frameHeaderSize + l.Length }

// packFile is a pack on disk and the whole messages in it, in their order.
type packFile struct {
	place  place
	n      uint64
	size   int64 // of the file
	frames []located
}

// end is the end of the last whole message, or of the header, of which less may be left.
func (p *packFile) end() int64 {
	if len(p.frames) == 0 {
		return min(p.size, packHeaderSize)
	}
	return p.frames[len(p.frames)-1].end()
}

// scanPacks reads all packs of a user whole and finds every message in them that
// matches its frame and its GUID, also beyond what is damaged and whatever mail.db
// says. Packs are read into memory one by one: for repairs only.
func (m *Mail) scanPacks(ctx context.Context, report func(string)) ([]packFile, error) {
	var all []packFile
	for p, dir := range m.packs.dirs() {
		entries, err := m.packs.fs.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name, isPack := strings.CutSuffix(e.Name(), packSuffix)
			n, err := strconv.ParseUint(name, 10, 63)
			if !isPack || err != nil || e.IsDir() {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b, err := disk.ReadFile(m.packs.fs, filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			if err := checkPackHeader(b, n, m.user); err != nil {
				report(fmt.Sprintf("%s: %v; what is whole in it is taken", filepath.Join(dir, e.Name()), err))
			}
			all = append(all, packFile{place(p), n, int64(len(b)), scanFrames(b, place(p), n)})
		}
	}
	slices.SortFunc(all, func(a, b packFile) int { return int(int64(a.n) - int64(b.n)) })
	return all, nil
}

// scanFrames finds the whole messages in a pack's octets.
func scanFrames(b []byte, p place, n uint64) []located {
	var out []located
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(frameMagic))
		if i < 0 {
			return out
		}
		at += i
		f, err := parseFrame(b[at:])
		if err != nil || f.Length > int64(len(b)-at-frameHeaderSize) {
			at++
			continue
		}
		body := b[at+frameHeaderSize:][:f.Length]
		if crc32.Checksum(body, castagnoli) != f.CRC || mailbox.GUIDOf(body) != f.GUID {
			at++ // its length may be right all the same; then the next one is found behind it
			continue
		}
		out = append(out, located{f, p, n, int64(at)})
		at += frameHeaderSize + int(f.Length)
	}
}
