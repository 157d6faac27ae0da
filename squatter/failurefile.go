package squatter

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/message"
)

// The list of a user's messages that could not be indexed: docs/formats.md,
// "List of failed messages". Nothing depends on it but when they are tried again.
const (
	failureFile    = "index.failed"
	failureVersion = 1
	maxFailureFile = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFailureFile = errors.New("damaged list of failed messages")

// encodeFailures writes a list.
func encodeFailures(list []Failure) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "teraslot-failed %d extract %d\n", failureVersion, message.ExtractVersion)
	for i := range list {
		f := &list[i]
		next := int64(0)
		if !f.Quarantined() {
			next = f.Next.Unix()
		}
		fmt.Fprintf(&b, "%s %d %d %s\n", f.GUID, f.Tries, next, strconv.Quote(f.Err.Error()))
	}
	return fmt.Appendf(b.Bytes(), "crc %08x\n", crc32.Checksum(b.Bytes(), castagnoli))
}

// decodeFailures reads a list. One of another extraction is empty: what failed then
// may not fail now.
func decodeFailures(b []byte) (map[guid]Failure, error) {
	body, sum, ok := cutLast(string(b))
	if !ok || sum != fmt.Sprintf("crc %08x", crc32.Checksum([]byte(body), castagnoli)) {
		return nil, errFailureFile
	}
	head, rest, _ := strings.Cut(body, "\n")
	var version, extract int
	if n, err := fmt.Sscanf(head, "teraslot-failed %d extract %d", &version, &extract); n != 2 || err != nil {
		return nil, errFailureFile
	}
	if version != failureVersion || extract != message.ExtractVersion {
		return nil, nil
	}
	list := make(map[guid]Failure)
	for line := range strings.Lines(rest) {
		f, err := decodeFailure(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		list[f.GUID] = f
	}
	return list, nil
}

// cutLast parts the last line, without its end, from those before it.
func cutLast(s string) (before, last string, ok bool) {
	s, ok = strings.CutSuffix(s, "\n")
	at := strings.LastIndexByte(s, '\n') + 1
	return s[:at], s[at:], ok && at > 0
}

func decodeFailure(line string) (Failure, error) {
	words := strings.SplitN(line, " ", 4)
	if len(words) != 4 {
		return Failure{}, errFailureFile
	}
	g, err1 := mailbox.ParseGUID(words[0])
	tries, err2 := strconv.Atoi(words[1])
	next, err3 := strconv.ParseInt(words[2], 10, 64)
	reason, err4 := strconv.Unquote(words[3])
	if err := errors.Join(err1, err2, err3, err4); err != nil || tries < 1 {
		return Failure{}, errors.Join(errFailureFile, err)
	}
	f := Failure{GUID: g, Tries: tries, Err: errors.New(reason)}
	if next != 0 {
		f.Next = time.Unix(next, 0)
	}
	return f, nil
}

// failureMark tells whether a user's list is another than before; zero if there is none.
func (q *Squatter) failureMark(u mailbox.User) fileMark {
	if q.o.Conf == "" {
		return fileMark{}
	}
	info, err := q.o.FS.Stat(filepath.Join(q.o.Conf, u.Dir(), failureFile))
	if err != nil {
		return fileMark{}
	}
	return fileMark{info.Size(), info.ModTime()}
}

// readFailures reads a user's list; nil if there is none.
func (q *Squatter) readFailures(u mailbox.User) (map[guid]Failure, error) {
	if q.o.Conf == "" {
		return nil, nil
	}
	name := filepath.Join(q.o.Conf, u.Dir(), failureFile)
	info, err := q.o.FS.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFailureFile {
		return nil, fmt.Errorf("%s: %d bytes: %w", name, info.Size(), errFailureFile)
	}
	b, err := disk.ReadFile(q.o.FS, name)
	if err != nil {
		return nil, err
	}
	list, err := decodeFailures(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return list, nil
}

// writeFailures replaces a user's list; an empty one is no file.
func (q *Squatter) writeFailures(u mailbox.User, list []Failure) error {
	if q.o.Conf == "" {
		return nil
	}
	name := filepath.Join(q.o.Conf, u.Dir(), failureFile)
	if len(list) == 0 {
		// Not synced: if it comes back after a power cut, messages rest for a while.
		if err := q.o.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return disk.Publish(q.o.FS, name, 0o600, func(w io.Writer) error {
		_, err := w.Write(encodeFailures(list))
		return err
	})
}
