package lmtp

import (
	"errors"
	"io"

	"teraslot/mailstore"
)

// data takes a message that ends with a dot.
func (s *session) data(rest string) {
	switch {
	case rest != "":
		s.reply(noArgument)
		return
	case len(s.recipients) == 0:
		s.reply(notNow)
		return
	}
	s.reply(goAhead)
	s.conn.receive()
	defer s.end()
	body := &dotReader{in: s.in}
	m, err := s.spool(body)
	if err == nil {
		s.deliver(m)
		return
	}
	if errors.Is(err, errAborted) {
		s.over = true
	} else if _, err := io.Copy(io.Discard, body); err != nil {
		s.over = true
	}
	s.refuseEach(err, s.recipients...)
}

// bdat takes a message in chunks, this one and those after it.
func (s *session) bdat(rest string) {
	size, last, good := parseChunk(rest)
	if !good {
		s.lost()
		return
	}
	body := &chunkReader{s: s, left: size, last: last}
	if len(s.recipients) == 0 {
		// The chunk follows its command also when that is refused.
		s.over = body.drain() != nil
		s.reply(notNow)
		return
	}
	s.conn.receive()
	defer s.end()
	m, err := s.spool(body)
	switch {
	case err == nil:
		s.deliver(m)
	case errors.Is(err, errReset): // and answered
	case errors.Is(err, errAborted):
		s.over = true
		s.refuse(err, "")
	default:
		s.over = body.drain() != nil
		if body.last {
			s.refuseEach(err, s.recipients...)
		} else {
			s.refuse(err, "")
		}
	}
}

// lost ends the session at a chunk whose size nobody can tell: what follows is a
// message, or commands, and taking one for the other lets whoever wrote the message
// speak for the client.
func (s *session) lost() {
	s.over = true
	s.reply(badChunk)
}

// nextChunk answers the chunk that was read and hears commands until another one
// comes, or the message is given up.
func (s *session) nextChunk(c *chunkReader) error {
	s.reply(chunkTaken)
	for {
		line, err := s.line()
		if err != nil {
			return errors.Join(errAborted, err)
		}
		switch verb, rest := cutCommand(line); verb {
		case "BDAT":
			size, last, good := parseChunk(rest)
			if !good {
				s.lost()
				return errReset
			}
			c.left, c.last = size, last
			return nil
		case "NOOP":
			s.reply(ok)
		case "RSET":
			s.reply(ok)
			return errReset
		case "LHLO": // resets as RSET does, if it is one (RFC 5321 §4.1.4)
			if s.hello(rest); !s.began {
				return errReset
			}
		case "QUIT":
			s.over = true
			s.reply(bye)
			return errReset
		default:
			s.reply(notNow)
		}
	}
}

// spool reads a message to its end, with what final delivery adds.
func (s *session) spool(body io.Reader) (*mailstore.Message, error) {
	s.clean.reset(&limited{body, s.server.o.MaxMessage})
	return s.server.o.Store.Spool(s.ctx, io.MultiReader(s.trace(), &s.clean))
}

// deliver stores a message and answers for each recipient, in their order (RFC 2033
// §4.2).
func (s *session) deliver(m *mailstore.Message) {
	defer func() {
		if err := m.Close(); err != nil {
			s.server.o.Logger.Warn("lmtp: giving up a spooled message", "err", err)
		}
	}()
	outcome := s.server.deliver(s.ctx, m, s.recipients)
	for _, r := range s.recipients {
		if err := outcome[r.target]; err != nil {
			s.refuseEach(err, r)
		} else {
			s.replyFor(delivered, r.path)
		}
	}
}

// end ends a message. Its replies are promises that nothing else is to delay.
func (s *session) end() {
	s.envelope = envelope{recipients: s.recipients[:0]}
	if s.flush() != nil {
		s.over = true
	}
	s.conn.end()
}
