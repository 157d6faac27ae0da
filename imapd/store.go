package imapd

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

var flagOps = map[wire.StoreOp]mailstore.FlagOp{
	wire.StoreReplace: mailstore.ReplaceFlags, wire.StoreAdd: mailstore.AddFlags, wire.StoreRemove: mailstore.RemoveFlags,
}

// store is STORE and UID STORE (RFC 9051 §6.4.6).
func (s *session) store(ctx context.Context, c *wire.Store) (*completion, error) {
	if c.UnchangedSince != nil {
		return nil, bad("CONDSTORE is not offered")
	}
	if s.view.readOnly {
		return nil, errReadOnly
	}
	flags, err := s.flags(c.Flags)
	if err != nil {
		return nil, err
	}
	told := s.view.modSeq // before this command
	uids, err := s.pick(ctx, c.Set, c.UID)
	if err != nil || uids.IsEmpty() {
		return nil, err
	}
	if c.Silent {
		return nil, s.storeSilently(ctx, c, told, uids, flags)
	}
	var changed []mailbox.Record
	err = s.withMail(ctx, func(m *mailstore.Mail) error {
		res, err := m.StoreFlags(ctx, s.id, s.view.id, uids, flagOps[c.Op], flags, nil)
		if err == nil {
			s.knowsAll(&res)
			changed = res.Changed
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	records := changed
	if uint64(len(changed)) < uids.Len() {
		// Some had those flags already: they are told all the same.
		if records, err = s.records(ctx, uids); err != nil {
			return nil, err
		}
	}
	for i := range records {
		s.tellFlags(&records[i], c.UID)
	}
	return nil, s.expungeIssued(c.UID, uids, len(records))
}

// storeSilently changes flags without telling. But where another session changed
// a message after told, up to where the client knew all when it said the command, the
// client cannot know what its flags are now: those are stored apart, and told like
// any change of another.
func (s *session) storeSilently(ctx context.Context, c *wire.Store, told mailbox.ModSeq, uids mailbox.UIDSet, flags mailbox.Flags) error {
	changed := false
	err := s.withMail(ctx, func(m *mailstore.Mail) error {
		res, err := m.StoreFlags(ctx, s.id, s.view.id, uids, flagOps[c.Op], flags, &told)
		if err != nil {
			return err
		}
		s.knowsAll(&res)
		changed = len(res.Changed) > 0
		if res.Failed.IsEmpty() {
			return nil
		}
		res, err = m.StoreFlags(ctx, s.id, s.view.id, res.Failed, flagOps[c.Op], flags, nil)
		changed = changed || len(res.Changed) > 0
		return err
	})
	if changed && c.Op != wire.StoreRemove {
		s.introduce(flags) // the flags of messages are not told here, those of the mailbox are
	}
	return err
}

// knowsAll notes that the client knows the flags that one change made. Where it
// knew all that came before, there is nothing left to tell.
func (s *session) knowsAll(done *mailstore.StoreResult) {
	if len(done.Changed) == 0 {
		return
	}
	modSeq := done.Changed[0].ModSeq
	if s.view.modSeq == done.Before {
		s.view.modSeq = modSeq
		return
	}
	var uids mailbox.UIDSet
	for i := range done.Changed {
		uids.Add(done.Changed[i].UID)
	}
	s.view.knows(modSeq, uids)
}

// expungeIssued is the completion of a command that named messages by number of
// which some are no longer there (RFC 5530 §3).
func (s *session) expungeIssued(uid bool, named mailbox.UIDSet, found int) error {
	if uid || uint64(found) == named.Len() {
		return nil
	}
	return no(wire.CodeExpungeIssued, "Some of the messages are no longer there")
}

// maxKeyword is the length of a keyword in octets.
const maxKeyword = 128

// flags makes flags of names as a client sends them. \Recent cannot be stored
// (RFC 3501 §2.3.2) and is passed over; no other flag is a system flag.
func (s *session) flags(names []string) (mailbox.Flags, error) {
	keywords := 0
	for _, name := range names {
		if _, known := mailbox.SystemFlag(name); known || strings.EqualFold(name, `\Recent`) {
			continue
		}
		if strings.HasPrefix(name, `\`) {
			return mailbox.Flags{}, bad("There is no such system flag")
		}
		if keywords++; keywords > s.srv.o.Limits.Keywords || len(name) > maxKeyword {
			return mailbox.Flags{}, no(imap.ResponseCodeLimit, "Too many or too long keywords")
		}
	}
	return mailbox.MakeFlags(names...), nil
}
