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
// another's. The spool and the conf root are told by what they hold: see CheckMounted.
const (
	archiveMark = "slot.id"    // below the archive root
	archiveCopy = "archive.id" // below the conf root
)

// checkArchive refuses an archive root that is not the slot's own. A slot whose conf
// root has no copy of the mark is new, or older than marks are.
func (c *Config) checkArchive() error {
	mine, err := readMark(filepath.Join(c.Conf, archiveCopy))
	if err != nil || mine == "" {
		return err
	}
	path := filepath.Join(c.Archive, archiveMark)
	there, err := readMark(path)
	switch {
	case err != nil:
		return err
	case there == "":
		return fmt.Errorf("%w: %s is not there: mount the archive partition, or remove %s if it was lost",
			ErrMissing, path, filepath.Join(c.Conf, archiveCopy))
	case there != mine:
		return fmt.Errorf("%w: %s is the mark of another slot: mount this slot's archive partition", ErrMissing, path)
	}
	return nil
}

// present refuses a root of mail whose partition is not mounted, of a slot that was opened
// before: see mailstore.Options.
func (c *Config) present(root string) error {
	if root != c.Spool {
		return c.checkArchive()
	}
	spool := filepath.Join(root, "incoming")
	if ok, err := there(spool); err != nil || ok {
		return err
	}
	return fmt.Errorf("%w: %s: mount the spool", ErrMissing, spool)
}

// markArchive marks the archive root, and then notes in the conf root that it is
// marked. A mark that is there already, by a crash in between, is taken.
func (c *Config) markArchive() error {
	copied := filepath.Join(c.Conf, archiveCopy)
	if mine, err := readMark(copied); err != nil || mine != "" {
		return err
	}
	path := filepath.Join(c.Archive, archiveMark)
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
