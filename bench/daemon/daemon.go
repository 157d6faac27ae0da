package daemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

// TB is the part of testing.TB that is used here, so that the benchmark command
// can take the place of a test.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// commands is a directory with the commands, built once.
var commands struct {
	tags string
	once sync.Once
	dir  string
	err  error
}

// Tags sets the tags that the commands are built with; call it from TestMain. With
// "steps" they kill themselves at a step of which their environment tells
// (cmd/internal/steps).
func Tags(tags string) { commands.tags = tags }

// Bin returns the path of one of the commands, built from this tree.
func Bin(tb TB, name string) string {
	tb.Helper()
	c := &commands
	c.once.Do(func() {
		if c.dir, c.err = os.MkdirTemp("", "teraslot-bin"); c.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-tags", c.tags, "-o", c.dir+"/", "teraslot/cmd/...").CombinedOutput()
		if err != nil {
			c.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	if c.err != nil {
		tb.Fatal(c.err)
	}
	return filepath.Join(c.dir, name)
}

// Clean removes what Bin built; call it from TestMain.
func Clean() {
	if commands.dir != "" {
		os.RemoveAll(commands.dir)
	}
}

// Slot is the configuration of a slot and, while it runs, its process.
type Slot struct {
	Root   string // all roots lie below it
	Config string // the configuration file
	IMAP   string // address
	IMAPS  string // address of IMAP under TLS from the first byte
	LMTP   string // address
	Temp   string // root of the temp tier, in memory where there is any

	// Steps, unless "", is what the next start of imapd does at its steps: see Tags.
	Steps string

	under   []string // of its Place
	process *exec.Cmd
	exited  chan struct{}
	log     *lockedBuffer
}

// Place is the network in which a slot runs. The zero value is that of the test, where
// the slot has addresses of the loopback interface.
type Place struct {
	Host  string   // IP address; "": 127.0.0.1
	Under []string // the command that runs another one there
}

// address is a free one at the place.
func (p *Place) address(tb TB) string {
	at := FreeAddress(tb)
	if p.Host == "" {
		return at
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort(p.Host, port)
}

// New writes the configuration of a slot below root, with more TOML appended.
func New(tb TB, root, more string) *Slot { return NewAt(tb, Place{}, root, more) }

// NewAt is New for a slot at some place.
func NewAt(tb TB, at Place, root, more string) *Slot {
	tb.Helper()
	s := &Slot{Root: root, Config: filepath.Join(root, "slot.toml"), IMAP: at.address(tb), IMAPS: at.address(tb), LMTP: at.address(tb), Temp: filepath.Join(Scratch(tb), "temp"), under: at.Under}
	text := fmt.Sprintf("name = \"test\"\nroot = %q\n%s\n[tiers]\ntemp = %q\n[imap]\nallow_plain_login = %t\nlisten = [%q]\nlisten_tls = [%q]\n[lmtp]\nlisten = [%q]\nsocket = \"none\"\n",
		root, more, s.Temp, at.Host != "", s.IMAP, s.IMAPS, s.LMTP)
	if err := os.MkdirAll(root, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(s.Config, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Kill)
	return s
}

// Scratch returns a directory in memory where there is one, since fsync there
// costs nothing and the tests count states, not disks.
func Scratch(tb TB) string {
	tb.Helper()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "teraslot-test"); err == nil {
			tb.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return tb.TempDir()
}

// returned holds the addresses that FreeAddress has returned, or found taken.
var returned sync.Map

// FreeAddress returns an address of the loopback interface that nobody listens on. Its port lies below those that
// the system gives to connections: it is free until imapd binds it, and any of the many
// connections of the tests beside this one would take the port that was free a moment ago.
// No address is returned twice: the first may not be bound yet.
func FreeAddress(tb interface {
	Helper()
	Fatal(args ...any)
}) string {
	tb.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if _, before := returned.LoadOrStore(addr, true); before {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	tb.Fatal("no free port from 10000 to 29999")
	return ""
}

// Start starts imapd, under the given command (such as strace) if any, and
// waits until it answers on both ports.
func (s *Slot) Start(tb TB, under ...string) {
	tb.Helper()
	if err := s.TryStart(tb, under...); err != nil {
		tb.Fatalf("imapd: %v\n%s", err, s.log)
	}
}

// TryStart is Start that returns an error where imapd does not come up.
func (s *Slot) TryStart(tb TB, under ...string) error {
	tb.Helper()
	args := append(slices.Concat(s.under, under), Bin(tb, "imapd"), "serve", "--config", s.Config)
	s.process = exec.Command(args[0], args[1:]...)
	if s.Steps != "" {
		if commands.tags != "steps" {
			tb.Fatal("a slot told of its steps, by commands that are built without them: call daemon.Tags(\"steps\") first")
		}
		s.process.Env = append(os.Environ(), "TERASLOT_STEPS="+s.Steps)
	}
	s.log = &lockedBuffer{}
	s.process.Stderr, s.process.Stdout = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.process.Start(); err != nil {
		tb.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(p *exec.Cmd, exited chan struct{}) {
		p.Wait()
		close(exited)
	}(s.process, s.exited)
	for _, addr := range []string{s.IMAP, s.LMTP} {
		if err := s.await(addr); err != nil {
			return fmt.Errorf("no answer on %s: %w", addr, err)
		}
	}
	return nil
}

// End stops the process, unless it has ended, and reports whether it was SIGKILL
// that ended it: what it does at a step (Steps), or somebody's Kill.
func (s *Slot) End(tb TB) (killed bool) {
	tb.Helper()
	p := s.process
	s.Stop(tb)
	status, ok := p.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// patience is how long a process may take to start or to stop: on a machine that is
// busy with much else, too.
const patience = 2 * time.Minute

// await waits until the process greets on an address. A connection alone says little: the
// kernel takes it as soon as there is a listener, also of a process that is about to exit.
func (s *Slot) await(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := greeted(ctx, addr)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return errors.New("it exited")
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// greeted connects and reads the first line.
func greeted(ctx context.Context, addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	_, err = bufio.NewReader(c).ReadSlice('\n')
	return errors.Join(err, c.Close())
}

// Kill ends the process and its children at once, as kill -9 does.
func (s *Slot) Kill() {
	if s.process == nil {
		return
	}
	syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL)
	<-s.exited
	s.process = nil
}

// Stop ends the process gracefully.
func (s *Slot) Stop(tb TB) {
	tb.Helper()
	syscall.Kill(-s.process.Process.Pid, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		tb.Errorf("imapd did not stop within %s of SIGTERM\n%s", patience, s.log)
		s.Kill()
	}
	s.process = nil
}

// Log is what the process wrote so far.
func (s *Slot) Log() string { return s.log.String() }

// Pid is the process id of what Start started.
func (s *Slot) Pid() int { return s.process.Process.Pid }

// CPU is the processor time that the process has used, in user and system mode,
// to a hundredth of a second: unlike the time on the clock, it says the same on
// a busy machine.
func (s *Slot) CPU(tb TB) time.Duration {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	var user, system int64
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}

// Run runs one of the commands to its end and returns what it printed.
func (s *Slot) Run(ctx context.Context, tb TB, stdin, name string, args ...string) (string, error) {
	tb.Helper()
	cmd := exec.CommandContext(ctx, Bin(tb, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// AddUser makes a user, through the daemon or, where none runs, directly.
func (s *Slot) AddUser(tb TB, name, password string) {
	tb.Helper()
	if out, err := s.Run(context.Background(), tb, password+"\n", "slotctl", "--config", s.Config, "user", "add", name); err != nil {
		tb.Fatal(out, err)
	}
}

// DialIMAP logs in with go-imap's client.
func (s *Slot) DialIMAP(user, password string) (*imapclient.Client, error) {
	c, err := imapclient.DialInsecure(s.IMAP, nil)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, password).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// lockedBuffer is a buffer that a process may write while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
