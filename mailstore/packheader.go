package mailstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"teraslot/disk"
)

// checkHeader reads a pack's header, and tells whether it is what it has to be.
func (d *packDir) checkHeader(p place, n uint64) error {
	f, err := d.open(p, n, os.O_RDONLY)
	if err != nil {
		return err
	}
	_, err = readHeader(f, d, n)
	return errors.Join(err, f.Close())
}

func readHeader(f disk.File, d *packDir, n uint64) (head [packHeaderSize]byte, err error) {
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return head, err
	}
	return head, checkPackHeader(head[:], n, d.user)
}

// headers writes the headers of packs anew that are damaged: they say nothing that mail.db
// does not know. One whose CRC is right says that the file is something else, and stays.
func (r *repair) headers() error {
	for _, p := range r.packs {
		known, err := r.t.c.integer(`SELECT count(*) FROM {pack} WHERE n = ? AND place = ?`, int64(p.n), int64(p.place))
		if err != nil {
			return err
		}
		if known == 0 || p.size < packHeaderSize {
			continue
		}
		mended, err := r.m.packs.mendHeader(p.place, p.n)
		if err != nil {
			return fmt.Errorf("pack %d: header: %w", p.n, classify(err))
		}
		if mended {
			r.sayf("pack %d: its header is written anew", p.n)
		}
	}
	return nil
}

func (d *packDir) mendHeader(p place, n uint64) (mended bool, err error) {
	f, err := d.open(p, n, os.O_RDWR)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head, err := readHeader(f, d, n)
	if !errors.Is(err, errPack) && !errors.Is(err, ErrVersion) {
		return false, err
	}
	const sum = packHeaderSize - 4
	if crc32.Checksum(head[:sum], castagnoli) == binary.BigEndian.Uint32(head[sum:]) {
		return false, nil
	}
	if _, err := f.WriteAt(appendPackHeader(nil, n, d.user), 0); err != nil {
		return false, err
	}
	return true, f.Sync()
}
