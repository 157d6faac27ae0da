package imapd

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"teraslot/mailbox"
)

// admission counts connections against the limits, and failed logins by
// address. Its zero value is ready.
type admission struct {
	mu        sync.Mutex // guards all below
	total     int
	addresses map[netip.Prefix]int
	users     map[mailbox.User]int
	failures  map[netip.Prefix]failure
}

// failure remembers the failed logins of an address.
type failure struct {
	count int
	last  time.Time
}

const (
	// forgetFailures is how long after its last failure an address starts anew.
	forgetFailures = 10 * time.Minute
	// rememberFailures bounds the addresses whose failures are remembered.
	rememberFailures = 10_000
	// maxDoublings bounds how much the delay of an address grows.
	maxDoublings = 4
)

// enter takes a place for a connection; false if none is free.
func (a *admission) enter(from netip.Prefix, l *Limits) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= l.Connections || a.addresses[from] >= l.PerAddress {
		return false
	}
	a.total++
	if a.addresses == nil {
		a.addresses = make(map[netip.Prefix]int)
	}
	a.addresses[from]++
	return true
}

// leave gives the place back.
func (a *admission) leave(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if a.addresses[from]--; a.addresses[from] == 0 {
		delete(a.addresses, from)
	}
}

// counts are the open connections and the sessions that are logged in.
func (a *admission) counts() (connections, sessions int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.users {
		sessions += n
	}
	return a.total, sessions
}

// login takes a place for a session of the user; false if none is free.
func (a *admission) login(user mailbox.User, l *Limits) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[user] >= l.PerUser {
		return false
	}
	if a.users == nil {
		a.users = make(map[mailbox.User]int)
	}
	a.users[user]++
	return true
}

// logout gives the user's place back.
func (a *admission) logout(user mailbox.User) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[user]--; a.users[user] == 0 {
		delete(a.users, user)
	}
}

// failed notes a failed login and returns how long its answer shall wait. The
// delay follows the address, so that a new connection for each guess gains
// nothing.
func (a *admission) failed(from netip.Prefix, now time.Time, l *Limits) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.failures[from]
	if now.Sub(f.last) > forgetFailures {
		f.count = 0
	}
	delay := l.AuthDelay << min(f.count, maxDoublings)
	f.count, f.last = f.count+1, now
	if _, known := a.failures[from]; !known && len(a.failures) >= rememberFailures {
		a.forgetOne()
	}
	if a.failures == nil {
		a.failures = make(map[netip.Prefix]failure)
	}
	a.failures[from] = f
	return delay
}

// forgetOne makes room by dropping any address: looking for the best one to drop
// would cost more than the delay of one address is worth.
func (a *admission) forgetOne() {
	for from := range a.failures {
		delete(a.failures, from)
		return
	}
}

// network is what counts as one address: a whole IPv4 address, the first 64
// bits of an IPv6 address, and one for all that have none, such as sockets of
// the local machine.
func network(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
