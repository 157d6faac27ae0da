package replication

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// TestVersionsAreNegotiated: the newest version that both speak is spoken. Who speaks none of ours is told
// which there are, by whichever side finds it, and nothing else is answered to him.
func TestVersionsAreNegotiated(t *testing.T) {
	for _, v := range []struct{ oldest, newest, want uint64 }{
		{newestVersion, newestVersion, newestVersion},
		{1, newestVersion, newestVersion},
		{oldestVersion, newestVersion + 7, newestVersion},
		{1, oldestVersion, oldestVersion},
		{1, oldestVersion - 1, 0},
		{newestVersion + 1, newestVersion + 7, 0},
		{newestVersion, oldestVersion - 1, 0},
	} {
		if got, err := agree(v.oldest, v.newest); got != v.want || (err == nil) != (v.want > 0) {
			t.Errorf("%d to %d: %d, %v, want %d", v.oldest, v.newest, got, err, v.want)
		}
	}
	a, _, c := pair(t)
	old := hello{1, oldestVersion - 1, "s1", "slot-a"}
	err := c.ask(t.Context(), callHello, old.frame(), func(x *call) error { return receiveKind(x, kindWelcome, new(welcome).parse) })
	want := fmt.Sprintf("versions %d to %d are spoken here, not 1 to %d", oldestVersion, newestVersion, oldestVersion-1)
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), want) {
		t.Errorf("an old master: %v, want %q", err, want)
	}
	for _, spoken := range []uint64{oldestVersion - 1, newestVersion + 1} { // an old replica that has not heard which
		c.peer = &welcome{version: spoken}
		_, err = c.state(t.Context(), a.user(fmt.Sprintf("user%d", spoken)))
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), fmt.Sprintf("%q is not spoken here", fmt.Sprint(spoken))) {
			t.Errorf("version %d: %v", spoken, err)
		}
	}
}

// TestTooLongMessagesAreRefused: a message of more than maxFrame is refused by its length, and its user stays what he was.
func TestTooLongMessagesAreRefused(t *testing.T) {
	a, b, _ := pair(t)
	u := a.user("anna")
	entry, err := a.accounts.Entry(t.Context(), u)
	must(t, err)
	o := ClientOptions{Identity: a.identity, Name: b.name, Address: b.address}
	conn, err := connect(&o, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{})))
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	c := &Client{o: ClientOptions{StoreName: "s1", Name: "b"}, conn: conn, peer: &welcome{version: newestVersion}}
	for _, size := range []int{maxFrame, maxFrame + 1} {
		x, err := c.dial(t.Context(), callApply)
		must(t, err)
		must(t, x.SendMsg((&begin{account: entry}).frame()))
		// One octet of a frame is its kind.
		err = x.SendMsg(&frame{kindMessage, make([]byte, size-1)})
		if size > maxFrame {
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("a frame of %d octets is sent: %v", size, err)
			}
		} else if err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("a frame of %d octets is not sent: %v", size, err)
		}
		x.end()
	}
	raw, err := grpc.NewClient("passthrough:///"+b.address, grpc.WithTransportCredentials(credentials.NewTLS(a.identity.client(b.name))),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallSendMsgSize(4*maxFrame)))
	must(t, err)
	defer func() { must(t, raw.Close()) }()
	c.conn = raw // one that bounds nothing
	x, err := c.dial(t.Context(), callApply)
	must(t, err)
	defer x.end()
	if err := sendAll(x, []*frame{(&begin{account: entry}).frame(), {kindMessage, make([]byte, maxFrame)}}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := receive(x); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), fmt.Sprintf("%d vs. %d", maxFrame+1, maxFrame)) {
		t.Errorf("a frame that is too long was taken: %v", err)
	}
	users, err := b.accounts.Entries(t.Context())
	if err != nil || len(users) != 0 {
		t.Errorf("accounts of the replica: %v, %v", users, err)
	}
}

// TestWhoShowsNothingIsRefused: a peer without a certificate, or of an older TLS, gets nothing at all.
func TestWhoShowsNothingIsRefused(t *testing.T) {
	a, b, c := pair(t)
	u := a.user("anna")
	a.sync(c, u)
	known := a.identity.client(b.name)
	nobody, older := known.Clone(), known.Clone()
	nobody.Certificates = nil
	older.MinVersion, older.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, config := range map[string]*tls.Config{"no certificate": nobody, "TLS 1.2": older} {
		config.NextProtos = []string{"h2"}
		conn, err := tls.Dial("tcp", b.address, config)
		if err != nil {
			continue
		}
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		// Under TLS 1.3 who has connected hears only when he reads that he is nobody.
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %d octets, %v", name, n, err)
		}
		must(t, conn.Close())
	}
	a.deliver(u, "INBOX", letter(1))
	a.sync(c, u) // the others are served still
	same(t, u, a, b)
}
