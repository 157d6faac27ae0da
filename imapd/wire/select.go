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
	// MatchNumbers and MatchUIDs are sequence numbers and their UIDs (Pairs): both rise, and
	// have as many. Empty if not given.
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

func (p *parser) selectMailbox(bool) Command { return p.open(false) }

func (p *parser) examine(bool) Command { return p.open(true) }

// open reads the arguments of SELECT and EXAMINE (RFC 4466 §2.4).
func (p *parser) open(readOnly bool) Command {
	c := &Select{Mailbox: p.mailboxArgument(), ReadOnly: readOnly}
	if !p.more() {
		return c
	}
	p.list("a list of parameters", func() {
		switch p.label("CONDSTORE or QRESYNC") {
		case "CONDSTORE":
			c.CondStore = true
		case "QRESYNC":
			p.sp()
			c.QResync = p.qresync()
		default:
			p.expected("CONDSTORE or QRESYNC")
		}
	})
	return c
}

// qresync reads QRESYNC's parameters (RFC 7162 §7).
func (p *parser) qresync() *QResync {
	q := &QResync{}
	p.must('(', "(")
	q.UIDValidity = mailbox.UIDValidity(p.nzNumber())
	p.sp()
	q.ModSeq = p.modSeq(false)
	more := p.take(' ')
	if more && p.peek() != '(' {
		known := p.knownSet().UIDs(0)
		q.Known = &known
		more = p.take(' ')
	}
	if more {
		p.must('(', "known UIDs or (")
		q.MatchNumbers = p.risingSet()
		p.sp()
		q.MatchUIDs = p.risingSet()
		if p.err == nil && q.MatchNumbers.length() != q.MatchUIDs.length() {
			p.expected("as many UIDs as sequence numbers")
		}
		p.must(')', ")")
	}
	p.must(')', ")")
	return q
}

// risingSet reads known-sequence-set or known-uid-set.
func (p *parser) risingSet() Set {
	at := p.pos
	s := p.knownSet()
	if p.err == nil && !s.rises() {
		p.pos = at
		p.expected("a set in rising order")
	}
	return s
}
