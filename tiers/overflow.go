package tiers

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"teraslot/activefile"
)

// Where the tier of the writable databases has no room, new documents go to a database
// in the next tier, until there is room again: then a new one in front takes their
// place, and the other is compacted like any of its tier.

const (
	// leastRoom is what a commit needs besides its segments, twice: a manifest, directories.
	leastRoom = 64 << 10
	// roomAgain is the part of a tier's file system, one in so many, that has to be free for
	// commits to come back: else they would change tiers with every batch.
	roomAgain = 8
	// fullFor is how long a tier is held to be full that said so, whatever it says it has
	// free: a quota is not asked for.
	fullFor = time.Minute
)

// overflowOf chooses the tier for what the default one has no room for; "" is none.
func overflowOf(o Options) string {
	if o.Overflow == "" {
		o.Overflow = "data"
	}
	if _, ok := o.Roots[o.Overflow]; !ok || o.Overflow == o.DefaultTier {
		return ""
	}
	return o.Overflow
}

// freeRoom is how many bytes are free for us, and all there are, where a path lies.
func freeRoom(path string) (free, all int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// frontTier returns the tier where the first database is to be for a commit of so many
// bytes. now is the tier where it is; "" if there is none.
func (x *Index) frontTier(now string, bytes int64) string {
	s := x.set
	def := s.o.DefaultTier
	switch {
	case now == "":
		now = def
	case s.overflow == "", now != def && now != s.overflow:
		return now
	}
	if s.overflow == "" || x.hasRoom(def, now, bytes) || !x.hasRoom(s.overflow, s.overflow, bytes) {
		return def
	}
	return s.overflow
}

// hasRoom reports whether a commit of so many bytes may go to a tier. One whose root
// cannot be asked has room: it is not there yet, or the commit will say what is wrong.
func (x *Index) hasRoom(tier, now string, bytes int64) bool {
	s := x.set
	roots, err := x.roots()
	if err != nil {
		return true
	}
	s.mu.Lock()
	full, known := s.full[roots[tier]]
	s.mu.Unlock()
	if known && s.o.Now().Sub(full).Abs() < fullFor {
		return false
	}
	free, all, err := s.o.Room(roots[tier])
	if err != nil {
		return true
	}
	need := 2*bytes + leastRoom
	if now != tier {
		need = max(2*need, all/roomAgain)
	}
	return free >= need
}

// ranOut notes that a tier said it is full, and reports whether there is another to try.
func (x *Index) ranOut(tier string, err error) bool {
	if !noRoom(err) {
		return false
	}
	s := x.set
	if roots, err := x.roots(); err == nil {
		s.mu.Lock()
		s.full[roots[tier]] = s.o.Now()
		s.mu.Unlock()
	}
	return s.overflow != "" && tier == s.o.DefaultTier
}

// noRoom reports whether an error is that of a full disk.
func noRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// tierOf is the tier of the first database; "" if there is none.
func tierOf(active activefile.Active) string {
	if len(active.Databases) == 0 {
		return ""
	}
	return active.Databases[0].Tier
}

// bytesOf is what segments take on disk.
func bytesOf(segments []*built) (n int64) {
	for _, b := range segments {
		n += int64(len(b.lists) + len(b.terms) + len(b.text))
	}
	return n
}

// discard removes what a commit has written of segments that no manifest names: a full
// tier has no room for them. What cannot be removed is, when its number comes again.
func (x *Index) discard(dir string, m manifest, count int) {
	for n := range count {
		for _, ext := range []string{listsExt, termsExt, textExt} {
			_ = removeIfThere(x.set.o.FS, segmentFile(dir, m.Next+uint64(n), ext))
		}
	}
}
