package mailstore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaultUnderTurn lets a fault happen at each step of a change and of a
// delivery, as in a session whose fault is caught. The user's next writer goes on,
// and what was acknowledged before is all there.
func TestFaultUnderTurn(t *testing.T) {
	for _, step := range []string{StepPackWritten, StepPackSynced, StepFenced, StepCommitted} {
		t.Run(step, func(t *testing.T) {
			at := ""
			s, m := newStore(t, Options{Conf: memoryDir(t), Step: func(now string) {
				if now == at {
					at = ""
					panic("fault at " + now)
				}
			}})
			id := named(t, m, Inbox).ID
			first := appendText(t, m, id, mailText(1))
			second := spool(t, s, mailText(2))
			fault := caught(func() {
				at = step
				m.Append(t.Context(), "", Append{Mailbox: id, Message: second})
			})
			if fault == nil {
				t.Fatal("no fault happened: the test shows nothing")
			}
			if step == StepFenced || step == StepCommitted {
				caught(func() {
					at = step
					m.Subscribe(t.Context(), "", "x", true)
				})
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			recs, err := m.Append(ctx, "", Append{Mailbox: id, Message: spool(t, s, mailText(3))})
			if err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			if bytesOf(t, m, id, first) != mailText(1) || bytesOf(t, m, id, recs[0]) != mailText(3) {
				t.Error("messages have other bytes")
			}
			v, err := m.View(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range v.Records {
				bytesOf(t, m, id, r) // the faulty delivery may be there, and is then whole
			}
		})
	}
}

// caught is the fault that fn ends with.
func caught(fn func()) (fault any) {
	defer func() { fault = recover() }()
	fn()
	return nil
}

// TestFaultFailsWaiting has deliveries wait for a writer who meets a fault: they
// fail, and do not wait on.
func TestFaultFailsWaiting(t *testing.T) {
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		enter, leave := make(chan struct{}), make(chan struct{})
		first, faulty := true, false
		s, m := openFor(t, Options{Conf: dir, Step: func(now string) {
			if now != StepPackWritten {
				return
			}
			if first {
				first, faulty = false, true
				close(enter)
				<-leave
			} else if faulty {
				faulty = false
				panic("fault")
			}
		}})
		id := named(t, m, Inbox).ID
		var messages []*Message
		for n := range 4 {
			messages = append(messages, spool(t, s, mailText(n)))
		}
		errs := make([]error, len(messages))
		faults := make([]any, len(messages))
		var all sync.WaitGroup
		for n, msg := range messages {
			all.Go(func() {
				errs[n] = errors.New("not returned")
				faults[n] = caught(func() { _, errs[n] = m.Append(t.Context(), "", Append{Mailbox: id, Message: msg}) })
			})
			if n == 0 {
				<-enter
			}
		}
		synctest.Wait() // the others are in the queue
		close(leave)
		all.Wait()
		caughtFaults := 0
		for n := range messages {
			if faults[n] != nil {
				caughtFaults++
			} else if n > 0 && errs[n] == nil {
				t.Errorf("delivery %d was acknowledged by a writer who met a fault", n)
			}
		}
		if errs[0] != nil || caughtFaults != 1 {
			t.Errorf("first %v, %d faults", errs[0], caughtFaults)
		}
		appendText(t, m, id, mailText(9))
		verify(t, s, user1)
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestFaultWhileReading gives back the connection of a reader that met a fault:
// more of them than there are connections leave the mail readable.
func TestFaultWhileReading(t *testing.T) {
	_, m := newStore(t, Options{Conf: memoryDir(t)})
	for range 2 * maxReaders {
		if caught(func() { m.read(t.Context(), func(*conn) error { panic("fault") }) }) == nil {
			t.Fatal("no fault happened")
		}
	}
	appendText(t, m, named(t, m, Inbox).ID, mailText(1))
	// No reader's transaction is left open: the WAL can be copied back whole.
	err := m.write(t.Context(), "", func(*txn) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	m.turn <- struct{}{}
	defer m.unlockWriter()
	busy, err := m.writer.integer("PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil || busy != 0 {
		t.Errorf("checkpoint: busy %d, %v", busy, err)
	}
}
