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
