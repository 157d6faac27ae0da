package imapd

import (
	"context"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
)

// fetchPlan is what a FETCH needs to read.
type fetchPlan struct {
	items []wire.FetchItem
	// withUID puts the UID first: UID FETCH, where it was not asked for.
	withUID    bool
	structures bool // the cached envelope and structure, of which are used:
	envelope   bool
	parts      bool
	contents   bool // the message's octets
	flags      bool // tells flags
	marks      bool // sets \Seen
}

// maxItems bounds the items of one FETCH: each may cost the reading of a message.
const maxItems = 256

// planFetch looks through the items. Items of extensions that are not offered
// are errors.
func planFetch(c *wire.Fetch) (*fetchPlan, error) {
	if c.Partial != nil {
		return nil, bad("A FETCH modifier is of an extension that is not offered")
	}
	if len(c.Items) > maxItems {
		return nil, no(imap.ResponseCodeLimit, "Too many items in one FETCH")
	}
	p := &fetchPlan{items: c.Items, withUID: c.UID}
	if c.ChangedSince > 0 && !slices.ContainsFunc(c.Items, func(i wire.FetchItem) bool { return i.Attr == wire.FetchModSeq }) {
		p.items = append(slices.Clip(c.Items), wire.FetchItem{Attr: wire.FetchModSeq, Peek: true}) // RFC 7162 §3.1.4.1
	}
	for i := range c.Items {
		item := &c.Items[i]
		switch item.Attr {
		case wire.FetchUID:
			p.withUID = false
		case wire.FetchFlags:
			p.flags = true
		case wire.FetchInternalDate, wire.FetchRFC822Size, wire.FetchModSeq:
		case wire.FetchEnvelope:
			p.structures, p.envelope = true, true
		case wire.FetchBody, wire.FetchBodyStructure:
			p.structures, p.parts = true, true
		case wire.FetchSection, wire.FetchBinary, wire.FetchBinarySize,
			wire.FetchRFC822, wire.FetchRFC822Header, wire.FetchRFC822Text:
			p.contents = true
			if needsStructure(item) {
				p.structures, p.parts = true, true
			}
		default:
			return nil, bad("A FETCH item is of an extension that is not offered")
		}
		p.marks = p.marks || !item.Peek
	}
	return p, nil
}

// needsStructure reports whether finding the octets of an item takes more than
// the message as a whole.
func needsStructure(item *wire.FetchItem) bool {
	whole := item.Attr == wire.FetchRFC822 ||
		item.Attr == wire.FetchSection && len(item.Section.Part) == 0 && item.Section.Text == wire.SectionAll
	return !whole
}

// fetch is FETCH and UID FETCH (RFC 9051 §6.4.5). Messages are read in batches,
// and nothing of the store is held while a batch is written, so that a slow
// client holds up nobody.
func (s *session) fetch(ctx context.Context, c *wire.Fetch) (*completion, error) {
	plan, err := planFetch(c)
	if err != nil {
		return nil, err
	}
	records, absent, err := s.fetched(ctx, c)
	if err != nil {
		return nil, err
	}
	f := &fetcher{s: s, plan: plan, uid: c.UID,
		decoder: message.StructureDecoder{NoEnvelope: !plan.envelope, NoParts: !plan.parts}}
	for rest := records; len(rest) > 0; {
		n := f.batchSize(rest)
		if err := f.batch(ctx, rest[:n]); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	if f.failed == nil {
		f.failed = absent
	}
	return nil, f.failed
}

// fetched returns the records of the messages that a FETCH is about, and why some of those that it names are
// not among them.
func (s *session) fetched(ctx context.Context, c *wire.Fetch) (records []mailbox.Record, absent, err error) {
	var missed mailstore.Missed
	if c.Vanished {
		if !s.qresync {
			return nil, nil, bad("QRESYNC has to be enabled first (RFC 7162 section 3.2.6)")
		}
		if missed, err = s.tellVanished(ctx, c); err != nil {
			return nil, nil, err
		}
		if s.view == nil {
			return nil, nil, errMailboxGone
		}
	}
	picked, err := s.pick(ctx, c.Set, c.UID)
	if err != nil {
		return nil, nil, err
	}
	if c.ChangedSince > 0 {
		return s.changedSince(ctx, c, picked, missed)
	}
	records, err = s.records(ctx, picked)
	if err == nil && uint64(len(records)) < picked.Len() {
		absent = s.absent(ctx, picked, c.UID)
	}
	return records, absent, err
}

// absent tells why there is no record of some messages: a damaged one is named, and
// others were expunged, of which UID FETCH says nothing (RFC 9051 §6.4.9).
func (s *session) absent(ctx context.Context, picked mailbox.UIDSet, uid bool) error {
	var damaged mailbox.UIDSet
	err := s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		damaged, err = m.Damaged(ctx, s.view.id, picked)
		return err
	})
	switch {
	case err != nil:
		return err
	case !damaged.IsEmpty():
		return damagedRecords(damaged)
	case !uid:
		return no(wire.CodeExpungeIssued, "Some of the messages are no longer there")
	}
	return nil
}

// damagedRecords is how a command ends that names messages with damaged records; nil if there are none.
func damagedRecords(uids mailbox.UIDSet) error {
	if uids.IsEmpty() {
		return nil
	}
	return no(imap.ResponseCodeCorruption, "The records of UID "+uids.String()+" are damaged; the server's administrator can repair them")
}

// records returns the records of the picked messages that are still there.
func (s *session) records(ctx context.Context, picked mailbox.UIDSet) (out []mailbox.Record, err error) {
	if picked.IsEmpty() {
		return nil, nil
	}
	err = s.withMail(ctx, func(m *mailstore.Mail) (err error) {
		out, err = m.Records(ctx, s.view.id, picked)
		return err
	})
	return out, err
}

// fetcher writes the responses of one FETCH.
type fetcher struct {
	s        *session
	plan     *fetchPlan
	uid      bool  // UID FETCH
	failed   error // of the first message that could not be read
	prepared []prepared
	decoder  message.StructureDecoder
	buffer   mailstore.Buffer // of the messages that are open
}

// contents are messages that were opened together: those of records from on.
type contents struct {
	from   int
	opened []mailstore.Opened
}

func (c *contents) close() {
	for _, o := range c.opened {
		if o.Content != nil {
			_ = o.Content.Close() // it was only read
		}
	}
	c.opened = nil
}

// Bounds of messages that are opened together: they are in memory. A larger one
// comes alone, and from its file.
const (
	openMessages = 64
	openOctets   = 256 << 10
)

// content opens the message of records[i], and those that follow with it; nil if
// none is needed. It stays open until a later one is asked for.
func (f *fetcher) content(ctx context.Context, records []mailbox.Record, i int, c *contents) (*mailstore.Content, error) {
	if !f.plan.contents {
		return nil, nil
	}
	if i >= c.from+len(c.opened) {
		c.close()
		n, octets := 1, records[i].Size
		for i+n < len(records) && n < openMessages && octets+records[i+n].Size <= openOctets {
			octets += records[i+n].Size
			n++
		}
		err := f.s.withMail(ctx, func(m *mailstore.Mail) error {
			*c = contents{i, m.OpenInto(ctx, f.s.view.id, records[i:i+n], &f.buffer)}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	o := &c.opened[i-c.from]
	return o.Content, o.Err
}

// Bounds of a batch: so many messages, or so many octets of them, which their
// structures cannot exceed.
const (
	batchMessages = 256
	batchOctets   = 16 << 20
)

func (f *fetcher) batchSize(records []mailbox.Record) int {
	octets, n := int64(0), 0
	for n < min(len(records), batchMessages) {
		if octets += records[n].Size; n > 0 && f.plan.structures && octets > batchOctets {
			break
		}
		n++
	}
	return n
}

// batch reads what some messages need and writes their responses. A message that
// cannot be read is left out and fails the command in the end.
func (f *fetcher) batch(ctx context.Context, records []mailbox.Record) error {
	structures, err := f.structures(ctx, records)
	if err != nil {
		return err
	}
	var seen mailbox.UIDSet
	var opened contents
	defer opened.close()
	for i := range records {
		r := &records[i]
		number, ok := f.s.view.number(r.UID)
		if !ok || f.plan.structures && structures[i] == "" {
			continue
		}
		content, err := f.content(ctx, records, i, &opened)
		if err != nil {
			if f.skips(err) {
				continue
			}
			return err
		}
		if f.plan.flags {
			f.s.introduce(r.Flags)
		}
		structure, err := f.structure(structures[i])
		if err != nil {
			return err
		}
		sent, err := f.respond(ctx, number, &fetched{r, structure, content})
		if err != nil {
			return err
		}
		if sent && !r.Flags.Has(mailbox.Seen) {
			seen.Add(r.UID)
		}
	}
	if f.plan.marks && !f.s.view.readOnly && !seen.IsEmpty() {
		f.markSeen(ctx, seen)
	}
	return nil
}

// structures reads the structures of the records, encoded; "" for those that cannot be read.
func (f *fetcher) structures(ctx context.Context, records []mailbox.Record) ([]string, error) {
	out := make([]string, len(records))
	if !f.plan.structures {
		return out, nil
	}
	return out, f.s.withMail(ctx, func(m *mailstore.Mail) error {
		all, err := m.EncodedStructures(ctx, records)
		if err == nil || !f.skips(err) {
			copy(out, all)
			return err
		}
		// One of them is damaged: find out which.
		for i := range records {
			one, err := m.EncodedStructures(ctx, records[i:i+1])
			if err == nil {
				out[i] = one[0]
			} else if !f.skips(err) {
				return err
			}
		}
		return nil
	})
}

// structure decodes a structure. It is good until the next call.
func (f *fetcher) structure(encoded string) (*message.Structure, error) {
	if encoded == "" {
		return nil, nil
	}
	return f.decoder.Decode(encoded)
}

// skips reports whether an error concerns one message only, and remembers it as
// the command's result.
func (f *fetcher) skips(err error) bool {
	var damage *mailstore.Damage
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		f.failed = err
	case errors.As(err, &damage):
		f.s.log.Error("imap: stored mail is damaged", "user", f.s.account.Name, "error", err)
		f.failed = err
	case errors.Is(err, mailstore.ErrNoMessage):
		if f.failed == nil {
			f.failed = err
		}
	default:
		return false
	}
	return true
}

// markSeen sets \Seen and tells so, after the messages were sent: one that could
// not be read stays unseen. That the flag cannot be stored, on a full disk for
// one, does not fail the command, which is there to read mail; and the client is
// not told of it as if it were.
func (f *fetcher) markSeen(ctx context.Context, uids mailbox.UIDSet) {
	var changed []mailbox.Record
	err := f.s.withMail(ctx, func(m *mailstore.Mail) error {
		res, err := m.StoreFlags(ctx, f.s.id, f.s.view.id, uids, mailstore.AddFlags,
			mailbox.Flags{System: mailbox.Seen}, nil)
		if err != nil {
			return err
		}
		f.s.knowsAll(&res)
		changed = res.Changed
		return nil
	})
	if err != nil {
		f.s.log.Error("imap: \\Seen cannot be stored", "user", f.s.account.Name, "error", err)
	}
	for i := range changed {
		f.s.tellFlags(&changed[i], f.uid || f.s.rev2)
	}
}
