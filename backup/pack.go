package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"teraslot/disk"
	"teraslot/mailstore"
)

// packs copies one user's packs.
type packs struct {
	*run
	mail *mailstore.Mail
	done map[uint64]Pack // what is copied, by this run or by those before
}

// errPackGone: a pack was removed by a repack after mail.db was looked at.
var errPackGone = errors.New("a pack is gone")

// copyAll copies what is missing of packs and syncs it.
func (p *packs) copyAll(ctx context.Context, list []mailstore.Pack) ([]Pack, error) {
	var out []Pack
	for _, pack := range list {
		if err := interrupted(ctx); err != nil {
			return nil, err
		}
		c, err := p.copyOne(pack)
		switch {
		case err == nil:
			p.done[pack.N] = c
		case errors.Is(err, errPackGone):
			if err := p.gone(ctx, pack, err); err != nil {
				return nil, err
			}
			// What the slot has lost, the backup may have.
			if c = p.done[pack.N]; c.End < pack.End {
				p.damage(pack, c.End, err)
			}
		default:
			return nil, fmt.Errorf("pack %d: %w", pack.N, err)
		}
		if c.File != "" {
			out = append(out, c)
		}
	}
	return out, nil
}

// gone tells a pack that was repacked, by errPackGone, from one that is lost: to that
// mail.db still refers.
func (p *packs) gone(ctx context.Context, pack mailstore.Pack, cause error) error {
	now, err := p.mail.Look(ctx)
	if err != nil {
		return ofSource(err)
	}
	if slices.ContainsFunc(now.Packs, func(known mailstore.Pack) bool { return known.N == pack.N }) {
		return nil
	}
	return fmt.Errorf("pack %d: %w", pack.N, cause)
}

// damage reports what the slot has lost.
func (p *packs) damage(pack mailstore.Pack, at int64, err error) {
	p.result.Damaged++
	p.o.Report(fmt.Sprintf("user %s, pack %d at %d", p.mail.User(), pack.N, at), err)
}

// copyOne copies what is missing of one.
func (p *packs) copyOne(pack mailstore.Pack) (_ Pack, err error) {
	from, err := p.mail.OpenPack(pack)
	if errors.Is(err, fs.ErrNotExist) {
		return Pack{}, ofSource(errors.Join(errPackGone, err))
	}
	if err != nil {
		return Pack{}, ofSource(err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	info, err := from.Stat()
	if err != nil {
		return Pack{}, ofSource(err)
	}
	c, known := p.done[pack.N]
	if info.Size() < pack.End {
		if known && c.End >= pack.End && p.holds(c) {
			return c, nil // what the slot has lost, the backup has
		}
		p.damage(pack, info.Size(), fmt.Errorf("the pack has %d octets of %d", info.Size(), pack.End))
		pack.End = info.Size()
	}
	switch {
	case known && !p.holds(c):
		p.o.Report(p.packPath(p.mail.User(), c.File), fmt.Errorf("%w: it is shorter; the pack is copied anew", errObject))
		known = false
	case known:
		known = c.End <= pack.End && p.sameLineage(from, c)
	}
	if !known {
		if c, err = p.place(pack, from); err != nil {
			return c, err
		}
	}
	c.Archive = pack.Archive
	if c.End == pack.End {
		return c, nil
	}
	return p.append(c, from, pack.End)
}

// holds reports whether the copy has all octets that it should.
func (p *packs) holds(c Pack) bool {
	info, err := p.fs.Stat(p.packPath(p.mail.User(), c.File))
	return err == nil && info.Size() >= c.End
}

// sameLineage reports whether a pack is the one that was copied: the last message
// of the copy lies at the same place in it. Where no message is whole, all octets
// are compared.
func (p *packs) sameLineage(from io.ReaderAt, c Pack) bool {
	if c.Last > 0 {
		mark, err := mailstore.MarkAt(from, c.Last)
		return err == nil && mark == c.Mark
	}
	f, err := p.fs.OpenFile(p.packPath(p.mail.User(), c.File), os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	var mine, its [32 << 10]byte
	for at := int64(0); at < c.End; at += int64(len(mine)) {
		n := min(int64(len(mine)), c.End-at)
		_, err1 := f.ReadAt(mine[:n], at)
		_, err2 := from.ReadAt(its[:n], at)
		if err1 != nil || err2 != nil || !bytes.Equal(mine[:n], its[:n]) {
			return false
		}
	}
	return true
}

// place chooses the file for a pack that no generation has, or not so: what an
// interrupted run has left of it, or a new file.
func (p *packs) place(pack mailstore.Pack, from io.ReaderAt) (Pack, error) {
	for k := 0; ; k++ {
		c := Pack{N: pack.N, File: packFile(pack.N, k)}
		size, err := p.size(c.File)
		if err != nil || size == 0 {
			return c, err
		}
		needed, err := p.neededOf(c.File)
		if err != nil {
			return c, err
		}
		if needed > 0 {
			continue // some generation needs it as it is
		}
		left := c
		if left.Last, left.Mark, left.End, err = p.whole(c.File, min(size, pack.End)); err != nil {
			return c, err
		}
		if left.Last > 0 && p.sameLineage(from, left) {
			return left, nil
		}
		return c, nil // written over
	}
}

func (p *packs) size(file string) (int64, error) {
	info, err := p.fs.Stat(p.packPath(p.mail.User(), file))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// whole reads a copy up to the first message that is not whole.
func (p *packs) whole(file string, size int64) (last int64, mark uint32, end int64, err error) {
	f, err := p.fs.OpenFile(p.packPath(p.mail.User(), file), os.O_RDONLY, 0)
	if err != nil {
		return 0, 0, 0, err
	}
	s, err := mailstore.ScanPack(io.Discard, io.NewSectionReader(f, 0, size), 0, size, func(int64, error) bool { return false })
	return s.Last, s.Mark, s.Whole, errors.Join(err, f.Close())
}

// neededOf returns how many octets of a user's pack copy any generation needs.
func (r *packs) neededOf(file string) (int64, error) {
	if r.needed == nil {
		all, err := r.Generations()
		if err != nil {
			return 0, err
		}
		r.needed = neededPacks(all)
	}
	for _, pack := range r.before[r.mail.User()].Packs { // this run may have copied him before
		if pack.File == file {
			return max(pack.End, 1), nil
		}
	}
	return r.needed[filepath.Join(userDir(r.mail.User()), file)], nil
}

// neededPacks returns how many octets of each copy of a pack generations need, by
// its path below the directory.
func neededPacks(all []*Generation) map[string]int64 {
	needed := map[string]int64{}
	for _, g := range all {
		for _, u := range g.Users {
			for _, p := range u.Packs {
				name := filepath.Join(userDir(u.ID), p.File)
				needed[name] = max(needed[name], p.End, 1)
			}
		}
	}
	return needed
}

// append copies a pack's octets from the copy's end up to its own, and syncs them.
func (p *packs) append(c Pack, from io.ReaderAt, end int64) (_ Pack, err error) {
	path := p.packPath(p.mail.User(), c.File)
	if c.End == 0 { // what a run has left whose sync of the directory failed, perhaps: the name is to be a new one
		if err := p.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c, err
		}
	}
	f, err := p.fs.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	src := &reader{r: io.NewSectionReader(from, c.End, end-c.End)}
	s, err := mailstore.ScanPack(&writer{f, c.End}, src, c.End, end, func(at int64, err error) bool {
		p.damage(mailstore.Pack{N: c.N}, at, err)
		return true
	})
	if src.err != nil {
		return c, ofSource(src.err)
	}
	if err != nil {
		return c, err
	}
	p.o.Step(StepPackWritten)
	if err := f.Sync(); err != nil {
		return c, err
	}
	p.o.Step(StepPackSynced)
	p.result.Bytes += end - c.End
	if c.End = end; s.Last > 0 {
		c.Last, c.Mark = s.Last, s.Mark
	}
	return c, nil
}

// reader remembers its own error, to tell it from those of where it is written.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// writer writes to a file from a position on.
type writer struct {
	f  disk.File
	at int64
}

func (w *writer) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.at)
	w.at += int64(n)
	return n, err
}
