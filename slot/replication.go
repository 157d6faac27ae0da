package slot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/replication"
	"teraslot/synclog"
)

// Replication makes the slot one of a store: its master, or a replica.
type Replication struct {
	// Store is the name of the store, the same in all its slots. Default: none; the
	// slot stands alone.
	Store string `toml:"store"`
	// Role is "master" or "replica". Clients of a replica read, and change nothing.
	// Default: replica.
	Role string `toml:"role"`
	// Listen is the address for the other slots. Default: none, which only a master may have.
	Listen string `toml:"listen"`
	// Cert and Key are the PEM files that the slot shows to the others, Authority what
	// has signed those of all: see slotctl replication identities.
	Cert      string `toml:"cert"`
	Key       string `toml:"key"`
	Authority string `toml:"authority"`
	// Peers are the other slots of the store.
	Peers []Peer `toml:"peers"`
	// Workers are how many users are brought to each replica at once. Default: 32.
	Workers int `toml:"workers"`
	// Compare is how often the digests of all users are compared, Verify how often all
	// records are. Default: 1h, 7d.
	Compare Duration `toml:"compare"`
	Verify  Duration `toml:"verify"`
	// Heal repairs damage that keeps a user from being synced from the other side, at
	// once and not by slotctl alone. Default: false.
	Heal bool `toml:"heal"`
}

// Peer is another slot of the store.
type Peer struct {
	// Name is in its certificate.
	Name string `toml:"name"`
	// Address is where it listens: host:port.
	Address string `toml:"address"`
}

// The roles.
const (
	RoleMaster  = "master"
	RoleReplica = "replica"
)

func (r *Replication) on() bool     { return r.Store != "" }
func (r *Replication) master() bool { return r.on() && r.Role == RoleMaster }

// replica reports whether the slot takes no changes but the master's.
func (c *Config) replica() bool { return c.Replication.on() && c.Replication.Role == RoleReplica }

// ReplicaChannel is the sync log's channel for a replica.
func ReplicaChannel(name string) string { return "replica-" + name }

// validate checks what can be checked without opening anything.
func (r *Replication) validate() error {
	if !r.on() {
		return nil
	}
	if r.Role != RoleMaster && r.Role != RoleReplica {
		return fmt.Errorf("%w: replication.role %q is neither %q nor %q", ErrConfig, r.Role, RoleMaster, RoleReplica)
	}
	if r.Cert == "" || r.Key == "" || r.Authority == "" {
		return fmt.Errorf("%w: replication.cert, replication.key and replication.authority are needed", ErrConfig)
	}
	if r.Listen == "" && !r.master() {
		return fmt.Errorf("%w: replication.listen is needed: the master connects to its replicas", ErrConfig)
	}
	if len(r.Peers) == 0 {
		return fmt.Errorf("%w: replication.peers is empty: name the other slots of store %s", ErrConfig, r.Store)
	}
	seen := map[string]bool{}
	for _, p := range r.Peers {
		if !synclog.ValidChannel(ReplicaChannel(p.Name)) || seen[p.Name] {
			return fmt.Errorf("%w: replication.peers: %q is not a name (of lower-case letters, digits, - and _), or there twice", ErrConfig, p.Name)
		}
		seen[p.Name] = true
		if _, _, err := net.SplitHostPort(p.Address); err != nil {
			return fmt.Errorf("%w: replication.peers: address of %s: %w", ErrConfig, p.Name, err)
		}
	}
	return nil
}

func (r *Replication) complete() {
	orString(&r.Role, RoleReplica)
	orNumber(&r.Workers, 32)
	orNumber(&r.Compare, Duration(time.Hour))
	orNumber(&r.Verify, Duration(7*24*time.Hour))
}

func (r *Replication) names() []string {
	names := make([]string, 0, len(r.Peers))
	for _, p := range r.Peers {
		names = append(names, p.Name)
	}
	return names
}

// peers is what the slot has to do with the others of its store.
type peers struct {
	identity *replication.Identity
	logs     []*synclog.Log // of the master, one for each peer
	channels []*replication.Channel
	clients  []*replication.Client // of all others; a replica asks for what it has lost
	listener net.Listener
	server   *replication.Server

	mu       sync.Mutex
	accounts map[mailbox.User][32]byte // digests, as they were noted last; guarded by mu
}

// replicaFlush is the longest that a change waits before it is written to a replica's log.
const replicaFlush = 20 * time.Millisecond

// openLogs opens the sync logs of the replicas: also without a daemon, changes are noted.
func (s *Slot) openLogs() error {
	r := &s.c.Replication
	if !r.master() {
		return nil
	}
	for _, p := range r.Peers {
		log, err := synclog.Open(synclog.Options{Dir: s.c.SyncDir(ReplicaChannel(p.Name)), Logger: s.o.Logger, FlushEvery: replicaFlush,
			FS: s.c.Hooks.FS, Step: s.c.Hooks.Of("synclog")})
		if err != nil {
			return err
		}
		s.peers.logs = append(s.peers.logs, log)
	}
	return nil
}

// openPeers makes what talks to the others.
func (s *Slot) openPeers() (err error) {
	r := &s.c.Replication
	if !r.on() {
		return nil
	}
	id, err := s.slotID()
	if err != nil {
		return err
	}
	if s.peers.identity, err = replication.LoadIdentity(r.Cert, r.Key, r.Authority); err != nil {
		return err
	}
	s.peers.server = replication.NewServer(replication.ServerOptions{Store: s.store, Accounts: s.accounts, StoreName: r.Store, Slot: id,
		Identity: s.peers.identity, Peers: r.names(), Master: r.master(), RemoveUser: s.removeReplica, AccountChanged: s.disconnect, Logger: s.o.Logger})
	if r.Listen != "" {
		if s.peers.listener, err = net.Listen("tcp", r.Listen); err != nil {
			return fmt.Errorf("replication.listen: %w", err)
		}
	}
	for i, p := range r.Peers {
		c, err := replication.NewClient(replication.ClientOptions{Store: s.store, Accounts: s.accounts, StoreName: r.Store, Slot: id,
			Identity: s.peers.identity, Name: p.Name, Address: p.Address, Logger: s.o.Logger})
		if err != nil {
			return err
		}
		s.peers.clients = append(s.peers.clients, c)
		if r.master() {
			s.openChannel(c, s.peers.logs[i])
		}
	}
	return s.registry.Register(&replicationMetrics{s: s})
}

func (s *Slot) openChannel(c *replication.Client, log *synclog.Log) {
	r := &s.c.Replication
	s.peers.channels = append(s.peers.channels, replication.NewChannel(replication.ChannelOptions{Client: c, Log: log, Workers: r.Workers,
		CompareEvery: time.Duration(r.Compare), VerifyEvery: time.Duration(r.Verify), Heal: r.Heal, Now: s.o.Now, After: s.o.After, Logger: s.o.Logger}))
}

// slotID is the id of this slot: the mark of its archive partition, which no other has, and
// a slot that is set up anew has no longer.
func (s *Slot) slotID() (string, error) {
	return readMark(filepath.Join(s.c.Conf, archiveCopy))
}

// note tells the replicas of a change.
func (s *Slot) note(n synclog.Note) {
	if len(s.peers.channels) > 0 {
		for _, c := range s.peers.channels {
			c.Note(n)
		}
		return
	}
	for _, l := range s.peers.logs {
		l.Add(n)
	}
}

// noteAccounts tells the replicas of the accounts that have changed since it was last
// called; the first call tells of none.
func (s *Slot) noteAccounts(ctx context.Context) error {
	if len(s.peers.logs) == 0 {
		return nil
	}
	entries, err := s.accounts.Entries(ctx)
	if errors.Is(err, account.ErrDamaged) {
		// His account is told when it is mended: it counts as one that has changed then.
		s.o.Logger.Error("replication: a user's account is not compared", "err", err)
	} else if err != nil {
		return err
	}
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	now := make(map[mailbox.User][32]byte, len(entries))
	for i := range entries {
		e := &entries[i]
		now[e.ID] = e.Digest()
		if s.peers.accounts != nil && s.peers.accounts[e.ID] != now[e.ID] {
			s.note(synclog.Note{User: e.ID})
		}
	}
	s.peers.accounts = now
	return nil
}

// removeReplica removes a user who was removed at the master.
func (s *Slot) removeReplica(ctx context.Context, e account.Entry) error {
	gone := e
	gone.Removed = true
	a, err := s.accounts.ByID(ctx, e.ID)
	if errors.Is(err, account.ErrNoAccount) { // mail without an account
		if err := s.removeMail(ctx, e.ID); err != nil {
			return err
		}
		return s.accounts.Put(ctx, gone)
	}
	if err != nil {
		return err
	}
	if err := s.accounts.BeginRemoval(ctx, a.Name); err != nil {
		return err
	}
	s.disconnect(a.ID)
	if err := s.removeMail(ctx, a.ID); err != nil {
		return err
	}
	return s.finishRemoval(ctx, a, nil)
}

// runPeers serves the other slots, and keeps replicas up to date.
func (s *Slot) runPeers(g *group) {
	if s.peers.listener != nil {
		g.goes(func(ctx context.Context) error { return s.peers.server.Serve(ctx, s.peers.listener) })
	}
	for _, c := range s.peers.channels {
		g.goes(c.Run)
	}
}

// closePeers gives up what openPeers and openLogs made.
func (s *Slot) closePeers() error {
	var errs []error
	if s.peers.listener != nil {
		errs = append(errs, closeAll([]net.Listener{s.peers.listener}))
	}
	for _, c := range s.peers.clients {
		errs = append(errs, c.Close())
	}
	for _, l := range s.peers.logs {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// channel returns the channel of a replica.
func (s *Slot) channel(name string) (*replication.Channel, error) {
	i := slices.IndexFunc(s.peers.channels, func(c *replication.Channel) bool { return c.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: no replica %q: replication.peers has %v", errProtocol, name, s.c.Replication.names())
	}
	return s.peers.channels[i], nil
}
