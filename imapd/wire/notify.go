package wire

import "strings"

// Notify is RFC 5465. No groups: NOTIFY NONE.
type Notify struct {
	Status bool
	Groups []EventGroup
}

// EventGroup are events asked for of some mailboxes.
type EventGroup struct {
	Filter Filter
	Events []NotifyEvent // none: NONE
}

// NotifyEvent is an event's name, as sent, and what MessageNew shall fetch.
type NotifyEvent struct {
	Name  string
	Fetch []FetchItem
}

// FilterKind says which mailboxes a Filter means.
type FilterKind byte

// The kinds of filter (RFC 5465 §6, RFC 7377 §2.2).
const (
	FilterSelected FilterKind = iota + 1
	FilterSelectedDelayed
	FilterInboxes
	FilterPersonal
	FilterSubscribed
	FilterSubtree
	FilterSubtreeOne
	FilterMailboxes
)

// Filter names mailboxes.
type Filter struct {
	Kind      FilterKind
	Mailboxes []string // of FilterSubtree, FilterSubtreeOne and FilterMailboxes
}

// Name implements Command.
func (*Notify) Name() string { return "NOTIFY" }

func (p *parser) notify(bool) Command {
	c := &Notify{}
	p.sp()
	switch p.label("SET or NONE") {
	case "NONE":
		return c
	case "SET":
	default:
		p.expected("SET or NONE")
	}
	p.sp()
	if p.keyword("STATUS") {
		c.Status = true
		p.sp()
	}
	for p.err == nil {
		c.Groups = append(c.Groups, p.eventGroup())
		if !p.more() {
			break
		}
	}
	return c
}

func (p *parser) eventGroup() EventGroup {
	var g EventGroup
	p.must('(', "an event group")
	g.Filter = p.filter()
	p.sp()
	if !p.keyword("NONE") {
		p.list("a list of events or NONE", func() { g.Events = append(g.Events, p.event()) })
	}
	p.must(')', ")")
	return g
}

// event reads an event. Which names are known is not for the codec to say: an unknown one is
// answered by NO [BADEVENT] (RFC 5465 §5).
func (p *parser) event() NotifyEvent {
	e := NotifyEvent{Name: p.span(isAtom, "an event")}
	if strings.EqualFold(e.Name, "MessageNew") && p.opensList() {
		p.sp()
		e.Fetch = p.fetchItems(false)
	}
	return e
}

// opensList reports whether " (" is next.
func (p *parser) opensList() bool {
	rest := p.rest()
	return len(rest) > 1 && rest[0] == ' ' && rest[1] == '('
}

var filterKinds = map[string]FilterKind{
	"SELECTED": FilterSelected, "SELECTED-DELAYED": FilterSelectedDelayed, "INBOXES": FilterInboxes,
	"PERSONAL": FilterPersonal, "SUBSCRIBED": FilterSubscribed, "SUBTREE": FilterSubtree,
	"SUBTREE-ONE": FilterSubtreeOne, "MAILBOXES": FilterMailboxes,
}

func (p *parser) filter() Filter {
	f := Filter{Kind: filterKinds[p.label("a mailbox filter")]}
	switch f.Kind {
	case 0:
		p.expected("a known mailbox filter")
	case FilterSubtree, FilterSubtreeOne, FilterMailboxes:
		p.sp()
		if p.peek() != '(' {
			f.Mailboxes = []string{p.mailbox()}
			break
		}
		p.list("mailboxes", func() { f.Mailboxes = append(f.Mailboxes, p.mailbox()) })
	}
	return f
}
