package slot

import (
	"errors"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/squatter"
)

// TestPoison: a message whose text cannot be had in time is quarantined after some tries
// and no more is tried; the mail behind it is indexed, others' mail is, and searches find
// all of it, the quarantined message by reading it. Asked for, it is indexed at last.
func TestPoison(t *testing.T) {
	c := newConfig(t, "[squatter]\noff = true\n")
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("bert")
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.deliver("Subject: poison\r\n\r\nlunch poison\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	o := squatter.Options{Store: r.store, Tiers: r.tiers, Conf: c.Conf, Logger: r.o.Logger}
	slow := o
	slow.Patience = 1 // nanosecond: every extraction takes longer
	q := squatter.New(slow)
	var failures []squatter.Failure
	for tries := 1; tries <= 9; tries++ {
		_, err := q.IndexUser(t.Context(), a.ID, squatter.IndexOptions{Retry: true})
		skipped, some := errors.AsType[*squatter.Skipped](err)
		if !some || skipped.Tried != 1 {
			t.Fatalf("try %d: %v", tries, err)
		}
		failures = q.Failures(a.ID)
		if len(failures) != 1 || failures[0].Tries != tries || failures[0].Quarantined() != (tries == 9) {
			t.Fatalf("after %d tries: %+v", tries, failures)
		}
	}
	if got := observed(t, r.registry, "teraslot_log_lines_total", "ERROR", "a message is quarantined: it is not indexed, and searches read it"); got != 1 {
		t.Errorf("%v lines of the log tell of it", got)
	}

	// What comes behind it, by a squatter that could do it, which leaves it alone.
	for _, to := range []string{"anna@example.org", "bert@example.org"} {
		if err := r.deliver("Subject: behind\r\n\r\nlunch behind\r\n", to); err != nil {
			t.Fatal(err)
		}
	}
	q = squatter.New(o)
	b, err := r.accounts.Lookup(t.Context(), "bert")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []struct {
		name string
		id   mailbox.User
		hits int
	}{{"anna", a.ID, 2}, {"bert", b.ID, 1}} {
		n, err := q.IndexUser(t.Context(), u.id, squatter.IndexOptions{})
		skipped, some := errors.AsType[*squatter.Skipped](err)
		if n != 1 || some && skipped.Tried != 0 || !some && err != nil {
			t.Errorf("%s: %d messages indexed, %v", u.name, n, err)
		}
		before := counter(t, r.registry, "teraslot_search_messages_total", "scan")
		if hits := r.hits(u.name, "lunch"); hits != u.hits {
			t.Errorf("%s: %d hits, want %d", u.name, hits, u.hits)
		}
		if read := counter(t, r.registry, "teraslot_search_messages_total", "scan") - before; int(read) != u.hits-1 {
			t.Errorf("%s: %v messages were read", u.name, read)
		}
	}
	st, err := q.Stats(t.Context(), a.ID)
	if err != nil || len(st.Failures) != 1 || !st.Failures[0].Quarantined() || !strings.Contains(st.Failures[0].Err.Error(), "longer") {
		t.Errorf("stats: %+v, %v", st, err)
	}
	if n, err := q.IndexUser(t.Context(), a.ID, squatter.IndexOptions{Retry: true}); n != 1 || err != nil {
		t.Errorf("asked for: %d messages indexed, %v", n, err)
	}
	if left := q.Failures(a.ID); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}
