package imapd

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// TestManyIdle has COUNT sessions of ten users idle, tells all of them of a
// message, and reports what a session costs.
func TestManyIdle(t *testing.T) {
	n := 100
	if c, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		n = c
	}
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{PerAddress: n + 10, PerUser: n}})
	users := make([]string, 10)
	for i := range users {
		users[i] = "user" + strconv.Itoa(i)
		h.addUser(t, users[i], account.Quota{})
	}
	before := memory()
	peers := make([]*peer, n)
	for i := range peers {
		p := h.selected(t, users[i%len(users)], "INBOX")
		p.say(t, "i IDLE\r\n")
		p.response(t)
		peers[i] = p
	}
	// Half of it is the test's own: a connection and a reader for each.
	t.Logf("%d idle sessions cost %d KiB each, the test's side included", n, (memory()-before)/uint64(n)/1024)
	for _, user := range users {
		h.deliver(t, user, "INBOX", mail("to all"))
	}
	for i, p := range peers {
		if line := p.response(t); line != "* 1 EXISTS" {
			t.Errorf("session %d was told %q", i, line)
		}
	}
	if fault := h.log.String(); strings.Contains(fault, "level=ERROR") {
		t.Errorf("the log says\n%s", fault)
	}
}

// A session that sleeps while its mailbox changes a hundred thousand times, as in a
// day, holds no more than before, holds up nobody, and is told what is different, once.
func TestSleepingSessionCostsNothing(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.fill(t, "alice", 50)
	sleeper, idler := h.selected(t, "alice", "INBOX"), h.selected(t, "alice", "INBOX")
	idler.say(t, "i IDLE\r\n")
	idler.response(t)
	m, err := h.store.Acquire(t.Context(), h.users["alice"])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	box, err := m.MailboxNamed(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	change := func(op mailstore.FlagOp) {
		_, err := m.StoreFlags(t.Context(), "other", box.ID, mailbox.UIDRange(1, 50), op, mailbox.Flags{System: mailbox.Flagged}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	before := memory()
	for i := range 100 {
		change([]mailstore.FlagOp{mailstore.AddFlags, mailstore.RemoveFlags}[i%2])
		for range 1000 {
			h.srv.Notify(mailbox.Event{User: h.users["alice"], Mailbox: box.ID, Kind: mailbox.FlagsStored, Session: "other"})
		}
	}
	change(mailstore.AddFlags)
	if grown := int64(memory()) - int64(before); grown > 4<<20 {
		t.Errorf("100,000 events are worth %d KiB to sessions that sleep", grown>>10)
	}
	if told := sleeper.do(t, "NOOP"); len(told) != 50 {
		t.Errorf("told %d changes of 50 messages", len(told))
	}
	idler.say(t, "DONE\r\n")
	for {
		line := idler.response(t)
		if strings.HasPrefix(line, "i OK") {
			break
		}
		if !strings.Contains(line, "FETCH (FLAGS (") {
			t.Fatalf("told %q", line)
		}
	}
}

// memory is what the process uses, garbage left out.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
