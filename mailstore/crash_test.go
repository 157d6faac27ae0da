package mailstore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"teraslot/mailbox"
)

// childEnv makes the test binary a process that appends until it is killed, in
// the directory that it names.
const childEnv = "MAILSTORE_TEST_CHILD"

// closingEnv makes the child close the user's databases after every few messages.
const closingEnv = "MAILSTORE_TEST_CLOSING"

// ack is what the child prints for each change that was acknowledged to it.
type ack struct {
	Op      string // append, expunging (told before: UID to UID+3 may go), expunge, move
	Mailbox mailbox.ID
	UID     mailbox.UID
	N       int // number of the message's text
}

// child works on a store as hard as it can and prints each acknowledgement.
func child() {
	dir := os.Getenv(childEnv)
	for env, run := range map[string]func(string) error{readerEnv: readForever, tracedEnv: makeChanges, migrateEnv: openOld} {
		if os.Getenv(env) == "" {
			continue
		}
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	err := work(dir, func(a ack) {
		b, _ := json.Marshal(a) // a struct of strings and numbers
		os.Stdout.Write(append(b, '\n'))
	})
	fmt.Fprintln(os.Stderr, err)
	os.Exit(3)
}

func childOptions(dir string) Options {
	return Options{Conf: dir, Archive: dir + "/archive", ArchiveSize: 6000, PackSize: 200_000, MemoryMessage: 5000}
}

func work(dir string, told func(ack)) error {
	ctx := context.Background()
	o := childOptions(dir)
	o.IdleTime = time.Nanosecond
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	if os.Getenv(closingEnv) != "" {
		for round := 0; ; round++ {
			if err := appendAndClose(ctx, s, 1+round%3, told); err != nil {
				return err
			}
		}
	}
	m, err := s.Acquire(ctx, user1)
	if err != nil {
		return err
	}
	inbox, err := m.MailboxNamed(ctx, Inbox)
	if err != nil {
		return err
	}
	trash, err := m.MailboxNamed(ctx, "Trash")
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	first := int(inbox.UIDNext) * 1000
	tell := func(a ack) {
		mu.Lock()
		told(a)
		mu.Unlock()
	}
	for w := range 3 {
		wg.Go(func() { errs <- appendForever(s, m, inbox.ID, first+w, tell) })
	}
	wg.Go(func() { errs <- tidyForever(m, inbox.ID, trash.ID, tell) })
	return <-errs
}

// appendAndClose adds some messages and closes the user's databases.
func appendAndClose(ctx context.Context, s *Store, messages int, told func(ack)) error {
	m, err := s.Acquire(ctx, user1)
	if err != nil {
		return err
	}
	defer s.CloseIdle()
	defer m.Release()
	inbox, err := m.MailboxNamed(ctx, Inbox)
	if err != nil {
		return err
	}
	for i := range messages {
		n := (int(inbox.UIDNext) + i) * 1000
		msg, err := s.Spool(ctx, strings.NewReader(sized(n, n%9*1000)))
		if err != nil {
			return err
		}
		recs, err := m.Append(ctx, "", Append{Mailbox: inbox.ID, Message: msg})
		if err = errors.Join(err, msg.Close()); err != nil {
			return err
		}
		told(ack{"append", inbox.ID, recs[0].UID, n})
	}
	return nil
}

func appendForever(s *Store, m *Mail, id mailbox.ID, first int, tell func(ack)) error {
	ctx := context.Background()
	for n := first; ; n += 3 {
		msg, err := s.Spool(ctx, strings.NewReader(sized(n, n%9*1000)))
		if err != nil {
			return err
		}
		recs, err := m.Append(ctx, "", Append{Mailbox: id, Message: msg})
		if err = errors.Join(err, msg.Close()); err != nil {
			return err
		}
		tell(ack{"append", id, recs[0].UID, n})
	}
}

// tidyForever moves, expunges, forgets and repacks beside the appends.
func tidyForever(m *Mail, inbox, trash mailbox.ID, tell func(ack)) error {
	ctx := context.Background()
	for round := 0; ; round++ {
		v, err := m.View(ctx, inbox)
		if err != nil {
			return err
		}
		if len(v.Records) < 20 {
			continue
		}
		pick := v.Records[rand.IntN(len(v.Records))].UID
		if round%2 == 0 {
			got, err := m.Move(ctx, "", inbox, mailbox.UIDs(pick), trash)
			if err != nil {
				return err
			}
			if len(got.To) > 0 {
				tell(ack{"move", inbox, pick, int(got.To[0])})
			}
			continue
		}
		set := mailbox.UIDRange(pick, pick+3)
		tell(ack{"expunging", inbox, pick, 0})
		if _, err := m.StoreFlags(ctx, "", inbox, set, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			return err
		}
		gone, _, err := m.Expunge(ctx, "", inbox, &set)
		if err != nil {
			return err
		}
		for _, u := range gone {
			tell(ack{"expunge", inbox, u, 0})
		}
		if round%5 == 0 {
			if _, err := m.Forget(ctx, time.Now().Add(time.Hour)); err != nil {
				return err
			}
			if _, err := m.Repack(ctx, RepackOptions{All: true}); err != nil {
				return err
			}
		}
	}
}

// TestKill kills a process that appends, moves, expunges and repacks, or one that closes the
// databases after every few messages, at random moments, and finds every acknowledged message, and no damage, after each.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, dir+"/archive")
	s, m := openFor(t, childOptions(dir))
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var all []ack
	for round := range rounds(8) {
		after := time.Duration(50+rand.IntN(350)) * time.Millisecond
		var closing []string
		if round%4 == 3 {
			closing = []string{closingEnv + "=1"}
		}
		acks := runChild(t, dir, after, closing...)
		all = append(all, acks...)
		checkAcks(t, dir, all)
		if t.Failed() {
			t.Fatalf("round %d, killed after %v with %d acknowledgements", round, after, len(acks))
		}
	}
	t.Logf("%d acknowledged changes", len(all))
	if len(all) == 0 {
		t.Error("nothing was acknowledged: the test shows nothing")
	}
}

// rounds is n, or COUNT.
func rounds(n int) int {
	if c := os.Getenv("COUNT"); c != "" {
		if _, err := fmt.Sscan(c, &n); err != nil {
			panic(err)
		}
	}
	return n
}

func openFor(t testing.TB, o Options) (*Store, *Mail) {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); err != nil && !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	m, err := s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

// runChild runs the child for a while, kills it, and returns what it had told.
func runChild(t *testing.T, dir string, d time.Duration, env ...string) []ack {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acks []ack
	var timer *time.Timer
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break // a line cut by the kill was not told
		}
		if err != nil {
			t.Fatal(err)
		}
		if timer == nil { // from the first acknowledgement on
			timer = time.AfterFunc(d, func() { cmd.Process.Kill() })
		}
		var a ack
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		acks = append(acks, a)
	}
	if timer != nil {
		timer.Stop()
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("child ended by itself: %v", err)
	}
	return acks
}

// checkAcks opens the store as a new process would and looks for what was
// acknowledged.
func checkAcks(t *testing.T, dir string, acks []ack) {
	t.Helper()
	s, m := openFor(t, childOptions(dir))
	defer func() {
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	verify(t, s, user1)
	live := liveGUIDs(t, m)
	var maybe mailbox.UIDSet // were to be expunged when the process was killed, or before
	gone := map[mailbox.UID]bool{}
	for _, a := range acks {
		switch a.Op {
		case "expunging":
			maybe.AddRange(a.UID, a.UID+3)
		case "expunge":
			gone[a.UID] = true
		}
	}
	for _, a := range acks {
		if a.Op != "append" {
			continue
		}
		there := live[mailbox.GUIDOf([]byte(sized(a.N, a.N%9*1000)))]
		if there && gone[a.UID] {
			t.Errorf("UID %d was expunged and is there", a.UID)
		}
		if !there && !maybe.Contains(a.UID) {
			t.Errorf("UID %d was acknowledged and is missing", a.UID)
		}
	}
}

// liveGUIDs are the messages in all mailboxes.
func liveGUIDs(t *testing.T, m *Mail) map[mailbox.GUID]bool {
	t.Helper()
	live := map[mailbox.GUID]bool{}
	states, err := m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range states {
		v, err := m.View(t.Context(), st.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range v.Records {
			live[r.GUID] = true
		}
	}
	return live
}
