package transfer

import (
	"context"
	"time"

	"teraslot/mailbox"
)

// Source is another server's mail of one user.
type Source interface {
	// List returns the mailboxes.
	List(ctx context.Context) (List, error)
	// Connect opens a way to read them. Several may be used at once.
	Connect(ctx context.Context) (Session, error)
}

// List is what there is.
type List struct {
	Mailboxes []Place
	// Subscriptions are names here, of mailboxes or not. Known is false where the
	// source tells none.
	Subscriptions []string
	Known         bool
	// Notices tell what is left out, and why.
	Notices []string
}

// Place is a mailbox's name there and here. "" is INBOX here.
type Place struct {
	There, Here string
	Use         string // its special use, in the case of RFC 6154, or ""
}

// Session reads one mailbox at a time, for one goroutine.
type Session interface {
	// Open reads what there is to know of a mailbox and its messages, which are
	// sorted by UID; those without one come last.
	Open(ctx context.Context, p Place) (Mailbox, []Message, error)
	// Fetch calls fn with the octets of messages of the mailbox opened last, in any
	// order, or with the error of one. Messages that are gone meanwhile do not come.
	// An error of fn ends it.
	Fetch(ctx context.Context, messages []Message, fn func(m Message, body []byte, err error) error) error
	Close() error
}

// Mailbox is the state of a mailbox there; what is not known is 0.
type Mailbox struct {
	UIDValidity   mailbox.UIDValidity
	UIDNext       mailbox.UID
	HighestModSeq mailbox.ModSeq
}

// Message is one of a mailbox there.
type Message struct {
	UID   mailbox.UID // 0 if it has none yet
	Flags mailbox.Flags
	Date  time.Time // internal date; zero if not known
	Size  int64     // as it will be stored; 0 if not known
	Key   string    // the source's own
}
