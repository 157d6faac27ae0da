package lmtp

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"teraslot/account"
	"teraslot/mailstore"
)

// Options configure a Server. Store and Accounts are required.
type Options struct {
	Store    *mailstore.Store
	Accounts *account.Accounts
	// Name greets clients and signs Received fields; "localhost" if empty.
	Name string
	// TLS, if set, offers STARTTLS.
	TLS *tls.Config
	// MaxMessage is the largest message in bytes, announced as SIZE (RFC 1870);
	// 64 MiB.
	MaxMessage int64
	// MaxRecipients of a message; 1000.
	MaxRecipients int
	// MaxConnections at once over all listeners; 100. Further ones get 421.
	MaxConnections int
	// Timeout is how long a client may neither send nor take anything; 5 min
	// (RFC 5321 §4.5.3.2).
	Timeout time.Duration
	// Grace is how long messages in flight have to finish when the server
	// stops; 30 s.
	Grace time.Duration
	// OverQuotaPermanent refuses mail for a full mailbox for good (552 5.2.2);
	// otherwise the sender's server tries again (452 4.2.2).
	OverQuotaPermanent bool
	// Postmaster is the login name of who gets the mail for postmaster, with or
	// without a domain (RFC 5321 §4.5.1), where no user has that name; "" for nobody.
	Postmaster string
	// Separator stands between user and folder in a recipient; 0 for none.
	Separator byte
	// Duplicates is how long a Message-ID is remembered; 0 is off.
	Duplicates time.Duration
	// Refuse answers every sender 451: the slot is a copy of another, where mail goes.
	Refuse bool
	// Now is the clock; time.Now.
	Now func() time.Time
	// Logger gets what a reply cannot tell; by default nothing is logged.
	Logger *slog.Logger
	// Registerer gets the metrics, if set.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	setDefault(&o.Name, "localhost")
	setDefault(&o.MaxMessage, 64<<20)
	setDefault(&o.MaxRecipients, 1000)
	setDefault(&o.MaxConnections, 100)
	setDefault(&o.Timeout, 5*time.Minute)
	setDefault(&o.Grace, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
