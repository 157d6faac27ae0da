package search_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
)

// await lets others run until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		default:
			runtime.Gosched()
		}
	}
}

// TestUsersShareFairly: many searches of one user, each of which reads all of a mailbox, keep
// the search of another waiting for a portion of what one of them reads, no more. The test
// holds the only turn and gives it away once.
func TestUsersShareFairly(t *testing.T) {
	const greedy, portions = 5, 4
	f := newFixture(t, search.Options{Workers: 1})
	f.library(16 * portions) // none of it indexed: read in portions of 16
	modest := mailbox.User("fedcba98765432100123456789abcdef")
	inbox := f.addUser(modest, "needle")
	release := f.s.HoldTurns(t, 1, "the test")

	many, one := make(chan error, greedy), make(chan error, 1)
	for range greedy {
		go func() {
			_, err := f.find(search.Body("odd"))
			many <- err
		}()
	}
	await(t, "all greedy searches wait", func() bool { return f.s.Waiting(user) == greedy })
	go func() {
		res, err := f.s.Search(t.Context(), search.Request{User: modest, Mailbox: inbox, Query: search.Body("needle")})
		if err == nil && len(res.UIDs) != 1 {
			t.Errorf("found %v", res.UIDs)
		}
		one <- err
	}()
	await(t, "the modest search waits", func() bool { return f.s.Waiting(modest) == 1 })

	release()
	release = f.s.HoldTurns(t, 1, "the test") // behind those who wait
	f.must(<-one)
	await(t, "the greedy searches wait for more", func() bool { return f.s.Waiting(user) == greedy })
	if len(many) > 0 {
		t.Error("a search of the greedy user has ended before")
	}
	release()
	for range greedy {
		f.must(<-many)
	}
}

// addUser adds a user with one message, and returns his INBOX.
func (f *fixture) addUser(u mailbox.User, text string) mailbox.ID {
	f.t.Helper()
	f.must(f.store.CreateUser(f.t.Context(), u, mailstore.UserOptions{}))
	mail, err := f.store.Acquire(f.t.Context(), u)
	f.must(err)
	defer mail.Release()
	state, err := mail.MailboxNamed(f.t.Context(), "INBOX")
	f.must(err)
	msg, err := f.store.Spool(f.t.Context(), bytes.NewReader(plain("a", text).raw))
	f.must(err)
	defer msg.Close()
	_, err = mail.Append(f.t.Context(), "", mailstore.Append{Mailbox: state.ID, Message: msg})
	f.must(err)
	return state.ID
}
