package imapd

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

var flagOps = map[wire.StoreOp]mailstore.FlagOp{
	wire.StoreReplace: mailstore.ReplaceFlags, wire.StoreAdd: mailstore.AddFlags, wire.StoreRemove: mailstore.RemoveFlags,
}

// stored is what a STORE did.
type stored struct {
	// told are the messages that the client is told of, as they are now.
	told []mailbox.Record
	// modified are those that were left alone, as they changed after UNCHANGEDSINCE.
	modified mailbox.UIDSet
}

// store is STORE and UID STORE (RFC 9051 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3).
func (s *session) store(ctx context.Context, c *wire.Store) (*completion, error) {
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
		done, err := s.storeSilently(ctx, c, told, uids, flags)
		if err != nil {
			return nil, err
		}
		s.tellModSeqs(done.told)
		return s.modified(ctx, c, done.modified, nil)
	}
	done, err := s.storeAloud(ctx, c, uids, flags)
	if err != nil {
		return nil, err
	}
	for i := range done.told {
		s.tellFlags(&done.told[i], c.UID)
	}
	return s.modified(ctx, c, done.modified, s.expungeIssued(c.UID, without(uids, done.modified), len(done.told)))
}

// storeAloud changes flags, of which all are told.
func (s *session) storeAloud(ctx context.Context, c *wire.Store, uids mailbox.UIDSet, flags mailbox.Flags) (done stored, err error) {
	err = s.withMail(ctx, func(m *mailstore.Mail) error {
		res, err := m.StoreFlags(ctx, s.id, s.view.id, uids, flagOps[c.Op], flags, unchangedSince(c))
		if err == nil {
			s.knowsAll(&res)
			done = stored{res.Changed, res.Failed}
		}
		return err
	})
	if rest := without(uids, done.modified); err == nil && uint64(len(done.told)) < rest.Len() {
		// Some had those flags already: they are told all the same.
		done.told, err = s.records(ctx, rest)
	}
	return done, err
}

// storeSilently changes flags without telling. But where another session changed
// a message after told, up to where the client knew all when it said the command, the
// client cannot know what its flags are now: those are stored apart, and told like
// any change of another. What it is told are mod-sequences, if it is to be: with UNCHANGEDSINCE of all
// messages that were not left alone (RFC 7162 §3.1.3).
func (s *session) storeSilently(ctx context.Context, c *wire.Store, told mailbox.ModSeq, uids mailbox.UIDSet, flags mailbox.Flags) (done stored, err error) {
	limit, changed := unchangedSince(c), false
	first := &told
	if limit != nil {
		first = new(min(told, *limit))
	}
	err = s.withMail(ctx, func(m *mailstore.Mail) error {
		res, err := m.StoreFlags(ctx, s.id, s.view.id, uids, flagOps[c.Op], flags, first)
		if err != nil {
			return err
		}
		s.knowsAll(&res)
		done = stored{res.Changed, res.Failed}
		changed = len(res.Changed) > 0
		if res.Failed.IsEmpty() || limit != nil && *limit <= told {
			return nil
		}
		res, err = m.StoreFlags(ctx, s.id, s.view.id, res.Failed, flagOps[c.Op], flags, limit)
		done.modified = res.Failed
		changed = changed || len(res.Changed) > 0
		return err
	})
	if changed && c.Op != wire.StoreRemove {
		s.introduce(flags) // the flags of messages are not told here, those of the mailbox are
	}
	if rest := without(uids, done.modified); err == nil && limit != nil && uint64(len(done.told)) < rest.Len() {
		done.told, err = s.records(ctx, rest)
	}
	return done, err
}

// unchangedSince is that modifier; nil without it.
func unchangedSince(c *wire.Store) *mailbox.ModSeq {
	if c.UnchangedSince == nil {
		return nil
	}
	return new(mailbox.ModSeq(*c.UnchangedSince))
}

// tellModSeqs tells the mod-sequences that messages got, to whom that is told: .SILENT is for
// flags (RFC 7162 §3.1.3).
func (s *session) tellModSeqs(records []mailbox.Record) {
	if !s.condstore {
		return
	}
	for i := range records {
		if number, ok := s.view.number(records[i].UID); ok {
			f := s.out.Fetch(number)
			f.UID(records[i].UID)
			s.tellModSeq(&f, records[i].ModSeq)
			f.End()
		}
	}
}

// modified is the completion that names the messages which were left alone, as they changed meanwhile. What they are now
// is told, so that the client need not ask (RFC 7162 §3.1.3, example 10): here of changes that it was told of already,
// and at the command's end of those that it was not.
func (s *session) modified(ctx context.Context, c *wire.Store, uids mailbox.UIDSet, failed error) (*completion, error) {
	if uids.IsEmpty() {
		return nil, failed
	}
	records, err := s.records(ctx, uids)
	if err != nil {
		return nil, err
	}
	for i := range records {
		if records[i].ModSeq <= s.view.modSeq {
			s.tellFlags(&records[i], true)
		}
	}
	code := wire.ModifiedCode(setOf(s.numbers(slices.Collect(uids.All()), c.UID)))
	if failed != nil {
		return nil, no(code, "Some of the messages are no longer there, others were changed meanwhile")
	}
	return &completion{code: code, text: "Some messages were changed meanwhile"}, nil
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
		s.view.settle()
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
