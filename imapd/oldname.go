package imapd

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailstore"
)

// Names are stored in one form: INBOX in capitals, all others in Normalization Form
// C. A client may send any form; one that speaks IMAP4rev2 is told, by LIST with
// OLDNAME, when the form is not the one it sent (RFC 9051 §5.1, §6.3.9.7).

// otherForm reports whether a name as sent is not in the form that is stored. A
// name that cannot be one has no other form.
func otherForm(sent string) bool {
	sent = strings.TrimSuffix(sent, string(separator))
	name, err := mailstore.CleanName(sent)
	return err == nil && name != sent
}

// listing is what LIST tells of a mailbox unasked, with the name by which the
// client knows it if that is another.
func listing(ctx context.Context, m *mailstore.Mail, name, known string) (*wire.ListEntry, error) {
	d, err := readDirectory(ctx, m)
	if err != nil {
		return nil, err
	}
	i, ok := d.find(name)
	if !ok {
		return nil, mailstore.ErrNoMailbox // deleted since
	}
	all := &wire.List{}
	all.Return.Subscribed = true
	e := d[i].response(all, false)
	if known != name {
		e.OldName = known
	}
	return e, nil
}

// tellName tells a client of IMAP4rev2 that the mailbox it knows by one name has
// another. That the answer cannot be read fails nothing: the command is done.
func (s *session) tellName(ctx context.Context, m *mailstore.Mail, name, known string) {
	if !s.rev2 {
		return
	}
	e, err := listing(ctx, m, strings.TrimSuffix(name, string(separator)), strings.TrimSuffix(known, string(separator)))
	if err != nil {
		s.log.Warn("imap: a mailbox's other name cannot be told", "user", s.account.Name, "error", err)
		return
	}
	s.out.List(e)
}

// tellGone does so of a mailbox that was deleted.
func (s *session) tellGone(name, known string) {
	if s.rev2 && name != known {
		s.out.List(&wire.ListEntry{Attrs: []imap.MailboxAttr{imap.MailboxAttrNonExistent}, Delimiter: separator, Mailbox: name, OldName: known})
	}
}
