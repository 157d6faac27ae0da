package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/slot"
	"teraslot/tiers"
)

// The partition to which users move.
const otherPartition = "[partitions.other]\nspool = \"other/spool\"\narchive = \"other/archive\"\n" +
	"[partitions.other.tiers]\ntemp = \"other/temp\"\nmeta = \"other/meta\"\ndata = \"other/data\"\narchive = \"other/search\"\n"

// TestEveryCutOfMoves is TestEveryCut for mail that changes its place, its name and its owner: a user moves to another partition and
// back, one of his mailboxes goes to another user, he gets another name, and a third user is removed. In each state a slot
// starts, and then each message is there once, at one owner, and nothing is left where it was.
func TestEveryCutOfMoves(t *testing.T) {
	r := recordMoves(t)
	cuts(t, r, environ("COUNT", 60), checkMoved)
}

// movers are the names of the user who moves: before he is renamed, and after.
var movers = []string{"anna", "annette"}

func recordMoves(t *testing.T) *recording {
	t.Helper()
	s := newStage(t, func(config string) string {
		return strings.Replace(config, "\n[tiers]\n", "\n[squatter]\noff = true\n[jobs]\narchive_larger = \"8KB\"\n[compact]\nby = \"timer\"\n"+otherPartition+"[tiers]\ndefault = \"data\"\n", 1)
	}, "brong", "carla")
	s.deliver(3, 500, 5, 1)
	s.deliverTo("brong", 2)
	s.deliverTo("carla", 4)
	gone := len(s.r.sent) - 1
	s.run("slotctl", "archive", "--all")
	s.run("squatter", "-i")
	s.run("slotctl", "user", "move", "anna", "other")
	s.deliver(7)
	s.run("squatter", "-i", "-u", "anna")
	s.work()
	s.run("slotctl", "mailbox", "move", "anna", "Work", "brong", "Team/Work")
	s.run("slotctl", "user", "rename", "anna", "annette")
	s.run("slotctl", "user", "move", "annette", "default")
	s.mark("doomed %d", gone)
	s.run("slotctl", "user", "del", "carla")
	return s.end()
}

// work makes a mailbox with two of anna's messages.
func (s *stage) work() {
	s.t.Helper()
	c, err := s.slot.DialIMAP("anna", "correct horse")
	s.must(err)
	defer c.Close()
	s.must(c.Create("Work", nil).Wait())
	_, err = c.Select("INBOX", nil).Wait()
	s.must(err)
	seq := imap.SeqSetNum(1)
	seq.AddNum(4)
	_, err = c.Move(seq, "Work").Wait()
	s.must(err)
}

// checkMoved starts a slot in the state, which ends what the cut has interrupted, and looks at everybody's mail.
func checkMoved(t *testing.T, k *opened) error {
	ctx := t.Context()
	text := fmt.Sprintf("root = %q\n[jobs]\narchive_larger = \"8KB\"\n[squatter]\noff = true\n[compact]\nby = \"timer\"\n%s[tiers]\ndefault = \"data\"\ntemp = %q\n",
		filepath.Join(k.dir, "slot"), otherPartition, filepath.Join(k.dir, "temp"))
	c, err := slot.Read(strings.NewReader(text), filepath.Join(k.dir, "slot", "slot.toml"))
	if err != nil {
		return err
	}
	s, err := slot.Open(ctx, c, slot.Options{Offline: true})
	if err != nil {
		return fmt.Errorf("the slot does not start: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	return k.everybody(ctx, c)
}

// everybody verifies the mail and the index of all users, and that each message is there once.
func (k *opened) everybody(ctx context.Context, c *slot.Config) (err error) {
	if k.store, err = mailstore.Open(ctx, c.MailstoreOptions()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.store.Close()) }()
	if k.index, err = tiers.New(c.TiersOptions()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.index.Close()) }()
	users, err := k.users(ctx, c)
	if err != nil {
		return err
	}
	owners := map[[32]byte][]string{}
	for name, u := range users {
		if err := k.moved(ctx, c, name, u, owners); err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
	}
	for i, sum := range k.r.sent {
		if at := owners[sum]; len(at) > 1 || len(at) == 0 && slices.Contains(k.want, i) {
			return fmt.Errorf("message %d is in %q", i, at)
		}
	}
	return nil
}

// users are all accounts. Besides anna, who may have her other name, and brong there is carla, until she is doomed.
func (k *opened) users(ctx context.Context, c *slot.Config) (map[string]mailbox.User, error) {
	accounts, err := account.Open(ctx, c.AccountsFile(), account.Options{})
	if err != nil {
		return nil, err
	}
	defer accounts.Close()
	list, err := accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]mailbox.User{}
	for _, a := range list {
		if a.Removing {
			return nil, fmt.Errorf("the removal of %s is not ended", a.Name)
		}
		out[a.Name] = a.ID
	}
	_, before := out[movers[0]]
	_, after := out[movers[1]]
	if _, there := out["brong"]; before == after || !there {
		return nil, fmt.Errorf("users %v", out)
	}
	dirs, err := filepath.Glob(filepath.Join(k.dir, "slot", "*", "users", "*", "*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		known := false
		for _, id := range out {
			known = known || filepath.Base(dir) == string(id)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		if !known && len(entries) > 0 {
			return nil, fmt.Errorf("%s is left of nobody", dir)
		}
	}
	return out, nil
}

// moved verifies one user's mail and index, adds where each message is, and looks for what is left on the partition that is not his.
func (k *opened) moved(ctx context.Context, c *slot.Config, name string, u mailbox.User, owners map[[32]byte][]string) error {
	if err := k.verified(ctx, u); err != nil {
		return err
	}
	err := k.eachMessage(ctx, u, func(box string, sum [32]byte) { owners[sum] = append(owners[sum], name+" "+box) })
	if err != nil {
		return err
	}
	if err := k.indexed(ctx, u); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return k.onOne(c, u)
}

// onOne looks that a user's packs are on one partition, and his databases.
func (k *opened) onOne(c *slot.Config, u mailbox.User) error {
	for _, what := range [][2][]string{
		{{"slot/spool", "slot/archive"}, {"slot/other/spool", "slot/other/archive"}},
		{{"slot/data", "slot/search", "slot/meta"}, {"slot/other/data", "slot/other/search", "slot/other/meta"}},
	} {
		var found []string
		for _, roots := range what {
			for _, root := range roots {
				files, err := filepath.Glob(filepath.Join(k.dir, root, u.Dir(), "*"))
				if err != nil {
					return err
				}
				if len(files) > 0 {
					found = append(found, files[0])
					break
				}
			}
		}
		if len(found) > 1 {
			return fmt.Errorf("something is on two partitions: %q", found)
		}
	}
	k.done["on one partition"]++
	return nil
}
