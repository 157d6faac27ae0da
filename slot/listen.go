package slot

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// maxSocketPath is what fits the kernel's address of a Unix socket, with room
// for the suffix of a new one.
const maxSocketPath = 100

// errNotSocket is returned for a path where something else lies.
var errNotSocket = errors.New("is there and is no socket: move it away")

// socket is a Unix socket that takes its name only when it is ready and has its
// permissions, so that nobody connects in between; a stale one is replaced.
type socket struct {
	net.Listener
	path string
}

// listenUnix makes a Unix socket. Only one process may do so for a path: the
// holder of slot.lock.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if m, there, err := fileMode(path); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	} else if there && m&fs.ModeSocket == 0 {
		return nil, fmt.Errorf("%s %w", path, errNotSocket)
	}
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("socket: %w", err)
	}
	var l *net.UnixListener
	err := reach(next, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // the name it knows is the one it had first
	if err = os.Chmod(next, mode); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), l.Close(), os.Remove(next))
	}
	return &socket{l, path}, nil
}

// Close stops listening and takes the name away.
func (s *socket) Close() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err // the name may be a successor's by now
	}
	if gone := os.Remove(s.path); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// Addr is the path of the socket.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// dialUnix connects to a Unix socket.
func dialUnix(path string) (net.Conn, error) {
	var c net.Conn
	err := reach(path, func(short string) (err error) {
		c, err = net.Dial("unix", short)
		return err
	})
	return c, err
}

// reach gives use a path that is short enough for the kernel: a long one is
// named by way of its open directory.
func reach(path string, use func(string) error) error {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
}

// listenTCP listens on all addresses, or on none.
func listenTCP(addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, l)
	}
	return all, nil
}

func closeAll(all []net.Listener) error {
	var errs []error
	for _, l := range all {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// loopback reports whether no address can be reached from another machine.
func loopback(all []net.Listener) bool {
	for _, l := range all {
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			return false
		}
	}
	return true
}
