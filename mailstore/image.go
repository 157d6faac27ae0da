package mailstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"slices"

	"teraslot/mailbox"
)

// Image is a user's mail at one moment without its records and messages: what two
// slots compare, see docs/decisions/0005-replication.md.
type Image struct {
	Lineage       Lineage
	ModSeq        mailbox.ModSeq      // the last that was given
	UIDValidity   mailbox.UIDValidity // the last that was given
	Quota         Quota
	Subscriptions []string   // sorted
	Retired       []Retired  // sorted
	Mailboxes     []BoxImage // by id
	// Seen says of other slots up to which of their writes all were merged into this mail, where the
	// lineage does not say it; by slot.
	Seen []Tenure
}

// BoxImage is a mailbox of an Image. Subscribed is not set: see Image.Subscriptions.
type BoxImage struct {
	mailbox.State
	Horizon  mailbox.ModSeq // see Mail.Horizon
	Recent   mailbox.UID    // see Mail.Announce
	Settings []Setting      // sorted by name
	Made     Dot            // the write that made it; zero: that of CreatedModSeq
	Named    Dot            // the write that gave it its name; zero: Made
}

// Setting is one of Mail.Settings, as it is stored.
type Setting struct{ Name, Value string }

// Retired is a UIDVALIDITY that a name has given up, and the mailbox that had it.
type Retired struct {
	Name        string
	UIDValidity mailbox.UIDValidity
	Holder      mailbox.ID
}

// of reports whether it is a UIDVALIDITY that a name has given up.
func (r Retired) of(name string, v mailbox.UIDValidity) bool {
	return (r.Name == name || r.Name == anyName) && r.UIDValidity == v
}

// Digest is a SHA-256 over an Image.
type Digest [sha256.Size]byte

// digestVersion changes whenever Digest covers something else.
const digestVersion = 1

// Digest covers all of the image that clients can tell, in a form that does not depend
// on the order in which it came about. Lineage, provenance, horizons, \Recent and graves
// are no matter of theirs.
func (i *Image) Digest() Digest {
	b := []byte{digestVersion}
	number := func(all ...uint64) {
		for _, n := range all {
			b = binary.BigEndian.AppendUint64(b, n)
		}
	}
	word := func(all ...string) {
		for _, s := range all {
			number(uint64(len(s)))
			b = append(b, s...)
		}
	}
	number(uint64(i.ModSeq), uint64(i.UIDValidity), uint64(i.Quota.Bytes), uint64(i.Quota.Messages))
	number(uint64(len(i.Subscriptions)))
	word(i.Subscriptions...)
	number(uint64(len(i.Retired)))
	for _, r := range i.Retired {
		word(r.Name, string(r.Holder))
		number(uint64(r.UIDValidity))
	}
	for k := range i.Mailboxes {
		x := &i.Mailboxes[k]
		word(string(x.ID), x.Name, x.SpecialUse)
		number(uint64(x.UIDValidity), uint64(x.UIDNext), uint64(x.HighestModSeq), uint64(x.CreatedModSeq),
			uint64(x.Counts.Exists), uint64(x.Counts.Unseen), uint64(x.Counts.Deleted), uint64(x.Counts.Size),
			x.Checksum.A, x.Checksum.B, uint64(len(x.Settings)))
		for _, s := range x.Settings {
			word(s.Name, s.Value)
		}
	}
	return sha256.Sum256(b)
}

// Box returns the mailbox of an id; nil if there is none.
func (i *Image) Box(id mailbox.ID) *BoxImage {
	k, found := slices.BinarySearchFunc(i.Mailboxes, id, func(b BoxImage, id mailbox.ID) int { return cmp.Compare(b.ID, id) })
	if !found {
		return nil
	}
	return &i.Mailboxes[k]
}

// sameRecords reports whether both say the same of their records.
func (b *BoxImage) sameRecords(o *BoxImage) bool {
	return b.HighestModSeq == o.HighestModSeq && b.Counts == o.Counts && b.Checksum == o.Checksum &&
		b.UIDValidity == o.UIDValidity
}

// Image returns the image of the user's mail as it is now.
func (m *Mail) Image(ctx context.Context) (Image, error) {
	var out Image
	err := m.read(ctx, func(c *conn) (err error) {
		out, err = m.loadImage(c)
		return err
	})
	return out, err
}

// loadImage reads the image within a transaction.
func (m *Mail) loadImage(c *conn) (out Image, err error) {
	_, err = c.one(`SELECT modseq, uidvalidity, quota_bytes, quota_messages FROM {account}`, func(row []driver.Value) error {
		out.ModSeq, out.UIDValidity = mailbox.ModSeq(integer(row[0])), mailbox.UIDValidity(integer(row[1]))
		out.Quota = Quota{integer(row[2]), integer(row[3])}
		return nil
	})
	if err != nil {
		return out, err
	}
	if out.Lineage, _, err = m.wholeLineage(c, out.ModSeq); err != nil {
		return out, err
	}
	if out.Seen, err = loadSeen(c); err != nil {
		return out, err
	}
	if out.Subscriptions, err = loadSubscriptions(c); err != nil {
		return out, err
	}
	if out.Retired, err = allRetired(c); err != nil {
		return out, err
	}
	out.Mailboxes, err = loadBoxImages(c)
	return out, err
}

// loadBoxImages reads all mailboxes, by id.
func loadBoxImages(c *conn) ([]BoxImage, error) {
	boxes, err := loadBoxes(c)
	if err != nil {
		return nil, err
	}
	settings, err := storedSettings(c)
	if err != nil {
		return nil, err
	}
	dots, err := loadBoxDots(c)
	if err != nil {
		return nil, err
	}
	out := make([]BoxImage, 0, len(boxes))
	for _, b := range boxes {
		one := BoxImage{State: b.State, Horizon: b.horizon, Recent: b.recent, Settings: settings[b.row], Made: dots[b.ID].made, Named: dots[b.ID].named}
		one.Subscribed = false
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b BoxImage) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

func loadSubscriptions(c *conn) ([]string, error) {
	var out []string
	err := c.each(`SELECT name FROM {subscription} ORDER BY name`, func(row []driver.Value) error {
		out = append(out, text(row[0]))
		return nil
	})
	return out, err
}

func storedSettings(c *conn) (map[int64][]Setting, error) {
	all := map[int64][]Setting{}
	err := c.each(`SELECT box, name, value FROM {setting} ORDER BY box, name`, func(row []driver.Value) error {
		box := integer(row[0])
		all[box] = append(all[box], Setting{text(row[1]), text(row[2])})
		return nil
	})
	return all, err
}

// allRetired reads what names have given up.
func allRetired(c *conn) ([]Retired, error) {
	there, err := hasTable(c, "retired")
	if err != nil || !there {
		return nil, err
	}
	var out []Retired
	err = c.each(`SELECT * FROM {retired} ORDER BY name, uidvalidity`, func(row []driver.Value) error {
		r := Retired{Name: text(row[0]), UIDValidity: mailbox.UIDValidity(integer(row[1]))}
		if len(row) > 2 { // not in tables made before holders were kept
			r.Holder = mailbox.ID(text(row[2]))
		}
		out = append(out, r)
		return nil
	})
	return out, err
}
