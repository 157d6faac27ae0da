package imapd

import "time"

// Limits bound what clients may take of the server. A zero field means the
// default named at it.
type Limits struct {
	// Connections is the greatest number of connections at once; 10000.
	Connections int
	// PerAddress is the greatest number of connections from one address (of
	// IPv6, one /64 network); 256.
	PerAddress int
	// PerUser is the greatest number of logged-in sessions of one user; 64.
	PerUser int

	// Handshake is the time for a TLS handshake; 10 s.
	Handshake time.Duration
	// Login is the time from the greeting to a successful login, however the
	// client spends it; 1 min.
	Login time.Duration
	// Idle is the time a logged-in client may be silent between commands or
	// in IDLE; 30 min, the least that RFC 9051 §5.4 allows.
	Idle time.Duration
	// Command is the time from a command's first octet to its last, without
	// an appended message; 1 min.
	Command time.Duration
	// Stall is the time an appended message may make no progress; 1 min.
	Stall time.Duration
	// Write is the time for 32 KiB of a response to be taken by the client; 1 min.
	Write time.Duration
	// Grace is the time that commands in flight have to finish when the
	// server stops; 10 s.
	Grace time.Duration

	// AuthDelay is how long the answer to a failed login waits. It doubles
	// with each failure from the same address, up to 16 times; 1 s.
	AuthDelay time.Duration
	// AuthTries is the number of failed logins after which a connection is
	// closed; 3.
	AuthTries int

	// Message is the size in bytes of the largest message APPEND takes; 64 MiB.
	Message int64
	// Keywords is the greatest number of keywords in one command; 100.
	Keywords int
}

// withDefaults returns l with its zero fields set.
func (l Limits) withDefaults() Limits {
	set(&l.Connections, 10_000)
	set(&l.PerAddress, 256)
	set(&l.PerUser, 64)
	set(&l.Handshake, 10*time.Second)
	set(&l.Login, time.Minute)
	set(&l.Idle, 30*time.Minute)
	set(&l.Command, time.Minute)
	set(&l.Stall, time.Minute)
	set(&l.Write, time.Minute)
	set(&l.Grace, 10*time.Second)
	set(&l.AuthDelay, time.Second)
	set(&l.AuthTries, 3)
	set(&l.Message, 64<<20)
	set(&l.Keywords, 100)
	return l
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
