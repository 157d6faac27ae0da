package corpus

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Message is one file of an archive.
type Message struct {
	Name string // path inside the archive
	Raw  []byte // with CRLF line ends and without an mbox "From " line
}

// Messages returns the messages of CORPUS/<name>.tar.xz in the order of their
// names. It skips the test where CORPUS is not set.
func Messages(tb testing.TB, name string) []Message {
	tb.Helper()
	dir := os.Getenv("CORPUS")
	if dir == "" {
		tb.Skip("CORPUS is not set: it names the directory of the real mail archives")
	}
	messages, err := Read(filepath.Join(dir, name+".tar.xz"))
	if err != nil {
		tb.Fatal(err)
	}
	return messages
}

// Read reads an archive by the xz command.
func Read(archive string) ([]Message, error) {
	cmd := exec.Command("xz", "-dc", archive)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", archive, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", archive, err)
	}
	messages, err := readTar(out)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", archive, errors.Join(err, cmd.Process.Kill(), cmd.Wait()))
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("unpack %s: %w", archive, err)
	}
	slices.SortFunc(messages, func(a, b Message) int { return strings.Compare(a.Name, b.Name) })
	return messages, nil
}

func readTar(r io.Reader) ([]Message, error) {
	var messages []Message
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || strings.HasSuffix(h.Name, "COPYING") {
			continue
		}
		raw, err := io.ReadAll(files)
		if err != nil {
			return nil, err
		}
		if raw = Canonical(raw); len(raw) > 0 { // a file without content is no message
			messages = append(messages, Message{h.Name, raw})
		}
	}
}

// Canonical makes a file of mail what a server receives: CRLF line ends and no
// mbox "From " line at the start.
func Canonical(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte("From ")) {
		_, raw, _ = bytes.Cut(raw, []byte("\n"))
	}
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
}
