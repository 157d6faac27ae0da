package squatter

import (
	"context"
	"fmt"
	"time"

	"teraslot/mailbox"
)

// Stats is what a user's index takes.
type Stats struct {
	Mail     int64 // bytes of mail, each message counted once
	Messages int   // held, expunged and retained ones included
	Tiers    []TierStats
	Failures []Failure
}

// TierStats is what a user has in one tier.
type TierStats struct {
	Tier      string
	Databases int
	Documents int
	Dead      int // of Documents, whose messages nothing holds
	Segments  int
	Bytes     int64     // of all files of segments, which are:
	Terms     int64     // the sorted terms of each field, which are the dictionary
	Lists     int64     // each term's documents and fields, and the documents' GUIDs
	Text      int64     // folded text, compressed
	Room      int64     // what they take where files have pages of 4 KiB, manifests included
	Oldest    time.Time // when the oldest of them was made
	State     string    // of the first of them that is not in use; "" if all are
}

// Stats describes a user's index by tier, in search order.
func (q *Squatter) Stats(ctx context.Context, u mailbox.User) (*Stats, error) {
	out := &Stats{Failures: q.Failures(u)}
	if err := q.stats(ctx, u, out); err != nil {
		return nil, fmt.Errorf("describing the index of user %s: %w", u, err)
	}
	return out, nil
}

func (q *Squatter) stats(ctx context.Context, u mailbox.User, out *Stats) error {
	dead, err := q.dead(ctx, u)
	if err != nil {
		return err
	}
	if out.Messages, out.Mail, err = q.mailOf(ctx, u); err != nil {
		return err
	}
	databases, err := q.o.Tiers.User(u).Stats(ctx)
	if err != nil {
		return err
	}
	at := make(map[string]int)
	for _, d := range databases {
		i, known := at[d.Database.Tier]
		if !known {
			i = len(out.Tiers)
			at[d.Database.Tier] = i
			out.Tiers = append(out.Tiers, TierStats{Tier: d.Database.Tier})
		}
		t := &out.Tiers[i]
		t.Databases++
		t.Documents += d.Docs
		t.Dead += dead[d.ID]
		t.Segments += d.Segments
		t.Bytes += d.Bytes
		t.Terms += d.Terms
		t.Lists += d.Bytes - d.Terms - d.Text
		t.Text += d.Text
		t.Room += d.Room
		if t.Oldest.IsZero() || !d.Made.IsZero() && d.Made.Before(t.Oldest) {
			t.Oldest = d.Made
		}
		if t.State == "" && d.State != "" {
			t.State = d.Database.String() + ": " + d.State
		}
	}
	return nil
}

// mailOf adds up a user's messages.
func (q *Squatter) mailOf(ctx context.Context, u mailbox.User) (messages int, bytes int64, err error) {
	mail, err := q.o.Store.Acquire(ctx, u)
	if err != nil {
		return 0, 0, err
	}
	defer mail.Release()
	err = mail.Contents(ctx, 0, func(it item) error {
		messages++
		bytes += it.Size
		return nil
	})
	return messages, bytes, err
}
