package netns

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Net is a network of its own. From the test's, and from nowhere else, it is reached at Host.
type Net struct {
	// Host is the network's address, Gateway that of the test as seen from there.
	Host, Gateway string

	ours string   // the test's end of the pair of interfaces
	file *os.File // by which the namespace lives
}

// made counts the networks of this process, whose addresses and interfaces it tells apart.
var made atomic.Int32

// New makes a network, for as long as the test runs.
func New(tb TB) *Net {
	tb.Helper()
	file, err := open()
	if err != nil {
		tb.Fatal(err)
	}
	k := int(made.Add(1))
	n := &Net{Host: fmt.Sprintf("10.213.%d.%d", k/64, k%64*4+2), Gateway: fmt.Sprintf("10.213.%d.%d", k/64, k%64*4+1), ours: fmt.Sprintf("slot%d", k), file: file}
	tb.Cleanup(func() {
		if err := ip("link", "del", n.ours); err != nil {
			tb.Errorf("%v", err)
		}
		if err := file.Close(); err != nil {
			tb.Errorf("%v", err)
		}
	})
	if err := n.join(); err != nil {
		tb.Fatal(err)
	}
	return n
}

// open makes a namespace. It is that of a thread which ends at once; the file holds it.
func open() (file *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			file, err = os.Open("/proc/thread-self/ns/net")
		}
	}()
	<-done
	return file, err
}

// join lays the line between the test's network and this one.
func (n *Net) join() error {
	for _, args := range [][]string{
		{"link", "add", n.ours, "type", "veth", "peer", "name", "uplink", "netns", n.path()},
		{"addr", "add", n.Gateway + "/30", "dev", n.ours},
		{"link", "set", n.ours, "up"},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"addr", "add", n.Host + "/30", "dev", "uplink"}, {"link", "set", "uplink", "up"}, {"link", "set", "lo", "up"}} {
		command := append(n.Under(), "ip")
		if err := run(command[0], append(command[1:], args...)...); err != nil {
			return err
		}
	}
	return nil
}

func (n *Net) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Under is the command that runs another one in the network (util-linux).
func (n *Net) Under() []string { return []string{"nsenter", "--net=" + n.path()} }

// Unplug cuts the network off: nothing gets through, and nobody is told.
func (n *Net) Unplug() error { return ip("link", "set", n.ours, "down") }

// Plug ends Unplug.
func (n *Net) Plug() error { return ip("link", "set", n.ours, "up") }
