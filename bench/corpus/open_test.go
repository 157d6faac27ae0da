package corpus

import (
	"bytes"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func all(t testing.TB, mail iter.Seq2[Message, error]) (texts []string) {
	t.Helper()
	for m, err := range mail {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(m.Raw))
	}
	return texts
}

func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpen(t *testing.T) {
	const mbox = "From a Thu\nA: 1\n\nFrom here\nB: 1\n>From quoted\n\nFrom b Fri\r\nB: 2\r\n\r\n\r\n"
	tests := []struct {
		name  string
		files map[string]string
		path  string
		want  []string
	}{
		{"mbox", map[string]string{"m": mbox}, "m", []string{"A: 1\r\n", "B: 1\r\nFrom quoted\r\n", "B: 2\r\n\r\n"}},
		{"one message", map[string]string{"m": "A: 1\n\nx\n"}, "m", []string{"A: 1\r\n\r\nx\r\n"}},
		{"directory", map[string]string{"b/2": "B: 2\n", "a": "A: 1\n", "empty": ""}, "", []string{"A: 1\r\n", "B: 2\r\n"}},
		{"Maildir", map[string]string{"cur/1:2,S": "A: 1\n", "new/2": "B: 2\n", "tmp/3": "C: 3\n", ".Sent/cur/4": "D: 4\n", "dovecot.index": "x"}, "", []string{"D: 4\r\n", "A: 1\r\n", "B: 2\r\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := all(t, Open(filepath.Join(write(t, tt.files), tt.path)))
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestOpenStopsAndFails(t *testing.T) {
	dir := write(t, map[string]string{"a": "A: 1\n", "b": "B: 2\n", "m": "From x\nA: 1\n\nFrom y\nB: 2\n"})
	for _, path := range []string{dir, filepath.Join(dir, "m")} {
		n := 0
		for range Open(path) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%s: %d messages", path, n)
		}
	}
	for _, err := range Open(filepath.Join(dir, "absent")) {
		if err == nil {
			t.Error("no error for what is not there")
		}
	}
	bad := write(t, map[string]string{"x.tar.xz": "this is no archive"})
	failed := false
	for _, err := range Open(filepath.Join(bad, "x.tar.xz")) {
		failed = err != nil
	}
	if !failed {
		t.Error("no error for an archive that is none")
	}
}

// TestMboxRoundTrip: what WriteMbox writes, Open reads.
func TestMboxRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		line := rapid.SampledFrom([]string{"", "x", "From me", ">From me", ">>From", "Subject: y", ">"})
		var mail []Message
		var want []string
		for range rapid.IntRange(1, 5).Draw(r, "messages") {
			text := "A: 1\r\n" + strings.Join(rapid.SliceOf(line).Draw(r, "lines"), "\r\n") + "\r\n"
			mail, want = append(mail, Message{Raw: []byte(text)}), append(want, text)
		}
		var b bytes.Buffer
		for _, m := range mail {
			if err := WriteMbox(&b, m); err != nil {
				r.Fatal(err)
			}
		}
		path := filepath.Join(dir, "m")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			r.Fatal(err)
		}
		if got := all(t, Open(path)); !slices.Equal(got, want) {
			r.Errorf("%q, want %q", got, want)
		}
	})
}
