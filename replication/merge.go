package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Merged counts what merges met on both sides.
type Merged struct {
	Users int64 // whose mail had changed on both sides
	Mail  mailstore.Merged
}

func (m *Merged) add(o *Merged) {
	m.Users += o.Users
	m.Mail.Add(&o.Mail)
}

// merge takes over what the replica has of its own, by the rules of mailstore.Mail.Merge.
// The next round sends the merged mail, which has all that was merged.
func (s *sync1) merge(ctx context.Context) error {
	if err := s.ask(ctx); err != nil {
		return err
	}
	ids := make([]mailbox.ID, 0, len(s.theirs.Mailboxes))
	for i := range s.theirs.Mailboxes {
		ids = append(ids, s.theirs.Mailboxes[i].ID)
	}
	if err := s.compare(ctx, ids); err != nil {
		return err
	}
	if err := s.fetch(ctx); err != nil {
		return err
	}
	met, err := s.mail.Merge(ctx, &s.theirs, s.known)
	if err != nil {
		return err
	}
	s.stats.Merged.add(&Merged{1, met})
	s.c.o.Logger.Warn("replication: a user had changed on both sides, and is merged", "replica", s.c.o.Name, "user", s.user, "met", fmt.Sprintf("%+v", met))
	return nil
}

// fetch stages here the messages of known records that are missing.
func (s *sync1) fetch(ctx context.Context) error {
	heads := map[mailbox.GUID]messageHead{}
	var guids []mailbox.GUID
	for id, entries := range s.known {
		box := s.theirs.Box(id)
		for i := range entries {
			e := &entries[i]
			if _, had := heads[e.GUID]; had {
				continue
			}
			heads[e.GUID] = messageHead{guid: e.GUID, size: e.Size, thread: e.Thread, mailbox: id, uid: e.UID, validity: box.UIDValidity, date: e.InternalDate}
			guids = append(guids, e.GUID)
		}
	}
	missing, err := s.mail.Lacks(ctx, guids)
	if err != nil {
		return err
	}
	lost := map[mailbox.GUID]string{}
	for part := range slices.Chunk(missing, maxOffer) {
		if err := s.c.fetch(ctx, s.mail, part, heads, lost); err != nil {
			return err
		}
	}
	return s.forgo(lost)
}

// forgo leaves out expunged records whose messages the replica cannot send; that of a
// live one is an error.
func (s *sync1) forgo(lost map[mailbox.GUID]string) error {
	for id, entries := range s.known {
		for i := range entries {
			if cause, is := lost[entries[i].GUID]; is && !entries[i].Expunged {
				return fmt.Errorf("mailbox %s, UID %d: the replica cannot send the message: %s", id, entries[i].UID, cause)
			}
		}
		s.known[id] = slices.DeleteFunc(entries, func(e mailstore.Entry) bool { _, is := lost[e.GUID]; return is })
	}
	return nil
}

// fetch asks for messages and stages them in m. heads say where they belong; lost gets
// those that cannot be sent, with the cause.
func (c *Client) fetch(ctx context.Context, m *mailstore.Mail, guids []mailbox.GUID, heads map[mailbox.GUID]messageHead, lost map[mailbox.GUID]string) error {
	return c.ask(ctx, callFetch, guidsFrame(kindOffer, m.User(), guids), func(x *call) (err error) {
		r := receiver{x: x, store: c.o.Store, mail: m, heads: heads}
		defer func() { err = errors.Join(err, r.close()) }()
		for {
			f, err := receive(x)
			if errors.Is(err, io.EOF) {
				return r.flush(ctx)
			}
			if err != nil {
				return err
			}
			if f.kind != kindNone {
				if err := r.messages(ctx, f); err != nil {
					return err
				}
				continue
			}
			err = parse(f, kindNone, func(d *decoder) {
				var g mailbox.GUID
				d.into(g[:])
				lost[g] = d.string()
			})
			if err != nil {
				return err
			}
		}
	})
}

// adopt makes a user here whom only the replica has: he was made there when it was
// the master.
func (s *sync1) adopt(ctx context.Context) error {
	if err := s.ask(ctx); err != nil {
		return err
	}
	if s.there == nil || s.there.Removed || !s.exists {
		return account.ErrNoAccount
	}
	accounts := s.c.o.Accounts
	entry := *s.there
	other, err := accounts.Lookup(ctx, entry.Name)
	switch {
	case errors.Is(err, account.ErrNoAccount):
	case err != nil:
		return err
	case entry.ID < other.ID:
		if err := accounts.Rename(ctx, other.Name, aside(other.Name, other.ID)); err != nil {
			return err
		}
	default:
		entry.Name = aside(entry.Name, entry.ID)
	}
	if err := s.c.o.Store.CreateReplica(ctx, s.user); err != nil && !errors.Is(err, mailstore.ErrExists) {
		return err
	}
	s.account = entry
	return accounts.Put(ctx, entry)
}

// aside is the login name of a user who has lost his own to another.
func aside(name string, id mailbox.User) string {
	local, domain := name, ""
	for i := range name {
		if name[i] == '@' {
			local, domain = name[:i], name[i:]
			break
		}
	}
	return local + "-" + string(id[:8]) + domain
}
