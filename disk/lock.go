package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"github.com/gofrs/flock"
)

// LockMode says with whom a lock is shared.
type LockMode uint8

// The modes of a lock.
const (
	Shared    LockMode = iota // with other shared holders
	Exclusive                 // with nobody
)

// ErrLocked is returned by TryLock for a lock that is held in the way.
var ErrLocked = errors.New("locked by another holder")

// The delays between two tries of Lock, in the long run: short enough that a
// lock which is free for a moment is met, long enough that a crowd of waiters
// costs little.
const (
	firstDelay = 50 * time.Microsecond
	lastDelay  = 4 * time.Millisecond
)

// LockWatcher is implemented by an FS that wants to know how long Lock waited for a
// lock that was not free at once. It is not told of a wait that ctx ended.
type LockWatcher interface {
	Waited(name string, d time.Duration)
}

// Lock is TryLock that waits until the lock is free or ctx is done. It polls:
// flock(2) cannot be interrupted, and each waiter in it would hold a thread. So
// waiters are served in no order, and a stream of shared holders can keep an
// exclusive one out for ever, unless both pass through a lock of their own
// first, as in package activefile.
func Lock(ctx context.Context, fsys FS, name string, mode LockMode) (io.Closer, error) {
	var since time.Time // of waiting
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		held, err := fsys.TryLock(name, mode)
		if !errors.Is(err, ErrLocked) {
			if w, ok := fsys.(LockWatcher); ok && !since.IsZero() {
				w.Waited(name, time.Since(since))
			}
			return held, err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if err := pause(ctx, delay/2+rand.N(delay)); err != nil {
			return nil, fmt.Errorf("waiting for the lock %s: %w", name, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TryLock opens the file for each holder anew: a *flock.Flock that is shared or
// upgraded loses its lock without telling (the conversion is not atomic).
func (osFS) TryLock(name string, mode LockMode) (io.Closer, error) {
	for {
		lock := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
		try := lock.TryRLock
		if mode == Exclusive {
			try = lock.TryLock
		}
		ok, err := try()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if !ok {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		same, err := stillNamed(lock, name)
		if err == nil && same {
			return osLock{lock, name}, nil
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// osLock is a lock that is held.
type osLock struct {
	*flock.Flock
	name string
}

// Named reports whether the name of a lock that is held still leads to it. Where somebody has removed or replaced the file, the next who asks
// for the lock gets another one, and is not kept out. A lock of an FS that cannot tell is taken to be named.
func Named(held io.Closer) (bool, error) {
	l, is := held.(osLock)
	if !is {
		return true, nil
	}
	return stillNamed(l.Flock, l.name)
}

// stillNamed reports whether the locked file is the one that has the name. If
// the file was removed between our open and our lock, the next holder locks
// another inode, and both would believe to be alone.
func stillNamed(lock *flock.Flock, name string) (bool, error) {
	held, err := lock.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(held, named), err
}
