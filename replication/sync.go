package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Stats count what a sync did.
type Stats struct {
	Messages int64 // sent
	Bytes    int64 // of those
	Records  int64 // sent
	Rounds   int   // Applies that were tried
	Compared int   // mailboxes of which all records were compared
	Merged   Merged
}

// errRounds: a user changes faster than he can be compared, or cannot be made equal.
var errRounds = errors.New("still not equal after all rounds")

// maxRounds bounds the tries to make a user equal in one sync.
const maxRounds = 8

// Sync makes a user of the replica what he is here.
func (c *Client) Sync(ctx context.Context, u mailbox.User) (Stats, error) {
	return c.sync(ctx, &sync1{c: c, user: u})
}

// syncSmall is Sync for a user of whom little is to be sent: else it ends with errLarge, before much was read.
func (c *Client) syncSmall(ctx context.Context, u mailbox.User) (Stats, error) {
	return c.sync(ctx, &sync1{c: c, user: u, small: true})
}

func (c *Client) sync(ctx context.Context, s *sync1) (Stats, error) {
	err := s.run(ctx)
	if err != nil {
		if !errors.Is(err, errLarge) {
			c.forget(s.user)
		}
		err = fmt.Errorf("user %s: %w", s.user, err)
	}
	return s.stats, err
}

// What a small sync sends at most. There may be many of them at once, each with so much in memory on both sides.
const (
	smallRecords = 256
	smallBytes   = 1 << 20
)

// errLarge: a small sync does not suffice.
var errLarge = errors.New("more is to be sent than a small sync may")

// sync1 is the sync of one user.
type sync1 struct {
	c     *Client
	user  mailbox.User
	stats Stats
	above []mailbox.User // those of whose syncs it is a part
	deep  func(string)   // if set, all records are compared, and what differs is told
	only  mailbox.ID     // those of this mailbox; "": of all
	small bool           // errLarge, if more than little is to be sent, or all records of a mailbox compared
	// equalAt is the digest of what both had when deep began: what is otherwise than that has changed since.
	equalAt mailstore.Digest

	account account.Entry
	mail    *mailstore.Mail

	fresh    bool            // theirs was asked for in this sync
	there    *account.Entry  // the replica's; nil: none, or not asked
	exists   bool            // the replica has mail
	theirs   mailstore.Image // what the replica has
	known    map[mailbox.ID][]mailstore.Entry
	offerAll bool
	followed map[mailbox.ID]bool // mailboxes that went to others, who were brought to the replica
	stay     []mailbox.ID        // those that went to one above, and stay here until his turn
	again    []mailbox.User      // who were brought there with such mailboxes
}

func (s *sync1) run(ctx context.Context) (err error) {
	s.account, err = s.c.o.Accounts.Entry(ctx, s.user)
	if errors.Is(err, account.ErrNoAccount) {
		err = s.adopt(ctx)
	}
	if err != nil {
		return err
	}
	if s.account.Removed {
		return s.remove(ctx)
	}
	if s.mail, err = s.c.o.Store.Acquire(ctx, s.user); err != nil {
		return err
	}
	defer s.mail.Release()
	if known := s.c.recall(s.user); known != nil {
		s.theirs, s.exists, s.there = known.image, true, &known.account
	} else if err := s.ask(ctx); err != nil {
		return err
	}
	for range maxRounds {
		done, err := s.round(ctx)
		if err != nil {
			return err
		}
		if done {
			return s.closeRing(ctx)
		}
	}
	return errRounds
}

// ask learns what the replica has.
func (s *sync1) ask(ctx context.Context) error {
	h, err := s.c.state(ctx, s.user)
	if err != nil {
		return err
	}
	s.fresh, s.exists, s.theirs, s.known, s.there = true, h.mail, h.image, nil, nil
	if h.known {
		s.there = &h.account
	}
	return nil
}

// round is one try.
func (s *sync1) round(ctx context.Context) (done bool, err error) {
	change, incomplete, err := s.differ(ctx)
	if err != nil {
		return false, err
	}
	if len(incomplete) > 0 {
		return false, s.compare(ctx, incomplete)
	}
	if s.deep != nil {
		if asked, err := s.dig(ctx, &change); asked || err != nil {
			return false, err
		}
	}
	if waited, err := s.follow(ctx, &change.Image); waited || err != nil {
		return false, err
	}
	s.keep(&change.Image)
	if s.equal(&change) {
		s.remember(&change)
		return true, nil
	}
	wanted, err := s.wanted(ctx, &change)
	if err != nil {
		return false, err
	}
	r, err := s.apply(ctx, &change, wanted)
	if err != nil {
		return false, err
	}
	return s.settle(ctx, r, &change)
}

// differ returns what makes the replica's mail this one.
func (s *sync1) differ(ctx context.Context) (change mailstore.Change, incomplete []mailbox.ID, err error) {
	if !s.small {
		return s.mail.Differ(ctx, &s.theirs, s.known)
	}
	change, incomplete, err = s.mail.DifferWithin(ctx, smallRecords, &s.theirs)
	if errors.Is(err, mailstore.ErrMany) {
		return change, nil, errLarge
	}
	if _, bytes := messagesOf(&change); bytes > smallBytes {
		return change, nil, errLarge
	}
	return change, incomplete, err
}

// remember keeps what the replica has now, unless some of it is about to go to another.
func (s *sync1) remember(change *mailstore.Change) {
	if len(s.stay) > 0 {
		s.c.forget(s.user)
		return
	}
	s.c.remember(s.user, &remembered{s.account, change.Image})
}

// equal reports whether the replica has the user as he is here, lineage and all.
func (s *sync1) equal(change *mailstore.Change) bool {
	return len(change.Boxes) == 0 && s.exists && s.there != nil && *s.there == s.account && s.theirs.Digest() == change.Image.Digest() &&
		slices.Equal(s.theirs.Lineage, change.Image.Lineage) && slices.Equal(s.theirs.Seen, change.Image.Seen)
}

// settle does what the outcome of a round asks for.
func (s *sync1) settle(ctx context.Context, r *result, change *mailstore.Change) (done bool, err error) {
	switch r.outcome {
	case applied:
		for i := range change.Boxes {
			s.stats.Records += int64(len(change.Boxes[i].Entries))
		}
		s.remember(change)
		return true, nil
	case changed:
		return false, s.ask(ctx)
	case lacking:
		s.offerAll = true
		return false, nil
	case unequal:
		if s.known != nil && !slices.ContainsFunc(r.mailboxes, func(id mailbox.ID) bool { _, had := s.known[id]; return !had }) {
			return false, fmt.Errorf("%w: %s", mailstore.ErrChecksum, r.text)
		}
		return false, s.compare(ctx, r.mailboxes)
	case diverged:
		return false, s.merge(ctx)
	}
	return false, fmt.Errorf("%v: %w", r.outcome, ErrWire)
}

// compare asks for all records of mailboxes.
func (s *sync1) compare(ctx context.Context, ids []mailbox.ID) error {
	if s.small {
		return errLarge
	}
	if s.known == nil {
		s.known = map[mailbox.ID][]mailstore.Entry{}
	}
	for _, id := range ids {
		if s.theirs.Box(id) == nil {
			s.known[id] = nil
			continue
		}
		all, err := s.c.records(ctx, callRecords, s.user, id)
		if err != nil {
			return err
		}
		s.known[id] = all
		s.stats.Compared++
	}
	return nil
}

// Messages within these bounds are sent without being offered: whoever has just got a
// new message does not have it yet.
const (
	unasked      = 16
	unaskedBytes = 1 << 20
)

// wanted returns the messages that the replica needs for a change, in the order in
// which they came here. Of many, the first are sent before. A replica that has no mail of the
// user is not asked what it lacks.
func (s *sync1) wanted(ctx context.Context, change *mailstore.Change) ([]messageHead, error) {
	all, bytes := messagesOf(change)
	if s.exists && !s.offerAll && !s.fresh && len(all) <= unasked && bytes <= unaskedBytes {
		return headsOf(change, all), nil
	}
	for len(all) > 0 {
		n := min(len(all), maxOffer)
		some := headsOf(change, all[:n])
		if all = all[n:]; s.exists || s.offerAll {
			var err error
			if some, err = s.missing(ctx, some); err != nil {
				return nil, err
			}
		}
		if len(all) == 0 {
			return some, nil
		}
		if err := s.put(ctx, some); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// missing offers messages.
func (s *sync1) missing(ctx context.Context, some []messageHead) ([]messageHead, error) {
	guids := make([]mailbox.GUID, len(some))
	for i := range some {
		guids[i] = some[i].guid
	}
	lacks, err := s.c.offer(ctx, s.user, guids)
	if err != nil {
		return nil, err
	}
	set := make(map[mailbox.GUID]bool, len(lacks))
	for _, g := range lacks {
		set[g] = true
	}
	return slices.DeleteFunc(some, func(h messageHead) bool { return !set[h.guid] }), nil
}

// place is that of a record in a change. There may be a million of them: they are small.
type place struct{ box, entry uint32 }

// messagesOf lists the messages that a change names, each once and in the order in which they came
// here, by a record that names it, and their sizes' sum.
func messagesOf(change *mailstore.Change) (out []place, bytes int64) {
	n := 0
	for i := range change.Boxes {
		n += len(change.Boxes[i].Entries)
	}
	out = make([]place, 0, n)
	for i := range change.Boxes {
		for k := range change.Boxes[i].Entries {
			out = append(out, place{uint32(i), uint32(k)})
		}
	}
	num := func(p place) uint32 { return change.Boxes[p.box].Entries[p.entry].Num }
	slices.SortStableFunc(out, func(a, b place) int { return cmp.Compare(num(a), num(b)) })
	out = slices.CompactFunc(out, func(a, b place) bool { return num(a) == num(b) })
	for _, p := range out {
		bytes += change.Boxes[p.box].Entries[p.entry].Size
	}
	return out, bytes
}

// headsOf are the heads of some messages of a change.
func headsOf(change *mailstore.Change, some []place) []messageHead {
	out := make([]messageHead, len(some))
	for i, p := range some {
		b := &change.Boxes[p.box]
		e := &b.Entries[p.entry]
		out[i] = messageHead{guid: e.GUID, size: e.Size, thread: e.Thread, mailbox: b.ID, uid: e.UID,
			validity: change.Image.Box(b.ID).UIDValidity, date: e.InternalDate, num: e.Num}
	}
	return out
}

// put sends messages, to be kept for an Apply.
func (s *sync1) put(ctx context.Context, some []messageHead) error {
	if len(some) == 0 {
		return nil
	}
	r, err := s.write(ctx, some, nil)
	if err == nil && r.outcome != staged {
		err = fmt.Errorf("%v where messages were sent: %w", r.outcome, ErrWire)
	}
	return err
}

// apply sends a change, and the last messages before it.
func (s *sync1) apply(ctx context.Context, change *mailstore.Change, some []messageHead) (*result, error) {
	s.stats.Rounds++
	return s.write(ctx, some, change)
}

// write is one Apply; without a change nothing is committed.
func (s *sync1) write(ctx context.Context, some []messageHead, change *mailstore.Change) (*result, error) {
	x, err := s.c.dial(ctx, callApply)
	if err != nil {
		return nil, err
	}
	defer x.end()
	if err := s.writeAll(ctx, x, some, change); err != nil && !errors.Is(err, io.EOF) {
		return nil, s.c.failed(err)
	}
	// io.EOF from sending: the answer says what is wrong.
	if err := x.CloseSend(); err != nil {
		return nil, s.c.failed(err)
	}
	r := new(result)
	if err := receiveKind(x, kindResult, r.parse); err != nil {
		return nil, s.c.failed(err)
	}
	return r, nil
}

func (s *sync1) writeAll(ctx context.Context, line exchange, some []messageHead, change *mailstore.Change) error {
	x := newTally(line)
	b := begin{account: s.account, expect: s.theirs.Digest()}
	if err := x.SendMsg(b.frame()); err != nil {
		return err
	}
	err := sendMessages(ctx, x, s.mail, some, func(h *messageHead) {
		s.stats.Messages++
		s.stats.Bytes += h.size
	})
	if err != nil {
		return err
	}
	if change == nil {
		return nil
	}
	var e encoder
	e.image(&change.Image)
	if err := sendAll(x, append([]*frame{{kindImage, e.b}}, imageFrames(&change.Image)...)); err != nil {
		return err
	}
	for i := range change.Boxes {
		if err := sendRecords(x, &change.Boxes[i]); err != nil {
			return err
		}
	}
	came, err := s.came(ctx, &change.Image)
	if err != nil {
		return err
	}
	if len(came) > 0 {
		if err := x.SendMsg(came.frame()); err != nil {
			return err
		}
	}
	return x.SendMsg(x.commit())
}

// remove removes a user from the replica who was removed here.
func (s *sync1) remove(ctx context.Context) error {
	if err := s.ask(ctx); err != nil {
		return err
	}
	if !s.exists && (s.there == nil || s.there.Removed) {
		return nil
	}
	if err := s.bequeath(ctx); err != nil {
		return err
	}
	x, err := s.c.dial(ctx, callApply)
	if err != nil {
		return err
	}
	defer x.end()
	b := begin{account: s.account}
	if s.exists {
		b.expect = s.theirs.Digest()
	}
	told := newTally(x)
	if err = told.SendMsg(b.frame()); err == nil {
		err = told.SendMsg(told.commit())
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = x.CloseSend()
	}
	r := new(result)
	if err == nil {
		err = receiveKind(x, kindResult, r.parse)
	}
	if err != nil {
		return s.c.failed(err)
	}
	if r.outcome != applied {
		return fmt.Errorf("remove: %v: %s", r.outcome, r.text)
	}
	s.c.forget(s.user)
	return nil
}
