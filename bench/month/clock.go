package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// clock is the slot's: it moves only when run is called, from alarm to alarm.
type clock struct {
	mu     sync.Mutex // guards what follows
	now    time.Time
	alarms []alarm
	set    chan struct{} // has a token when an alarm was set since it was last taken
}

type alarm struct {
	at   time.Time
	ring chan time.Time
}

func newClock(now time.Time) *clock { return &clock{now: now, set: make(chan struct{}, 1)} }

// Now is the time.
func (k *clock) Now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// After is as time.After.
func (k *clock) After(d time.Duration) <-chan time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := alarm{k.now.Add(max(d, 0)), make(chan time.Time, 1)}
	at, _ := slices.BinarySearchFunc(k.alarms, a.at, func(x alarm, t time.Time) int {
		if x.at.After(t) {
			return 1
		}
		return -1 // behind those of the same time
	})
	k.alarms = slices.Insert(k.alarms, at, a)
	select {
	case k.set <- struct{}{}:
	default:
	}
	return a.ring
}

// forget drops all alarms: who waited for them has ended.
func (k *clock) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.alarms = nil
}

// patience is how long, by the machine's own clock, whatever the slot does may take
// before it counts as stuck.
const patience = 5 * time.Minute

// run moves the time on to until. It rings one alarm at a time, and each only when as
// many as there are sleepers have been set: then all who ever wait for alarms do, and
// nobody is at work.
func (k *clock) run(ctx context.Context, until time.Time, sleepers int) error {
	stuck := time.NewTimer(patience)
	defer stuck.Stop()
	for {
		rang, over := k.step(until, sleepers)
		if over {
			return nil
		}
		if rang {
			stuck.Reset(patience)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.set:
		case <-stuck.C:
			return fmt.Errorf("at %s somebody has been at work for %s", k.Now().Format(time.DateTime), patience)
		}
	}
}

// step rings the next alarm that is due by until, if all sleep; over tells that there
// is none, and that the time is until.
func (k *clock) step(until time.Time, sleepers int) (rang, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.alarms) < sleepers {
		return false, false
	}
	if len(k.alarms) == 0 || k.alarms[0].at.After(until) {
		if until.After(k.now) {
			k.now = until
		}
		return false, true
	}
	next := k.alarms[0]
	k.alarms = k.alarms[1:]
	if next.at.After(k.now) {
		k.now = next.at
	}
	next.ring <- k.now
	return true, false
}
