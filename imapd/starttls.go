package imapd

import (
	"context"
	"fmt"

	"teraslot/imapd/wire"
)

// startTLS is STARTTLS (RFC 9051 §6.2.1). Octets that came after the command and
// before TLS may be somebody else's: the connection then ends unanswered.
func (s *session) startTLS(_ context.Context, _ *wire.StartTLS) (*completion, error) {
	if s.srv.o.TLS == nil || s.secure() {
		return nil, bad("STARTTLS is not offered")
	}
	return &completion{text: "Begin TLS now", then: s.switchToTLS}, nil
}

// switchToTLS continues the session under TLS, after the OK was sent.
func (s *session) switchToTLS() error {
	if len(s.c.ahead) > 0 {
		return fmt.Errorf("%w: octets before TLS", wire.ErrBroken)
	}
	if err := s.in.Reset(s.c); err != nil {
		return err
	}
	if err := s.c.secure(s.srv.o.TLS); err != nil {
		s.log.Info("imap: TLS handshake failed", "error", err)
		return err
	}
	return nil
}
