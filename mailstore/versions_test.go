package mailstore

import (
	"os"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// TestVersions: users whose mail.db is of another version are told apart, without opening it.
func TestVersions(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t)})
	_ = m
	var all []mailbox.User
	for _, u := range []mailbox.User{"00000000000000000000000000000001", "00000000000000000000000000000002", "00000000000000000000000000000003"} {
		if err := s.CreateUser(t.Context(), u, UserOptions{}); err != nil {
			t.Fatal(err)
		}
		e, err := s.reserve(t.Context(), u) // closes it
		if err != nil {
			t.Fatal(err)
		}
		s.vanish(e)
		all = append(all, u)
	}
	age(t, s.databasePath(all[0]), 2)
	age(t, s.databasePath(all[1]), schemaVersion+1)
	if err := os.WriteFile(s.databasePath(all[2]), []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Versions(t.Context())
	if err != nil || got.Known != schemaVersion || !slices.Equal(got.Older, all[:1]) || !slices.Equal(got.Later, all[1:2]) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestDamageIsToldOnce: of a mailbox with a damaged record, whoever may mend it is told once,
// and again after it was mended and damaged anew.
func TestDamageIsToldOnce(t *testing.T) {
	d := newDamaged(t, 4)
	spoil := `UPDATE message SET system = 9 WHERE id & 0xFFFFFFFF = 2`
	d.exec(t, spoil)
	told := 0
	s, m := openFor(t, Options{Conf: d.dir, CacheBytes: 1, Damaged: func(u mailbox.User) {
		if told++; u != user1 {
			t.Errorf("told of %s", u)
		}
	}})
	look := func(want int) {
		t.Helper()
		for range 3 {
			if _, err := m.View(t.Context(), d.inbox); err != nil {
				t.Fatal(err)
			}
		}
		if told != want {
			t.Errorf("told %d times, want %d", told, want)
		}
	}
	look(1)
	if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
		t.Fatal(err)
	}
	look(1)
	if err := m.writer.exec(spoil); err != nil {
		t.Fatal(err)
	}
	m.s.views.forget(user1)
	look(2)
	if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
		t.Fatal(err)
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
