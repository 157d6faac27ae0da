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
		if slices.Contains(m.Attrs, imap.MailboxAttrSubscribed) {
			out.Subscriptions = append(out.Subscriptions, here)
		}
		if slices.Contains(m.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(m.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		out.Mailboxes = append(out.Mailboxes, transfer.Place{There: m.Mailbox, Here: here})
	}
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
