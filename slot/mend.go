package slot

import (
	"context"
	"fmt"
	"time"

	"teraslot/mailbox"
)

// mender repairs mail as soon as it is found to be damaged. It keeps no state on disk: what
// is damaged still is found again.
type mender struct {
	s     *Slot
	users chan mailbox.User
	tried map[mailbox.User]time.Time // used by run alone
}

// mendAgain is how long a user whose repair was tried is left alone: what it cannot mend,
// such as a disk that fails, is for a person.
const mendAgain = time.Hour

func newMender(s *Slot) *mender {
	return &mender{s: s, users: make(chan mailbox.User, 256), tried: map[mailbox.User]time.Time{}}
}

// wake asks for a user's repair. It does not block: of so many at once, those who find no
// place are found again by the next scrub.
func (m *mender) wake(u mailbox.User) {
	if m == nil {
		return
	}
	select {
	case m.users <- u:
	default:
	}
}

// run repairs until ctx is done; then it returns nil.
func (m *mender) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-m.users:
			if last, known := m.tried[u]; known && m.s.o.Now().Sub(last).Abs() < mendAgain {
				continue
			}
			m.tried[u] = m.s.o.Now()
			m.mend(ctx, u)
		}
	}
}

func (m *mender) mend(ctx context.Context, u mailbox.User) {
	log := m.s.o.Logger.With("user", m.s.nameOf(u))
	log.Warn("mail is damaged and is repaired at once")
	a, err := m.s.accounts.ByID(ctx, u)
	if err == nil {
		err = m.s.repair(ctx, a, false, func(line string) { log.Warn("repair", "did", line) })
	}
	if err != nil {
		log.Error("the repair failed: see docs/operations.md, When something is damaged", "err", err)
		return
	}
	log.Warn("the repair is done")
}

// tellVersions says whose mail.db another version of the program made: what an older one
// made is brought up to date when it is first used, what a later one made is refused.
func (s *Slot) tellVersions(ctx context.Context) error {
	found, err := s.store.Versions(ctx)
	if err != nil {
		return fmt.Errorf("versions of mail.db: %w", err)
	}
	if n := len(found.Older); n > 0 {
		s.o.Logger.Info("mail.db of an older version: each is brought to this program's when it is next used, and the older program does not read it then",
			"users", n, "first", found.Older[0], "version", found.Known)
	}
	for _, u := range found.Later {
		s.o.Logger.Error("mail.db was made by a later program and is not opened: run that program, or put mail of this one's back from a backup",
			"user", u, "version", found.Known)
	}
	return nil
}
