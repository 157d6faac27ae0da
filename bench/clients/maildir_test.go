package clients

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maildir is the folder of that path, with the functions of a person at its end.
type maildir struct {
	path string
	f    *fixture
}

// files are the paths of its messages.
func (m maildir) files(t *testing.T) (paths []string) {
	t.Helper()
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(m.path, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range entries {
			paths = append(paths, filepath.Join(m.path, sub, e.Name()))
		}
	}
	return paths
}

// held counts its letters.
func (m maildir) held(t *testing.T) map[letter]int {
	t.Helper()
	out := map[letter]int{}
	for _, path := range m.files(t) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, flags, _ := strings.Cut(filepath.Base(path), ":2,")
		out[letter{m.f.plain(raw), flags}]++
	}
	return out
}

// mark replaces a message's flags.
func (m maildir) mark(t *testing.T, path, flags string) {
	t.Helper()
	base, _, _ := strings.Cut(filepath.Base(path), ":2,")
	if err := os.Rename(path, filepath.Join(m.path, "cur", base+":2,"+flags)); err != nil {
		t.Fatal(err)
	}
}

// add puts a new message there.
func (m maildir) add(t *testing.T, name, text string) {
	t.Helper()
	write(t, filepath.Join(m.path, "new", name), text)
}
