package mailstore

import (
	"os"
	"testing"
)

// TestRepackKeepsUnknownPacks: beside a mail.db of before some packs, a repack writes to
// none of them.
func TestRepackKeepsUnknownPacks(t *testing.T) {
	o := Options{Conf: t.TempDir(), PackSize: 12_000}
	s, m, _ := withDead(t, o, 9)
	db := s.databasePath(user1)
	id := named(t, m, Inbox).ID
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	s, m = openFor(t, o)
	for n := range 6 {
		appendText(t, m, id, sized(200+n, 5000))
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	known := packsOf(t, o.Conf)
	before := map[string]string{}
	for _, path := range known {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before[path] = string(b)
	}
	if err := os.WriteFile(db, older, 0o600); err != nil {
		t.Fatal(err)
	}
	s, m = openFor(t, o)
	defer s.Close()
	defer m.Release()
	got, err := m.Repack(t.Context(), RepackOptions{})
	if err != nil || got.Packs == 0 {
		t.Errorf("repacked %+v: %v", got, err)
	}
	for path, old := range before {
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil || string(b) != old {
			t.Errorf("%s was written over: %v", path, err)
		}
	}
}
