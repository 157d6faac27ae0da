package mailstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"teraslot/mailbox"
)

// Mail is one user's mail. All methods may be called from any goroutine, until
// Release.
type Mail struct {
	s     *Store
	e     *entry
	user  mailbox.User
	path  string // of mail.db
	packs packDir
	// published is false of a mail.db that has another name yet, or that another process writes.
	published bool

	queueMu sync.Mutex
	queue   []*delivery // appends that wait for a committer; guarded by queueMu

	// turn holds one token: whoever has it is the user's writer, and alone uses
	// the three fields below, but for the connection of a writer at rest: see connections.
	turn      chan struct{}
	writer    *conn
	current   [places]*packWriter // nil until first used
	spoolOnly bool                // see anywhere
	connections

	// known is what the writer remembers of mail.db; nil if nothing. Its account may
	// be read by anyone.
	known atomic.Pointer[remembered]

	// broken is the damage of mail.db as a whole that a reader met: from then on
	// nothing is written, which could only make it worse.
	broken  atomic.Pointer[Damage]
	recheck recheck

	repack sync.Mutex // held by Repack from beginning to end

	slots chan struct{} // one token for each reader that may still be opened or used
}

func openMail(ctx context.Context, s *Store, e *entry) (*Mail, error) {
	return openMailAt(ctx, s, e, s.databasePath(e.user))
}

// openMailAt opens a mail.db that has another name yet.
func openMailAt(ctx context.Context, s *Store, e *entry, path string) (*Mail, error) {
	m := newMail(s, e, path)
	if _, err := mailbox.ParseUser(string(e.user)); err != nil {
		return nil, err
	}
	if _, err := s.o.FS.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("user %s: %w", e.user, ErrNoUser)
	}
	if _, err := m.packs.settle(); err != nil {
		return nil, m.wrap(err)
	}
	if err := m.start(ctx); err != nil {
		return nil, errors.Join(m.wrap(err), m.close())
	}
	return m, nil
}

// newMail is mail that nothing is open of.
func newMail(s *Store, e *entry, path string) *Mail {
	m := &Mail{
		s: s, e: e, user: e.user, path: path, published: !s.o.ReadOnly && path == s.databasePath(e.user),
		packs: packDir{fs: s.o.FS, user: e.user, ask: s.o.rootsOf},
		turn:  make(chan struct{}, 1),
		slots: make(chan struct{}, maxReaders),
	}
	m.packs.make = m.makePackDir
	return m
}

// makePackDir makes the directory of the packs of a place.
func (m *Mail) makePackDir(p place) error {
	at := m.packs.at.Load()
	return m.s.makeDir([places]string{at.roots.Spool, at.roots.Archive}[p], at.dirs[p])
}

// start opens the first connection and does what a new or crashed user needs.
func (m *Mail) start(ctx context.Context) error {
	if !m.s.o.ReadOnly { // else its owner may write it at the moment
		err := checkWAL(m.s.o.FS, m.path)
		if errors.Is(err, errWAL) {
			m.tellDamage("", "mail.db is not opened", "err", err)
			return &Damage{User: m.user, Err: err}
		}
		if err != nil {
			return err // it cannot be read, which may pass
		}
	}
	c, err := openConn(m.path, m.s.o.ReadOnly)
	if err != nil {
		return err
	}
	if m.s.o.ReadOnly {
		m.readers = []*conn{c}
		return checkSchema(c, m.user)
	}
	m.writer = c
	if from, err := migrate(c); err != nil {
		return err
	} else if migrations[from] != nil {
		m.s.o.Logger.Info("mail.db was of another version", "user", m.user, "from", from, "to", schemaVersion)
	}
	if err := checkSchema(c, m.user); err != nil {
		return err
	}
	if err := m.checkHighest(c); err != nil {
		return err
	}
	if err := m.claim(c); err != nil {
		return err
	}
	if err := m.removeDropped(packDropped, packRepacked); err != nil {
		// They hold nothing: mail can be read and taken all the same.
		m.s.o.Logger.Warn("dropped packs are not removed", "user", m.user, "err", err)
	}
	boxes, err := c.integer("SELECT box FROM {account}")
	if err != nil || boxes > 0 {
		return err
	}
	return m.createDefaults(ctx)
}

// Release gives the mail back. It must not be used afterwards.
func (m *Mail) Release() { m.s.release(m.e) }

// User is whose mail it is.
func (m *Mail) User() mailbox.User { return m.user }

// close closes all connections. Nobody uses the mail any longer.
func (m *Mail) close() error {
	var errs []error
	for _, w := range m.current {
		if w != nil {
			errs = append(errs, w.close())
		}
	}
	for _, c := range m.readers {
		errs = append(errs, c.close())
	}
	if m.writer != nil {
		// The last: it copies the WAL back.
		errs = append(errs, m.writer.close())
	}
	return errors.Join(errs...)
}

// wrap names the user in an error, and makes SQLite's word of a malformed
// database a Damage. It remembers damage that is not of single messages.
func (m *Mail) wrap(err error) error {
	if err == nil {
		return nil
	}
	var d *Damage
	if !errors.As(err, &d) && databaseDamaged(err) {
		d = &Damage{User: m.user, Err: fmt.Errorf("%s: %w", m.path, err)}
		err = d
	} else {
		err = fmt.Errorf("user %s: %w", m.user, err)
	}
	if d != nil && (databaseDamaged(d) || errors.Is(d, errCount) || errors.Is(d, errSum) || errors.Is(d, errLost)) {
		m.distrust(d)
	}
	return err
}

// distrust ends all writing.
func (m *Mail) distrust(d *Damage) {
	if m.broken.CompareAndSwap(nil, d) {
		m.s.vetted.forget(m.user)
		m.tellDamage("", "mail.db is damaged: nothing is written to it until slotctl verify --repair mends it", "err", d)
	}
}

// tellDamage logs damage of a mailbox, or of mail.db as a whole, and tells whoever may mend
// it; once, until that is done.
func (m *Mail) tellDamage(id mailbox.ID, text string, args ...any) {
	if !m.s.vetted.tell(viewKey{m.user, id}) {
		return
	}
	m.s.o.Logger.Error(text, append([]any{"user", m.user}, args...)...)
	m.s.o.Damaged(m.user)
}

// damage is the error for a record that cannot be trusted.
func (m *Mail) damage(id mailbox.ID, uid mailbox.UID, err error) error {
	return &Damage{User: m.user, Mailbox: id, UID: uid, Err: err}
}

// read runs fn in one read transaction: it sees one state of the database. fn
// copies out what it wants and is quick, because the WAL grows meanwhile.
func (m *Mail) read(ctx context.Context, fn func(c *conn) error) (err error) {
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.slots }()
	c, err := m.takeReader()
	if err != nil {
		return m.wrap(err)
	}
	whole := false
	defer func() {
		if !whole { // also by a fault: no transaction may stay open
			err = errors.Join(err, m.dropReader(c))
		}
	}()
	err = c.exec("BEGIN")
	if err == nil {
		err = fn(c)
	}
	// Nothing was written, so both ways to end are the same.
	if e := c.exec("ROLLBACK"); e != nil {
		return m.wrap(errors.Join(err, e))
	}
	if databaseDamaged(err) {
		return m.wrap(err) // what the connection has in memory may be part of it
	}
	whole = true
	m.putReader(c)
	return m.wrap(err)
}

// lockWriter waits for the user's turn to write.
func (m *Mail) lockWriter(ctx context.Context) error {
	if m.s.o.ReadOnly {
		return ErrReadOnly
	}
	if err := m.awaitTurn(ctx); err != nil {
		return err
	}
	if err := m.connectWriter(); err != nil {
		m.unlockWriter()
		return err
	}
	return nil
}

// awaitTurn takes the writer's turn.
func (m *Mail) awaitTurn(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	default:
	}
	since := time.Now()
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if m.s.o.Waited != nil {
		m.s.o.Waited(time.Since(since))
	}
	return nil
}

func (m *Mail) unlockWriter() {
	m.restWriter()
	<-m.turn
}

// errFault: the writer met a fault, which is reported where it was caught. What
// of the change is on disk is unknown.
var errFault = errors.New("writing was ended by a fault")

// abandonWriter gives up the connection of a writer that met a fault, and with it
// the transaction that is open. The writer's turn is held.
func (m *Mail) abandonWriter() {
	c := m.writer
	m.writer = nil
	m.known.Store(nil)
	if c == nil {
		return
	}
	if err := c.close(); err != nil {
		m.s.o.Logger.Error("close the writer after a fault", "user", m.user, "err", err)
	}
}

// write makes one change: fn in a transaction, Fence, commit, Notify. Once fn
// has begun, the end of ctx does not stop it.
func (m *Mail) write(ctx context.Context, session string, fn func(t *txn) error) error {
	if err := m.lockWriter(ctx); err != nil {
		return m.wrap(err)
	}
	events, err := m.commitTurn(context.WithoutCancel(ctx), session, fn)
	if err != nil {
		return m.wrap(err)
	}
	m.notify(events)
	return nil
}

// commitTurn is commit for whoever has the writer's turn for it alone.
func (m *Mail) commitTurn(ctx context.Context, session string, fn func(t *txn) error) ([]mailbox.Event, error) {
	defer m.unlockWriter()
	return m.commit(ctx, session, fn)
}

// notify tells of committed changes. No lock is held.
func (m *Mail) notify(events []mailbox.Event) {
	for _, e := range events {
		m.s.o.Notify(e)
	}
	if len(events) > 0 {
		m.s.o.Step(StepNotified)
	}
}
