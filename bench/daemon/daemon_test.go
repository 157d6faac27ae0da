package daemon

import (
	"fmt"
	"net"
	"testing"
)

// TestFreeAddress: what nobody has bound yet is not given to somebody else.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		addr := FreeAddress(t)
		if seen[addr] {
			t.Fatalf("%s twice", addr)
		}
		seen[addr] = true
	}
}

// TestAwait: a process that listens and exits before it takes a connection has not
// started; one that greets has.
func TestAwait(t *testing.T) {
	for _, greets := range []bool{false, true} {
		l, err := net.Listen("tcp", FreeAddress(t))
		if err != nil {
			t.Fatal(err)
		}
		s := &Slot{exited: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- s.await(l.Addr().String()) }()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if greets {
			fmt.Fprint(c, "220 test\r\n")
		}
		c.Close()
		l.Close()
		if !greets {
			close(s.exited)
		}
		if err := <-ended; (err == nil) != greets {
			t.Errorf("greeted: %t; %v", greets, err)
		}
	}
}
