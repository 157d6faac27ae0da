package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// errMount is wrapped by the error of a machine where no tmpfs can be mounted.
var errMount = errors.New("a tmpfs of limited size cannot be mounted, which takes root")

// tmpfs is a file system in memory.
type tmpfs struct {
	dir  string
	size int64 // bytes
}

// mount makes the directory and mounts an empty file system there.
func (f tmpfs) mount() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", f.dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", f.size)); err != nil {
		return fmt.Errorf("%w: %w", errMount, err)
	}
	return nil
}

// unmount loses all that is in it.
func (f tmpfs) unmount() error { return unix.Unmount(f.dir, unix.MNT_DETACH) }

// used is how many bytes of memory its files take.
func (f tmpfs) used() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}
