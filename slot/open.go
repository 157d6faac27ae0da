package slot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"teraslot/disk"
	"teraslot/mailstore"
	"teraslot/message"
	"teraslot/tiers"
)

// ErrOwner is returned where somebody else's process would work on the slot's files.
var ErrOwner = errors.New("not the owner")

// ErrMissing is returned for a slot of which a part is not there.
var ErrMissing = errors.New("a part of the slot is missing")

// CheckOwner refuses to work on a conf root that belongs to another user than
// the process: files made now would be out of the daemon's reach later. A conf
// root that is not there yet has no owner.
func (c *Config) CheckOwner() error {
	info, err := os.Stat(c.Conf)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("conf root: %w", err)
	}
	return owned(c.Conf, info)
}

// ErrEverybodys is returned for a root that everybody may write to.
var ErrEverybodys = errors.New("not the owner's alone")

// CheckRoots refuses roots that belong to another user than the process, or that everybody may write to. Those that are not there
// are passed over.
func (c *Config) CheckRoots() error {
	for _, r := range c.roots() {
		if err := checkRoot(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", r.key, err)
		}
	}
	return nil
}

// owned refuses what is another's, or that others may put something in.
func owned(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be told", path)
	}
	if me := os.Geteuid(); int(st.Uid) != me {
		return fmt.Errorf("%s belongs to user %d and this process runs as user %d: run it as the owner: %w",
			path, st.Uid, me, ErrOwner)
	}
	if info.IsDir() && info.Mode()&0o002 != 0 {
		return fmt.Errorf("%s may be written to by everybody (mode %04o): chmod 0700 it: %w", path, info.Mode().Perm(), ErrEverybodys)
	}
	return nil
}

// CheckLocal refuses a conf root on a network or user-space file system, unless
// the configuration allows it.
func (c *Config) CheckLocal() error {
	err := disk.CheckLocal(c.Conf)
	if errors.Is(err, disk.ErrNotLocal) && c.AllowRemoteConf {
		return nil
	}
	if errors.Is(err, disk.ErrNotLocal) {
		return fmt.Errorf("conf root %w: move it to a local disk, or set allow_remote_conf", err)
	}
	return err
}

// CheckMounted refuses a slot of which a part is not there: below the mount point of
// a partition that is not mounted, mail would be taken and vanish when it is, and
// without conf every recipient would be unknown. Of a new slot nothing is there.
func (c *Config) CheckMounted() error {
	accounts, err := there(c.AccountsFile())
	if err != nil {
		return err
	}
	if accounts {
		spool := filepath.Join(c.Spool, "incoming") // made before the accounts are
		if ok, err := there(spool); err != nil {
			return err
		} else if ok {
			return c.checkMarks()
		}
		return fmt.Errorf("%w: %s is there and %s is not: mount the spool, or make that directory if the spool was lost",
			ErrMissing, c.AccountsFile(), spool)
	}
	for _, root := range c.mailRootPaths() {
		users := filepath.Join(root, "users")
		if ok, err := there(users); err != nil {
			return err
		} else if ok {
			return fmt.Errorf("%w: %s is there and %s is not: mount the conf root, or put it back from a backup",
				ErrMissing, users, c.AccountsFile())
		}
	}
	return nil
}

// ErrNoSlot is returned where a slot has to be there already.
var ErrNoSlot = errors.New("there is no slot yet")

// CheckMade refuses a slot that has not been made: for who only reads or changes one. Of one that has lost a part it
// says which.
func (c *Config) CheckMade() error {
	if made, err := there(c.AccountsFile()); made || err != nil {
		return err
	}
	if err := c.CheckMounted(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w (%s is not there): start the daemon once, or make a user", c.Conf, ErrNoSlot, c.AccountsFile())
}

func there(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// makeRoots makes the roots that are missing, readable by their owner alone.
func (c *Config) makeRoots() error {
	for _, r := range c.roots() {
		if err := disk.MkdirAll(disk.OS(), r.path, 0o700); err != nil {
			return fmt.Errorf("%s: %w", r.key, err)
		}
		if err := checkRoot(r.path); err != nil {
			return fmt.Errorf("%s: %w", r.key, err)
		}
	}
	return nil
}

// checkRoot makes sure that a root is ours. A link is followed only if we or the
// superuser made it: in a directory such as /dev/shm everybody may make names.
func checkRoot(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 {
			if err := owned(path, info); err != nil {
				return err
			}
		}
		if info, err = os.Stat(path); err != nil {
			return err
		}
	}
	return owned(path, info)
}

// MailstoreOptions are the mail's places and limits. The caller adds what it
// wants to be told.
func (c *Config) MailstoreOptions() mailstore.Options {
	var more []mailstore.Roots
	for _, name := range c.partitionNames() {
		more = append(more, c.Partitions[name].mail())
	}
	return mailstore.Options{Conf: c.Conf, Spool: c.Spool, Archive: c.Archive, Roots: c.mailRootsOf, Partitions: more, MaxMessage: int64(c.MaxMessage),
		ArchiveSize: int64(c.Jobs.ArchiveLarger), RetainDeleted: true, Present: c.present, FS: c.Hooks.FS, Now: c.Hooks.Now, Step: c.Hooks.Of("mailstore")}
}

// TiersOptions are the indexes' places.
func (c *Config) TiersOptions() tiers.Options {
	var more []map[string]string
	for _, name := range c.partitionNames() {
		more = append(more, c.Partitions[name].tiers())
	}
	return tiers.Options{
		Conf: c.Conf, Roots: c.Tiers.Roots(), RootsOf: c.tierRootsOf, Partitions: more, DefaultTier: c.Tiers.Default,
		ExtractVersion: uint32(message.ExtractVersion), FS: c.Hooks.FS, Now: c.Hooks.Now, Step: c.Hooks.Of("tiers"),
	}
}

// fileMode returns the path's type bits, or 0 if nothing is there.
func fileMode(path string) (fs.FileMode, bool, error) {
	info, err := os.Lstat(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return info.Mode(), true, nil
}
