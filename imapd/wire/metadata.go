package wire

// GetMetadata is RFC 5464 §4.2.
type GetMetadata struct {
	Mailbox string // "": the server's own
	Entries []string
	MaxSize *uint32 // octets; nil: none given
	Depth   int     // 0, 1 or DepthInfinity
}

// DepthInfinity is DEPTH infinity of GETMETADATA.
const DepthInfinity = -1

// SetMetadata is RFC 5464 §4.3.
type SetMetadata struct {
	Mailbox string // "": the server's own
	Entries []MetadataEntry
}

// MetadataEntry is an annotation; a nil Value removes it.
type MetadataEntry struct {
	Name  string // as sent, such as /private/comment
	Value []byte
}

// Name implements Command.
func (*GetMetadata) Name() string { return "GETMETADATA" }

// Name implements Command.
func (*SetMetadata) Name() string { return "SETMETADATA" }

func (p *parser) getMetadata(bool) Command {
	c := &GetMetadata{}
	p.sp()
	if p.peek() == '(' {
		p.metadataOptions(c)
		p.sp()
	}
	c.Mailbox = p.mailbox()
	p.sp()
	if p.metadataOptionNext() { // the order of the examples in RFC 5464 §4.2.1
		p.metadataOptions(c)
		p.sp()
	}
	if p.peek() != '(' {
		c.Entries = []string{p.entry()}
		return c
	}
	p.list("entries", func() { c.Entries = append(c.Entries, p.entry()) })
	return c
}

// metadataOptionNext tells a list of options from one of entries, which begin with "/".
func (p *parser) metadataOptionNext() bool {
	rest := p.rest()
	return len(rest) > 1 && rest[0] == '(' && isAtom(rest[1]) && rest[1] != '/'
}

func (p *parser) metadataOptions(c *GetMetadata) {
	p.list("options", func() {
		switch p.label("MAXSIZE or DEPTH") {
		case "MAXSIZE":
			p.sp()
			n := p.number()
			c.MaxSize = &n
		case "DEPTH":
			p.sp()
			c.Depth = p.metadataDepth()
		default:
			p.expected("MAXSIZE or DEPTH")
		}
	})
}

func (p *parser) metadataDepth() int {
	switch p.label("0, 1 or infinity") {
	case "0":
		return 0
	case "1":
		return 1
	case "INFINITY":
		return DepthInfinity
	}
	p.expected("0, 1 or infinity")
	return 0
}

// entry reads an entry's name.
func (p *parser) entry() string {
	at := p.pos
	name := p.astring()
	if p.err == nil && (name == "" || name[0] != '/') {
		p.pos = min(at, p.pos)
		p.expected("an entry, which begins with /")
	}
	return name
}

func (p *parser) setMetadata(bool) Command {
	c := &SetMetadata{Mailbox: p.mailboxArgument()}
	p.sp()
	p.list("entries and values", func() {
		e := MetadataEntry{Name: p.entry()}
		p.sp()
		e.Value = p.metadataValue()
		c.Entries = append(c.Entries, e)
	})
	return c
}

// metadataValue reads nstring or literal8; nil is NIL.
func (p *parser) metadataValue() []byte {
	if p.atLiteral() {
		return append([]byte{}, p.literal(true)...)
	}
	if s := p.nstring(); s != nil {
		return []byte(*s)
	}
	return nil
}
