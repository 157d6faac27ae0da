package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/mailbox"
	"teraslot/search"
	"teraslot/slot"
	"teraslot/squatter"
)

// visits has some users search their mail, each answer compared with a scan, and throw
// some of it away.
func (m *month) visits(ctx context.Context) error {
	for range max(2, m.o.users/25) {
		p := m.crowd.draw()
		if len(p.got) == 0 {
			continue
		}
		if err := m.visit(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func (m *month) visit(ctx context.Context, p *person) (err error) {
	c, err := imapclient.DialInsecure(m.running.Addresses().IMAP[0], nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Login(p.name, password).Wait(); err != nil {
		return err
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return err
	}
	for range 3 {
		if err := m.searchAndScan(ctx, c, p); err != nil {
			return err
		}
	}
	if m.rnd.IntN(2) == 0 {
		return m.throwAway(c)
	}
	return nil
}

var words = regexp.MustCompile(`[A-Za-z]{4,12}|[A-Za-z]{3,6}[ .][A-Za-z]{3,6}`)

// searchAndScan asks for a word of somebody's mail by IMAP, and by a scan that knows no
// index.
func (m *month) searchAndScan(ctx context.Context, c *imapclient.Client, p *person) error {
	raw := m.deck.mail[p.got[m.rnd.IntN(len(p.got))]].Raw
	found := words.FindAll(raw, -1)
	if len(found) == 0 {
		return nil
	}
	word := string(found[m.rnd.IntN(len(found))])
	if n := m.rnd.IntN(2 * len(word)); n > 2 && n < len(word) {
		word = word[:n] // a part of it
	}
	answer, err := c.UIDSearch(&imap.SearchCriteria{Text: []string{word}}, nil).Wait()
	if err != nil {
		return err
	}
	mail, err := m.reader.store.Acquire(ctx, p.id)
	if err != nil {
		return err
	}
	defer mail.Release()
	inbox, err := mail.MailboxNamed(ctx, "INBOX")
	if err != nil {
		return err
	}
	scan, err := m.reader.scan.Search(ctx, search.Request{User: p.id, Mailbox: inbox.ID, Query: search.Anywhere(word)})
	if err != nil {
		return err
	}
	if scan.Stats.Indexed+scan.Stats.Verified > 0 {
		return fmt.Errorf("the scan used an index: %+v", scan.Stats)
	}
	var got []mailbox.UID
	for _, uid := range answer.AllUIDs() {
		got = append(got, mailbox.UID(uid))
	}
	slices.Sort(got)
	if !slices.Equal(got, scan.UIDs) {
		return fmt.Errorf("SEARCH TEXT %q answers %v, a scan %v", word, got, scan.UIDs)
	}
	m.report.searches++
	m.report.hits += len(got)
	return nil
}

// throwAway expunges a part of INBOX.
func (m *month) throwAway(c *imapclient.Client) error {
	all, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return err
	}
	var set imap.UIDSet
	for _, uid := range all.AllUIDs() {
		if m.rnd.IntN(4) == 0 {
			set.AddNum(uid)
		}
	}
	if len(set) == 0 {
		return nil
	}
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(set, store, nil).Close(); err != nil {
		return err
	}
	gone, err := c.Expunge().Collect()
	m.report.expunged += len(gone)
	return err
}

// nothingLeft looks for directories of databases that no activefile names, and for
// those of users who are not there any more.
func (m *month) nothingLeft(ctx context.Context) error {
	there := make(map[mailbox.User]map[string]bool)
	for _, p := range m.crowd.people {
		stats, err := m.reader.tiers.User(p.id).Stats(ctx)
		if err != nil {
			return err
		}
		there[p.id] = make(map[string]bool)
		for _, st := range stats {
			there[p.id][st.Database.String()] = true
		}
	}
	for tier, root := range m.config.Tiers.Roots() {
		found, err := filepath.Glob(filepath.Join(root, "users", "*", "*", "*"))
		if err != nil {
			return err
		}
		for _, dir := range found {
			user, generation := mailbox.User(filepath.Base(filepath.Dir(dir))), filepath.Base(dir)
			if !there[user][tier+":"+generation] {
				return fmt.Errorf("%s is left behind", dir)
			}
		}
	}
	return m.nobodyElse(there)
}

// nobodyElse looks for what there is of users who are not.
func (m *month) nobodyElse(there map[mailbox.User]map[string]bool) error {
	for _, root := range m.rootPaths() {
		users, err := filepath.Glob(filepath.Join(root, "users", "*", "*"))
		if err != nil {
			return err
		}
		for _, dir := range users {
			if there[mailbox.User(filepath.Base(dir))] == nil {
				return fmt.Errorf("%s is of a user who is not there", dir)
			}
		}
	}
	if _, err := os.Stat(m.config.Conf); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the slot is not where it was looked at: %w", err)
	}
	return nil
}

// last checks everything at the end: mail and indexes whole, everything indexed.
func (m *month) last(ctx context.Context) error {
	if err := m.nothingLeft(ctx); err != nil {
		return err
	}
	var errs []error
	err := m.running.client.Verify(ctx, nil, func(f slot.Finding) { errs = append(errs, fmt.Errorf("verify: %v", f)) })
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	q := squatter.New(squatter.Options{Store: m.reader.store, Tiers: m.reader.tiers})
	for _, p := range m.crowd.people {
		a, err := q.Audit(ctx, p.id)
		if err != nil {
			return err
		}
		if !a.Whole() {
			return fmt.Errorf("the index of %s is not whole: %+v", p.name, a)
		}
		m.report.held += a.Held
		m.report.dead += a.Dead
	}
	if most := m.w.peak; most.bytes > m.o.temp {
		return fmt.Errorf("at %v temp held %d bytes, over its size of %d", most.at, most.bytes, m.o.temp)
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	return m.w.troubles()
}
