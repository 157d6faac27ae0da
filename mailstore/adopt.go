package mailstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"teraslot/mailbox"
)

// Mail that comes from another server may keep the UIDs that it has there, so that
// clients go on with what they know. A mailbox adopts the other one's UIDVALIDITY
// while it has given no UID of its own; then messages are appended under their UIDs,
// in rising order. What must hold all the same is that a name, a UIDVALIDITY and a
// UID never stand for two messages (RFC 9051 §2.3.1.1): see retired.go.

var (
	// ErrUIDValidity: the mailbox cannot take over that UIDVALIDITY.
	ErrUIDValidity = errors.New("the UIDs of the other server cannot be kept")
	// ErrUID: the message cannot have that UID, because UIDs only rise.
	ErrUID = errors.New("that UID is not free any longer")
)

// Origin is what another server says of a mailbox whose mail is taken over.
type Origin struct {
	UIDValidity mailbox.UIDValidity
	// HighestModSeq is the highest mod-sequence that the other server has given
	// there; 0 if it is not known. What is changed here gets higher ones, so a client
	// that resynchronises from a mod-sequence of the other server is told of it.
	HighestModSeq mailbox.ModSeq
}

// unknownOrigin is the mod-sequence that another server is taken to have reached
// where it cannot be asked: servers count changes one by one.
const unknownOrigin mailbox.ModSeq = 1 << 32

// Adopt makes a mailbox go on where another server's ends: it takes over its
// UIDVALIDITY, or has done so before. Nobody should have it selected meanwhile. It
// fails with ErrUIDValidity, and changes nothing, where the mailbox has given UIDs
// under another UIDVALIDITY, or an earlier mailbox of that name had this one.
func (m *Mail) Adopt(ctx context.Context, session string, id mailbox.ID, o Origin) (mailbox.State, error) {
	var out mailbox.State
	err := m.write(ctx, session, func(t *txn) error {
		b, err := t.box(id)
		if err != nil {
			return err
		}
		if err := t.adopt(b, o); err != nil {
			return fmt.Errorf("mailbox %s: %w", b.Name, err)
		}
		out = b.State
		return nil
	})
	return out, err
}

// Adoptable tells whether Adopt would work now: nil, or its error.
func (m *Mail) Adoptable(ctx context.Context, id mailbox.ID, o Origin) error {
	return m.read(ctx, func(c *conn) error {
		b, err := loadBox(c, "id", string(id))
		if err == nil {
			err = adoptable(c, b, o)
		}
		return err
	})
}

func adoptable(c *conn, b *box, o Origin) error {
	switch {
	case o.UIDValidity == 0:
		return fmt.Errorf("%w: it does not say its UIDVALIDITY", ErrUIDValidity)
	case b.UIDValidity == o.UIDValidity:
		return nil
	case b.UIDNext > 1:
		return fmt.Errorf("%w: the mailbox has had messages of its own under UIDVALIDITY %d", ErrUIDValidity, b.UIDValidity)
	}
	// What the other server's mailbox was called here after the copy was made, and which
	// UIDs it gave to messages that only were copied to it, is in no pack.
	renewed, err := wasRenewed(c)
	if err != nil {
		return err
	}
	if renewed {
		return fmt.Errorf("%w: the mail was put back from a copy, and it is not known what was taken over since that was made", ErrUIDValidity)
	}
	_, gone, err := isRetired(c, b.Name, o.UIDValidity)
	if err == nil && gone {
		err = fmt.Errorf("%w: an earlier mailbox of that name had UIDVALIDITY %d", ErrUIDValidity, o.UIDValidity)
	}
	return err
}

func (t *txn) adopt(b *box, o Origin) error {
	if err := adoptable(t.c, b, o); err != nil {
		return err
	}
	if o.HighestModSeq == 0 {
		o.HighestModSeq = unknownOrigin
	}
	if o.HighestModSeq > math.MaxInt64/2 {
		return fmt.Errorf("%w: mod-sequence %d leaves no room", ErrUIDValidity, o.HighestModSeq)
	}
	t.account.modseq = max(t.account.modseq, o.HighestModSeq)
	if b.UIDValidity != o.UIDValidity {
		b.UIDValidity = o.UIDValidity
		// What was expunged over there has no record here.
		b.horizon = t.account.modseq
	}
	if b.HighestModSeq < o.HighestModSeq || !sameSpan(b.HighestModSeq, t.account.modseq) {
		// Its UIDs do not leap: every slot knows those of the other server by the same messages.
		b.HighestModSeq = t.nextModSeq()
	}
	b.dirty = true
	return nil
}

// RaiseUIDNext makes sure that UIDs below next, which another server has given and
// whose messages are gone, are not given again. A lower value changes nothing.
func (m *Mail) RaiseUIDNext(ctx context.Context, session string, id mailbox.ID, next mailbox.UID) error {
	return m.write(ctx, session, func(t *txn) error {
		b, err := t.box(id)
		if err == nil && next > b.UIDNext {
			b.UIDNext, b.dirty = next, true
			t.nextModSeq() // a slot that has not heard of it must not take this one's place
		}
		return err
	})
}

// admitUIDs refuses a delivery with UIDs that do not rise.
func (t *txn) admitUIDs(d *delivery) error {
	if !slices.ContainsFunc(d.items, func(a Append) bool { return a.UID != 0 }) {
		return nil
	}
	next := map[mailbox.ID]mailbox.UID{}
	for i := range d.items {
		a := &d.items[i]
		least, known := next[a.Mailbox]
		if !known {
			b := t.boxes[a.Mailbox]
			least = leap(b.UIDNext, b.HighestModSeq, t.account.modseq+1)
		}
		uid := a.UID
		if uid == 0 {
			uid = least
		}
		if uid < least || uid == math.MaxUint32 {
			return fmt.Errorf("mailbox %s: UID %d, the next is %d: %w", a.Mailbox, uid, least, ErrUID)
		}
		next[a.Mailbox] = uid + 1
	}
	return nil
}

// giveUID gives out the UID asked for, which admitUIDs has seen, or the next.
func (b *box) giveUID(wanted mailbox.UID) (mailbox.UID, error) {
	if wanted == 0 {
		return b.nextUID()
	}
	if wanted < b.UIDNext {
		return 0, fmt.Errorf("mailbox %s: UID %d: %w", b.ID, wanted, ErrUID)
	}
	b.UIDNext, b.dirty = wanted+1, true
	return wanted, nil
}
