package slot

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxies are the addresses whose connections begin with a header of the PROXY
// protocol, version 1 or 2 (haproxy's proxy-protocol.txt): it says who the client
// behind them is. Whoever else sends one speaks no IMAP or LMTP.
type proxies []netip.Prefix

// parseProxies reads addresses and networks.
func parseProxies(list []string) (proxies, error) {
	var out proxies
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); single == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %q is no address and no network such as \"10.0.0.0/8\"", ErrConfig, text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// has reports whether an address is one of a proxy.
func (p proxies) has(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, network := range p {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// behind makes listeners that know the clients behind the proxies.
func (p proxies) behind(all []net.Listener, log *slog.Logger) []net.Listener {
	if len(p) == 0 {
		return all
	}
	out := make([]net.Listener, len(all))
	for i, l := range all {
		out[i] = &proxiedListener{Listener: l, proxies: p, log: log}
	}
	return out
}

// listenToProxies puts the TCP listeners behind the configured proxies.
func (s *Slot) listenToProxies() error {
	imap, err := parseProxies(s.c.IMAP.Proxies)
	if err != nil {
		return fmt.Errorf("imap.proxies: %w", err)
	}
	lmtp, err := parseProxies(s.c.LMTP.Proxies)
	if err != nil {
		return fmt.Errorf("lmtp.proxies: %w", err)
	}
	s.imapPlain = imap.behind(s.imapPlain, s.o.Logger)
	s.imapTLS = imap.behind(s.imapTLS, s.o.Logger)
	s.lmtps = lmtp.behind(s.lmtps, s.o.Logger)
	return nil
}

// proxiedListener accepts connections of proxies and others.
type proxiedListener struct {
	net.Listener
	proxies proxies
	log     *slog.Logger
}

// proxyHeaderTime is how long a proxy may take for its header.
const proxyHeaderTime = 10 * time.Second

// Accept returns the next connection. A proxy's header is read by whoever uses
// the connection first, so that a slow one holds up no other.
func (l *proxiedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || !l.proxies.has(c.RemoteAddr()) {
		return c, err
	}
	return &proxied{log: l.log, Conn: proxyproto.NewConn(c, proxyproto.WithPolicy(proxyproto.REQUIRE),
		proxyproto.SetReadHeaderTimeout(proxyHeaderTime))}, nil
}

// proxied is a connection by way of a proxy. One without a right header is closed.
type proxied struct {
	*proxyproto.Conn
	once sync.Once
	log  *slog.Logger
}

func (c *proxied) header() {
	c.once.Do(func() {
		if c.ProxyHeader() != nil {
			return
		}
		_, err := c.Conn.Read(nil)
		c.log.Warn("a proxy's connection has no right PROXY header and is closed", "address", c.Raw().RemoteAddr().String(), "error", err)
		_ = c.Conn.Close() // nobody is there to be told
	})
}

// Read implements net.Conn.
func (c *proxied) Read(p []byte) (int, error) {
	c.header()
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *proxied) Write(p []byte) (int, error) {
	c.header()
	return c.Conn.Write(p)
}

// RemoteAddr is the client's address, or the proxy's own where it speaks for itself.
func (c *proxied) RemoteAddr() net.Addr {
	c.header()
	return c.Conn.RemoteAddr()
}
