package mailstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/message"
)

// corpus unpacks a corpus of real mail from the directory CORPUS.
func corpus(t testing.TB, name string) [][]byte {
	t.Helper()
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: no real mail to test with")
	}
	to := memoryDir(t)
	if out, err := exec.Command("tar", "-xJf", filepath.Join(dir, name+".tar.xz"), "-C", to).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", name, err, out)
	}
	var all [][]byte
	err := filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b)
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d messages: %v", len(all), err)
	}
	return all
}

// TestCorpusDelivery delivers real mail by one and by four writers and reads
// all of it back. It prints the rates.
func TestCorpusDelivery(t *testing.T) {
	all := corpus(t, "spamassassin")
	for _, tc := range []struct{ writers, users int }{{1, 1}, {4, 1}, {4, 4}} {
		t.Run(fmt.Sprintf("writers=%d users=%d", tc.writers, tc.users), func(t *testing.T) {
			deliverCorpus(t, all, tc.writers, tc.users)
		})
	}
}

func deliverCorpus(t *testing.T, all [][]byte, writers, users int) {
	ctx := context.Background()
	var syncs atomic.Int64
	s, err := Open(ctx, Options{Conf: t.TempDir(), Step: func(step string) {
		if step == StepPackSynced {
			syncs.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mails := make([]*Mail, users)
	inboxes := make([]mailbox.ID, users)
	for i := range users {
		u := mailbox.User(fmt.Sprintf("%032x", i))
		if err := s.CreateUser(ctx, u, UserOptions{}); err != nil {
			t.Fatal(err)
		}
		if mails[i], err = s.Acquire(ctx, u); err != nil {
			t.Fatal(err)
		}
		defer mails[i].Release()
		inboxes[i] = named(t, mails[i], Inbox).ID
	}
	var slowest atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := w; n < len(all); n += writers {
				began := time.Now()
				if err := deliverOne(ctx, s, mails[w%users], inboxes[w%users], all[n]); err != nil {
					t.Error(err)
					return
				}
				if d := int64(time.Since(began)); d > slowest.Load() {
					slowest.Store(d)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	t.Logf("%d messages in %v: %.0f a second, %d syncs of packs and as many of WALs; the slowest took %v", len(all), took.Round(time.Millisecond),
		float64(len(all))/took.Seconds(), syncs.Load(), time.Duration(slowest.Load()).Round(time.Microsecond))
	for i, m := range mails {
		verify(t, s, m.User())
		readBack(t, m, inboxes[i])
	}
}

func deliverOne(ctx context.Context, s *Store, m *Mail, id mailbox.ID, body []byte) error {
	msg, err := s.Spool(ctx, bytes.NewReader(body))
	if err != nil {
		return err
	}
	_, err = m.Append(ctx, "", Append{Mailbox: id, Message: msg})
	return errors.Join(err, msg.Close())
}

// readBack reads all cached structures, and compares them with the messages.
func readBack(t *testing.T, m *Mail, id mailbox.ID) {
	t.Helper()
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	err = m.Structures(t.Context(), v.Records, func(i int, s *message.Structure) error {
		c, err := m.Open(t.Context(), id, v.Records[i])
		if err != nil {
			return err
		}
		defer c.Close()
		fresh, err := message.Parse(c, c.Size)
		if err != nil {
			return err
		}
		a, errA := s.AppendBinary(nil)
		b, errB := fresh.AppendBinary(nil)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return fmt.Errorf("UID %d: cached structure differs", v.Records[i].UID)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTorture stores the malformed mail of other projects' test suites.
func TestTorture(t *testing.T) {
	all := corpus(t, "mime-torture")
	s, m := newStore(t, Options{Conf: memoryDir(t)})
	id := named(t, m, Inbox).ID
	for _, body := range all {
		if err := deliverOne(t.Context(), s, m, id, body); err != nil {
			t.Error(err)
		}
	}
	readBack(t, m, id)
}
