package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/sealed"
)

// Reconstruct makes a user's mail.db anew where it is lost, or cannot be read as a
// database. It begins with the copy on the archive partition, if that can be read, and
// adds the messages that the packs hold and the copy does not know, under the UIDs
// that they were given. All counters rise, so that nothing is given twice, but what
// happened after the copy to flags, and copies and moves of those hours, is lost.
//
// Without a copy, the names of mailboxes and what was deleted are not known: all
// messages, deleted ones too, go to mailboxes below Recovered, and every mailbox has
// a UIDVALIDITY above all that were given.
//
// The mail.db that is there is set aside, beside it, and not removed; one that is whole
// stays as it is, and the error wraps ErrWhole, unless the options force it. What an interrupted run has left
// is replaced by the next. report is told what was done. ErrBusy while somebody uses the mail.
func (s *Store) Reconstruct(ctx context.Context, u mailbox.User, o ReconstructOptions, report func(string)) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	if _, err := mailbox.ParseUser(string(u)); err != nil {
		return err
	}
	if err := s.present(u); err != nil {
		return err
	}
	how := basis{copied: true, whole: o.Force, only: o.CopyOnly}
	err := s.reconstructFrom(ctx, u, how, report)
	var d *Damage
	if !o.CopyOnly && errors.As(err, &d) && databaseDamaged(d) {
		report(fmt.Sprintf("the copy of mail.db is damaged after all; only the packs are left: %v", err))
		err = s.reconstructFrom(ctx, u, basis{whole: true}, report) // what the first try has put in place may go
	}
	return err
}

// ReconstructOptions say what Reconstruct may replace.
type ReconstructOptions struct {
	Force bool // also a mail.db that is whole, or cannot be looked at
	// CopyOnly leaves all as it is, with ErrNoCopy, where there is no copy that can be used.
	CopyOnly bool
}

// basis is what a reconstruction is made of, and what it may replace.
type basis struct {
	copied bool // of the copy, too, and not of the packs alone
	whole  bool // whatever mail.db is there
	only   bool // not at all without the copy
}

// reconstructFrom is Reconstruct, with the copy or without it. Until it ends nobody else
// opens the mail: a delivery would be given UIDs that were given since the copy.
func (s *Store) reconstructFrom(ctx context.Context, u mailbox.User, how basis, report func(string)) (err error) {
	e, err := s.reserve(ctx, u)
	if err != nil {
		return fmt.Errorf("reconstruct user %s: %w", u, err)
	}
	defer s.vanish(e)
	if !how.whole {
		if err := s.refuseWhole(u); err != nil {
			return fmt.Errorf("reconstruct user %s: %w", u, err)
		}
	}
	if how.only {
		if err := s.needCopy(u); err != nil {
			return fmt.Errorf("reconstruct user %s: %w", u, err)
		}
	}
	before, err := s.replaceDatabase(context.WithoutCancel(ctx), e, how.copied, report)
	if err != nil {
		return fmt.Errorf("reconstruct user %s: %w", u, err)
	}
	s.forgetMail(u) // what is remembered is of another mail.db
	if err := removeDatabase(s.o.FS, s.databasePath(u)+beforeWAL); err != nil {
		return err
	}
	m, err := openMail(context.WithoutCancel(ctx), s, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	r := &repair{m: m, report: report}
	if err := r.run(ctx, func(ctx context.Context) error {
		if err := r.reconstruct(ctx, before); err != nil {
			return err
		}
		return r.t.c.exec(finished)
	}); err != nil {
		return err
	}
	m.mendCopy(context.WithoutCancel(ctx), report)
	return nil
}

// needCopy returns an error that wraps ErrNoCopy if a user's copy of mail.db is not to be had.
func (s *Store) needCopy(u mailbox.User) error {
	path, err := s.savedPath(u)
	if err != nil {
		return err
	}
	if err := checkSaved(path, u); err != nil {
		return fmt.Errorf("%w (%w)", ErrNoCopy, err)
	}
	return nil
}

func (s *Store) forgetMail(u mailbox.User) {
	s.views.forget(u)
	s.contents.forget(u)
	s.vetted.forget(u)
	s.highest.forget(u)
}

// replaceDatabase sets mail.db aside and puts the copy in its place, or an empty one;
// before are the UIDNEXT of the copy's mailboxes, nil without it. Each step leaves what
// the next run begins with: a user without mail.db has packs, and so is not given an
// empty one by anybody else. The user is reserved.
func (s *Store) replaceDatabase(ctx context.Context, e *entry, useCopy bool, report func(string)) (before map[mailbox.ID]mailbox.UID, err error) {
	u := e.user
	path := s.databasePath(u)
	saved, err := s.latestCopy(u, report)
	if err != nil {
		return nil, err
	}
	err = checkSaved(saved, u)
	switch {
	case !useCopy:
	case err == nil:
		info, err := s.o.FS.Stat(saved)
		if err != nil {
			return nil, err
		}
		report("mail.db is made of its copy of " + info.ModTime().Format("2006-01-02 15:04:05 -0700"))
		return s.publishCopy(ctx, e, report, func(w io.Writer) error {
			b, err := disk.ReadFile(s.o.FS, saved)
			if err == nil {
				_, err = w.Write(b)
			}
			return err
		}, markUnfinished)
	case errors.Is(err, fs.ErrNotExist):
		report("there is no copy of mail.db; only the packs are left")
	default:
		report(fmt.Sprintf("the copy of mail.db cannot be used; only the packs are left: %v", err))
	}
	// From its first mod-sequence on it is another history than the one that was lost.
	return nil, s.publishDatabase(path, u, Quota{}, append(renewalTable.Create(), `INSERT INTO renewal VALUES (1, randomblob(16))`, markUnfinished)...)
}

// latestCopy sets mail.db aside and names what is to take its place: the copy, or mail.db
// itself as it was before the damage in its WAL, or is without what was cut off it, which is made first.
func (s *Store) latestCopy(u mailbox.User, report func(string)) (string, error) {
	path := s.databasePath(u)
	before := path + beforeWAL
	switch _, err := s.o.FS.Stat(path); {
	case errors.Is(err, fs.ErrNotExist): // a run that was interrupted may have set it aside, and before is of that
	case err != nil:
		return "", err
	case errors.Is(checkWAL(s.o.FS, path), errWAL) || s.hasLost(u):
		if err := s.copyWithWAL(path, before); err != nil {
			return "", err
		}
	default:
		if err := removeDatabase(s.o.FS, before); err != nil { // of another time
			return "", err
		}
	}
	if err := s.setAside(path, report); err != nil {
		return "", err
	}
	switch err := checkSaved(before, u); {
	case err == nil:
		report("the WAL of mail.db is damaged; what was committed behind the damage is lost but for the messages themselves")
		return before, nil
	case !errors.Is(err, fs.ErrNotExist):
		report(fmt.Sprintf("mail.db without the damaged end of its WAL cannot be used: %v", err))
	}
	return s.savedPath(u)
}

// beforeWAL ends the name of mail.db as it was before the damage in its WAL.
const beforeWAL = ".before-wal"

// copyWithWAL copies a database and its WAL, and brings the copy to what both say.
func (s *Store) copyWithWAL(from, to string) error {
	if err := removeDatabase(s.o.FS, to); err != nil {
		return err
	}
	for _, beside := range []string{"", "-wal"} {
		b, err := disk.ReadFile(s.o.FS, from+beside)
		if beside != "" && errors.Is(err, fs.ErrNotExist) {
			continue // it was copied back
		}
		if err != nil {
			return err
		}
		if err := disk.WriteSynced(s.o.FS, to+beside, 0o600, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		}); err != nil {
			return err
		}
	}
	// SQLite takes what is whole of the WAL, and copies it back.
	c, err := openConn(to, false)
	if err == nil {
		_, err = c.integer("PRAGMA wal_checkpoint(TRUNCATE)")
		err = errors.Join(err, c.close())
	}
	if databaseDamaged(err) {
		return nil // told of by checkSaved
	}
	return err
}

// checkSaved checks a copy of mail.db as far as that can be done without its packs.
func checkSaved(path string, u mailbox.User) (err error) {
	if _, err := lookAt(path); err != nil && !errors.Is(err, sealed.ErrRow) {
		return err
	}
	c, err := openCopy(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.each("PRAGMA integrity_check", func(row []driver.Value) error {
		if s := text(row[0]); s != "ok" {
			return errors.New(s)
		}
		return nil
	}); err != nil && !errors.Is(err, sealed.ErrRow) {
		return err
	}
	version, err := c.integer("PRAGMA user_version")
	switch {
	case err != nil:
	case migrations[version] != nil:
		err = checkOwner(c, u) // the copy is brought to this version when it is opened
	default:
		err = checkSchema(c, u)
	}
	if errors.Is(err, sealed.ErrRow) {
		return nil // it is mended when it is opened
	}
	return err
}

// setAside renames mail.db, and what SQLite has beside it, to names that nobody uses. mail.db is the first: without its WAL it would
// be served as it was before the last commits.
func (s *Store) setAside(path string, report func(string)) error {
	suffix, err := s.freeSuffix(path)
	if err != nil {
		return err
	}
	moved := false
	for _, beside := range databaseFiles {
		err := s.o.FS.Rename(path+beside, path+suffix+beside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = s.o.FS.SyncDir(filepath.Dir(path))
		}
		if err != nil {
			return err
		}
		moved = true
	}
	if moved {
		report("what was there is set aside as " + path + suffix)
	}
	return nil
}

// databaseFiles end the names of a database and of what SQLite has beside it.
var databaseFiles = []string{"", "-wal", "-shm", "-journal"}

// freeSuffix is an end of the names of what is set aside now that no file has yet.
func (s *Store) freeSuffix(path string) (string, error) {
	moment := s.o.Now().UTC().Format(".damaged-20060102T150405")
	suffix := moment
	for n := 2; ; n++ {
		taken := false
		for _, beside := range databaseFiles {
			_, err := s.o.FS.Stat(path + suffix + beside)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			taken = taken || err == nil
		}
		if !taken {
			return suffix, nil
		}
		suffix = fmt.Sprintf("%s-%d", moment, n)
	}
}

// PutBack puts a copy of a user's mail.db, which write writes, in the place of one that is
// not there, or no longer. It is renewed before it has its name (see Renew): whatever
// interrupts this, nobody ever opens mail that was put back and is not marked so. ErrBusy
// while somebody uses the mail.
func (s *Store) PutBack(ctx context.Context, u mailbox.User, write func(io.Writer) error) error {
	e, err := s.reserve(ctx, u)
	if err != nil {
		return err
	}
	defer s.vanish(e)
	s.forgetMail(u)
	_, err = s.publishCopy(context.WithoutCancel(ctx), e, func(line string) {
		s.o.Logger.Warn("a row of the mail.db that is put back is damaged", "user", u, "row", line)
	}, write)
	return err
}

// The steps of putting a copy of mail.db in place.
const (
	// StepCopyRenewed: it is whole, its counters are raised, and it has another name still.
	StepCopyRenewed = "copy renewed"
	// StepCopyPlaced: it is mail.db; packs may have messages that it does not know.
	StepCopyPlaced = "copy placed"
)

// publishCopy publishes a copy of a database that nobody has open. Its counters are
// raised before it has its name: from then on it may be served, whatever comes between.
// The UIDNEXT that it returns are those from before.
// prepare are statements that it gets as well.
func (s *Store) publishCopy(ctx context.Context, e *entry, report func(string), write func(io.Writer) error, prepare ...string) (map[mailbox.ID]mailbox.UID, error) {
	to := s.databasePath(e.user)
	if err := disk.MkdirAll(s.o.FS, filepath.Dir(to), 0o700); err != nil {
		return nil, err
	}
	next := to + ".new"
	if err := removeDatabase(s.o.FS, next); err != nil {
		return nil, err
	}
	if err := disk.WriteSynced(s.o.FS, next, 0o600, write); err != nil {
		return nil, err
	}
	if err := Disown(next); err != nil {
		return nil, err
	}
	before, err := s.renewCopy(ctx, e, next, report, prepare...)
	if err != nil {
		return nil, err
	}
	s.o.Step(StepCopyRenewed)
	if err := disk.Place(s.o.FS, next, to); err != nil {
		return nil, err
	}
	s.o.Step(StepCopyPlaced)
	return before, nil
}

// renewCopy renews a mail.db that is not published yet, and leaves it without a WAL.
func (s *Store) renewCopy(ctx context.Context, e *entry, path string, report func(string), prepare ...string) (before map[mailbox.ID]mailbox.UID, err error) {
	m, err := openMailAt(ctx, s, e, path)
	if errors.Is(err, sealed.ErrRow) {
		if err = s.mendAt(ctx, e, path, report); err == nil {
			m, err = openMailAt(ctx, s, e, path)
		}
	}
	if err != nil {
		return nil, err
	}
	if err = m.mendInTurn(ctx, report); err == nil {
		before, err = m.nextUIDs(ctx)
	}
	if err == nil {
		err = m.Renew(ctx)
	}
	for _, sql := range prepare {
		if err == nil {
			err = m.writer.exec(sql) // nobody else has this file
		}
	}
	if err = errors.Join(err, m.close()); err != nil {
		return nil, err
	}
	// SQLite copies the WAL back and removes it when the last connection is closed; where
	// it could not, the file alone is not what was written.
	if _, err := s.o.FS.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("%s-wal is there still", path), err)
	}
	return before, nil
}

// nextUIDs are the UIDNEXT of all mailboxes, by id, deleted ones included.
func (m *Mail) nextUIDs(ctx context.Context) (map[mailbox.ID]mailbox.UID, error) {
	out := map[mailbox.ID]mailbox.UID{}
	err := m.read(ctx, func(c *conn) error {
		boxes, err := loadBoxes(c)
		if err != nil {
			return err
		}
		for _, b := range boxes {
			out[b.ID] = b.UIDNext
		}
		graves, err := loadGraves(c)
		for _, g := range graves {
			out[g.ID] = g.UIDNext
		}
		return err
	})
	return out, err
}

// reconstruct brings mail.db in line with the packs. before are the UIDNEXT of the
// copy's mailboxes; nil: there was none.
func (r *repair) reconstruct(ctx context.Context, before map[mailbox.ID]mailbox.UID) error {
	if err := r.reindex(); err != nil {
		return err
	}
	if err := r.account(); err != nil {
		return err
	}
	if err := r.raiseValidity(ctx, before == nil); err != nil {
		return err
	}
	if err := r.adoptPacks(); err != nil {
		return err
	}
	if err := r.ends(); err != nil {
		return err
	}
	if err := r.headers(); err != nil {
		return err
	}
	if err := r.contents(); err != nil {
		return err
	}
	known, err := loadBoxes(r.t.c)
	if err != nil {
		return err
	}
	for _, fn := range []func(*box) error{r.records, func(b *box) error { return r.contentless(ctx, b) }} {
		if err := r.eachBox(known, fn); err != nil {
			return err
		}
	}
	for i := range r.packs {
		for j := range r.packs[i].frames {
			if err := r.adopt(ctx, &r.packs[i].frames[j], before); err != nil {
				return err
			}
		}
	}
	if err := r.t.flush(); err != nil {
		return err
	}
	if err := r.recountRefs(); err != nil {
		return err
	}
	if err := r.unheld(ctx, Recovered); err != nil {
		return err
	}
	if err := r.structures(ctx); err != nil {
		return err
	}
	return r.recount()
}

// clockAhead is how far, in seconds, UIDVALIDITYs that were given by the clock may lie
// before it: it may have been set back. What lies farther was adopted, and must not
// be counted on from: it may be the last there is.
const clockAhead = 1 << 28

// retireFound keeps the UIDVALIDITYs that packs know of, and mail.db does not, from
// being given or adopted: their mailboxes' names are lost. Those that the clock gave
// are counted on from, too, because mailboxes that only copies came to are in no pack.
func (r *repair) retireFound() error {
	known, err := r.knownValidities()
	if err != nil {
		return err
	}
	for i := range r.packs {
		for j := range r.packs[i].frames {
			l := &r.packs[i].frames[j]
			if int64(l.UIDValidity) <= r.t.now+clockAhead {
				r.t.account.uidvalidity = max(r.t.account.uidvalidity, l.UIDValidity)
			}
			one := held{l.Mailbox, l.UIDValidity}
			if known[one] {
				continue
			}
			known[one] = true
			if err := r.t.retireName(anyName, one.v, unknownHolder); err != nil {
				return err
			}
		}
	}
	return nil
}

// held is a UIDVALIDITY of a mailbox.
type held struct {
	mailbox mailbox.ID
	v       mailbox.UIDValidity
}

// knownValidities are those that mail.db knows names of.
func (r *repair) knownValidities() (map[held]bool, error) {
	known := map[held]bool{}
	boxes, err := loadBoxes(r.t.c)
	if err != nil {
		return nil, err
	}
	err = r.eachBox(boxes, func(b *box) error {
		known[held{b.ID, b.UIDValidity}] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	retired, err := loadRetired(r.t.c)
	for _, one := range retired {
		known[one] = true
	}
	return known, err
}

// raiseValidity makes the UIDVALIDITYs to be given others than all that packs know of,
// and with all gives every mailbox that is there another one.
func (r *repair) raiseValidity(_ context.Context, all bool) error {
	if err := r.retireFound(); err != nil {
		return err
	}
	if !all {
		return nil
	}
	if err := noteRenewal(r.t.c, r.t.m.s.o.Rand); err != nil {
		return err
	}
	// Another slot may be made anew of its packs in the same second.
	r.t.account.uidvalidity = max(r.t.account.uidvalidity, mailbox.UIDValidity(min(r.t.now, math.MaxUint32-2*leapValidity))) +
		mailbox.UIDValidity(markOf(r.t.m.s.o.Slot)%leapValidity)
	boxes, err := loadBoxes(r.t.c)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		if b.UIDValidity, err = r.t.nextUIDValidity(b.Name); err != nil {
			return err
		}
		b.HighestModSeq, b.dirty = max(b.HighestModSeq, r.change()), true // under this UIDVALIDITY no UID was given: none leaps
		r.t.boxes[b.ID] = b
	}
	return nil
}

// adoptPacks makes mail.db know the packs that are there, and no others. None of them
// is written to any more.
func (r *repair) adoptPacks() error {
	known, err := loadPacks(r.t.c)
	if err != nil {
		return err
	}
	there := map[uint64]bool{}
	for i := range r.packs {
		there[r.packs[i].n] = true
		if err := r.registerFile(r.packs[i].place, r.packs[i].n); err != nil {
			return err
		}
	}
	for _, p := range known {
		if there[p.n] {
			continue
		}
		if err := r.t.c.exec(`DELETE FROM pack WHERE n = ?`, int64(p.n)); err != nil {
			return err
		}
	}
	return r.t.c.exec(`UPDATE pack SET state = ? WHERE sound`, packSealed)
}

// adopt takes in a message that mail.db does not know.
func (r *repair) adopt(ctx context.Context, l *located, before map[mailbox.ID]mailbox.UID) error {
	if _, ok, err := r.m.contentOf(r.t.c, l.GUID); ok || err != nil {
		if errors.Is(err, errContentRow) {
			return nil // told of by contents
		}
		return err
	}
	b, err := r.t.box(l.Mailbox)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNoMailbox) {
		return err
	}
	next, ever := before[l.Mailbox]
	if ever && l.UID < next {
		return nil // the copy knew it, and it was expunged and forgotten, or its mailbox is gone
	}
	if before != nil && ever && !known {
		return nil // its mailbox was deleted before the copy was made
	}
	c, err := r.addContent(ctx, l)
	if err != nil {
		return err
	}
	taken := false
	if known {
		n, err := r.t.c.integer(`SELECT (SELECT count(*) FROM message WHERE id = ?1) + (SELECT count(*) FROM expunged WHERE id = ?1)`, rowID(b.row, l.UID))
		if err != nil {
			return err
		}
		taken = n > 0
	}
	passed := known && before == nil && l.UID < b.UIDNext // clients have seen later ones
	if !known || taken || passed || b.UIDValidity != l.UIDValidity {
		name := Recovered + Separator + string(l.Mailbox)
		r.sayf("message %s, once UID %d of mailbox %s, is in %s", l.GUID, l.UID, l.Mailbox, name)
		return r.recover(name, l, c)
	}
	rec := r.recordOf(l)
	rec.Num = c.num
	if l.UID >= b.UIDNext {
		b.UIDNext, b.dirty = l.UID+1, true
	}
	r.sayf("mailbox %s UID %d is back, without its flags", b.Name, l.UID)
	return r.hold(b, rec)
}
