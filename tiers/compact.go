package tiers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"teraslot/activefile"
	"teraslot/disk"
	"teraslot/mailbox"
)

// The errors of a compaction that a caller decides by.
var (
	// ErrHeld: another compacts or cleans the user; see activefile.HeldError.
	ErrHeld = activefile.ErrHeld
	// ErrLostRace: the sources were no longer what they were when the result was to
	// take their place. The result is discarded; nothing has changed.
	ErrLostRace = activefile.ErrLostRace
	// ErrTier is returned for a tier that has no root.
	ErrTier = errors.New("unknown tier")
)

// CompactOptions say what is merged into what.
type CompactOptions struct {
	// Sources are tiers ("temp": all of its databases) or databases ("data:71").
	Sources []string
	Dest    string // a tier
	// Held is called once the sources are frozen; the function it returns reports
	// whether a mailbox holds a message (expunged but retained ones included). What
	// is not held is dropped. Nil: everything is kept.
	Held func() (func(mailbox.GUID) bool, error)
	// Force rewrites a single database within its tier even if little of it is dead.
	Force bool
	// Again names those of the sources, as Sources does, whose messages Renew makes
	// documents of anew. Like Force, it has a single database rewritten.
	Again []string
	Renew Renew
	// Pace, unless nil, is told of each piece of the result before it is written, of
	// some hundred kB at most, and may wait: for a bandwidth, or for others who are more
	// pressing. Nothing that anybody else needs is locked meanwhile, but for the turn to
	// compact. An error ends the compaction; nothing has changed then.
	Pace func(ctx context.Context, bytes int) error
	// Yield has the merge take only what processors other programs leave it. It is for
	// processes that do nothing else: the threads that yield are those of the merge, which
	// hold no lock, but as long as one waits for a processor, GOMAXPROCS is one less.
	Yield bool
	Name  string       // of the user, for people; "": the id
	Log   func(string) // gets the lines that squatter -v prints, in order
}

// Result is what a compaction did.
type Result struct {
	Nothing   bool // there was nothing to do
	Sources   []activefile.Database
	Dest      activefile.Database // zero if no document was left
	Active    activefile.Active   // afterwards
	Docs      int                 // in Dest
	Gone      []mailbox.GUID      // dropped because nothing held them
	Discarded []*Damage           // sources that could not be read; their messages are indexed no longer
}

// lockName is the slot-wide lock of compactions to disk, below the conf root.
const lockName = "compact.lock"

// deadShare: a single database is rewritten within its tier when one in so many
// documents is dead.
const deadShare = 5

// Compact merges databases into a new one of tier Dest, by the two-lock protocol:
// the activefile is locked twice for a moment, searching and committing go on all
// the while. It returns ErrHeld at once if the user is being compacted; it waits
// for another compaction to disk. Databases that the activefile does not name are
// deleted at the end, those of earlier crashes included, whatever happens; but not if
// nobody knows which activefile a power cut would leave.
func (x *Index) Compact(ctx context.Context, o CompactOptions) (res Result, err error) {
	if err := x.set.CheckTier(o.Dest); err != nil {
		return res, fmt.Errorf("compact to: %w", err)
	}
	if err := x.set.CheckSources(slices.Concat(o.Sources, o.Again)...); err != nil {
		return res, fmt.Errorf("compact from: %w", err)
	}
	if _, err := x.set.o.FS.Stat(x.dir); errors.Is(err, fs.ErrNotExist) {
		return Result{Nothing: true}, nil
	}
	o.Name = cmp.Or(o.Name, string(x.user))
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if slices.Contains(x.set.o.DiskTiers, o.Dest) {
		slot, err := disk.Lock(ctx, x.set.o.FS, filepath.Join(x.set.o.Conf, lockName), disk.Exclusive)
		if err != nil {
			return res, fmt.Errorf("compact %s: %w", o.Name, err)
		}
		defer func() { err = errors.Join(err, slot.Close()) }()
	}
	held, err := x.file.TryCompact()
	if err != nil {
		return res, fmt.Errorf("compact %s: %w", o.Name, err)
	}
	c := &compaction{x: x, o: o, held: held}
	res, err = c.run(ctx)
	if err != nil {
		err = fmt.Errorf("compact %s: %w", o.Name, x.advised(err))
	}
	if c.unsure || errors.Is(err, activefile.ErrVersion) {
		return res, errors.Join(err, held.Unlock())
	}
	if clean := x.clean(context.WithoutCancel(ctx), c.published); clean != nil {
		err = errors.Join(err, fmt.Errorf("clean up after compacting %s: %w", o.Name, clean))
	}
	return res, errors.Join(err, held.Unlock())
}

// CheckTier returns ErrTier for the name of a tier that has no root.
func (s *Set) CheckTier(name string) error {
	if _, ok := s.o.Roots[name]; !ok {
		return fmt.Errorf("%w %q", ErrTier, name)
	}
	return nil
}

// CheckSources returns ErrTier for a name that is neither that of a tier with a
// root nor of a database in one. Whether there is such a database is no matter: one
// that is not live is no source.
func (s *Set) CheckSources(names ...string) error {
	for _, name := range names {
		tier := name
		if db, err := activefile.Parse(name); err == nil {
			tier = db.Tier
		}
		if s.CheckTier(tier) != nil {
			return fmt.Errorf("%w %q", ErrTier, name)
		}
	}
	return nil
}

// compaction is one run. It holds index.compact.
type compaction struct {
	x    *Index
	o    CompactOptions
	held *activefile.Lock

	before  activefile.Active // as this run published it, or found it
	sources []source
	dest    activefile.Database
	dir     string // of dest
	id      stamp  // of dest
	keep    func(mailbox.GUID) bool
	res     Result
	unsure  bool // the publication failed, perhaps after it took place

	published bool // durably

	renewed   []segmentInfo // in dir, until they are merged
	renewedID stamp         // in the place of their database's
}

// source is a frozen database.
type source struct {
	db       activefile.Database
	dir      string
	m        manifest
	missing  bool
	outdated bool // made by other versions: no claims, nothing to keep
	damage   error
}

func (s source) live() bool { return !s.missing && !s.outdated && s.damage == nil }

func (c *compaction) logf(format string, args ...any) { c.o.Log(fmt.Sprintf(format, args...)) }

func (c *compaction) run(ctx context.Context) (Result, error) {
	if due, err := c.due(ctx); err != nil || !due {
		return Result{Nothing: err == nil, Active: c.before}, err
	}
	if err := c.freeze(ctx); err != nil {
		return c.res, err
	}
	if len(c.sources) == 0 {
		return Result{Nothing: true, Active: c.before}, nil
	}
	c.x.set.o.Step("compact: frozen")
	if err := c.hold(); err != nil {
		return c.res, err
	}
	c.logf("compacting databases")
	if err := c.merge(ctx); err != nil {
		return c.res, err
	}
	c.x.set.o.Step("compact: merged")
	staged, err := c.stage()
	if err != nil {
		return c.res, err
	}
	c.logf("renaming tempdir into place")
	if err := c.publish(ctx, staged); err != nil {
		if errors.Is(err, ErrLostRace) {
			c.logf("aborting compact of user.%s, lost the race late", c.o.Name)
		}
		return c.res, errors.Join(err, staged.Discard())
	}
	c.x.set.o.Step("compact: published")
	c.logf("finished compact of user.%s (active %s)", c.o.Name, list(c.res.Active.Databases))
	return c.res, nil
}

// list writes databases as squatter does, between commas.
func list(dbs []activefile.Database) string {
	return strings.ReplaceAll(activefile.Active{Databases: dbs}.String(), " ", ",")
}

// chosen are the databases of active that the options name, but for a writable
// one with nothing in it: that stays where it is.
func (c *compaction) chosen(active activefile.Active) []activefile.Database {
	var out []activefile.Database
	for i, db := range active.Databases {
		if !slices.Contains(c.o.Sources, db.Tier) && !slices.Contains(c.o.Sources, db.String()) {
			continue
		}
		if s := c.x.source(db); i == 0 && s.live() && !s.m.Frozen && len(s.m.Segments) == 0 {
			continue
		}
		out = append(out, db)
	}
	return out
}

// hold asks, once, what mailboxes hold.
func (c *compaction) hold() (err error) {
	if c.o.Held != nil && c.keep == nil {
		c.keep, err = c.o.Held()
	}
	return err
}

// due looks, without freezing anything, whether there is something to do: not if
// one database would be copied within its tier with little of it dead.
func (c *compaction) due(ctx context.Context) (bool, error) {
	active, err := c.x.file.Read(ctx)
	if errors.Is(err, activefile.ErrDamaged) {
		return true, nil // freeze sees to it
	}
	if err != nil {
		return false, err
	}
	c.before = active
	chosen := c.chosen(active)
	if len(chosen) == 0 {
		return false, nil
	}
	if len(chosen) > 1 || chosen[0] == active.Databases[0] || chosen[0].Tier != c.o.Dest || c.o.Force {
		return true, nil
	}
	if s := c.x.source(chosen[0]); !s.live() || c.renewing(s) {
		return true, nil
	}
	return c.deadEnough(ctx, chosen[0])
}

// deadEnough looks at a single database of the destination's tier.
func (c *compaction) deadEnough(ctx context.Context, db activefile.Database) (bool, error) {
	if err := c.hold(); err != nil {
		return false, err
	}
	snap, err := c.x.Snapshot(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	docs, dead := 0, 0
	for _, seg := range snap.segments {
		if seg.database != db {
			continue
		}
		docs += len(seg.h.guids)
		for _, g := range seg.h.guids {
			if c.keep != nil && !c.keep(g) {
				dead++
			}
		}
	}
	// What Held said may be old by the time the sources are frozen.
	c.keep = nil
	if dead*deadShare > docs {
		return true, nil
	}
	c.logf("Skipping %s for user.%s, only one", db, c.o.Name)
	return false, nil
}

// source reads what a database is.
func (x *Index) source(db activefile.Database) source {
	s := source{db: db}
	if s.dir, s.damage = x.databaseDir(db); s.damage != nil {
		return s
	}
	s.m, s.damage = readManifest(x.set.o.FS, s.dir)
	switch {
	case errors.Is(s.damage, fs.ErrNotExist):
		s.missing, s.damage = true, nil
	case s.damage == nil && s.m.Versions != currentVersions(x.set.o.ExtractVersion):
		s.outdated = true
	}
	return s
}

// freeze is step 1: it chooses the sources and reads them. That comes after the lock: none
// of them changes any more, and who searches does not wait for it.
func (c *compaction) freeze(ctx context.Context) error {
	chosen, err := c.choose(ctx)
	if err != nil {
		return err
	}
	for _, db := range chosen {
		s := c.x.source(db)
		if err := transient(s.damage); err != nil {
			return fmt.Errorf("%s: %w", db, err)
		}
		c.sources = append(c.sources, s)
	}
	c.res.Sources = chosen
	return nil
}

// choose puts a new database in front if the writable one is among the sources, reserves the
// destination's generation, and returns the sources.
func (c *compaction) choose(ctx context.Context) (chosen []activefile.Database, err error) {
	lock, err := c.x.file.Exclusive(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	active, err := lock.Reset()
	if err != nil {
		return nil, err
	}
	c.before = active
	if chosen = c.chosen(active); len(chosen) == 0 {
		return nil, nil
	}
	if c.dest, err = lock.Reserve(c.o.Dest); err != nil {
		return nil, err
	}
	c.logf("compressing %s to %s for user.%s (active %s)", list(chosen), c.dest, c.o.Name, list(active.Databases))
	next := active.Clone()
	if chosen[0] == active.Databases[0] {
		front, _, _, err := c.x.newFront(lock, c.x.frontTier("", 0))
		if err != nil {
			return nil, err
		}
		c.logf("adding new initial search location %s", front)
		next.Databases = append([]activefile.Database{front}, next.Databases...)
	}
	if err := lock.Publish(next); err != nil {
		return nil, err
	}
	if c.before, err = lock.Active(); err != nil {
		return nil, err
	}
	c.res.Active = c.before
	return chosen, nil
}

// transient returns an error that says nothing about what a source holds: the
// database must not be given up for it.
func transient(err error) error {
	if errors.Is(err, errForeign) {
		return err
	}
	return passing(err)
}

// passing returns an error that a machine has at the moment, which is no damage.
func passing(err error) error {
	for _, e := range []error{fs.ErrPermission, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}

// merge is step 2: the sources' documents in one segment of the destination.
func (c *compaction) merge(ctx context.Context) error {
	var err error
	if c.dir, err = c.x.databaseDir(c.dest); err != nil {
		return err
	}
	if err := disk.MkdirAll(c.x.set.o.FS, filepath.Join(c.dir, storeDir), 0o700); err != nil {
		return err
	}
	if err := c.renew(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(c.sources, func(s source) bool { return !c.renewing(s) }) {
		c.logf("Compressing messages for %s", c.o.Name)
	}
	info, err := c.mergeSources(ctx)
	if errors.Is(err, errFault) || errors.Is(err, errChecksum) {
		// A source failed though it was whole when it was opened: look again.
		c.recheck()
		info, err = c.mergeSources(ctx)
	}
	if err != nil {
		return err
	}
	for _, s := range c.sources {
		if s.damage != nil {
			d := c.x.set.report(&Damage{s.db.String(), s.dir, s.damage})
			c.res.Discarded = append(c.res.Discarded, d)
			c.logf("discarding %s: %v", s.db, s.damage)
		}
	}
	if info.Docs == 0 {
		c.logf("nothing compacted, cleaning up %s", c.dir)
		c.dest = activefile.Database{}
		return nil
	}
	c.res.Docs, c.res.Dest = int(info.Docs), c.dest
	if err := c.dropRenewed(); err != nil {
		return err
	}
	if err := c.finish(info); err != nil {
		return err
	}
	c.logf("done %s", c.dir)
	return nil
}

// mergedNumber is that of the one segment of a compacted database.
const mergedNumber = 2

// mergeSources merges what was renewed and all sources that can be read; the others
// get a damage.
func (c *compaction) mergeSources(ctx context.Context) (segmentInfo, error) {
	job := newMerge(c.x.set, c.dir, mergedNumber)
	defer job.close()
	job.keep, job.pace, job.yield = c.kept(), c.o.Pace, c.o.Yield
	for _, info := range c.renewed {
		job.add(c.dir, c.renewedID, info)
	}
	if err := job.open(); err != nil {
		return segmentInfo{}, fmt.Errorf("what was indexed anew: %w", err)
	}
	for i := range c.sources {
		s := &c.sources[i]
		if !s.live() {
			continue
		}
		from := len(job.handles)
		for _, info := range slices.Backward(s.m.Segments) { // the newest first
			job.add(s.dir, s.m.ID, info)
		}
		if err := job.openFrom(from); err != nil {
			if t := transient(err); t != nil {
				return segmentInfo{}, fmt.Errorf("%s: %w", s.db, t)
			}
			s.damage = err
			job.cut(from)
		}
	}
	return job.run(ctx)
}

// kept is keep, which notes what it drops.
func (c *compaction) kept() func(mailbox.GUID) bool {
	if c.keep == nil {
		return nil
	}
	gone := map[mailbox.GUID]bool{}
	c.res.Gone = nil
	return func(g mailbox.GUID) bool {
		if c.keep(g) {
			return true
		}
		if !gone[g] {
			gone[g] = true
			c.res.Gone = append(c.res.Gone, g)
		}
		return false
	}
}

// recheck makes the sources' handles be opened and checked anew.
func (c *compaction) recheck() {
	for _, s := range c.sources {
		for _, info := range s.m.Segments {
			h := c.x.set.acquire(s.dir, s.m.ID, info)
			c.x.set.forget(h)
			c.x.set.release(h)
		}
	}
}

// finish makes the destination a database: a manifest whose checksums have been
// compared with the files. All is synced: the segment by the merge that wrote it.
func (c *compaction) finish(info segmentInfo) (err error) {
	if c.id, err = newStamp(c.x.set.o.Rand); err != nil {
		return err
	}
	m := manifest{ID: c.id, Versions: currentVersions(c.x.set.o.ExtractVersion), Frozen: true,
		Next: mergedNumber + 1, Segments: []segmentInfo{info}}
	if err := publishManifest(c.x.set.o.FS, c.dir, m); err != nil { // syncs the directory
		return err
	}
	h := c.x.set.acquire(c.dir, m.ID, info)
	defer c.x.set.release(h)
	if err := c.x.set.open(h); err != nil {
		c.x.set.forget(h)
		return fmt.Errorf("check what was merged: %w", err)
	}
	return nil
}

// after is an activefile with the destination in the place of the first source.
func (c *compaction) after(active activefile.Active) activefile.Active {
	next := activefile.Active{Next: active.Next, Floor: active.Floor}
	placed := c.dest == activefile.Database{}
	for _, db := range active.Databases {
		if !slices.ContainsFunc(c.sources, func(s source) bool { return s.db == db }) {
			next.Databases = append(next.Databases, db)
			continue
		}
		if !placed {
			next.Databases = append(next.Databases, c.dest)
			placed = true
		}
	}
	return next
}

// stage ends step 2: the next activefile, written and synced.
func (c *compaction) stage() (*activefile.Staged, error) {
	return c.held.Stage(c.after(c.before), c.before)
}

// publish is step 3: under the exclusive lock the sources are compared with what
// they were, and the staged activefile is put in place. If only another database
// was put in front meanwhile, the next activefile is made anew.
func (c *compaction) publish(ctx context.Context, staged *activefile.Staged) (err error) {
	lock, err := c.x.file.Exclusive(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	c.x.set.o.Step("compact: locked")
	active, err := lock.Active()
	if err != nil && !errors.Is(err, activefile.ErrDamaged) {
		return err
	}
	if err := c.unchanged(active); err != nil {
		return err
	}
	if active.Equal(c.before) {
		err = lock.PublishStaged(staged)
	} else {
		err = errors.Join(lock.Publish(c.after(active)), staged.Discard())
	}
	if err != nil {
		c.unsure = !errors.Is(err, ErrLostRace)
		return err
	}
	c.published = true
	c.res.Active, err = lock.Active()
	return err
}

// unchanged returns ErrLostRace if a source is not what it was when it was
// frozen, or the destination not what was made.
func (c *compaction) unchanged(active activefile.Active) error {
	for _, s := range c.sources {
		if !active.Contains(s.db) {
			return fmt.Errorf("%s is no longer live: %w", s.db, ErrLostRace)
		}
		now := c.x.source(s.db)
		if now.missing != s.missing || s.live() && !reflect.DeepEqual(now.m, s.m) {
			return fmt.Errorf("%s has changed: %w", s.db, ErrLostRace)
		}
	}
	if c.dest == (activefile.Database{}) {
		return nil
	}
	m, err := readManifest(c.x.set.o.FS, c.dir)
	if err == nil && m.ID != c.id {
		err = ErrLostRace
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.dest, err)
	}
	return nil
}
