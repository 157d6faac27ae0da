package wire

import "strings"

// Expunge is EXPUNGE, and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).
type Expunge struct {
	UIDs *Set // nil: EXPUNGE
}

// Store is RFC 9051 §6.4.6.
type Store struct {
	UID    bool
	Set    Set
	Op     StoreOp
	Silent bool
	Flags  []string // as sent
	// UnchangedSince is RFC 7162 §3.1.3; nil if not given, 0 is a value.
	UnchangedSince *uint64
}

// StoreOp says what STORE does with the flags.
type StoreOp byte

// The ways to store.
const (
	StoreReplace StoreOp = iota // FLAGS
	StoreAdd                    // +FLAGS
	StoreRemove                 // -FLAGS
)

// Copy is RFC 9051 §6.4.7.
type Copy struct {
	UID     bool
	Set     Set
	Mailbox string
}

// Move is RFC 9051 §6.4.8.
type Move struct {
	UID     bool
	Set     Set
	Mailbox string
}

// Name implements Command.
func (c *Expunge) Name() string { return uidName(c.UIDs != nil, "EXPUNGE") }

// Name implements Command.
func (c *Store) Name() string { return uidName(c.UID, "STORE") }

// Name implements Command.
func (c *Copy) Name() string { return uidName(c.UID, "COPY") }

// Name implements Command.
func (c *Move) Name() string { return uidName(c.UID, "MOVE") }

func (p *parser) expunge(uid bool) Command {
	c := &Expunge{}
	if uid {
		s := p.setArgument()
		c.UIDs = &s
	}
	return c
}

// setArgument reads SP and a set.
func (p *parser) setArgument() Set {
	p.sp()
	return p.set()
}

func (p *parser) copy(uid bool) Command {
	return &Copy{UID: uid, Set: p.setArgument(), Mailbox: p.mailboxArgument()}
}

func (p *parser) move(uid bool) Command {
	return &Move{UID: uid, Set: p.setArgument(), Mailbox: p.mailboxArgument()}
}

func (p *parser) store(uid bool) Command {
	c := &Store{UID: uid, Set: p.setArgument()}
	p.sp()
	if p.peek() == '(' {
		p.storeModifiers(c)
		p.sp()
	}
	p.storeOp(c)
	p.sp()
	if p.peek() == '(' {
		c.Flags = p.flags()
		return c
	}
	for p.err == nil {
		c.Flags = append(c.Flags, p.flag())
		if !p.more() {
			break
		}
	}
	return c
}

// storeModifiers reads (UNCHANGEDSINCE n), the only one there is (RFC 7162 §3.1.3).
func (p *parser) storeModifiers(c *Store) {
	p.list("a list of modifiers", func() {
		if p.label("UNCHANGEDSINCE") != "UNCHANGEDSINCE" || c.UnchangedSince != nil {
			p.expected("UNCHANGEDSINCE, once")
		}
		p.sp()
		v := uint64(p.modSeq(true))
		c.UnchangedSince = &v
	})
}

func (p *parser) storeOp(c *Store) {
	name := p.label("FLAGS, +FLAGS or -FLAGS")
	name, c.Silent = strings.CutSuffix(name, ".SILENT")
	switch name {
	case "FLAGS":
		c.Op = StoreReplace
	case "+FLAGS":
		c.Op = StoreAdd
	case "-FLAGS":
		c.Op = StoreRemove
	default:
		p.expected("FLAGS, +FLAGS or -FLAGS")
	}
}
