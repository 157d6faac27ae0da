package replication

import (
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// TestForgedMessagesAreRefused: bytes that do not have the GUID under which they come are
// not kept, nor are too few or too many of them, and nothing of the user is.
func TestForgedMessagesAreRefused(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	entry, err := a.accounts.Entry(t.Context(), u)
	must(t, err)
	text := []byte("Subject: x\r\n\r\nx\r\n")
	right := messageHead{guid: mailbox.GUIDOf(text), size: int64(len(text)), mailbox: noMailbox, uid: 1, validity: 1}
	wrong, short, long := right, right, right
	wrong.guid = mailbox.GUIDOf([]byte("another"))
	short.size++
	long.size--
	for name, h := range map[string]messageHead{"another GUID": wrong, "too short": short, "too long": long} {
		x, err := c.dial(t.Context(), callApply)
		must(t, err)
		err = sendAll(x, []*frame{(&begin{account: entry, expect: (&mailstore.Image{}).Digest()}).frame(), headFrame(&h), {kindData, text}})
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		must(t, x.CloseSend())
		if _, err := receive(x); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.Internal {
			t.Errorf("%s: %v", name, err)
		}
		x.end()
	}
	b.mail(u, func(m *mailstore.Mail) error {
		lacks, err := m.Lacks(t.Context(), []mailbox.GUID{right.guid, wrong.guid})
		if len(lacks) != 2 {
			t.Errorf("of two forged messages %d are lacking", len(lacks))
		}
		return err
	})
	if _, err := b.accounts.Entry(t.Context(), u); !errors.Is(err, account.ErrNoAccount) {
		t.Errorf("an account came with them: %v", err)
	}
	a.sync(c, u)
	same(t, u, a, b)
}
