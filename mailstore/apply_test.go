package mailstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// side is a slot of one user for tests of replication.
type side struct {
	s *Store
	m *Mail
}

// newSide opens a slot; with mail if it is a master.
func newSide(t testing.TB, slot string, master bool) *side {
	return newSideAt(t, slot, master, time.Now)
}

// newSideAt is newSide by a clock.
func newSideAt(t testing.TB, slot string, master bool, now func() time.Time) *side {
	t.Helper()
	s, err := Open(t.Context(), Options{Conf: memoryDir(t), Slot: slot, RetainDeleted: true, Now: now, CacheBytes: 8 << 20,
		Rand: rand.NewChaCha8(sha256.Sum256([]byte(slot)))}) // mailbox ids that a failing run gives again
	if err != nil {
		t.Fatal(err)
	}
	if master {
		err = s.CreateUser(t.Context(), user1, UserOptions{})
	} else {
		err = s.CreateReplica(t.Context(), user1)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	out := &side{s: s, m: m}
	t.Cleanup(func() { out.close(t) })
	return out
}

// close verifies the mail and ends the slot. It may be called twice.
func (s *side) close(t interface{ Fatalf(string, ...any) }) {
	if s.s == nil {
		return
	}
	err := s.s.Verify(context.Background(), user1, func(f Finding) { t.Fatalf("verify: %s", f) })
	s.m.Release()
	err = errors.Join(err, s.s.Close(), os.RemoveAll(s.s.o.Conf))
	s.s = nil
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// supply stages on the side to what it lacks of a change.
func supply(ctx context.Context, from, to *side, change *Change) error {
	for _, b := range change.Boxes {
		for _, e := range b.Entries {
			lacks, err := to.m.Lacks(ctx, []mailbox.GUID{e.GUID})
			if err != nil || len(lacks) == 0 {
				if err != nil {
					return err
				}
				continue
			}
			if err := stageOne(ctx, from, to, b.ID, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func stageOne(ctx context.Context, from, to *side, id mailbox.ID, e Entry) error {
	c, err := from.m.OpenGUID(ctx, e.GUID)
	if err != nil {
		return err
	}
	defer c.Close()
	msg, err := to.s.Spool(ctx, io.NewSectionReader(c, 0, c.Size))
	if err != nil {
		return err
	}
	defer msg.Close()
	return to.m.Stage(ctx, Staged{Message: msg, Thread: e.Thread, Mailbox: id, UID: e.UID, UIDValidity: 1, InternalDate: e.InternalDate})
}

// converge makes to what from is, as replication does, and reports whether all
// records of some mailbox had to be compared.
func converge(ctx context.Context, from, to *side) (compared bool, err error) {
	theirs, err := to.m.Image(ctx)
	if err != nil {
		return false, err
	}
	change, incomplete, err := from.m.Differ(ctx, &theirs, nil)
	if err != nil {
		return false, err
	}
	for range 2 {
		if len(incomplete) > 0 {
			compared = true
			known := map[mailbox.ID][]Entry{}
			for _, id := range incomplete {
				if known[id], err = to.m.Entries(ctx, id); err != nil {
					return compared, err
				}
			}
			if change, _, err = from.m.Differ(ctx, &theirs, known); err != nil {
				return compared, err
			}
		}
		if err := supply(ctx, from, to, &change); err != nil {
			return compared, err
		}
		err = to.m.Apply(ctx, theirs.Digest(), &change)
		var unequal *Unequal
		if !errors.As(err, &unequal) {
			return compared, err
		}
		incomplete = unequal.Mailboxes
	}
	return compared, err
}

// same fails if a client could tell the two apart.
func same(t interface{ Fatalf(string, ...any) }, a, b *side) {
	alike(t, a, b)
	all, err := a.m.Mailboxes(context.Background())
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, st := range all {
		sameBytes(t, a, b, st.ID)
	}
}

// alike is same without the messages' bytes.
func alike(t interface{ Fatalf(string, ...any) }, a, b *side) {
	ctx := context.Background()
	x, err := a.m.Image(ctx)
	y, err2 := b.m.Image(ctx)
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("%v", err)
	}
	if x.Digest() != y.Digest() {
		t.Fatalf("digests differ:\n%+v\n%+v", x, y)
	}
	for i := range x.Mailboxes {
		id := x.Mailboxes[i].ID
		p, err := a.m.Entries(ctx, id)
		q, err2 := b.m.Entries(ctx, id)
		if err := errors.Join(err, err2); err != nil {
			t.Fatalf("%v", err)
		}
		live := func(all []Entry) []Entry {
			return slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.Expunged })
		}
		if !slices.EqualFunc(live(p), live(q), Entry.same) {
			t.Fatalf("%s: records differ:\n%+v\n%+v", x.Mailboxes[i].Name, p, q)
		}
		horizon := max(x.Mailboxes[i].Horizon, y.Mailboxes[i].Horizon)
		gone := func(all []Entry) []Entry {
			return slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return !e.Expunged || e.ModSeq <= horizon })
		}
		if !slices.EqualFunc(gone(p), gone(q), Entry.same) {
			t.Fatalf("%s: expunged records differ:\n%+v\n%+v", x.Mailboxes[i].Name, gone(p), gone(q))
		}
	}
}

// sameBytes fails unless both sides give the same bytes of a mailbox's messages.
func sameBytes(t interface{ Fatalf(string, ...any) }, a, b *side, id mailbox.ID) {
	entries, err := a.m.Entries(context.Background(), id)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, e := range entries {
		if e.Expunged {
			continue
		}
		var got [2][]byte
		for i, s := range []*side{a, b} {
			c, err := s.m.OpenGUID(context.Background(), e.GUID)
			if err != nil {
				t.Fatalf("side %d: %v", i, err)
			}
			var buf bytes.Buffer
			if _, err := buf.ReadFrom(io.NewSectionReader(c, 0, c.Size)); err != nil {
				t.Fatalf("side %d: %v", i, err)
			}
			got[i] = buf.Bytes()
			if err := c.Close(); err != nil {
				t.Fatalf("%v", err)
			}
		}
		if !bytes.Equal(got[0], got[1]) {
			t.Fatalf("bytes of %s differ", e.GUID)
		}
	}
}

// works is what a user does to his mail; draws choose.
type works struct {
	*side
	t    *rapid.T
	n    int
	name string // of the slot, in its messages
}

func (w *works) box(label string) mailbox.State {
	all, err := w.m.Mailboxes(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return rapid.SampledFrom(all).Draw(w.t, label)
}

// uids are some UIDs of a mailbox, mostly those of messages: restored mail leaves a million unused.
func (w *works) uids(b mailbox.State) mailbox.UIDSet {
	v, err := w.m.View(context.Background(), b.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(v.Records) > 0 && rapid.IntRange(0, 3).Draw(w.t, "there") > 0 {
		at := rapid.IntRange(0, len(v.Records)-1).Draw(w.t, "message")
		return mailbox.UIDRange(v.Records[at].UID, v.Records[min(at+rapid.IntRange(0, 3).Draw(w.t, "more"), len(v.Records)-1)].UID)
	}
	lo := rapid.Uint32Range(1, max(1, uint32(b.UIDNext))).Draw(w.t, "lo")
	return mailbox.UIDRange(mailbox.UID(lo), mailbox.UID(lo+rapid.Uint32Range(0, 3).Draw(w.t, "more")))
}

// known are errors that a client may meet as well.
func (w *works) must(err error) {
	for _, known := range []error{nil, ErrExists, ErrName, ErrInbox, ErrNoMailbox, ErrOverQuota} {
		if errors.Is(err, known) {
			return
		}
	}
	w.t.Fatal(err)
}

func (w *works) append(ctx context.Context) error {
	_, err := w.deliver(ctx)
	return err
}

// deliver appends a message to some mailbox.
func (w *works) deliver(ctx context.Context) (mailbox.GUID, error) { return w.deliverTo(ctx, "") }

// deliverTo delivers to a mailbox; "": any.
func (w *works) deliverTo(ctx context.Context, box mailbox.ID) (mailbox.GUID, error) {
	w.n++
	parent := rapid.IntRange(0, w.n).Draw(w.t, "parent")
	text := fmt.Sprintf("Message-ID: <%d@x>\r\nIn-Reply-To: <%d@x>\r\nSubject: %d\r\n\r\nbody %s%s\r\n", w.n, parent, w.n, w.name, strings.Repeat("x", w.n%7))
	if rapid.Bool().Draw(w.t, "again") {
		text = "Message-ID: <same@x>\r\n\r\nthe same\r\n"
	}
	msg, err := w.s.Spool(ctx, strings.NewReader(text))
	if err != nil {
		return mailbox.GUID{}, err
	}
	defer msg.Close()
	if box == "" {
		box = w.box("into").ID
	}
	recs, err := w.m.Append(ctx, "", Append{Mailbox: box, Message: msg, Flags: mailbox.MakeFlags(`\Seen`, "Key")})
	if err != nil {
		return mailbox.GUID{}, err
	}
	return recs[0].GUID, nil
}

// dropUIDs expunges messages.
func (w *works) dropUIDs(ctx context.Context, id mailbox.ID, uids mailbox.UIDSet) error {
	_, err := w.m.StoreFlags(ctx, "", id, uids, AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	if err == nil {
		_, _, err = w.m.Expunge(ctx, "", id, &uids)
	}
	return err
}

// adopt makes a mailbox that goes on where another server's ends.
func (w *works) adopt(ctx context.Context) error {
	name := rapid.SampledFrom([]string{"a", "b", "d"}).Draw(w.t, "adopted")
	b, err := w.m.Create(ctx, "", name, "")
	if err != nil {
		return err
	}
	o := Origin{UIDValidity: mailbox.UIDValidity(rapid.IntRange(1, 3).Draw(w.t, "validity")), HighestModSeq: mailbox.ModSeq(rapid.IntRange(1, 500).Draw(w.t, "highest"))}
	_, err = w.m.Adopt(ctx, "", b.ID, o)
	if errors.Is(err, ErrUIDValidity) {
		return nil
	}
	if err == nil {
		err = w.m.RaiseUIDNext(ctx, "", b.ID, mailbox.UID(rapid.IntRange(1, 5).Draw(w.t, "next")))
	}
	return err
}

// actions are what users do; their names are the steps of a failing run.
func (w *works) actions() map[string]func(context.Context) error {
	name := func() string { return rapid.SampledFrom([]string{"a", "b", "a/c", "d", "Trash"}).Draw(w.t, "name") }
	return map[string]func(context.Context) error{
		"append":  w.append,
		"append2": w.append,
		"flags": func(ctx context.Context) error {
			b := w.box("of")
			op := rapid.SampledFrom([]FlagOp{ReplaceFlags, AddFlags, RemoveFlags}).Draw(w.t, "op")
			_, err := w.m.StoreFlags(ctx, "", b.ID, w.uids(b), op, mailbox.MakeFlags(`\Deleted`, rapid.SampledFrom([]string{"Key", "other"}).Draw(w.t, "word")), nil)
			return err
		},
		"drop": func(ctx context.Context) error {
			b := w.box("of")
			return w.dropUIDs(ctx, b.ID, w.uids(b))
		},
		"expunge": func(ctx context.Context) error { _, _, err := w.m.Expunge(ctx, "", w.box("of").ID, nil); return err },
		"move": func(ctx context.Context) error {
			b := w.box("from")
			_, err := w.m.Move(ctx, "", b.ID, w.uids(b), w.box("to").ID)
			return err
		},
		"copy": func(ctx context.Context) error {
			b := w.box("from")
			_, err := w.m.Copy(ctx, "", b.ID, w.uids(b), w.box("to").ID)
			return err
		},
		"create":    func(ctx context.Context) error { _, err := w.m.Create(ctx, "", name(), ""); return err },
		"delete":    func(ctx context.Context) error { return w.m.Delete(ctx, "", w.box("of").ID) },
		"rename":    func(ctx context.Context) error { return w.m.Rename(ctx, "", w.box("of").Name, name()) },
		"subscribe": func(ctx context.Context) error { return w.m.Subscribe(ctx, "", name(), rapid.Bool().Draw(w.t, "on")) },
		"quota": func(ctx context.Context) error {
			return w.m.SetQuota(ctx, Quota{Messages: rapid.Int64Range(50, 90).Draw(w.t, "quota")})
		},
		"forget": func(ctx context.Context) error {
			_, err := w.m.Forget(ctx, w.s.o.Now().Add(1e12))
			return err
		},
		"inbox": func(ctx context.Context) error { return w.m.Rename(ctx, "", Inbox, name()) },
		"unexpunge": func(ctx context.Context) error {
			b := w.box("of")
			_, err := w.m.Unexpunge(ctx, "", b.ID, w.uids(b), time.Time{})
			return err
		},
		"unearth": func(ctx context.Context) error {
			all, err := w.m.DeletedMailboxes(ctx)
			if err != nil || len(all) == 0 {
				return err
			}
			_, err = w.m.Unearth(ctx, "", rapid.SampledFrom(all).Draw(w.t, "grave").State.ID, name())
			return err
		},
		"expire": func(ctx context.Context) error {
			b := w.box("of")
			age := Age{After: time.Duration(rapid.IntRange(1, 60).Draw(w.t, "age")) * time.Second}
			err := w.m.SetSetting(ctx, b.ID, SettingExpire, &age)
			if err == nil {
				_, err = w.m.Expire(ctx)
			}
			return errors.Join(err, w.m.SetSetting(ctx, b.ID, SettingExpire, nil))
		},
		"adopt": w.adopt,
		"raise": func(ctx context.Context) error {
			b := w.box("of")
			return w.m.RaiseUIDNext(ctx, "", b.ID, b.UIDNext+mailbox.UID(rapid.IntRange(0, 3).Draw(w.t, "by")))
		},
		"swap": func(ctx context.Context) error {
			for _, pair := range [][2]string{{"a", "t"}, {"b", "a"}, {"t", "b"}} {
				if err := w.m.Rename(ctx, "", pair[0], pair[1]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// TestApplyConverges: whatever happens to mail, after each step or several of them a
// replica becomes equal, also one that is new, and both are whole.
func TestApplyConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		master, replica, late := newSide(t, "A", true), newSide(t, "B", false), newSide(t, "C", false)
		w := &works{side: master, t: rt}
		actions := w.actions()
		names := slices.Sorted(func(yield func(string) bool) {
			for n := range actions {
				if !yield(n) {
					return
				}
			}
		})
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "step")
			w.must(actions[name](ctx))
			if rapid.Bool().Draw(rt, "sync") {
				if _, err := converge(ctx, master, replica); err != nil {
					rt.Fatalf("after %s: %v", name, err)
				}
				same(rt, master, replica)
			}
		}
		for _, s := range []*side{replica, late} {
			if _, err := converge(ctx, master, s); err != nil {
				rt.Fatal(err)
			}
			same(rt, master, s)
		}
	})
}
