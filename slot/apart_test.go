package slot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestCheckApart: a backup never lies in the slot, nor the slot in a backup, by
// whatever name.
func TestCheckApart(t *testing.T) {
	dir := t.TempDir()
	c := &Config{Root: filepath.Join(dir, "slot")}
	c.completePaths(dir)
	if err := os.MkdirAll(c.Conf, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(c.Conf, link); err != nil {
		t.Fatal(err)
	}
	for path, fine := range map[string]bool{
		filepath.Join(dir, "backups"):         true,
		filepath.Join(dir, "slotted"):         true,
		filepath.Join(c.Root, "backups"):      true,
		c.Conf:                                false,
		filepath.Join(c.Spool, "backups"):     false,
		filepath.Join(link, "backups", "new"): false,
		c.Root:                                false,
		dir:                                   false,
	} {
		if err := c.CheckApart(path); fine != (err == nil) || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
