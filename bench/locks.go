package main

import (
	"io"
	"path/filepath"
	"sync"
	"time"

	"teraslot/disk"
)

// timedLocks is a file system that takes the time of a user's index.lock where it is
// taken exclusively: how long it was waited for, from the first try at the gate, and
// how long it was held. One goroutine at a time takes locks through it.
type timedLocks struct {
	disk.FS
	mu           sync.Mutex // guards the rest
	asked        time.Time  // when the gate was first tried for; zero: not since the last lock
	waited, held durations
}

// TryLock is part of disk.FS.
func (t *timedLocks) TryLock(name string, mode disk.LockMode) (io.Closer, error) {
	base := filepath.Base(name)
	if base == "index.gate" {
		t.mu.Lock()
		if t.asked.IsZero() {
			t.asked = time.Now()
		}
		t.mu.Unlock()
	}
	c, err := t.FS.TryLock(name, mode)
	if err != nil || base != "index.lock" {
		return c, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	begun := t.asked
	t.asked = time.Time{}
	if mode != disk.Exclusive {
		return c, nil
	}
	t.waited = append(t.waited, now.Sub(begun))
	return &timedLock{c, t, now}, nil
}

// timedLock is index.lock while it is held.
type timedLock struct {
	io.Closer
	t     *timedLocks
	since time.Time
}

// Close gives the lock back.
func (l *timedLock) Close() error {
	err := l.Closer.Close()
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	l.t.held = append(l.t.held, time.Since(l.since))
	return err
}
