package disk

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckLocal(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "not/there/yet"), "/proc"} {
		if err := CheckLocal(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestCheckMagic holds the numbers of statfs(2), written out once more.
func TestCheckMagic(t *testing.T) {
	for name, magic := range map[string]uint32{
		"NFS": 0x6969, "CIFS": 0xff534d42, "SMB2": 0xfe534d42, "SMB": 0x517b, "FUSE": 0x65735546,
		"9P": 0x01021997, "Ceph": 0x00c36400, "Coda": 0x73757245, "AFS": 0x5346414f,
	} {
		err := checkMagic("/conf", magic)
		if !errors.Is(err, ErrNotLocal) || !strings.Contains(err.Error(), "/conf is on "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, magic := range map[string]uint32{
		"ext4": 0xef53, "xfs": 0x58465342, "btrfs": 0x9123683e, "zfs": 0x2fc12fc1, "tmpfs": 0x01021994, "overlay": 0x794c7630,
	} {
		if err := checkMagic("/conf", magic); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
