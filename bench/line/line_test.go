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

func TestMain(m *testing.M) {
	var remains []goleak.Option
	for _, name := range Remains {
		remains = append(remains, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, remains...)
}

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
		set(t, p, f)
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
	for _, f := range []Fault{{}, {Delay: time.Millisecond}, {Rate: 1000}, {Delay: time.Millisecond, Rate: 1000, Limit: 20_000}} {
		if got, err := ask(f, time.Minute); err != nil || !bytes.Equal(got, text) {
			t.Errorf("with %+v it carried %d octets, %v", f, len(got), err)
		}
	}
	if got, err := ask(Fault{Limit: 5000}, time.Minute); err == nil || len(got) > 5000 || !bytes.HasPrefix(text, got) {
		t.Errorf("a line that breaks after 5000 octets carried %d, %v", len(got), err)
	}
	for _, f := range []Fault{{Silent: true}, {Deaf: true}} {
		if got, err := ask(f, 50*time.Millisecond); !os.IsTimeout(err) || len(got) > 0 {
			t.Errorf("with %+v it carried %d octets, %v", f, len(got), err)
		}
	}
	if got, err := ask(Fault{}, time.Minute); err != nil || !bytes.Equal(got, text) {
		t.Errorf("after all faults it carried %d octets, %v", len(got), err)
	}
}

func set(t *testing.T, p *Line, f Fault) {
	t.Helper()
	if err := p.Set(f); err != nil {
		t.Fatal(err)
	}
}

// TestDeafness: what goes out arrives, and nothing comes back.
func TestDeafness(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newLine(t, l.Addr().String())
	set(t, p, Fault{Deaf: true})
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	got := make([]byte, 4)
	if _, err := io.ReadFull(there, got); err != nil || string(got) != "word" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestDelay: a round takes twice the delay, however much is on its way at once.
func TestDelay(t *testing.T) {
	const delay, pieces = 50 * time.Millisecond, 100
	p := newLine(t, echo(t))
	set(t, p, Fault{Delay: delay})
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begun := time.Now()
	go func() {
		for range pieces {
			if _, err := c.Write(make([]byte, 100)); err != nil {
				return
			}
		}
	}()
	if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 2*delay {
		t.Errorf("a round took %s", took)
	}
	if _, err := io.ReadFull(c, make([]byte, 100*(pieces-1))); err != nil {
		t.Fatal(err)
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
		if err := p.Cut(); err != nil {
			t.Fatal(err)
		}
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
