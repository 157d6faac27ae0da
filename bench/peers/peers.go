package peers

import (
	"bytes"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"teraslot/bench/daemon"
)

//go:embed *.sh
var scripts embed.FS

// TB is the part of testing.TB that is used here.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Skipf(format string, args ...any)
}

// Server is a running peer. It is stopped at the end of the test.
type Server struct {
	Dir  string // its configuration and data, to be read by anybody
	IMAP string // address, without TLS
	LMTP string // address
}

// Format is how Dovecot keeps mail.
type Format string

// The formats. Maildirs lie in Dir/mail/USER/Maildir.
const (
	Mdbox   Format = "mdbox"
	Maildir Format = "maildir"
)

// Dovecot starts a Dovecot 2.3, or skips the test where there is none.
func Dovecot(tb TB, f Format) *Server {
	tb.Helper()
	return start(tb, "dovecot.sh", string(f))
}

// Cyrus starts a Cyrus 3.6, or skips the test where there is none. A user's INBOX is
// made by the first login, which has to come before the first delivery.
func Cyrus(tb TB) *Server {
	tb.Helper()
	return start(tb, "cyrus.sh")
}

// CyrusPair starts two Cyrus, of which one is to be the copy of the other: "sync_client -n
// copy" brings it up to date.
func CyrusPair(tb TB) (master, replica *Server) {
	tb.Helper()
	sync := port(daemon.FreeAddress(tb))
	replica = start(tb, "cyrus.sh", "replica", sync)
	return start(tb, "cyrus.sh", "master", sync), replica
}

// Command is one of the peer's programs, run as its user: only Cyrus has that.
func (s *Server) Command(program string, args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(s.Dir, "run"), append([]string{program, "-C", filepath.Join(s.Dir, "imapd.conf")}, args...)...)
}

func start(tb TB, script string, more ...string) *Server {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skipf("%s: only root can start it", script)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		tb.Skipf("%s: %v", script, err)
	}
	// Peers change to users of their own, who have to reach their directory.
	dir, err := os.MkdirTemp("", "teraslot-peer")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{Dir: filepath.Join(dir, "data"), IMAP: daemon.FreeAddress(tb), LMTP: daemon.FreeAddress(tb)}
	if err := unpack(dir); err != nil {
		tb.Fatal(err)
	}
	run := func(args ...string) error {
		cmd := exec.Command(filepath.Join(dir, script), append([]string{s.Dir}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second // a daemon may keep the pipes
		if err := cmd.Run(); err != nil && err != exec.ErrWaitDelay {
			return fmt.Errorf("%s %v: %w: %s", script, args, err, &out)
		}
		return nil
	}
	if err := run(append([]string{"start", port(s.IMAP), port(s.LMTP)}, more...)...); err != nil {
		tb.Skipf("the peer cannot be started here: %v", err)
	}
	tb.Cleanup(func() {
		if err := run("stop"); err != nil {
			tb.Errorf("%v", err)
		}
	})
	for _, addr := range []string{s.IMAP, s.LMTP} {
		if err := await(addr); err != nil {
			tb.Fatal(fmt.Errorf("%s does not answer: %w", script, err))
		}
	}
	return s
}

// unpack writes the scripts to a directory.
func unpack(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	list, err := scripts.ReadDir(".")
	if err != nil {
		return err
	}
	for _, e := range list {
		text, err := scripts.ReadFile(e.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), text, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if _, e := strconv.Atoi(p); err != nil || e != nil {
		return "0"
	}
	return p
}

// await connects until the server answers with a greeting.
func await(addr string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		err := greeting(addr)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return err
		}
	}
}

func greeting(addr string) error {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}
