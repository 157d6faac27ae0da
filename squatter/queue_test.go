package squatter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"teraslot/mailbox"
)

const (
	alice = mailbox.User("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	bob   = mailbox.User("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
)

// attempt takes the next user and returns who it was and how long it took.
func attempt(t *testing.T, q *queue) (*waiting, time.Duration) {
	t.Helper()
	start := time.Now()
	w, calls, err := q.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range calls {
		call()
	}
	return w, time.Since(start)
}

func TestQueueWaitsForTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		for range 19 {
			q.note(alice, 1, nil)
		}
		if _, took := attempt(t, q); took != 2*time.Second {
			t.Errorf("19 messages were taken after %v, want 2s", took)
		}
	})
}

func TestQueueDelayRunsFromTheFirstNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		q.note(alice, 1, nil)
		<-time.After(1500 * time.Millisecond)
		q.note(alice, 1, nil)
		if _, took := attempt(t, q); took != 500*time.Millisecond {
			t.Errorf("taken %v after the second notice, want 500ms", took)
		}
	})
}

func TestQueueBatchIsTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		q.note(bob, 1, nil)
		for range 20 {
			q.note(alice, 1, nil)
		}
		if w, took := attempt(t, q); took != 0 || w.user != alice {
			t.Errorf("%v was taken after %v, want alice at once", w.user, took)
		}
		if w, took := attempt(t, q); took != 2*time.Second || w.user != bob {
			t.Errorf("%v was taken after %v, want bob after 2s", w.user, took)
		}
	})
}

// TestQueueGathersLongerForMany: each of many users waits longer for more, those before them
// do not, and neither do full batches and who searches.
func TestQueueGathersLongerForMany(t *testing.T) {
	user := func(i int) mailbox.User { return mailbox.User(fmt.Sprintf("%032x", i)) }
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		start := time.Now()
		for i := range 1000 {
			q.note(user(i), 1, nil)
		}
		<-time.After(time.Second)
		for i := range 1000 {
			q.note(user(i), 1, nil) // the second message makes nobody wait longer
		}
		q.note(alice, 20, nil)
		q.note(bob, 1, nil)
		q.now(bob)
		for range 2 {
			w, took := attempt(t, q)
			if took != 0 || w.user != alice && w.user != bob {
				t.Errorf("%v was taken after %v, want alice, whose batch is full, and bob, who searches, at once", w.user, took)
			}
			q.done(w, false)
		}
		for range 1000 {
			w, _ := attempt(t, q)
			i, err := strconv.ParseInt(string(w.user), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			want := 2 * time.Second * time.Duration(min(1+(i+1)/50, 10)) // he is one of those who wait
			if took := time.Since(start); took != want {
				t.Fatalf("user %d was taken after %v, want %v", i, took, want)
			}
			q.done(w, false)
		}
		q.note(alice, 1, nil)
		if _, took := attempt(t, q); took != 2*time.Second {
			t.Errorf("when nobody else waits, a message waits %v", took)
		}
	})
}

func TestQueueRestsAfterABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		q.rest(100 * time.Millisecond)
		q.note(alice, 20, nil)
		q.note(bob, 1, nil)
		q.now(bob)
		if w, took := attempt(t, q); took != 0 || w.user != bob {
			t.Errorf("%v was taken after %v, want bob, who searches, at once", w.user, took)
		} else {
			q.done(w, false)
		}
		if w, took := attempt(t, q); took != 900*time.Millisecond || w.user != alice {
			t.Errorf("%v was taken after %v, want alice after nine times as long as the attempt before", w.user, took)
		}
		q.rest(time.Hour)
		q.note(bob, 20, nil)
		if _, took := attempt(t, q); took != 2*time.Second {
			t.Errorf("a batch waited %v after a long attempt, want the delay", took)
		}
	})
}

func TestQueueRestsFromWhatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		for name, hurry := range map[string]bool{"a full batch": false, "a search": true} {
			q.note(alice, 20, nil)
			w, _ := attempt(t, q)
			q.note(alice, 20, nil) // while he is being indexed
			if hurry {
				q.now(alice)
			}
			q.rest(100 * time.Millisecond)
			q.done(w, false)
			w, took := attempt(t, q)
			if rested := took == 900*time.Millisecond; rested == hurry {
				t.Errorf("%s during an attempt was taken after %v", name, took)
			}
			q.done(w, false)
			<-time.After(time.Hour)
		}
	})
}

func TestQueueWakesTheSleeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, time.Minute)
		q.note(alice, 1, nil)
		taken := make(chan mailbox.User, 1)
		go func() {
			if w, _, err := q.next(t.Context()); err == nil {
				taken <- w.user
			}
		}()
		synctest.Wait()
		start := time.Now()
		q.now(bob)
		if u := <-taken; u != bob || time.Since(start) != 0 {
			t.Errorf("%v was taken after %v, want bob at once", u, time.Since(start))
		}
		q.now(alice)
		if w, took := attempt(t, q); w.user != alice || took != 0 {
			t.Errorf("%v was taken after %v, want alice at once", w.user, took)
		}
	})
}

func TestQueueNoticesDuringAnAttemptStartAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		q.now(alice)
		w, _ := attempt(t, q)
		called := false
		q.note(alice, 3, func() { called = true })
		if got, _, _ := q.take(); got != nil {
			t.Fatal("a user was handed out twice at a time")
		}
		<-time.After(time.Second)
		q.done(w, false)
		if _, took := attempt(t, q); took != time.Second || !called {
			t.Errorf("taken after %v (called %v), want 1s, true", took, called)
		}
	})
}

func TestQueueForgetsWhoIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		q.now(alice)
		w, _ := attempt(t, q)
		if got := q.left(); len(got) != 1 {
			t.Errorf("%d users are left during the attempt, want 1", len(got))
		}
		q.done(w, false)
		if len(q.users) != 0 || len(q.order) != 0 {
			t.Errorf("%d users and %d places are kept, want none", len(q.users), len(q.order))
		}
	})
}

func TestQueueFailuresWaitLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, time.Second)
		q.now(alice)
		w, _ := attempt(t, q)
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			q.done(w, true)
			q.note(alice, 5, nil) // neither a full batch nor a wish cuts it short
			q.now(alice)
			var took time.Duration
			if w, took = attempt(t, q); took != want*time.Second {
				t.Fatalf("tried again after %v, want %v", took, want*time.Second)
			}
		}
		q.done(w, false)
		q.note(alice, 2, nil)
		if _, took := attempt(t, q); took != 0 {
			t.Errorf("after a success, a full batch waited %v", took)
		}
	})
}

func TestQueueManyUsersInOrderOfNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, time.Second)
		const users = 500
		for i := range users {
			q.note(mailbox.User(fmt.Sprintf("%032x", (i*7919)%users)), 1, nil)
			<-time.After(time.Millisecond)
		}
		seen := make(map[mailbox.User]bool)
		var last time.Time
		for range users {
			w, _ := attempt(t, q)
			if w.due.Before(last) || seen[w.user] {
				t.Fatalf("%v came out of turn", w.user)
			}
			last, seen[w.user] = w.due, true
			q.done(w, false)
		}
	})
}

func TestQueueEndsWithItsContext(t *testing.T) {
	q := newQueue(20, time.Hour)
	q.note(alice, 1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := q.next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("next returned %v, want %v", err, context.Canceled)
	}
}

// TestQueueLag: what waits is counted from its notice on until it is indexed, also while it is tried and after tries that
// failed; what a user was queued for before, which was no mail, does not count.
func TestQueueLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(20, 2*time.Second)
		check := func(when string, messages int, lag time.Duration) {
			t.Helper()
			if n, d := q.lag(); n != messages || d != lag {
				t.Errorf("%s: %d messages, %v; want %d, %v", when, n, d, messages, lag)
			}
		}
		q.later("anna", time.Hour)
		time.Sleep(10 * time.Minute)
		check("queued for a retry", 0, 0)
		q.note("anna", 3, nil)
		time.Sleep(time.Second)
		check("noted", 3, time.Second)
		w, _ := attempt(t, q)
		check("being indexed", 3, 2*time.Second)
		q.note("anna", 1, nil)
		q.done(w, true)
		time.Sleep(time.Second)
		check("failed", 4, 3*time.Second)
		w, _ = attempt(t, q)
		q.done(w, false)
		check("indexed", 0, 0)
		q.now("berta")
		w, _ = attempt(t, q)
		q.done(w, true)
		time.Sleep(time.Second)
		check("failed, and nobody counted", 1, time.Second)
	})
}
