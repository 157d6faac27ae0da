package powercut

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teraslot/bench/daemon"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// firstLine begins every message that is sent.
const firstLine = "From: a@example.org\r\n"

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	flag.Parse()
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

// recording is one delivery run: the files before it, and what it did.
type recording struct {
	root string // where the slot's files were
	base string // a copy of them from before
	ops  []Op
	sent [][32]byte // in the order of delivery
}

// record delivers messages of several sizes to a slot under strace.
func record(t *testing.T, messages int) *recording {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: its recording of system calls is what this test replays")
	}
	dir := daemon.Scratch(t)
	slot := daemon.New(t, filepath.Join(dir, "slot"), "")
	slot.AddUser(t, "anna", "correct horse")
	r := &recording{root: slot.Root, base: filepath.Join(dir, "base")}
	if err := os.CopyFS(r.base, os.DirFS(r.root)); err != nil {
		t.Fatal(err)
	}
	before := func(path string) int64 {
		fi, err := os.Stat(filepath.Join(r.base, strings.TrimPrefix(path, r.root)))
		if err != nil {
			return 0
		}
		return fi.Size()
	}
	trace := filepath.Join(dir, "trace")
	slot.Start(t, append([]string{"strace"}, StraceArgs(trace)...)...)
	d, err := daemon.DialLMTP(slot.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		raw := []byte(fmt.Sprintf(firstLine+"Subject: number %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s", i, i, strings.Repeat("Some text of a letter.\r\n", 1+i*i*40)))
		if err := d.Deliver("anna@example.org", raw); err != nil {
			t.Fatal(err)
		}
		r.sent = append(r.sent, sha256.Sum256(raw))
	}
	d.Close()
	slot.Stop(t)
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r.ops, err = Read(f, isDir, before)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// acknowledgements returns the positions in ops of the replies that
// acknowledge a message: the reply after "354 go ahead".
func (r *recording) acknowledgements() []int {
	var at []int
	waiting := false
	for i, op := range r.ops {
		if op.Kind != Reply {
			continue
		}
		if bytes.HasPrefix(op.Data, []byte("354")) || bytes.Contains(op.Data, []byte("\r\n354")) {
			waiting = true
		} else if waiting && bytes.HasPrefix(op.Data, []byte("250")) {
			at, waiting = append(at, i), false
		}
	}
	return at
}

// TestOrder holds the order in which a delivery reaches the disk, against a
// golden file: nothing is acknowledged before pack and WAL are synced.
func TestOrder(t *testing.T) {
	r := record(t, 3)
	acks := r.acknowledgements()
	if len(acks) != len(r.sent) {
		t.Fatalf("the trace shows %d acknowledgements of %d deliveries", len(acks), len(r.sent))
	}
	got := ""
	for i, name := range []string{"first delivery after a start", "a later delivery"} {
		from := 0
		if i > 0 {
			from = acks[0] + 1
		}
		got += "# " + name + "\n" + r.story(from, acks[i]+1) + "\n"
	}
	golden := filepath.Join("testdata", "order.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the order of a delivery's writes and syncs changed (-update writes it anew, if that is meant):\n%s\nwant\n%s", got, want)
	}
}

// story tells operations on the user's mail in words, repeated ones once.
func (r *recording) story(from, to int) string {
	var lines []string
	for _, op := range r.ops[from:to] {
		name := filepath.Base(op.Path)
		line := op.Kind.String() + " " + name
		switch {
		case op.Kind == Reply && bytes.Contains(op.Data, []byte("354")):
			lines = nil // what went before was the envelope
			continue
		case op.Kind == Reply && !bytes.HasPrefix(op.Data, []byte("250")):
			continue // a greeting, to whoever looked whether the slot listens: at any time
		case op.Kind == Reply:
			line = "reply"
		case !strings.HasPrefix(op.Path, r.root+"/conf/users/") && !strings.HasPrefix(op.Path, r.root+"/spool/users/"):
			continue
		case op.Kind == Create && strings.HasPrefix(name, "mail.db"): // whoever opens it first, at any time
			continue
		case strings.HasSuffix(name, "-shm") || strings.HasPrefix(name, "index."):
			continue
		case op.Kind == SyncDir || op.Kind == Mkdir:
			line = op.Kind.String()
		}
		if len(lines) == 0 || lines[len(lines)-1] != line {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestEveryCut opens the states that a power cut may leave at every moment of a
// delivery run, and finds all mail that was acknowledged before the cut.
func TestEveryCut(t *testing.T) {
	r := record(t, 5)
	most := environ("COUNT", 300)
	rng := rand.New(rand.NewPCG(uint64(environ("SEED", 1)), 7))
	disk, err := NewDisk(r.base, r.root)
	if err != nil {
		t.Fatal(err)
	}
	acks := r.acknowledgements()
	// A first pass finds the moments worth a cut, a second cuts there.
	samples := max(1, most/max(1, r.moments()))
	scratch := daemon.Scratch(t)
	states, cuts, acked := 0, 0, 0
	seen := map[[32]byte]bool{}
	for i, op := range r.ops {
		if err := disk.Apply(op); err != nil {
			t.Fatal(err)
		}
		if len(acks) > acked && acks[acked] == i {
			acked++
		}
		if !within(r.root, op.Path) && op.Kind != Reply {
			continue
		}
		cuts++
		for _, fate := range fates(disk, rng, samples) {
			dir := filepath.Join(scratch, "state")
			key, err := r.materialize(disk, dir, fate, rng)
			if err != nil {
				t.Fatal(err)
			}
			if key = sha256.Sum256(append(key[:], byte(acked))); seen[key] {
				continue
			}
			seen[key] = true
			states++
			if err := check(t.Context(), dir, r.sent[:acked]); err != nil {
				t.Fatalf("cut after operation %d (%s %s), %d messages acknowledged: %v", i, op.Kind, op.Path, acked, err)
			}
		}
	}
	t.Logf("proof: %d distinct states after %d cuts of a run of %d deliveries: all acknowledged mail found in each", states, cuts, len(r.sent))
}

func (r *recording) moments() int {
	n := 0
	for _, op := range r.ops {
		if within(r.root, op.Path) || op.Kind == Reply {
			n++
		}
	}
	return n
}

// fates are ways in which one cut may go: nothing unsynced arrives, everything
// does, one write alone is absent or torn, and chance.
func fates(d *Disk, rng *rand.Rand, samples int) []func(Op) Fate {
	if d.Pending() == 0 {
		return []func(Op) Fate{func(Op) Fate { return Absent }}
	}
	all := []func(Op) Fate{
		func(Op) Fate { return Absent },
		func(Op) Fate { return Present },
		func(op Op) Fate { return torn(op, Torn) },
	}
	for range samples {
		all = append(all, func(op Op) Fate { return torn(op, Fate(rng.IntN(3))) })
	}
	for n := range min(d.Pending(), 2*samples) {
		left := n
		all = append(all, func(op Op) Fate {
			if left--; left == -1 {
				return torn(op, Fate(1+rng.IntN(2)))
			}
			return Present
		})
	}
	return all
}

// torn is f, but only writes are torn.
func torn(op Op, f Fate) Fate {
	if f == Torn && op.Kind != Write {
		return Absent
	}
	return f
}

// materialize writes a state and returns a hash of it.
func (r *recording) materialize(d *Disk, dir string, fate func(Op) Fate, rng *rand.Rand) ([32]byte, error) {
	if err := os.RemoveAll(dir); err != nil {
		return [32]byte{}, err
	}
	if err := d.Materialize(dir, fate, rng); err != nil {
		return [32]byte{}, err
	}
	sums := map[string][32]byte{}
	for _, name := range mailFiles(dir) {
		b, err := os.ReadFile(name)
		if err != nil {
			return [32]byte{}, err
		}
		sums[name] = sha256.Sum256(b)
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[name]
		fmt.Fprintf(h, "%s %x\n", name, sum)
	}
	return [32]byte(h.Sum(nil)), nil
}

// mailFiles are the files that mail depends on; the WAL's index is rebuilt.
func mailFiles(dir string) []string {
	var names []string
	for _, pattern := range []string{"conf/users/*/*/mail.db", "conf/users/*/*/mail.db-wal", "spool/users/*/*/*"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		names = append(names, found...)
	}
	return names
}

// check opens a state as a slot does after the power came back.
func check(ctx context.Context, dir string, want [][32]byte) error {
	s, err := mailstore.Open(ctx, mailstore.Options{Conf: filepath.Join(dir, "conf"), Spool: filepath.Join(dir, "spool"), Archive: filepath.Join(dir, "archive")})
	if err != nil {
		return err
	}
	defer s.Close()
	users, err := s.Users(ctx)
	if err != nil {
		return err
	}
	if len(users) != 1 {
		return fmt.Errorf("%d users", len(users))
	}
	if err := holds(ctx, s, users[0], want); err != nil {
		return err
	}
	return s.Verify(ctx, users[0], func(f mailstore.Finding) { err = fmt.Errorf("verify: %v", f) })
}

func holds(ctx context.Context, s *mailstore.Store, user mailbox.User, want [][32]byte) error {
	m, err := s.Acquire(ctx, user)
	if err != nil {
		return err
	}
	defer m.Release()
	inbox, err := m.MailboxNamed(ctx, "INBOX")
	if err != nil {
		return err
	}
	view, err := m.View(ctx, inbox.ID)
	if err != nil {
		return err
	}
	stored := map[[32]byte]bool{}
	for _, rec := range view.Records {
		b, err := read(ctx, m, inbox.ID, rec)
		if err != nil {
			return fmt.Errorf("open UID %d: %w", rec.UID, err)
		}
		// Delivery puts trace lines in front of what was sent.
		if i := bytes.Index(b, []byte(firstLine)); i >= 0 {
			stored[sha256.Sum256(b[i:])] = true
		}
	}
	for i, sum := range want {
		if !stored[sum] {
			return fmt.Errorf("message %d, acknowledged, is gone; %d are there", i, len(view.Records))
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
