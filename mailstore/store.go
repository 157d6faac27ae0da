package mailstore

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// Store is one slot's mail. All methods may be called from any goroutine.
type Store struct {
	o        Options
	lock     io.Closer // slot.lock; nil if read-only
	views    *viewCache
	vetted   vetted
	highest  highest
	contents *contentCache

	handing sync.Mutex // held while a mailbox changes its owner

	mu     sync.Mutex
	closed bool                    // guarded by mu
	open   map[mailbox.User]*entry // guarded by mu
	idle   *list.List              // entries nobody uses, last used first; guarded by mu
}

// entry is a user whose mail is open, being opened or being closed.
type entry struct {
	user  mailbox.User
	ready chan struct{} // closed when mail and err are set
	gone  chan struct{} // closed when the databases are closed
	mail  *Mail
	err   error
	refs  int           // guarded by Store.mu
	idle  *list.Element // guarded by Store.mu; nil while refs > 0
	since time.Time     // when the last who used it was done; guarded by Store.mu
}

const lockName = "slot.lock"

// Open opens the mail below the roots of o, which must exist. Unless
// o.ReadOnly, it takes slot.lock and holds it until Close: ErrBusy names the
// process that has it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Conf == "" {
		return nil, errors.New("mailstore: no conf root")
	}
	s := &Store{o: o.withDefaults(), open: map[mailbox.User]*entry{}, idle: list.New()}
	s.contents = newContentCache(s.o.CacheBytes / 4)
	s.views = newViewCache(s.o.CacheBytes - s.o.CacheBytes/4)
	if err := s.checkRoots(); err != nil {
		return nil, err
	}
	if s.o.ReadOnly {
		return s, nil
	}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := s.cleanIncoming(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// checkRoots refuses roots that are not there. They are never made here: below
// a partition that is not mounted, mail would vanish when it is.
func (s *Store) checkRoots() error {
	for _, root := range append([]string{s.o.Conf}, s.o.everyRoot()...) {
		info, err := s.o.FS.Stat(root)
		if err != nil {
			return fmt.Errorf("mailstore: root: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("mailstore: root %s is no directory", root)
		}
	}
	return nil
}

func (s *Store) takeLock() error {
	path := filepath.Join(s.o.Conf, lockName)
	lock, err := s.o.FS.TryLock(path, disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		b, _ := disk.ReadFile(s.o.FS, path) // without the pid the message is still true
		return fmt.Errorf("%s: %w by process %s", path, ErrBusy, strings.TrimSpace(string(b)))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f, err := s.o.FS.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), lock.Close())
	}
	// Not synced: after a crash of the machine nobody holds the lock.
	_, err = f.Write(strconv.AppendInt(nil, int64(os.Getpid()), 10))
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, classify(err)), lock.Close())
	}
	s.lock = lock
	return nil
}

// cleanIncoming removes the messages that a crash left half received.
func (s *Store) cleanIncoming() error {
	dir := filepath.Join(s.o.Spool, incoming)
	if err := disk.MkdirAll(s.o.FS, dir, 0o700); err != nil {
		return classify(err)
	}
	names, err := s.o.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range names {
		if len(e.Name()) != 32 || e.IsDir() {
			continue
		}
		if err := s.o.FS.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Close closes all users' mail and gives up slot.lock. Nothing may be in use
// any longer: what is still acquired makes it fail.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	for _, e := range s.open {
		if e.refs > 0 {
			s.mu.Unlock()
			return fmt.Errorf("close: mail of user %s is in use", e.user)
		}
	}
	s.closed = true
	var all []*entry
	for _, e := range s.open {
		all = append(all, e)
	}
	s.mu.Unlock()
	err := s.closeAll(all)
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Acquire opens a user's mail, or shares what is open. Release it.
func (s *Store) Acquire(ctx context.Context, u mailbox.User) (*Mail, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		e, found := s.open[u]
		if !found {
			e = &entry{user: u, refs: 1, ready: make(chan struct{}), gone: make(chan struct{})}
			s.open[u] = e
			s.mu.Unlock()
			return s.openMail(ctx, e)
		}
		if e.refs < 0 { // being closed
			s.mu.Unlock()
			if err := wait(ctx, e.gone); err != nil {
				return nil, err
			}
			continue
		}
		s.use(e)
		s.mu.Unlock()
		if err := wait(ctx, e.ready); err != nil {
			s.release(e)
			return nil, err
		}
		err := e.err
		if err == nil {
			err = e.mail.lost()
		}
		if err == nil {
			return e.mail, nil
		}
		s.release(e)
		return nil, err
	}
}

func wait(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// use takes a reference. s.mu is held.
func (s *Store) use(e *entry) {
	e.refs++
	if e.idle != nil {
		s.idle.Remove(e.idle)
		e.idle = nil
	}
}

// openMail opens the databases of a new entry, for all who wait for it.
func (s *Store) openMail(ctx context.Context, e *entry) (*Mail, error) {
	e.mail, e.err = openMail(context.WithoutCancel(ctx), s, e)
	close(e.ready)
	if e.err != nil {
		s.release(e)
		return nil, e.err
	}
	return e.mail, nil
}

// release gives back a reference, and closes what is idle beyond the limit.
func (s *Store) release(e *entry) {
	s.mu.Lock()
	e.refs--
	if e.refs > 0 {
		s.mu.Unlock()
		return
	}
	e.idle, e.since = s.idle.PushFront(e), s.o.Now()
	victim := e
	if e.err == nil {
		victim = nil
		if s.idle.Len() > s.o.OpenUsers {
			victim = s.idle.Back().Value.(*entry)
		}
	}
	s.mu.Unlock()
	if victim == nil {
		return
	}
	s.dropOrLog(victim, always)
}

// drop closes an entry that nobody uses, unless somebody does by now, or still, which is
// called with s.mu held, says otherwise.
func (s *Store) drop(e *entry, still func() bool) error {
	s.mu.Lock()
	if e.refs != 0 || !still() {
		s.mu.Unlock()
		return nil
	}
	s.retire(e)
	s.mu.Unlock()
	defer s.vanish(e)
	return e.close()
}

// retire makes an idle entry one that nobody can get any longer. s.mu is held.
func (s *Store) retire(e *entry) {
	e.refs = -1
	s.idle.Remove(e.idle)
}

// vanish ends a retired entry: the user may be opened anew.
func (s *Store) vanish(e *entry) {
	s.mu.Lock()
	delete(s.open, e.user)
	s.mu.Unlock()
	close(e.gone)
}

// close closes what a retired entry has open.
func (e *entry) close() error {
	if e.mail == nil {
		return nil
	}
	return e.mail.close()
}

// databasePath is where a user's mail.db lies.
func (s *Store) databasePath(u mailbox.User) string {
	return filepath.Join(s.o.Conf, u.Dir(), "mail.db")
}

// CreateUser makes a user's mail: INBOX and the special-use mailboxes of RFC
// 6154 that every user gets, all subscribed. ErrExists if there is one.
func (s *Store) CreateUser(ctx context.Context, u mailbox.User, o UserOptions) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	if _, err := mailbox.ParseUser(string(u)); err != nil {
		return err
	}
	if err := s.create(ctx, u, o); err != nil {
		return err
	}
	m, err := s.Acquire(ctx, u) // makes the mailboxes, see openMail
	if err != nil {
		return err
	}
	m.Release()
	return nil
}

// create makes the mail.db of a user whom nobody opens or removes meanwhile; prepare are
// statements that it begins with.
func (s *Store) create(ctx context.Context, u mailbox.User, o UserOptions, prepare ...string) error {
	e, err := s.reserve(ctx, u)
	if errors.Is(err, ErrBusy) {
		return fmt.Errorf("user %s: %w", u, ErrExists)
	}
	if err != nil {
		return err
	}
	defer s.vanish(e)
	path := s.databasePath(u)
	if _, err := s.o.FS.Stat(path); err == nil {
		return fmt.Errorf("user %s: %w", u, ErrExists)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create user %s: %w", u, err) // it may be there, and must not be replaced
	}
	if err := s.checkLeftovers(path); err != nil {
		return fmt.Errorf("create user %s: %w", u, err)
	}
	if err := s.publishDatabase(path, u, o.Quota, prepare...); err != nil {
		return fmt.Errorf("create user %s: %w", u, classify(err))
	}
	return nil
}

// checkLeftovers refuses a place where the WAL of another mail.db lies: SQLite
// would replay it into the new one. It is not removed either, for what it holds
// may be nowhere else.
func (s *Store) checkLeftovers(path string) error {
	for _, leftover := range []string{path + "-wal", path + "-shm", path + "-journal"} {
		if _, err := s.o.FS.Stat(leftover); err == nil {
			return fmt.Errorf("%s is there without its mail.db: put that back, or move this away", leftover)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// publishDatabase makes mail.db under another name first: a crash leaves all of
// it or nothing that counts.
func (s *Store) publishDatabase(path string, u mailbox.User, q Quota, prepare ...string) error {
	dir := filepath.Dir(path)
	if err := disk.MkdirAll(s.o.FS, dir, 0o700); err != nil {
		return err
	}
	next := path + ".new"
	for _, leftover := range []string{next, next + "-journal", next + "-wal", next + "-shm"} {
		if err := s.o.FS.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := createDatabase(next, u, q, prepare...); err != nil {
		return err
	}
	if err := os.Chmod(next, 0o600); err != nil {
		return err
	}
	return disk.Place(s.o.FS, next, path)
}

// Users lists the users that have mail, sorted.
func (s *Store) Users(ctx context.Context) ([]mailbox.User, error) {
	root := filepath.Join(s.o.Conf, "users")
	var users []mailbox.User
	groups, err := s.o.FS.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !g.IsDir() {
			continue
		}
		names, err := s.o.FS.ReadDir(filepath.Join(root, g.Name()))
		if err != nil {
			return nil, err
		}
		for _, e := range names {
			u, err := mailbox.ParseUser(e.Name())
			if err != nil {
				continue
			}
			if _, err := s.o.FS.Stat(s.databasePath(u)); err == nil {
				users = append(users, u)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return users, nil
}

// RemoveUser removes all mail of a user whom nobody uses: mail.db first, so that
// a crash leaves no half of a user but bytes that the next RemoveUser removes.
// Only files that this package made are removed. Removing a user who is gone
// is no error.
func (s *Store) RemoveUser(ctx context.Context, u mailbox.User) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	if _, err := mailbox.ParseUser(string(u)); err != nil {
		return err
	}
	e, err := s.reserve(ctx, u)
	if err != nil {
		return err
	}
	defer s.vanish(e)
	if err := s.removeFiles(u); err != nil {
		return fmt.Errorf("remove user %s: %w", u, err)
	}
	return nil
}

// removeFiles removes what a user has on disk. The user is reserved.
func (s *Store) removeFiles(u mailbox.User) error {
	path := s.databasePath(u)
	for _, name := range []string{path, path + ".new"} {
		if err := removeDatabase(s.o.FS, name); err != nil {
			return err
		}
	}
	if err := s.removeSaved(u); err != nil {
		return err
	}
	s.forgetMail(u)
	for _, root := range append([]string{s.o.Conf}, s.o.everyRoot()...) {
		if err := s.removePacks(filepath.Join(root, u.Dir())); err != nil {
			return err
		}
	}
	return nil
}

// reserve closes a user's databases and keeps everybody from opening them until
// vanish. It fails with ErrBusy while somebody uses them, and waits for those who
// close them, or try in vain to open them.
func (s *Store) reserve(ctx context.Context, u mailbox.User) (*entry, error) {
	for {
		s.mu.Lock()
		e := s.open[u]
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, ErrClosed
		case e == nil:
			e = &entry{user: u, refs: -1, gone: make(chan struct{})}
			s.open[u] = e
			s.mu.Unlock()
			s.vetted.forget(u) // other files may take the place of these
			return e, nil
		case e.refs == 0:
			s.retire(e)
			s.mu.Unlock()
			if err := e.close(); err != nil {
				s.vanish(e)
				return nil, err
			}
			s.vetted.forget(u)
			return e, nil
		}
		used := e.refs > 0
		s.mu.Unlock()
		if used {
			if err := wait(ctx, e.ready); err != nil {
				return nil, err
			}
			if e.err == nil {
				return nil, fmt.Errorf("mail of user %s is in use: %w", u, ErrBusy)
			}
		}
		if err := wait(ctx, e.gone); err != nil {
			return nil, err
		}
	}
}

// setAsideNames are the names of what repairs (setAside) and restores (package backup)
// have put out of the way, or begun and not published: whole databases and packs, with
// the user's mail in them.
var setAsideNames = regexp.MustCompile(`^(mail\.db(-wal|-shm|-journal)?|[0-9]+\.pack)\.before-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?$|^[0-9]+\.pack\.new$|` +
	`^mail\.db\.damaged-[0-9]{8}T[0-9]{6}(-[0-9]+)?(-wal|-shm|-journal)?$|^mail\.db\.before-wal(-wal|-shm|-journal)?$`)

// madeHere reports whether a file of a user's directory is a pack, or what repairs and
// restores leave.
func madeHere(name string) bool {
	n, isPack := strings.CutSuffix(name, packSuffix)
	_, err := strconv.ParseUint(n, 10, 64)
	return isPack && err == nil || setAsideNames.MatchString(name)
}

// removePacks removes the packs in a user's directory and what was set aside there,
// and the directory if nothing else is in it.
func (s *Store) removePacks(dir string) error {
	entries, err := s.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	others := 0
	for _, e := range entries {
		if e.IsDir() || !madeHere(e.Name()) {
			others++
			continue
		}
		if err := s.o.FS.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if others > 0 {
		return s.o.FS.SyncDir(dir)
	}
	if err := s.o.FS.Remove(dir); err != nil {
		return err
	}
	return s.o.FS.SyncDir(filepath.Dir(dir))
}
