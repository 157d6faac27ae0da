package terminal

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// pipe returns a file from which text can be read.
func pipe(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPasswordFromPipe(t *testing.T) {
	for text, want := range map[string]string{"secret\n": "secret", "secret": "secret", "two words\r\nmore": "two words", " space ": " space "} {
		if got, err := Password(pipe(t, text), io.Discard); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "\n", "\r\n"} {
		if got, err := Password(pipe(t, text), io.Discard); !errors.Is(err, ErrNoPassword) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestPipeIsNoTerminal(t *testing.T) {
	f := pipe(t, "")
	if Is(f) {
		t.Error("a pipe is taken for a terminal")
	}
	p := NewProgress(f)
	p.Show(time.Now(), func() string { t.Error("progress is shown in a pipe"); return "" })
	p.Clear()
}

func TestProgressOverwritesItself(t *testing.T) {
	var out strings.Builder
	p := &Progress{out: &out, every: time.Second}
	now := time.Unix(100, 0)
	p.Show(now, func() string { return "12345" })
	p.Show(now.Add(time.Millisecond), func() string { t.Error("shown too often"); return "" })
	p.Show(now.Add(time.Second), func() string { return "678" })
	p.Clear()
	if got, want := out.String(), "\r12345\r678  \r   \r"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
