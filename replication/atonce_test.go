package replication

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// forgetful expunges a message at n and forgets it: the next sync compares all records.
func (n *node) forgetful(u mailbox.User, uid mailbox.UID) {
	n.t.Helper()
	n.mail(u, func(m *mailstore.Mail) error {
		ctx := context.Background()
		inbox, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		uids := mailbox.UIDs(uid)
		if _, err := m.StoreFlags(ctx, "", inbox.ID, uids, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			return err
		}
		if _, _, err := m.Expunge(ctx, "", inbox.ID, &uids); err != nil {
			return err
		}
		_, err = m.Forget(ctx, time.Now().Add(time.Hour))
		return err
	})
}

// TestHealAtOnce: where it is configured, damage on either side that a sync meets is mended
// from the other side, and the user is equal without anybody's command; where it is not, the
// user is held up until he is healed.
func TestHealAtOnce(t *testing.T) {
	for _, heal := range []bool{true, false} {
		for _, at := range []struct{ side, harm string }{{"master", "a record's CRC"}, {"replica", "a record's CRC"}, {"master", "a record vanished"}, {"replica", "a record vanished"}} {
			t.Run(fmt.Sprintf("%s, %s, heal=%t", at.side, at.harm, heal), func(t *testing.T) {
				a, b, c := pair(t)
				u := a.user("anna")
				for i := range 8 {
					a.deliver(u, "INBOX", letter(i))
				}
				a.sync(c, u)
				a.forgetful(u, 7)
				harms[at.harm](map[string]*node{"master": a, "replica": b}[at.side], u, 3)
				r := a.channelOf(ChannelOptions{Client: c, Heal: heal}, filepath.Join(t.TempDir(), "channel"))
				r.note(u)
				if !heal {
					eventually(t, func() error {
						if s := r.Status(); len(s.HeldUp) != 1 || s.HeldUp[0].User != u {
							return fmt.Errorf("status %+v", s)
						}
						return nil
					})
					must(t, r.Heal(t.Context(), u, func(string) {}))
					same(t, u, a, b)
					return
				}
				eventually(t, func() error {
					if s := r.Status(); s.Syncs == 0 {
						return fmt.Errorf("status %+v", s)
					}
					return r.done()
				})
				same(t, u, a, b)
			})
		}
	}
}

// TestVerifyNowAndThen: when its time has come, and each time it comes again, all records of
// all users are compared, what no mod-sequence tells of is found and mended, and so is
// damage.
func TestVerifyNowAndThen(t *testing.T) {
	a, b, c := pair(t)
	users := []mailbox.User{a.user("anna"), a.user("bert")}
	for _, u := range users {
		for i := range 6 {
			a.deliver(u, "INBOX", letter(i))
		}
		a.sync(c, u)
	}
	week := make(chan time.Time)
	asked := make(chan time.Duration, 100)
	r := a.channelOf(ChannelOptions{Client: c, Heal: true, After: func(d time.Duration) <-chan time.Time {
		if d == 7*24*time.Hour {
			asked <- d
			return week
		}
		return time.After(d)
	}}, filepath.Join(t.TempDir(), "channel"))
	eventually(t, func() error { // what an unclean start compares is done
		if !r.log.Clean() {
			return errors.New("not compared")
		}
		return r.done()
	})
	for _, harm := range []func(u mailbox.User){b.forge, func(u mailbox.User) { b.damageRecord(u, 2) }, func(u mailbox.User) { a.damageRecord(u, 4) },
		func(u mailbox.User) { b.loseRecord(u, 2) }, func(u mailbox.User) { a.loseRecord(u, 4) }} {
		<-asked
		for _, u := range users {
			harm(u)
		}
		if slices.ContainsFunc(users, func(u mailbox.User) bool { return healthy(a, u) && healthy(b, u) && a.seen(u) == b.seen(u) }) {
			t.Fatal("nothing is wrong")
		}
		week <- time.Time{}
		eventually(t, func() error {
			for _, u := range users {
				if !healthy(a, u) || !healthy(b, u) || a.seen(u) != b.seen(u) {
					return fmt.Errorf("user %s is not mended", u)
				}
			}
			return nil
		})
		for _, u := range users {
			same(t, u, a, b)
		}
	}
	<-asked // and again a week later
}

// healthy reports whether no record of a user is damaged.
func healthy(n *node, u mailbox.User) bool {
	n.t.Helper()
	var damaged int
	n.mail(u, func(m *mailstore.Mail) error {
		all, err := m.DamagedRecords(context.Background())
		damaged = len(all)
		return err
	})
	return damaged == 0
}
