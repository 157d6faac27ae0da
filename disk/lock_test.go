package disk_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"teraslot/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachFS runs a test on the real file system and on a Memory.
func eachFS(t *testing.T, test func(t *testing.T, fsys disk.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, disk.OS(), t.TempDir()) })
	t.Run("memory", func(t *testing.T) { test(t, disk.NewMemory(), "/") })
}

func TestTryLock(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys disk.FS, dir string) {
		name := filepath.Join(dir, "lock")
		take := func(mode disk.LockMode, want bool) io.Closer {
			t.Helper()
			held, err := fsys.TryLock(name, mode)
			if (err == nil) != want || err != nil && !errors.Is(err, disk.ErrLocked) {
				t.Fatalf("mode %d: %v, want %v", mode, err, want)
			}
			return held
		}
		a, b := take(disk.Shared, true), take(disk.Shared, true)
		take(disk.Exclusive, false)
		check(t, a.Close())
		take(disk.Exclusive, false)
		check(t, b.Close())
		c := take(disk.Exclusive, true)
		take(disk.Shared, false)
		take(disk.Exclusive, false)
		check(t, c.Close())
		check(t, take(disk.Shared, true).Close())
		if _, err := fsys.TryLock(filepath.Join(dir, "no/such"), disk.Shared); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without a directory: %v", err)
		}
	})
}

// TestLockExcludes counts holders while many goroutines want the lock.
func TestLockExcludes(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys disk.FS, dir string) {
		name := filepath.Join(dir, "lock")
		var readers, writers atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			mode, mine, others := disk.Shared, &readers, &writers
			if i%2 == 0 {
				mode, mine, others = disk.Exclusive, &writers, &readers
			}
			wg.Go(func() {
				for range 20 {
					held, err := disk.Lock(t.Context(), fsys, name, mode)
					if err != nil {
						t.Error(err)
						return
					}
					if n := mine.Add(1); others.Load() > 0 || mode == disk.Exclusive && n > 1 {
						t.Errorf("mode %d held by %d, the other mode by %d", mode, n, others.Load())
					}
					mine.Add(-1)
					if err := held.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestLockIsCancelled(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys disk.FS, dir string) {
		name := filepath.Join(dir, "lock")
		held, err := fsys.TryLock(name, disk.Exclusive)
		check(t, err)
		defer held.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := disk.Lock(ctx, fsys, name, disk.Shared)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// TestLockFileReplaced: who opened a lock file that was removed since must not
// believe that it holds the lock of that name.
func TestLockFileReplaced(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	old, err := disk.OS().TryLock(name, disk.Exclusive)
	check(t, err)
	check(t, os.Rename(name, name+".old"))
	held, err := disk.OS().TryLock(name, disk.Exclusive)
	check(t, err)
	locked, err := os.Stat(name)
	check(t, err)
	former, err := os.Stat(name + ".old")
	check(t, err)
	if os.SameFile(locked, former) {
		t.Error("the new holder locked the old file")
	}
	if _, err := disk.OS().TryLock(name, disk.Exclusive); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a second holder: %v", err)
	}
	check(t, old.Close())
	check(t, held.Close())
}
