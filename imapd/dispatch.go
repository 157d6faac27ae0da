package imapd

import (
	"context"

	"teraslot/imapd/wire"
)

// completion is how a command ended well; nil stands for a plain OK.
type completion struct {
	code wire.Code
	text string
	then func() error // is done when the completion was sent
}

// Sets of states in which a command is allowed (RFC 9051 §6).
const (
	anyState    = 1<<notAuthenticated | 1<<authenticated | 1<<selected
	beforeLogin = 1 << notAuthenticated
	afterLogin  = 1<<authenticated | 1<<selected
	noMailbox   = 1 << authenticated
	inMailbox   = 1 << selected
)

// handle runs a handler if the state allows its command.
func handle[C wire.Command](ctx context.Context, s *session, states int, c C,
	handler func(*session, context.Context, C) (*completion, error)) (*completion, error) {
	if states&(1<<s.state) == 0 {
		return nil, bad(c.Name() + " is possible only " + stateNames[states])
	}
	if asksModSeq(c) {
		s.enableModSeqs()
	}
	return handler(s, ctx, c)
}

var stateNames = map[int]string{
	beforeLogin: "before login", afterLogin: "after login", inMailbox: "with a selected mailbox",
	noMailbox: "after login and before a mailbox is selected",
}

// execute carries out a command.
func (s *session) execute(ctx context.Context, req wire.Request) (*completion, error) {
	if err := s.permitted(req.Command); err != nil {
		return nil, err
	}
	switch c := req.Command.(type) {
	case *wire.Capability:
		return handle(ctx, s, anyState, c, (*session).capability)
	case *wire.Noop:
		return handle(ctx, s, anyState, c, (*session).noop)
	case *wire.Logout:
		return handle(ctx, s, anyState, c, (*session).logout)
	case *wire.ID:
		return handle(ctx, s, anyState, c, (*session).identify)
	case *wire.StartTLS:
		return handle(ctx, s, beforeLogin, c, (*session).startTLS)
	case *wire.Login:
		return handle(ctx, s, beforeLogin, c, (*session).login)
	case *wire.Authenticate:
		return handle(ctx, s, beforeLogin, c, (*session).authenticate)
	case *wire.Enable:
		return handle(ctx, s, noMailbox, c, (*session).enable)
	case *wire.Namespace:
		return handle(ctx, s, afterLogin, c, (*session).namespace)
	case *wire.Idle:
		return handle(ctx, s, afterLogin, c, (*session).idle)
	}
	return s.executeOnMailboxes(ctx, req.Command)
}

// executeOnMailboxes carries out the commands on mailboxes by name.
func (s *session) executeOnMailboxes(ctx context.Context, cmd wire.Command) (*completion, error) {
	switch c := cmd.(type) {
	case *wire.List:
		return handle(ctx, s, afterLogin, c, (*session).list)
	case *wire.Lsub:
		return handle(ctx, s, afterLogin, c, (*session).lsub)
	case *wire.Subscribe:
		return handle(ctx, s, afterLogin, c, (*session).subscribe)
	case *wire.Unsubscribe:
		return handle(ctx, s, afterLogin, c, (*session).unsubscribe)
	case *wire.Create:
		return handle(ctx, s, afterLogin, c, (*session).create)
	case *wire.Delete:
		return handle(ctx, s, afterLogin, c, (*session).delete)
	case *wire.Rename:
		return handle(ctx, s, afterLogin, c, (*session).rename)
	case *wire.Status:
		return handle(ctx, s, afterLogin, c, (*session).status)
	case *wire.Select:
		return handle(ctx, s, afterLogin, c, (*session).selectMailbox)
	case *wire.Append:
		return handle(ctx, s, afterLogin, c, (*session).appendMessages)
	case *wire.ESearch:
		return handle(ctx, s, afterLogin, c, (*session).esearch)
	}
	return s.executeOnMessages(ctx, cmd)
}

// executeOnMessages carries out the commands on the selected mailbox.
func (s *session) executeOnMessages(ctx context.Context, cmd wire.Command) (*completion, error) {
	switch c := cmd.(type) {
	case *wire.Fetch:
		return handle(ctx, s, inMailbox, c, (*session).fetch)
	case *wire.Store:
		return handle(ctx, s, inMailbox, c, (*session).store)
	case *wire.Search:
		return handle(ctx, s, inMailbox, c, (*session).search)
	case *wire.Sort:
		return handle(ctx, s, inMailbox, c, (*session).sort)
	case *wire.Thread:
		return handle(ctx, s, inMailbox, c, (*session).thread)
	case *wire.Copy:
		return handle(ctx, s, inMailbox, c, (*session).copy)
	case *wire.Move:
		return handle(ctx, s, inMailbox, c, (*session).move)
	case *wire.Expunge:
		return handle(ctx, s, inMailbox, c, (*session).expunge)
	case *wire.Check:
		return handle(ctx, s, inMailbox, c, (*session).check)
	case *wire.Close:
		return handle(ctx, s, inMailbox, c, (*session).close)
	case *wire.Unselect:
		return handle(ctx, s, inMailbox, c, (*session).unselectCommand)
	}
	return nil, bad(cmd.Name() + " is not offered")
}
