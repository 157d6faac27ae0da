package search

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"unicode/utf8"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/text"
)

// The string keys of SORT, folded as i;unicode-casemap compares them (RFC 5256 §7).
const (
	subjects     = iota // base subject
	senders             // local part of the first From address
	recipients          // of the first To address
	copies              // of the first Cc address
	displayFrom         // RFC 5957
	displayTo           // RFC 5957
	columnsCount        // how many there are
)

// maxKey is how many octets of a key are kept, so that one message costs little
// whatever its header holds. Longer ones are told apart by a hash and stand after all
// that begin alike and are not longer.
const maxKey = 1024

// headings are what sorting and threading look at of a mailbox's messages, row by
// row. They are immutable, and stay true as long as UIDs are valid: what comes is
// added and what goes is left out by extended.
type headings struct {
	validity mailbox.UIDValidity
	uids     []mailbox.UID
	columns  [columnsCount]column
	reply    []bool // the subject says that the message is a reply or forward (RFC 5256 §3)
	links    links
}

// links are message-ids, numbered: a message's own and those of its ancestors.
type links struct {
	ids  dictionary // of idKeys
	own  []uint32   // by row; noID
	refs []uint32   // the ancestors of all rows, one row after the other
	ends []uint32   // by row: where its ancestors end in refs
}

const noID = ^uint32(0)

// of are the ancestors of a row, the oldest first.
func (l *links) of(row uint32) []uint32 {
	start := uint32(0)
	if row > 0 {
		start = l.ends[row-1]
	}
	return l.refs[start:l.ends[row]]
}

func (h *headings) weight() int64 {
	n := int64(4*cap(h.uids)+cap(h.reply)) + h.links.ids.weight() +
		int64(4*(cap(h.links.own)+cap(h.links.refs)+cap(h.links.ends))) + 512
	for i := range h.columns {
		n += h.columns[i].weight()
	}
	return n
}

// place returns for each record its row in h, -1 where h does not know it, and how
// many that are. h may be nil.
func (h *headings) place(records []mailbox.Record, validity mailbox.UIDValidity) (rows []int32, unknown int) {
	var have []mailbox.UID
	if h != nil && h.validity == validity {
		have = h.uids
	}
	rows = make([]int32, len(records))
	at := 0
	for i := range records {
		for at < len(have) && have[at] < records[i].UID {
			at++
		}
		if at < len(have) && have[at] == records[i].UID {
			rows[i] = int32(at)
		} else {
			rows[i] = -1
			unknown++
		}
	}
	return rows, unknown
}

// extended returns the headings of the records: those at rows of h, which may be nil
// where all are -1, and those of fresh for the others.
func (h *headings) extended(records []mailbox.Record, validity mailbox.UIDValidity, rows []int32, fresh *freshHeadings) *headings {
	if h == nil {
		h = &headings{}
	}
	next := &headings{validity: validity, uids: make([]mailbox.UID, len(records)), reply: make([]bool, len(records))}
	rest := fresh.reply
	for row, old := range rows {
		next.uids[row] = records[row].UID
		if old >= 0 {
			next.reply[row] = h.reply[old]
		} else {
			next.reply[row], rest = rest[0], rest[1:]
		}
	}
	for i := range next.columns {
		next.columns[i] = h.columns[i].extended(rows, &fresh.columns[i])
	}
	next.links = h.links.extended(rows, &fresh.links)
	return next
}

// freshLinks are the links of rows that are new, as they come; their ids are numbered
// by words.
type freshLinks struct {
	words words
	links
}

// extended returns the links of the rows; see column.extended.
func (l *links) extended(rows []int32, fresh *freshLinks) links {
	used := make([]bool, l.ids.len())
	for _, old := range rows {
		if old < 0 {
			continue
		}
		if l.own[old] != noID {
			used[l.own[old]] = true
		}
		for _, id := range l.of(uint32(old)) {
			used[id] = true
		}
	}
	ids, moved, placed := merge(&l.ids, used, fresh.words)
	next := links{ids: ids, own: make([]uint32, 0, len(rows)), ends: make([]uint32, 0, len(rows))}
	row := uint32(0) // of fresh
	for _, old := range rows {
		if old >= 0 {
			next.add(l, uint32(old), moved)
		} else {
			next.add(&fresh.links, row, placed)
			row++
		}
	}
	return next
}

// add adds a row of other links, whose ids have gone to moved.
func (l *links) add(from *links, row uint32, moved []uint32) {
	own := from.own[row]
	if own != noID {
		own = moved[own]
	}
	l.own = append(l.own, own)
	for _, id := range from.of(row) {
		l.refs = append(l.refs, moved[id])
	}
	l.ends = append(l.ends, uint32(len(l.refs)))
}

// freshHeadings collects headings.
type freshHeadings struct {
	columns [columnsCount]freshColumn
	reply   []bool
	links   freshLinks
	seeds   *idSeeds
	key     []byte // buffer
}

// idSeeds make a message-id 16 octets: two hashes that nobody outside can foresee, so
// that no two ids are taken for one.
type idSeeds [2]maphash.Seed

func newIDSeeds() *idSeeds { return &idSeeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// add adds the next message.
func (f *freshHeadings) add(h *message.Heading) {
	base, reply := message.BaseSubject(message.DecodeHeader(h.Subject))
	f.reply = append(f.reply, reply)
	f.put(subjects, base)
	f.put(senders, literally(h.From.Mailbox))
	f.put(recipients, literally(h.To.Mailbox))
	f.put(copies, literally(h.Cc.Mailbox))
	f.put(displayFrom, display(&h.From))
	f.put(displayTo, display(&h.To))
	f.link(h)
}

// display is what RFC 5957 §3 sorts an address by.
func display(a *message.Address) string {
	if name := message.DecodeHeader(a.Name); name != "" {
		return name
	}
	if a.Kind != message.Mailbox || *a == (message.Address{}) {
		return literally(a.Mailbox) // a group has no host
	}
	return literally(a.Mailbox + "@" + a.Host)
}

// literally is a string in which there are no encoded words, whatever it looks like
// (RFC 2047 §5): an address.
func literally(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return message.DecodeText("utf-8", []byte(s))
		}
	}
	return s
}

func (f *freshHeadings) put(column int, value string) {
	f.key = text.Fold(f.key[:0], value)
	if len(f.key) > maxKey {
		sum := f.seeds.sum(string(f.key))
		f.key = append(append(f.key[:maxKey], 0xFF), sum[:]...)
	}
	f.columns[column].add(f.key)
}

func (s *idSeeds) sum(id string) (key [16]byte) {
	binary.BigEndian.PutUint64(key[:8], maphash.String(s[0], id))
	binary.BigEndian.PutUint64(key[8:], maphash.String(s[1], id))
	return key
}

// link adds the message's ids: its own, and those of References, or else the first of
// In-Reply-To (RFC 5256 §3); invalid ones are as if they were not there.
func (f *freshHeadings) link(h *message.Heading) {
	l := &f.links
	if l.words == nil {
		l.words = words{}
	}
	own := noID
	if id := firstValid(h.MessageID); id != "" {
		own = f.number(id)
	}
	l.own = append(l.own, own)
	before := len(l.refs)
	for _, id := range h.References {
		if message.ValidMessageID(id) {
			l.refs = append(l.refs, f.number(id))
		}
	}
	if len(l.refs) == before {
		if id := firstValid(h.InReplyTo); id != "" {
			l.refs = append(l.refs, f.number(id))
		}
	}
	l.ends = append(l.ends, uint32(len(l.refs)))
}

func (f *freshHeadings) number(id string) uint32 {
	sum := f.seeds.sum(id)
	return f.links.words.number(sum[:])
}

func firstValid(value string) string {
	ids := message.MessageIDs(value)
	if i := slices.IndexFunc(ids, message.ValidMessageID); i >= 0 {
		return ids[i]
	}
	return ""
}

// headingsAtOnce is how many messages' headings are read at once, so that what is
// read before it is taken apart stays small.
const headingsAtOnce = 256

// readHeadings reads the headings of the records whose row is -1.
func (s *Searcher) readHeadings(ctx context.Context, mail *mailstore.Mail, box mailbox.ID, records []mailbox.Record, rows []int32) (*freshHeadings, error) {
	fresh := &freshHeadings{seeds: s.seeds}
	missing := make([]mailbox.Record, 0, headingsAtOnce)
	for i := range records {
		if rows[i] < 0 {
			missing = append(missing, records[i])
		}
		if len(missing) == cap(missing) || i == len(records)-1 {
			if err := fresh.read(ctx, mail, box, missing); err != nil {
				return nil, err
			}
			missing = missing[:0]
		}
	}
	return fresh, nil
}

// read adds the records' headings: from what mail.db keeps beside them, or where that
// is too old to know all of it, from the messages.
func (f *freshHeadings) read(ctx context.Context, mail *mailstore.Mail, box mailbox.ID, records []mailbox.Record) error {
	encoded, err := mail.EncodedStructures(ctx, records)
	if errors.Is(err, mailstore.ErrNoMessage) && len(records) > 1 {
		for i := range records {
			if err := f.read(ctx, mail, box, records[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	var h message.Heading
	if errors.Is(err, mailstore.ErrNoMessage) {
		f.add(&h) // expunged since it was found, and forgotten
		return nil
	}
	if err != nil {
		return err
	}
	for i := range records {
		if err := h.Decode(encoded[i]); err != nil {
			if h, err = parseHeading(ctx, mail, box, records[i]); err != nil {
				return fmt.Errorf("reading the heading of UID %d: %w", records[i].UID, err)
			}
		}
		f.add(&h)
	}
	return nil
}

func parseHeading(ctx context.Context, mail *mailstore.Mail, box mailbox.ID, r mailbox.Record) (message.Heading, error) {
	c, err := mail.Open(ctx, box, r)
	if err != nil {
		return message.Heading{}, err
	}
	defer c.Close()
	s, err := message.Parse(c, c.Size)
	if err != nil {
		return message.Heading{}, err
	}
	return s.Heading(), nil
}
