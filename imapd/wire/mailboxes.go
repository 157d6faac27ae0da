package wire

import "github.com/emersion/go-imap/v2"

// Mailbox names in commands are UTF-8, whichever encoding the client used, and
// otherwise as sent: INBOX may be in any case.

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

func (p *parser) create(bool) Command {
	c := &Create{Mailbox: p.mailboxArgument()}
	if !p.more() {
		return c
	}
	p.list("a list of parameters", func() {
		if p.label("USE") != "USE" {
			p.expected("USE")
		}
		p.sp()
		p.optionalList("a list of attributes", func() {
			if p.peek() != '\\' {
				p.expected("an attribute")
			}
			c.SpecialUse = append(c.SpecialUse, imap.MailboxAttr(p.flag()))
		})
	})
	return c
}

// mailboxArgument reads SP and a mailbox name.
func (p *parser) mailboxArgument() string {
	p.sp()
	return p.mailbox()
}

func (p *parser) delete(bool) Command { return &Delete{Mailbox: p.mailboxArgument()} }

func (p *parser) rename(bool) Command {
	return &Rename{From: p.mailboxArgument(), To: p.mailboxArgument()}
}

func (p *parser) subscribe(bool) Command { return &Subscribe{Mailbox: p.mailboxArgument()} }

func (p *parser) unsubscribe(bool) Command { return &Unsubscribe{Mailbox: p.mailboxArgument()} }
