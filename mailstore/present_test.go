package mailstore

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"teraslot/disk"
)

// TestArchiveTakesNone: while the archive partition is full, missing or broken, large
// messages are taken all the same and lie on the spool; when it is there again, they
// go to it as before, and those of the meantime with the next Archive.
func TestArchiveTakesNone(t *testing.T) {
	for name, fault := range map[string]error{"full": syscall.ENOSPC, "broken": syscall.EIO, "missing": syscall.ENOENT} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Conf: filepath.Join(dir, "conf"), Spool: filepath.Join(dir, "spool"), Archive: filepath.Join(dir, "archive"), ArchiveSize: 1000}
			for _, root := range []string{o.Conf, o.Spool, o.Archive} {
				mkdir(t, root)
			}
			var failing atomic.Bool
			o.FS = disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
				if failing.Load() && op.Changes() && strings.HasPrefix(name, o.Archive) {
					return fault
				}
				return nil
			}})
			s, m := newStore(t, o)
			inbox := named(t, m, "INBOX").ID
			large := func(subject string) string { return "Subject: " + subject + "\r\n\r\n" + strings.Repeat("x", 2000) }
			taken := map[string]int{}
			for _, subject := range []string{"before", "while", "while again", "after"} {
				failing.Store(strings.HasPrefix(subject, "while"))
				rec := appendText(t, m, inbox, large(subject))
				if got := bytesOf(t, m, inbox, rec); got != large(subject) {
					t.Errorf("%s: the message has become another", subject)
				}
				taken[subject] = len(packsOf(t, o.Archive))
			}
			failing.Store(false)
			if taken["before"] != 1 || taken["while again"] > taken["before"]+1 {
				t.Errorf("packs of the archive: %v", taken)
			}
			got, err := m.Archive(t.Context(), ArchiveOptions{})
			if err != nil || got.Messages != 2 {
				t.Errorf("%d messages went to the archive afterwards, want 2; %v", got.Messages, err)
			}
			verify(t, s, user1)
		})
	}
}

// TestNothingBelowMountPoints: where a user's directory is not there because the partition
// is not, nothing is stored, and nothing is made.
func TestNothingBelowMountPoints(t *testing.T) {
	dir := t.TempDir()
	gone := errors.New("not mounted")
	var away atomic.Bool
	o := Options{Conf: filepath.Join(dir, "conf"), Spool: filepath.Join(dir, "spool"), Archive: filepath.Join(dir, "archive"), ArchiveSize: 1000,
		Present: func(string) error {
			if away.Load() {
				return gone
			}
			return nil
		}}
	for _, root := range []string{o.Conf, o.Spool, o.Archive} {
		mkdir(t, root)
	}
	s, m := newStore(t, o)
	inbox := named(t, m, "INBOX").ID
	away.Store(true)
	for _, size := range []int{10, 2000} {
		_, err := m.Append(t.Context(), "", Append{Mailbox: inbox, Message: spool(t, s, strings.Repeat("x", size))})
		if !errors.Is(err, gone) {
			t.Errorf("a message of %d bytes: %v", size, err)
		}
	}
	for _, root := range []string{o.Spool, o.Archive} {
		if made, _ := filepath.Glob(filepath.Join(root, "users")); made != nil {
			t.Errorf("below the mount point there is %q", made)
		}
	}
	away.Store(false)
	appendText(t, m, inbox, "Subject: again\r\n\r\n")
	verify(t, s, user1)
}
