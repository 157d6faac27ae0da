package tiers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"teraslot/activefile"
	"teraslot/disk"
	"teraslot/mailbox"

	"github.com/klauspost/compress/zstd"
)

// Options say where a slot's indexes lie. Roots has to be set, and Conf.
type Options struct {
	FS   disk.FS // nil: disk.OS(). Segments are always mapped from the real one.
	Conf string  // the conf root, whose users' directories hold the activefiles
	// Roots are the tiers' directories by name; none may be equal to, inside or
	// above another's or Conf, unless that is its parent's business (see New).
	Roots map[string]string
	// RootsOf, if set, tells the roots of the tiers of a user, of whom not all have those of
	// Roots. It is asked whenever a directory is named; only Index.Move may change the answer.
	RootsOf func(mailbox.User) (map[string]string, error)
	// Partitions are the answers that RootsOf may give, besides Roots. They may have roots
	// in common.
	Partitions  []map[string]string
	DefaultTier string // of the writable database; "": temp
	// Overflow is the tier of the writable database while DefaultTier has no room; "":
	// data, if it has a root.
	Overflow string
	// ExtractVersion is that of the code that makes units of messages; it is part
	// of what a database has to match to be believed.
	ExtractVersion uint32
	// DiskTiers are those to which only one compaction at a time may go in the
	// whole slot. Nil: data and archive, as far as they are in Roots.
	DiskTiers []string
	// MaxHandles bounds how many segments are kept open while no snapshot uses
	// them. 0: 512.
	MaxHandles int
	// NoKeptText leaves out the folded text of documents: a smaller index, slower
	// verification.
	NoKeptText bool
	// TextBytes bounds the memory for kept text that was unpacked last. 0: 64 MiB;
	// negative: none is kept.
	TextBytes int64

	// Room is how many bytes are free for us, and all there are, where a root lies; nil:
	// as the file system says.
	Room   func(root string) (free, all int64, err error)
	Now    func() time.Time // nil: time.Now
	Rand   io.Reader        // of the stamps; nil: crypto/rand
	Logger *slog.Logger     // for damage; nil: discarded
	Step   func(string)     // if set, called after each step of a commit or compaction
}

// Set is the indexes of a slot's users, with the handles that they share. It may
// be used from any goroutine.
type Set struct {
	o        Options
	overflow string // o.Overflow, "" if there is none
	encs     encoders
	dec      *zstd.Decoder
	// texts has a lock of its own, never held with mu.
	texts   *blockCache
	helpers processors
	// builders are those of small segments, for others.
	builders sync.Pool

	mu      sync.Mutex // guards what follows; no I/O under it
	handles map[segmentKey]*handle
	clock   uint64 // rises with each use of a handle
	bad     map[stamp]error
	full    map[string]time.Time // when a root last said so
	checked map[segmentKey]fileIdent
}

// New checks the options; it opens nothing.
func New(o Options) (*Set, error) {
	o.DefaultTier = cmp.Or(o.DefaultTier, "temp")
	o.MaxHandles = cmp.Or(o.MaxHandles, 512)
	o.TextBytes = cmp.Or(o.TextBytes, 64<<20)
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Room == nil {
		o.Room = freeRoom
	}
	if o.DiskTiers == nil {
		o.DiskTiers = []string{"data", "archive"}
	}
	if err := checkRoots(o); err != nil {
		return nil, err
	}
	encs, dec, err := newCoders()
	if err != nil {
		return nil, err
	}
	return &Set{o: o, overflow: overflowOf(o), full: map[string]time.Time{}, encs: encs, dec: dec, texts: newBlockCache(o.TextBytes), helpers: make(processors, runtime.GOMAXPROCS(0)-1),
		handles: map[segmentKey]*handle{}, bad: map[stamp]error{}, checked: map[segmentKey]fileIdent{}}, nil
}

// checkRoots refuses roots of which one holds another: cleaning one would meet
// the other's files. A tier's root inside the conf root's own directory is
// allowed as long as it is not among the users.
func checkRoots(o Options) error {
	if o.Conf == "" {
		return errors.New("tiers: no conf root")
	}
	if _, ok := o.Roots[o.DefaultTier]; !ok {
		return fmt.Errorf("tiers: the default tier %q has no root", o.DefaultTier)
	}
	for tier := range o.Roots {
		if !activefile.ValidTier(tier) {
			return fmt.Errorf("tiers: %q cannot be the name of a tier", tier)
		}
		for _, p := range append([]map[string]string{o.Roots}, o.Partitions...) {
			if p[tier] == "" {
				return fmt.Errorf("tiers: tier %q has no root", tier)
			}
		}
	}
	taken := map[string]string{filepath.Join(o.Conf, "users"): "the conf root's users"}
	for _, r := range o.everyRoot() {
		tier, root := r.tier, r.root
		users := filepath.Join(root, "users")
		for other, whose := range taken {
			if within(users, other) || within(other, users) {
				return fmt.Errorf("tiers: the root %s of tier %q and %s overlap", root, tier, whose)
			}
		}
		taken[users] = fmt.Sprintf("that of tier %q", tier)
	}
	return nil
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// staleAfter is how often Run looks for handles of databases that are gone: a
// deleted file keeps its room until the last handle is closed.
const staleAfter = 5 * time.Second

// Run drops handles of databases that are gone, until ctx is done.
func (s *Set) Run(ctx context.Context) error {
	ticker := time.NewTicker(staleAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.dropStale()
		}
	}
}

// User returns a user's index. It is light, and there may be several of one.
func (s *Set) User(u mailbox.User) *Index {
	x := &Index{set: s, user: u, dir: filepath.Join(s.o.Conf, u.Dir())}
	x.file = activefile.New(x.dir, activefile.Options{
		FS: s.o.FS, Now: s.o.Now, Found: x.found, Step: s.o.Step,
	})
	return x
}

// advised adds to an error about an activefile of a later program what can be done.
func (x *Index) advised(err error) error {
	if !errors.Is(err, activefile.ErrVersion) {
		return err
	}
	return fmt.Errorf("%w: a later program wrote it; run that one, or delete %s to have the index made anew",
		err, filepath.Join(x.dir, "index.active"))
}

// Index is one user's index.
type Index struct {
	set  *Set
	user mailbox.User
	dir  string // of the activefile
	file *activefile.File
}
