package replication

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// give gives a mailbox of one user to another.
func (n *node) give(from, to mailbox.User, name string) mailbox.ID {
	n.t.Helper()
	var id mailbox.ID
	n.mail(from, func(m *mailstore.Mail) error {
		st, err := m.MailboxNamed(n.t.Context(), name)
		if err != nil {
			return err
		}
		id = st.ID
		n.mail(to, func(theirs *mailstore.Mail) error {
			return m.HandOver(n.t.Context(), id, theirs, "from "+name, func(*mailstore.Handover) error { return nil })
		})
		return nil
	})
	return id
}

// holders are those of some users who have a mailbox.
func (n *node) holders(id mailbox.ID, users ...mailbox.User) (out []mailbox.User) {
	n.t.Helper()
	for _, u := range users {
		m, err := n.store.Acquire(n.t.Context(), u)
		if errors.Is(err, mailstore.ErrNoUser) {
			continue
		}
		must(n.t, err)
		if _, err = m.Mailbox(n.t.Context(), id); err == nil {
			out = append(out, u)
		} else if !errors.Is(err, mailstore.ErrNoMailbox) {
			n.t.Error(err)
		}
		m.Release()
	}
	return out
}

// TestMailboxChangesOwner: a replica has a mailbox that changed its owner once, whichever of the two users
// is synced first, and then both are what they are at the master. No message is sent twice for it.
func TestMailboxChangesOwner(t *testing.T) {
	for _, oldFirst := range []bool{false, true} {
		a, b, c := pair(t)
		u, v, w := a.user("anna"), a.user("bert"), a.user("carl")
		for i := range 5 {
			a.deliver(u, "Archive", letter(i))
		}
		for _, x := range []mailbox.User{u, v, w} {
			a.sync(c, x)
		}
		id := a.give(u, v, "Archive")
		first, then := v, u
		if oldFirst {
			first, then = u, v
		}
		a.sync(c, first)
		if got := b.holders(id, u, v); len(got) != 1 || got[0] != v {
			t.Errorf("old owner first %v: after the first sync the replica has the mailbox with %v", oldFirst, got)
		}
		a.sync(c, then)
		same(t, u, a, b)
		same(t, v, a, b)
		id = a.give(v, w, "from Archive") // and on, twice, before anything is synced
		a.give(w, u, "from from Archive")
		for _, x := range []mailbox.User{v, w, u} {
			a.sync(c, x)
			if got := b.holders(id, u, v, w); len(got) == 0 {
				t.Errorf("the replica has the mailbox nowhere")
			}
		}
		for _, x := range []mailbox.User{u, v, w} {
			same(t, x, a, b)
		}
		if s := a.sync(c, u); s.Rounds != 0 {
			t.Errorf("what is equal took %d rounds", s.Rounds)
		}
	}
}

// doctor runs a statement on a user's mail.db behind the program's back.
func (n *node) doctor(u mailbox.User, statement string) {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(n.dir, u.Dir(), "mail.db"))
	must(n.t, err)
	_, err = db.Exec(statement)
	must(n.t, errors.Join(err, db.Close()))
}

// TestMailboxOfTwo: a mailbox that both users have at the master, since it was changed after a crash between the two transactions,
// both have on the replica.
func TestMailboxOfTwo(t *testing.T) {
	a, b, c := pair(t)
	u, v := a.user("anna"), a.user("bert")
	a.deliver(u, "Archive", letter(1))
	a.doctor(u, `CREATE TRIGGER crash BEFORE DELETE ON mailbox BEGIN SELECT RAISE(ABORT, 'crash'); END`)
	var id mailbox.ID
	a.mail(u, func(m *mailstore.Mail) error {
		st, err := m.MailboxNamed(t.Context(), "Archive")
		must(t, err)
		id = st.ID
		a.mail(v, func(theirs *mailstore.Mail) error {
			if err := m.HandOver(t.Context(), id, theirs, "from Archive", func(*mailstore.Handover) error { return nil }); err == nil {
				t.Fatal("nothing went wrong")
			}
			return nil
		})
		return nil
	})
	a.doctor(u, `DROP TRIGGER crash`)
	a.deliver(u, "Archive", letter(2))
	for _, x := range []mailbox.User{u, v} {
		a.sync(c, x)
	}
	if got := b.holders(id, u, v); len(got) != 2 {
		t.Errorf("the replica has the mailbox with %v, the master with %v", got, a.holders(id, u, v))
	}
	same(t, u, a, b)
	same(t, v, a, b)
}

// TestMailboxesGoOnInChain: while one user is brought to a replica before another, what he gave to a third is there, too.
func TestMailboxesGoOnInChain(t *testing.T) {
	a, b, c := pair(t)
	u, v, w := a.user("anna"), a.user("bert"), a.user("carl")
	a.deliver(u, "Archive", letter(1))
	a.deliver(v, "Archive", letter(2))
	for _, x := range []mailbox.User{u, v, w} {
		a.sync(c, x)
	}
	ids := []mailbox.ID{a.give(v, w, "Archive"), a.give(u, v, "Archive")}
	a.sync(c, u)
	for i, id := range ids {
		if got := b.holders(id, u, v, w); len(got) != 1 {
			t.Errorf("after the first sync the replica has mailbox %d with %v", i, got)
		}
	}
	for _, x := range []mailbox.User{u, v, w} {
		a.sync(c, x)
		same(t, x, a, b)
	}
}

// never watches the commits of a replica: at none of them, where it may be killed, are mailboxes with nobody.
func (n *node) never(absent []mailbox.ID, users ...mailbox.User) (steps *int) {
	n.t.Helper()
	steps = new(int)
	n.step = func(step string) {
		if step != mailstore.StepCommitted {
			return
		}
		*steps++
		s, err := mailstore.Open(context.Background(), mailstore.Options{Conf: n.dir, Slot: "slot-" + n.name, ReadOnly: true})
		must(n.t, err)
		defer s.Close()
		for _, id := range absent {
			if got := (&node{t: n.t, store: s}).holders(id, users...); len(got) == 0 {
				n.t.Errorf("at step %d of the replica mailbox %s is with nobody", *steps, id)
			}
		}
	}
	return steps
}

// brokenOff syncs a user until it succeeds, and lets arm have it broken off.
func (n *node) brokenOff(c *Client, u mailbox.User, arm func(cancel func())) {
	n.t.Helper()
	for range 20 {
		ctx, cancel := context.WithCancel(n.t.Context())
		arm(cancel)
		_, err := c.Sync(ctx, u)
		cancel()
		if err == nil {
			return
		}
	}
	n.t.Fatal("it does not come to an end")
}

// TestMailboxesGoInRing: users who give each other mailboxes between two syncs, of one name as well, have all of them on a replica
// at each step, whoever is brought there first, and a sync that is broken off goes on.
func TestMailboxesGoInRing(t *testing.T) {
	for _, ring := range []int{2, 3} {
		for first := range ring {
			t.Run(fmt.Sprintf("%d users, from %d", ring, first), func(t *testing.T) {
				a, b, c := pair(t)
				var users []mailbox.User
				var ids []mailbox.ID
				for i := range ring {
					users = append(users, a.user([]string{"anna", "bert", "carl"}[i]))
					a.deliver(users[i], "Archive", letter(i))
				}
				for _, u := range users {
					a.sync(c, u)
				}
				for i, u := range users {
					ids = append(ids, a.give(u, users[(i+1)%ring], "Archive"))
				}
				for _, u := range users { // what came has the name of what went
					a.mail(u, func(m *mailstore.Mail) error { return m.Rename(t.Context(), "", "from Archive", "Archive") })
				}
				steps := b.never(ids, users...)
				a.brokenOff(c, users[first], func(cancel func()) { // once more each time, and farther
					watch, left := b.step, *steps+1
					b.step = func(step string) {
						if watch(step); *steps == left {
							cancel()
						}
					}
				})
				a.sync(c, users[first])
				for i := range users {
					u := users[(first+i)%ring]
					a.sync(c, u)
					same(t, u, a, b)
				}
				b.step = nil
				for i, id := range ids {
					if got := b.holders(id, users...); len(got) != 1 || got[0] != users[(i+1)%ring] {
						t.Errorf("mailbox %d is with %v", i, got)
					}
				}
				if *steps < 2*ring {
					t.Errorf("%d steps", *steps)
				}
			})
		}
	}
}

// TestMailboxOfRemovedUser: a mailbox that a user gave away before he was removed is never with nobody on a replica, also where it
// went on from the one who got it, and though nothing is left of the giver at the master.
func TestMailboxOfRemovedUser(t *testing.T) {
	for _, on := range []bool{false, true} {
		a, b, c := pair(t)
		u, v, w := a.user("anna"), a.user("bert"), a.user("carl")
		a.deliver(u, "Archive", letter(1))
		users := []mailbox.User{u, v, w}
		for _, x := range users {
			a.sync(c, x)
		}
		id := a.give(u, v, "Archive")
		if on {
			a.give(v, w, "from Archive")
		}
		must(t, a.store.RemoveUser(t.Context(), u))
		must(t, a.accounts.Remove(t.Context(), "anna", account.Heir{Mailbox: id, User: v}))
		b.never([]mailbox.ID{id}, users...)
		a.sync(c, u)
		b.step = nil
		if got := b.holders(id, v, w); len(got) != 1 || (got[0] == w) != on {
			t.Errorf("it went on %v, and is with %v", on, got)
		}
		for _, x := range []mailbox.User{v, w} {
			a.sync(c, x)
			same(t, x, a, b)
		}
		if _, err := b.store.Acquire(t.Context(), u); !errors.Is(err, mailstore.ErrNoUser) {
			t.Errorf("the giver's mail: %v", err)
		}
	}
}

// TestHandedMailboxKeepsOwnWrites: what was written to a mailbox on a slot that was the master by force is not lost where
// the mailbox got another owner on the other slot.
func TestHandedMailboxKeepsOwnWrites(t *testing.T) {
	a, b, c := pair(t)
	u, v := a.user("anna"), a.user("bert")
	a.deliver(u, "Archive", letter(1))
	a.sync(c, u)
	a.sync(c, v)
	b.deliver(u, "Archive", letter(2))
	a.give(u, v, "Archive")
	a.sync(c, v)
	a.sync(c, u)
	same(t, u, a, b)
	same(t, v, a, b)
	found := false
	for _, x := range []mailbox.User{u, v} {
		b.mail(x, func(m *mailstore.Mail) error {
			lacks, err := m.Lacks(t.Context(), []mailbox.GUID{mailbox.GUIDOf([]byte(letter(2)))})
			found = found || err == nil && len(lacks) == 0
			return err
		})
	}
	if !found {
		t.Error("the message that only the other slot had is lost")
	}
}

// TestDeletedMailboxComesBackOnReplica: a replica retains what it has seen deleted: after a failover it can be brought back there,
// with its messages, and so can messages that were expunged.
func TestDeletedMailboxComesBackOnReplica(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	a.deliver(u, "Archive", letter(1))
	a.deliver(u, "INBOX", letter(2))
	a.sync(c, u)
	a.mail(u, func(m *mailstore.Mail) error {
		archive, err := m.MailboxNamed(t.Context(), "Archive")
		inbox, err2 := m.MailboxNamed(t.Context(), "INBOX")
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		_, err = m.StoreFlags(t.Context(), "", inbox.ID, mailbox.UIDRange(1, 1), mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
		_, _, err2 = m.Expunge(t.Context(), "", inbox.ID, nil)
		return errors.Join(err, err2, m.Delete(t.Context(), "", archive.ID))
	})
	a.sync(c, u)
	same(t, u, a, b)
	b.mail(u, func(m *mailstore.Mail) error {
		all, err := m.DeletedMailboxes(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("deleted mailboxes on the replica: %v, %v", all, err)
		}
		back, err := m.Unearth(t.Context(), "", all[0].State.ID, "")
		if err != nil {
			return err
		}
		inbox, err := m.MailboxNamed(t.Context(), "INBOX")
		if err != nil {
			return err
		}
		copied, err := m.Unexpunge(t.Context(), "", inbox.ID, mailbox.UIDRange(1, 1), time.Time{})
		if back.Counts.Exists != 1 || len(copied.To) != 1 {
			t.Errorf("brought back: %+v, %+v", back, copied)
		}
		return err
	})
	if text := b.seen(u); !strings.Contains(text, letter(1)) || !strings.Contains(text, letter(2)) {
		t.Errorf("a message is lost:\n%s", text)
	}
}
