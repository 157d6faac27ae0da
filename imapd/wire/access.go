package wire

import "github.com/emersion/go-imap/v2"

// GetACL is RFC 4314 §3.3.
type GetACL struct{ Mailbox string }

// SetACL is RFC 4314 §3.1.
type SetACL struct {
	Mailbox, Identifier string
	Modification        imap.RightModification
	Rights              string
}

// DeleteACL is RFC 4314 §3.2.
type DeleteACL struct{ Mailbox, Identifier string }

// ListRights is RFC 4314 §3.4.
type ListRights struct{ Mailbox, Identifier string }

// MyRights is RFC 4314 §3.5.
type MyRights struct{ Mailbox string }

// Name implements Command.
func (*GetACL) Name() string { return "GETACL" }

// Name implements Command.
func (*SetACL) Name() string { return "SETACL" }

// Name implements Command.
func (*DeleteACL) Name() string { return "DELETEACL" }

// Name implements Command.
func (*ListRights) Name() string { return "LISTRIGHTS" }

// Name implements Command.
func (*MyRights) Name() string { return "MYRIGHTS" }

func (p *parser) getACL(bool) Command { return &GetACL{Mailbox: p.mailboxArgument()} }

func (p *parser) myRights(bool) Command { return &MyRights{Mailbox: p.mailboxArgument()} }

func (p *parser) deleteACL(bool) Command {
	return &DeleteACL{Mailbox: p.mailboxArgument(), Identifier: p.astringArgument()}
}

func (p *parser) listRights(bool) Command {
	return &ListRights{Mailbox: p.mailboxArgument(), Identifier: p.astringArgument()}
}

// astringArgument reads SP and an astring.
func (p *parser) astringArgument() string {
	p.sp()
	return p.astring()
}

func (p *parser) setACL(bool) Command {
	c := &SetACL{Mailbox: p.mailboxArgument(), Identifier: p.astringArgument()}
	c.Rights = p.astringArgument()
	if c.Rights != "" && (c.Rights[0] == '+' || c.Rights[0] == '-') {
		c.Modification, c.Rights = imap.RightModification(c.Rights[0]), c.Rights[1:]
	}
	return c
}
