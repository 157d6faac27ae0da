package slot

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"teraslot/disk"
)

// The archive partition carries a mark, and the conf root a copy of it: below an empty
// mount point, old mail would read as damage, and below that of another slot as
// another's. So do further partitions of mail. The spool and the conf root are told by what they hold: see CheckMounted.
const (
	markName    = "slot.id"    // below the root
	archiveCopy = "archive.id" // below the conf root
)

// mark is a root that carries a mark.
type mark struct {
	root string
	copy string // the mark's copy below the conf root
}

// marks are those of all roots that carry one.
func (c *Config) marks() []mark {
	out := []mark{{c.Archive, archiveCopy}}
	for _, name := range c.partitionNames() {
		p := c.Partitions[name]
		if p.Spool != c.Spool {
			out = append(out, mark{p.Spool, "spool-" + name + ".id"})
		}
		if p.Archive != c.Archive {
			out = append(out, mark{p.Archive, "archive-" + name + ".id"})
		}
	}
	return out
}

// mailRootPaths are all roots of mail.
func (c *Config) mailRootPaths() []string {
	out := []string{c.Spool}
	for _, m := range c.marks() {
		out = append(out, m.root)
	}
	return out
}

// checkMarks refuses roots that are not the slot's own.
func (c *Config) checkMarks() error {
	var errs []error
	for _, m := range c.marks() {
		errs = append(errs, c.checkMark(m))
	}
	return errors.Join(errs...)
}

// checkMark refuses a root that is not the slot's own. A slot whose conf
// root has no copy of the mark is new, or older than marks, or than this partition, are.
func (c *Config) checkMark(m mark) error {
	mine, err := readMark(filepath.Join(c.Conf, m.copy))
	if err != nil || mine == "" {
		return err
	}
	path := filepath.Join(m.root, markName)
	there, err := readMark(path)
	switch {
	case err != nil:
		return err
	case there == "":
		return fmt.Errorf("%w: %s is not there: mount that partition, or remove %s if it was lost",
			ErrMissing, path, filepath.Join(c.Conf, m.copy))
	case there != mine:
		return fmt.Errorf("%w: %s is the mark of another slot: mount this slot's partition", ErrMissing, path)
	}
	return nil
}

// present refuses a root of mail whose partition is not mounted, of a slot that was opened
// before: see mailstore.Options.
func (c *Config) present(root string) error {
	for _, m := range c.marks() {
		if m.root == root {
			return c.checkMark(m)
		}
	}
	spool := filepath.Join(root, "incoming")
	if ok, err := there(spool); err != nil || ok {
		return err
	}
	return fmt.Errorf("%w: %s: mount the spool", ErrMissing, spool)
}

// markRoots marks the roots that are to carry one.
func (c *Config) markRoots() error {
	for _, m := range c.marks() {
		if err := c.markRoot(m); err != nil {
			return err
		}
	}
	return nil
}

// markRoot marks a root, and then notes in the conf root that it is
// marked. A mark that is there already, by a crash in between, is taken.
func (c *Config) markRoot(m mark) error {
	copied := filepath.Join(c.Conf, m.copy)
	if mine, err := readMark(copied); err != nil || mine != "" {
		return err
	}
	path := filepath.Join(m.root, markName)
	id, err := readMark(path)
	if err != nil {
		return err
	}
	if id == "" {
		var b [16]byte
		if _, err := io.ReadFull(rand.Reader, b[:]); err != nil {
			return err
		}
		id = hex.EncodeToString(b[:])
		if err := writeMark(path, id); err != nil {
			return err
		}
	}
	return writeMark(copied, id)
}

func readMark(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSuffix(string(b), "\n")
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", fmt.Errorf("%s is damaged: it holds no id", path)
	}
	return id, nil
}

func writeMark(path, id string) error {
	return disk.Publish(disk.OS(), path, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, id+"\n")
		return err
	})
}
