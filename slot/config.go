package slot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// ErrConfig is wrapped by every error about a configuration's content.
var ErrConfig = errors.New("bad configuration")

// Config is the configuration of one slot: one TOML file. The zero value of
// every field stands for its default, which Load and Defaults fill in, so that
// an empty file is a complete configuration. Paths are absolute after Load;
// in the file, a relative path starts at the file's own directory.
type Config struct {
	// Name is how the slot calls itself in greetings, logs and Received-like
	// traces. Default: the machine's host name.
	Name string `toml:"name"`
	// Root is the directory below which all other roots lie by default.
	// Default: /var/lib/teraslot.
	Root string `toml:"root"`
	// Conf is the conf root (records, accounts, locks, activefiles, sync log, admin
	// socket): a local SSD. Default: <root>/conf.
	Conf string `toml:"conf"`
	// Spool is the partition of new mail. Default: <root>/spool.
	Spool string `toml:"spool"`
	// Archive is the partition of old and large mail. Default: <root>/archive.
	Archive string `toml:"archive"`
	// AllowRemoteConf admits NFS, CIFS or FUSE under the conf root, where
	// locks and fsync may not mean what they must. Default: false.
	AllowRemoteConf bool `toml:"allow_remote_conf"`
	// MaxMessage is the largest message taken by LMTP, APPEND and import.
	// Default: 64 MB.
	MaxMessage Bytes `toml:"max_message"`
	// Quiet are the hours in which what can wait is done, in the machine's time zone.
	// Default: "01:00-05:00".
	Quiet string `toml:"quiet"`

	Tiers Tiers `toml:"tiers"`
	// Partitions are further places for users' mail and indexes, by name.
	Partitions map[string]Partition `toml:"partitions"`

	Quota    Quota    `toml:"quota"`
	IMAP     IMAP     `toml:"imap"`
	LMTP     LMTP     `toml:"lmtp"`
	TLS      TLS      `toml:"tls"`
	Search   Search   `toml:"search"`
	Squatter Squatter `toml:"squatter"`
	Compact  Compact  `toml:"compact"`
	Jobs     Jobs     `toml:"jobs"`
	Metrics  Metrics  `toml:"metrics"`
	// Replication makes the slot one of several that hold the same users.
	Replication Replication `toml:"replication"`
	Log         Log         `toml:"log"`

	// Hooks are not of the file; they are nothing unless a test sets them.
	Hooks Hooks `toml:"-"`

	file string
}

// Tiers are the roots of the search partitions.
type Tiers struct {
	// Default is the tier in which new databases are made. Default: temp.
	Default string `toml:"default"`
	// Temp is best a tmpfs. Default: /dev/shm/teraslot-<digest of conf root>
	// where /dev/shm is there, otherwise <root>/search/temp.
	Temp string `toml:"temp"`
	// TempSize is how many bytes temp may take, each root of it where partitions have
	// some of their own: see compact.full. Default: 1GB.
	TempSize Bytes `toml:"temp_size"`
	// Meta is an SSD. Default: <root>/search/meta.
	Meta string `toml:"meta"`
	// Data is a search disk. Default: <root>/search/data.
	Data string `toml:"data"`
	// Archive is a search disk whose databases are rarely rewritten. Default:
	// <root>/search/archive.
	Archive string `toml:"archive"`
}

// TierNames are the tiers in their usual order, newest mail first.
var TierNames = []string{"temp", "meta", "data", "archive"}

// Roots returns the root of each tier by its name, as tiers.Options wants it.
func (t Tiers) Roots() map[string]string {
	return map[string]string{"temp": t.Temp, "meta": t.Meta, "data": t.Data, "archive": t.Archive}
}

// Quota is what a new user gets when nothing else is said.
type Quota struct {
	// Bytes of mail; 0 is no limit, which is the default.
	Bytes Bytes `toml:"bytes"`
	// Messages; 0 is no limit, which is the default.
	Messages int64 `toml:"messages"`
}

// IMAP configures the IMAP listeners.
type IMAP struct {
	// Listen are addresses for IMAP with STARTTLS. Default: 127.0.0.1:1143; an
	// empty list turns them off.
	Listen []string `toml:"listen"`
	// ListenTLS are addresses for IMAP under TLS from the first byte (RFC 8314).
	// Default: 127.0.0.1:1993.
	ListenTLS []string `toml:"listen_tls"`
	// MaxConnections bounds the sessions of all listeners. Default: 10000.
	MaxConnections int `toml:"max_connections"`
	// MaxPerAddress bounds the connections from one address, of IPv6 from one /64
	// network. A webmail's address needs more. Default: 256.
	MaxPerAddress int `toml:"max_per_address"`
	// MaxPerUser bounds the sessions of one user. Default: 64.
	MaxPerUser int `toml:"max_per_user"`
	// AllowPlainLogin lets clients log in without TLS from any address. By
	// default only those on a loopback address may.
	AllowPlainLogin bool `toml:"allow_plain_login"`
	// Proxies are addresses and networks whose connections begin with a header of the
	// PROXY protocol, version 1 or 2, which names the client. With any, clients log
	// in without TLS only by AllowPlainLogin. Default: none.
	Proxies []string `toml:"proxies"`
}

// LMTP configures delivery.
type LMTP struct {
	// Listen are TCP addresses. Default: 127.0.0.1:1124. LMTP knows no
	// authentication: never let the world reach it.
	Listen []string `toml:"listen"`
	// Socket is the path of a Unix socket; "none" turns it off. Default:
	// <conf>/lmtp.sock.
	Socket string `toml:"socket"`
	// SocketMode are the permissions of the socket, in octal. Default: "0660".
	SocketMode string `toml:"socket_mode"`
	// MaxConnections bounds the sessions of all listeners. Default: 100.
	MaxConnections int `toml:"max_connections"`
	// MaxRecipients bounds the recipients of one message. Default: 1000.
	MaxRecipients int `toml:"max_recipients"`
	// Timeout is how long a client may be silent. Default: 5m (RFC 5321 §4.5.3.2.7).
	Timeout Duration `toml:"timeout"`
	// OverQuota is the reply for a user over quota: "temporary" (452 4.2.2, the
	// sender's server tries again; the default) or "permanent" (552 5.2.2).
	OverQuota string `toml:"over_quota"`
	// Duplicates is how long a Message-ID is remembered for each recipient's
	// mailbox, so that a second delivery of it is acknowledged and not stored.
	// Default: 0s, which is off.
	Duplicates Duration `toml:"duplicates"`
	// Postmaster is the login name of who gets mail for postmaster where no user
	// has that name; "" for nobody.
	Postmaster string `toml:"postmaster"`
	// Separator stands between user and folder in a recipient, as in
	// user+folder@domain. Default: "+"; "none" turns it off.
	Separator string `toml:"separator"`
	// Proxies is as in IMAP.
	Proxies []string `toml:"proxies"`
}

// TLS names the certificate for IMAP, and for STARTTLS of LMTP. With neither given, a
// self-signed one is made once, in <conf>/tls. Both are read again on SIGHUP, and within a minute of a change.
type TLS struct {
	Cert string `toml:"cert"` // PEM, with its chain
	Key  string `toml:"key"`  // PEM
}

// Search bounds SEARCH, SORT and THREAD. What goes beyond is answered with NO.
type Search struct {
	// Time is how long one may take. Default: 5m.
	Time Duration `toml:"time"`
	// Messages is how many that the index does not know one may read. Default: 0, no limit.
	Messages int64 `toml:"messages"`
}

// Squatter configures the rolling indexer inside the daemon.
type Squatter struct {
	// Off leaves indexing to other processes. Default: false.
	Off bool `toml:"off"`
	// Batch is how many waiting messages of a user start a commit. Default: 20.
	Batch int `toml:"batch"`
	// Delay is the longest a message waits for its batch. Default: 2s.
	Delay Duration `toml:"delay"`
}

// Metrics configures the Prometheus listener.
type Metrics struct {
	// Listen is an address for /metrics over HTTP. Default: "", off.
	Listen string `toml:"listen"`
}

// Log configures the daemon's log on standard error.
type Log struct {
	// Level is debug, info, warn or error. Default: info.
	Level string `toml:"level"`
	// Format is text or json. Default: text.
	Format string `toml:"format"`
}

// Load reads, completes and validates a configuration file. An unknown key is
// an error that names the file and the key.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	return Read(f, file)
}

// Read is Load from a reader; file is the name for errors, and its directory is
// where relative paths start.
func Read(r io.Reader, file string) (*Config, error) {
	c := &Config{file: file}
	meta, err := toml.NewDecoder(r).Decode(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", file, ErrConfig, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: %w: unknown %s", file, ErrConfig, keyList(unknown))
	}
	base, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	given := zeros(c, meta.Keys())
	if err := c.complete(base); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := refuseZeros(given); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Defaults is the configuration of an empty file, with everything below root.
func Defaults(root string) (*Config, error) {
	c := &Config{Root: root, file: "built-in defaults"}
	base, err := filepath.Abs(".")
	if err != nil {
		return nil, fmt.Errorf("finding the working directory: %w", err)
	}
	if err := c.complete(base); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// File is where the configuration came from, for messages.
func (c *Config) File() string { return c.file }

func keyList(keys []toml.Key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.String()
	}
	if len(names) == 1 {
		return "key " + names[0]
	}
	return "keys " + strings.Join(names, ", ")
}

// complete makes paths absolute and fills in every default.
func (c *Config) complete(base string) error {
	c.completePaths(base)
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("finding a name for the slot (set name): %w", err)
		}
		c.Name = host
	}
	orString(&c.Tiers.Default, "temp")
	orNumber(&c.Tiers.TempSize, 1<<30)
	orString(&c.Quiet, "01:00-05:00")
	c.Compact.complete()
	c.Jobs.complete()
	c.Replication.complete()
	orString(&c.LMTP.SocketMode, "0660")
	orString(&c.LMTP.OverQuota, "temporary")
	orString(&c.LMTP.Separator, "+")
	orString(&c.Log.Level, "info")
	orString(&c.Log.Format, "text")
	orNumber(&c.MaxMessage, 64<<20)
	orNumber(&c.IMAP.MaxConnections, 10000)
	orNumber(&c.IMAP.MaxPerAddress, 256)
	orNumber(&c.IMAP.MaxPerUser, 64)
	orNumber(&c.LMTP.MaxConnections, 100)
	orNumber(&c.LMTP.MaxRecipients, 1000)
	orNumber(&c.Squatter.Batch, 20)
	orNumber(&c.LMTP.Timeout, Duration(5*time.Minute))
	orNumber(&c.Squatter.Delay, Duration(2*time.Second))
	orNumber(&c.Search.Time, Duration(5*time.Minute))
	// An absent list is the default; an empty one is a choice.
	if c.IMAP.Listen == nil {
		c.IMAP.Listen = []string{"127.0.0.1:1143"}
	}
	if c.IMAP.ListenTLS == nil {
		c.IMAP.ListenTLS = []string{"127.0.0.1:1993"}
	}
	if c.LMTP.Listen == nil {
		c.LMTP.Listen = []string{"127.0.0.1:1124"}
	}
	return nil
}

func orString(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func orNumber[N ~int | ~int64](n *N, value N) {
	if *n == 0 {
		*n = value
	}
}
