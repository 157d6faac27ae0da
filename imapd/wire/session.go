package wire

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Capability asks for the capabilities (RFC 9051 §6.1.1).
type Capability struct{}

// Noop does nothing but let the server tell news (RFC 9051 §6.1.2).
type Noop struct{}

// Logout ends the session (RFC 9051 §6.1.3).
type Logout struct{}

// StartTLS begins TLS (RFC 9051 §6.2.1).
type StartTLS struct{}

// Login is RFC 9051 §6.2.3; both are as sent, in any encoding.
type Login struct{ User, Password string }

// Authenticate is RFC 9051 §6.2.2 with the initial response of RFC 4959.
type Authenticate struct {
	Mechanism  string // in capitals
	HasInitial bool   // an initial response was sent, which may be empty
	Initial    []byte // decoded from base64
}

// Unauthenticate is RFC 8437.
type Unauthenticate struct{}

// Enable is RFC 9051 §6.3.1.
type Enable struct{ Capabilities []imap.Cap } // in capitals, but for IMAP4rev2

// ID is RFC 2971. Params is nil if the client sent NIL.
type ID struct{ Params []Param }

// Param is a field of ID; a nil Value is NIL.
type Param struct {
	Name  string
	Value *string
}

// Compress is RFC 4978.
type Compress struct{ Mechanism string } // in capitals

// Namespace is RFC 2342.
type Namespace struct{}

// Idle is RFC 2177. The client ends it by a line "DONE": Reader.Line.
type Idle struct{}

// Language is RFC 5255 §3.2; none asks for the list.
type Language struct{ Ranges []string }

// Name implements Command.
func (*Capability) Name() string { return "CAPABILITY" }

// Name implements Command.
func (*Noop) Name() string { return "NOOP" }

// Name implements Command.
func (*Logout) Name() string { return "LOGOUT" }

// Name implements Command.
func (*StartTLS) Name() string { return "STARTTLS" }

// Name implements Command.
func (*Login) Name() string { return "LOGIN" }

// Name implements Command.
func (*Authenticate) Name() string { return "AUTHENTICATE" }

// Name implements Command.
func (*Unauthenticate) Name() string { return "UNAUTHENTICATE" }

// Name implements Command.
func (*Enable) Name() string { return "ENABLE" }

// Name implements Command.
func (*ID) Name() string { return "ID" }

// Name implements Command.
func (*Compress) Name() string { return "COMPRESS" }

// Name implements Command.
func (*Namespace) Name() string { return "NAMESPACE" }

// Name implements Command.
func (*Idle) Name() string { return "IDLE" }

// Name implements Command.
func (*Language) Name() string { return "LANGUAGE" }

func (p *parser) login(bool) Command {
	c := &Login{}
	p.sp()
	c.User = p.astring()
	p.sp()
	c.Password = p.astring()
	return c
}

func (p *parser) authenticate(bool) Command {
	p.sp()
	c := &Authenticate{Mechanism: p.label("a mechanism")}
	if p.more() {
		c.HasInitial, c.Initial = true, p.base64()
	}
	return c
}

func (p *parser) enable(bool) Command {
	c := &Enable{}
	p.sp()
	for p.err == nil {
		c.Capabilities = append(c.Capabilities, capability(p.span(isFlag, "a capability")))
		if !p.more() {
			break
		}
	}
	return c
}

// capability gives a capability the case in which package imap writes it.
func capability(name string) imap.Cap {
	for _, c := range []imap.Cap{imap.CapIMAP4rev1, imap.CapIMAP4rev2} {
		if strings.EqualFold(name, string(c)) {
			return c
		}
	}
	return imap.Cap(strings.ToUpper(name))
}

func (p *parser) id(bool) Command {
	c := &ID{}
	p.sp()
	if p.isNil() {
		return c
	}
	c.Params = []Param{}
	p.optionalList("NIL or a list", func() {
		name := p.string()
		p.sp()
		c.Params = append(c.Params, Param{name, p.nstring()})
	})
	return c
}

func (p *parser) compress(bool) Command {
	p.sp()
	return &Compress{Mechanism: p.label("a mechanism")}
}

func (p *parser) language(bool) Command {
	c := &Language{}
	for p.more() {
		c.Ranges = append(c.Ranges, p.astring())
	}
	return c
}
