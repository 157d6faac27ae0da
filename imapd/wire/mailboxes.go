package wire

import "github.com/emersion/go-imap/v2"

// Mailbox names in commands are UTF-8, whichever encoding the client used, and
// INBOX is in capitals.

// Create is RFC 9051 §6.3.4 with the USE parameter of RFC 6154.
type Create struct {
	Mailbox    string // may end in the hierarchy separator
	SpecialUse []imap.MailboxAttr
}

// Delete is RFC 9051 §6.3.5.
type Delete struct{ Mailbox string }

// Rename is RFC 9051 §6.3.6.
type Rename struct{ From, To string }

// Subscribe is RFC 9051 §6.3.7.
type Subscribe struct{ Mailbox string }

// Unsubscribe is RFC 9051 §6.3.8.
type Unsubscribe struct{ Mailbox string }

// Name implements Command.
func (*Create) Name() string { return "CREATE" }

// Name implements Command.
func (*Delete) Name() string { return "DELETE" }

// Name implements Command.
func (*Rename) Name() string { return "RENAME" }

// Name implements Command.
func (*Subscribe) Name() string { return "SUBSCRIBE" }

// Name implements Command.
func (*Unsubscribe) Name() string { return "UNSUBSCRIBE" }
