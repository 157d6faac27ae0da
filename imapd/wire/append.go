package wire

import "teraslot/mailbox"

// Append is RFC 9051 §6.3.12, and RFC 3502 with several messages. When
// Reader.Next returns it, the message's literal has not been asked for: see
// Reader.Message.
type Append struct {
	Mailbox string
	Message AppendMessage // the first
}

// AppendMessage is what APPEND says of a message before its octets.
type AppendMessage struct {
	Flags   []string      // as sent
	Date    *mailbox.Date // nil if not given
	Literal Literal
	UTF8    bool // RFC 6855 §4: sent as UTF8 (~{…})
}

// Literal announces a literal.
type Literal struct {
	Size int64 // octets
	// NonSync: the octets come without waiting to be asked (RFC 7888).
	NonSync bool
	// Binary: literal8, may hold NUL (RFC 3516).
	Binary bool
}

// Replace is RFC 8508. The message's literal has not been asked for, as with
// Append; there is only one.
type Replace struct {
	UID     bool
	Target  uint32 // sequence number or UID of the message to go; 0 is "*"
	Mailbox string
	Message AppendMessage
}

// Name implements Command.
func (*Append) Name() string { return "APPEND" }

// Name implements Command.
func (c *Replace) Name() string { return uidName(c.UID, "REPLACE") }

func (p *parser) append(bool) Command {
	c := &Append{Mailbox: p.mailboxArgument()}
	p.sp()
	c.Message = p.appendMessage()
	return c
}

func (p *parser) replace(uid bool) Command {
	c := &Replace{UID: uid}
	p.sp()
	c.Target = p.seqNumber()
	c.Mailbox = p.mailboxArgument()
	p.sp()
	c.Message = p.appendMessage()
	return c
}

// appendMessage reads append-message up to its literal, which stays where it is.
func (p *parser) appendMessage() AppendMessage {
	var m AppendMessage
	if p.peek() == '(' {
		m.Flags = p.flags()
		p.sp()
	}
	if p.peek() == '"' {
		d := p.dateTime()
		m.Date = &d
		p.sp()
	}
	if !p.atLiteral() {
		p.utf8Message(&m)
	}
	if p.err == nil {
		m.Literal, p.message = p.r.lit.Literal, true
	}
	return m
}

// utf8Message reads UTF8 (~{…} up to the literal (RFC 6855 §4).
func (p *parser) utf8Message(m *AppendMessage) {
	if p.label("a message literal") != "UTF8" {
		p.expected("a message literal")
	}
	p.sp()
	p.must('(', "(")
	if !p.atLiteral() || !p.r.lit.Binary {
		p.expected("a literal8")
	}
	m.UTF8, p.utf8Open = true, true
}

// moreMessages reads what follows a message literal: the next message of an
// APPEND (RFC 3502), or the end.
func (p *parser) moreMessages() *AppendMessage {
	if p.utf8Open {
		p.must(')', ")")
		p.utf8Open = false
	}
	if p.command != "APPEND" || !p.more() {
		p.end()
		return nil
	}
	m := p.appendMessage()
	if p.err != nil {
		return nil
	}
	return &m
}
