package slot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// root is a directory that the slot writes below.
type root struct {
	key  string   // in the configuration file
	path string   // absolute, links resolved as far as it exists
	own  []string // the names directly below it that the program makes and may delete
}

// completePaths makes every path absolute and gives the absent ones their defaults.
func (c *Config) completePaths(base string) {
	abs := func(p *string, fallback string) {
		if *p == "" {
			*p = fallback
		}
		if !filepath.IsAbs(*p) {
			*p = filepath.Join(base, *p)
		}
		*p = filepath.Clean(*p)
	}
	abs(&c.Root, "/var/lib/teraslot")
	abs(&c.Conf, filepath.Join(c.Root, "conf"))
	abs(&c.Spool, filepath.Join(c.Root, "spool"))
	abs(&c.Archive, filepath.Join(c.Root, "archive"))
	abs(&c.Tiers.Temp, c.tempRoot())
	abs(&c.Tiers.Meta, filepath.Join(c.Root, "search", "meta"))
	abs(&c.Tiers.Data, filepath.Join(c.Root, "search", "data"))
	abs(&c.Tiers.Archive, filepath.Join(c.Root, "search", "archive"))
	c.completePartitions(abs)
	if c.LMTP.Socket != "none" {
		abs(&c.LMTP.Socket, filepath.Join(c.Conf, "lmtp.sock"))
	}
	if c.TLS.Cert != "" {
		abs(&c.TLS.Cert, "")
	}
	for _, p := range []*string{&c.TLS.Key, &c.Replication.Cert, &c.Replication.Key, &c.Replication.Authority} {
		if *p != "" {
			abs(p, "")
		}
	}
}

// tempRoot is in memory where the machine has a place for that. The digest
// keeps slots of one machine apart.
func (c *Config) tempRoot() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err != nil || !info.IsDir() {
		return filepath.Join(c.Root, "search", "temp")
	}
	sum := sha256.Sum256([]byte(c.Conf))
	return filepath.Join(shm, "teraslot-"+hex.EncodeToString(sum[:6]))
}

// AdminSocket is where the running daemon listens for slotctl.
func (c *Config) AdminSocket() string { return filepath.Join(c.Conf, "admin.sock") }

// AccountsFile is the accounts' database.
func (c *Config) AccountsFile() string { return filepath.Join(c.Conf, "slot.db") }

// AccountsCopy is the copy of it that the night makes.
func (c *Config) AccountsCopy() string { return filepath.Join(c.Archive, "slot.saved") }

// SyncDir is the directory of a channel's sync log.
func (c *Config) SyncDir(channel string) string { return filepath.Join(c.Conf, "sync", channel) }

// SquatterChannel is the sync log's channel that the rolling squatter reads.
const SquatterChannel = "squatter"

func (c *Config) roots() []root {
	users := []string{"users"}
	mail := []string{"users", "incoming"}
	return append([]root{
		{"conf", c.Conf, []string{"users", "sync", "tls", "slot.db", "slot.lock", "admin.sock", "lmtp.sock"}},
		{"spool", c.Spool, mail},
		{"archive", c.Archive, []string{"users", "incoming", "slot.saved"}},
		{"tiers.temp", c.Tiers.Temp, users},
		{"tiers.meta", c.Tiers.Meta, users},
		{"tiers.data", c.Tiers.Data, users},
		{"tiers.archive", c.Tiers.Archive, users},
	}, c.ownRoots()...)
}

// checkRoots refuses roots where the files of one could be taken for another's
// and deleted: equal ones, by whatever name, and one inside what another owns.
// One root beside another's own directories, as in /srv and /srv/archive, is fine.
func (c *Config) checkRoots() error {
	roots := c.roots()
	for i := range roots {
		if roots[i].path == "/" {
			return fmt.Errorf("%w: %s must not be the root of the file system", ErrConfig, roots[i].key)
		}
		path, err := resolve(roots[i].path)
		if err != nil {
			return fmt.Errorf("%s: %w", roots[i].key, err)
		}
		roots[i].path = path
	}
	for i, a := range roots {
		for _, b := range roots[i+1:] {
			if err := conflict(a, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func conflict(a, b root) error {
	if a.path == b.path || sameDir(a.path, b.path) {
		return fmt.Errorf("%w: %s and %s are the same directory %s: give each its own", ErrConfig, a.key, b.key, a.path)
	}
	for _, p := range [][2]root{{a, b}, {b, a}} {
		outer, inner := p[0], p[1]
		for _, name := range outer.own {
			if within(filepath.Join(outer.path, name), inner.path) {
				return fmt.Errorf("%w: %s (%s) lies inside %s, which belongs to %s: move it out",
					ErrConfig, inner.key, inner.path, filepath.Join(outer.path, name), outer.key)
			}
		}
	}
	return nil
}

// within reports whether path is dir or below it, by name or by any parent
// being the same directory under another name (a bind mount).
func within(dir, path string) bool {
	for p := path; ; p = filepath.Dir(p) {
		if p == dir || sameDir(p, dir) {
			return true
		}
		if p == filepath.Dir(p) {
			return false
		}
	}
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// resolve follows the links of the longest part of path that exists.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
		return real, err
	}
	parent, err := resolve(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}
