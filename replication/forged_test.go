package replication

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// TestReplacedMessageIsNeverSent: octets in the place of a message, under a good CRC, do not leave the slot, neither with a sync nor for
// a repair of the other; the message does when it is there again.
func TestReplacedMessageIsNeverSent(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	for i := range 3 {
		a.deliver(u, "INBOX", letter(i))
	}
	a.replaceMessage(u, "body of 1\r\n")
	if _, err := c.Sync(t.Context(), u); err == nil {
		t.Error("a message that is not there was sent")
	}
	if strings.Contains(packs(t, b, u), "replac") {
		t.Error("a sync brought octets that are another message's")
	}
	a.restage(u, letter(1))
	a.sync(c, u)
	same(t, u, a, b)
	b.damageMessage(u, "body of 2\r\n")
	a.replaceMessage(u, "body of 2\r\n")
	before := packs(t, b, u)
	must(t, c.Heal(t.Context(), u, func(string) {}))
	if strings.Contains(packs(t, b, u)[len(before):], "replac") {
		t.Error("a repair brought octets that are another message's")
	}
	b.restage(u, letter(2))
	must(t, c.Heal(t.Context(), u, func(string) {}))
	same(t, u, a, b)
}

// packs is all that a user's packs have, new octets last.
func packs(t *testing.T, n *node, u mailbox.User) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(n.dir, u.Dir(), "*.pack"))
	must(t, err)
	var out strings.Builder
	for _, p := range all {
		b, err := os.ReadFile(p)
		must(t, err)
		out.Write(b)
	}
	return out.String()
}
