package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/bench/daemon"
)

// several is what runs on one user's index at once.
type several struct {
	*world
	t     *testing.T
	ctx   context.Context
	ended func() // ends ctx: the last message was delivered

	runs, held, refused, asked, scans atomic.Int32
}

// squatters are loops of squatter's arguments: each is run over and over, but for
// the first, which rolls.
var squatters = [][][]string{
	{{"-R"}},
	{{"-z", "data", "-t", "temp,data"}, {"-z", "archive", "-t", "data,archive", "-F"}},
	{{"-z", "archive", "-t", "temp,data"}, {"-z", "data", "-t", "archive,data", "-F"}, {"-z", "temp", "-t", "temp"}},
	{{"-i"}, {"-z", "data", "-t", "temp", "-X"}},
}

// TestSeveralSquatters runs two and four squatter processes on one user while imapd
// delivers, expunges and searches, with slotctl and other daemons beside it. COUNT
// is the number of messages for each. Every message is found as soon as it was
// acknowledged, and searches agree with a scan.
func TestSeveralSquatters(t *testing.T) {
	for _, processes := range []int{2, 4} {
		t.Run(fmt.Sprint(processes), func(t *testing.T) {
			runSeveral(t, processes, environ("COUNT", 24))
		})
	}
}

func runSeveral(t *testing.T, processes, messages int) {
	begun := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	s := &several{world: newWorld(t, uint64(environ("SEED", 1)), "[squatter]\noff = true\n[compact]\nby = \"timer\"\n", "anna"), t: t, ctx: ctx, ended: cancel}
	s.slot.Start(t)
	var running sync.WaitGroup
	for _, loop := range squatters[:processes] {
		running.Go(func() { s.squatter(loop) })
	}
	running.Go(s.scan)
	running.Go(s.expungeMany)
	running.Go(s.secondDaemon)
	running.Go(s.slotctl)
	var delivering sync.WaitGroup
	for i := range 2 {
		delivering.Go(func() { s.deliverAndFind(i, messages/2) })
	}
	delivering.Wait()
	s.ended()
	running.Wait()
	log := s.slot.Log()
	s.slot.Stop(t)
	s.check(t, true)
	if t.Failed() {
		t.Fatalf("SEED=%d\n%.4000s", environ("SEED", 1), log)
	}
	t.Logf("proof: %d squatter processes on one user for %.0f s: %d messages found as soon as acknowledged, %d searches agreed with a scan, %d runs of squatter (%d found another compacting), %d second daemons refused, %d runs of slotctl",
		processes, time.Since(begun).Seconds(), s.count(), s.scans.Load(), s.runs.Load(), s.held.Load(), s.refused.Load(), s.asked.Load())
}

// squatter runs the commands of a loop, one after the other.
func (s *several) squatter(loop [][]string) {
	for n := 0; s.ctx.Err() == nil; n++ {
		args := append([]string{"-C", s.slot.Config}, loop[n%len(loop)]...)
		if loop[0][0] != "-R" {
			args = append(args, "-u", "anna")
		}
		out, err := s.toItsEnd("squatter", args...)
		switch {
		case err == nil:
			s.runs.Add(1)
		case strings.Contains(out, "is being compacted by"):
			s.held.Add(1)
		default:
			s.t.Errorf("squatter %q: %v\n%s", args, err, out)
			s.ended()
		}
	}
}

// toItsEnd runs a command, and stops it gracefully when ctx ends.
func (s *several) toItsEnd(name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(s.ctx, daemon.Bin(s.t, name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if s.ctx.Err() != nil {
		err = nil // stopped in the midst of it
	}
	return out.String(), err
}

// deliverAndFind delivers messages and looks for each at once.
func (s *several) deliverAndFind(client, messages int) {
	defer s.ended() // an error ends all
	d, err := daemon.DialLMTP(s.slot.LMTP)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer d.Close()
	c, err := s.open("anna")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	for n := range messages {
		token := fmt.Sprintf("several%dx%dq", client, n)
		if err := s.send(d, "anna", token, n); err != nil {
			s.t.Error(err)
			return
		}
		found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{token}}, nil).Wait()
		if err != nil {
			s.t.Error(err)
			return
		}
		if s.stands(token) && len(found.AllUIDs()) != 1 {
			s.t.Errorf("%s, acknowledged, was found as %v", token, found.AllUIDs())
			return
		}
	}
}

// scan searches for words that some messages have, and compares with what was sent:
// what was acknowledged before has to be found, and nothing may that has no such word.
func (s *several) scan() {
	c, err := s.open("anna")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	for n := 0; s.ctx.Err() == nil; n++ {
		word := animals[n%len(animals)]
		before := s.having(word)
		// New mail is part of the mailbox from here on.
		if err := c.Noop().Wait(); err != nil {
			s.t.Error(err)
			return
		}
		found, err := s.found(c, word)
		if err != nil {
			s.t.Error(err)
			return
		}
		for token := range before {
			if !found[token] && s.stands(token) {
				s.t.Errorf("a search for %s did not find %s", word, token)
			}
		}
		for token := range found {
			if l := s.known(token); l == nil || animals[l.n%len(animals)] != word {
				s.t.Errorf("a search for %s found %q", word, token)
			}
		}
		s.scans.Add(1)
	}
}

// having are the messages that have a word, were acknowledged and stand.
func (s *several) having(word string) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]bool{}
	for token, l := range s.letters {
		if l.acked && !l.doomed && animals[l.n%len(animals)] == word {
			out[token] = true
		}
	}
	return out
}

func (s *several) known(token string) *letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters[token]
}

// found are the subjects of the messages that a search finds.
func (s *several) found(c *imapclient.Client, word string) (map[string]bool, error) {
	answer, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{word}}, nil).Wait()
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	if len(answer.AllUIDs()) == 0 {
		return out, nil
	}
	list, err := c.Fetch(answer.All, &imap.FetchOptions{Envelope: true}).Collect()
	for _, m := range list {
		if m.Envelope != nil { // what is expunged meanwhile has none
			out[m.Envelope.Subject] = true
		}
	}
	return out, err
}

// expungeMany keeps the mailbox small.
func (s *several) expungeMany() {
	c, err := s.open("anna")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer c.Close()
	s.expunge(s.ctx, c)
}

// secondDaemon starts further daemons on the slot, each of which must refuse.
func (s *several) secondDaemon() {
	for s.ctx.Err() == nil {
		out, err := s.toItsEnd("imapd", "serve", "-C", s.slot.Config)
		if s.ctx.Err() != nil {
			return
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(out, fmt.Sprint(s.slot.Pid())) {
			s.t.Errorf("a second daemon ended with %v, and does not name the first, %d: %s", err, s.slot.Pid(), out)
			return
		}
		s.refused.Add(1)
	}
}

// slotctl asks the daemon for what it can do beside deliveries.
func (s *several) slotctl() {
	backups := filepath.Join(s.t.TempDir(), "backups")
	commands := [][]string{{"status"}, {"verify", "anna"}, {"user", "list"}, {"archive", "--all"}, {"repack", "--all"},
		{"backup", backups, "--keep", "2"}, {"expire", "--all"}, {"snapshot"}}
	for n := 0; s.ctx.Err() == nil; n++ {
		args := append([]string{"-C", s.slot.Config}, commands[n%len(commands)]...)
		if out, err := s.toItsEnd("slotctl", args...); err != nil {
			s.t.Errorf("slotctl %q: %v\n%s", args, err, out)
			return
		}
		s.asked.Add(1)
	}
}
