package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"teraslot/bench/daemon"
	"teraslot/slot"
)

// receive delivers messages by LMTP, over a few connections, and waits until all of
// them are indexed.
func (m *month) receive(ctx context.Context, messages int) error {
	type letter struct {
		to *person
		n  int
	}
	letters := make(chan letter, messages)
	for range messages {
		letters <- letter{m.crowd.draw(), m.deck.deal()}
	}
	close(letters)
	var mu sync.Mutex // guards the report, everybody's mail, and errs
	var errs []error
	var group sync.WaitGroup
	for range min(4, messages) {
		group.Go(func() {
			d, err := daemon.DialLMTP(m.running.Addresses().LMTP[0])
			if err == nil {
				defer d.Close()
			}
			for l := range letters {
				if err == nil {
					err = d.Deliver(l.to.name+"@example.org", m.deck.mail[l.n].Raw)
				}
				mu.Lock()
				if err == nil {
					m.report.delivered++
					m.report.bytes += int64(len(m.deck.mail[l.n].Raw))
					l.to.got = append(l.to.got, l.n)
				} else if strings.Contains(err.Error(), `reply "55`) { // no message that a server takes
					m.report.refused++
					err = nil
				} else {
					errs = append(errs, fmt.Errorf("%s: %w", m.deck.mail[l.n].Name, err))
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(errs) > 0 {
		return errs[0]
	}
	return m.w.await(ctx, m.report.delivered)
}

// rename gives somebody another login name. By the next look of the schedule all of his
// index lies in archive: see moved.
func (m *month) rename(ctx context.Context) error {
	p := m.crowd.any()
	to := p.name + "r"
	if err := m.running.client.Change(ctx, "rename", slot.ChangeUser{Name: p.name, To: to}); err != nil {
		return err
	}
	p.name = to
	m.report.renamed++
	if err := m.until(ctx, m.k.Now().Add(61*time.Minute)); err != nil {
		return err
	}
	stats, err := m.reader.tiers.User(p.id).Stats(ctx)
	for _, st := range stats {
		if st.Docs > 0 && st.Database.Tier != "archive" {
			err = fmt.Errorf("%s was renamed, and an hour later has %d documents in %s", p.name, st.Docs, st.Database)
		}
	}
	return err
}

// replace removes somebody, who leaves nothing behind, and adds somebody else.
func (m *month) replace(ctx context.Context) error {
	p := m.crowd.any()
	if err := m.running.client.Change(ctx, "del", slot.ChangeUser{Name: p.name}); err != nil {
		return err
	}
	for _, root := range m.rootPaths() {
		if _, err := os.Lstat(filepath.Join(root, p.id.Dir())); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s was removed, and %s has something of him (%w)", p.name, root, err)
		}
	}
	m.report.removed++
	p.got = nil
	p.name = fmt.Sprintf("new%03d", m.report.removed)
	if err := m.running.client.AddUser(ctx, slot.AddUser{Name: p.name, Password: password}); err != nil {
		return err
	}
	return m.learnIDs(ctx)
}

// rootPaths are the directories that the slot writes below.
func (m *month) rootPaths() []string {
	out := []string{m.config.Conf, m.config.Spool, m.config.Archive}
	for _, root := range m.config.Tiers.Roots() {
		out = append(out, root)
	}
	return out
}

// reboot stops the slot, empties its tmpfs and starts it again: what was in temp is
// in meta.
func (m *month) reboot(ctx context.Context) error {
	before, err := m.documents(ctx)
	if err != nil {
		return err
	}
	if err := m.stop(); err != nil {
		return err
	}
	if err := errors.Join(m.tmpfs.unmount(), m.tmpfs.mount()); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	after, err := m.documents(ctx)
	if err != nil {
		return err
	}
	if after["temp"] != 0 || after["meta"] != before["temp"]+before["meta"] || before["temp"] == 0 {
		return fmt.Errorf("before a stop %v, after the start %v documents", before, after)
	}
	m.report.reboots++
	return nil
}

// documents counts what is in the tiers.
func (m *month) documents(ctx context.Context) (map[string]int, error) {
	out := make(map[string]int)
	for _, p := range m.crowd.people {
		stats, err := m.reader.tiers.User(p.id).Stats(ctx)
		if err != nil {
			return nil, err
		}
		for _, st := range stats {
			out[st.Database.Tier] += st.Docs
		}
	}
	return out, nil
}

// morning checks what the quiet hours are for: nothing is left in temp or meta of
// what was there, and nothing lies where no index knows of it.
func (m *month) morning(ctx context.Context) error {
	docs, err := m.documents(ctx)
	if err != nil {
		return err
	}
	if docs["meta"] != 0 {
		return fmt.Errorf("after the quiet hours meta has %d documents", docs["meta"])
	}
	return m.nothingLeft(ctx)
}

// stamp gives the manifests that were written since the last call the time of the month.
func (m *month) stamp() error {
	done := m.w.compactions()
	if done == m.stamped {
		return nil
	}
	m.stamped = done
	now := m.k.Now()
	for _, root := range m.config.Tiers.Roots() {
		manifests, err := filepath.Glob(filepath.Join(root, "users", "*", "*", "*", "manifest"))
		if err != nil {
			return err
		}
		for _, name := range manifests {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			if info.ModTime().Before(began.AddDate(1, 0, 0)) {
				continue
			}
			if err := os.Chtimes(name, now, now); err != nil {
				return err
			}
		}
	}
	return nil
}
