package slot

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a log that goroutines write and a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// v1 and v2 are headers as the protocol draws them, made by hand.
func v1(client string) string { return "PROXY TCP4 " + client + " 192.0.2.2 5555 143\r\n" }

func v2(client string) string {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11)
	b = binary.BigEndian.AppendUint16(b, 12)
	b = append(b, netip.MustParseAddr(client).AsSlice()...)
	b = append(b, 192, 0, 2, 2)
	b = binary.BigEndian.AppendUint16(b, 5555)
	return string(binary.BigEndian.AppendUint16(b, 143))
}

// local is what a proxy that looks whether the slot is well sends for itself.
const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// dial connects and sends text; what comes back ends with the connection.
func dial(t *testing.T, addr, text string) *bufio.Reader {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(c)
}

// until reads lines to one that begins so, or to the end.
func until(t *testing.T, r *bufio.Reader, start string) string {
	t.Helper()
	var said strings.Builder
	for {
		line, err := r.ReadString('\n')
		said.WriteString(line)
		if strings.HasPrefix(line, start) || err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the connection is open and says no more than %q", said.String())
			}
			return said.String()
		}
	}
}

const imapBehindProxy = "[imap]\nproxies = [\"127.0.0.1\"]\nlisten = [\"127.0.0.1:0\"]\nlisten_tls = [\"127.0.0.1:0\"]\n"

// The client behind a proxy is whom the proxy names, by both versions of the
// protocol, and before TLS.
func TestProxyNamesTheClient(t *testing.T) {
	log := new(lines)
	r := start(t, newConfig(t, imapBehindProxy+"allow_plain_login = true\n"), Options{Logger: log.logger()})
	for client, header := range map[string]string{"198.51.100.1": v1("198.51.100.1"), "198.51.100.2": v2("198.51.100.2"), "127.0.0.1": local} {
		said := until(t, dial(t, r.Addresses().IMAP[0], header+"a LOGIN anna wrong\r\n"), "a ")
		if !strings.HasPrefix(said, "* OK ") || !strings.Contains(said, "a NO [AUTHENTICATIONFAILED]") {
			t.Errorf("behind the proxy, %s hears %q", client, said)
		}
		if want := "address=" + client + " "; !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, log)
		}
	}
	c, err := net.Dial("tcp", r.Addresses().IMAPTLS[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, v2("198.51.100.4")); err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	if line, err := bufio.NewReader(secure).ReadString('\n'); !strings.HasPrefix(line, "* OK ") {
		t.Errorf("TLS by a proxy: %q, %v", line, err)
	}
}

// LMTP knows the client too: it stands in the Received field.
func TestProxyOfLMTP(t *testing.T) {
	r := start(t, newConfig(t, "[lmtp]\nlisten = [\"127.0.0.1:0\"]\nproxies = [\"10.0.0.0/8\", \"127.0.0.0/8\"]\n"), Options{})
	r.addUser("anna")
	said := until(t, dial(t, r.Addresses().LMTP[0], v1("198.51.100.3")+"LHLO there\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<anna@example.org>\r\nDATA\r\n"+
		"Subject: by proxy\r\n\r\ntext\r\n.\r\nQUIT\r\n"), "221 ")
	if r.hits("anna", "[198.51.100.3]") != 1 {
		t.Errorf("no trace of the client; LMTP said %q", said)
	}
}

// What is no right header from a proxy ends the connection before a command is read; a
// header from anybody else is no command, and names nobody.
func TestProxyOnlyFromConfiguredAddresses(t *testing.T) {
	log := new(lines)
	r := start(t, newConfig(t, imapBehindProxy), Options{Logger: log.logger()})
	for _, text := range []string{"a NOOP\r\n", "PROXY TCP4 198.51.100.5 192.0.2.2 x\r\na NOOP\r\n", v2("198.51.100.5")[:14] + "\xff\r\na NOOP\r\n",
		"PROXY " + strings.Repeat("x", 200) + "\r\na NOOP\r\n"} {
		if said := until(t, dial(t, r.Addresses().IMAP[0], text), "no line begins so"); said != "" {
			t.Errorf("after %q from a proxy: %q", text, said)
		}
	}
	if got := strings.Count(log.String(), "no right PROXY header"); got != 4 {
		t.Errorf("%d of 4 such connections in the log:\n%s", got, log)
	}

	direct := start(t, newConfig(t, strings.Replace(imapBehindProxy, "127.0.0.1", "10.0.0.1", 1)+"allow_plain_login = true\n"), Options{Logger: log.logger()})
	said := until(t, dial(t, direct.Addresses().IMAP[0], v1("198.51.100.6")+"b LOGIN anna wrong\r\n"), "b ")
	if !strings.Contains(said, " BAD ") || strings.Contains(log.String(), "198.51.100.6") {
		t.Errorf("a header of another's making is taken: %q\n%s", said, log)
	}
}

// That a proxy is near makes nobody behind it a neighbour who may log in without TLS.
func TestProxyIsNoNeighbour(t *testing.T) {
	r := start(t, newConfig(t, imapBehindProxy), Options{})
	if said := until(t, dial(t, r.Addresses().IMAP[0], v1("198.51.100.1")), "* "); !strings.Contains(said, "LOGINDISABLED") {
		t.Errorf("the greeting of a client behind a proxy: %q", said)
	}
}

// The limit for each address counts clients, not their proxy, and both limits are the configuration's.
func TestLimitsCountClientsBehindAProxy(t *testing.T) {
	r := start(t, newConfig(t, imapBehindProxy+"max_per_address = 2\nmax_per_user = 1\nallow_plain_login = true\n"), Options{})
	r.addUser("anna")
	login := func(header string) string {
		return until(t, dial(t, r.Addresses().IMAP[0], header+"a LOGIN anna secret\r\n"), "a ")
	}
	for _, x := range []struct{ client, want string }{
		{"198.51.100.1", "\na OK "}, {"198.51.100.1", "\na NO [LIMIT] "}, {"198.51.100.1", "* BYE [UNAVAILABLE] "}, {"198.51.100.2", "\na NO [LIMIT] "},
	} {
		if said := login(v1(x.client)); !strings.Contains(said, x.want) {
			t.Errorf("%s hears %q, not %q", x.client, said, x.want)
		}
	}
}

func TestProxiesOfConfiguration(t *testing.T) {
	for _, text := range []string{"10.0.0.0/33", "localhost", "", "10.0.0.1:25"} {
		if _, err := parseProxies([]string{text}); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", text, err)
		}
	}
	all, err := parseProxies([]string{"10.1.2.3/8", "2001:db8::1", "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"10.9.9.9": true, "11.0.0.1": false, "2001:db8::1": true, "2001:db8::2": false, "192.0.2.7": true,
		"192.0.2.8": false, "::ffff:10.0.0.1": true} {
		if got := all.has(&net.TCPAddr{IP: net.ParseIP(text)}); got != want {
			t.Errorf("%s is a proxy: %v", text, got)
		}
	}
	if all.has(&net.UnixAddr{Name: "/run/x"}) {
		t.Error("a Unix socket is a proxy")
	}
}
