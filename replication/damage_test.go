package replication

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// loseRecord removes a record's row behind the program's back.
func (n *node) loseRecord(u mailbox.User, uid mailbox.UID) {
	n.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(n.dir, u.Dir(), "mail.db"))
	must(n.t, err)
	r, err := db.Exec("DELETE FROM message WHERE id & 4294967295 = ?", int64(uid))
	must(n.t, errors.Join(err, db.Close()))
	if k, err := r.RowsAffected(); err != nil || k != 1 {
		n.t.Fatalf("%d records of UID %d, %v", k, uid, err)
	}
}

// fetched are the messages of INBOX that can be read at n, by UID; those that are damaged are left out.
func (n *node) fetched(u mailbox.User) map[mailbox.UID]string {
	n.t.Helper()
	out := map[mailbox.UID]string{}
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := context.Background()
		box, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		all, err := m.SoundEntries(ctx, box.ID)
		for _, e := range all {
			if !e.Expunged {
				out[e.UID] = n.text(m, e)
			}
		}
		return err
	})
	return out
}

// ahead are what makes the mailbox newer on a side, or on both.
var ahead = map[string]func(a, b *node, u mailbox.User){
	"in step": func(*node, *node, mailbox.User) {},
	"the master is ahead": func(a, _ *node, u mailbox.User) {
		a.deliver(u, "INBOX", letter(50))
		a.expunge(u, 2, 8)
	},
	"the replica is ahead": func(_, b *node, u mailbox.User) {
		b.deliver(u, "INBOX", letter(51))
		b.expunge(u, 2, 8)
	},
	"both are ahead": func(a, b *node, u mailbox.User) {
		a.deliver(u, "INBOX", letter(50))
		b.deliver(u, "INBOX", letter(51))
		a.expunge(u, 2, 8)
		b.expunge(u, 1, 9)
	},
}

// harms are ways in which a side loses something, by the UID of a message that nobody changes.
var harms = map[string]func(n *node, u mailbox.User, uid mailbox.UID){
	"a record's CRC":    (*node).damageRecord,
	"a record vanished": (*node).loseRecord,
	"a message": func(n *node, u mailbox.User, uid mailbox.UID) {
		n.damageMessage(u, fmt.Sprintf("body of %d\r\n", uid-1))
	},
	"another message under a good CRC": func(n *node, u mailbox.User, uid mailbox.UID) {
		n.replaceMessage(u, fmt.Sprintf("body of %d\r\n", uid-1))
	},
	"a frame": func(n *node, u mailbox.User, uid mailbox.UID) {
		n.damageMessage(u, fmt.Sprintf("Message-ID: <%d@x>\r\n", uid-1))
	},
	"a record and another that vanished": func(n *node, u mailbox.User, uid mailbox.UID) {
		n.damageRecord(u, uid)
		n.loseRecord(u, uid+2)
	},
}

// TestDamageWhileApart: what either side or both in different places have lost is healed, also while the mailbox is
// newer on one side or on both; then all that was there or came is on both, once, as it was.
func TestDamageWhileApart(t *testing.T) {
	for harm, do := range harms {
		for state, advance := range ahead {
			for _, sides := range []string{"master", "replica", "both"} {
				if sides != "both" && state != "both are ahead" {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %s", harm, state, sides), func(t *testing.T) { healWhileApart(t, do, advance, sides) })
			}
		}
	}
}

func healWhileApart(t *testing.T, harm func(*node, mailbox.User, mailbox.UID), advance func(a, b *node, u mailbox.User), sides string) {
	a, b, c := pair(t)
	u := a.user("anna")
	for i := range 10 {
		a.deliver(u, "INBOX", letter(i))
	}
	a.sync(c, u)
	advance(a, b, u)
	c.forget(u) // the next sync asks the replica what it has, as after a start
	want := map[string]bool{}
	for _, n := range []*node{a, b} {
		for uid, text := range n.fetched(u) {
			if uid < 8 || uid > 9 { // some of which are expunged
				want[text] = true
			}
		}
	}
	if sides != "replica" {
		harm(a, u, 3)
	}
	if sides != "master" {
		harm(b, u, 4)
	}
	var told []string
	must(t, c.Heal(t.Context(), u, func(what string) { told = append(told, what) }))
	for _, n := range []*node{a, b} {
		must(t, n.store.Verify(t.Context(), u, func(f mailstore.Finding) { t.Errorf("%s after healing: %s", n.name, f) }))
	}
	for side, name := range map[string]string{"replica": "master:", "master": "replica:"} { // the other side, and what is told of this one
		if is := strings.Contains(strings.Join(told, "\n"), name); is != (sides != side) {
			t.Errorf("told of %s %t: %q", name, is, told)
		}
	}
	a.sync(c, u)
	same(t, u, a, b)
	got := map[string]int{}
	for _, text := range a.fetched(u) {
		got[text]++
	}
	for text := range want {
		if got[text] != 1 {
			t.Errorf("%q is there %d times", text, got[text])
		}
	}
}
