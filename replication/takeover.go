package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// apply takes over what the master says of a user: messages, which are kept whatever
// follows, and then at once all that changed.
func (s *Server) apply(x grpc.ServerStream) error {
	if s.o.Master {
		return ErrRole
	}
	told := newTally(x)
	t := takeover{s: s, told: told, receiver: receiver{x: told, store: s.o.Store}}
	r, err := t.run(x.Context())
	if err != nil {
		return err
	}
	return x.SendMsg(r.frame())
}

// takeover is one Apply.
type takeover struct {
	s    *Server
	told *tally // what is received from
	receiver
	begin   begin
	head    bool // the image has come
	change  mailstore.Change
	records map[mailbox.ID]int // in change.Boxes
	came    handed
}

func (t *takeover) run(ctx context.Context) (r *result, err error) {
	if err := receiveKind(t.x, kindBegin, t.begin.parse); err != nil {
		return nil, err
	}
	if t.begin.account.Removed {
		return t.removal(ctx)
	}
	m, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Release()
	defer func() { err = errors.Join(err, t.close()) }()
	t.mail, t.records, t.came = m, map[mailbox.ID]int{}, handed{}
	for {
		f, err := receive(t.x)
		if errors.Is(err, io.EOF) { // no commit: more is to come another time
			return &result{outcome: staged}, t.flush(ctx)
		}
		if err != nil {
			return nil, errors.Join(err, t.keep(ctx))
		}
		if f.kind == kindCommit {
			if err := t.told.check(f); err != nil {
				return nil, err
			}
			return t.commit(ctx)
		}
		if err := t.take(ctx, f); err != nil {
			return nil, err
		}
	}
}

// keep stages the messages that came before the line broke.
func (t *takeover) keep(ctx context.Context) error {
	return t.flush(context.WithoutCancel(ctx))
}

// open opens the user's mail, made if he has none. It is asked for first: making mail
// ends all use of what there may be.
func (t *takeover) open(ctx context.Context) (*mailstore.Mail, error) {
	u, store := t.begin.account.ID, t.s.o.Store
	m, err := store.Acquire(ctx, u)
	if !errors.Is(err, mailstore.ErrNoUser) {
		return m, err
	}
	if err := store.CreateReplica(ctx, u); err != nil && !errors.Is(err, mailstore.ErrExists) {
		return nil, err
	}
	return store.Acquire(ctx, u)
}

// take takes one frame of what is to be applied.
func (t *takeover) take(ctx context.Context, f *frame) error {
	switch f.kind {
	case kindMessage:
		return t.messages(ctx, f)
	case kindImage:
		t.head = true
		return parse(f, kindImage, func(d *decoder) { t.change.Image = d.image() })
	case kindHanded:
		return parse(f, kindHanded, t.came.parse)
	case kindRest, kindBoxes:
		if !t.head {
			return fmt.Errorf("kind %d before the image: %w", f.kind, ErrWire)
		}
		return more(f, &t.change.Image)
	case kindRecords:
		var c mailstore.BoxChange
		if err := parse(f, kindRecords, func(d *decoder) { c = d.records() }); err != nil {
			return err
		}
		t.add(c)
		return nil
	}
	return fmt.Errorf("kind %d within an Apply: %w", f.kind, ErrWire)
}

// add joins the frames of one mailbox's records.
func (t *takeover) add(c mailstore.BoxChange) {
	i, found := t.records[c.ID]
	if !found {
		t.records[c.ID] = len(t.change.Boxes)
		t.change.Boxes = append(t.change.Boxes, c)
		return
	}
	b := &t.change.Boxes[i]
	b.Entries = append(b.Entries, c.Entries...)
	b.Whole = b.Whole || c.Whole
	b.Drop.AddSet(c.Drop)
}

// commit applies all that came. The account comes last, so that nobody logs in to mail
// that is not there.
func (t *takeover) commit(ctx context.Context) (*result, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	if t.head {
		byID := func(a, b mailstore.BoxImage) int { return cmp.Compare(a.ID, b.ID) }
		if !slices.IsSortedFunc(t.change.Image.Mailboxes, byID) {
			return nil, fmt.Errorf("mailboxes out of order: %w", ErrWire)
		}
		from, release, err := t.owners(ctx, t.came)
		if err != nil {
			return nil, err
		}
		defer release()
		if r, err := outcomeOf(t.mail.ApplyHanded(ctx, from, t.begin.expect, &t.change)); r != nil || err != nil {
			return r, err
		}
	}
	return &result{outcome: applied}, t.account(ctx)
}

// outcomeOf makes what the master can do something about a result.
func outcomeOf(err error) (*result, error) {
	var u *mailstore.Unequal
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, mailstore.ErrDiverged):
		return &result{outcome: diverged, text: err.Error()}, nil
	case errors.Is(err, mailstore.ErrLacking):
		return &result{outcome: lacking, text: err.Error()}, nil
	case errors.As(err, &u) && len(u.Mailboxes) == 0:
		return &result{outcome: changed, text: err.Error()}, nil
	case errors.As(err, &u):
		return &result{outcome: unequal, mailboxes: u.Mailboxes, text: err.Error()}, nil
	}
	return nil, err
}

// account takes over the account, if it is another.
func (t *takeover) account(ctx context.Context) error {
	now, err := t.s.o.Accounts.Entry(ctx, t.begin.account.ID)
	if err == nil && now == t.begin.account {
		return nil
	}
	if err != nil && !errors.Is(err, account.ErrNoAccount) {
		return err
	}
	if err := t.s.o.Accounts.Put(ctx, t.begin.account); err != nil {
		return err
	}
	if now.Hash != t.begin.account.Hash || now.Disabled != t.begin.account.Disabled {
		t.s.o.AccountChanged(t.begin.account.ID)
	}
	return nil
}

// removal removes the user if his mail is still what the master says.
func (t *takeover) removal(ctx context.Context) (*result, error) {
	u := t.begin.account.ID
	f, err := receive(t.x)
	if err != nil {
		return nil, err
	}
	if err := t.told.check(f); err != nil {
		return nil, err
	}
	h, err := t.s.stateOf(ctx, u)
	if err != nil {
		return nil, err
	}
	var here mailstore.Digest
	if h.mail {
		here = h.image.Digest()
	}
	if here != t.begin.expect {
		return &result{outcome: changed, text: "the mail of a removed user has changed"}, nil
	}
	if err := t.s.o.RemoveUser(ctx, t.begin.account); err != nil {
		return nil, err
	}
	return &result{outcome: applied}, nil
}
