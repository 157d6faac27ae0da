package wire

import "slices"

// List is LIST (RFC 9051 §6.3.9, RFC 5258).
type List struct {
	Reference string
	Patterns  []string // with the wildcards * and %; at least one
	// Extended says that selection options, several patterns or return options
	// were sent: the answer then has no room for the special meaning of an empty pattern.
	Extended bool
	Select   ListSelect
	Return   ListReturn
}

// ListSelect are the selection options.
type ListSelect struct {
	Subscribed, Remote, RecursiveMatch, SpecialUse bool
}

// ListReturn are the return options.
type ListReturn struct {
	Subscribed, Children, SpecialUse, MyRights bool
	Status                                     []StatusItem // RFC 5819
	// Metadata are entry names (RFC 9590).
	Metadata []string
}

// Lsub is RFC 3501 §6.3.9.
type Lsub struct{ Reference, Pattern string }

// Status is RFC 9051 §6.3.11.
type Status struct {
	Mailbox string
	Items   []StatusItem // each once, in the order of the first mention
}

// StatusItem is a name of a STATUS item, in capitals.
type StatusItem string

// The STATUS items.
const (
	StatusMessages       StatusItem = "MESSAGES"
	StatusRecent         StatusItem = "RECENT" // RFC 3501
	StatusUIDNext        StatusItem = "UIDNEXT"
	StatusUIDValidity    StatusItem = "UIDVALIDITY"
	StatusUnseen         StatusItem = "UNSEEN"
	StatusDeleted        StatusItem = "DELETED"
	StatusSize           StatusItem = "SIZE"            // RFC 8438
	StatusHighestModSeq  StatusItem = "HIGHESTMODSEQ"   // RFC 7162
	StatusMailboxID      StatusItem = "MAILBOXID"       // RFC 8474
	StatusAppendLimit    StatusItem = "APPENDLIMIT"     // RFC 7889
	StatusDeletedStorage StatusItem = "DELETED-STORAGE" // RFC 9208
)

// Name implements Command.
func (*List) Name() string { return "LIST" }

// Name implements Command.
func (*Lsub) Name() string { return "LSUB" }

// Name implements Command.
func (*Status) Name() string { return "STATUS" }

func (p *parser) listMailboxes(bool) Command {
	c := &List{}
	p.sp()
	if p.peek() == '(' {
		c.Extended = true
		p.listSelect(&c.Select)
		p.sp()
	}
	c.Reference = p.mailbox()
	p.sp()
	if p.peek() == '(' {
		c.Extended = true
		p.list("a list of patterns", func() { c.Patterns = append(c.Patterns, p.pattern()) })
	} else {
		c.Patterns = []string{p.pattern()}
	}
	if p.more() {
		c.Extended = true
		if p.label("RETURN") != "RETURN" {
			p.expected("RETURN")
		}
		p.sp()
		p.optionalList("a list of return options", func() { p.listReturn(&c.Return) })
	}
	return c
}

// listSelect reads list-select-opts. RECURSIVEMATCH needs an option that it can
// modify (RFC 5258 §6).
func (p *parser) listSelect(s *ListSelect) {
	p.optionalList("a list of selection options", func() {
		switch p.label("a selection option") {
		case "SUBSCRIBED":
			s.Subscribed = true
		case "REMOTE":
			s.Remote = true
		case "RECURSIVEMATCH":
			s.RecursiveMatch = true
		case "SPECIAL-USE":
			s.SpecialUse = true
		default:
			p.expected("a known selection option")
		}
	})
	if s.RecursiveMatch && !s.Subscribed {
		p.expected("SUBSCRIBED with RECURSIVEMATCH")
	}
}

func (p *parser) listReturn(r *ListReturn) {
	switch p.label("a return option") {
	case "SUBSCRIBED":
		r.Subscribed = true
	case "CHILDREN":
		r.Children = true
	case "SPECIAL-USE":
		r.SpecialUse = true
	case "MYRIGHTS":
		r.MyRights = true
	case "STATUS":
		p.sp()
		r.Status = p.statusItems()
	case "METADATA":
		p.sp()
		p.list("a list of entries", func() { r.Metadata = append(r.Metadata, p.astring()) })
	default:
		p.expected("a known return option")
	}
}

func (p *parser) lsub(bool) Command {
	c := &Lsub{Reference: p.mailboxArgument()}
	p.sp()
	c.Pattern = p.pattern()
	return c
}

func (p *parser) status(bool) Command {
	c := &Status{Mailbox: p.mailboxArgument()}
	p.sp()
	c.Items = p.statusItems()
	return c
}

var statusItems = []StatusItem{
	StatusMessages, StatusRecent, StatusUIDNext, StatusUIDValidity, StatusUnseen, StatusDeleted,
	StatusSize, StatusHighestModSeq, StatusMailboxID, StatusAppendLimit, StatusDeletedStorage,
}

func (p *parser) statusItems() []StatusItem {
	var items []StatusItem
	p.list("a list of status items", func() {
		item := StatusItem(p.label("a status item"))
		if !slices.Contains(statusItems, item) {
			p.expected("a known status item")
		}
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	})
	return items
}
