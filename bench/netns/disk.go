package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk is a small file system in memory.
type Disk struct {
	Dir string // its root
}

// NewDisk mounts a file system of that many octets at a directory, which it makes, for as long
// as the test runs. Whoever has files open there has to have ended by then.
func NewDisk(tb TB, dir string, size int64) *Disk {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		tb.Fatal(&os.PathError{Op: "mount", Path: dir, Err: err})
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			tb.Errorf("unmount %s: %v", dir, err)
		}
	})
	return &Disk{Dir: dir}
}

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill takes all the room that is left.
func (d *Disk) Fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	for size := int64(0); err == nil; {
		var s unix.Statfs_t
		if err = unix.Statfs(d.Dir, &s); err != nil || s.Bavail == 0 {
			break
		}
		left := int64(s.Bavail) * s.Bsize
		err = unix.Fallocate(int(f.Fd()), 0, size, left)
		switch {
		case err == nil:
			size += left
		case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINTR): // somebody took of it meanwhile
			err = nil
		}
	}
	return errors.Join(err, f.Close())
}

// Empty gives the room back that Fill took.
func (d *Disk) Empty() error { return os.Remove(d.ballast()) }
