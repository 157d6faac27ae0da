package imapd

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"teraslot/account"
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

// memory is what the process uses, garbage left out.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
