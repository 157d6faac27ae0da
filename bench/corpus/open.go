package corpus

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Open yields the messages of an archive (.tar.xz), an mbox, a Maildir with its
// folders, or a directory of messages, one after another: only an archive is held
// in memory. Files come in the order of their names. After an error nothing follows.
func Open(path string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		fi, err := os.Stat(path)
		switch {
		case err != nil:
			yield(Message{}, err)
		case fi.IsDir():
			openTree(path, yield)
		case strings.HasSuffix(path, ".tar.xz"):
			openArchive(path, yield)
		default:
			openFile(path, yield)
		}
	}
}

func openArchive(path string, yield func(Message, error) bool) {
	mail, err := Read(path)
	if err != nil {
		yield(Message{}, err)
		return
	}
	for _, m := range mail {
		if !yield(m, nil) {
			return
		}
	}
}

// errStop ends a walk whose caller wants no more.
var errStop = errors.New("stop")

// openTree yields each file of a directory; of a Maildir, those in cur and new.
func openTree(dir string, yield func(Message, error) bool) {
	_, err := os.Stat(filepath.Join(dir, "cur"))
	maildir := err == nil
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if in := filepath.Base(filepath.Dir(path)); maildir && in != "cur" && in != "new" {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if raw = Canonical(raw); len(raw) > 0 && !yield(Message{name, raw}, nil) {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		yield(Message{}, err)
	}
}

// openFile yields the messages of an mbox, or the one that a file is.
func openFile(path string, yield func(Message, error) bool) {
	f, err := os.Open(path)
	if err != nil {
		yield(Message{}, err)
		return
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	if start, _ := r.Peek(5); string(start) != "From " {
		raw, err := io.ReadAll(r)
		yield(Message{filepath.Base(path), Canonical(raw)}, err)
		return
	}
	for i, err := range splitMbox(r) {
		if err != nil {
			yield(Message{}, fmt.Errorf("%s: %w", path, err))
			return
		}
		if !yield(i, nil) {
			return
		}
	}
}

// splitMbox cuts an mbox (RFC 4155, quoted as mboxrd has it) at lines that begin
// with "From " behind an empty one. Names are numbers from 1.
func splitMbox(r *bufio.Reader) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var raw []byte
		n, blank := 0, true
		end := func() bool {
			n++
			raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
			m := Message{fmt.Sprint(n), Canonical(raw)}
			raw = nil
			return len(m.Raw) == 0 || yield(m, nil)
		}
		for {
			line, err := r.ReadBytes('\n')
			if blank && bytes.HasPrefix(line, []byte("From ")) {
				if len(raw) > 0 && !end() {
					return
				}
				blank = false
				continue
			}
			if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
				line = line[1:]
			}
			blank = len(bytes.TrimRight(line, "\r\n")) == 0
			raw = append(raw, line...)
			switch {
			case err == io.EOF:
				end()
				return
			case err != nil:
				yield(Message{}, err)
				return
			}
		}
	}
}

// WriteMbox appends a message to an mbox, quoted as mboxrd has it.
func WriteMbox(w io.Writer, m Message) error {
	text := bytes.ReplaceAll(m.Raw, []byte("\r\n"), []byte("\n"))
	var b bytes.Buffer
	b.WriteString("From sender@example.org Thu Jan  1 00:00:00 2015\n")
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			b.WriteByte('>')
		}
		b.Write(line)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}
