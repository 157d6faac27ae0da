package imapd

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
)

// noop is NOOP (RFC 9051 §6.1.2): the news come with its end.
func (s *session) noop(context.Context, *wire.Noop) (*completion, error) { return nil, nil }

// logout is LOGOUT (RFC 9051 §6.1.3).
func (s *session) logout(context.Context, *wire.Logout) (*completion, error) {
	s.bye("", "Until next time")
	return nil, nil
}

// id is ID (RFC 2971). What the client says of itself is for the log.
func (s *session) identify(_ context.Context, c *wire.ID) (*completion, error) {
	if len(c.Params) > 0 {
		var about []string
		for _, p := range c.Params {
			if p.Value != nil {
				about = append(about, p.Name+"="+*p.Value)
			}
		}
		s.log.Debug("imap: client", "id", strings.Join(about, " "))
	}
	var own []wire.Param
	for _, p := range []struct{ name, value string }{{"name", s.srv.o.Name}, {"version", s.srv.o.Version}} {
		if p.value != "" {
			own = append(own, wire.Param{Name: p.name, Value: &p.value})
		}
	}
	s.out.ID(own)
	return nil, nil
}

// enable is ENABLE (RFC 9051 §6.3.1). Names that are not known, or not to be
// enabled, are passed over.
func (s *session) enable(_ context.Context, c *wire.Enable) (*completion, error) {
	var enabled []imap.Cap
	if slices.Contains(c.Capabilities, imap.CapIMAP4rev2) {
		s.rev2 = true
		s.in.SetUTF8(true)
		s.out.SetUTF8(true)
		enabled = append(enabled, imap.CapIMAP4rev2)
	}
	for _, name := range []imap.Cap{imap.CapCondStore, imap.CapQResync} {
		if slices.Contains(c.Capabilities, name) {
			enabled = append(enabled, name)
			s.enableModSeqs() // QRESYNC is CONDSTORE and more (RFC 7162 §3.2.3)
		}
	}
	s.qresync = s.qresync || slices.Contains(enabled, imap.CapQResync)
	s.out.Enabled(enabled)
	return nil, nil
}
