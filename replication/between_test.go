package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// mischief is what somebody between two slots does to one frame of one call.
type mischief int

const (
	dropped mischief = iota
	doubled
	delayed // behind the next
	shortened
	lengthened
	cutOff  // as if that had been all
	refused // the call fails
	anothers
	mischiefs
)

var mischiefNames = [...]string{"dropped", "doubled", "delayed", "shortened", "lengthened", "cut off", "refused", "another's"}

// between stands between two slots, and does something to one frame of what passes.
type between struct {
	to *grpc.ClientConn

	mu      sync.Mutex
	rng     *rand.Rand     // guarded by mu
	call    string         // guarded by mu: the name of that which is meant; "": none
	up      bool           // guarded by mu: its questions, not its answers
	frame   int            // guarded by mu
	what    mischief       // guarded by mu
	seen    []*frame       // guarded by mu: frames of before
	counted map[string]int // guarded by mu: what was done
}

// newBetween stands before b, under its name; from is who connects to it.
func newBetween(t *testing.T, id func(string) *Identity, b *node, from *Client, rng *rand.Rand) (m *between, address string) {
	t.Helper()
	o := from.o
	o.Address = b.address
	to, err := connect(&o)
	must(t, err)
	m = &between{to: to, rng: rng, counted: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(id("b").server([]string{"a"}))), grpc.ForceServerCodecV2(codec{}), grpc.UnknownServiceHandler(m.pass))
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		must(t, errors.Join(<-done, to.Close()))
	})
	return m, l.Addr().String()
}

// arm draws what is done next.
func (m *between) arm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.call = []string{callApply, callApply, callApply, callState, callOffer, callRecords}[m.rng.IntN(6)]
	m.up, m.frame, m.what = m.rng.IntN(4) > 0, m.rng.IntN(4), mischief(m.rng.IntN(int(mischiefs)))
}

// disarm lets all pass.
func (m *between) disarm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.call = ""
}

// pass carries one call.
func (m *between) pass(_ any, x grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(x)
	md, _ := metadata.FromIncomingContext(x.Context())
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(x.Context(), md))
	defer cancel()
	y, err := m.to.NewStream(ctx, &grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true}, name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	mine := name == "/"+serviceName+"/"+m.call
	m.mu.Unlock()
	var asking sync.WaitGroup
	asking.Go(func() {
		if err := m.carry(y, x, mine, true); err != nil && !errors.Is(err, io.EOF) {
			cancel()
			return
		}
		_ = y.CloseSend()
	})
	err = m.carry(x, y, mine, false)
	cancel()
	return err
}

// carry carries the frames of one direction.
func (m *between) carry(to, from exchange, mine, up bool) error {
	var late *frame
	for n := 0; ; n++ {
		f, err := receive(from)
		if err != nil {
			if late != nil && errors.Is(err, io.EOF) {
				err = to.SendMsg(late)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		out, end, err := m.treat(f, mine, up, n)
		if err != nil {
			return err
		}
		if out == nil { // it comes behind the next
			late = f
			continue
		}
		if late != nil {
			out, late = append(out, late), nil
		}
		if err := sendAll(to, out); err != nil || end {
			return err
		}
	}
}

// treat does to a frame what is due. No frames: it is delayed.
func (m *between) treat(f *frame, mine, up bool, n int) (out []*frame, end bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.seen = append(m.seen, f) }()
	if !mine || up != m.up || n != m.frame {
		return []*frame{f}, false, nil
	}
	m.counted[mischiefNames[m.what]]++
	switch m.what {
	case dropped:
		return []*frame{}, false, nil
	case doubled:
		return []*frame{f, f}, false, nil
	case delayed:
		return nil, false, nil
	case shortened:
		return []*frame{{f.kind, f.body[:m.rng.IntN(len(f.body)+1)]}}, false, nil
	case lengthened:
		return []*frame{{f.kind, append(f.body[:len(f.body):len(f.body)], byte(m.rng.IntN(256)))}}, false, nil
	case cutOff:
		return []*frame{}, true, nil
	case refused:
		return nil, false, status.Error(codes.Code(1+m.rng.IntN(16)), "mischief")
	}
	return []*frame{m.seen[m.rng.IntN(len(m.seen))]}, false, nil
}

// TestAnythingBetween: whatever becomes of one frame between master and replica, the master's mail is as it
// was, the replica's as the master's is or was, and both are whole; the next sync makes them equal.
func TestAnythingBetween(t *testing.T) {
	count, seed := 60, 1
	for name, n := range map[string]*int{"COUNT": &count, "SEED": &seed} {
		if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
			*n = v
		}
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	id := identities(t)
	a, b := newNode(t, "a", id), newNode(t, "b", id)
	b.serve(false, "a")
	m, address := newBetween(t, id, b, a.client(b), rng)
	c := a.clientAt("b", address)
	u := a.user("anna")
	m.disarm()
	a.sync(c, u)
	was := map[string]bool{mailOf(a, u): true}
	failed := 0
	for n := range count {
		a.live(u, rng, n)
		before := mailOf(a, u)
		was[before] = true
		if rng.IntN(2) == 0 {
			c.forget(u)
		}
		m.arm()
		if _, err := c.Sync(t.Context(), u); err != nil {
			failed++
		}
		if now := mailOf(a, u); now != before {
			t.Fatalf("seed %d, round %d, %s: the master's mail changed:\n%s\n---\n%s", seed, n, mischiefNames[m.what], before, now)
		}
		if now := mailOf(b, u); !was[now] {
			t.Fatalf("seed %d, round %d, %s: the replica's mail is what the master's never was:\n%s\n---\n%s", seed, n, mischiefNames[m.what], before, now)
		}
		if n%4 == 3 {
			m.disarm()
			a.sync(c, u)
			same(t, u, a, b)
		}
	}
	t.Logf("proof: seed %d: %d syncs with somebody between the slots, %d of them failed; frames: %v", seed, count, failed, m.counted)
}

// mailOf is all that clients can tell of a user's mail, without his account.
func mailOf(n *node, u mailbox.User) string {
	_, mail, _ := strings.Cut(n.seen(u), "\n")
	return mail
}

// live changes a user's mail as clients and deliveries do.
func (n *node) live(u mailbox.User, rng *rand.Rand, round int) {
	n.t.Helper()
	for i := range rng.IntN(4) {
		n.deliver(u, "INBOX", letter(round*10+i))
	}
	if rng.IntN(10) == 0 {
		n.deliver(u, "Archive", letter(round*10+9)+strings.Repeat("all work and no play\r\n", rng.IntN(20_000)))
	}
	ctx := context.Background()
	n.mail(u, func(m *mailstore.Mail) error {
		inbox, err := m.MailboxNamed(ctx, "INBOX")
		if err != nil {
			return err
		}
		name, some := fmt.Sprintf("box %d", rng.IntN(5)), mailbox.UIDRange(mailbox.UID(1+rng.IntN(60)), mailbox.UID(1+rng.IntN(90)))
		switch rng.IntN(6) {
		case 0:
			_, err = m.StoreFlags(ctx, "", inbox.ID, some, mailstore.AddFlags, mailbox.MakeFlags(`\Deleted`, "Work"), nil)
		case 1:
			_, _, err = m.Expunge(ctx, "", inbox.ID, nil)
		case 2:
			if st, found := m.MailboxNamed(ctx, name); found == nil {
				err = m.Delete(ctx, "", st.ID)
			} else {
				_, err = m.Create(ctx, "", name, "")
			}
		case 3:
			err = m.Subscribe(ctx, "", name, rng.IntN(2) == 0)
		case 4:
			if err = m.Rename(ctx, "", name, name+"x"); err != nil {
				err = nil // there is none
			}
		}
		return err
	})
}
