package powercut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"teraslot/account"
	"teraslot/backup"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/slot"
	"teraslot/squatter"
	"teraslot/tiers"
)

// opened is a state as a slot finds it after the power came back.
type opened struct {
	r      *recording
	dir    string       // of the state
	config *slot.Config // of the slot in it
	want   []int        // of the recording's sent: acknowledged
	backed bool         // there is a backup
	number int          // of the state
	goOn   bool         // the slot goes on working
	done   map[string]int

	store *mailstore.Store
	index *tiers.Set
}

// configOf is the configuration of the slots of states: what lay in memory is lost
// as a whole.
func configOf(dir string) (*slot.Config, error) {
	text := fmt.Sprintf("root = %q\n[tiers]\ndefault = \"data\"\ntemp = %q\n[jobs]\narchive_larger = \"8KB\"\n", filepath.Join(dir, "slot"), filepath.Join(dir, "temp"))
	return slot.Read(strings.NewReader(text), filepath.Join(dir, "slot", "slot.toml"))
}

// check opens the state as a slot does, and holds what is there against what was
// acknowledged.
func (k *opened) check(ctx context.Context) error {
	c := k.config
	user, err := k.user(ctx, c)
	if err != nil {
		return err
	}
	if k.store, err = mailstore.Open(ctx, c.MailstoreOptions()); err != nil {
		return err
	}
	defer k.store.Close()
	if k.index, err = tiers.New(c.TiersOptions()); err != nil {
		return err
	}
	defer k.index.Close()
	if err := k.verified(ctx, user); err != nil {
		return err
	}
	if err := k.holds(ctx, user); err != nil {
		return err
	}
	if err := k.indexed(ctx, user); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := k.backups(ctx); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if !k.goOn {
		return nil
	}
	return k.work(ctx, c, user)
}

// verified checks a user's mail. What a repack or a delivery that was cut short has left is no damage.
func (k *opened) verified(ctx context.Context, user mailbox.User) error {
	var found []error
	err := k.store.Verify(ctx, user, func(f mailstore.Finding) {
		if !f.Harmless {
			found = append(found, fmt.Errorf("verify: %v", f))
		}
	})
	return errors.Join(append(found, err)...)
}

// user finds the one account.
func (k *opened) user(ctx context.Context, c *slot.Config) (mailbox.User, error) {
	accounts, err := account.Open(ctx, c.AccountsFile(), account.Options{})
	if err != nil {
		return "", err
	}
	defer accounts.Close()
	list, err := accounts.List(ctx)
	if err != nil {
		return "", err
	}
	if len(list) != 1 || list[0].Name != "anna" && list[0].Name != "annette" {
		return "", fmt.Errorf("accounts %v", list)
	}
	return list[0].ID, nil
}

// holds reads all mail, has it searched, and compares.
func (k *opened) holds(ctx context.Context, user mailbox.User) error {
	stored := map[[32]byte]bool{}
	if err := k.eachMessage(ctx, user, func(_ string, sum [32]byte) { stored[sum] = true }); err != nil {
		return err
	}
	for _, i := range k.want {
		if !stored[k.r.sent[i]] {
			return fmt.Errorf("message %d, acknowledged, is gone; %d are there", i, len(stored))
		}
	}
	return nil
}

// eachMessage reads all mail of a user and has it searched: see gets the mailbox and the sum of each message, which was sent.
func (k *opened) eachMessage(ctx context.Context, user mailbox.User, see func(box string, sum [32]byte)) error {
	m, err := k.store.Acquire(ctx, user)
	if err != nil {
		return err
	}
	defer m.Release()
	boxes, err := m.Mailboxes(ctx)
	if err != nil {
		return err
	}
	searcher := search.New(search.Options{Store: k.store, Tiers: k.index, Workers: 1})
	for _, b := range boxes {
		view, err := m.View(ctx, b.ID)
		if err != nil {
			return err
		}
		var texts [][]byte
		for _, rec := range view.Records {
			raw, err := read(ctx, m, b.ID, rec)
			if err != nil {
				return fmt.Errorf("%s: UID %d: %w", b.Name, rec.UID, err)
			}
			// Delivery puts trace lines in front of what was sent.
			i := bytes.Index(raw, []byte(firstLine))
			if i < 0 || !slices.Contains(k.r.sent, sha256.Sum256(raw[i:])) {
				return fmt.Errorf("%s: UID %d is nothing that was sent", b.Name, rec.UID)
			}
			see(b.Name, sha256.Sum256(raw[i:]))
			texts = append(texts, raw)
		}
		if err := k.searched(ctx, searcher, search.Request{User: user, Mailbox: b.ID}, view, texts); err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
	}
	return nil
}

func read(ctx context.Context, m *mailstore.Mail, id mailbox.ID, rec mailbox.Record) ([]byte, error) {
	c, err := m.Open(ctx, id, rec)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return io.ReadAll(io.NewSectionReader(c, 0, rec.Size))
}

// searched compares searches for a word of all messages, and for those of two, with
// a scan.
func (k *opened) searched(ctx context.Context, s *search.Searcher, r search.Request, view *mailstore.View, texts [][]byte) error {
	n := len(k.r.words)
	for _, word := range []string{"letter", k.r.words[k.number%n], k.r.words[(k.number/n)%n]} {
		var want []mailbox.UID
		for i, rec := range view.Records {
			if bytes.Contains(texts[i], []byte(word)) {
				want = append(want, rec.UID)
			}
		}
		r.Query = search.Body(word)
		got, err := s.Search(ctx, r)
		if err != nil {
			return fmt.Errorf("search for %s: %w", word, err)
		}
		if !slices.Equal(got.UIDs, want) {
			return fmt.Errorf("search for %s found %v, a scan %v", word, got.UIDs, want)
		}
		k.done["searches"]++
	}
	return nil
}

// indexed checks all databases that the activefile names.
func (k *opened) indexed(ctx context.Context, user mailbox.User) (err error) {
	index := k.index.User(user)
	verr := index.Verify(ctx, func(d *tiers.Damage) { err = errors.Join(err, d) })
	if err = errors.Join(err, verr); err != nil {
		return err
	}
	snap, err := index.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	if len(snap.Active().Databases) > 0 {
		k.done["with an index"]++
	}
	return nil
}

// backups verifies every generation that is there.
func (k *opened) backups(ctx context.Context) (err error) {
	dir := filepath.Join(k.dir, "backups")
	report := func(place string, e error) { err = errors.Join(err, fmt.Errorf("%s: %w", place, e)) }
	r, oerr := backup.Open(dir, backup.Options{Scratch: filepath.Join(k.dir, "scratch"), Report: report})
	if oerr != nil {
		if !k.backed && (errors.Is(oerr, backup.ErrForeign) || errors.Is(oerr, os.ErrNotExist)) {
			return nil // the cut came before it was one
		}
		return oerr
	}
	all, gerr := r.Generations()
	if gerr != nil {
		return gerr
	}
	if len(all) == 0 && k.backed {
		return errors.New("the backup has no generation any more")
	}
	for _, g := range all {
		if _, verr := r.Verify(ctx, g, nil); verr != nil {
			return verr
		}
		k.done["generations of backups"]++
	}
	return err
}

// work goes on as a slot does: what is missing is indexed, all is compacted, and
// nothing is left over. No generation is used a second time.
func (k *opened) work(ctx context.Context, c *slot.Config, user mailbox.User) error {
	before, err := stamps(c, user)
	if err != nil {
		return err
	}
	q := squatter.New(squatter.Options{Store: k.store, Tiers: k.index, Conf: c.Conf})
	if _, err := q.IndexUser(ctx, user, squatter.IndexOptions{}); err != nil {
		return err
	}
	between, err := stamps(c, user)
	if err != nil {
		return err
	}
	for _, sources := range [][]string{{"data"}, {"temp", "data", "archive"}} {
		if _, err := q.Compact(ctx, user, squatter.CompactOptions{Sources: sources, Dest: "archive"}); err != nil {
			return err
		}
	}
	after, err := stamps(c, user)
	if err != nil {
		return err
	}
	for _, pair := range [][2]map[string]string{{before, between}, {between, after}} {
		for name, id := range pair[1] {
			if was, there := pair[0][name]; there && was != id {
				return fmt.Errorf("%s was another database before the cut", name)
			}
		}
	}
	if err := k.holds(ctx, user); err != nil {
		return err
	}
	audit, err := q.Audit(ctx, user)
	if err != nil {
		return err
	}
	if !audit.Whole() {
		return fmt.Errorf("after all was indexed again: %+v", audit)
	}
	k.done["went on"]++
	return k.leftovers(ctx, user, after)
}

// leftovers looks for databases and files of backups in the making that are not
// live.
func (k *opened) leftovers(ctx context.Context, user mailbox.User, there map[string]string) error {
	snap, err := k.index.User(user).Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	live := map[string]bool{}
	for _, db := range snap.Active().Databases {
		live[db.String()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !live[name] {
			return fmt.Errorf("%s is left over, active is %s", name, snap.Active())
		}
	}
	return nil
}

// manifestID finds a database's id in its manifest.
var manifestID = regexp.MustCompile(`(?m)^id ([0-9a-f]{32}) `)

// stamps are the user's databases on disk, with their ids; one without a manifest
// has none.
func stamps(c *slot.Config, user mailbox.User) (map[string]string, error) {
	out := map[string]string{}
	for tier, root := range c.Tiers.Roots() {
		dirs, err := filepath.Glob(filepath.Join(root, user.Dir(), "*"))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			name := tier + ":" + filepath.Base(dir)
			out[name] = ""
			b, err := os.ReadFile(filepath.Join(dir, "manifest"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			if id := manifestID.FindSubmatch(b); id != nil {
				out[name] = string(id[1])
			}
		}
	}
	return out, nil
}
