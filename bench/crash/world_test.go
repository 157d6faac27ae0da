package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"teraslot/account"
	"teraslot/bench/daemon"
	"teraslot/mailstore"
	"teraslot/slot"
)

func TestMain(m *testing.M) {
	daemon.Tags("steps")
	code := m.Run()
	daemon.Clean()
	os.Exit(code)
}

func environ(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

const password = "correct horse"

// letter is a message that was sent, and what the outside knows of it.
type letter struct {
	user     string
	n        int  // message(token, n) is its text
	acked    bool // it was acknowledged
	doomed   bool // somebody has asked to expunge it
	expunged bool // and was told that it is
	copied   bool // somebody has asked for a copy
}

// place is where a message may lie once and for all (RFC 9051 §2.3.1.1).
type place struct {
	user, mailbox string // the mailbox's name does not matter: its id
	validity, uid uint32
}

// world is a slot, and what the outside was told of it, over all kills.
type world struct {
	slot  *daemon.Slot
	users []string
	rng   *rand.Rand // of the goroutine that runs the test
	// records are the mail.db that is to be put back, before it is.
	records records

	mu      sync.Mutex         // guards what follows
	letters map[string]*letter // by token
	seen    map[place][32]byte // hash of the message that was there
	stamps  map[string]string  // user and database → id in its manifest
	retired map[string]bool    // databases that were there and are gone
	next    map[string]uint64  // user and tier → next generation
	names   map[string]bool    // login names of which it is known whether they are there

	delivering, searching, compacting atomic.Int32
	compactions, searches             atomic.Int32
}

// newWorld makes a slot in memory where there is any: kill -9 leaves the page
// cache as it is, so nothing is to be learnt from a disk.
func newWorld(t *testing.T, seed uint64, more string, users ...string) *world {
	t.Helper()
	w := &world{slot: daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), more), users: users,
		rng: rand.New(rand.NewPCG(seed, 9)), letters: map[string]*letter{}, seen: map[place][32]byte{},
		stamps: map[string]string{}, retired: map[string]bool{}, next: map[string]uint64{}, names: map[string]bool{}}
	w.addUsers(t)
	return w
}

// cheap makes hashes that cost nothing. The first login replaces such a hash by one
// of the daemon's own.
var cheap = account.Cost{Memory: 64, Passes: 1, Lanes: 1}

// addUsers makes the users of a slot that does not run, in this process.
func (w *world) addUsers(t *testing.T) {
	t.Helper()
	c, err := slot.Load(w.slot.Config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := slot.Open(t.Context(), c, slot.Options{Offline: true}) // makes the roots
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	accounts, err := account.Open(t.Context(), c.AccountsFile(), account.Options{Cost: cheap})
	if err != nil {
		t.Fatal(err)
	}
	store, err := mailstore.Open(t.Context(), c.MailstoreOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range w.users {
		a, err := accounts.Add(t.Context(), u, password, account.Quota{})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.CreateUser(t.Context(), a.ID, mailstore.UserOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(store.Close(), accounts.Close()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) count() (acked int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.letters {
		if l.acked {
			acked++
		}
	}
	return acked
}

// deliver delivers until the connection breaks, or ctx ends.
func (w *world) deliver(ctx context.Context, round, client int) {
	d, err := daemon.DialLMTP(w.slot.LMTP)
	if err != nil {
		return
	}
	defer d.Close()
	user := w.users[client%len(w.users)]
	for n := 0; ctx.Err() == nil; n++ {
		w.delivering.Add(1)
		err := w.send(d, user, fmt.Sprintf("token%dx%dx%dq", round, client, n), n)
		w.delivering.Add(-1)
		if err != nil {
			return
		}
	}
}

// send delivers one message and keeps what is known of it.
func (w *world) send(d *daemon.Deliverer, user, token string, n int) error {
	l := w.letter(user, token, n)
	if err := d.Deliver(user+"@example.org", message(token, n)); err != nil {
		return err
	}
	w.change(l, func() { l.acked = true })
	return nil
}

// letter begins what is known of a message.
func (w *world) letter(user, token string, n int) *letter {
	l := &letter{user: user, n: n}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letters[token] = l
	return l
}

// change changes what is known of a message.
func (w *world) change(_ *letter, fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
}

// message is a message that can be found by its token; one in fifty is large, and that with the number spooled is larger.
func message(token string, n int) []byte {
	filler := strings.Repeat("The quick brown fox sends mail to the lazy dog.\r\n", 5+n%40)
	switch {
	case n == spooled:
		filler = strings.Repeat(filler, 500)
	case n%50 == 49:
		filler = strings.Repeat(filler, 40)
	}
	return []byte("From: a@example.org\r\nTo: b@example.org\r\nSubject: " + token + "\r\nMessage-ID: <" + token + "@example.org>\r\n\r\n" + filler + animals[n%len(animals)] + "\r\n" + token + "\r\n")
}

// spooled is the number of a message that is too large to be received in memory.
const spooled = 1000

// animals are words that some messages have and others have not.
var animals = []string{"heron", "otter", "weasel", "marten", "badger"}

// unsent is a token that no message has.
const unsent = "tokenofnobody"

// any returns a message of a user that must be found, or unsent.
func (w *world) any(user string) (token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for token, l := range w.letters {
		if l.user == user && l.acked && !l.doomed {
			return token
		}
	}
	return unsent
}

// tokenOf returns the subject's token if the last line repeats it.
func tokenOf(raw string) string {
	_, rest, _ := strings.Cut(raw, "\r\nSubject: ")
	token, _, _ := strings.Cut(rest, "\r\n")
	if token != "" && strings.HasSuffix(raw, "\r\n"+token+"\r\n") {
		return token
	}
	return "not whole"
}
