package mailstore

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
)

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"inbox": "INBOX", "InBox/a": "INBOX/a", "a/inbox": "a/inbox", "Inboxes": "Inboxes", "Entwürfe/été": "Entwürfe/été", "a%*": "a%*",
		"": "", "/": "", "/a": "", "a/": "", "a//b": "", "a\x00": "", "a\nb": "", "\xff": "", "a\u2028": "", "\u0085": "",
		"e\u0301te\u0301": "été", "\u212b": "Å", strings.Repeat("\ufb2c", maxName/3): "", // which NFC makes longer
		strings.Repeat("x", maxName): strings.Repeat("x", maxName), strings.Repeat("x", maxName+1): "",
		strings.Repeat("a/", maxLevels-1) + "a": strings.Repeat("a/", maxLevels-1) + "a", strings.Repeat("a/", maxLevels) + "a": "",
	} {
		got, err := CleanName(in)
		if got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("CleanName(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("inbox/a")
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := CleanName(name)
		if err != nil {
			return
		}
		if again, err := CleanName(clean); again != clean || err != nil {
			t.Errorf("%q is %q is %q, %v", name, clean, again, err)
		}
	})
}

func names(t *testing.T, m *Mail) string {
	t.Helper()
	all, err := m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, st := range all {
		out = append(out, st.Name+st.SpecialUse)
	}
	return strings.Join(out, " ")
}

const defaultNames = `Archive\Archive Drafts\Drafts INBOX Junk\Junk Sent\Sent Trash\Trash`

func TestNewUser(t *testing.T) {
	s, m := newStore(t, Options{})
	if got := names(t, m); got != defaultNames {
		t.Errorf("a new user has %s", got)
	}
	subs, err := m.Subscriptions(t.Context())
	if err != nil || len(subs) != 6 {
		t.Errorf("subscriptions: %v, %v", subs, err)
	}
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("the same user again: %v", err)
	}
	if _, err := s.Acquire(t.Context(), "fedcba9876543210fedcba9876543210"); !errors.Is(err, ErrNoUser) {
		t.Errorf("another user: %v", err)
	}
	for _, bad := range []mailbox.User{"", "x", "../../../../../../../../etc/passwd"} {
		if err := s.CreateUser(t.Context(), bad, UserOptions{}); !errors.Is(err, mailbox.ErrUserID) {
			t.Errorf("user %q: %v", bad, err)
		}
		if _, err := s.Acquire(t.Context(), bad); !errors.Is(err, mailbox.ErrUserID) {
			t.Errorf("acquire %q: %v", bad, err)
		}
	}
}

func TestCreateRenameDelete(t *testing.T) {
	_, m := newStore(t, Options{})
	ctx := t.Context()
	run := func(err error, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	_, err := m.Create(ctx, "", "a/b/c/", `\Junk`)
	run(err, ErrUseTaken)
	_, err = m.Create(ctx, "", "Sent", `\Sent`)
	run(err, ErrExists)
	if got := names(t, m); got != defaultNames {
		t.Errorf("refused, and made: %s", got)
	}
	run(m.Delete(ctx, "", named(t, m, "Junk").ID), nil)
	_, err = m.Create(ctx, "", "a/b/c/", `\Junk`)
	run(err, nil)
	_, err = m.Create(ctx, "", "Inbox", "")
	run(err, ErrExists)
	_, err = m.Create(ctx, "", "x", `\Noselect`)
	run(err, ErrSpecialUse)
	_, err = m.Create(ctx, "", "x//y", "")
	run(err, ErrName)
	if got, want := names(t, m), `Archive\Archive Drafts\Drafts INBOX Sent\Sent Trash\Trash a a/b a/b/c\Junk`; got != want {
		t.Errorf("have %s, want %s", got, want)
	}
	before := named(t, m, "a/b/c")
	run(m.Rename(ctx, "", "a", "a/b/d"), ErrName)
	run(m.Rename(ctx, "", "a", "Sent"), ErrExists)
	run(m.Rename(ctx, "", "none", "new"), ErrNoMailbox)
	run(m.Rename(ctx, "", "a/b", "z/y"), nil)
	after := named(t, m, "z/y/c")
	if after.ID != before.ID || after.UIDValidity != before.UIDValidity || after.SpecialUse != before.SpecialUse {
		t.Errorf("renamed to %+v, was %+v", after, before)
	}
	run(m.Delete(ctx, "", named(t, m, "z/y").ID), nil)
	run(m.Delete(ctx, "", before.ID+""), nil)
	run(m.Delete(ctx, "", before.ID), ErrNoMailbox)
	run(m.Delete(ctx, "", named(t, m, Inbox).ID), ErrInbox)
	if got, want := names(t, m), `Archive\Archive Drafts\Drafts INBOX Sent\Sent Trash\Trash a z`; got != want {
		t.Errorf("have %s, want %s", got, want)
	}
}

// TestSetSpecialUse: a use goes from one mailbox to another, and two never have the same.
func TestSetSpecialUse(t *testing.T) {
	_, m := newStore(t, Options{})
	ctx := t.Context()
	for _, name := range []string{"Sent Items", "Sent Mail"} {
		if _, err := m.Create(ctx, "", name, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ name, use, want string }{
		{"Sent Items", `\Sent`, `Archive\Archive Drafts\Drafts INBOX Junk\Junk Sent Sent Items\Sent Sent Mail Trash\Trash`},
		{"Sent Items", `\Sent`, `Archive\Archive Drafts\Drafts INBOX Junk\Junk Sent Sent Items\Sent Sent Mail Trash\Trash`},
		{"Sent Mail", `\Sent`, `Archive\Archive Drafts\Drafts INBOX Junk\Junk Sent Sent Items Sent Mail\Sent Trash\Trash`},
		{"Trash", `\Sent`, `Archive\Archive Drafts\Drafts INBOX Junk\Junk Sent Sent Items Sent Mail Trash\Sent`},
		{"Junk", "", `Archive\Archive Drafts\Drafts INBOX Junk Sent Sent Items Sent Mail Trash\Sent`},
	} {
		if err := m.SetSpecialUse(ctx, named(t, m, step.name).ID, step.use); err != nil {
			t.Fatal(err)
		}
		if got := names(t, m); got != step.want {
			t.Errorf("%s has %s: %s, want %s", step.name, step.use, got, step.want)
		}
	}
	if err := m.SetSpecialUse(ctx, named(t, m, Inbox).ID, `\All`); !errors.Is(err, ErrSpecialUse) {
		t.Errorf("a use that there is none of: %v", err)
	}
	if err := m.SetSpecialUse(ctx, "none", `\Sent`); !errors.Is(err, ErrNoMailbox) {
		t.Errorf("no mailbox: %v", err)
	}
}

// TestRenameLevel renames a level that is no mailbox, for what is below it, and
// onto the name of one of the mailboxes that move.
func TestRenameLevel(t *testing.T) {
	_, m := newStore(t, Options{})
	if _, err := m.Create(t.Context(), "", "a/b/a", ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context(), "", named(t, m, "a").ID); err != nil {
		t.Fatal(err)
	}
	if err := m.Rename(t.Context(), "", "a", "n/a"); err != nil {
		t.Fatal(err)
	}
	if err := m.Rename(t.Context(), "", "n/a/b", "n/a"); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, m), defaultNames+" n n/a n/a/a"; got != want {
		t.Errorf("have %s, want %s", got, want)
	}
}

func TestThreads(t *testing.T) {
	_, m := newStore(t, Options{})
	id := named(t, m, Inbox).ID
	var recs []mailbox.Record
	for _, body := range []string{
		"Message-ID: <1@x>\r\n\r\nthe first\r\n",
		"Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\nan answer\r\n",
		"Message-ID: <4@x>\r\nReferences: <1@x> <2@x> <3@x>\r\n\r\ncame before what it answers\r\n",
		"Message-ID: <3@x>\r\nReferences: <2@x>\r\n\r\ncame late\r\n",
		"Message-ID: <9@x>\r\nReferences: <8@x>\r\n\r\nanother thread, whose first is missing\r\n",
		"Message-ID: <7@x>\r\nReferences: <8@x>\r\n\r\nits other answer\r\n",
		"Subject: alone\r\n\r\nno message-id\r\n",
		"Subject: alone\r\n\r\nno message-id either\r\n",
	} {
		recs = append(recs, appendText(t, m, id, body))
	}
	ids, err := m.ThreadIDs(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	want := []int{0, 0, 0, 0, 4, 4, 6, 7}
	for i, w := range want {
		if ids[i] != "T"+recs[w].GUID.String()[:24] {
			t.Errorf("message %d is in thread %s, want that of message %d", i, ids[i], w)
		}
	}
}

func TestEvents(t *testing.T) {
	var got []mailbox.Event
	_, m := newStore(t, Options{Notify: func(e mailbox.Event) { got = append(got, e) }})
	ctx := t.Context()
	inbox, trash := named(t, m, Inbox), named(t, m, "Trash")
	got = nil
	for n := range 3 {
		appendText(t, m, inbox.ID, mailText(n))
	}
	check := func(want ...mailbox.Event) {
		t.Helper()
		for i := range want {
			want[i].User = user1
		}
		equal := slices.EqualFunc(got, want, func(a, b mailbox.Event) bool {
			return a.User == b.User && a.Mailbox == b.Mailbox && a.Kind == b.Kind && a.UIDs.Equal(b.UIDs) && a.Session == b.Session && a.ModSeq > 0
		})
		if !equal {
			t.Errorf("events %+v, want %+v", got, want)
		}
		got = nil
	}
	e := func(id mailbox.ID, k mailbox.Kind, session string, uids ...mailbox.UID) mailbox.Event {
		return mailbox.Event{Mailbox: id, Kind: k, Session: session, UIDs: mailbox.UIDs(uids...)}
	}
	check(e(inbox.ID, mailbox.Appended, "", 1), e(inbox.ID, mailbox.Appended, "", 2), e(inbox.ID, mailbox.Appended, "", 3))
	if _, err := m.Move(ctx, "me", inbox.ID, mailbox.UIDRange(2, 9), trash.ID); err != nil {
		t.Fatal(err)
	}
	check(e(trash.ID, mailbox.Appended, "me", 1, 2), e(inbox.ID, mailbox.Expunged, "me", 2, 3))
	for range 2 { // the second changes nothing
		if _, err := m.StoreFlags(ctx, "me", inbox.ID, mailbox.UIDs(1), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			t.Fatal(err)
		}
	}
	check(e(inbox.ID, mailbox.FlagsStored, "me", 1))
	if _, _, err := m.Expunge(ctx, "me", inbox.ID, nil); err != nil {
		t.Fatal(err)
	}
	check(e(inbox.ID, mailbox.Expunged, "me", 1))
	st, err := m.Create(ctx, "me", "n", "")
	if err != nil {
		t.Fatal(err)
	}
	check(e(st.ID, mailbox.Created, "me"))
	if err := m.Rename(ctx, "me", "n", "o"); err != nil {
		t.Fatal(err)
	}
	check(e(st.ID, mailbox.Renamed, "me"))
	if err := m.Subscribe(ctx, "me", "o", true); err != nil {
		t.Fatal(err)
	}
	check(e(st.ID, mailbox.Subscribed, "me"))
	if err := m.Delete(ctx, "me", st.ID); err != nil {
		t.Fatal(err)
	}
	check(e(st.ID, mailbox.Removed, "me"))
}

// TestRemoveUser leaves nothing of a user, and everything of others and of what
// the package did not make.
func TestRemoveUser(t *testing.T) {
	dir := t.TempDir()
	o := Options{Conf: dir, Spool: t.TempDir(), Archive: t.TempDir(), ArchiveSize: 2000}
	s, m := newStore(t, o)
	const other = mailbox.User("0123456789abcdef0123456789abcdee")
	if err := s.CreateUser(t.Context(), other, UserOptions{}); err != nil {
		t.Fatal(err)
	}
	om, err := s.Acquire(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	appendText(t, om, named(t, om, Inbox).ID, sized(1, 100))
	appendText(t, om, named(t, om, Inbox).ID, sized(2, 5000))
	activefile := filepath.Join(dir, other.Dir(), "index.active")
	if err := os.WriteFile(activefile, []byte("temp:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveUser(t.Context(), other); !errors.Is(err, ErrBusy) {
		t.Errorf("a user in use: %v", err)
	}
	om.Release()
	for range 2 { // removing who is gone is no error
		if err := s.RemoveUser(t.Context(), other); err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range []string{o.Spool, o.Archive} {
		if _, err := os.Stat(filepath.Join(root, other.Dir())); !os.IsNotExist(err) {
			t.Errorf("%s is there", filepath.Join(root, other.Dir()))
		}
	}
	left, err := os.ReadDir(filepath.Dir(activefile))
	if err != nil || len(left) != 1 {
		t.Errorf("left of the user: %v, %v", left, err)
	}
	if _, err := s.Acquire(t.Context(), other); !errors.Is(err, ErrNoUser) {
		t.Errorf("acquire: %v", err)
	}
	appendText(t, m, named(t, m, Inbox).ID, sized(3, 100))
}

// TestLargeMessages spools beyond memory, and beyond what is allowed.
func TestLargeMessages(t *testing.T) {
	o := Options{Conf: t.TempDir(), Archive: t.TempDir(), MemoryMessage: 1000, ArchiveSize: 5000, MaxMessage: 20_000}
	s, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	for _, size := range []int{999, 1000, 1001, 5000, 5001, 20_000} {
		body := strings.Repeat("x", size)
		r := appendText(t, m, id, body)
		if r.Size != int64(size) || r.GUID != mailbox.GUIDOf([]byte(body)) || bytesOf(t, m, id, r) != body {
			t.Errorf("message of %d bytes is %+v", size, r)
		}
	}
	if _, err := s.Spool(t.Context(), strings.NewReader(strings.Repeat("x", 20_001))); !errors.Is(err, ErrTooBig) {
		t.Errorf("too big: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(o.Conf, incoming)); err != nil || len(left) != 4 {
		t.Errorf("%d files wait, 4 messages are open: %v", len(left), err)
	}
	if packs, err := filepath.Glob(filepath.Join(o.Archive, user1.Dir(), "*.pack")); err != nil || len(packs) != 1 {
		t.Errorf("packs in the archive: %v, %v", packs, err)
	}
}
