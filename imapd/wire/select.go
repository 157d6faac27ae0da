package wire

import "teraslot/mailbox"

// Select is SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3).
type Select struct {
	Mailbox   string
	ReadOnly  bool     // EXAMINE
	CondStore bool     // RFC 7162 §3.1.8
	QResync   *QResync // RFC 7162 §3.2.5; nil without it
}

// QResync says what the client knows of a mailbox.
type QResync struct {
	UIDValidity mailbox.UIDValidity
	ModSeq      mailbox.ModSeq
	// Known are the UIDs that the client has; nil: all.
	Known *mailbox.UIDSet
	// MatchNumbers and MatchUIDs are sequence numbers and their UIDs: two
	// lists of equal meaning, empty if not given. Each is as sent: rising.
	MatchNumbers, MatchUIDs Set
}

// Close is RFC 9051 §6.4.1.
type Close struct{}

// Unselect is RFC 9051 §6.4.2.
type Unselect struct{}

// Check is RFC 3501 §6.4.1.
type Check struct{}

// Name implements Command.
func (c *Select) Name() string {
	if c.ReadOnly {
		return "EXAMINE"
	}
	return "SELECT"
}

// Name implements Command.
func (*Close) Name() string { return "CLOSE" }

// Name implements Command.
func (*Unselect) Name() string { return "UNSELECT" }

// Name implements Command.
func (*Check) Name() string { return "CHECK" }
