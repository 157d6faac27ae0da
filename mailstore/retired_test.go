package mailstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// triples are what clients know messages by: a name, a UIDVALIDITY and a UID.
type triples map[string]mailbox.GUID

// look fails if one of them stands for another message than it did before.
func (k triples) look(t interface{ Fatal(...any) }, m *Mail) {
	ctx := context.Background()
	boxes, err := m.Mailboxes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		v, err := m.View(ctx, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range v.Records {
			key := fmt.Sprint(b.Name, " ", b.UIDValidity, " ", r.UID)
			if g, known := k[key]; known && g != r.GUID {
				t.Fatal(key + " stands for two messages")
			}
			k[key] = r.GUID
		}
	}
}

// adopted makes a mailbox that has adopted a UIDVALIDITY and holds the message n.
func adopted(t testing.TB, s *Store, m *Mail, name string, v mailbox.UIDValidity, n int) mailbox.State {
	t.Helper()
	st, err := m.Create(t.Context(), "", name, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Adopt(t.Context(), "", st.ID, Origin{UIDValidity: v}); err != nil {
		t.Fatal(err)
	}
	appendText(t, m, st.ID, mailText(n))
	return named(t, m, name)
}

// TestRenamedToAnothersName: two mailboxes may adopt the same UIDVALIDITY; the name of one
// gets another when the other comes to it. That is so for the names below, too, and
// for a mailbox that was empty when it had the name.
func TestRenamedToAnothersName(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t)})
	known := triples{}
	rename := func(from, to string) mailbox.State {
		t.Helper()
		known.look(t, m)
		if err := m.Rename(t.Context(), "", from, to); err != nil {
			t.Fatal(err)
		}
		known.look(t, m)
		return named(t, m, to)
	}
	x := adopted(t, s, m, "X", 2, 1)
	adopted(t, s, m, "Y", 2, 2)
	known.look(t, m)
	if err := m.Delete(t.Context(), "", x.ID); err != nil {
		t.Fatal(err)
	}
	y := named(t, m, "Y")
	if got := rename("Y", "X"); got.UIDValidity == 2 || got.ID != y.ID || got.UIDNext != y.UIDNext {
		t.Errorf("%+v was %+v", got, y)
	}

	adopted(t, s, m, "A/B", 3, 3)
	rename("A", "C")
	adopted(t, s, m, "D/B", 3, 4)
	rename("D", "A")
	if got := named(t, m, "A/B"); got.UIDValidity == 3 {
		t.Errorf("%+v", got)
	}

	// From a name to the one above it, with one below that takes its name.
	adopted(t, s, m, "P/Q", 4, 5)
	adopted(t, s, m, "P/Q/Q", 4, 6)
	if err := m.Delete(t.Context(), "", named(t, m, "P").ID); err != nil {
		t.Fatal(err)
	}
	rename("P/Q", "P")
	if got := named(t, m, "P/Q"); got.UIDValidity == 4 {
		t.Errorf("%+v", got)
	}

	e, err := m.Create(t.Context(), "", "E", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Adopt(t.Context(), "", e.ID, Origin{UIDValidity: 5}); err != nil {
		t.Fatal(err)
	}
	rename("E", "F")
	adopted(t, s, m, "E", 5, 7)
	rename("E", "G")
	if got := rename("F", "E"); got.UIDValidity == 5 {
		t.Errorf("%+v", got)
	}
}

// TestOwnNameAgain: a mailbox that comes back to its name keeps what clients know.
func TestOwnNameAgain(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t), RetainDeleted: true})
	ctx := t.Context()
	st := adopted(t, s, m, "X", 2, 1)
	for _, name := range []string{"Y", "X"} {
		if err := m.Rename(ctx, "", named(t, m, map[string]string{"Y": "X", "X": "Y"}[name]).Name, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Delete(ctx, "", st.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Unearth(ctx, "", st.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := named(t, m, "X"); got.UIDValidity != 2 || got.ID != st.ID {
		t.Errorf("%+v was %+v", got, st)
	}
}

// TestUnearthToAnothersName: as TestRenamedToAnothersName, for deleted mailboxes.
func TestUnearthToAnothersName(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t), RetainDeleted: true})
	known := triples{}
	x, y := adopted(t, s, m, "X", 2, 1), adopted(t, s, m, "Y", 2, 2)
	known.look(t, m)
	for _, id := range []mailbox.ID{x.ID, y.ID} {
		if err := m.Delete(t.Context(), "", id); err != nil {
			t.Fatal(err)
		}
	}
	back, err := m.Unearth(t.Context(), "", y.ID, "X")
	if err != nil || back.UIDValidity == 2 || back.Name != "X" {
		t.Errorf("%+v, %v", back, err)
	}
	if got := named(t, m, "X"); got != back {
		t.Errorf("told %+v, is %+v", back, got)
	}
	known.look(t, m)
}

// TestRetiredBeforeHolders: what was kept without the mailboxes is anybody's.
func TestRetiredBeforeHolders(t *testing.T) {
	dir, ctx := memoryDir(t), t.Context()
	s, m := openFor(t, Options{Conf: dir})
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	age(t, s.databasePath(user1), 3)
	damaged{db: s.databasePath(user1)}.exec(t, `CREATE TABLE retired (name TEXT NOT NULL, uidvalidity INTEGER NOT NULL,
		PRIMARY KEY (name, uidvalidity)) STRICT, WITHOUT ROWID`, `INSERT INTO retired VALUES ('X', 2)`)
	s, m = openFor(t, Options{Conf: dir})
	t.Cleanup(func() {
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	x, err := m.Create(ctx, "", "X", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Adoptable(ctx, x.ID, Origin{UIDValidity: 2}); !errors.Is(err, ErrUIDValidity) {
		t.Error(err)
	}
	if err := m.Rename(ctx, "", "X", "Z"); err != nil {
		t.Fatal(err)
	}
	adopted(t, s, m, "Y", 2, 1)
	for _, to := range []string{"X", "Y", "X"} {
		from := map[string]string{"X": "Y", "Y": "X"}[to]
		before := named(t, m, from)
		if err := m.Rename(ctx, "", from, to); err != nil {
			t.Fatal(err)
		}
		if got := named(t, m, to); to == "X" && got.UIDValidity == 2 || to == "Y" && got.UIDValidity != before.UIDValidity {
			t.Errorf("%s: %+v", to, got)
		}
	}
}

// TestAdoptLast: the highest UIDVALIDITY there is can be adopted, is no damage, and
// leaves others to be given, also when mail.db is made of packs.
func TestAdoptLast(t *testing.T) {
	p := newPatient(t)
	adopted(t, p.s, p.m, "W", math.MaxUint32, 1)
	if _, err := p.m.Create(t.Context(), "", "V", ""); err != nil {
		t.Error(err)
	}
	verify(t, p.s, user1)
	p.lose(t, p.s.databasePath(user1), savedOf(t, p.s))
	p.reconstruct(t)
	if _, err := p.m.Create(t.Context(), "", "W", ""); err != nil {
		t.Error(err)
	}
}

// TestReconstructedNamesNeverRepeat: what came after the copy of mail.db, or all if there is none,
// is known from the packs alone, without names.
func TestReconstructedNamesNeverRepeat(t *testing.T) {
	for _, withCopy := range []bool{false, true} {
		t.Run(fmt.Sprintf("copy %v", withCopy), func(t *testing.T) {
			p := newPatient(t)
			known := triples{}
			adopted(t, p.s, p.m, "W", 77, 1)
			known.look(t, p.m)
			lost := []string{p.s.databasePath(user1)}
			if !withCopy {
				lost = append(lost, savedOf(t, p.s))
			}
			p.lose(t, lost...)
			p.reconstruct(t)
			known.look(t, p.m)
			st, err := p.m.Create(t.Context(), "", "W", "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.m.Adopt(t.Context(), "", st.ID, Origin{UIDValidity: 77}); !errors.Is(err, ErrUIDValidity) {
				t.Errorf("adopted: %v", err)
			}
			appendText(t, p.m, st.ID, mailText(999))
			known.look(t, p.m)
		})
	}
}

// TestRenewedUIDValidity: mailboxes that are made after mail was put back get other
// UIDVALIDITYs than those that were made, many at once, after the copy.
func TestRenewedUIDValidity(t *testing.T) {
	p := newPatient(t)
	given := map[mailbox.UIDValidity]bool{}
	create := func() {
		t.Helper()
		for n := range 50 {
			st, err := p.m.Create(t.Context(), "", fmt.Sprint("M", n), "")
			if err != nil {
				t.Fatal(err)
			}
			if given[st.UIDValidity] {
				t.Fatalf("UIDVALIDITY %d was given before", st.UIDValidity)
			}
			given[st.UIDValidity] = true
		}
	}
	create()
	p.lose(t, p.s.databasePath(user1))
	p.now = p.now.Add(10 * time.Second)
	p.reconstruct(t)
	create()
}

// namesMachine does to mailboxes all that gives one a name or a UIDVALIDITY.
type namesMachine struct {
	t     *rapid.T
	o     Options
	s     *Store
	m     *Mail
	now   time.Time
	known triples
	names *rapid.Generator[string]
	n     int // messages made
}

func newNamesMachine(t *rapid.T, conf string) *namesMachine {
	x := &namesMachine{t: t, now: time.Unix(1_700_000_000, 0), known: triples{}}
	x.o = Options{Conf: conf, RetainDeleted: rapid.Bool().Draw(t, "retain"), Now: func() time.Time { return x.now }}
	x.open()
	x.ok(x.s.CreateUser(context.Background(), user1, UserOptions{}))
	x.acquire()
	return x
}

func (x *namesMachine) open() {
	var err error
	x.s, err = Open(context.Background(), x.o)
	x.ok(err)
}

func (x *namesMachine) acquire() {
	var err error
	x.m, err = x.s.Acquire(context.Background(), user1)
	x.ok(err)
}

func (x *namesMachine) close() {
	x.m.Release()
	x.ok(x.s.Close())
}

// ok takes refusals for answers.
func (x *namesMachine) ok(err error) {
	for _, refusal := range []error{nil, ErrUIDValidity, ErrUID, ErrExists, ErrName, ErrNoMailbox, ErrInbox, ErrNoUIDs} {
		if errors.Is(err, refusal) {
			return
		}
	}
	x.t.Fatal(err)
}

// box returns a mailbox, which is made if there is none of its name.
func (x *namesMachine) box() mailbox.State {
	ctx := context.Background()
	name := x.names.Draw(x.t, "name")
	st, err := x.m.MailboxNamed(ctx, name)
	if errors.Is(err, ErrNoMailbox) {
		st, err = x.m.Create(ctx, "", name, "")
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return st
}

func (x *namesMachine) deliver(st mailbox.State) {
	x.n++
	message, err := x.s.Spool(context.Background(), strings.NewReader(mailText(x.n)))
	if err != nil {
		x.t.Fatal(err)
	}
	defer func() { x.ok(message.Close()) }()
	_, err = x.m.Append(context.Background(), "", Append{Mailbox: st.ID, Message: message, UID: mailbox.UID(rapid.IntRange(0, 3).Draw(x.t, "uid"))})
	x.ok(err)
}

func (x *namesMachine) validity() mailbox.UIDValidity {
	ahead := uint32(x.now.Unix()) + 3 // what the clock comes to
	return mailbox.UIDValidity(rapid.SampledFrom([]uint32{1, 1, 1, 2, ahead, math.MaxUint32}).Draw(x.t, "validity"))
}

// steps are what is done, some more often than others.
var namesSteps = []func(x *namesMachine, ctx context.Context) error{
	func(x *namesMachine, ctx context.Context) error {
		_, err := x.m.Adopt(ctx, "", x.box().ID, Origin{UIDValidity: x.validity()})
		return err
	},
	(*namesMachine).take,
	(*namesMachine).take,
	(*namesMachine).take,
	func(x *namesMachine, _ context.Context) error { x.deliver(x.box()); return nil },
	func(x *namesMachine, ctx context.Context) error { return x.m.Delete(ctx, "", x.box().ID) },
	func(x *namesMachine, ctx context.Context) error { return x.m.Delete(ctx, "", x.box().ID) },
	(*namesMachine).rename,
	(*namesMachine).rename,
	(*namesMachine).rename,
	func(x *namesMachine, ctx context.Context) error {
		st := x.box()
		_, err := x.m.Move(ctx, "", st.ID, mailbox.UIDRange(1, 2), x.box().ID)
		return err
	},
	func(x *namesMachine, ctx context.Context) error {
		_, err := x.m.Unexpunge(ctx, "", x.box().ID, mailbox.UIDSet{}, time.Time{})
		return err
	},
	(*namesMachine).unearth,
	(*namesMachine).unearth,
	(*namesMachine).rarely,
}

// take adopts and fills a mailbox, as an import does.
func (x *namesMachine) take(ctx context.Context) error {
	st := x.box()
	_, err := x.m.Adopt(ctx, "", st.ID, Origin{UIDValidity: x.validity()})
	x.deliver(st)
	return err
}

// room often deletes the mailbox that has a name.
func (x *namesMachine) room(ctx context.Context, name string) error {
	old, err := x.m.MailboxNamed(ctx, name)
	if errors.Is(err, ErrNoMailbox) || err == nil && rapid.IntRange(0, 3).Draw(x.t, "room") == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	return x.m.Delete(ctx, "", old.ID)
}

func (x *namesMachine) rename(ctx context.Context) error {
	from, to := x.box().Name, x.names.Draw(x.t, "to")
	if from != to {
		if err := x.room(ctx, to); err != nil {
			return err
		}
	}
	return x.m.Rename(ctx, "", from, to)
}

func (x *namesMachine) unearth(ctx context.Context) error {
	all, err := x.m.DeletedMailboxes(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	name := ""
	if rapid.Bool().Draw(x.t, "elsewhere") {
		name = x.names.Draw(x.t, "to")
		if err := x.room(ctx, name); err != nil {
			return err
		}
	}
	_, err = x.m.Unearth(ctx, "", all[rapid.IntRange(0, min(len(all), 4)-1).Draw(x.t, "grave")].State.ID, name)
	return err
}

// rarely does what few rounds have: each costs more, or leaves less to do.
func (x *namesMachine) rarely(ctx context.Context) error {
	switch rapid.IntRange(0, 29).Draw(x.t, "rarely") {
	case 0:
		return x.m.RaiseUIDNext(ctx, "", x.box().ID, mailbox.UID(rapid.IntRange(1, 5).Draw(x.t, "next")))
	case 1:
		_, err := x.m.Forget(ctx, x.now.Add(time.Hour))
		return err
	case 2:
		return x.m.Renew(ctx)
	case 3:
		return x.m.Rename(ctx, "", Inbox, x.names.Draw(x.t, "to"))
	case 4:
		x.close()
		x.open()
		x.acquire()
	case 5:
		return x.reconstruct(ctx)
	case 6:
		x.m.Release()
		err := x.s.Repair(ctx, user1, func(string) {})
		x.acquire()
		return err
	case 7: // a mailbox runs out of UIDs, and gets others when it is put back
		st := x.box()
		if err := x.m.RaiseUIDNext(ctx, "", st.ID, math.MaxUint32-10); err != nil {
			return err
		}
		return x.m.Renew(ctx)
	default:
		x.now = x.now.Add(time.Second)
	}
	return nil
}

// reconstruct loses mail.db. What is done with adopted UIDVALIDITYs after the copy
// without a delivery leaves no trace, so the copy is new.
func (x *namesMachine) reconstruct(ctx context.Context) error {
	if _, err := x.m.SaveDatabase(ctx); err != nil {
		return err
	}
	x.close()
	path := x.o.DatabaseFile(user1)
	x.open()
	if err := os.Remove(path); err != nil {
		return err
	}
	err := x.s.Reconstruct(ctx, user1, ReconstructOptions{}, func(string) {})
	x.acquire()
	return err
}

// TestNamesNeverRepeat: whatever is created, adopted, filled, renamed, deleted, brought
// back and put back, a triple of name, UIDVALIDITY and UID stands for one message.
// Each round has names of its own, because those of the last have given up what
// they could.
func TestNamesNeverRepeat(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := newNamesMachine(rt, memoryDir(t))
		defer x.close()
		for round := range 12 {
			top := fmt.Sprint("X", round)
			x.names = rapid.SampledFrom([]string{top, top, fmt.Sprint("Y", round), top + "/" + top})
			for range rapid.IntRange(15, 30).Draw(rt, "steps") {
				x.ok(rapid.SampledFrom(namesSteps).Draw(rt, "step")(x, context.Background()))
				x.known.look(rt, x.m)
			}
		}
		if err := x.s.Verify(context.Background(), user1, func(f Finding) { rt.Errorf("verify: %v", f) }); err != nil {
			rt.Error(err)
		}
	})
}
