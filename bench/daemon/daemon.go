package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "teraslot-bin")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", "teraslot/cmd/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return dir, nil
})

// Bin returns the path of one of the commands, built from this tree.
func Bin(tb TB, name string) string {
	tb.Helper()
	dir, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Clean removes what Bin built; call it from TestMain.
func Clean() {
	if dir, err := build(); err == nil {
		os.RemoveAll(dir)
	}
}

// Slot is the configuration of a slot and, while it runs, its process.
type Slot struct {
	Root   string // all roots lie below it
	Config string // the configuration file
	IMAP   string // address
	LMTP   string // address
	Temp   string // root of the temp tier, in memory where there is any

	process *exec.Cmd
	exited  chan struct{}
	log     *lockedBuffer
}

// New writes the configuration of a slot below root, with more TOML appended.
func New(tb TB, root, more string) *Slot {
	tb.Helper()
	s := &Slot{Root: root, Config: filepath.Join(root, "slot.toml"), IMAP: freeAddress(tb), LMTP: freeAddress(tb), Temp: filepath.Join(Scratch(tb), "temp")}
	text := fmt.Sprintf("name = \"test\"\nroot = %q\n%s\n[tiers]\ntemp = %q\n[imap]\nlisten = [%q]\nlisten_tls = []\n[lmtp]\nlisten = [%q]\nsocket = \"none\"\n",
		root, more, s.Temp, s.IMAP, s.LMTP)
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

func freeAddress(tb TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start starts imapd, under the given command (such as strace) if any, and
// waits until it answers on both ports.
func (s *Slot) Start(tb TB, under ...string) {
	tb.Helper()
	args := append(under, Bin(tb, "imapd"), "serve", "--config", s.Config)
	s.process = exec.Command(args[0], args[1:]...)
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
			tb.Fatalf("imapd does not answer on %s: %v\n%s", addr, err, s.log)
		}
	}
}

func (s *Slot) await(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
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
	case <-time.After(30 * time.Second):
		tb.Errorf("imapd did not stop within 30 s of SIGTERM\n%s", s.log)
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
