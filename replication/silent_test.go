package replication

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"teraslot/mailbox"
)

// TestCallsWithoutAnswers: a call that ends well and without its answer is no user's fault, whichever it is.
func TestCallsWithoutAnswers(t *testing.T) {
	id := identities(t)
	a := newNode(t, "a", id)
	u := a.user("anna")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	welcome := welcome{version: newestVersion, slot: "slot-b"}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(id("b").server([]string{"a"}))), grpc.ForceServerCodecV2(codec{}),
		grpc.UnknownServiceHandler(func(_ any, x grpc.ServerStream) error {
			if name, _ := grpc.MethodFromServerStream(x); name == "/"+serviceName+"/"+callHello {
				return x.SendMsg(welcome.frame())
			}
			return nil
		}))
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		must(t, <-done)
	})
	c := a.clientAt("b", l.Addr().String())
	entry, err := a.accounts.Entry(t.Context(), u)
	must(t, err)
	s := &sync1{c: c, user: u, account: entry}
	for name, call := range map[string]func() error{
		"sync":  func() error { _, err := c.Sync(t.Context(), u); return err },
		"state": func() error { _, err := c.state(t.Context(), u); return err },
		"offer": func() error { _, err := c.offer(t.Context(), u, []mailbox.GUID{{1}}); return err },
		"apply": func() error { _, err := s.write(t.Context(), nil, nil); return err },
	} {
		if err := call(); !Unreachable(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
