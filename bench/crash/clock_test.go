package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestClockSteps steps the clock of a running imapd back an hour, ahead a day and back again,
// as a machine does that asks for the time late, with mail delivered, copied, expunged,
// indexed, compacted, archived, forgotten and saved at each of them, sessions open all
// the while, and kills in between. Nothing is lost or given twice, and nobody waits for the
// clock to come back to where it was.
func TestClockSteps(t *testing.T) {
	w := newWorld(t, 1, slotOfSteps, "anna", "brong")
	file := filepath.Join(t.TempDir(), "clock")
	w.slot.Steps = "clock-of:" + file
	steps := []string{"0s", "-1h", "24h", "-1h", "1h"}
	var validities []uint32
	var open *imapclient.Client
	for i, skew := range steps {
		w.stepClock(t, file, skew)
		if i%3 == 0 { // otherwise it steps while the server runs
			if i > 0 {
				open.Close()
				w.slot.Kill()
				w.check(t, false)
			}
			w.slot.Start(t)
			open = w.opened(t)
		}
		w.some(t, fmt.Sprintf("clock%d", i), 8)
		if err := open.Noop().Wait(); err != nil {
			t.Fatalf("a session from before the step to %s: %v", skew, err)
		}
		if err := w.appendTo(open, fmt.Sprintf("appended%dq", i)); err != nil {
			t.Fatal(err)
		}
		if err := w.expungeSeq(open, 1, 2); err != nil {
			t.Fatal(err)
		}
		validities = append(validities, w.newMailbox(t, i))
		for _, args := range [][]string{{"archive", "--all"}, {"expire", "--all"}, {"repack", "--all"}, {"snapshot"}, {"purge", "anna"}} {
			job(args...)(t, w, i)
		}
		w.indexed(t)
	}
	w.served(t)
	open.Close()
	w.slot.Stop(t)
	w.check(t, true)
	for i, v := range validities[1:] {
		if v <= validities[i] {
			t.Errorf("a mailbox that was made later has UIDVALIDITY %d, the one before %d", v, validities[i])
		}
	}
	if t.Failed() {
		t.Log(w.slot.Log())
	}
	t.Logf("proof: %d steps of the clock, %q; %d acknowledged messages, none lost", len(steps)-1, steps, w.count())
}

// stepClock sets what the clock of the slot is off.
func (w *world) stepClock(t *testing.T, file, skew string) {
	t.Helper()
	// At once: the daemon reads it at any moment.
	if err := os.WriteFile(file+".new", []byte(skew), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// opened is a session of anna's in INBOX.
func (w *world) opened(t *testing.T) *imapclient.Client {
	t.Helper()
	c, err := w.open("anna")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newMailbox makes a mailbox in the place of one of the same name, and returns its UIDVALIDITY.
func (w *world) newMailbox(t *testing.T, n int) uint32 {
	t.Helper()
	c := w.opened(t)
	defer c.Close()
	if n > 0 {
		if err := c.Delete("Again").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Create("Again", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := c.Status("Again", &imap.StatusOptions{UIDValidity: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return data.UIDValidity
}
