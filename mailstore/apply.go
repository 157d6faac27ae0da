package mailstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"teraslot/mailbox"
)

var (
	// ErrDiverged: this mail has changes that the other slot does not know of.
	ErrDiverged = errors.New("the mail has changes of its own")
	// ErrChecksum: what was sent does not make this mail equal to the other's.
	ErrChecksum = errors.New("the mail would not be equal")
	// ErrLacking: a record names a message that is not here.
	ErrLacking = errors.New("messages are missing")
)

// Unequal tells which mailboxes would not be equal after an Apply. It is ErrChecksum.
type Unequal struct{ Mailboxes []mailbox.ID }

// Error counts the mailboxes.
func (u *Unequal) Error() string {
	return fmt.Sprintf("%v: %d mailboxes differ", ErrChecksum, len(u.Mailboxes))
}

// Is makes it ErrChecksum.
func (u *Unequal) Is(target error) bool { return target == ErrChecksum }

// Apply makes the user's mail what another slot's is, in one transaction, and takes over its
// lineage. expect is the digest of the mail to which the change belongs. All or
// nothing is done: ErrDiverged if the mail has writes that are not in what takes its place;
// *Unequal if the change, or expect, belongs to other mail than this; ErrLacking if a
// message was not staged.
func (m *Mail) Apply(ctx context.Context, expect Digest, change *Change) error {
	here, err := m.Lineage(ctx)
	if err != nil {
		return err
	}
	rewrites := change.rewrites(here)
	if rewrites {
		// Views are told from each other by mod-sequences, which a repair does not raise.
		release, err := m.holdReaders(ctx)
		if err != nil {
			return m.wrap(err)
		}
		defer release()
	}
	err = m.write(ctx, "", func(t *txn) error {
		a := &application{txn: t, change: change}
		return a.run(expect)
	})
	if rewrites {
		m.s.views.forget(m.user)
	}
	return err
}

// rewrites reports whether the change may alter records whose mod-sequences stay, or takes the
// place of mail that is no earlier state of it. If here is no longer mail's lineage when it is
// applied, its digest is another, too, and it is refused.
func (c *Change) rewrites(here Lineage) bool {
	return !c.Image.Lineage.Descends(here) || slices.ContainsFunc(c.Boxes, func(b BoxChange) bool { return b.Whole })
}

// holdReaders keeps everybody from reading until release.
func (m *Mail) holdReaders(ctx context.Context) (release func(), err error) {
	n := 0
	release = func() {
		for ; n > 0; n-- {
			<-m.slots
		}
	}
	for n < maxReaders {
		select {
		case m.slots <- struct{}{}:
			n++
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

// application is one Apply.
type application struct {
	*txn
	change  *Change
	before  Image
	boxes   map[mailbox.ID]*box // those that the image has
	created map[mailbox.ID]bool

	provenance bool // there is the table of it
	// ownThreads says that messages that are here stay in their threads: a merge cannot tell those who have had
	// a record, and have it as it is, that its message is in another one now.
	ownThreads bool
}

func (a *application) run(expect Digest) (err error) {
	if a.before, err = a.m.loadImage(a.c); err != nil {
		return err
	}
	if err := a.admit(expect); err != nil {
		return err
	}
	return a.steps()
}

// steps makes the mail what the change says.
func (a *application) steps() error {
	for _, step := range []func() error{a.removeBoxes, a.nameBoxes, a.records, a.describeBoxes, a.describeUser, a.unstage, a.flush, a.compare} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// admit refuses a change that does not belong to this mail.
func (a *application) admit(expect Digest) error {
	here, there := a.before.Vector(), a.change.Image.Vector()
	if !there.covers(here) {
		return fmt.Errorf("%w: it has %v, and the change %v", ErrDiverged, here, there)
	}
	if a.before.Digest() != expect {
		return &Unequal{}
	}
	for i := range a.before.Mailboxes {
		b := &a.before.Mailboxes[i]
		there := a.change.Image.Box(b.ID)
		if there != nil && there.UIDValidity == b.UIDValidity && (there.UIDNext < b.UIDNext || there.HighestModSeq < b.HighestModSeq) {
			return fmt.Errorf("%w: mailbox %s has given UIDs or mod-sequences that the change does not know of", ErrDiverged, b.ID)
		}
	}
	return nil
}

// removeBoxes removes the mailboxes that the image has no longer.
func (a *application) removeBoxes() error {
	boxes, err := loadBoxes(a.c)
	if err != nil {
		return err
	}
	a.boxes, a.created = map[mailbox.ID]*box{}, map[mailbox.ID]bool{}
	for _, b := range boxes {
		if a.change.Image.Box(b.ID) != nil {
			a.boxes[b.ID], a.txn.boxes[b.ID] = b, b
			continue
		}
		a.txn.boxes[b.ID] = b
		if a.m.s.o.RetainDeleted {
			err = a.bury(b)
		} else {
			err = a.deleteBox(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nameBoxes gives all mailboxes their names and makes those that are missing. All old
// names are given up before a new one is taken, so that names may be swapped.
func (a *application) nameBoxes() error {
	renamed := func(b *box) bool { return b.Name != a.change.Image.Box(b.ID).Name }
	for _, b := range a.boxes {
		if !renamed(b) {
			continue
		}
		if err := a.c.exec(`UPDATE mailbox SET name = ? WHERE sound AND box = ?`, "\x00"+string(b.ID), b.row); err != nil {
			return err
		}
	}
	for i := range a.change.Image.Mailboxes {
		there := &a.change.Image.Mailboxes[i]
		b := a.boxes[there.ID]
		if b == nil {
			if err := a.makeBox(there); err != nil {
				return err
			}
			continue
		}
		if renamed(b) {
			b.Name = there.Name
			if err := a.c.exec(`UPDATE mailbox SET name = ? WHERE sound AND box = ?`, b.Name, b.row); err != nil {
				return err
			}
			a.event(b, mailbox.Renamed, mailbox.UIDSet{}, a.change.Image.ModSeq, a.session)
		}
	}
	return nil
}

// makeBox makes a mailbox as the other slot has it, without records. What this slot
// retains of one with the same id is given up: the other's is the whole of it.
func (a *application) makeBox(there *BoxImage) error {
	g, err := a.grave(there.ID)
	if err == nil {
		if err := a.dropRecords(g.row); err != nil {
			return err
		}
		err = a.c.exec(`DELETE FROM grave WHERE box = ?`, g.row)
	}
	if err != nil && !errors.Is(err, ErrNoMailbox) {
		return err
	}
	a.account.box++
	b := &box{row: a.account.box, State: mailbox.State{ID: there.ID, Name: there.Name, UIDNext: 1}}
	err = a.c.exec(`INSERT INTO mailbox VALUES (?, ?, ?, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, 0)`, b.row, string(b.ID), b.Name)
	a.boxes[b.ID], a.txn.boxes[b.ID], a.created[b.ID] = b, b, true
	a.event(b, mailbox.Created, mailbox.UIDSet{}, a.change.Image.ModSeq, a.session)
	return err
}

// describeBoxes gives the mailboxes what their records do not say.
func (a *application) describeBoxes() error {
	for i := range a.change.Image.Mailboxes {
		there := &a.change.Image.Mailboxes[i]
		b := a.boxes[there.ID]
		was := a.before.Box(b.ID)
		if was == nil || was.SpecialUse != there.SpecialUse || was.CreatedModSeq != there.CreatedModSeq {
			if err := a.c.exec(`UPDATE mailbox SET special = ?, created = ? WHERE sound AND box = ?`, there.SpecialUse, int64(there.CreatedModSeq), b.row); err != nil {
				return err
			}
		}
		if was == nil || was.Made != there.Made || was.Named != there.Named {
			if err := a.storeBoxDots(there); err != nil {
				return err
			}
		}
		if was == nil || !slices.Equal(was.Settings, there.Settings) {
			if err := a.storeSettings(b, there.Settings); err != nil {
				return err
			}
		}
		horizon, recent := max(b.horizon, min(there.Horizon, there.HighestModSeq)), max(b.recent, there.Recent)
		if b.UIDValidity != there.UIDValidity { // other UIDs: nothing was told of these
			horizon, recent = there.Horizon, there.Recent
		}
		recent = min(recent, max(there.UIDNext, 1)-1)
		if b.dirty || b.UIDValidity != there.UIDValidity || b.UIDNext != there.UIDNext || b.HighestModSeq != there.HighestModSeq ||
			b.horizon != horizon || b.recent != recent {
			b.UIDValidity, b.UIDNext, b.HighestModSeq, b.horizon, b.recent = there.UIDValidity, there.UIDNext, there.HighestModSeq, horizon, recent
			b.dirty = true
		}
	}
	return nil
}

func (t *txn) storeSettings(b *box, settings []Setting) error {
	err := t.c.exec(`DELETE FROM setting WHERE box = ?`, b.row)
	for _, s := range settings {
		if err == nil {
			err = t.c.exec(`INSERT INTO setting VALUES (?, ?, ?)`, b.row, s.Name, s.Value)
		}
	}
	return err
}

// describeUser takes over what belongs to no mailbox.
func (a *application) describeUser() error {
	image := &a.change.Image
	a.account.modseq, a.account.uidvalidity, a.account.quota = image.ModSeq, image.UIDValidity, image.Quota
	if err := storeLineage(a.c, image.Lineage); err != nil {
		return err
	}
	if !slices.Equal(a.before.Seen, image.Seen) {
		if err := a.storeSeen(image.Seen); err != nil {
			return err
		}
	}
	if !slices.Equal(a.before.Subscriptions, image.Subscriptions) {
		if err := a.subscribe(image.Subscriptions); err != nil {
			return err
		}
	}
	now, err := allRetired(a.c) // removing mailboxes adds to them
	if err != nil || slices.Equal(now, image.Retired) {
		return err
	}
	return a.storeRetired(image.Retired)
}

func (a *application) subscribe(names []string) error {
	err := a.c.exec(`DELETE FROM subscription`)
	for _, name := range names {
		if err == nil {
			err = a.c.exec(`INSERT INTO subscription VALUES (?)`, name)
		}
	}
	a.event(&box{}, mailbox.Subscribed, mailbox.UIDSet{}, a.change.Image.ModSeq, a.session)
	return err
}

func (t *txn) storeRetired(all []Retired) error {
	there, err := hasTable(t.c, "retired")
	if err == nil && there {
		err = t.c.exec(`DELETE FROM retired`)
	}
	for _, r := range all {
		if err == nil {
			err = t.retireName(r.Name, r.UIDValidity, r.Holder)
		}
	}
	return err
}

// compare refuses to commit what is not equal.
func (a *application) compare() error {
	now, err := a.m.loadImage(a.c)
	if err != nil || now.Digest() == a.change.Image.Digest() {
		return err
	}
	out := &Unequal{}
	for i := range now.Mailboxes {
		b := &now.Mailboxes[i]
		if there := a.change.Image.Box(b.ID); there == nil || !b.sameRecords(there) {
			out.Mailboxes = append(out.Mailboxes, b.ID)
		}
	}
	return out
}

// records brings the records of all mailboxes up to date.
func (a *application) records() (err error) {
	if a.provenance, err = hasTable(a.c, "provenance"); err != nil {
		return err
	}
	for i := range a.change.Boxes {
		one := &a.change.Boxes[i]
		b := a.boxes[one.ID]
		if b == nil {
			return fmt.Errorf("mailbox %s has records and is not in the image: %w", one.ID, ErrNoMailbox)
		}
		box := boxApplication{application: a, b: b, isNew: a.created[b.ID]}
		if err := box.run(one); err != nil {
			return fmt.Errorf("mailbox %s: %w", b.ID, err)
		}
	}
	return nil
}

// boxApplication is the part of an Apply that concerns one mailbox's records.
type boxApplication struct {
	*application
	b                  *box
	isNew              bool
	old, next          []mailbox.Record // flags that changed, pairwise
	came, stored, went mailbox.UIDSet
}

func (a *boxApplication) run(change *BoxChange) error {
	for uid := range change.Drop.All() {
		if err := a.drop(uid); err != nil {
			return err
		}
	}
	for i := range change.Entries {
		if err := a.entry(&change.Entries[i]); err != nil {
			return fmt.Errorf("UID %d: %w", change.Entries[i].UID, err)
		}
	}
	if err := a.update(a.b, a.old, a.next); err != nil {
		return err
	}
	modseq := a.change.Image.Box(a.b.ID).HighestModSeq
	for _, e := range []struct {
		kind mailbox.Kind
		uids mailbox.UIDSet
	}{{mailbox.Appended, a.came}, {mailbox.FlagsStored, a.stored}, {mailbox.Expunged, a.went}} {
		if !e.uids.IsEmpty() {
			a.event(a.b, e.kind, e.uids, modseq, a.session)
		}
	}
	return nil
}

// entry makes one record what it is to be.
func (a *boxApplication) entry(e *Entry) error {
	old, found, err := a.recordOf(e.UID)
	if err != nil {
		return err
	}
	if found && old.GUID != e.GUID {
		if err := a.drop(e.UID); err != nil {
			return err
		}
		found = false
	}
	c, ok, err := a.m.contentOf(a.c, e.GUID)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("message %s: %w", e.GUID, ErrLacking)
	}
	if c.thread != e.Thread && !a.ownThreads {
		c.thread = e.Thread
		if err := a.c.exec(`UPDATE content SET thread = ?, crc = ? WHERE num = ?`, c.thread[:], c.crc(), int64(c.num)); err != nil {
			return err
		}
	}
	if err := a.storeProvenance(a.b, e); err != nil {
		return err
	}
	next := e.Record
	next.Num = c.num
	if !found {
		return a.add(&next)
	}
	return a.replace(&old, &next)
}

// recordOf returns the record of a UID, live or expunged.
func (a *boxApplication) recordOf(uid mailbox.UID) (r mailbox.Record, found bool, err error) {
	if a.isNew {
		return r, false, nil
	}
	for _, table := range []string{"message", "expunged"} {
		found, err = a.c.one("SELECT "+recordList+" FROM "+table+" WHERE id = ?", func(row []driver.Value) error {
			return a.m.scanRecord(a.b, row, table == "expunged", &r)
		}, rowID(a.b.row, uid))
		if found || err != nil {
			break
		}
	}
	return r, found, err
}

// add adds a record, which holds its content once more.
func (a *boxApplication) add(next *mailbox.Record) error {
	if err := a.c.exec(`UPDATE content SET refs = refs + 1 WHERE num = ?`, int64(next.Num)); err != nil {
		return err
	}
	return a.insertAny(next)
}

func (a *boxApplication) insertAny(next *mailbox.Record) error {
	if next.Expunged {
		return a.c.exec(`REPLACE INTO expunged VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, append(recordArgs(a.b.row, next), a.now)...)
	}
	a.came.Add(next.UID)
	return a.insert(a.b, next)
}

// replace puts a record in the place of an older one of the same message.
func (a *boxApplication) replace(old, next *mailbox.Record) error {
	switch {
	case !old.Expunged && !next.Expunged:
		a.old, a.next = append(a.old, *old), append(a.next, *next)
		a.stored.Add(next.UID)
		return nil
	case old.Expunged && !next.Expunged:
		if err := a.c.exec(`DELETE FROM expunged WHERE id = ?`, rowID(a.b.row, old.UID)); err != nil {
			return err
		}
	case !old.Expunged && next.Expunged:
		if err := a.removeLive(old); err != nil {
			return err
		}
	}
	return a.insertAny(next)
}

// removeLive removes a live record's row, and nothing else that belongs to it.
func (a *boxApplication) removeLive(old *mailbox.Record) error {
	if err := a.c.exec(`DELETE FROM message WHERE id = ?`, rowID(a.b.row, old.UID)); err != nil {
		return err
	}
	a.count(a.b, old, -1)
	a.b.delta.gone = append(a.b.delta.gone, old.UID)
	a.went.Add(old.UID)
	return nil
}

// drop removes what there is of a UID.
func (a *boxApplication) drop(uid mailbox.UID) error {
	old, found, err := a.recordOf(uid)
	if err != nil || !found {
		return err
	}
	if err := a.storeProvenance(a.b, &Entry{Record: mailbox.Record{UID: uid}}); err != nil {
		return err
	}
	if old.Expunged {
		err = a.c.exec(`DELETE FROM expunged WHERE id = ?`, rowID(a.b.row, uid))
	} else {
		err = a.removeLive(&old)
	}
	if err == nil {
		err = a.c.exec(`UPDATE content SET refs = refs - 1 WHERE num = ?`, int64(old.Num))
	}
	return err
}
