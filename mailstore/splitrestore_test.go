package mailstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"teraslot/disk"
)

// What befalls a slot's disk in a split brain: its mail.db is put back from a copy, or is lost and made anew.

// disaster does one of these to a slot, or makes the copy for the next. Its clients are new ones afterwards:
// what was told since the copy, nobody else may have heard of.
func (p *split) disaster(i int, kind string) {
	s := p.sides[i]
	if err := p.befall(i, kind); err != nil {
		p.t.Fatalf("%s of slot %d: %v", kind, i, err)
	}
	if kind == "copy" {
		return
	}
	*p.disasters++
	p.befallen = true
	p.watchers[i] = newWatcher()
	for _, a := range p.away {
		a.heard[i] = false
	}
	p.resync(p.watchers[i], s)
	p.forgetLost()
}

// forgetLost gives up what no slot has any longer as it was put somewhere last: an older record of the same message, which came back
// with a copy or is on a slot that has not heard of its going, may go with that.
func (p *split) forgetLost() {
	held := map[boxArrival]bool{}
	for _, s := range p.sides {
		for _, a := range p.arrivals(s) {
			held[a] = true
		}
	}
	for g := range p.sent {
		if !slices.ContainsFunc(p.puts[g], func(a boxArrival) bool { return held[a] }) {
			delete(p.sent, g)
		}
	}
}

func (p *split) befall(i int, kind string) (err error) {
	ctx, s := context.Background(), p.sides[i]
	if kind == "copy" {
		path := filepath.Join(s.s.o.Conf, fmt.Sprintf("copy%d", p.made))
		p.made++
		p.copies[i] = path
		_, err := s.m.Snapshot(ctx, path)
		_, err2 := s.m.SaveDatabase(ctx)
		return errors.Join(err, err2)
	}
	there := p.places(s)
	puts := maps.Clone(p.puts)
	defer func() {
		if p.notePuts(i, there); kind == "restore" { // what comes back with the copy nobody has put there since
			p.puts = puts
		}
	}()
	s.m.Release()
	o := s.s.o
	if err := s.s.Close(); err != nil {
		return err
	}
	path := o.DatabaseFile(user1)
	if err := removeDatabase(disk.OS(), path); err != nil {
		return err
	}
	if kind == "restore" {
		b, err := os.ReadFile(p.copies[i])
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err = errors.Join(err, Disown(path), setPacksAside(path)); err != nil {
			return err
		}
	}
	p.opened++
	o.Rand = rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%s %d", o.Slot, p.opened))) // ids that a failing run gives again
	if s.s, err = Open(ctx, o); err != nil {
		return err
	}
	if kind == "reconstruct" {
		if err := s.s.Reconstruct(ctx, user1, ReconstructOptions{}, func(string) {}); err != nil {
			return err
		}
	}
	if s.m, err = s.s.Acquire(ctx, user1); err == nil && kind == "restore" {
		err = s.m.Renew(ctx)
	}
	return err
}

// setPacksAside removes the packs of which a copy of mail.db does not know, as a restore does.
func setPacksAside(path string) error {
	copied, err := lookAt(path)
	if err != nil {
		return err
	}
	there, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"+packSuffix))
	for _, file := range there {
		if !slices.ContainsFunc(copied.Packs, func(p Pack) bool { return fmt.Sprint(p.N)+packSuffix == filepath.Base(file) }) {
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}
