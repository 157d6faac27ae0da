package imapd

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// entry is a name that LIST may return: a mailbox, a subscription, or a level of
// hierarchy above one.
type entry struct {
	name       string
	state      *mailbox.State // nil: there is no such mailbox
	subscribed bool
	status     []wire.StatusValue // if it was asked for
	// children and subscribedBelow: mailboxes, subscriptions below it.
	children, subscribedBelow bool
	// For RECURSIVEMATCH: below it is what the selection chooses (chosenBelow), and
	// some of that the patterns do not match (hiddenBelow).
	chosenBelow, hiddenBelow bool
}

// directory is a user's entries by name.
type directory []*entry

// readDirectory reads all names of a user.
func readDirectory(ctx context.Context, m *mailstore.Mail) (directory, error) {
	boxes, err := m.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	subscriptions, err := m.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	return newDirectory(boxes, subscriptions), nil
}

func newDirectory(boxes []mailbox.State, subscriptions []string) directory {
	byName := make(map[string]*entry, len(boxes))
	at := func(name string) *entry {
		if byName[name] == nil {
			byName[name] = &entry{name: name}
		}
		return byName[name]
	}
	for i := range boxes {
		at(boxes[i].Name).state = &boxes[i]
		for name := range above(boxes[i].Name) {
			at(name).children = true
		}
	}
	for _, name := range subscriptions {
		at(name).subscribed = true
		for name := range above(name) {
			at(name).subscribedBelow = true
		}
	}
	d := make(directory, 0, len(byName))
	for _, e := range byName {
		d = append(d, e)
	}
	slices.SortFunc(d, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	return d
}

// above yields the levels of hierarchy above a name.
func above(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(name) {
			if name[i] == separator && i > 0 && !yield(name[:i]) {
				return
			}
		}
	}
}

// list is LIST (RFC 9051 §6.3.9) with LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC
// 5819) and SPECIAL-USE (RFC 6154).
func (s *session) list(ctx context.Context, c *wire.List) (*completion, error) {
	if c.Return.MyRights || len(c.Return.Metadata) > 0 {
		return nil, bad("A return option is of an extension that is not offered")
	}
	if c.Select.RecursiveMatch && !c.Select.Subscribed {
		return nil, bad("RECURSIVEMATCH needs a selection such as SUBSCRIBED (RFC 5258 section 3.1)")
	}
	if err := checkStatus(c.Return.Status); err != nil {
		return nil, err
	}
	if !c.Extended && c.Patterns[0] == "" {
		// The hierarchy separator is asked for (RFC 9051 §6.3.9).
		s.out.List(&wire.ListEntry{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delimiter: separator})
		return nil, nil
	}
	var d directory
	err := s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		if d, err = readDirectory(ctx, m); err != nil {
			return err
		}
		d.lookBelow(c)
		if len(c.Return.Status) > 0 {
			err = s.readStatus(ctx, m, d, c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, e := range d {
		if selects, childInfo := e.listed(c); selects {
			s.out.List(e.response(c, childInfo))
			if e.status != nil {
				s.out.Status(e.name, e.status)
			}
		}
	}
	return nil, nil
}

// readStatus reads what LIST-STATUS tells of the mailboxes that are listed.
func (s *session) readStatus(ctx context.Context, m *mailstore.Mail, d directory, c *wire.List) error {
	for _, e := range d {
		selects, _ := e.listed(c)
		if !selects || e.state == nil {
			continue
		}
		var err error
		if e.status, err = s.statusOf(ctx, m, e.state, c.Return.Status); err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

func (e *entry) response(c *wire.List, childInfo bool) *wire.ListEntry {
	r := &wire.ListEntry{Attrs: e.attributes(c), Delimiter: separator, Mailbox: e.name}
	if childInfo {
		r.ChildInfo = []string{"SUBSCRIBED"}
	}
	return r
}

// listed reports whether LIST returns the entry, and whether because of
// subscriptions below it (RFC 5258 §3.5, CHILDINFO).
func (e *entry) listed(c *wire.List) (yes, childInfo bool) {
	matches, levels := e.matches(c.Reference, c.Patterns)
	switch {
	case !matches:
		return false, false
	case c.Select.Subscribed || c.Select.SpecialUse:
		// A level is named for what is below it only if the answer does not name that.
		return e.chosen(c) || e.hiddenBelow, e.chosenBelow
	}
	// A level of hierarchy that is no mailbox shows where "%" ends a pattern, so
	// that a client can go down by it (RFC 3501 §6.3.8).
	return e.state != nil || e.children && levels, false
}

// chosen reports whether the selection options choose the entry.
func (e *entry) chosen(c *wire.List) bool {
	return (!c.Select.Subscribed || e.subscribed) &&
		(!c.Select.SpecialUse || e.state != nil && e.state.SpecialUse != "")
}

// lookBelow finds out for RECURSIVEMATCH what is chosen below each level (RFC 9051
// §6.3.9.6).
func (d directory) lookBelow(c *wire.List) {
	if !c.Select.RecursiveMatch {
		return
	}
	for _, e := range d {
		if !e.chosen(c) {
			continue
		}
		shown, _ := e.matches(c.Reference, c.Patterns)
		for name := range above(e.name) {
			if i, ok := d.find(name); ok {
				d[i].chosenBelow = true
				d[i].hiddenBelow = d[i].hiddenBelow || !shown
			}
		}
	}
}

// find returns where a name stands.
func (d directory) find(name string) (int, bool) {
	return slices.BinarySearchFunc(d, name, func(e *entry, name string) int { return strings.Compare(e.name, name) })
}

// matches reports whether a pattern matches, and whether one that does ends in "%".
func (e *entry) matches(reference string, patterns []string) (yes, levels bool) {
	for _, p := range patterns {
		// Names are kept in Normalization Form C, and are found by any form.
		if p = norm.NFC.String(reference + p); matchPattern(p, e.name) {
			yes = true
			levels = levels || strings.HasSuffix(p, "%")
		}
	}
	return yes, levels
}

// attributes are the entry's attributes as far as they were asked for; a plain
// LIST gets all, as clients that know special uses expect.
func (e *entry) attributes(c *wire.List) []imap.MailboxAttr {
	var attrs []imap.MailboxAttr
	switch {
	case e.state == nil && c.Extended:
		attrs = append(attrs, imap.MailboxAttrNonExistent)
	case e.state == nil:
		attrs = append(attrs, imap.MailboxAttrNoSelect)
	}
	if e.children {
		attrs = append(attrs, imap.MailboxAttrHasChildren)
	} else {
		attrs = append(attrs, imap.MailboxAttrHasNoChildren)
	}
	if e.subscribed && (c.Select.Subscribed || c.Return.Subscribed) {
		attrs = append(attrs, imap.MailboxAttrSubscribed)
	}
	if e.state != nil && e.state.SpecialUse != "" && (!c.Extended || c.Return.SpecialUse || c.Select.SpecialUse) {
		attrs = append(attrs, imap.MailboxAttr(e.state.SpecialUse))
	}
	return attrs
}

// lsub is LSUB (RFC 3501 §6.3.9). A level that is not subscribed but has
// subscriptions below shows as \Noselect where "%" ends the pattern.
func (s *session) lsub(ctx context.Context, c *wire.Lsub) (*completion, error) {
	var d directory
	err := s.withMail(ctx, func(m *mailstore.Mail) error {
		names, err := m.Subscriptions(ctx)
		d = newDirectory(nil, names)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, e := range d {
		matches, levels := e.matches(c.Reference, []string{c.Pattern})
		switch {
		case matches && e.subscribed:
			s.out.Lsub(&wire.ListEntry{Delimiter: separator, Mailbox: e.name})
		case matches && levels && e.subscribedBelow:
			s.out.Lsub(&wire.ListEntry{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delimiter: separator, Mailbox: e.name})
		}
	}
	return nil, nil
}

// namespace is NAMESPACE (RFC 9051 §6.3.10): one personal namespace.
func (s *session) namespace(context.Context, *wire.Namespace) (*completion, error) {
	s.out.Namespace([]wire.NamespaceEntry{{Delimiter: separator}}, nil, nil)
	return nil, nil
}
