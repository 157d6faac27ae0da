package netns

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func needNamespaces(t *testing.T) {
	t.Helper()
	if err := Refused(); err != nil {
		t.Skipf("no namespaces: %v", err)
	}
}

// in runs a command in a network and returns what it printed.
func in(t *testing.T, n *Net, args ...string) string {
	t.Helper()
	args = append(n.Under(), args...)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestNetworkIsApart: a network has its own interfaces, and only the test's network beside it.
func TestNetworkIsApart(t *testing.T) {
	needNamespaces(t)
	one, two := New(t), New(t)
	if one.Host == two.Host || one.Gateway == two.Gateway {
		t.Fatalf("%+v and %+v share addresses", one, two)
	}
	for _, n := range []*Net{one, two} {
		var names []string
		for line := range strings.Lines(in(t, n, "ip", "-o", "link")) {
			name := strings.TrimSuffix(strings.Fields(line)[1], ":")
			name, _, _ = strings.Cut(name, "@")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != "lo uplink" {
			t.Errorf("the interfaces of a network: %s", got)
		}
	}
	if routes := in(t, one, "ip", "-o", "route"); strings.Count(routes, "\n") != 1 {
		t.Errorf("ways out of a network: %s", routes)
	}
}

// TestUnplugged: what is sent while a network is unplugged arrives when it is plugged in
// again, and nobody was told.
func TestUnplugged(t *testing.T) {
	needNamespaces(t)
	n := New(t)
	l, err := net.Listen("tcp", net.JoinHostPort(n.Gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	args := append(n.Under(), "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%s; while read -r word <&3; do echo \"<$word>\" >&3; done", n.Gateway, port))
	client := exec.Command(args[0], args[1:]...)
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(c)
	say := func(word string) {
		if _, err := fmt.Fprintln(c, word); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want string) {
		t.Helper()
		if got, err := lines.ReadString('\n'); got != want+"\n" || err != nil {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	say("before")
	hear("<before>")
	if err := n.Unplug(); err != nil {
		t.Fatal(err)
	}
	say("meanwhile")
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if b, err := lines.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a line that is unplugged came %q, %v", b, err)
	}
	if err := errors.Join(n.Plug(), c.SetReadDeadline(time.Now().Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	hear("<meanwhile>")
	if err := errors.Join(c.Close(), client.Wait()); err != nil {
		t.Error(err)
	}
}

// TestFill: a full disk takes nothing, and what was there stays; emptied, it takes again.
func TestFill(t *testing.T) {
	needNamespaces(t)
	d := NewDisk(t, filepath.Join(t.TempDir(), "disk"), 1<<20)
	write := func(name string) error {
		f, err := os.Create(filepath.Join(d.Dir, name))
		if err != nil {
			return err
		}
		_, err = f.Write(make([]byte, 8192))
		return errors.Join(err, f.Close())
	}
	if err := write("before"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Fill(); err != nil {
			t.Fatal(err)
		}
		if err := write("meanwhile"); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a full disk: %v", err)
		}
		if err := d.Empty(); err != nil {
			t.Fatal(err)
		}
		if err := write("after"); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(d.Dir, "before")); len(b) != 8192 || err != nil {
		t.Errorf("%d octets, %v", len(b), err)
	}
}

// refuser is a set of tests that is run where no namespaces can be had.
type refuser struct{ ran bool }

func (r *refuser) Run() int {
	r.ran = true
	return 7
}

// TestMainWithoutNamespaces: what Main is given runs, whatever the kernel says, and tests that
// need namespaces are told why there are none.
func TestMainWithoutNamespaces(t *testing.T) {
	before, path := errRefused, os.Args[0]
	t.Cleanup(func() { errRefused, os.Args[0] = before, path })
	t.Setenv(inside, "")
	os.Args[0] = filepath.Join(t.TempDir(), "nothing") // what cannot be started stands for what is errRefused
	var r refuser
	if status := Main(&r); status != 7 || !r.ran || errRefused == nil || !strings.Contains(errRefused.Error(), "refuses") {
		t.Errorf("status %d, run %t, %v", status, r.ran, errRefused)
	}
	t.Setenv("PATH", t.TempDir())
	r.ran = false
	if status := Main(&r); status != 7 || !r.ran || !errors.Is(Refused(), exec.ErrNotFound) {
		t.Errorf("without the commands: status %d, run %t, %v", status, r.ran, Refused())
	}
	if err := run("/bin/ls", "/there/is/nothing"); err == nil || !strings.Contains(err.Error(), "/there/is/nothing") {
		t.Errorf("a command that fails: %v", err)
	}
}
