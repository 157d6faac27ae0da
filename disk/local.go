package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotLocal is returned for a path on a network or user-space file system.
var ErrNotLocal = errors.New("not on a local file system")

// remote names the file systems where locks and fsync do not keep what they
// promise: another machine holds the files, or a program in between decides.
// See statfs(2) for the numbers; golang.org/x/sys lacks some.
var remote = map[uint32]string{
	unix.NFS_SUPER_MAGIC:  "NFS",
	unix.SMB_SUPER_MAGIC:  "SMB",
	unix.SMB2_SUPER_MAGIC: "SMB2",
	unix.CIFS_SUPER_MAGIC: "CIFS",
	unix.FUSE_SUPER_MAGIC: "FUSE",
	unix.NCP_SUPER_MAGIC:  "NCP",
	unix.CODA_SUPER_MAGIC: "Coda",
	unix.AFS_SUPER_MAGIC:  "AFS",
	unix.AFS_FS_MAGIC:     "AFS",
	unix.V9FS_MAGIC:       "9P",
	unix.CEPH_SUPER_MAGIC: "Ceph",
	0x0bd00bd0:            "Lustre",
	0x47504653:            "GPFS",
	0x7461636f:            "OCFS2",
	0x01161970:            "GFS2",
}

// CheckLocal returns an error that satisfies errors.Is(err, ErrNotLocal) if the
// path, or the nearest directory above it that is there, lies on NFS, CIFS, FUSE
// or the like. Whether that is allowed is the configuration's to say.
func CheckLocal(path string) error {
	var st unix.Statfs_t
	at := filepath.Clean(path)
	err := unix.Statfs(at, &st)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(at) != at {
		at = filepath.Dir(at)
		err = unix.Statfs(at, &st)
	}
	if err != nil {
		return &fs.PathError{Op: "statfs", Path: at, Err: err}
	}
	return checkMagic(path, uint32(st.Type))
}

func checkMagic(path string, magic uint32) error {
	if name, ok := remote[magic]; ok {
		return fmt.Errorf("%s is on %s: %w", path, name, ErrNotLocal)
	}
	return nil
}
