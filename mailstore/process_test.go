package mailstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"teraslot/mailbox"
)

// readerEnv makes the child a process that reads, beside the owner of the slot
// or without one: for each line of input, a line that says what it sees.
const readerEnv = "MAILSTORE_TEST_READER"

// readForever answers each line with the number of messages of INBOX, the
// checksum over what it read, and the outcome of a full check.
func readForever(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, Options{Conf: dir, ReadOnly: true})
	if err != nil {
		return err
	}
	defer s.Close()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		line, err := readOnce(ctx, s)
		if err != nil {
			line = "error: " + err.Error()
		}
		fmt.Println(line)
	}
	return in.Err()
}

func readOnce(ctx context.Context, s *Store) (string, error) {
	m, err := s.Acquire(ctx, user1)
	if err != nil {
		return "", err
	}
	defer m.Release()
	inbox, err := m.MailboxNamed(ctx, Inbox)
	if err != nil {
		return "", err
	}
	v, err := m.View(ctx, inbox.ID)
	if err != nil {
		return "", err
	}
	var problems []string
	err = s.Verify(ctx, user1, func(f Finding) { problems = append(problems, f.String()) })
	if _, e := m.Append(ctx, "", Append{}); !errors.Is(e, ErrReadOnly) {
		problems = append(problems, "could append")
	}
	if _, e := m.Create(ctx, "", "new", ""); !errors.Is(e, ErrReadOnly) {
		problems = append(problems, "could create")
	}
	return seen(v, problems), err
}

func seen(v *View, problems []string) string {
	return fmt.Sprintf("%d messages, %x, problems %q", len(v.Records), v.State.Checksum, problems)
}

// otherReader is a reading process.
type otherReader struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *bufio.Writer
	out *bufio.Reader
	end func()
}

func startReader(t *testing.T, dir string) *otherReader {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, readerEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &otherReader{t: t, cmd: cmd, in: bufio.NewWriter(in), out: bufio.NewReader(out)}
	r.end = func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("reader: %v", err)
		}
	}
	return r
}

func (r *otherReader) look() string {
	r.t.Helper()
	fmt.Fprintln(r.in)
	if err := r.in.Flush(); err != nil {
		r.t.Fatal(err)
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

// TestReadingProcess reads from another process before, beside, after and again
// beside the owner of the slot, through appends, expunges and a repack.
func TestReadingProcess(t *testing.T) {
	dir := t.TempDir()
	s, m := openFor(t, Options{Conf: dir, PackSize: 2000})
	id := named(t, m, Inbox).ID
	look := func(r *otherReader, m *Mail) {
		t.Helper()
		v, err := m.View(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.look(), seen(v, nil); got != want {
			t.Errorf("another process sees %s, want %s", got, want)
		}
	}
	r := startReader(t, dir)
	look(r, m)
	for i := range 20 {
		appendText(t, m, id, sized(i, 500))
		if i%5 == 0 {
			look(r, m)
		}
	}
	if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDRange(3, 9), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	look(r, m)
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	look(r, m)
	if _, err := m.Forget(t.Context(), s.o.Now().AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	look(r, m)
	last := r.look()
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := r.look(); got != last {
		t.Errorf("after the owner closed: %s, want %s", got, last)
	}
	r.end()
	r = startReader(t, dir)
	if got := r.look(); got != last {
		t.Errorf("without an owner: %s, want %s", got, last)
	}
	s, m = openFor(t, Options{Conf: dir})
	look(r, m)
	appendText(t, m, id, sized(100, 500))
	look(r, m)
	r.end()
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReaderAfterKill reads what a killed owner left, before any other process
// has opened it for writing.
func TestReaderAfterKill(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, dir+"/archive")
	s, m := openFor(t, childOptions(dir))
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	acks := runChild(t, dir, 200e6)
	o := childOptions(dir)
	o.ReadOnly = true
	reader, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, reader, user1)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	checkAcks(t, dir, acks)
}

// TestSecondOwner is refused, and told who the first is; readers are not.
func TestSecondOwner(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Conf: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{Conf: dir})
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second owner: %v", err)
	}
	reader, err := Open(t.Context(), Options{Conf: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reader.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s, err = Open(t.Context(), Options{Conf: dir})
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMissingRoot makes nothing where a partition is not mounted.
func TestMissingRoot(t *testing.T) {
	dir := t.TempDir()
	for _, o := range []Options{{Conf: dir + "/no"}, {Conf: dir, Spool: dir + "/no"}, {Conf: dir, Archive: dir + "/no"}} {
		if _, err := Open(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("made %v, %v", left, err)
	}
}

// TestFullDisk fills a small file system by deliveries. What was acknowledged
// stays, the rest is refused as ErrFull, and with room again mail comes in again.
func TestFullDisk(t *testing.T) {
	for _, which := range []string{"all", "spool", "conf"} {
		t.Run(which, func(t *testing.T) { fillDisk(t, which) })
	}
}

func fillDisk(t *testing.T, which string) {
	small, o := t.TempDir(), Options{Conf: t.TempDir(), Spool: t.TempDir()}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	if which != "spool" {
		o.Conf = small
	}
	if which != "conf" {
		o.Spool = small
	}
	ballast := small + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 400_000), 0o600); err != nil {
		t.Fatal(err)
	}
	s, m := openFor(t, o)
	id := named(t, m, Inbox).ID
	acknowledged := fill(t, s, m, id, 0)
	verify(t, s, user1)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	rec := appendText(t, m, id, sized(1_000_000, 1000))
	if int(rec.UID) != acknowledged+1 {
		t.Errorf("UID %d after %d messages", rec.UID, acknowledged)
	}
	acknowledged += 1 + fill(t, s, m, id, 2_000_000)
	verify(t, s, user1)
	m.Release()
	if err := s.Close(); err != nil {
		t.Log("close on a full disk:", err)
	}
	// A new process on the full disk.
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	m, err = s.Acquire(t.Context(), user1)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, s, user1)
	if st := named(t, m, Inbox); int(st.Counts.Exists) != acknowledged {
		t.Errorf("%d messages, %d were acknowledged", st.Counts.Exists, acknowledged)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Log("close on a full disk:", err)
	}
}

// TestOpenOnFullDisk: mail that nobody has open cannot be opened while there is not even
// room for what SQLite keeps beside it; that is told as a full disk, and passes with it.
func TestOpenOnFullDisk(t *testing.T) {
	o := Options{Conf: t.TempDir(), Spool: t.TempDir()}
	if err := unix.Mount("tmpfs", o.Conf, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("a tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(o.Conf, 0); err != nil {
			t.Error(err)
		}
	})
	s, m := openFor(t, o)
	appendText(t, m, named(t, m, Inbox).ID, sized(1, 100))
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ballast := o.Conf + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal("the disk does not get full", err)
	}
	if m, err := s.Acquire(t.Context(), user1); !errors.Is(err, ErrFull) {
		t.Errorf("opened %v on a full disk: %v", m, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	verify(t, s, user1)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// fill appends until the disk is full, and some more, and returns how many
// messages were acknowledged.
func fill(t *testing.T, s *Store, m *Mail, id mailbox.ID, first int) int {
	t.Helper()
	acknowledged, refused := 0, 0
	for n := 0; refused < 8; n++ {
		if n > 5000 {
			t.Fatal("the disk does not get full")
		}
		size := 3000
		if n%7 == 0 {
			size = 300_000 // goes through a file
		}
		msg, err := s.Spool(t.Context(), strings.NewReader(sized(first+n, size)))
		if err == nil {
			_, err = m.Append(t.Context(), "", Append{Mailbox: id, Message: msg})
			if e := msg.Close(); e != nil {
				t.Error(e)
			}
		}
		if err == nil {
			acknowledged++
			continue
		}
		if refused++; !errors.Is(err, ErrFull) {
			t.Fatalf("full disk: %v", err)
		}
	}
	return acknowledged
}
