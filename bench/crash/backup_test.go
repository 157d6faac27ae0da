package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/backup"
	"teraslot/bench/daemon"
)

// TestKillBackup kills slotctl backup at random moments while mail comes in and
// goes, and the daemon once. Every generation that is there stays whole. Then the
// slot's directory is deleted, and what the last backup has is there again: every
// message, flag and UID.
func TestKillBackup(t *testing.T) {
	rounds := environ("COUNT", 3)
	rng := rand.New(rand.NewPCG(uint64(environ("SEED", 1)), 11))
	dir := t.TempDir()
	w := newWorld(t, 11, "[squatter]\ndelay = \"20ms\"\n", "anna", "brong")
	w.slot.Start(t)
	into := filepath.Join(dir, "backups")
	killed, finished := 0, 0
	for round := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i := range 3 {
			running.Go(func() { w.deliver(ctx, round, i) })
		}
		running.Go(func() { w.tidy(ctx) })
		for range 3 {
			if w.backupKilled(t, into, time.Duration(5+rng.IntN(1500))*time.Millisecond) {
				killed++
			} else {
				finished++
			}
		}
		if round == rounds/2 {
			w.slot.Kill()
		}
		cancel()
		running.Wait()
		if round == rounds/2 {
			w.slot.Start(t)
		}
		verifyAll(t, into)
	}
	if out, err := w.slot.Run(t.Context(), t, "", "slotctl", "--config", w.slot.Config, "backup", into, "--keep", "2"); err != nil {
		t.Fatal(out, err)
	}
	want := map[string][]string{}
	for _, u := range w.users {
		want[u] = w.everything(t, u)
	}
	w.slot.Stop(t)
	if err := os.RemoveAll(w.slot.Root); err != nil {
		t.Fatal(err)
	}
	again := daemon.New(t, w.slot.Root, "")
	if out, err := again.Run(t.Context(), t, "", "slotctl", "--config", again.Config, "restore", into, "--slot"); err != nil {
		t.Fatal(out, err)
	}
	again.Start(t)
	defer again.Stop(t)
	messages := 0
	for _, u := range w.users {
		got := (&world{slot: again}).everything(t, u)
		if !slices.Equal(got, want[u]) {
			t.Errorf("%s has %d lines, not %d:\n%s\nwant\n%s", u, len(got), len(want[u]), strings.Join(got, "\n"), strings.Join(want[u], "\n"))
		}
		messages += len(got)
		if out, err := again.Run(t.Context(), t, "", "slotctl", "--config", again.Config, "verify", u); err != nil {
			t.Errorf("verify %s: %v\n%s", u, err, out)
		}
	}
	t.Logf("proof: %d backups killed and %d finished beside deliveries, every generation whole; %d mailboxes and messages restored after the slot's directory was deleted",
		killed, finished, messages)
}

// backupKilled runs a backup, and kills it if it has not ended by then.
func (w *world) backupKilled(t *testing.T, into string, after time.Duration) bool {
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, daemon.Bin(t, "slotctl"), "--config", w.slot.Config, "backup", into, "--keep", "3") // killed by SIGKILL
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Errorf("backup: %v\n%s", err, out)
	}
	return err != nil
}

// verifyAll reads all generations that are there.
func verifyAll(t *testing.T, dir string) {
	t.Helper()
	r, err := backup.Open(dir, backup.Options{Scratch: filepath.Join(t.TempDir(), "scratch"), Report: func(place string, err error) {
		t.Errorf("%s: %v", place, err)
	}})
	if errors.Is(err, backup.ErrForeign) {
		return // killed before it was one
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Generations()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if _, err := r.Verify(t.Context(), g, nil); err != nil {
			t.Error(err)
		}
	}
}

// tidy flags and expunges as people do.
func (w *world) tidy(ctx context.Context) {
	c, err := w.slot.DialIMAP("anna", password)
	if err != nil {
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		data, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			return
		}
		if data.NumMessages < 10 {
			continue
		}
		seq := imap.SeqSetNum(1, data.NumMessages/2)
		if c.Store(seq, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close() != nil || c.Expunge().Close() != nil {
			return
		}
	}
}

// everything lists what a client sees of a user: mailboxes, UIDs, flags, dates, octets.
func (w *world) everything(t *testing.T, user string) []string {
	t.Helper()
	c, err := w.slot.DialIMAP(user, password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, b := range boxes {
		data, err := c.Select(b.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s V%d %d messages", b.Mailbox, data.UIDValidity, data.NumMessages))
		if data.NumMessages > 0 {
			out = append(out, messagesOf(t, c, b.Mailbox)...)
		}
	}
	slices.Sort(out)
	return out
}

func messagesOf(t *testing.T, c *imapclient.Client, name string) []string {
	t.Helper()
	var all imap.UIDSet
	all.AddRange(1, 0)
	list, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range list {
		flags := slices.DeleteFunc(m.Flags, func(f imap.Flag) bool { return f == `\Recent` })
		slices.Sort(flags)
		out = append(out, fmt.Sprintf("%s %d %q %v %x", name, m.UID, flags, m.InternalDate, m.BodySection[0].Bytes))
	}
	return out
}
