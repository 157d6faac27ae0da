package wire

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
