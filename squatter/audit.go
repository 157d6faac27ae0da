package squatter

import (
	"context"
	"fmt"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/tiers"
)

// Audit is the comparison of a user's mail with his index, both ways.
type Audit struct {
	Held       int // messages that the mail holds
	Indexed    int // of those, with a complete document
	Incomplete int // of those, with an incomplete one: they are scanned
	// Missing are the messages without a document, by mailbox; Expunged counts
	// those of them that only expunged records hold.
	Missing  []Unindexed
	Expunged int
	// Dead counts documents whose message nothing holds any longer, Double those
	// beyond the first of one message. Both go with the next compaction.
	Dead, Double int
	// Damage is what the full check of the index found.
	Damage []*tiers.Damage
}

// Unindexed are messages of one mailbox that no document stands for.
type Unindexed struct {
	Mailbox mailbox.State
	UIDs    []mailbox.UID
}

// Whole reports whether everything is indexed and nothing is damaged.
func (a *Audit) Whole() bool {
	return len(a.Missing) == 0 && a.Expunged == 0 && len(a.Damage) == 0
}

// Audit compares a user's mail with his index, and checks the index itself. What
// arrives meanwhile may be reported as missing.
func (q *Squatter) Audit(ctx context.Context, u mailbox.User) (*Audit, error) {
	mail, err := q.o.Store.Acquire(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("auditing user %s: %w", u, err)
	}
	defer mail.Release()
	a := &Audit{}
	index := q.o.Tiers.User(u)
	err = index.Verify(ctx, func(d *tiers.Damage) { a.Damage = append(a.Damage, d) })
	if err != nil {
		return nil, fmt.Errorf("auditing user %s: checking the index: %w", u, err)
	}
	if err := a.compare(ctx, mail, index); err != nil {
		return nil, fmt.Errorf("auditing user %s: %w", u, err)
	}
	return a, nil
}

// compare fills in all but Damage.
func (a *Audit) compare(ctx context.Context, mail *mailstore.Mail, index *tiers.Index) error {
	snap, err := index.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	complete := make(map[mailbox.GUID]bool, snap.Docs())
	for _, seg := range snap.Segments() {
		for n := range seg.Len() {
			g := seg.GUID(n)
			before, twice := complete[g]
			if twice {
				a.Double++
			}
			complete[g] = before || seg.Complete(n)
		}
	}
	missing := make(map[mailbox.GUID]bool)
	err = mail.Contents(ctx, 0, func(it mailstore.Item) error {
		a.Held++
		whole, ok := complete[it.GUID]
		switch {
		case !ok:
			missing[it.GUID] = false
		case whole:
			a.Indexed++
		default:
			a.Incomplete++
		}
		delete(complete, it.GUID)
		return nil
	})
	if err != nil {
		return err
	}
	a.Dead = len(complete)
	return a.locate(ctx, mail, missing)
}

// locate finds the mailboxes that the missing messages are in.
func (a *Audit) locate(ctx context.Context, mail *mailstore.Mail, missing map[mailbox.GUID]bool) error {
	if len(missing) == 0 {
		return nil
	}
	boxes, err := mail.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, box := range boxes {
		view, err := mail.View(ctx, box.ID)
		if err != nil {
			return err
		}
		var uids []mailbox.UID
		for i := range view.Records {
			if _, gone := missing[view.Records[i].GUID]; gone {
				missing[view.Records[i].GUID] = true
				uids = append(uids, view.Records[i].UID)
			}
		}
		if len(uids) > 0 {
			a.Missing = append(a.Missing, Unindexed{box, uids})
		}
	}
	for _, found := range missing {
		if !found {
			a.Expunged++
		}
	}
	return nil
}
