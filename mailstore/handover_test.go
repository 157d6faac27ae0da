package mailstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
)

const user2 mailbox.User = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// secondUser makes another user of a store.
func secondUser(t *testing.T, s *Store) *Mail {
	t.Helper()
	if err := s.CreateUser(t.Context(), user2, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err := s.Acquire(t.Context(), user2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	return m
}

// verifyBoth verifies the mail of both users.
func verifyBoth(t *testing.T, s *Store) {
	t.Helper()
	for _, u := range []mailbox.User{user1, user2} {
		if err := s.Verify(t.Context(), u, func(f Finding) { t.Errorf("verify: %s", f) }); err != nil {
			t.Error(err)
		}
	}
}

// given makes a mailbox with live, changed and expunged messages.
func given(t *testing.T, a *side) (mailbox.ID, []Entry) {
	t.Helper()
	ctx := t.Context()
	st, err := a.m.Create(ctx, "", "work", "")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 9 {
		a.put(t, "work", fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: %d\r\n\r\n", n, n))
	}
	a.store(t, st.ID, 3, `\Seen`)
	a.store(t, st.ID, 4, "Key")
	a.remove(t, st.ID, 5)
	a.remove(t, st.ID, 9)
	err = errors.Join(a.m.SetSpecialUse(ctx, st.ID, `\Junk`), a.m.Subscribe(ctx, "", "work", true), a.m.SetSetting(ctx, st.ID, SettingExpire, &Age{After: time.Hour * 9999}))
	all, err2 := a.m.Entries(ctx, st.ID)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return st.ID, all
}

func noBegin(*Handover) error { return nil }

// TestHandOver: a mailbox that gets another owner is what it was, with mod-sequences above both owners', and is
// no longer the old one's; what is brought back and delivered there goes on as before.
func TestHandOver(t *testing.T) {
	ctx := t.Context()
	a := newSide(t, "a", true)
	to := secondUser(t, a.s)
	id, before := given(t, a)
	was, err := a.m.Handover(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.m.HandOver(ctx, id, to, "team/work", noBegin); err != nil {
		t.Fatal(err)
	}
	if _, err := a.m.Mailbox(ctx, id); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("the old owner has it: %v", err)
	}
	if graves, err := a.m.DeletedMailboxes(ctx); err != nil || len(graves) > 0 {
		t.Errorf("the old owner could bring it back: %v, %v", graves, err)
	}
	now, err := to.Handover(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := a.m.Image(ctx)
	theirs, err2 := to.Image(ctx)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if now.Box.Name != "team/work" || now.Box.UIDValidity != was.Box.UIDValidity || now.Box.UIDNext != was.Box.UIDNext || now.Box.SpecialUse != "" ||
		now.Box.Counts != was.Box.Counts || !slices.Equal(now.Box.Settings, was.Box.Settings) || !now.Subscribed {
		t.Errorf("it was\n%+v, and is\n%+v", was, now)
	}
	if now.Box.HighestModSeq <= was.Box.HighestModSeq || theirs.ModSeq != now.Box.HighestModSeq || slices.Contains(mine.Subscriptions, "work") {
		t.Errorf("mod-sequences: it had %d, it has %d, its owner %d; the old one subscribes to %q", was.Box.HighestModSeq, now.Box.HighestModSeq, theirs.ModSeq, mine.Subscriptions)
	}
	alike := func(x, y Entry) bool {
		x.ModSeq, x.CreatedModSeq = y.ModSeq, y.CreatedModSeq
		return x.same(y)
	}
	if !slices.EqualFunc(before, now.Entries, alike) {
		t.Errorf("its records were\n%+v, and are\n%+v", before, now.Entries)
	}
	if back, err := to.Unexpunge(ctx, "", id, mailbox.UIDRange(5, 5), time.Time{}); err != nil || len(back.To) != 1 {
		t.Errorf("an expunged message: %+v, %v", back, err)
	}
	b := &side{s: a.s, m: to}
	if r := b.put(t, "team/work", "Subject: next\r\n\r\n"); r.UID != 11 {
		t.Errorf("the next message has UID %d", r.UID)
	}
	if _, err := a.m.Forget(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, e := range now.Entries {
		c, err := to.OpenGUID(ctx, e.GUID)
		if err != nil {
			t.Fatalf("UID %d: %v", e.UID, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	verifyBoth(t, a.s)
	if err := to.HandOver(ctx, id, a.m, "work", noBegin); err != nil { // and back
		t.Fatal(err)
	}
	again, err := a.m.Handover(ctx, id)
	if err != nil || again.Box.UIDValidity != was.Box.UIDValidity || again.Box.UIDNext != 12 || again.Box.HighestModSeq <= now.Box.HighestModSeq {
		t.Errorf("given back it is %+v, %v", again.Box, err)
	}
	verifyBoth(t, a.s)
}

// TestHandOverRefused: what cannot be, changes nothing.
func TestHandOverRefused(t *testing.T) {
	ctx := t.Context()
	a := newSide(t, "a", true)
	to := secondUser(t, a.s)
	id, _ := given(t, a)
	inbox := named(t, a.m, Inbox).ID
	broken := errors.New("no journal")
	for name, tc := range map[string]struct {
		id    mailbox.ID
		to    *Mail
		name  string
		quota Quota
		begin func(*Handover) error
		want  error
	}{
		"INBOX":        {inbox, to, "x", Quota{}, noBegin, ErrInbox},
		"to INBOX":     {id, to, "inbox", Quota{}, noBegin, ErrInbox},
		"a name taken": {id, to, "Sent", Quota{}, noBegin, ErrExists},
		"no name":      {id, to, "a//b", Quota{}, noBegin, ErrName},
		"no mailbox":   {"0123456789abcdef01234567", to, "x", Quota{}, noBegin, ErrNoMailbox},
		"its owner":    {id, a.m, "x", Quota{}, noBegin, nil},
		"over quota":   {id, to, "x", Quota{Messages: 6}, noBegin, ErrOverQuota},
		"no journal":   {id, to, "x", Quota{}, func(*Handover) error { return broken }, broken},
	} {
		if err := to.SetQuota(ctx, tc.quota); err != nil {
			t.Fatal(err)
		}
		x, err := a.m.Image(ctx)
		y, err2 := to.Image(ctx)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if err := a.m.HandOver(ctx, tc.id, tc.to, tc.name, tc.begin); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		p, err := a.m.Image(ctx)
		q, err2 := to.Image(ctx)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if x.Digest() != p.Digest() || y.Digest() != q.Digest() {
			t.Errorf("%s: something has changed", name)
		}
	}
	verifyBoth(t, a.s)
}

// TestHandOverKeepsNamesPromise: a name that stood for another mailbox under the same UIDVALIDITY does not stand for this one with it.
func TestHandOverKeepsNamesPromise(t *testing.T) {
	ctx := t.Context()
	a := newSide(t, "a", true)
	b := &side{s: a.s, m: secondUser(t, a.s)}
	id, _ := given(t, a)
	validity := named(t, a.m, "work").UIDValidity
	old, err := b.m.Create(ctx, "", "work", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.m.Adopt(ctx, "", old.ID, Origin{UIDValidity: validity}); err != nil {
		t.Fatal(err)
	}
	b.put(t, "work", "Subject: another\r\n\r\n")
	if err := b.m.Delete(ctx, "", old.ID); err != nil {
		t.Fatal(err)
	}
	if err := a.m.HandOver(ctx, id, b.m, "work", noBegin); err != nil {
		t.Fatal(err)
	}
	if now := named(t, b.m, "work"); now.UIDValidity == validity {
		t.Errorf("UIDVALIDITY %d stands for two mailboxes of one name", validity)
	}
	verifyBoth(t, a.s)
}

// TestHandOverIsOneStep: a client that sees a mailbox at its new owner does not find it at the old one's any longer.
func TestHandOverIsOneStep(t *testing.T) {
	var m *Mail
	var id mailbox.ID
	steps := 0
	s, m := newStore(t, Options{Conf: memoryDir(t), Slot: "a", Step: func(step string) {
		if step != StepTaken {
			return
		}
		steps++
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		for range 50 { // who may read at once does so in every other try
			if _, err := m.Mailbox(gone, id); !errors.Is(err, context.Canceled) {
				t.Fatalf("the old owner's mail is read while the mailbox is the new one's: %v", err)
			}
		}
	}})
	to := secondUser(t, s)
	id, _ = given(t, &side{s: s, m: m})
	if err := m.HandOver(t.Context(), id, to, "work", noBegin); err != nil || steps != 1 {
		t.Fatalf("%d steps, %v", steps, err)
	}
}

// TestYielded: after a crash the old owner's mailbox goes, unless something was changed there since.
func TestYielded(t *testing.T) {
	ctx := t.Context()
	for _, changed := range []bool{false, true} {
		a := newSide(t, "a", true)
		to := secondUser(t, a.s)
		id, _ := given(t, a)
		was, err := a.m.Handover(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(to.fetch(ctx, a.m, &was), to.take(ctx, user1, "work", &was)); err != nil { // and then the crash
			t.Fatal(err)
		}
		if changed {
			a.put(t, "work", "Subject: late\r\n\r\n")
		}
		for range 2 {
			err = a.m.Yielded(ctx, user2, &was.Box)
			if changed != (err != nil) {
				t.Errorf("changed %v: %v", changed, err)
			}
		}
		if _, err := a.m.Mailbox(ctx, id); changed != (err == nil) {
			t.Errorf("changed %v, and the old owner's mailbox: %v", changed, err)
		}
		verifyBoth(t, a.s)
	}
}

// TestHandOverKeepsBoth: a mailbox that two users have, since it was changed between a crash and the next start, is
// not begun to be given to the one who has it: what the old owner has of it would be taken for what is left of that.
func TestHandOverKeepsBoth(t *testing.T) {
	ctx := t.Context()
	a := newSide(t, "a", true)
	to := secondUser(t, a.s)
	id, _ := given(t, a)
	was, err := a.m.Handover(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(to.fetch(ctx, a.m, &was), to.take(ctx, user1, "work", &was)); err != nil { // and then the crash
		t.Fatal(err)
	}
	a.put(t, "work", "Subject: late\r\n\r\n")
	begun := false
	err = a.m.HandOver(ctx, id, to, "work once more", func(*Handover) error { begun = true; return nil })
	if !errors.Is(err, ErrExists) || begun {
		t.Errorf("begun %v: %v", begun, err)
	}
	verifyBoth(t, a.s)
}
