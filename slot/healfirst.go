package slot

import (
	"context"
	"errors"
	"fmt"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/replication"
)

// errAway: a repair would give up what another slot of the store may have.
var errAway = errors.New("not repaired: another slot of the store may have what is damaged, and does not answer; --alone does without it")

// healFirst takes what is damaged of a user's mail from the other slots of the store. A
// repair would drop it, and the drop would come to the others as a change. It fails with errAway if
// something is damaged still and somebody could not be asked for it.
func (s *Slot) healFirst(ctx context.Context, u mailbox.User, say func(string)) error {
	m, err := s.store.Acquire(ctx, u)
	if err != nil {
		return nil // a mail.db that cannot be opened is made anew, and merged with the others' as what was put back
	}
	defer m.Release()
	away := s.askToHeal(ctx, u, say)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if away == nil {
		return nil
	}
	damaged := false
	if err := s.store.Verify(ctx, u, func(mailstore.Finding) { damaged = true }); err != nil {
		return err
	}
	if damaged {
		return fmt.Errorf("%w (%w)", errAway, away)
	}
	return nil
}

// askToHeal asks each of the other slots, and returns why some were not to be reached.
func (s *Slot) askToHeal(ctx context.Context, u mailbox.User, say func(string)) (away error) {
	if len(s.c.Replication.Peers) == 0 {
		return nil
	}
	if len(s.peers.clients) == 0 {
		return errors.New("the daemon of this slot does not run")
	}
	for i, c := range s.peers.clients {
		heal := c.HealHere
		if len(s.peers.channels) > 0 {
			heal = s.peers.channels[i].HealHere
		}
		err := heal(ctx, u, func(what string) { say("mail: " + what) })
		switch {
		case err == nil:
		case replication.Unreachable(err):
			away = errors.Join(away, err)
		default: // it was asked, and cannot help with everything
			say("mail: " + err.Error())
		}
	}
	return away
}
