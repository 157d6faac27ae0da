package mailstore

import (
	"context"
)

// The line may break between a merge and the moment at which the other slot takes it over. To
// merge the same mail once more would double what got new UIDs. So mail.db knows what was
// merged: mail that comes of it descends from that, whatever the lineage says.

// keptMerged is how many states of other slots are remembered.
const keptMerged = 64

// noteMerged remembers that a state of another slot's mail was merged.
func (t *txn) noteMerged(theirs *Image) error {
	digest := theirs.Digest()
	err := t.c.exec(`CREATE TABLE IF NOT EXISTS merged (n INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE) STRICT`)
	if err == nil {
		err = t.c.exec(`REPLACE INTO merged (digest) VALUES (?)`, digest[:])
	}
	if err == nil {
		err = t.c.exec(`DELETE FROM merged WHERE n <= (SELECT max(n) FROM merged) - ?`, int64(keptMerged))
	}
	return err
}

// HasMerged reports whether another slot's mail, as it is, was merged into this: a Change
// may replace it.
func (m *Mail) HasMerged(ctx context.Context, theirs *Image) (bool, error) {
	digest, found := theirs.Digest(), false
	err := m.read(ctx, func(c *conn) error {
		tables, err := c.integer(`SELECT count(*) FROM sqlite_schema WHERE name = 'merged'`)
		if err != nil || tables == 0 {
			return err
		}
		n, err := c.integer(`SELECT count(*) FROM merged WHERE digest = ?`, digest[:])
		found = n > 0
		return err
	})
	return found, err
}
