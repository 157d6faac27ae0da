package replication

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// ErrRole: a master takes over nothing from others.
var ErrRole = errors.New("this slot is the master")

// ServerOptions say what a Server serves. All but Master, Logger and the functions are
// needed.
type ServerOptions struct {
	Store     *mailstore.Store
	Accounts  *account.Accounts
	StoreName string // the slots of a store have one
	Slot      string // mailstore.Options.Slot
	Identity  *Identity
	Peers     []string // names in the certificates of those who may ask
	// Master says that this slot is the master: it tells, and takes nothing over.
	Master bool
	// RemoveUser removes a user's mail, index and account. Nil: mail and account.
	RemoveUser func(ctx context.Context, e account.Entry) error
	// AccountChanged is told of a user whose account has changed, after that.
	AccountChanged func(mailbox.User)
	Logger         *slog.Logger // nil: slog.Default()
}

// Server is the replica's side: it takes over what the master says, and tells what it
// has. The master has one as well, for who asks it.
type Server struct {
	o ServerOptions
}

// NewServer returns a Server.
func NewServer(o ServerOptions) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{o: o}
	if o.RemoveUser == nil {
		s.o.RemoveUser = s.removeUser
	}
	if o.AccountChanged == nil {
		s.o.AccountChanged = func(mailbox.User) {}
	}
	return s
}

// Bounds of a connection. A peer that is silent for pingEvery is asked whether it is there,
// and given up pingWait later: a line that is cut without a word holds nobody for longer.
const (
	maxStreams = 64
	pingEvery  = 15 * time.Second
	pingWait   = 10 * time.Second
	stopGrace  = 5 * time.Second
)

// Serve answers peers until ctx ends, and then lets calls in flight end for some
// seconds. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.o.Identity.server(s.o.Peers))),
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(maxFrame), grpc.MaxSendMsgSize(maxFrame), grpc.MaxConcurrentStreams(maxStreams),
		grpc.InitialWindowSize(4<<20), grpc.InitialConnWindowSize(8<<20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingEvery / 2, PermitWithoutStream: true}),
	)
	g.RegisterService(description(), s)
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.AfterFunc(stopGrace, g.Stop)
	defer timer.Stop()
	g.GracefulStop()
	return <-done
}

func (s *Server) hello(x grpc.ServerStream) error {
	var h hello
	if err := receiveKind(x, kindHello, h.parse); err != nil {
		return err
	}
	version, err := agree(h.oldest, h.newest)
	if err != nil {
		return err
	}
	if h.store != s.o.StoreName {
		return storeError(s.o.StoreName, h.store)
	}
	w := welcome{version: version, slot: s.o.Slot, master: s.o.Master}
	return x.SendMsg(w.frame())
}

// state tells what there is of a user.
func (s *Server) state(x grpc.ServerStream) error {
	var u mailbox.User
	if err := receiveKind(x, kindUser, func(d *decoder) { u = d.user() }); err != nil {
		return err
	}
	h, err := s.stateOf(x.Context(), u)
	if err != nil {
		return err
	}
	return sendAll(x, append([]*frame{h.frame()}, imageFrames(&h.image)...))
}

func (s *Server) stateOf(ctx context.Context, u mailbox.User) (h stateHead, err error) {
	h.account, err = s.o.Accounts.Entry(ctx, u)
	if h.known = err == nil; err != nil && !errors.Is(err, account.ErrNoAccount) {
		return h, err
	}
	m, err := s.o.Store.Acquire(ctx, u)
	if errors.Is(err, mailstore.ErrNoUser) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	defer m.Release()
	h.mail = true
	h.image, err = m.Image(ctx)
	return h, err
}

// with runs fn on the mail of a user, which must be there.
func (s *Server) with(ctx context.Context, u mailbox.User, fn func(*mailstore.Mail) error) error {
	m, err := s.o.Store.Acquire(ctx, u)
	if err != nil {
		return err
	}
	defer m.Release()
	return fn(m)
}

// offer tells which of the messages offered are missing.
func (s *Server) offer(x grpc.ServerStream) error {
	u, guids, err := receiveOffer(x)
	if err != nil {
		return err
	}
	out := guids
	err = s.with(x.Context(), u, func(m *mailstore.Mail) (err error) {
		out, err = m.Lacks(x.Context(), guids)
		return err
	})
	if err != nil && !errors.Is(err, mailstore.ErrNoUser) { // who has no mail lacks all
		return err
	}
	return x.SendMsg(guidsFrame(kindLacking, u, out))
}

func receiveOffer(x exchange) (u mailbox.User, guids []mailbox.GUID, err error) {
	err = receiveKind(x, kindOffer, func(d *decoder) { u, guids = d.user(), d.guids() })
	return u, guids, err
}

// records tells all records of a mailbox.
func (s *Server) records(x grpc.ServerStream) error {
	return s.tellRecords(x, (*mailstore.Mail).Entries)
}

// sound tells the records of a mailbox that are not damaged.
func (s *Server) sound(x grpc.ServerStream) error {
	return s.tellRecords(x, (*mailstore.Mail).SoundEntries)
}

func (s *Server) tellRecords(x grpc.ServerStream, read func(*mailstore.Mail, context.Context, mailbox.ID) ([]mailstore.Entry, error)) error {
	var u mailbox.User
	c := mailstore.BoxChange{Whole: true}
	if err := receiveKind(x, kindMailbox, func(d *decoder) { u, c.ID = d.user(), d.mailbox() }); err != nil {
		return err
	}
	err := s.with(x.Context(), u, func(m *mailstore.Mail) (err error) {
		c.Entries, err = read(m, x.Context(), c.ID)
		return err
	})
	if err != nil {
		return err
	}
	return sendRecords(x, &c)
}

// fetch sends messages; one that is damaged or not there is named instead.
func (s *Server) fetch(x grpc.ServerStream) error {
	u, guids, err := receiveOffer(x)
	if err != nil {
		return err
	}
	return s.with(x.Context(), u, func(m *mailstore.Mail) error {
		for _, g := range guids {
			h := messageHead{guid: g, mailbox: noMailbox}
			err := sendMessage(x.Context(), x, m, &h)
			if cause := unsendable(err); cause != "" {
				var e encoder
				e.bytes(g[:])
				e.string(cause)
				err = x.SendMsg(&frame{kindNone, e.b})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// digests tells the digests of all users.
func (s *Server) digests(x grpc.ServerStream) error {
	var e encoder
	err := eachDigest(x.Context(), s.o.Store, s.o.Accounts, func(one *userDigest) error {
		e.digest(one)
		if len(e.b) < partSize {
			return nil
		}
		f := &frame{kindDigest, e.b}
		e = encoder{}
		return x.SendMsg(f)
	})
	if err != nil {
		return err
	}
	return x.SendMsg(&frame{kindDigest, e.b})
}

// eachDigest calls fn with the digests of each user, by id. Mail that cannot be read has
// a digest that nobody else's has.
func eachDigest(ctx context.Context, store *mailstore.Store, accounts *account.Accounts, fn func(*userDigest) error) error {
	entries, err := accounts.Entries(ctx)
	if err != nil {
		return err
	}
	for i := range entries {
		one := userDigest{user: entries[i].ID, account: entries[i].Digest()}
		m, err := store.Acquire(ctx, one.user)
		if err == nil {
			var image mailstore.Image
			image, err = m.Image(ctx)
			m.Release()
			one.mail = image.Digest()
		}
		switch {
		case errors.Is(err, mailstore.ErrNoUser):
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			one.mail = unreadable(one.user)
		}
		if err := fn(&one); err != nil {
			return err
		}
	}
	return nil
}

// check verifies a user's mail and tells what is wrong.
func (s *Server) check(x grpc.ServerStream) error {
	var u mailbox.User
	if err := receiveKind(x, kindCheck, func(d *decoder) { u = d.user() }); err != nil {
		return err
	}
	var failed error
	err := s.o.Store.Verify(x.Context(), u, func(f mailstore.Finding) {
		if failed == nil {
			var e encoder
			e.string(f.String())
			failed = x.SendMsg(&frame{kindFinding, e.b})
		}
	})
	return errors.Join(err, failed)
}

// removeUser removes mail and account.
func (s *Server) removeUser(ctx context.Context, e account.Entry) error {
	if err := s.o.Store.RemoveUser(ctx, e.ID); err != nil {
		return err
	}
	return s.o.Accounts.Put(ctx, e)
}

// ended makes the end of what the other says no error.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
