package mailstore

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"teraslot/disk"
)

// unreadable is a disk that cannot say whether there is a mail.db.
type unreadable struct{ disk.FS }

func (u unreadable) Stat(name string) (fs.FileInfo, error) {
	if strings.HasSuffix(name, "mail.db") {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: syscall.EIO}
	}
	return u.FS.Stat(name)
}

// A mail.db that cannot be seen is not one that is not there.
func TestStatFails(t *testing.T) {
	d := newDamaged(t, 2)
	s, err := Open(t.Context(), Options{Conf: d.dir, FS: unreadable{disk.OS()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateUser(t.Context(), user1, UserOptions{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("create: %v", err)
	}
	if users, err := s.Users(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("users %v, %v", users, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d.with(t, func(s *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := d.askAll(t, m); err != nil {
			t.Error(err)
		}
	})
}
