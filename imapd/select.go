package imapd

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// tellClosed says that no mailbox is selected from here on, where no command of the client says so
// (RFC 9051 §3, §7.1).
func (s *session) tellClosed(text string) {
	s.out.Untagged(wire.Reply{Type: imap.StatusResponseTypeOK, Code: wire.CodeClosed, Text: text})
}

// selectMailbox is SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3). The mailbox that
// was selected is left first, whatever comes of this command.
func (s *session) selectMailbox(ctx context.Context, c *wire.Select) (*completion, error) {
	if c.QResync != nil && !s.qresync {
		return nil, bad("QRESYNC has to be enabled first (RFC 7162 section 3.2.5)")
	}
	if s.view != nil {
		s.announce(ctx)
		s.unselect()
		s.tellClosed("The mailbox before is closed")
	}
	if c.CondStore {
		s.enableModSeqs() // RFC 7162 §3.1.8
	}
	var sel mailstore.Selection
	var missed *resync
	var listed *wire.ListEntry
	err := s.withMail(ctx, func(m *mailstore.Mail) error {
		named, err := m.MailboxNamed(ctx, c.Mailbox)
		if err != nil {
			return err
		}
		// From here on a change wakes the session; what comes between this line
		// and the next is in both and does no harm.
		s.watched.Store(&named.ID)
		if sel, err = m.Select(ctx, named.ID); err == nil && s.rev2 {
			listed, err = listing(ctx, m, sel.State.Name, c.Mailbox)
		}
		if err == nil {
			missed, err = readMissed(ctx, m, c.QResync, &sel)
		}
		return err
	})
	if err != nil {
		s.watched.Store(nil)
		return nil, err
	}
	s.view = &view{id: sel.State.ID, validity: sel.State.UIDValidity, readOnly: c.ReadOnly, modSeq: sel.State.HighestModSeq,
		whole: sel.State.HighestModSeq, claim: claim{has: sel.State.HighestModSeq}, uids: sel.UIDs, announced: sel.Announced, keywords: knownKeywords{names: sel.Keywords}}
	s.claimRecent(sel.UIDs)
	s.announce(ctx)
	s.state = selected
	s.describe(c, &sel)
	if listed != nil {
		s.out.List(listed) // RFC 9051 §6.3.2
	}
	s.tellMissed(missed)
	return s.opened(c), nil
}

// describe sends what a client has to know of a mailbox that it selects.
func (s *session) describe(c *wire.Select, sel *mailstore.Selection) {
	state := &sel.State
	s.tellKeywords()
	s.out.Exists(s.view.exists())
	if !s.rev2 {
		s.out.Recent(uint32(s.view.recent.Len()))
		if first, ok := s.view.number(sel.FirstUnseen); ok {
			// RFC 3501 §6.3.1; IMAP4rev2 has it no more.
			s.tellCode(wire.UnseenCode(first), "The first unseen message")
		}
	}
	s.tellCode(wire.PermanentFlagsCode(permanentFlags(c.ReadOnly, sel.Keywords)), "Flags that are kept")
	s.tellCode(wire.UIDValidityCode(state.UIDValidity), "UIDs are valid")
	s.tellCode(wire.UIDNextCode(state.UIDNext), "The next UID")
	s.tellHighest(state.HighestModSeq) // RFC 7162 §3.1.2.1
}

const allSystemFlags = mailbox.Seen | mailbox.Answered | mailbox.Flagged | mailbox.Deleted | mailbox.Draft

// permanentFlags are the flags that a client can change for good: all, and
// keywords of its own making.
func permanentFlags(readOnly bool, keywords []string) []string {
	if readOnly {
		return nil
	}
	return append(flagsWith(keywords), `\*`)
}

func (s *session) opened(c *wire.Select) *completion {
	if c.ReadOnly {
		return &completion{code: wire.CodeReadOnly, text: "Opened to be read"}
	}
	return &completion{code: wire.CodeReadWrite, text: "Opened"}
}

// unselect leaves the selected mailbox, if there is one.
func (s *session) unselect() {
	s.watched.Store(nil)
	if s.view != nil {
		s.view, s.state = nil, authenticated
	}
}

// unselectCommand is UNSELECT (RFC 9051 §6.4.2).
func (s *session) unselectCommand(ctx context.Context, _ *wire.Unselect) (*completion, error) {
	s.announce(ctx)
	s.unselect()
	return nil, nil
}

// close is CLOSE (RFC 9051 §6.4.1): expunges without telling, unless read-only.
func (s *session) close(ctx context.Context, _ *wire.Close) (*completion, error) {
	v := s.view
	s.announce(ctx)
	s.unselect()
	if v.readOnly {
		return nil, nil
	}
	return nil, s.withMail(ctx, func(m *mailstore.Mail) error {
		_, _, err := m.Expunge(ctx, s.id, v.id, nil)
		return err
	})
}

// check is CHECK (RFC 3501 §6.4.1): all that was acknowledged is safe already.
func (s *session) check(context.Context, *wire.Check) (*completion, error) { return nil, nil }
