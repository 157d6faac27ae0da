package imapd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"teraslot/account"
	"teraslot/imapd/wire"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
)

func TestNetwork(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.7:1", "192.0.2.7/32"},
		{"[::ffff:192.0.2.7]:1", "192.0.2.7/32"},
		{"[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:1", "fe80::/64"},
	} {
		ap := netip.MustParseAddrPort(c.addr)
		if got := network(net.TCPAddrFromAddrPort(ap)); got.String() != c.want {
			t.Errorf("network(%s) = %v", c.addr, got)
		}
	}
	if got := network(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("network of a socket = %v", got)
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	var a admission
	l := Limits{}.withDefaults()
	from := netip.MustParsePrefix("192.0.2.7/32")
	now := time.Unix(1_700_000_000, 0)
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 16, 16} {
		if got := a.failed(from, now, &l); got != want*time.Second {
			t.Errorf("failure %d waits %v", i+1, got)
		}
	}
	if got := a.failed(netip.MustParsePrefix("192.0.2.8/32"), now, &l); got != time.Second {
		t.Errorf("another address waits %v", got)
	}
	if got := a.failed(from, now.Add(forgetFailures+time.Second), &l); got != time.Second {
		t.Errorf("much later it waits %v", got)
	}
	for i := range 2 * rememberFailures {
		a.failed(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now, &l)
	}
	if len(a.failures) > rememberFailures {
		t.Errorf("%d addresses are remembered", len(a.failures))
	}
}

func TestAdmissionGivesPlacesBack(t *testing.T) {
	var a admission
	l := Limits{Connections: 2, PerAddress: 1, PerUser: 1}.withDefaults()
	one, two := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	if !a.enter(one, &l) || a.enter(one, &l) || !a.enter(two, &l) || a.enter(netip.Prefix{}, &l) {
		t.Error("limits are not as set")
	}
	a.leave(one)
	if !a.enter(one, &l) {
		t.Error("a place was not given back")
	}
	if !a.login("u", &l) || a.login("u", &l) || !a.login("v", &l) {
		t.Error("limits of users are not as set")
	}
	a.logout("u")
	if !a.login("u", &l) {
		t.Error("a user's place was not given back")
	}
	a.leave(one)
	a.leave(two)
	a.logout("u")
	a.logout("v")
	if len(a.addresses)+len(a.users)+a.total != 0 {
		t.Errorf("left over: %+v", &a)
	}
}

// Deadlines follow the phase: a message may take for ever as long as it comes,
// a command may not.
func TestConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		var dripping sync.WaitGroup
		defer dripping.Wait()
		defer client.Close()
		defer server.Close()
		l := Limits{Command: time.Minute, Stall: 10 * time.Second}.withDefaults()
		c := newConn(server, &l)
		dripping.Go(func() {
			for range 30 {
				<-time.After(9 * time.Second)
				if _, err := client.Write([]byte("x")); err != nil {
					return
				}
			}
		})
		var b [1]byte
		c.await(time.Now().Add(l.Idle))
		start := time.Now()
		n := 0
		for {
			if _, err := c.Read(b[:]); err != nil {
				break
			}
			n++
		}
		if d := time.Since(start); d != 9*time.Second+time.Minute || n != 7 {
			t.Errorf("a dripped command was cut after %v and %d octets", d, n)
		}
		c.message()
		for range 20 {
			if _, err := c.Read(b[:]); err != nil {
				t.Fatalf("a message that comes was cut: %v", err)
			}
		}
	})
}

func TestInterruptWakesOnlyWaiting(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	l := Limits{}.withDefaults()
	c := newConn(server, &l)
	c.message()
	c.interrupt()
	go client.Write([]byte("x"))
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil {
		t.Errorf("a message was interrupted: %v", err)
	}
	c.await(time.Now().Add(time.Minute))
	if _, err := c.Read(b[:]); !errors.Is(err, errStopping) {
		t.Errorf("the wait for a command was not interrupted: %v", err)
	}
	server.Close()
}

func TestRefuse(t *testing.T) {
	damage := &mailstore.Damage{User: "u", Pack: 1, Err: io.ErrUnexpectedEOF}
	for _, c := range []struct {
		err      error
		want     string
		expected bool
	}{
		{no(imap.ResponseCodeCannot, "x"), "NO [CANNOT] x", true},
		{bad("y"), "BAD [] y", true},
		{&wire.SyntaxError{Command: "APPEND", Pos: 3, Expected: "z"}, "BAD []", true},
		{fmt.Errorf("a: %w", mailstore.ErrOverQuota), "NO [OVERQUOTA]", true},
		{fmt.Errorf("a: %w", mailstore.ErrTooBig), "NO [TOOBIG]", true},
		{fmt.Errorf("a: %w", mailstore.ErrFull), "NO [UNAVAILABLE]", false},
		{fmt.Errorf("a: %w", mailstore.ErrName), "NO [CANNOT]", true},
		{fmt.Errorf("a: %w", search.ErrLimit), "NO [LIMIT]", true},
		{fmt.Errorf("a: %w", damage), "NO [CORRUPTION]", false},
		{errors.New("secret path /conf"), "NO [SERVERBUG]", false},
	} {
		r, expected := refuse(c.err)
		got := fmt.Sprintf("%s [%s] %s", r.Type, r.Code, r.Text)
		if !strings.HasPrefix(got, c.want) || expected != c.expected || strings.Contains(got, "secret") {
			t.Errorf("refuse(%v) = %s, expected: %v", c.err, got, expected)
		}
	}
}

func TestQuota(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.addUser(t, "carol", account.Quota{Bytes: 100, Messages: 3})
	p := h.login(t, "carol")
	p.do(t, "APPEND INBOX {11+}\r\nSubject: \r\n")
	if _, completion := p.run(t, "APPEND INBOX {90}"); !strings.HasPrefix(completion, "NO [OVERQUOTA]") {
		t.Errorf("a message too many bytes: %s", completion)
	}
	p.do(t, "SELECT INBOX")
	p.do(t, "COPY 1 Archive")
	p.do(t, "COPY 1 Archive")
	for _, command := range []string{"COPY 1 Archive", "APPEND INBOX {11+}\r\nSubject: \r\n"} {
		if _, completion := p.run(t, command); !strings.HasPrefix(completion, "NO [OVERQUOTA]") {
			t.Errorf("%q, a message too many: %s", command, completion)
		}
	}
	p.do(t, "MOVE 1 Archive")
}

// Who logs in to a mail that can take no more is told, by the first of his sessions.
func TestFullMailIsAlerted(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.addUser(t, "carol", account.Quota{Messages: 1})
	login := func() []string {
		p := h.dial(t)
		p.response(t)
		return p.do(t, `LOGIN carol "`+password+`"`)
	}
	if told := login(); len(told) != 0 {
		t.Errorf("with room for a message: %q", told)
	}
	h.deliver(t, "carol", "INBOX", mail("full"))
	if told := login(); len(told) != 0 {
		t.Errorf("a second session: %q", told)
	}
	h.srv.Disconnect(h.users["carol"])
	if told := login(); len(told) != 1 || !strings.HasPrefix(told[0], "* NO [ALERT] ") {
		t.Errorf("a first session, with no room: %q", told)
	}
}

func TestDirectory(t *testing.T) {
	boxes := []mailbox.State{{Name: "a/b"}, {Name: "INBOX", SpecialUse: ""}, {Name: "/odd"}}
	var got []string
	for _, e := range newDirectory(boxes, []string{"a", "x/y"}) {
		got = append(got, fmt.Sprintf("%s %v %v %v %v", e.name, e.state != nil, e.subscribed, e.children, e.subscribedBelow))
	}
	want := "/odd true false false false|INBOX true false false false|a false true true false|a/b true false false false|" +
		"x false false false true|x/y false true false false"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("directory is\n%s, not\n%s", s, want)
	}
}

func TestPick(t *testing.T) {
	v := &view{uids: []mailbox.UID{2, 3, 5, 8, 13}, found: mailbox.UIDs(3, 99)}
	set := func(numbers ...uint32) (s wire.Set) {
		for i := 0; i+1 < len(numbers); i += 2 {
			s.Ranges = append(s.Ranges, wire.SetRange{From: numbers[i], To: numbers[i+1]})
		}
		return s
	}
	for _, c := range []struct {
		set  wire.Set
		uid  bool
		want string // "BAD" for an error
	}{
		{set(1, 2), false, "2:3"},
		{set(4, wire.Star), false, "8,13"},
		{set(wire.Star, wire.Star), false, "13"},
		{set(6, 6), false, "BAD"},
		{set(1, 6), false, "BAD"},
		{set(1, 6), true, "2:3,5"},
		{set(100, wire.Star), true, "13"},
		{set(1, 4294967295), true, "2:3,5,8,13"},
		{set(6, 7), true, ""},
		{wire.Set{Saved: true}, true, "3"},
		{wire.Set{Saved: true}, false, "3"},
	} {
		got, err := v.pick(c.set, c.uid)
		if s := got.String(); err != nil && c.want != "BAD" || err == nil && s != c.want {
			t.Errorf("pick(%+v, uid %v) = %q, %v", c.set, c.uid, s, err)
		}
	}
	empty := &view{}
	if got, err := empty.pick(set(1, wire.Star), false); err != nil || !got.IsEmpty() {
		t.Errorf("1:* of an empty mailbox = %v, %v", got, err)
	}
	if _, err := empty.pick(set(1, 1), false); err == nil {
		t.Error("message 1 of an empty mailbox is no error")
	}
}
