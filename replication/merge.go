package replication

import (
	"context"

	"teraslot/mailstore"
)

// Merged counts what a merge met on both sides, by kind.
type Merged struct {
	Users int64 // whose mail had changed on both sides
}

// merge is for a user whose replica has changes of its own.
func (s *sync1) merge(ctx context.Context) error { return mailstore.ErrDiverged }

func (m *Merged) add(o *Merged) { m.Users += o.Users }
