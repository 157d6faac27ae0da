package accept

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// listener answers Accept with what steps say, one after the other.
type listener struct{ steps []func() (net.Conn, error) }

func (l *listener) Accept() (net.Conn, error) {
	step := l.steps[0]
	l.steps = l.steps[1:]
	return step()
}
func (*listener) Close() error   { return nil }
func (*listener) Addr() net.Addr { return &net.TCPAddr{Port: 143} }

func fails(err error) func() (net.Conn, error) {
	return func() (net.Conn, error) { return nil, err }
}

func connects() (net.Conn, error) {
	c, _ := net.Pipe()
	return c, nil
}

func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		short := fails(&net.OpError{Op: "accept", Err: syscall.EMFILE})
		l := &listener{steps: []func() (net.Conn, error){connects, short, short, short, connects, short, fails(broken)}}
		var at []time.Duration
		start := time.Now()
		err := Loop(t.Context(), l, slog.New(slog.DiscardHandler), func(c net.Conn) {
			at = append(at, time.Since(start))
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, broken) {
			t.Errorf("the loop ended with %v", err)
		}
		if len(at) != 2 || at[0] != 0 || at[1] != 35*time.Millisecond {
			t.Errorf("connections after %v", at)
		}
		if took := time.Since(start); took != 40*time.Millisecond {
			t.Errorf("the delay after a connection begins anew: %v in all", took)
		}
	})
}

func TestLoopStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	late, other := net.Pipe()
	l := &listener{steps: []func() (net.Conn, error){func() (net.Conn, error) {
		stop()
		return late, nil
	}}}
	if err := Loop(ctx, l, slog.New(slog.DiscardHandler), func(net.Conn) { t.Error("begun after the stop") }); err != nil {
		t.Error(err)
	}
	if _, err := other.Write([]byte("x")); err == nil {
		t.Error("who came too late is not closed")
	}
}

func TestPauseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		start := time.Now()
		Pause(ctx, time.Hour)
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited for %v", took)
		}
	})
}
