package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Heal repairs what is damaged of a user's mail on either side from the other: messages
// whose bytes do not read as they were written, and records that do not match their CRC.
// report is told of each thing that was mended, and of what neither side has.
func (c *Client) Heal(ctx context.Context, u mailbox.User, report func(string)) error {
	h := &healing{c: c, report: report, here: "master", there: "the replica"}
	return h.run(ctx, u, h.ownRecords, h.theirRecords, h.ownMessages, h.theirMessages)
}

// HealHere is Heal for what is damaged here. The other side may have any role, and is not changed.
func (c *Client) HealHere(ctx context.Context, u mailbox.User, report func(string)) error {
	h := &healing{c: c, report: report, here: "here", there: "slot " + c.o.Name}
	return h.run(ctx, u, h.ownRecords, h.ownMessages)
}

// healing is one Heal.
type healing struct {
	c           *Client
	mail        *mailstore.Mail
	report      func(string)
	here, there string // what the sides are called
}

// run does one thing after the other. What one of them cannot mend is no reason to leave out the
// next, unless nobody answers.
func (h *healing) run(ctx context.Context, u mailbox.User, all ...func(context.Context) error) error {
	m, err := h.c.o.Store.Acquire(ctx, u)
	if err != nil {
		return err
	}
	defer m.Release()
	h.mail = m
	var errs []error
	for _, mend := range all {
		if err := mend(ctx); err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w", u, err))
			if Unreachable(err) || ctx.Err() != nil {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// ownRecords mends damaged records here by those of the other side.
func (h *healing) ownRecords(ctx context.Context) error {
	damaged, err := h.mail.DamagedRecords(ctx)
	if err != nil || len(damaged) == 0 {
		return err
	}
	var errs []error
	for id, uids := range damaged {
		theirs, err := h.c.records(ctx, callSound, h.mail.User(), id)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := h.mail.MendRecords(ctx, id, ofUIDs(theirs, uids)); err != nil {
			errs = append(errs, err)
			continue
		}
		h.report(fmt.Sprintf("%s: records of mailbox %s, %s and are %s's now", h.here, id, harm(uids), h.there))
	}
	return errors.Join(errs...)
}

// theirRecords mends damaged records of the replica by ours.
func (h *healing) theirRecords(ctx context.Context) error {
	var damaged []damagedRecords
	err := h.c.ask(ctx, callDamaged, userFrame(h.mail.User()), func(x *call) error {
		return receiveKind(x, kindDamaged, func(d *decoder) { damaged = d.damagedRecords() })
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, one := range damaged {
		entries, err := h.mail.SoundEntries(ctx, one.id)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		b := mailstore.BoxChange{ID: one.id, Whole: true, Entries: ofUIDs(entries, one.uids)}
		err = h.c.ask(ctx, callMend, userFrame(h.mail.User()), func(x *call) error { return receiveKind(x, kindResult, new(result).parse) }, slices.Collect(recordFrames(&b))...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		h.report(fmt.Sprintf("replica: records of mailbox %s, %s and are the master's now", one.id, harm(one.uids)))
	}
	return errors.Join(errs...)
}

// ofUIDs are the records that have these UIDs; of none, all: those that vanished nobody can name.
func ofUIDs(all []mailstore.Entry, uids mailbox.UIDSet) []mailstore.Entry {
	if uids.IsEmpty() {
		return all
	}
	return slices.DeleteFunc(all, func(e mailstore.Entry) bool { return !uids.Contains(e.UID) })
}

// harm says what had become of records.
func harm(uids mailbox.UIDSet) string {
	if uids.IsEmpty() {
		return "some of which had vanished, were mended"
	}
	return fmt.Sprintf("UIDs %s, were damaged", uids)
}

// ownMessages fetches what cannot be read here.
func (h *healing) ownMessages(ctx context.Context) error {
	heads, err := damagedMessages(ctx, h.mail)
	if err != nil || len(heads) == 0 {
		return err
	}
	guids := make([]mailbox.GUID, 0, len(heads))
	for g := range heads {
		guids = append(guids, g)
	}
	slices.SortFunc(guids, func(a, b mailbox.GUID) int { return slices.Compare(a[:], b[:]) })
	lost := map[mailbox.GUID]string{}
	for part := range slices.Chunk(guids, maxOffer) {
		if err := h.c.fetch(ctx, h.mail, part, heads, lost); err != nil {
			return err
		}
	}
	for _, g := range guids {
		if cause, is := lost[g]; is {
			h.report(fmt.Sprintf("%s: message %s is damaged, and %s cannot send it: %s", h.here, g, h.there, cause))
		} else {
			h.report(fmt.Sprintf("%s: message %s was damaged and is %s's now", h.here, g, h.there))
		}
	}
	return nil
}

// theirMessages sends what cannot be read there.
func (h *healing) theirMessages(ctx context.Context) error {
	var guids []mailbox.GUID
	err := h.c.ask(ctx, callUnread, userFrame(h.mail.User()), func(x *call) error {
		return receiveKind(x, kindLacking, func(d *decoder) { d.user(); guids = d.guids() })
	})
	if err != nil || len(guids) == 0 {
		return err
	}
	s := &sync1{c: h.c, user: h.mail.User(), mail: h.mail}
	if s.account, err = h.c.o.Accounts.Entry(ctx, s.user); err != nil {
		return err
	}
	threads, err := h.mail.Threads(ctx, guids)
	if err != nil {
		return err
	}
	for _, g := range guids {
		err := s.put(ctx, []messageHead{{guid: g, thread: threads[g], mailbox: noMailbox, uid: 1, validity: 1}})
		if cause := unsendable(err); cause != "" {
			h.report(fmt.Sprintf("replica: message %s is damaged, and so it is here: %s", g, cause))
			continue
		}
		if err != nil {
			return err
		}
		h.report(fmt.Sprintf("replica: message %s was damaged and is the master's now", g))
	}
	return nil
}

// damagedMessages reads all messages of a user and returns those that are damaged.
func damagedMessages(ctx context.Context, m *mailstore.Mail) (map[mailbox.GUID]messageHead, error) {
	var all []mailbox.GUID
	err := m.Contents(ctx, 0, func(it mailstore.Item) error {
		all = append(all, it.GUID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[mailbox.GUID]messageHead{}
	for _, g := range all {
		c, err := m.OpenGUID(ctx, g)
		if err == nil {
			err = errors.Join(checkGUID(c, g), c.Close())
		}
		if err == nil {
			continue
		}
		if unsendable(err) == "" {
			return nil, err
		}
		out[g] = messageHead{guid: g, mailbox: noMailbox, uid: 1, validity: 1}
	}
	threads, err := m.Threads(ctx, all)
	for g, h := range out {
		h.thread = threads[g]
		out[g] = h
	}
	return out, err
}

// damagedRecords are records of a mailbox that do not match their CRC.
type damagedRecords struct {
	id   mailbox.ID
	uids mailbox.UIDSet
}

func (d *decoder) damagedRecords() (out []damagedRecords) {
	for len(d.b) > 0 && !d.failed {
		out = append(out, damagedRecords{d.mailbox(), d.uids()})
	}
	return out
}

// damaged tells which records are damaged.
func (s *Server) damaged(x grpc.ServerStream) error {
	return s.asked(x, func(ctx context.Context, m *mailstore.Mail) error {
		damaged, err := m.DamagedRecords(ctx)
		var e encoder
		if err != nil {
			return err
		}
		for id, uids := range damaged {
			e.string(string(id))
			e.uids(uids)
		}
		return x.SendMsg(&frame{kindDamaged, e.b})
	})
}

// unread tells which messages are damaged.
func (s *Server) unread(x grpc.ServerStream) error {
	return s.asked(x, func(ctx context.Context, m *mailstore.Mail) error {
		heads, err := damagedMessages(ctx, m)
		if err != nil {
			return err
		}
		guids := make([]mailbox.GUID, 0, len(heads))
		for g := range heads {
			guids = append(guids, g)
		}
		return x.SendMsg(guidsFrame(kindLacking, m.User(), guids[:min(len(guids), maxOffer)]))
	})
}

// mend takes records in the place of damaged ones.
func (s *Server) mend(x grpc.ServerStream) error {
	if s.o.Master {
		return ErrRole
	}
	return s.asked(x, func(ctx context.Context, m *mailstore.Mail) error {
		var c mailstore.BoxChange
		for {
			err := receiveKind(x, kindRecords, func(d *decoder) {
				more := d.records()
				c.ID, c.Entries = more.ID, append(c.Entries, more.Entries...)
			})
			if ended(err) == nil && err != nil {
				break
			}
			if err != nil {
				return err
			}
		}
		if err := m.MendRecords(ctx, c.ID, c.Entries); err != nil {
			return err
		}
		return x.SendMsg((&result{outcome: applied}).frame())
	})
}

// asked runs fn on the mail of the user whom the first frame names.
func (s *Server) asked(x grpc.ServerStream, fn func(context.Context, *mailstore.Mail) error) error {
	var u mailbox.User
	if err := receiveKind(x, kindUser, func(d *decoder) { u = d.user() }); err != nil {
		return err
	}
	return s.with(x.Context(), u, func(m *mailstore.Mail) error { return fn(x.Context(), m) })
}

// damaged reports whether damage on either side may be why a user could not be synced: of records that vanished
// the checksum alone tells.
func damaged(err error) bool {
	var here *mailstore.Damage
	return errors.As(err, &here) || status.Code(err) == codes.DataLoss || errors.Is(err, mailstore.ErrChecksum)
}

// healed heals a user and syncs him again; cause is why.
func (c *Channel) healed(ctx context.Context, u mailbox.User, cause error) (Stats, error) {
	err := c.o.Client.Heal(ctx, u, func(what string) { c.tellHealed(u, what) })
	if err != nil {
		return Stats{}, errors.Join(cause, err)
	}
	return c.o.Client.Sync(ctx, u)
}
