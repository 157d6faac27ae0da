package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// ClientOptions say whose users are brought to which replica. All but Logger and Remember
// are needed.
type ClientOptions struct {
	Store     *mailstore.Store
	Accounts  *account.Accounts
	StoreName string
	Slot      string
	Identity  *Identity
	Name      string // in the peer's certificate
	Address   string // host:port
	// Remember is for how many users what the replica has is kept in memory, some 200
	// octets for each mailbox; 0: 4096.
	Remember int
	Logger   *slog.Logger // nil: slog.Default()
}

// Client is the master's side of one replica. Its methods may be called from any
// goroutine, for one user by one at a time.
type Client struct {
	o    ClientOptions
	conn *grpc.ClientConn
	// another holds a token when another slot than before has answered under the name.
	another chan struct{}

	mu    sync.Mutex
	slot  string                       // guarded by mu: of the peer, after the last Hello
	peer  *welcome                     // guarded by mu; nil: Hello is due
	known map[mailbox.User]*remembered // guarded by mu: what the replica had after the last sync
}

// lastRedial is the longest pause between two tries to connect.
const lastRedial = 2 * time.Second

// NewClient returns a client, which connects when it is first used.
func NewClient(o ClientOptions) (*Client, error) {
	if o.Remember <= 0 {
		o.Remember = 4096
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	conn, err := connect(&o)
	if err != nil {
		return nil, fmt.Errorf("replica %s: %w", o.Name, err)
	}
	return &Client{o: o, conn: conn, another: make(chan struct{}, 1), known: map[mailbox.User]*remembered{}}, nil
}

// connect makes the connection. A call of which something was sent is never begun anew below us: gRPC
// would repeat what it had taken until the line broke, and end it as if that had been all.
func connect(o *ClientOptions, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	retry := backoff.DefaultConfig
	retry.BaseDelay, retry.MaxDelay = 100*time.Millisecond, lastRedial
	return grpc.NewClient("passthrough:///"+o.Address, append(more,
		grpc.WithTransportCredentials(credentials.NewTLS(o.Identity.client(o.Name))),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxFrame), grpc.MaxCallSendMsgSize(maxFrame), grpc.MaxRetryRPCBufferSize(0)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: pingWait}),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(8<<20), grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingWait}),
	)...)
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// call is one call in flight.
type call struct {
	grpc.ClientStream
	end func()
}

// dial begins a call; end it.
func (c *Client) dial(ctx context.Context, name string) (*call, error) {
	if name != callHello {
		w, err := c.greet(ctx)
		if err != nil {
			return nil, err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, keyStore, c.o.StoreName, keyVersion, strconv.FormatUint(w.version, 10))
	}
	ctx, end := context.WithCancel(ctx)
	x, err := c.conn.NewStream(ctx, &grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true}, "/"+serviceName+"/"+name)
	if err != nil {
		end()
		return nil, c.failed(err)
	}
	return &call{x, end}, nil
}

// wrap names the replica in an error.
func (c *Client) wrap(err error) error { return fmt.Errorf("replica %s: %w", c.o.Name, err) }

// greet asks, once after each trouble with the line, who the peer is and which version both speak.
func (c *Client) greet(ctx context.Context) (*welcome, error) {
	c.mu.Lock()
	w := c.peer
	c.mu.Unlock()
	if w != nil {
		return w, nil
	}
	return c.hello(ctx)
}

// hello asks who the peer is and which version both speak.
func (c *Client) hello(ctx context.Context) (*welcome, error) {
	h := hello{oldestVersion, newestVersion, c.o.StoreName, c.o.Slot}
	w := new(welcome)
	err := c.ask(ctx, callHello, h.frame(), func(x *call) error { return receiveKind(x, kindWelcome, w.parse) })
	switch {
	case err != nil:
		return nil, err
	case w.version < oldestVersion || w.version > newestVersion:
		return nil, c.wrap(fmt.Errorf("it wants to speak version %d: %w", w.version, ErrWire))
	case w.slot == c.o.Slot:
		return nil, c.wrap(fmt.Errorf("it is this very slot: %w", ErrPeer))
	}
	c.mu.Lock()
	if c.slot != w.slot { // nothing is known of it
		clear(c.known)
		if c.slot != "" {
			wake(c.another)
		}
	}
	c.peer, c.slot = w, w.slot
	c.mu.Unlock()
	return w, nil
}

// ask sends one frame, or more, and reads what comes of it.
func (c *Client) ask(ctx context.Context, name string, question *frame, answer func(x *call) error, more ...*frame) error {
	x, err := c.dial(ctx, name)
	if err != nil {
		return err
	}
	defer x.end()
	// What cannot be sent shows when the answer is read.
	if err := sendAll(x, append([]*frame{question}, more...)); err != nil && !errors.Is(err, io.EOF) {
		return c.wrap(err)
	}
	if err := x.CloseSend(); err != nil {
		return c.wrap(err)
	}
	if err := answer(x); err != nil {
		return c.failed(err)
	}
	return nil
}

// failed is for the errors of calls. After a line broke another may answer. A call that
// ends well without the answer that is due has lost it with the line: every call of a
// Server answers, or says what is wrong.
func (c *Client) failed(err error) error {
	if errors.Is(err, io.EOF) {
		err = status.Error(codes.Unavailable, "the call ended without an answer")
	}
	if Unreachable(err) {
		c.mu.Lock()
		c.peer = nil
		c.mu.Unlock()
	}
	return c.wrap(err)
}

// Unreachable reports whether an error is of the line or the whole peer, and of no user.
func Unreachable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Unauthenticated, codes.PermissionDenied, codes.FailedPrecondition:
		return true
	}
	return false
}

// state asks what the replica has of a user.
func (c *Client) state(ctx context.Context, u mailbox.User) (h stateHead, err error) {
	err = c.ask(ctx, callState, userFrame(u), func(x *call) error {
		if err := receiveKind(x, kindState, h.parse); err != nil {
			return err
		}
		for {
			f, err := receive(x)
			if err != nil {
				return ended(err)
			}
			if err := more(f, &h.image); err != nil {
				return err
			}
		}
	})
	return h, err
}

// records asks for all records of a mailbox, by callRecords, or for those that are not
// damaged, by callSound.
func (c *Client) records(ctx context.Context, which string, u mailbox.User, id mailbox.ID) (out []mailstore.Entry, err error) {
	var e encoder
	e.string(string(u), string(id))
	err = c.ask(ctx, which, &frame{kindMailbox, e.b}, func(x *call) error {
		for {
			err := receiveKind(x, kindRecords, func(d *decoder) { out = append(out, d.records().Entries...) })
			if err != nil {
				return ended(err)
			}
		}
	})
	return out, err
}

// maxOffer is how many messages are offered at once.
const maxOffer = 8192

// offer asks which messages of a user are missing.
func (c *Client) offer(ctx context.Context, u mailbox.User, guids []mailbox.GUID) (out []mailbox.GUID, err error) {
	err = c.ask(ctx, callOffer, guidsFrame(kindOffer, u, guids), func(x *call) error {
		return receiveKind(x, kindLacking, func(d *decoder) {
			d.user()
			out = d.guids()
		})
	})
	return out, err
}

// digests asks for the digests of all users.
func (c *Client) digests(ctx context.Context) (map[mailbox.User]userDigest, error) {
	out := map[mailbox.User]userDigest{}
	err := c.ask(ctx, callDigests, &frame{kind: kindDigest}, func(x *call) error {
		for {
			err := receiveKind(x, kindDigest, func(d *decoder) {
				for _, one := range d.digests() {
					out[one.user] = one
				}
			})
			if err != nil {
				return ended(err)
			}
		}
	})
	return out, err
}

// check makes the replica verify a user's mail.
func (c *Client) check(ctx context.Context, u mailbox.User, report func(string)) error {
	f := userFrame(u)
	f.kind = kindCheck
	return c.ask(ctx, callCheck, f, func(x *call) error {
		for {
			err := receiveKind(x, kindFinding, func(d *decoder) { report(d.string()) })
			if err != nil {
				return ended(err)
			}
		}
	})
}

// remembered is a user as the replica has him.
type remembered struct {
	account account.Entry
	image   mailstore.Image
}

// recall returns what the replica had after the last sync; nil if that is not known.
func (c *Client) recall(u mailbox.User) *remembered {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[u]
}

// remember keeps what the replica has.
func (c *Client) remember(u mailbox.User, r *remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, u)
	for other := range c.known { // any will do: who is missed costs one question
		if len(c.known) < c.o.Remember {
			break
		}
		delete(c.known, other)
	}
	c.known[u] = r
}

// forget makes the next sync of a user ask what the replica has.
func (c *Client) forget(u mailbox.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, u)
}
