package imapsource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"teraslot/cmd/internal/transfer"
)

// Server is a user's mail on an IMAP server.
type Server struct {
	at  address
	o   Options
	tls *tls.Config
}

// Open takes a URL, imaps://USER@HOST[:PORT]/ or imap://… for STARTTLS. It does not
// connect.
func Open(url string, o Options) (*Server, error) {
	at, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	config, err := o.config(at.name)
	if err != nil {
		return nil, err
	}
	return &Server{at: at, o: o, tls: config}, nil
}

// ErrPlaintext is returned instead of sending a password without TLS.
var ErrPlaintext = errors.New("the server offers no TLS, and the password would go over the line as it is")

// dialTimeout bounds making a connection and logging in.
const dialTimeout = 30 * time.Second

// dial connects and logs in.
func (s *Server) dial(ctx context.Context) (*imapclient.Client, *rev1Conn, error) {
	// The client's Dial functions know no context: connect first.
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", s.at.host)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	names, err := s.secure(conn)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", s.at.host, err), conn.Close())
	}
	c := imapclient.New(names, nil)
	if err = s.logIn(c); err == nil {
		_, err = c.Capability().Wait() // those of who is logged in
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: log in as %s: %w", s.at.host, s.at.user, err), c.Close())
	}
	return c, names, nil
}

// secure brings up TLS, unless none is wanted.
func (s *Server) secure(conn net.Conn) (*rev1Conn, error) {
	greeting := ""
	switch {
	case s.at.tls:
		t := tls.Client(conn, s.tls)
		err := t.SetDeadline(time.Now().Add(dialTimeout))
		if err == nil {
			err = t.Handshake()
		}
		if err = errors.Join(err, t.SetDeadline(time.Time{})); err != nil {
			return nil, err
		}
		conn = t
	case !s.o.Plaintext:
		var err error
		if conn, greeting, err = startTLS(conn, s.tls); err != nil {
			return nil, err
		}
	}
	return newRev1Conn(conn, greeting), nil
}

// logIn authenticates by PLAIN where the server has it, else by LOGIN.
func (s *Server) logIn(c *imapclient.Client) error {
	if err := c.WaitGreeting(); err != nil {
		return err
	}
	plain := c.Caps().Has(imap.AuthCap(sasl.Plain))
	switch {
	case s.o.Login != "":
		return c.Authenticate(sasl.NewPlainClient(s.at.user, s.o.Login, s.o.Password))
	case plain:
		return c.Authenticate(sasl.NewPlainClient("", s.at.user, s.o.Password))
	}
	return c.Login(s.at.user, s.o.Password).Wait()
}

// List asks for all mailboxes and subscriptions.
func (s *Server) List(ctx context.Context) (out transfer.List, err error) {
	c, names, err := s.dial(ctx)
	if err != nil {
		return out, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer func() {
		// What LOGOUT answers does not matter any more.
		_ = c.Logout().Wait()
		_ = c.Close()
	}()
	spaces, err := namespaces(c)
	if err != nil {
		return out, fmt.Errorf("NAMESPACE: %w", err)
	}
	extended := c.Caps().Has(imap.CapListExtended)
	var o *imap.ListOptions
	if extended && c.Caps().Has(imap.CapSpecialUse) {
		o = &imap.ListOptions{ReturnSpecialUse: true}
	}
	all, err := c.List("", "*", o).Collect()
	if err != nil {
		return out, fmt.Errorf("LIST: %w", err)
	}
	take(&out, all, spaces)
	subscribed, known, err := subscriptions(c, names, extended)
	if err != nil {
		return out, err
	}
	out.Known = known
	takeSubscribed(&out, subscribed, spaces)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names.unnamed()))) {
		out.Notices = append(out.Notices, fmt.Sprintf("%q: left out, its name is neither UTF-8 nor modified UTF-7; rename it there", name))
	}
	return out, nil
}

// namespaces asks for them; nil where the server has none.
func namespaces(c *imapclient.Client) (*imap.NamespaceData, error) {
	if !c.Caps().Has(imap.CapNamespace) {
		return nil, nil
	}
	return c.Namespace().Wait()
}

// subscriptions asks for what is subscribed, by itself: only so come names that are subscribed
// and no mailboxes (RFC 5258 §3.4). known is false where the server does not tell, which one
// that has nothing but IMAP4rev2 need not by LSUB.
func subscriptions(c *imapclient.Client, names *rev1Conn, extended bool) (list []*imap.ListData, known bool, err error) {
	names.lsub.Store(!extended)
	list, err = c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	var refused *imap.Error
	switch {
	case err == nil:
		return list, true, nil
	case !extended && errors.As(err, &refused):
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("listing subscriptions: %w", err)
}
