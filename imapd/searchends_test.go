package imapd

import (
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/search"
)

// gate is a disk on which packs can be read only while it is open.
type gate struct {
	disk.FS
	mu      sync.Mutex
	open    chan struct{} // closed while it is open
	reading chan struct{} // told of each reading that waits
}

func newGate() *gate {
	g := &gate{FS: disk.OS(), open: make(chan struct{}), reading: make(chan struct{}, 1)}
	close(g.open)
	return g
}

func (g *gate) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := g.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return gatedFile{f, g}, nil
}

// gatedFile is a file behind the gate.
type gatedFile struct {
	disk.File
	gate *gate
}

func (f gatedFile) ReadAt(p []byte, off int64) (int, error) {
	f.gate.pass()
	return f.File.ReadAt(p, off)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return
	default:
	}
	select {
	case g.reading <- struct{}{}:
	default:
	}
	<-open
}

// gatedSlot is a harness whose searches have one worker and so much time, with a message of
// alice's and one of bob's. Bob searches, and his search holds the only turn until the gate is
// opened; opening it lets him go on.
func gatedSlot(t *testing.T, limit time.Duration) (h *harness, bob *peer, open func()) {
	t.Helper()
	g := newGate()
	o := Options{PlainLogin: true}
	h = openSlotOn(t, &o, g, nil)
	o.Searcher = search.New(search.Options{Store: h.store, Tiers: h.tiers, Workers: 1, Limits: search.Limits{Time: limit}})
	h.srv = New(o)
	h.serve(t, false)
	t.Cleanup(func() { h.close(t) })
	h.deliver(t, "alice", "INBOX", mail("one"))
	h.deliver(t, "bob", "INBOX", mail("two"))
	bob = h.selected(t, "bob", "INBOX")
	g.shut()
	once := sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(once) // before the harness closes
	bob.say(t, "b SEARCH BODY hello\r\n")
	select {
	case <-g.reading:
	case <-time.After(time.Minute):
		t.Fatal("bob's search reads nothing")
	}
	return h, bob, once
}

// A search ends when its client goes away: while it waits for its turn nothing else would end
// it here.
func TestSearchEndsWithClient(t *testing.T) {
	h, bob, open := gatedSlot(t, -1)
	for _, command := range []string{"SEARCH BODY hello", "SORT (DATE) UTF-8 BODY hello", "THREAD REFS UTF-8 BODY hello", "ESEARCH IN (personal) BODY hello"} {
		alice := h.selected(t, "alice", "INBOX")
		alice.say(t, "a "+command+"\r\n")
		alice.conn.Close()
		eventually(t, command+": the session has ended", func() bool { return len(h.srv.hub.of(h.users["alice"])) == 0 })
	}
	open()
	if lines := bob.reply(t); !strings.HasPrefix(lines[len(lines)-1], "b OK") || lines[0] != "* SEARCH 1" {
		t.Errorf("bob: %q", lines)
	}
	if log := h.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("clients that go are an error:\n%s", log)
	}
}

// A search that takes longer than it may is answered with NO, and the session goes on.
func TestSearchIsBoundedInTime(t *testing.T) {
	h, bob, open := gatedSlot(t, 100*time.Millisecond)
	alice := h.selected(t, "alice", "INBOX")
	for _, command := range []string{"SEARCH BODY hello", "UID SORT (DATE) UTF-8 BODY hello", "THREAD REFS UTF-8 BODY hello", "ESEARCH IN (personal) BODY hello"} {
		if untagged, completion := alice.run(t, command); len(untagged) > 0 || !strings.HasPrefix(completion, "NO [LIMIT] The search took too long") {
			t.Errorf("%s: %q, %s", command, untagged, completion)
		}
	}
	alice.do(t, "NOOP")
	open()
	if lines := bob.reply(t); !strings.HasPrefix(lines[len(lines)-1], "b NO [LIMIT]") {
		t.Errorf("bob, whose reading took longer: %q", lines)
	}
	bob.do(t, "NOOP")
}

// reply is what comes up to a command's completion.
func (p *peer) reply(t *testing.T) (lines []string) {
	t.Helper()
	for {
		line := p.response(t)
		if lines = append(lines, line); !strings.HasPrefix(line, "* ") {
			return lines
		}
	}
}
