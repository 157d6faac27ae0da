package imapd

import (
	"context"
	"strconv"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
)

// always are the capabilities that do not depend on the state.
var always = []imap.Cap{imap.CapIMAP4rev1, imap.CapIMAP4rev2, imap.CapID, imap.CapEnable}

// forUsers are offered to those who are logged in.
var forUsers = []imap.Cap{
	imap.CapIdle, imap.CapNamespace, imap.CapUnselect, imap.CapUIDPlus, imap.CapMove, imap.CapMultiAppend,
	imap.CapESearch, imap.CapSearchRes, imap.CapWithin, imap.CapChildren, imap.CapSpecialUse, imap.CapListExtended,
	imap.CapListStatus, imap.CapStatusSize, imap.CapCreateSpecialUse, imap.CapBinary, imap.CapLiteralPlus,
	imap.CapSearchFuzzy, imap.CapSort, imap.CapSortDisplay, imap.CapESort, "THREAD=ORDEREDSUBJECT",
	"THREAD=REFERENCES", "THREAD=REFS", imap.CapMultiSearch, imap.CapCondStore,
	imap.CapQResync,
}

// capabilities are what the server offers in this state (RFC 9051 §6.1.1).
func (s *session) capabilities() []imap.Cap {
	caps := append([]imap.Cap(nil), always...)
	if s.state != notAuthenticated {
		caps = append(caps, forUsers...)
		return append(caps, imap.Cap("APPENDLIMIT="+strconv.FormatInt(s.srv.o.Limits.Message, 10)))
	}
	caps = append(caps, imap.CapLiteralMinus, imap.CapSASLIR)
	if s.srv.o.TLS != nil && !s.secure() {
		caps = append(caps, imap.CapStartTLS)
	}
	if !s.mayLogin() {
		return append(caps, imap.CapLoginDisabled)
	}
	for _, mechanism := range s.srv.o.Accounts.Mechanisms() {
		caps = append(caps, imap.AuthCap(mechanism))
	}
	return caps
}

// mayLogin reports whether a password may come over this connection (RFC 9051
// §6.2.3, LOGINDISABLED).
func (s *session) mayLogin() bool { return s.secure() || s.srv.o.PlainLogin }

func (s *session) capability(context.Context, *wire.Capability) (*completion, error) {
	s.out.Capability(s.capabilities())
	return nil, nil
}
