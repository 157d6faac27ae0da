package powercut

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"teraslot/bench/daemon"
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

// recording is one run: the files before it, and what it did.
type recording struct {
	root  string // where the slot's files were
	base  string // a copy of them from before
	ops   []Op
	sent  [][32]byte // in the order of delivery
	words []string   // of each of sent, one that it alone has
	// doomed[i] is how many operations there were when somebody asked for the end
	// of sent[i].
	doomed map[int]int
	backed int // operations until the first backup was complete, or 0
}

// stage is a slot under strace, with a shell beside the daemon, in the same trace,
// that runs what else is to be recorded.
type stage struct {
	t     *testing.T
	dir   string
	slot  *daemon.Slot
	shell *os.File
	marks string
	r     *recording
	lmtp  *daemon.Deliverer
}

// conductor starts the daemon in the background and reads what to do from a pipe. It
// ends with the daemon.
const conductor = `pipe=$1; shift
"$@" &
trap : TERM
exec 3<"$pipe"
while read -r line <&3; do eval "$line"; done
wait`

func newStage(t *testing.T, config func(string) string, more ...string) *stage {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: its recording of system calls is what this test replays")
	}
	dir := daemon.Scratch(t)
	root := filepath.Join(dir, "root")
	s := &stage{t: t, dir: dir, marks: filepath.Join(dir, "marks"), slot: daemon.New(t, filepath.Join(root, "slot"), ""),
		r: &recording{root: root, base: filepath.Join(dir, "base"), doomed: map[int]int{}}}
	b, err := os.ReadFile(s.slot.Config)
	s.must(err)
	s.must(os.WriteFile(s.slot.Config, []byte(config(string(b))), 0o600))
	for _, name := range append([]string{"anna"}, more...) {
		s.slot.AddUser(t, name, "correct horse")
	}
	s.must(os.CopyFS(s.r.base, os.DirFS(root)))
	s.must(exec.Command("mkfifo", filepath.Join(dir, "pipe")).Run())
	under := append([]string{"strace"}, StraceArgs(filepath.Join(dir, "trace"))...)
	s.slot.Start(t, append(under, "sh", "-c", conductor, "conductor", filepath.Join(dir, "pipe"))...)
	s.shell, err = os.OpenFile(filepath.Join(dir, "pipe"), os.O_WRONLY, 0)
	s.must(err)
	s.lmtp, err = daemon.DialLMTP(s.slot.LMTP)
	s.must(err)
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// deliver delivers messages to anna, numbered on, with paragraphs of text each.
func (s *stage) deliver(paragraphs ...int) {
	s.t.Helper()
	s.deliverTo("anna", paragraphs...)
}

func (s *stage) deliverTo(name string, paragraphs ...int) {
	s.t.Helper()
	for _, n := range paragraphs {
		i := len(s.r.sent)
		word := fmt.Sprintf("word%dq", i)
		raw := fmt.Appendf(nil, firstLine+"Subject: number %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s%s\r\n", i, i, strings.Repeat("Some text of a letter.\r\n", n), word)
		s.must(s.lmtp.Deliver(name+"@example.org", raw))
		s.r.sent, s.r.words = append(s.r.sent, sha256.Sum256(raw)), append(s.r.words, word)
	}
}

// run has the shell run one of the commands, and waits for its end.
func (s *stage) run(name string, args ...string) {
	s.t.Helper()
	out := filepath.Join(s.dir, "out")
	s.say(fmt.Sprintf("%s -C %s %s >%s 2>&1 || echo failed >>%s", daemon.Bin(s.t, name), s.slot.Config, strings.Join(args, " "), out, out))
	if b, err := os.ReadFile(out); err != nil || bytes.HasSuffix(b, []byte("failed\n")) {
		s.t.Fatalf("%s %q: %s", name, args, b)
	}
}

// say has the shell run a line, and waits until it has.
func (s *stage) say(line string) {
	s.t.Helper()
	done := filepath.Join(s.dir, "done")
	os.Remove(done)
	s.must(exec.Command("mkfifo", done).Run())
	_, err := fmt.Fprintf(s.shell, "%s; echo x >%s\n", line, done)
	s.must(err)
	_, err = os.ReadFile(done)
	s.must(err)
}

// mark puts a line into the trace.
func (s *stage) mark(format string, args ...any) {
	s.say(fmt.Sprintf("echo "+format+" >>%s", append(args, s.marks)...))
}

// end stops the daemon and reads the trace.
func (s *stage) end() *recording {
	s.t.Helper()
	s.lmtp.Close()
	s.shell.Close()
	s.slot.Stop(s.t)
	f, err := os.Open(filepath.Join(s.dir, "trace"))
	s.must(err)
	defer f.Close()
	based := func(path string) string { return filepath.Join(s.r.base, strings.TrimPrefix(path, s.r.root)) }
	before := func(path string) int64 {
		fi, err := os.Stat(based(path))
		if err != nil {
			return 0
		}
		return fi.Size()
	}
	s.r.ops, err = Read(f, func(path string) bool { return isDir(path) || isDir(based(path)) }, before) // one may be removed at the end
	s.must(err)
	s.r.readMarks(s.t, s.marks)
	return s.r
}

// readMarks finds the marks in the trace.
func (r *recording) readMarks(t *testing.T, file string) {
	for i, op := range r.ops {
		if op.Kind != Write || op.Path != file {
			continue
		}
		what, rest, _ := strings.Cut(strings.TrimSpace(string(op.Data)), " ")
		n, err := strconv.Atoi(rest)
		switch {
		case what == "backed":
			r.backed = i
		case what == "doomed" && err == nil:
			r.doomed[n] = i
		default:
			t.Fatalf("mark %q", op.Data)
		}
	}
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

// record delivers messages of several sizes.
func record(t *testing.T, messages int) *recording {
	t.Helper()
	s := newStage(t, func(config string) string { return config })
	for i := range messages {
		s.deliver(1 + i*i*40)
	}
	return s.end()
}

// recordWork is all that happens to mail besides its delivery: it is indexed and
// compacted on disk, expunged, archived, its packs are rewritten, it is backed up,
// and its mailbox is renamed and deleted.
func recordWork(t *testing.T) *recording {
	t.Helper()
	s := newStage(t, func(config string) string {
		return strings.Replace(config, "\n[tiers]\n", "\n[squatter]\noff = true\n[jobs]\narchive_larger = \"8KB\"\n[compact]\nby = \"timer\"\n[tiers]\ndefault = \"data\"\n", 1)
	})
	backups := filepath.Join(s.r.root, "backups")
	s.deliver(3, 10, 500, 5)
	s.run("squatter", "-i", "-u", "anna")
	s.deliver(1, 4)
	s.run("squatter", "-i", "-u", "anna")
	s.run("squatter", "-z", "archive", "-t", "data", "-u", "anna")
	s.run("slotctl", "backup", backups)
	s.mark("backed")
	s.deliver(20, 2)
	s.run("squatter", "-i", "-u", "anna")
	s.expunge(0, 2, 6)
	s.run("slotctl", "archive", "--all")
	s.run("slotctl", "expire", "--all")
	s.run("slotctl", "repack", "--all")
	s.run("squatter", "-z", "archive", "-t", "data,archive", "-F", "-u", "anna")
	s.mailbox()
	s.run("slotctl", "snapshot")
	s.run("slotctl", "backup", backups, "--keep", "1")
	s.run("slotctl", "user", "rename", "anna", "annette")
	return s.end()
}

// expunge expunges messages by their numbers.
func (s *stage) expunge(numbers ...int) {
	s.t.Helper()
	c, err := s.slot.DialIMAP("anna", "correct horse")
	s.must(err)
	defer c.Close()
	_, err = c.Select("INBOX", nil).Wait()
	s.must(err)
	seq := imap.SeqSetNum()
	for _, n := range numbers {
		s.mark("doomed %d", n)
		seq.AddNum(uint32(n + 1))
	}
	s.must(c.Store(seq, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	s.must(c.Expunge().Close())
}

// mailbox makes, fills, renames and deletes mailboxes.
func (s *stage) mailbox() {
	s.t.Helper()
	c, err := s.slot.DialIMAP("anna", "correct horse")
	s.must(err)
	defer c.Close()
	s.must(c.Create("Old", nil).Wait())
	_, err = c.Select("INBOX", nil).Wait()
	s.must(err)
	_, err = c.Copy(imap.SeqSetNum(1), "Old").Wait()
	s.must(err)
	_, err = c.Move(imap.SeqSetNum(2), "Old").Wait()
	s.must(err)
	s.must(c.Rename("Old", "Older", nil).Wait())
	s.must(c.Create("Empty", nil).Wait())
	s.must(c.Delete("Empty").Wait())
}

// until is how much is acknowledged before an operation: the first of sent, and
// of those who was not doomed.
func (r *recording) until(op int, acks []int) (want []int) {
	n, _ := slices.BinarySearch(acks, op+1)
	for i := range n {
		if at, doomed := r.doomed[i]; !doomed || at > op {
			want = append(want, i)
		}
	}
	return want
}
