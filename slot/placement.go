package slot

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"teraslot/disk"
	"teraslot/mailbox"
)

// The files that say on which partition a user's mail and index lie, in the user's directory
// below the conf root. docs/formats.md draws them. Who has none is on the slot's own.
const (
	mailPlacement  = "mail.partition"
	indexPlacement = "index.partition"
)

// placement is what such a file says.
type placement struct {
	at string // the partition
	// other is one to or from which a move is under way: the user has nothing there that
	// counts. "" if none is.
	other string
}

const placementHead = "teraslot partition 1\n"

// errPlacement: such a file is none, or damaged.
var errPlacement = errors.New("does not say on which partition the user is")

func (p placement) String() string {
	text := placementHead + "at " + p.at + "\n"
	if p.other != "" {
		text += "other " + p.other + "\n"
	}
	return fmt.Sprintf("%scrc %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func parsePlacement(text string) (p placement, err error) {
	lines := strings.Split(strings.TrimPrefix(text, placementHead), "\n")
	p.at, _ = strings.CutPrefix(lines[0], "at ")
	if len(lines) > 1 {
		p.other, _ = strings.CutPrefix(lines[1], "other ")
		if p.other == lines[1] {
			p.other = ""
		}
	}
	if p.at == "" || p.String() != text {
		return placement{}, errPlacement
	}
	return p, nil
}

// hooked is the disk, as a test may have it fail.
func (c *Config) hooked() disk.FS {
	if c.Hooks.FS != nil {
		return c.Hooks.FS
	}
	return disk.OS()
}

// placement reads where a user's mail or index lies.
func (c *Config) placement(u mailbox.User, kind string) (placement, error) {
	path := c.placementFile(u, kind)
	b, err := disk.ReadFile(c.hooked(), path)
	if errors.Is(err, fs.ErrNotExist) {
		if kind == mailPlacement {
			err = c.lostPlace(u)
		} else {
			err = nil
		}
		return placement{at: DefaultPartition}, err
	}
	if err != nil {
		return placement{}, err
	}
	p, err := parsePlacement(string(b))
	if err != nil {
		return p, fmt.Errorf("%s: %w: slotctl verify --repair finds it, and writes it anew", path, err)
	}
	return p, nil
}

// place says where a user's mail or index lies, from now on and after any crash.
func (c *Config) place(u mailbox.User, kind string, p placement) error {
	path := c.placementFile(u, kind)
	if p == (placement{at: DefaultPartition}) {
		err := c.hooked().Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(err, c.hooked().SyncDir(filepath.Dir(path)))
	}
	return disk.Publish(c.hooked(), path, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, p.String())
		return err
	})
}
