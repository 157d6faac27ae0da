package mailstore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
)

// tracedEnv makes the child a process that makes a few changes and says after
// each what was acknowledged to it: "name GUID" where a message is now, or
// "gone GUID".
const tracedEnv = "MAILSTORE_TEST_TRACED"

func tracedOptions(dir string) Options {
	return Options{Conf: dir + "/conf", Spool: dir + "/spool", Archive: dir + "/archive", ArchiveSize: 6000, MemoryMessage: 5000, PackSize: 12_000}
}

// makeChanges is what the traced process does.
func makeChanges(dir string) error {
	ctx := context.Background()
	s, err := Open(ctx, tracedOptions(dir))
	if err != nil {
		return err
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
	var recs []mailbox.Record
	for n, size := range []int{500, 500, 4000, 500, 9000, 5500, 500, 500} {
		msg, err := s.Spool(ctx, strings.NewReader(sized(n, size)))
		if err != nil {
			return err
		}
		got, err := m.Append(ctx, "", Append{Mailbox: inbox.ID, Message: msg})
		if err = errors.Join(err, msg.Close()); err != nil {
			return err
		}
		fmt.Println(Inbox, got[0].GUID)
		recs = append(recs, got...)
	}
	if _, err := m.Move(ctx, "", inbox.ID, mailbox.UIDs(recs[1].UID), trash.ID); err != nil {
		return err
	}
	fmt.Println("Trash", recs[1].GUID)
	if _, err := m.StoreFlags(ctx, "", inbox.ID, mailbox.UIDs(recs[2].UID), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		return err
	}
	if _, _, err := m.Expunge(ctx, "", inbox.ID, nil); err != nil {
		return err
	}
	fmt.Println("gone", recs[2].GUID)
	if _, err := m.Forget(ctx, s.o.Now().AddDate(0, 0, 1)); err != nil {
		return err
	}
	if _, err := m.Repack(ctx, RepackOptions{All: true}); err != nil {
		return err
	}
	if _, err := m.Archive(ctx, ArchiveOptions{All: true}); err != nil {
		return err
	}
	if _, err := m.Repack(ctx, RepackOptions{All: true}); err != nil { // the spool is empty now
		return err
	}
	fmt.Println(Inbox, recs[0].GUID) // where it was
	m.Release()
	return s.Close() // copies the WAL back
}

// call is a system call that changes files, or a line told.
type call struct {
	name string // write, sync, truncate, create, rename, remove, mkdir, told
	path string
	to   string // of rename
	data []byte // of write, told
	at   int64  // of write, truncate
}

// kind is what a call is about, for the golden order.
func (c call) kind() string {
	switch {
	case c.name == "told":
		return "reply"
	case strings.HasSuffix(c.path, packSuffix):
		return "pack " + c.name
	case strings.HasSuffix(c.path, "-wal"):
		return "WAL " + c.name
	case strings.HasSuffix(c.path, "mail.db"):
		return "database " + c.name
	default:
		return filepath.Base(c.path) + " " + c.name
	}
}

// record runs the process that a variable names under strace and returns its calls.
func record(t *testing.T, dir, what string) []call {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-y", "-xx", "-s", "1000000", "-o", out, "-e", "signal=none", "-e",
		"trace=openat,pwrite64,write,writev,pwritev,fsync,fdatasync,sync_file_range,ftruncate,fallocate,"+
			"rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat", os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, what+"=1")
	cmd.Stderr = os.Stderr
	told, err := cmd.Output()
	if len(told) == 0 && err != nil {
		t.Skipf("a process cannot be traced here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	trace, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return parseTrace(t, dir, trace)
}

var (
	unfinished = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	whole      = regexp.MustCompile(`^\d+ +(\w+)\((.*)\) += (\d+)`)
	descriptor = regexp.MustCompile(`^(\d+|AT_FDCWD)<([^>]*)>$`)
)

// parseTrace turns strace's lines into calls on files below dir. A call that
// another thread's lines part counts as of its end.
func parseTrace(t *testing.T, dir string, trace []byte) []call {
	t.Helper()
	var calls []call
	begun := map[string]string{}
	at := map[string]int64{} // where write without an offset goes on
	lines := bufio.NewScanner(bytes.NewReader(trace))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line := lines.Text()
		if p := unfinished.FindStringSubmatch(line); p != nil {
			begun[p[1]] = p[1] + " " + p[2] + "(" + p[3]
			continue
		}
		if p := resumed.FindStringSubmatch(line); p != nil {
			line = begun[p[1]] + p[3]
		}
		p := whole.FindStringSubmatch(line)
		if p == nil {
			continue // a call that failed, or the end of a thread
		}
		result, err := strconv.ParseInt(p[3], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := parseCall(t, p[1], strings.Split(p[2], ", "), result, at)
		if ok && (c.name == "told" || strings.HasPrefix(c.path, dir+"/") && !strings.HasSuffix(c.path, "-shm") && filepath.Base(c.path) != lockName) {
			calls = append(calls, c)
		}
	}
	return calls
}

func parseCall(t *testing.T, name string, args []string, result int64, at map[string]int64) (call, bool) {
	t.Helper()
	number := func(i int) int64 {
		n, err := strconv.ParseInt(args[i], 10, 64)
		if err != nil {
			t.Fatalf("%s%q: %v", name, args, err)
		}
		return n
	}
	first := unhex(t, args[0])
	switch name {
	case "openat":
		path := unhex(t, args[1])
		at[path] = 0
		return call{name: "create", path: path}, strings.Contains(args[2], "O_CREAT")
	case "write":
		if strings.HasPrefix(args[0], "1<") {
			return call{name: "told", data: []byte(unhex(t, args[1]))}, true
		}
		c := call{name: "write", path: first, data: []byte(unhex(t, args[1]))[:result], at: at[first]}
		at[first] += result
		return c, true
	case "pwrite64":
		return call{name: "write", path: first, data: []byte(unhex(t, args[1]))[:result], at: number(3)}, true
	case "fsync", "fdatasync":
		return call{name: "sync", path: first}, true
	case "ftruncate":
		return call{name: "truncate", path: first, at: number(1)}, true
	case "rename":
		return call{name: "rename", path: first, to: unhex(t, args[1])}, true
	case "renameat", "renameat2":
		return call{name: "rename", path: unhex(t, args[1]), to: unhex(t, args[3])}, true
	case "unlink":
		return call{name: "remove", path: first}, true
	case "unlinkat":
		return call{name: "remove", path: unhex(t, args[1])}, true
	case "mkdir":
		return call{name: "mkdir", path: first}, true
	case "mkdirat":
		return call{name: "mkdir", path: unhex(t, args[1])}, true
	}
	t.Fatalf("a call that the replay does not know: %s%q", name, args)
	return call{}, false
}

// unhex reads a string, or the path of a descriptor, as strace -y -xx writes it.
func unhex(t *testing.T, arg string) string {
	t.Helper()
	if p := descriptor.FindStringSubmatch(arg); p != nil {
		arg = p[2]
	}
	digits := strings.ReplaceAll(strings.Trim(arg, `"`), `\x`, "")
	b, err := hex.DecodeString(digits)
	if err != nil {
		return arg // a pipe or a socket
	}
	return string(b)
}

// apply does a call on a file system that can forget.
func (c call) apply(fsys disk.FS) error {
	switch c.name {
	case "told":
		return nil
	case "rename":
		return fsys.Rename(c.path, c.to)
	case "remove":
		return fsys.Remove(c.path)
	case "mkdir":
		return fsys.Mkdir(c.path, 0o700)
	}
	if info, err := fsys.Stat(c.path); err == nil && info.IsDir() {
		return fsys.SyncDir(c.path)
	}
	f, err := fsys.OpenFile(c.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	switch c.name {
	case "write":
		_, err = f.WriteAt(c.data, c.at)
	case "sync":
		err = f.Sync()
	case "truncate":
		err = f.Truncate(c.at)
	}
	return errors.Join(err, f.Close())
}

// TestPowerCutReplay records the system calls of real deliveries and builds from
// them, at every call, states that a power cut may leave of packs, directories,
// database and WAL. Each is opened, and must have all that was acknowledged.
func TestPowerCutReplay(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"/conf", "/spool", "/archive"} {
		mkdir(t, dir+d)
	}
	s, m := openFor(t, tracedOptions(dir))
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	memory := load(t, dir)
	calls := record(t, dir, tracedEnv)
	checkOrder(t, calls)
	states := 0
	for i, c := range calls {
		if err := c.apply(memory); err != nil {
			t.Fatalf("call %d, %s %s: %v", i, c.name, c.path, err)
		}
		seeds := []uint64{disk.LoseUnsynced, uint64(i*1000 + 2), disk.KeepUnsynced}[i%3:][:1]
		for n := range rounds(0) { // all of them, and COUNT at random
			seeds = append(seeds, []uint64{disk.LoseUnsynced, disk.KeepUnsynced, uint64(i*1000 + n)}[min(n, 2)])
		}
		for _, seed := range seeds {
			states++
			checkState(t, memory.Crashed(seed), dir, calls[:i+1], calls[i+1:])
			if t.Failed() {
				t.Fatalf("after call %d of %d, %s, seed %d", i, len(calls), c.kind(), seed)
			}
		}
	}
	t.Logf("%d calls, %d states", len(calls), states)
}

// checkOrder holds still what a delivery into packs that are there does.
func checkOrder(t *testing.T, calls []call) {
	t.Helper()
	var order []string
	told := 0
	for _, c := range calls {
		if told == 1 && (len(order) == 0 || order[len(order)-1] != c.kind()) {
			order = append(order, c.kind())
		}
		if c.name == "told" {
			told++
		}
	}
	want := []string{"pack write", "pack sync", "WAL write", "WAL sync", "reply"}
	if !slices.Equal(order, want) {
		t.Errorf("a delivery does %q, want %q", order, want)
	}
	if told != 11 {
		t.Errorf("%d acknowledgements, want 11", told)
	}
}

// load takes a directory into memory, all synced.
func load(t *testing.T, dir string) *disk.Memory {
	t.Helper()
	memory := disk.NewMemory()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, "-shm") {
			return err
		}
		if e.IsDir() {
			return disk.MkdirAll(memory, path, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := (call{name: "write", path: path, data: b}).apply(memory); err != nil {
			return err
		}
		if err := (call{name: "sync", path: path}).apply(memory); err != nil {
			return err
		}
		return memory.SyncDir(filepath.Dir(path))
	})
	if err != nil {
		t.Fatal(err)
	}
	return memory
}

// unload writes what is in memory to a new directory.
func unload(t *testing.T, fsys disk.FS, from, to string) {
	t.Helper()
	entries, err := fsys.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		a, b := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() {
			mkdir(t, b)
			unload(t, fsys, a, b)
			continue
		}
		data, err := disk.ReadFile(fsys, a)
		if err == nil {
			err = os.WriteFile(b, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkState opens a state. What was told before must hold; what was in flight
// may have happened.
func checkState(t *testing.T, fsys disk.FS, dir string, before, after []call) {
	t.Helper()
	at, err := os.MkdirTemp("/dev/shm", "mailstore")
	if err != nil {
		at = t.TempDir()
	}
	defer os.RemoveAll(at)
	unload(t, fsys, dir, at)
	s, m := openFor(t, tracedOptions(at))
	verify(t, s, user1)
	where := whereabouts(t, m)
	inFlight := ""
	if i := slices.IndexFunc(after, func(c call) bool { return c.name == "told" }); i >= 0 {
		inFlight = string(after[i].data)
	}
	last := map[string]string{}
	for _, c := range before {
		if c.name == "told" {
			place, guid, _ := strings.Cut(strings.TrimSpace(string(c.data)), " ")
			last[guid] = place
		}
	}
	for guid, place := range last {
		if got := where[guid]; got != place && !strings.Contains(inFlight, got+" "+guid) && (place != "gone" || got != "") &&
			(got != "" || !strings.Contains(inFlight, "gone "+guid)) {
			t.Errorf("message %s is in %q, acknowledged in %q", guid, got, place)
		}
	}
	// And mail goes on.
	appendText(t, m, named(t, m, Inbox).ID, sized(1000, 500))
	verify(t, s, user1)
	m.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// whereabouts returns the mailbox of each message, by GUID.
func whereabouts(t *testing.T, m *Mail) map[string]string {
	t.Helper()
	where := map[string]string{}
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
			where[r.GUID.String()] = st.Name
		}
	}
	return where
}
