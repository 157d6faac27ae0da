package line

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is the address of a server that sends everything back.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func newLine(t *testing.T, to string) *Line {
	p, err := New(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestFaults: a good line carries everything, a bad one what its fault lets through.
func TestFaults(t *testing.T) {
	p := newLine(t, echo(t))
	text := bytes.Repeat([]byte("0123456789"), 1000)
	ask := func(f Fault, wait time.Duration) ([]byte, error) {
		p.Set(f)
		c, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		c.Write(text) // where the line breaks, what comes back tells
		got := make([]byte, len(text))
		n, err := io.ReadFull(c, got)
		return got[:n], err
	}
	if got, err := ask(Fault{}, time.Minute); err != nil || !bytes.Equal(got, text) || p.Passed() != int64(2*len(text)) {
		t.Errorf("a good line carried %d octets, %v; %d in all", len(got), err, p.Passed())
	}
	if got, err := ask(Fault{Delay: time.Millisecond}, time.Minute); err != nil || !bytes.Equal(got, text) {
		t.Errorf("a slow line carried %d octets, %v", len(got), err)
	}
	if got, err := ask(Fault{Limit: 5000}, time.Minute); err == nil || len(got) > 5000 || !bytes.HasPrefix(text, got) {
		t.Errorf("a line that breaks after 5000 octets carried %d, %v", len(got), err)
	}
	if got, err := ask(Fault{Silent: true}, 50*time.Millisecond); !os.IsTimeout(err) || len(got) > 0 {
		t.Errorf("a silent line carried %d octets, %v", len(got), err)
	}
	if got, err := ask(Fault{}, time.Minute); err != nil || !bytes.Equal(got, text) {
		t.Errorf("after all faults it carried %d octets, %v", len(got), err)
	}
}

// TestCut: Cut ends connections, and new ones are made; nobody at the other end ends them, too.
func TestCut(t *testing.T) {
	p := newLine(t, echo(t))
	for range 2 {
		c, err := net.Dial("tcp", p.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		one := make([]byte, 1)
		if _, err := c.Write(one); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatal(err)
		}
		p.Cut()
		if _, err := io.ReadFull(c, one); err == nil {
			t.Error("a cut line carried something")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := newLine(t, l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", nobody.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("nobody answered")
	}
}
