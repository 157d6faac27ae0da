package mailbox

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestIDs(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct {
		name  string
		size  int
		parse func(string) (string, error)
		err   error
		upper bool
	}{
		{"user", 32, func(s string) (string, error) { u, err := ParseUser(s); return string(u), err }, ErrUserID, false},
		{"mailbox", 24, func(s string) (string, error) { id, err := ParseID(s); return string(id), err }, ErrMailboxID, false},
		{"GUID", 64, func(s string) (string, error) { g, err := ParseGUID(s); return g.String(), err }, ErrGUID, true},
	} {
		good := hex[:c.size]
		if got, err := c.parse(good); got != good || err != nil {
			t.Errorf("%s %q is read as %q, %v", c.name, good, got, err)
		}
		bad := []string{"", good[1:], good + "0", good[1:] + "g", good[1:] + "/", good[1:] + "\x00", "../" + good[3:], good[2:] + "é"}
		if !c.upper {
			bad = append(bad, strings.ToUpper(good))
		}
		for _, s := range bad {
			if got, err := c.parse(s); !errors.Is(err, c.err) {
				t.Errorf("%s %q is read as %q, %v", c.name, s, got, err)
			}
		}
	}
}

func TestUserDir(t *testing.T) {
	if got, want := User("ab"+strings.Repeat("0", 30)).Dir(), filepath.Join("users", "ab", "ab"+strings.Repeat("0", 30)); got != want {
		t.Errorf("directory %s, want %s", got, want)
	}
	// What is no id still stays below users/.
	for _, u := range []User{"", "a"} {
		if dir := u.Dir(); !strings.HasPrefix(dir, filepath.Join("users", "--")) {
			t.Errorf("%q: directory %s", u, dir)
		}
	}
}

func TestGUID(t *testing.T) {
	g := GUIDOf([]byte("abc")) // FIPS 180-2, appendix B.1
	if got, want := g.String(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("GUID %s, want %s", got, want)
	}
	h := NewGUIDHash()
	h.Write([]byte("a"))
	h.Write([]byte("bc"))
	if GUID(h.Sum(nil)) != g {
		t.Error("the hash of pieces differs")
	}
	if g.IsZero() || !(GUID{}).IsZero() {
		t.Error("IsZero")
	}
}
