package mailstore

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

// TestRemembered: what another connection commits is seen by the next transaction,
// though the writer remembers what he left.
func TestRemembered(t *testing.T) {
	s, m := newStore(t, Options{Conf: t.TempDir()})
	id := named(t, m, Inbox).ID
	appendText(t, m, id, mailText(1))
	c, err := openConn(s.databasePath(user1), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`UPDATE account SET modseq = modseq + 1000`, `UPDATE mailbox SET uidnext = 77 WHERE name = 'INBOX'`} {
		if err := c.exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	r := appendText(t, m, id, mailText(2))
	if r.UID != 77 || r.ModSeq < 1000 {
		t.Errorf("UID %d, modseq %d: another's commit was not seen", r.UID, r.ModSeq)
	}
	if r = appendText(t, m, id, mailText(3)); r.UID != 78 {
		t.Errorf("UID %d", r.UID)
	}
}

// TestQuotaIsExact holds what Quota says, mostly from memory, against mail.db, after
// changes of all kinds and failures.
func TestQuotaIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		fence := errors.New("not now")
		fenced := false
		s, m := newStore(t, Options{Conf: t.TempDir(), Fence: func(context.Context, mailbox.User) error {
			if fenced {
				return fence
			}
			return nil
		}})
		id := named(t, m, Inbox).ID
		n := 0
		steps := []func() error{
			func() error {
				n++
				msg := spool(t, s, mailText(n))
				defer msg.Close()
				_, err := m.Append(ctx, "", Append{Mailbox: id, Message: msg})
				return err
			},
			func() error { return m.SetQuota(ctx, Quota{Messages: rapid.Int64Range(0, 5).Draw(rt, "quota")}) },
			func() error {
				_, err := m.StoreFlags(ctx, "", id, mailbox.UIDRange(1, 2), AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
				return err
			},
			func() error { _, _, err := m.Expunge(ctx, "", id, nil); return err },
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			fenced = rapid.IntRange(0, 3).Draw(rt, "fence") == 0
			err := rapid.SampledFrom(steps).Draw(rt, "step")()
			if err != nil && !errors.Is(err, fence) && !errors.Is(err, ErrOverQuota) {
				rt.Fatal(err)
			}
			quota, usage, err := m.Quota(ctx)
			if err != nil {
				rt.Fatal(err)
			}
			if q, u, err := m.readQuota(ctx); err != nil || q != quota || u != usage {
				rt.Fatalf("from memory %+v %+v, from mail.db %+v %+v, %v", quota, usage, q, u, err)
			}
		}
		verify(t, s, user1)
	})
}
