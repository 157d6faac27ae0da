package mailstore

import (
	"context"
	"errors"
	"testing"

	"teraslot/mailbox"
)

// TestMergeLeavesThreads: a message that another slot has put into another thread stays in its own. The third
// slot, which has the first one's record, would never hear of the change: what brought it is gone.
func TestMergeLeavesThreads(t *testing.T) {
	const answer = "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\nyes\r\n"
	ctx := t.Context()
	a, b, c := newSide(t, "A", true), newSide(t, "B", false), newSide(t, "C", false)
	equal := func(from, to *side) {
		t.Helper()
		if _, err := converge(ctx, from, to); err != nil {
			t.Fatal(err)
		}
	}
	equal(a, b)
	if _, err := a.m.Create(ctx, "", "own", ""); err != nil {
		t.Fatal(err)
	}
	a.put(t, "Sent", "Message-ID: <1@x>\r\n\r\nmay I?\r\n")
	a.put(t, "own", answer)
	equal(a, c)
	other := b.put(t, Inbox, answer) // b does not know what it answers
	if _, err := reconcile(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	inbox, err := a.m.MailboxNamed(ctx, Inbox)
	if err != nil {
		t.Fatal(err)
	}
	uids := mailbox.UIDRange(other.UID, other.UID)
	_, err = a.m.StoreFlags(ctx, "", inbox.ID, uids, AddFlags, mailbox.MakeFlags(`\Deleted`), nil)
	_, _, err2 := a.m.Expunge(ctx, "", inbox.ID, &uids)
	_, err3 := a.m.Forget(context.WithoutCancel(ctx), a.s.o.Now().Add(1e12))
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	equal(a, c)
	same(t, a, c)
	equal(a, b)
	same(t, a, b)
}
