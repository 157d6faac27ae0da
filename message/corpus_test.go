package message

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// corpus calls fn for every message of an archive in the directory CORPUS.
func corpus(t testing.TB, archive string, fn func(name string, raw []byte)) {
	t.Helper()
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: no real mail to test with")
	}
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("xz is not installed: the corpora cannot be unpacked")
	}
	cmd := exec.CommandContext(t.Context(), "xz", "-dc", filepath.Join(dir, archive+".tar.xz"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	messages := 0
	for r := tar.NewReader(out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		messages++
		fn(h.Name, raw)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if messages < 400 {
		t.Fatalf("only %d messages in %s", messages, archive)
	}
}

var archives = []string{"mime-torture", "spamassassin"}
