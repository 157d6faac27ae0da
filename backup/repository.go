package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Options configure a Repository. The zero value works.
type Options struct {
	// FS is the disk of the directory; by default disk.OS().
	FS disk.FS
	// Scratch is a directory on the real disk for SQLite to work in, with room for
	// the largest mail.db; by default "scratch" in the repository.
	Scratch string
	// Now is the clock; by default time.Now.
	Now func() time.Time
	// Step, if set, is called at each step that a crash could part from the next,
	// with a name from the constants Step….
	Step func(step string)
	// Report is told of what is damaged or was left out, one call at a time; what
	// it is told of, stops nothing. By default it is logged.
	Report func(place string, err error)
	// Logger gets what no caller asked for; by default nothing is logged.
	Logger *slog.Logger
}

// Steps at which Options.Step is called.
const (
	StepPackWritten    = "pack written" // not synced
	StepPackSynced     = "pack synced"
	StepRecordsWritten = "records written"
	StepUserDone       = "user done"
	StepAccounts       = "accounts written"
	StepPublished      = "generation published"
	StepRetired        = "generation removed" // its files are still there
	StepRemoved        = "file removed"
)

// Repository is a directory with backups. Its methods may be called from any
// goroutine; those that write exclude each other, among processes too.
type Repository struct {
	dir string
	o   Options
	fs  disk.FS
}

var (
	// ErrForeign is returned for a directory that holds anything but backups.
	ErrForeign = errors.New("the directory is neither empty nor one of backups")
	// ErrInUse is returned where somebody else works on the directory.
	ErrInUse = errors.New("another backup or restore works on the directory")
	// ErrNoGeneration is returned for a generation that is not there.
	ErrNoGeneration = errors.New("no such generation of the backup")
	// ErrNoAccounts is returned for a generation that is of mail alone.
	ErrNoAccounts = errors.New("it has no accounts")
)

const (
	identityName   = "teraslot-backup"
	identity       = "teraslot-backup 1\n"
	lockName       = "lock"
	generationsDir = "generations"
	accountsDir    = "accounts"
	usersDir       = "users"
	scratchDir     = "scratch"

	recordsSuffix = ".records"
	packSuffix    = ".pack"
	timeLayout    = "20060102T150405Z"
)

// Open opens a directory of backups that is there.
func Open(dir string, o Options) (*Repository, error) {
	r := newRepository(dir, o)
	b, err := disk.ReadFile(r.fs, filepath.Join(r.dir, identityName))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("it has no file %s: %w", identityName, ErrForeign)
	}
	if err == nil && string(b) != identity {
		err = fmt.Errorf("%s: %w", identityName, ErrManifest)
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", dir, err)
	}
	return r, nil
}

// Create opens a directory of backups, and makes it of one that is empty or missing.
func Create(dir string, o Options) (*Repository, error) {
	r := newRepository(dir, o)
	if err := disk.MkdirAll(r.fs, r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	entries, err := r.fs.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	empty := !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Name() != identityName+".new" && e.Name() != "lost+found"
	})
	if empty {
		if err := disk.Create(r.fs, filepath.Join(r.dir, identityName), 0o600, write([]byte(identity))); err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
	}
	return Open(dir, o)
}

func newRepository(dir string, o Options) *Repository {
	if o.FS == nil {
		o.FS = disk.OS()
	}
	if o.Scratch == "" {
		o.Scratch = filepath.Join(dir, scratchDir)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Report == nil {
		o.Report = func(place string, err error) { o.Logger.Error("backup", "place", place, "err", err) }
	}
	return &Repository{dir: filepath.Clean(dir), o: o, fs: o.FS}
}

func write(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

// lock takes the directory's lock, or fails with ErrInUse.
func (r *Repository) lock(mode disk.LockMode) (io.Closer, error) {
	l, err := r.fs.TryLock(filepath.Join(r.dir, lockName), mode)
	if mode == disk.Shared && errors.Is(err, syscall.EROFS) {
		return io.NopCloser(nil), nil // nobody can change it
	}
	if errors.Is(err, disk.ErrLocked) {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", r.dir, err)
	}
	return l, nil
}

// Generations returns all of them, oldest first. A manifest that cannot be read is
// reported and left out.
func (r *Repository) Generations() ([]*Generation, error) {
	names, err := r.generationNames()
	if err != nil {
		return nil, err
	}
	var all []*Generation
	for _, name := range names {
		g, err := r.Generation(name)
		switch {
		case err == nil:
			all = append(all, g)
		case errors.Is(err, ErrNoGeneration): // removed since
		default:
			r.o.Report(filepath.Join(generationsDir, name), err)
		}
	}
	return all, nil
}

// generationNames returns the names of all manifests, oldest first.
func (r *Repository) generationNames() ([]string, error) {
	entries, err := r.fs.ReadDir(filepath.Join(r.dir, generationsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", r.dir, err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && isGenerationName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// isGenerationName tells whether a name is one that generationName makes.
func isGenerationName(name string) bool {
	stamp, more, numbered := strings.Cut(name, "-")
	if _, err := time.Parse(timeLayout, stamp); err != nil {
		return false
	}
	n, err := strconv.Atoi(more)
	return !numbered || err == nil && n > 1 && len(more) == 3
}

// generationName returns a name for a generation of now, after all others even if
// the clock was set back.
func (r *Repository) generationName(now time.Time) (string, error) {
	names, err := r.generationNames()
	if err != nil {
		return "", err
	}
	stamp := now.UTC().Format(timeLayout)
	if len(names) == 0 || stamp > names[len(names)-1] {
		return stamp, nil
	}
	last := names[len(names)-1]
	stamp, _, _ = strings.Cut(last, "-")
	for n := 2; n < 1000; n++ {
		if name := fmt.Sprintf("%s-%03d", stamp, n); name > last {
			return name, nil
		}
	}
	return "", fmt.Errorf("backup %s: the clock stands before generation %s", r.dir, last)
}

// Generation reads one: "" is the latest.
func (r *Repository) Generation(name string) (*Generation, error) {
	if name == "" {
		return r.latest()
	}
	if !isGenerationName(name) {
		return nil, fmt.Errorf("%q: %w", name, ErrNoGeneration)
	}
	b, err := disk.ReadFile(r.fs, filepath.Join(r.dir, generationsDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNoGeneration)
	}
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w", r.dir, err)
	}
	return decodeManifest(name, b)
}

func (r *Repository) latest() (*Generation, error) {
	names, err := r.generationNames()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: %w: there is none", r.dir, ErrNoGeneration)
	}
	return r.Generation(names[len(names)-1])
}

// At returns the latest generation that was begun at a moment or before it.
func (r *Repository) At(moment time.Time) (*Generation, error) {
	all, err := r.Generations()
	if err != nil {
		return nil, err
	}
	for _, g := range slices.Backward(all) {
		if !g.Time.After(moment) {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: none was made at %s or before", ErrNoGeneration, moment.Format(time.DateTime))
}

// userDir is where a user's files are, below the directory.
func userDir(u mailbox.User) string { return u.Dir() }

func (r *Repository) path(file string) string { return filepath.Join(r.dir, filepath.FromSlash(file)) }

func (r *Repository) packPath(u mailbox.User, file string) string {
	return filepath.Join(r.dir, userDir(u), file)
}

// packFile names the copy of a pack; k tells apart those of one number.
func packFile(n uint64, k int) string {
	if k == 0 {
		return strconv.FormatUint(n, 10) + packSuffix
	}
	return fmt.Sprintf("%d-%d%s", n, k, packSuffix)
}

// packNumber reads what packFile made.
func packNumber(file string) (n uint64, ok bool) {
	base, ok := strings.CutSuffix(file, packSuffix)
	number, more, numbered := strings.Cut(base, "-")
	k := 0
	if numbered {
		k, _ = strconv.Atoi(more)
	}
	n, err := strconv.ParseUint(number, 10, 64)
	return n, ok && err == nil && packFile(n, k) == file
}

// interrupted returns ctx's error, if it has one.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
