package replication

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// kind says what a frame is. The values are the protocol's: never change one.
type kind uint8

const (
	kindHello   kind = iota + 1 // hello
	kindWelcome                 // welcome
	kindUser                    // a user id: what is asked is his
	kindState                   // stateHead
	kindBoxes                   // mailboxes of an image
	kindOffer                   // user and GUIDs
	kindLacking                 // GUIDs
	kindBegin                   // begin
	kindMessage                 // messageHeads, each with its octets; those of the last may go on in data
	kindData                    // octets of a message
	kindImage                   // the head of an image
	kindRecords                 // records of a mailbox
	kindCommit                  // SHA-256 of the frames before it, but for messages and data
	kindResult                  // result
	kindMailbox                 // user and mailbox: what is asked are its records
	kindNone                    // a GUID that cannot be sent, and why
	kindDigest                  // userDigest
	kindCheck                   // user, and whether to read all messages
	kindFinding                 // text
	kindDamaged                 // mailboxes and the UIDs of damaged records
	kindRest                    // more of an image: its long lists
	kindHanded                  // mailboxes that come from other users, and who had them
)

// The versions of the protocol that this program speaks.
const (
	oldestVersion = 5
	newestVersion = 5
)

type hello struct {
	oldest, newest uint64
	store, slot    string
}

func (h *hello) frame() *frame {
	var e encoder
	e.uint(h.oldest, h.newest)
	e.string(h.store, h.slot)
	return &frame{kindHello, e.b}
}

func (h *hello) parse(d *decoder) {
	h.oldest, h.newest = d.uint(), d.uint()
	h.store, h.slot = d.string(), d.string()
}

type welcome struct {
	version uint64
	slot    string
	master  bool
}

func (w *welcome) frame() *frame {
	var e encoder
	e.uint(w.version)
	e.string(w.slot)
	e.bool(w.master)
	return &frame{kindWelcome, e.b}
}

func (w *welcome) parse(d *decoder) {
	w.version, w.slot, w.master = d.uint(), d.string(), d.bool()
}

// userFrame asks something of a user.
func userFrame(u mailbox.User) *frame {
	var e encoder
	e.string(string(u))
	return &frame{kindUser, e.b}
}

func (d *decoder) user() mailbox.User {
	u, err := mailbox.ParseUser(d.string())
	if err != nil {
		d.fail()
	}
	return u
}

func (d *decoder) mailbox() mailbox.ID {
	id, err := mailbox.ParseID(d.string())
	if err != nil {
		d.fail()
	}
	return id
}

func (e *encoder) account(a *account.Entry) {
	e.string(string(a.ID), a.Name, a.Hash)
	e.int(a.Quota.Bytes, a.Quota.Messages, a.Created.Unix())
	e.bool(a.Disabled)
	e.bool(a.Removed)
}

func (d *decoder) account() (a account.Entry) {
	a.ID, a.Name, a.Hash = d.user(), d.string(), d.string()
	a.Quota = account.Quota{Bytes: d.int(), Messages: d.int()}
	a.Created = time.Unix(d.int(), 0).UTC()
	a.Disabled, a.Removed = d.bool(), d.bool()
	return a
}

// stateHead is what a slot has of a user. The frames of the image follow it if there is mail.
type stateHead struct {
	known   bool // there is an account
	account account.Entry
	mail    bool
	image   mailstore.Image // its head
}

func (s *stateHead) frame() *frame {
	var e encoder
	e.bool(s.known)
	if s.known {
		e.account(&s.account)
	}
	e.bool(s.mail)
	if s.mail {
		e.image(&s.image)
	}
	return &frame{kindState, e.b}
}

func (s *stateHead) parse(d *decoder) {
	if s.known = d.bool(); s.known {
		s.account = d.account()
	}
	if s.mail = d.bool(); s.mail {
		s.image = d.image()
	}
}

// image is the head of an image: what it has besides comes in rest and boxes.
func (e *encoder) image(i *mailstore.Image) {
	e.uint(uint64(i.ModSeq), uint64(i.UIDValidity))
	e.int(i.Quota.Bytes, i.Quota.Messages)
	e.lineage(i.Lineage)
	e.lineage(i.Seen)
}

func (d *decoder) image() (i mailstore.Image) {
	i.ModSeq, i.UIDValidity = d.modseq(), d.uidvalidity()
	i.Quota = mailstore.Quota{Bytes: d.int(), Messages: d.int()}
	i.Lineage, i.Seen = d.lineage(), d.lineage()
	return i
}

func (e *encoder) lineage(l mailstore.Lineage) {
	e.uint(uint64(len(l)))
	for _, t := range l {
		e.string(t.Slot)
		e.uint(uint64(t.UpTo))
	}
}

func (d *decoder) lineage() (l mailstore.Lineage) {
	for range d.count(2) {
		l = append(l, mailstore.Tenure{Slot: d.string(), UpTo: d.modseq()})
	}
	return l
}

func (e *encoder) dot(x mailstore.Dot) {
	e.string(x.Slot)
	e.uint(uint64(x.ModSeq))
}

func (d *decoder) dot() mailstore.Dot { return mailstore.Dot{Slot: d.string(), ModSeq: d.modseq()} }

// imageFrames returns what an image has besides its head, in frames.
func imageFrames(i *mailstore.Image) []*frame {
	return append(restFrames(i), boxFrames(i.Mailboxes)...)
}

// What an item of the rest of an image is.
const (
	restSubscription = iota + 1
	restRetired
)

// restFrames returns the lists of an image that may be long. A user may have any number of
// subscriptions.
func restFrames(i *mailstore.Image) []*frame {
	var out []*frame
	var e encoder
	item := func(kind uint64) {
		if len(e.b) >= partSize {
			out = append(out, &frame{kindRest, e.b})
			e = encoder{}
		}
		e.uint(kind)
	}
	for _, name := range i.Subscriptions {
		item(restSubscription)
		e.string(name)
	}
	for _, r := range i.Retired {
		item(restRetired)
		e.string(r.Name, string(r.Holder))
		e.uint(uint64(r.UIDValidity))
	}
	if len(e.b) > 0 {
		out = append(out, &frame{kindRest, e.b})
	}
	return out
}

// rest adds to an image what a frame says of it.
func (d *decoder) rest(i *mailstore.Image) {
	for len(d.b) > 0 && !d.failed {
		switch d.within(restRetired) {
		case restSubscription:
			i.Subscriptions = append(i.Subscriptions, d.string())
		case restRetired:
			i.Retired = append(i.Retired, mailstore.Retired{Name: d.string(), Holder: mailbox.ID(d.string()), UIDValidity: d.uidvalidity()})
		default:
			d.fail()
		}
	}
}

// more adds to an image what a frame after its head says.
func more(f *frame, i *mailstore.Image) error {
	if f.kind == kindRest {
		return parse(f, kindRest, func(d *decoder) { d.rest(i) })
	}
	return parse(f, kindBoxes, func(d *decoder) { i.Mailboxes = append(i.Mailboxes, d.boxes()...) })
}

func (d *decoder) modseq() mailbox.ModSeq { return mailbox.ModSeq(d.within(math.MaxInt64)) }
func (d *decoder) uid() mailbox.UID       { return mailbox.UID(d.within(math.MaxUint32)) }
func (d *decoder) uidvalidity() mailbox.UIDValidity {
	return mailbox.UIDValidity(d.within(math.MaxUint32))
}

func (e *encoder) box(b *mailstore.BoxImage) {
	e.string(string(b.ID), b.Name, b.SpecialUse)
	e.uint(uint64(b.UIDValidity), uint64(b.UIDNext), uint64(b.HighestModSeq), uint64(b.CreatedModSeq), uint64(b.Horizon), uint64(b.Recent),
		uint64(b.Counts.Exists), uint64(b.Counts.Unseen), uint64(b.Counts.Deleted), uint64(b.Counts.Size), b.Checksum.A, b.Checksum.B)
	e.dot(b.Made)
	e.dot(b.Named)
	e.uint(uint64(len(b.Settings)))
	for _, s := range b.Settings {
		e.string(s.Name, s.Value)
	}
}

func (d *decoder) box() (b mailstore.BoxImage) {
	b.ID, b.Name, b.SpecialUse = d.mailbox(), d.string(), d.string()
	b.UIDValidity, b.UIDNext, b.HighestModSeq, b.CreatedModSeq = d.uidvalidity(), d.uid(), d.modseq(), d.modseq()
	b.Horizon, b.Recent = d.modseq(), d.uid()
	b.Counts = mailbox.Counts{Exists: uint32(d.within(math.MaxUint32)), Unseen: uint32(d.within(math.MaxUint32)),
		Deleted: uint32(d.within(math.MaxUint32)), Size: int64(d.within(math.MaxInt64))}
	b.Checksum = mailbox.Checksum{A: d.uint(), B: d.uint()}
	b.Made, b.Named = d.dot(), d.dot()
	for range d.count(2) {
		b.Settings = append(b.Settings, mailstore.Setting{Name: d.string(), Value: d.string()})
	}
	return b
}

// handed names mailboxes that an Apply makes, and the users whose they were.
type handed map[mailbox.ID]mailbox.User

func (h handed) frame() *frame {
	var e encoder
	for _, id := range slices.Sorted(maps.Keys(h)) {
		e.string(string(id), string(h[id]))
	}
	return &frame{kindHanded, e.b}
}

func (h handed) parse(d *decoder) {
	for len(d.b) > 0 && !d.failed {
		id := d.mailbox()
		h[id] = d.user()
	}
}

// boxFrames returns the mailboxes of an image in frames.
func boxFrames(boxes []mailstore.BoxImage) []*frame {
	var out []*frame
	var e encoder
	for i := range boxes {
		e.box(&boxes[i])
		if len(e.b) >= partSize || i == len(boxes)-1 {
			out = append(out, &frame{kindBoxes, e.b})
			e = encoder{}
		}
	}
	return out
}

// boxes reads the mailboxes of a frame.
func (d *decoder) boxes() (out []mailstore.BoxImage) {
	for len(d.b) > 0 && !d.failed {
		out = append(out, d.box())
	}
	return out
}

func (e *encoder) guids(all []mailbox.GUID) {
	e.uint(uint64(len(all)))
	for i := range all {
		e.bytes(all[i][:])
	}
}

func (d *decoder) guids() []mailbox.GUID {
	out := make([]mailbox.GUID, d.count(len(mailbox.GUID{})))
	for i := range out {
		d.into(out[i][:])
	}
	return out
}

// guidsFrame asks for or about messages of a user.
func guidsFrame(k kind, u mailbox.User, all []mailbox.GUID) *frame {
	var e encoder
	e.string(string(u))
	e.guids(all)
	return &frame{k, e.b}
}

// messageHead goes before a message's octets.
type messageHead struct {
	guid     mailbox.GUID
	size     int64
	thread   mailstore.ThreadKey
	mailbox  mailbox.ID
	uid      mailbox.UID
	validity mailbox.UIDValidity
	date     mailbox.Date

	num uint32 // of the message here, if known; it is not sent
}

func (e *encoder) messageHead(m *messageHead) {
	e.bytes(m.guid[:])
	e.uint(uint64(m.size))
	e.bytes(m.thread[:])
	e.string(string(m.mailbox))
	e.uint(uint64(m.uid), uint64(m.validity))
	e.date(m.date)
}

func (m *messageHead) parse(d *decoder) {
	d.into(m.guid[:])
	m.size = int64(d.within(math.MaxInt64 >> 1))
	d.into(m.thread[:])
	m.mailbox, m.uid, m.validity, m.date = d.mailbox(), d.uid(), d.uidvalidity(), d.date()
}

func (e *encoder) date(d mailbox.Date) { e.int(d.Unix, int64(d.Zone)) }

func (d *decoder) date() mailbox.Date {
	out := mailbox.Date{Unix: d.int()}
	zone := d.int()
	if zone < math.MinInt16 || zone > math.MaxInt16 {
		d.fail()
	}
	out.Zone = int16(zone)
	return out
}

// begin opens an Apply.
type begin struct {
	account account.Entry
	expect  mailstore.Digest // of the mail to which the change belongs; zero: there is none
}

func (b *begin) frame() *frame {
	var e encoder
	e.account(&b.account)
	e.bytes(b.expect[:])
	return &frame{kindBegin, e.b}
}

func (b *begin) parse(d *decoder) {
	b.account = d.account()
	d.into(b.expect[:])
}

// minEntry is the least that an entry takes on the wire.
const minEntry = 60

func (e *encoder) entry(x *mailstore.Entry) {
	e.uint(uint64(x.UID))
	e.bytes(x.GUID[:])
	e.bytes(x.Thread[:])
	e.uint(uint64(x.Size), uint64(x.ModSeq), uint64(x.CreatedModSeq), uint64(x.Flags.System))
	e.string(x.Flags.Keywords)
	e.date(x.InternalDate)
	e.date(x.SentDate)
	e.int(x.SaveDate)
	e.bool(x.Expunged)
	merged := x.Provenance != mailstore.Provenance{}
	e.bool(merged)
	if merged {
		e.dot(x.Provenance.Made)
		e.uint(uint64(x.Provenance.UID))
		e.dot(x.Provenance.Changed)
	}
}

func (d *decoder) entry() (x mailstore.Entry) {
	x.UID = d.uid()
	d.into(x.GUID[:])
	d.into(x.Thread[:])
	x.Size, x.ModSeq, x.CreatedModSeq = int64(d.within(math.MaxInt64)), d.modseq(), d.modseq()
	x.Flags = mailbox.Flags{System: mailbox.System(d.within(math.MaxUint8)), Keywords: d.string()}
	x.InternalDate, x.SentDate, x.SaveDate = d.date(), d.date(), d.int()
	x.Expunged = d.bool()
	if d.bool() {
		x.Provenance = mailstore.Provenance{Made: d.dot(), UID: d.uid(), Changed: d.dot()}
		if (x.Provenance == mailstore.Provenance{}) {
			d.fail()
		}
	}
	if x.UID == 0 {
		d.fail()
	}
	return x
}

// recordFrames yields the records of one mailbox in frames, at least one.
func recordFrames(c *mailstore.BoxChange) iter.Seq[*frame] {
	return func(yield func(*frame) bool) {
		rest := c.Entries
		for first := true; first || len(rest) > 0; first = false {
			var e encoder
			e.string(string(c.ID))
			e.bool(c.Whole)
			var drop mailbox.UIDSet
			if first {
				drop = c.Drop
			}
			e.uids(drop)
			for len(rest) > 0 && len(e.b) < partSize {
				e.entry(&rest[0])
				rest = rest[1:]
			}
			if !yield(&frame{kindRecords, e.b}) {
				return
			}
		}
	}
}

func (d *decoder) records() (c mailstore.BoxChange) {
	c.ID, c.Whole, c.Drop = d.mailbox(), d.bool(), d.uids()
	c.Entries = make([]mailstore.Entry, 0, len(d.b)/minEntry/2)
	for len(d.b) > 0 && !d.failed {
		c.Entries = append(c.Entries, d.entry())
	}
	return c
}

func (e *encoder) uids(s mailbox.UIDSet) {
	e.uint(uint64(len(s.Ranges())))
	for _, r := range s.Ranges() {
		e.uint(uint64(r.Lo), uint64(r.Hi))
	}
}

func (d *decoder) uids() (s mailbox.UIDSet) {
	for range d.count(2) {
		lo, hi := d.uid(), d.uid()
		if lo == 0 || hi < lo {
			d.fail()
			break
		}
		s.AddRange(lo, hi)
	}
	return s
}

// outcome is how an Apply ended.
type outcome uint64

const (
	applied  outcome = iota
	staged           // there was no commit: the messages are kept
	changed          // the mail is not what the change belongs to
	diverged         // the mail has changes of its own
	lacking          // messages are missing
	unequal          // mailboxes would not be equal
)

var outcomes = [...]string{"applied", "staged", "changed", "diverged", "lacking", "unequal"}

// String names the outcome.
func (o outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return fmt.Sprintf("outcome %d", uint64(o))
}

type result struct {
	outcome   outcome
	mailboxes []mailbox.ID // that would be unequal
	text      string
}

func (r *result) frame() *frame {
	var e encoder
	e.uint(uint64(r.outcome), uint64(len(r.mailboxes)))
	for _, id := range r.mailboxes {
		e.string(string(id))
	}
	e.string(r.text)
	return &frame{kindResult, e.b}
}

func (r *result) parse(d *decoder) {
	r.outcome = outcome(d.within(uint64(unequal)))
	for range d.count(25) {
		r.mailboxes = append(r.mailboxes, d.mailbox())
	}
	r.text = d.string()
}

// userDigest is all of a user in two digests.
type userDigest struct {
	user    mailbox.User
	account [32]byte
	mail    mailstore.Digest // zero: no mail
}

func (e *encoder) digest(u *userDigest) {
	e.string(string(u.user))
	e.bytes(u.account[:])
	e.bytes(u.mail[:])
}

func (d *decoder) digests() (out []userDigest) {
	for len(d.b) > 0 && !d.failed {
		one := userDigest{user: d.user()}
		d.into(one.account[:])
		d.into(one.mail[:])
		out = append(out, one)
	}
	return out
}

// parse reads a frame of the kind that is expected.
func parse(f *frame, want kind, read func(d *decoder)) error {
	if f.kind != want {
		return fmt.Errorf("kind %d where %d belongs: %w", f.kind, want, ErrWire)
	}
	d := &decoder{b: f.body}
	read(d)
	if err := d.end(); err != nil {
		return fmt.Errorf("kind %d: %w", f.kind, err)
	}
	return nil
}
