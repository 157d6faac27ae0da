package slot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"teraslot/account"
	"teraslot/disk"
	"teraslot/imapd"
	"teraslot/lmtp"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/squatter"
	"teraslot/synclog"
	"teraslot/tiers"
)

// Version is what the slot calls itself by in ID and in its status.
const Version = "0.1"

// Options say how to run what a Config describes. The zero value works.
type Options struct {
	// Logger gets what operators want to know; nil discards it.
	Logger *slog.Logger
	// Offline opens the slot for the admin socket alone: nothing is served,
	// nothing is indexed.
	Offline bool
	// Now is the clock; nil is time.Now. After is its alarm, for what is done at
	// certain hours; nil is time.After.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Slot is an open slot. It owns slot.lock, and so all mail below its roots.
type Slot struct {
	c       *Config
	o       Options
	started time.Time

	store    *mailstore.Store
	accounts *account.Accounts
	log      *synclog.Log
	tiers    *tiers.Set
	searcher *search.Searcher
	squatter *squatter.Squatter // nil when offline; only looks when off
	schedule *squatter.Schedule // nil when offline or another's work
	searches searchWatch
	night    *night        // nil when offline or off
	mender   *mender       // nil unless it is to mend at once
	imap     *imapd.Server // nil when offline
	lmtp     *lmtp.Server  // nil when offline
	cert     *certificate  // nil when offline
	registry *prometheus.Registry

	seen *observations
	held heldGUIDs
	// moving is held while users move, one at a time: before any other lock.
	moving sync.Mutex
	// parting is held while a mailbox is seen to change its owner, and while a removal begins: after those of the mail.
	parting sync.Mutex
	peers   peers // of the store

	scheduleLock io.Closer // of schedule

	admin, metrics            net.Listener
	imapPlain, imapTLS, lmtps []net.Listener

	closing sync.Once
	failed  error // of closing
}

// Open takes the slot: its lock, its databases, its sockets. An error names the
// process that has it. Close must follow, also after Run.
func Open(ctx context.Context, c *Config, o Options) (*Slot, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = c.Hooks.Now
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	s := &Slot{c: c, o: o, started: o.Now(), registry: prometheus.NewRegistry(), seen: newObservations()}
	s.o.Logger = slog.New(countingLog{o.Logger.Handler(), s.seen})
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Slot) open(ctx context.Context) error {
	for _, check := range []func() error{s.c.CheckOwner, s.c.CheckLocal, s.c.CheckMounted, s.c.makeRoots, s.c.markRoots} {
		if err := check(); err != nil {
			return err
		}
	}
	if s.c.Jobs.RepairAtOnce && !s.o.Offline {
		s.mender = newMender(s)
	}
	if err := s.openData(ctx); err != nil {
		return err
	}
	if err := s.tellVersions(ctx); err != nil {
		return err
	}
	if err := s.heal(ctx); err != nil {
		return err
	}
	if !s.o.Offline {
		if err := s.openServers(); err != nil {
			return err
		}
		if err := s.listen(); err != nil {
			return err
		}
		if err := s.openPeers(); err != nil {
			return err
		}
	}
	// The admin socket is last: whoever finds it finds a slot that is whole.
	var err error
	s.admin, err = listenUnix(s.c.AdminSocket(), 0o600)
	return err
}

// openUsers bounds the databases of users that a daemon keeps open. To open and close one
// costs as much processor time as some deliveries, so they stay open for who gets mail
// every few seconds; one open takes a quarter of a megabyte.
const openUsers = 1024

// openData opens what lies on disk, slot.lock first.
func (s *Slot) openData(ctx context.Context) (err error) {
	mail := s.c.MailstoreOptions()
	mail.Notify, mail.Logger, mail.Now, mail.Waited = s.notify, s.o.Logger, s.o.Now, s.seen.mailWaited
	mail.Damaged = s.mender.wake
	if !s.o.Offline {
		mail.OpenUsers = s.limits().users // as long as they are not idle
	}
	if mail.Slot, err = s.slotID(); err != nil {
		return err
	}
	if s.store, err = mailstore.Open(ctx, mail); err != nil {
		return err
	}
	if s.accounts, err = account.Open(ctx, s.c.AccountsFile(), account.Options{Logger: s.o.Logger, Now: s.o.Now, Owner: true,
		Cost: s.c.Hooks.Passwords, FS: s.c.Hooks.FS}); err != nil {
		return err
	}
	s.log, err = synclog.Open(synclog.Options{Dir: s.c.SyncDir(SquatterChannel), Logger: s.o.Logger,
		FS: s.c.Hooks.FS, Step: s.c.Hooks.Of("synclog")})
	if err != nil {
		return err
	}
	if err := s.openLogs(); err != nil {
		return err
	}
	if err := s.noteAccounts(ctx); err != nil {
		return err
	}
	index := s.c.TiersOptions()
	index.Logger, index.Now = s.o.Logger, s.o.Now
	if index.FS == nil {
		index.FS = disk.OS()
	}
	index.FS = watchedFS{index.FS, s.seen}
	s.tiers, err = tiers.New(index)
	return err
}

// openServers puts together what works on the data.
func (s *Slot) openServers() error {
	if err := s.registry.Register(collectors.NewGoCollector()); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := s.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := s.registry.Register(newRooms(s.c)); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.seen.register(s.registry)
	s.squatter = squatter.New(squatter.Options{Store: s.store, Tiers: s.tiers, Log: s.log, Look: s.c.Squatter.Off,
		Batch: s.c.Squatter.Batch, Delay: time.Duration(s.c.Squatter.Delay), Logger: s.o.Logger, Now: s.o.Now,
		Conf: s.c.Conf, FS: s.c.Hooks.FS, Registerer: s.registry})
	s.searches.limit = time.Duration(s.c.Compact.Slow)
	if err := s.openSchedule(); err != nil {
		return err
	}
	if !s.c.Jobs.Off {
		s.night = newNight(s)
	}
	s.searcher = search.New(search.Options{Store: s.store, Tiers: s.tiers, Wake: s.squatter.Wake, Logger: s.o.Logger,
		Limits:     search.Limits{Time: time.Duration(s.c.Search.Time), Messages: s.c.Search.Messages},
		Registerer: s.registry, Now: s.o.Now})
	cert, selfSigned, err := openCertificate(s.c, s.o)
	if err != nil {
		return err
	}
	if s.cert = cert; selfSigned {
		s.o.Logger.Warn("no tls.cert is configured: clients see a self-signed certificate", "file", cert.cert)
	}
	s.lmtp, err = lmtp.New(s.lmtpOptions())
	return err
}

func (s *Slot) lmtpOptions() lmtp.Options {
	l := s.c.LMTP
	o := lmtp.Options{
		Store: s.store, Accounts: s.accounts, Name: s.c.Name, TLS: s.cert.config(),
		MaxMessage: int64(s.c.MaxMessage), MaxRecipients: l.MaxRecipients, MaxConnections: s.limits().lmtp,
		Timeout: time.Duration(l.Timeout), OverQuotaPermanent: l.OverQuota == "permanent",
		Duplicates: time.Duration(l.Duplicates), Postmaster: l.Postmaster, Now: s.o.Now, Logger: s.o.Logger, Registerer: s.registry,
		Refuse: s.c.replica(),
	}
	if l.Separator != "none" {
		o.Separator = l.Separator[0]
	}
	return o
}

// listen opens every socket, so that a taken address is an error before
// anything is served.
func (s *Slot) listen() (err error) {
	s.tellLimits(s.limits())
	if s.imapPlain, err = listenTCP(s.c.IMAP.Listen); err != nil {
		return fmt.Errorf("imap.listen: %w", err)
	}
	if s.imapTLS, err = listenTCP(s.c.IMAP.ListenTLS); err != nil {
		return fmt.Errorf("imap.listen_tls: %w", err)
	}
	if s.lmtps, err = listenTCP(s.c.LMTP.Listen); err != nil {
		return fmt.Errorf("lmtp.listen: %w", err)
	}
	if err := s.listenToProxies(); err != nil {
		return err
	}
	if s.c.LMTP.Socket != "none" {
		mode, err := s.c.LMTP.mode()
		if err != nil {
			return err
		}
		l, err := listenUnix(s.c.LMTP.Socket, mode)
		if err != nil {
			return fmt.Errorf("lmtp.socket: %w", err)
		}
		s.lmtps = append(s.lmtps, l)
	}
	if s.c.Metrics.Listen != "" {
		if s.metrics, err = net.Listen("tcp", s.c.Metrics.Listen); err != nil {
			return fmt.Errorf("metrics.listen: %w", err)
		}
	}
	s.imap = imapd.New(imapd.Options{
		Store: s.store, Searcher: s.searcher, Accounts: s.accounts, TLS: s.cert.config(),
		PlainLogin: s.c.IMAP.AllowPlainLogin || loopback(s.imapPlain) && len(s.c.IMAP.Proxies) == 0,
		Limits: imapd.Limits{Connections: s.limits().imap, PerAddress: s.c.IMAP.MaxPerAddress,
			PerUser: s.c.IMAP.MaxPerUser, Message: int64(s.c.MaxMessage)},
		Logger: s.o.Logger, Now: s.o.Now, Name: "Teraslot", Version: Version, ReadOnly: s.c.replica(), Registerer: s.registry,
	})
	return nil
}

// notify spreads the news of a commit.
func (s *Slot) notify(e mailbox.Event) {
	s.seen.arrived(e)
	if e.Kind == mailbox.Appended {
		s.log.Add(synclog.Note{User: e.User, Mailbox: e.Mailbox})
	}
	s.note(synclog.Note{User: e.User, Mailbox: e.Mailbox})
	if s.squatter != nil {
		s.squatter.Notify(e)
	}
	if s.imap != nil {
		s.imap.Notify(e)
	}
}

// Addresses are where the slot listens, for messages and tests.
type Addresses struct{ IMAP, IMAPTLS, LMTP, Metrics, Replication []string }

// Addresses returns the addresses in use, with the ports that were chosen for 0.
func (s *Slot) Addresses() Addresses {
	var metrics, peers []net.Listener
	if s.metrics != nil {
		metrics = append(metrics, s.metrics)
	}
	if s.peers.listener != nil {
		peers = append(peers, s.peers.listener)
	}
	return Addresses{IMAP: names(s.imapPlain), IMAPTLS: names(s.imapTLS), LMTP: names(s.lmtps), Metrics: names(metrics), Replication: names(peers)}
}

func names(all []net.Listener) []string {
	out := make([]string, 0, len(all))
	for _, l := range all {
		out = append(out, l.Addr().String())
	}
	return out
}

// Reload reads the certificate again, as SIGHUP asks. After an error the one in
// use stays.
func (s *Slot) Reload() error {
	if s.cert == nil {
		return nil
	}
	return s.cert.load()
}

// Close gives the slot up. Run must have returned.
func (s *Slot) Close() error {
	s.closing.Do(func() { s.failed = s.close() })
	return s.failed
}

func (s *Slot) close() error {
	var errs []error
	for _, l := range [][]net.Listener{{s.admin}, {s.metrics}, s.imapPlain, s.imapTLS, s.lmtps} {
		for _, l := range l {
			if l != nil {
				errs = append(errs, closeAll([]net.Listener{l}))
			}
		}
	}
	if s.scheduleLock != nil {
		errs = append(errs, s.scheduleLock.Close())
	}
	if s.tiers != nil {
		errs = append(errs, s.tiers.Close())
	}
	if s.accounts != nil {
		errs = append(errs, s.accounts.Close())
	}
	// The lock goes last: until then nobody else may open any of it.
	errs = append(errs, s.closePeers())
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// pid is this process, for status.
func pid() int { return os.Getpid() }
