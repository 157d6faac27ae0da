package imapsource

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/cmd/internal/transfer"
)

// take notes the mailboxes of a LIST and how they are named here.
func take(out *transfer.List, all []*imap.ListData, spaces *imap.NamespaceData) {
	for _, m := range all {
		here, personal := nameHere(m.Mailbox, m.Delim, spaces)
		if !personal {
			out.Notices = append(out.Notices, fmt.Sprintf("%s: left out, it is not the user's own", m.Mailbox))
			continue
		}
		if strings.Contains(strings.ReplaceAll(m.Mailbox, string(m.Delim), ""), "/") && m.Delim != '/' {
			out.Notices = append(out.Notices, fmt.Sprintf("%s: here it is %s", m.Mailbox, here))
		}
		if slices.Contains(m.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(m.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		place := transfer.Place{There: m.Mailbox, Here: here}
		for _, use := range usesOf(m) {
			switch {
			case !slices.Contains(uses, use):
				out.Notices = append(out.Notices, fmt.Sprintf("%s: the use %s, which no mailbox has here", m.Mailbox, use))
			case place.Use != "":
				out.Notices = append(out.Notices, fmt.Sprintf("%s: the use %s, besides %s", m.Mailbox, use, place.Use))
			default:
				place.Use = string(use)
			}
		}
		out.Mailboxes = append(out.Mailboxes, place)
	}
}

// takeSubscribed notes the names of a LIST of what is subscribed, mailboxes or not.
func takeSubscribed(out *transfer.List, subscribed []*imap.ListData, spaces *imap.NamespaceData) {
	for _, m := range subscribed {
		if !slices.Contains(m.Attrs, imap.MailboxAttrSubscribed) {
			continue // a level above one that is
		}
		if here, personal := nameHere(m.Mailbox, m.Delim, spaces); personal {
			out.Subscriptions = append(out.Subscriptions, here)
		}
	}
}

// uses are the special uses that a mailbox can have here; views are those of mailboxes that
// show others' messages, or of what clients make of it (RFC 6154 §2, RFC 8457 §4).
var (
	uses  = []imap.MailboxAttr{imap.MailboxAttrArchive, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrSent, imap.MailboxAttrTrash}
	views = []imap.MailboxAttr{imap.MailboxAttrAll, imap.MailboxAttrFlagged, imap.MailboxAttrImportant}
)

// usesOf are the special uses of a mailbox, in the case of the standard. Servers give
// them in answer to a plain LIST, too (RFC 6154 §2).
func usesOf(m *imap.ListData) (out []imap.MailboxAttr) {
	for _, attr := range m.Attrs {
		for _, use := range slices.Concat(uses, views) {
			if strings.EqualFold(string(attr), string(use)) {
				out = append(out, use)
			}
		}
	}
	return out
}

// nameHere makes a name of here of one of the server's; "" is INBOX. It reports
// whether the mailbox is in the user's own namespace.
func nameHere(name string, delim rune, spaces *imap.NamespaceData) (here string, personal bool) {
	if strings.EqualFold(name, "INBOX") {
		return "", true
	}
	if spaces != nil {
		for _, other := range slices.Concat(spaces.Other, spaces.Shared) {
			if other.Prefix != "" && strings.HasPrefix(name+string(other.Delim), other.Prefix) {
				return "", false
			}
		}
		for _, own := range spaces.Personal {
			if rest, ok := strings.CutPrefix(name, own.Prefix); ok && own.Prefix != "" && rest != "" {
				name = rest
				break
			}
		}
	}
	if delim == 0 {
		return strings.ReplaceAll(name, "/", "_"), true
	}
	if delim == '/' {
		return name, true
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "/", "_"), string(delim), "/"), true
}
