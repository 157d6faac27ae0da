package slot

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"teraslot/mailbox"
	"teraslot/mailstore"
)

// Partition is a set of roots beside the slot's own, for users who are moved there
// (slotctl user move). What it leaves out is the slot's own.
type Partition struct {
	Spool   string `toml:"spool"`
	Archive string `toml:"archive"`
	Tiers   struct {
		Temp    string `toml:"temp"`
		Meta    string `toml:"meta"`
		Data    string `toml:"data"`
		Archive string `toml:"archive"`
	} `toml:"tiers"`
}

// DefaultPartition is the name of the slot's own roots.
const DefaultPartition = "default"

// partitionName is the form of other names.
var partitionName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// completePartitions makes the roots of all partitions absolute and fills in what they
// leave out.
func (c *Config) completePartitions(abs func(p *string, fallback string)) {
	for name, p := range c.Partitions {
		abs(&p.Spool, c.Spool)
		abs(&p.Archive, c.Archive)
		abs(&p.Tiers.Temp, c.Tiers.Temp)
		abs(&p.Tiers.Meta, c.Tiers.Meta)
		abs(&p.Tiers.Data, c.Tiers.Data)
		abs(&p.Tiers.Archive, c.Tiers.Archive)
		c.Partitions[name] = p
	}
}

// checkPartitions checks their names, and that each has a root of its own.
func (c *Config) checkPartitions() error {
	for name, p := range c.Partitions {
		switch {
		case name == DefaultPartition || !partitionName.MatchString(name):
			return fmt.Errorf("%w: partitions.%s: the name is \"default\", or not made of a-z, 0-9 and -", ErrConfig, name)
		case p.mail() == c.mailRoots() && maps.Equal(p.tiers(), c.Tiers.Roots()):
			return fmt.Errorf("%w: partitions.%s has no root of its own", ErrConfig, name)
		}
	}
	return nil
}

func (p Partition) mail() mailstore.Roots { return mailstore.Roots{Spool: p.Spool, Archive: p.Archive} }

func (p Partition) tiers() map[string]string {
	t := p.Tiers
	return Tiers{Temp: t.Temp, Meta: t.Meta, Data: t.Data, Archive: t.Archive}.Roots()
}

func (c *Config) mailRoots() mailstore.Roots {
	return mailstore.Roots{Spool: c.Spool, Archive: c.Archive}
}

// partitionNames are the names of all partitions but the slot's own.
func (c *Config) partitionNames() []string { return slices.Sorted(maps.Keys(c.Partitions)) }

// partition is the one of that name.
func (c *Config) partition(name string) (Partition, error) {
	if name == DefaultPartition {
		p := Partition{Spool: c.Spool, Archive: c.Archive}
		p.Tiers.Temp, p.Tiers.Meta, p.Tiers.Data, p.Tiers.Archive = c.Tiers.Temp, c.Tiers.Meta, c.Tiers.Data, c.Tiers.Archive
		return p, nil
	}
	p, ok := c.Partitions[name]
	if !ok {
		return p, fmt.Errorf("%w: the configuration has no partition %q; it has %s", ErrMissing, name,
			strings.Join(append([]string{DefaultPartition}, c.partitionNames()...), ", "))
	}
	return p, nil
}

// ownRoots are the roots of the partitions that are not the slot's own.
func (c *Config) ownRoots() (out []root) {
	users := []string{"users"}
	for _, name := range c.partitionNames() {
		p, key := c.Partitions[name], "partitions."+name
		for _, r := range []struct {
			key, path, slots string
		}{
			{".spool", p.Spool, c.Spool}, {".archive", p.Archive, c.Archive}, {".tiers.temp", p.Tiers.Temp, c.Tiers.Temp},
			{".tiers.meta", p.Tiers.Meta, c.Tiers.Meta}, {".tiers.data", p.Tiers.Data, c.Tiers.Data}, {".tiers.archive", p.Tiers.Archive, c.Tiers.Archive},
		} {
			if r.path != r.slots {
				out = append(out, root{key + r.key, r.path, users})
			}
		}
	}
	return out
}

// mailRootsOf and tierRootsOf tell where what a user has lies.
func (c *Config) mailRootsOf(u mailbox.User) (mailstore.Roots, error) {
	p, err := c.partitionOf(u, mailPlacement)
	return p.mail(), err
}

func (c *Config) tierRootsOf(u mailbox.User) (map[string]string, error) {
	p, err := c.partitionOf(u, indexPlacement)
	return p.tiers(), err
}

// tempKeyOf is the key of the root where a user's temp lies: partitions that have none of
// their own share the slot's.
func (c *Config) tempKeyOf(u mailbox.User) (string, error) {
	at, err := c.placement(u, indexPlacement)
	if err != nil {
		return "", err
	}
	p, err := c.partition(at.at)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.placementFile(u, indexPlacement), err)
	}
	if p.Tiers.Temp == c.Tiers.Temp {
		return "tiers.temp", nil
	}
	return "partitions." + at.at + ".tiers.temp", nil
}

func (c *Config) partitionOf(u mailbox.User, kind string) (Partition, error) {
	at, err := c.placement(u, kind)
	if err != nil {
		return Partition{}, err
	}
	p, err := c.partition(at.at)
	if err != nil {
		return p, fmt.Errorf("%s: %w", c.placementFile(u, kind), err)
	}
	return p, nil
}

func (c *Config) placementFile(u mailbox.User, kind string) string {
	return filepath.Join(c.Conf, u.Dir(), kind)
}
