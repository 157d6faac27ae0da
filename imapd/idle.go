package imapd

import (
	"context"
	"strings"
	"time"

	"teraslot/imapd/wire"
)

// idle is IDLE (RFC 9051 §6.3.13): news are told as they come, until the client
// says DONE. One that is idle for longer than Limits.Idle is given up.
func (s *session) idle(ctx context.Context, _ *wire.Idle) (*completion, error) {
	s.out.Continue("Idling")
	// What came before this command is told at once.
	s.wake()
	if err := s.untilDone(ctx); err != nil {
		return nil, err
	}
	if s.state == ended {
		return nil, nil
	}
	s.c.messageEnd() // DONE has to come to its end in the time of a command
	line, err := s.in.Line()
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(line, "DONE") {
		return nil, bad("DONE was expected")
	}
	return nil, nil
}

// untilDone tells news until the client sends something, or goes away.
func (s *session) untilDone(ctx context.Context) error {
	if s.in.Buffered() > 0 {
		return s.out.Flush()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := s.c.watch(func(error) { cancel() })
	defer w.stop()
	limit := time.NewTimer(s.srv.o.Limits.Idle)
	defer limit.Stop()
	for {
		if err := s.out.Flush(); err != nil || s.state == ended {
			return err
		}
		select {
		case <-w.ready:
			return nil
		case <-s.news:
			if s.view == nil {
				continue
			}
			if err := s.catchUp(ctx, true); err != nil {
				return err
			}
			s.tellDue()
		case <-s.stop:
			s.bye("UNAVAILABLE", "The server is stopping")
		case <-s.leave.told:
			s.dismissed()
		case <-limit.C:
			s.bye("", "Idle for too long")
		}
	}
}
