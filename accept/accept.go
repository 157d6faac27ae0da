package accept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"
)

// Loop hands each connection that comes to begin, which must not block and owns it from
// then on, until stop ends (nil) or the listener fails. Whoever ends stop closes the
// listener as well, or Accept waits for one more client. Short of descriptors or memory
// it tries again, after 5 ms at first and at most a second.
func Loop(stop context.Context, l net.Listener, log *slog.Logger, begin func(net.Conn)) error {
	for delay := time.Duration(0); ; {
		raw, err := l.Accept()
		switch {
		case stop.Err() != nil:
			if err == nil {
				_ = raw.Close()
			}
			return nil
		case temporary(err):
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			log.Warn("accepting failed", "listener", l.Addr().String(), "delay", delay, "err", err)
			Pause(stop, delay)
		case err != nil:
			return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
		default:
			delay = 0
			begin(raw)
		}
	}
}

// temporary reports whether accepting may work again: the machine is short of
// something, or a client left while it waited.
func temporary(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EINTR, syscall.EPROTO}, func(e error) bool { return errors.Is(err, e) })
}

// Pause waits for d or the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
