package slot

import (
	"fmt"
	"path/filepath"
)

// CheckApart refuses a directory, there or not, that lies inside one of the slot's
// roots, or in which one lies: what is kept there would go with the slot, or be taken
// for a part of it.
func (c *Config) CheckApart(dir string) error {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = resolve(dir)
	}
	if err != nil {
		return err
	}
	for _, r := range c.roots() {
		root, err := resolve(r.path)
		if err != nil {
			return fmt.Errorf("%s: %w", r.key, err)
		}
		if within(root, dir) || within(dir, root) {
			return fmt.Errorf("%w: %s and %s (%s) lie inside one another: keep them apart, best on another machine's disk",
				ErrConfig, dir, r.key, root)
		}
	}
	return nil
}
