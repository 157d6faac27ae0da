package slot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"teraslot/account"
	"teraslot/mailbox"
)

// errPlaceLost: no file says that a user's mail is elsewhere than on the slot's own partition, and yet
// there is some of it: a move to there begins with such a file, and it goes when nothing is left there.
var errPlaceLost = errors.New("the user has no mail.partition, and mail on another partition: slotctl verify --repair finds where all of it is; until then none is read or taken")

// lostPlace returns errPlaceLost of a user who has no such file: whoever took mail for him would write it
// where half of his mail would be.
func (c *Config) lostPlace(u mailbox.User) error {
	for _, name := range c.partitionNames() {
		p := c.Partitions[name]
		for _, root := range []string{p.Spool, p.Archive} {
			if root == c.Spool || root == c.Archive {
				continue
			}
			packs, err := c.packsBelow(u, root)
			if err != nil {
				return err
			}
			if packs {
				return fmt.Errorf("%s: %w", filepath.Join(root, u.Dir()), errPlaceLost)
			}
		}
	}
	return nil
}

// packsBelow reports whether a user has messages below a root.
func (c *Config) packsBelow(u mailbox.User, root string) (bool, error) {
	names, err := filepath.Glob(filepath.Join(globbed(root), u.Dir(), "*.pack"))
	return len(names) > 0, err
}

// globbed is a path in which nothing stands for anything else.
func globbed(path string) string {
	var b []rune
	for _, r := range path {
		if slices.Contains([]rune(`*?[\`), r) {
			b = append(b, '\\')
		}
		b = append(b, r)
	}
	return string(b)
}

// findPlaces writes the files anew that say where a user's mail and index lie, where they are lost or
// damaged: the mail is where all is that mail.db refers to, the index where there are databases.
func (s *Slot) findPlaces(ctx context.Context, a account.Account, say func(string)) error {
	_, err := s.c.mailRootsOf(a.ID)
	if errors.Is(err, errPlacement) || errors.Is(err, errPlaceLost) {
		err = s.findMail(ctx, a, say)
	}
	if err != nil {
		return err
	}
	if _, err = s.c.tierRootsOf(a.ID); errors.Is(err, errPlacement) {
		at := s.findIndex(a.ID)
		say("index: " + indexPlacement + " was damaged; it is on partition " + at)
		err = s.c.place(a.ID, indexPlacement, placement{at: at})
	}
	return err
}

func (s *Slot) findMail(ctx context.Context, a account.Account, say func(string)) error {
	var whole []string
	var lacks []error
	for _, name := range append([]string{DefaultPartition}, s.c.partitionNames()...) {
		p, err := s.c.partition(name)
		if err != nil {
			return err
		}
		if err := s.store.Holds(a.ID, p.mail()); err != nil {
			lacks = append(lacks, fmt.Errorf("partition %s: %w", name, err))
			continue
		}
		whole = append(whole, name)
	}
	if len(whole) == 0 {
		return fmt.Errorf("all of the mail of %s is on no partition; is each of them mounted? %w", a.Name, errors.Join(lacks...))
	}
	say("mail: " + mailPlacement + " was lost or damaged; all that mail.db refers to is on partition " + whole[0])
	p := placement{at: whole[0]}
	for _, name := range append([]string{DefaultPartition}, s.c.partitionNames()...) {
		other, err := s.c.partition(name)
		if err != nil {
			return err
		}
		there, err := s.c.packsBelow(a.ID, other.Spool)
		if err != nil {
			return err
		}
		if mine, err := s.c.partition(p.at); err != nil {
			return err
		} else if there && other.Spool != mine.Spool {
			p.other = name // what a move has left, or begun with
		}
	}
	if p.other != "" {
		say("mail: what is on partition " + p.other + " is a copy that nothing refers to, and removed")
	}
	if err := s.c.place(a.ID, mailPlacement, p); err != nil {
		return err
	}
	return s.settle(ctx, a, mailPlacement)
}

// findIndex is the partition on which a user has databases; the slot's own if it is none, or more than one:
// they are made anew there.
func (s *Slot) findIndex(u mailbox.User) string {
	var found []string
	for _, name := range s.c.partitionNames() {
		for _, root := range s.c.Partitions[name].tiers() {
			if names, err := filepath.Glob(filepath.Join(globbed(root), u.Dir(), "*")); err == nil && len(names) > 0 && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return DefaultPartition
}
