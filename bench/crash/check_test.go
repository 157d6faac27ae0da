package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"teraslot/account"
	"teraslot/activefile"
	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/search"
	"teraslot/slot"
	"teraslot/squatter"
	"teraslot/tiers"
)

// check opens the slot as its next start does, and holds all that is there
// against what the outside was told. Nothing may run. With clean, what
// interrupted runs have left is cleaned up as the next compaction does, and
// nothing may be left then.
func (w *world) check(t *testing.T, clean bool) {
	t.Helper()
	c, err := slot.Load(w.slot.Config)
	if err != nil {
		t.Fatal(err)
	}
	// This is the start: what a crash interrupted is finished, or undone.
	s, err := slot.Open(t.Context(), c, slot.Options{Offline: true})
	if err != nil {
		t.Fatalf("the slot does not open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	k := w.checker(t)
	defer k.close()
	accounts, err := k.accounts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	known, names := map[mailbox.User]bool{}, map[string]bool{}
	for _, a := range accounts {
		known[a.ID], names[a.Name] = true, true
		if err := k.user(t.Context(), w, a, found); err != nil {
			t.Errorf("%s (%s): %v", a.Name, a.ID, err)
		}
		if err := k.index(t.Context(), w, a.ID, clean); err != nil {
			t.Errorf("index of %s (%s): %v", a.Name, a.ID, err)
		}
	}
	w.checkLetters(t, found)
	for name, there := range w.names {
		if names[name] != there {
			t.Errorf("an account %s is there: %t, and was said to be: %t", name, names[name], there)
		}
	}
	for id := range known {
		for _, dir := range k.elsewhere(t, id) {
			t.Errorf("%s is left, of a user who is on another partition", dir)
		}
	}
	for _, dir := range k.strangers(known) {
		t.Errorf("%s belongs to no account", dir)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Spool, "incoming", "*")); len(left) > 0 {
		t.Errorf("half-received messages are left: %q", left)
	}
}

// checkLetters holds what was found against what was told.
func (w *world) checkLetters(t *testing.T, found map[string]int) {
	t.Helper()
	for token, l := range w.letters {
		switch n := found[token]; {
		case l.acked && !l.doomed && n == 0:
			t.Errorf("message %s, acknowledged to %s, is gone", token, l.user)
		case l.expunged && n > 0:
			t.Errorf("message %s of %s was expunged, and is back", token, l.user)
		case n > 2 || n == 2 && !l.copied:
			t.Errorf("message %s of %s is there %d times", token, l.user, n)
		}
		delete(found, token)
	}
	for token := range found {
		t.Errorf("nobody sent %q", token)
	}
}

// checker reads a slot of which nothing runs.
type checker struct {
	config   *slot.Config
	accounts *account.Accounts
	store    *mailstore.Store
	tiers    *tiers.Set
	searcher *search.Searcher
	squatter *squatter.Squatter
}

// checker opens the slot, of which nothing may run, beside whoever writes in this process.
func (w *world) checker(t *testing.T) *checker {
	t.Helper()
	c, err := slot.Load(w.slot.Config)
	if err != nil {
		t.Fatal(err)
	}
	k, err := openChecker(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func openChecker(ctx context.Context, c *slot.Config) (k *checker, err error) {
	k = &checker{config: c}
	if k.accounts, err = account.Open(ctx, c.AccountsFile(), account.Options{}); err != nil {
		return nil, err
	}
	mail := c.MailstoreOptions()
	mail.ReadOnly = true
	if k.store, err = mailstore.Open(ctx, mail); err != nil {
		return nil, err
	}
	if k.tiers, err = tiers.New(c.TiersOptions()); err != nil {
		return nil, err
	}
	k.searcher = search.New(search.Options{Store: k.store, Tiers: k.tiers})
	k.squatter = squatter.New(squatter.Options{Store: k.store, Tiers: k.tiers, Conf: c.Conf})
	return k, nil
}

func (k *checker) close() {
	k.tiers.Close()
	k.store.Close()
	k.accounts.Close()
}

// user checks all mail of one user, reads every message, and has it searched.
func (k *checker) user(ctx context.Context, w *world, a account.Account, found map[string]int) error {
	var finding error
	if err := k.store.Verify(ctx, a.ID, func(f mailstore.Finding) { finding = fmt.Errorf("verify: %v", f) }); err != nil || finding != nil {
		return cmpError(err, finding)
	}
	m, err := k.store.Acquire(ctx, a.ID)
	if err != nil {
		return err
	}
	defer m.Release()
	boxes, err := m.Mailboxes(ctx)
	if err != nil {
		return err
	}
	for _, b := range boxes {
		view, err := m.View(ctx, b.ID)
		if err != nil {
			return err
		}
		texts, err := k.read(ctx, w, m, a, b, view)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
		for _, text := range texts {
			found[tokenOf(text)]++
		}
		if err := k.searches(ctx, w, a.ID, b.ID, view, texts); err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
	}
	return nil
}

func cmpError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// read reads a mailbox, and holds each message against what was sent, and each
// place against what was there before.
func (k *checker) read(ctx context.Context, w *world, m *mailstore.Mail, a account.Account, b mailbox.State, view *mailstore.View) ([]string, error) {
	if err := view.Whole(); err != nil {
		return nil, err
	}
	var texts []string
	for _, rec := range view.Records {
		content, err := m.Open(ctx, b.ID, rec)
		if err != nil {
			return nil, fmt.Errorf("UID %d: %w", rec.UID, err)
		}
		raw, err := io.ReadAll(io.NewSectionReader(content, 0, rec.Size))
		content.Close()
		if err != nil {
			return nil, fmt.Errorf("UID %d: %w", rec.UID, err)
		}
		at := place{string(a.ID), string(b.ID), uint32(b.UIDValidity), uint32(rec.UID)}
		if hash := sha256.Sum256(raw); w.seen[at] == [32]byte{} {
			w.seen[at] = hash
		} else if w.seen[at] != hash {
			return nil, fmt.Errorf("UID %d was another message before", rec.UID)
		}
		token := tokenOf(string(raw))
		if l := w.letters[token]; l == nil || !bytes.HasSuffix(raw, message(token, l.n)) {
			return nil, fmt.Errorf("UID %d is not what was sent as %q", rec.UID, token)
		}
		texts = append(texts, string(raw))
	}
	return texts, nil
}

// searches asks for words and compares the answers with a scan of the texts.
func (k *checker) searches(ctx context.Context, w *world, u mailbox.User, id mailbox.ID, view *mailstore.View, texts []string) error {
	words := []string{animals[w.rng.IntN(len(animals))], "quick brown", "nowhere"}
	for range min(2, len(texts)) {
		words = append(words, tokenOf(texts[w.rng.IntN(len(texts))]))
	}
	for _, word := range words {
		var want, wantNot []mailbox.UID
		for i, rec := range view.Records {
			_, body, _ := strings.Cut(texts[i], "\r\n\r\n")
			if strings.Contains(strings.ToLower(body), word) {
				want = append(want, rec.UID)
			} else {
				wantNot = append(wantNot, rec.UID)
			}
		}
		for _, ask := range []struct {
			query search.Query
			want  []mailbox.UID
		}{{search.Body(word), want}, {search.Not{Key: search.Body(word)}, wantNot}} {
			got, err := k.searcher.Search(ctx, search.Request{User: u, Mailbox: id, Query: ask.query})
			if err != nil {
				return fmt.Errorf("search for %q: %w", word, err)
			}
			if !slices.Equal(got.UIDs, ask.want) {
				return fmt.Errorf("search %v for %q found %v, a scan %v", ask.query, word, got.UIDs, ask.want)
			}
		}
	}
	return nil
}

// index checks a user's index, and that no generation is used twice.
func (k *checker) index(ctx context.Context, w *world, u mailbox.User, clean bool) error {
	index := k.tiers.User(u)
	if clean {
		if err := index.Clean(ctx); err != nil {
			return err
		}
	}
	var damage error
	if err := index.Verify(ctx, func(d *tiers.Damage) { damage = d }); err != nil || damage != nil {
		return cmpError(err, damage)
	}
	snap, err := index.Snapshot(ctx)
	if err != nil {
		return err
	}
	active := snap.Active()
	snap.Close()
	there, err := k.databases(u)
	if err != nil {
		return err
	}
	if err := w.generations(u, active, there); err != nil {
		return err
	}
	if !clean {
		return nil
	}
	return k.leftovers(u, active, there)
}

// generations holds that a database's name never means two, and that counters
// only rise. What an activefile has not given yet was made for nobody.
func (w *world) generations(u mailbox.User, active activefile.Active, there map[string]string) error {
	for name, stamp := range there {
		key := string(u) + " " + name
		if db, err := activefile.Parse(name); err != nil || db.Generation >= active.Next[db.Tier] {
			continue
		}
		if w.retired[key] {
			return fmt.Errorf("%s was there, was gone, and is back", name)
		}
		if before := w.stamps[key]; before != "" && before != stamp {
			return fmt.Errorf("%s is another database than before: id %s, not %s", name, stamp, before)
		}
		w.stamps[key] = stamp
	}
	for key := range w.stamps {
		user, name, _ := strings.Cut(key, " ")
		if _, ok := there[name]; user == string(u) && !ok {
			w.retired[key] = true
		}
	}
	for tier, next := range active.Next {
		key := string(u) + " " + tier
		if next < w.next[key] {
			return fmt.Errorf("the next generation of %s is %d, and was %d", tier, next, w.next[key])
		}
		w.next[key] = next
	}
	return nil
}

// manifestID finds a database's id in its manifest.
var manifestID = regexp.MustCompile(`(?m)^id ([0-9a-f]{32}) `)

// databases are the user's databases on disk that are any, with their ids. Other
// directories are what an interrupted run began.
func (k *checker) databases(u mailbox.User) (map[string]string, error) {
	out := map[string]string{}
	roots, err := k.config.TiersOptions().RootsOf(u)
	if err != nil {
		return nil, err
	}
	for tier, root := range roots {
		manifests, err := filepath.Glob(filepath.Join(root, u.Dir(), "*", "manifest"))
		if err != nil {
			return nil, err
		}
		for _, file := range manifests {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			id := manifestID.FindSubmatch(b)
			if id == nil {
				return nil, fmt.Errorf("%s has no id", file)
			}
			out[tier+":"+filepath.Base(filepath.Dir(file))] = string(id[1])
		}
	}
	return out, nil
}

// leftovers looks for anything below the tiers' roots that is not live.
func (k *checker) leftovers(u mailbox.User, active activefile.Active, there map[string]string) error {
	live := map[string]bool{}
	for _, db := range active.Databases {
		live[db.String()] = true
	}
	for name := range there {
		if !live[name] {
			return fmt.Errorf("%s is on disk, active is %s", name, active)
		}
	}
	roots, err := k.config.TiersOptions().RootsOf(u)
	if err != nil {
		return err
	}
	for tier, root := range roots {
		dirs, err := filepath.Glob(filepath.Join(root, u.Dir(), "*"))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			name := tier + ":" + filepath.Base(dir)
			if !live[name] {
				return fmt.Errorf("%s is left, active is %s", dir, active)
			}
			if err := onlyNamed(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// onlyNamed holds that a live database has no file that its manifest does not name.
func onlyNamed(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "manifest"))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "store", "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		number, _, _ := strings.Cut(filepath.Base(f), ".")
		n, err := parseHex(number)
		if err != nil || !strings.Contains(string(b), fmt.Sprintf("\nsegment %d ", n)) {
			return fmt.Errorf("%s is left: no segment of its database", f)
		}
	}
	return nil
}

func parseHex(s string) (n uint64, err error) {
	_, err = fmt.Sscanf(s, "%x", &n)
	return n, err
}

// everyRoot are all roots of mail and indexes.
func (k *checker) everyRoot() (out []string) {
	mail, index := k.config.MailstoreOptions(), k.config.TiersOptions()
	for _, r := range append([]mailstore.Roots{{Spool: mail.Spool, Archive: mail.Archive}}, mail.Partitions...) {
		out = append(out, r.Spool, r.Archive)
	}
	for _, roots := range append([]map[string]string{index.Roots}, index.Partitions...) {
		out = slices.AppendSeq(out, maps.Values(roots))
	}
	return out
}

// elsewhere is what a user has below roots that are not his.
func (k *checker) elsewhere(t *testing.T, u mailbox.User) (out []string) {
	t.Helper()
	mail, err := k.config.MailstoreOptions().Roots(u)
	if err != nil {
		t.Fatal(err)
	}
	index, err := k.config.TiersOptions().RootsOf(u)
	if err != nil {
		t.Fatal(err)
	}
	his := slices.AppendSeq([]string{mail.Spool, mail.Archive}, maps.Values(index))
	for _, root := range k.everyRoot() {
		dir := filepath.Join(root, u.Dir())
		if _, err := os.Stat(dir); err == nil && !slices.Contains(his, root) {
			out = append(out, dir)
		}
	}
	return out
}

// strangers are directories of users who have no account.
func (k *checker) strangers(known map[mailbox.User]bool) []string {
	var out []string
	for _, root := range append(k.everyRoot(), k.config.Conf) {
		dirs, _ := filepath.Glob(filepath.Join(root, "users", "*", "*"))
		for _, dir := range dirs {
			if !known[mailbox.User(filepath.Base(dir))] {
				out = append(out, dir)
			}
		}
	}
	return out
}
