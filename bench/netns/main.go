package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// TB is the part of testing.TB that is used here.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// inside is the variable by which a process knows that it runs in namespaces of its own.
const inside = "TERASLOT_TEST_NAMESPACES"

// errRefused is why there are no namespaces; it is set before the tests begin.
var errRefused = errors.New("TestMain does not call netns.Main")

// Refused returns why tests have no namespaces; nil if they have.
func Refused() error { return errRefused }

// Main runs a package's tests in namespaces of their own, where that can be done, and
// returns the status for os.Exit.
func Main(m interface{ Run() int }) int {
	if os.Getenv(inside) != "" {
		errRefused = begin()
		return m.Run()
	}
	for _, name := range []string{"ip", "nsenter"} {
		if _, errRefused = exec.LookPath(name); errRefused != nil {
			return m.Run()
		}
	}
	runtime.LockOSThread() // the signal of Pdeathsig is for the end of the thread
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		errRefused = fmt.Errorf("the kernel refuses namespaces: %w", err)
		runtime.UnlockOSThread()
		return m.Run()
	}
	err := cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status >= 0 {
		return status
	}
	fmt.Fprintln(os.Stderr, "the tests in namespaces of their own:", err)
	return 1
}

// begin makes the loopback interface of the new network work, and tries whether the kernel has
// what New needs.
func begin() error {
	if err := ip("link", "set", "lo", "up"); err != nil {
		return err
	}
	if err := ip("link", "add", "probe", "type", "veth", "peer", "name", "probed"); err != nil {
		return err
	}
	return ip("link", "del", "probe")
}

// ip runs the command of that name (iproute2).
func ip(args ...string) error { return run("ip", args...) }

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}
