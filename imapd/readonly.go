package imapd

import (
	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
)

// errReplica answers what would change mail where Options.ReadOnly says that none may
// be changed. RFC 5530 §3: who asks another server may.
var errReplica = no(imap.ResponseCodeUnavailable, "This server holds a copy, which nobody may change")

// permitted refuses commands that change mail, where none may be changed, and makes
// SELECT the same as EXAMINE.
func (s *session) permitted(cmd wire.Command) error {
	if !s.srv.o.ReadOnly {
		return nil
	}
	switch c := cmd.(type) {
	case *wire.Select:
		c.ReadOnly = true
	case *wire.Subscribe, *wire.Unsubscribe, *wire.Create, *wire.Delete, *wire.Rename, *wire.Append, *wire.Store, *wire.Copy,
		*wire.Move, *wire.Expunge:
		return errReplica
	}
	return nil
}
