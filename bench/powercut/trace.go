package powercut

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// Kind is what a recorded system call did to the files.
type Kind uint8

// The kinds of operations.
const (
	Create   Kind = iota + 1 // a new name for a new file
	Write                    // Data at Offset
	Truncate                 // to Offset bytes
	Sync                     // a file's content and size are durable
	SyncDir                  // a directory's names are durable
	Rename                   // Path to Path2
	Remove
	Mkdir
	Reply // Data went to a client
	Copy  // Length bytes at From of Path2 were written to Offset
)

var kindNames = [...]string{"", "create", "write", "truncate", "fsync", "fsync directory", "rename", "remove", "mkdir", "reply", "copy"}

// String names the kind as the golden file does.
func (k Kind) String() string { return kindNames[k] }

// Op is one operation. Writes count from the moment their call began, syncs and
// everything else from the moment it returned: the order in which each may
// first be relied upon, or feared.
type Op struct {
	Kind        Kind
	Path, Path2 string
	Offset      int64
	Data        []byte

	From, Length int64 // of a Copy
}

// StraceArgs are the arguments that make strace record what Read reads.
func StraceArgs(output string) []string {
	return []string{"-f", "-yy", "-xx", "-s", "16777216", "-o", output, "-e",
		"trace=open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdirat,mkdir,lseek,close,sendto,sendmsg,dup,dup3,fallocate,copy_file_range,sendfile,link,linkat,symlink"}
}

// reader turns strace's lines into operations.
type reader struct {
	ops     []Op
	pending map[string]string // process → the first half of an unfinished call
	offset  map[string]int64  // open file → where write(2) goes
	size    map[string]int64  // path → size, for files opened to append
	appends map[string]bool
	isDir   func(path string) bool
	made    map[string]bool // directories that the trace makes
}

// Read reads the output of strace. isDir tells directories from files among
// what is synced, and needs to know only those that were there before; size gives the size of a file before the run.
func Read(r io.Reader, isDir func(path string) bool, size func(path string) int64) ([]Op, error) {
	t := reader{pending: map[string]string{}, offset: map[string]int64{}, size: map[string]int64{}, appends: map[string]bool{}, isDir: isDir, made: map[string]bool{}}
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if line == "" && err == io.EOF {
			return t.ops, nil
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read trace: %w", err)
		}
		if err := t.line(strings.TrimSuffix(line, "\n"), size); err != nil {
			return nil, fmt.Errorf("trace line %d: %w", n, err)
		}
	}
}

func (t *reader) line(line string, size func(string) int64) error {
	pid, rest, ok := strings.Cut(line, " ")
	rest = strings.TrimLeft(rest, " ")
	if !ok || strings.HasPrefix(rest, "+++") || strings.HasPrefix(rest, "---") {
		return nil
	}
	if head, unfinished := strings.CutSuffix(rest, " <unfinished ...>"); unfinished {
		t.pending[pid] = head
		return t.begin(head, size)
	}
	if strings.HasPrefix(rest, "<... ") {
		_, tail, ok := strings.Cut(rest, " resumed>")
		if !ok {
			return fmt.Errorf("cannot read %.80q", rest)
		}
		head := t.pending[pid]
		delete(t.pending, pid)
		return t.end(head+tail, size)
	}
	if err := t.begin(rest, size); err != nil {
		return err
	}
	return t.end(rest, size)
}

// call splits "name(args) = result".
func call(s string) (name string, args []string, result string) {
	name, rest, _ := strings.Cut(s, "(")
	body := rest
	if i := strings.LastIndex(rest, " = "); i >= 0 {
		body, result = rest[:i], strings.TrimSpace(rest[i+3:])
	}
	body = strings.TrimSuffix(strings.TrimRight(body, " "), ")")
	return name, splitArgs(body), result
}

// splitArgs splits at commas outside of strings and brackets.
func splitArgs(s string) []string {
	var args []string
	depth, start, quoted := 0, 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{' || c == '<' && i > 0 && s[i-1] != '-':
			depth++
		case c == ']' || c == '}' || c == '>' && s[i-1] != '-':
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(args, strings.TrimSpace(s[start:]))
}

// begin handles what counts from the start of a call: writes.
func (t *reader) begin(s string, size func(string) int64) error {
	name, args, _ := call(s)
	switch name {
	case "write", "pwrite64", "sendto":
		fd, path := descriptor(args[0])
		data, err := unhex(args[1])
		if err != nil {
			return err
		}
		if isSocket(path) {
			t.ops = append(t.ops, Op{Kind: Reply, Path: path, Data: data})
			return nil
		}
		var at int64
		if name == "pwrite64" {
			if at, err = strconv.ParseInt(args[3], 0, 64); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		} else if at = t.offset[fd]; t.appends[fd] {
			at = t.sizeOf(path, size)
		}
		t.ops = append(t.ops, Op{Kind: Write, Path: path, Offset: at, Data: data})
		t.size[path] = max(t.sizeOf(path, size), at+int64(len(data)))
		if name == "write" {
			t.offset[fd] = at + int64(len(data))
		}
	case "writev", "pwritev", "sendmsg", "fallocate", "sendfile", "link", "linkat", "symlink":
		return t.unsupported(name, args)
	}
	return nil
}

// unsupported refuses a call that changes files in a way that is not replayed;
// on a socket it does not matter.
func (t *reader) unsupported(name string, args []string) error {
	if _, path := descriptor(args[0]); isSocket(path) || strings.HasPrefix(path, "pipe:") || strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/dev/shm/") {
		return nil
	}
	return fmt.Errorf("%s(%.80s) is not replayed", name, strings.Join(args, ", "))
}

func (t *reader) sizeOf(path string, size func(string) int64) int64 {
	n, known := t.size[path]
	if !known {
		n = size(path)
		t.size[path] = n
	}
	return n
}

// end handles what counts from the return of a call.
func (t *reader) end(s string, size func(string) int64) error {
	name, args, result := call(s)
	if strings.HasPrefix(result, "-1") || strings.HasPrefix(result, "?") {
		return nil
	}
	switch name {
	case "open":
		return t.opened(args[1], result, size)
	case "openat":
		return t.opened(args[2], result, size)
	case "creat":
		return t.opened("O_CREAT|O_TRUNC", result, size)
	case "lseek":
		fd, _ := descriptor(args[0])
		n, err := strconv.ParseInt(result, 0, 64)
		t.offset[fd] = n
		return err
	case "ftruncate":
		_, path := descriptor(args[0])
		n, err := strconv.ParseInt(args[1], 0, 64)
		t.ops = append(t.ops, Op{Kind: Truncate, Path: path, Offset: n})
		t.size[path] = n
		return err
	case "copy_file_range":
		return t.copied(args, result, size)
	case "fsync", "fdatasync":
		_, path := descriptor(args[0])
		kind := Sync
		if t.made[path] || t.isDir(path) {
			kind = SyncDir
		}
		t.ops = append(t.ops, Op{Kind: kind, Path: path})
	default:
		return t.named(name, args)
	}
	return nil
}

// copied is a copy_file_range that goes on where both files are.
func (t *reader) copied(args []string, result string, size func(string) int64) error {
	n, err := strconv.ParseInt(result, 0, 64)
	if err != nil || n == 0 {
		return err
	}
	if args[1] != "NULL" || args[3] != "NULL" {
		return t.unsupported("copy_file_range", args)
	}
	source, from := descriptor(args[0])
	dest, to := descriptor(args[2])
	t.ops = append(t.ops, Op{Kind: Copy, Path: to, Path2: from, Offset: t.offset[dest], From: t.offset[source], Length: n})
	t.offset[source] += n
	t.offset[dest] += n
	t.size[to] = max(t.sizeOf(to, size), t.offset[dest])
	return nil
}

func (t *reader) opened(flags, result string, size func(string) int64) error {
	fd, path := descriptor(result)
	t.offset[fd] = 0
	t.appends[fd] = strings.Contains(flags, "O_APPEND")
	if strings.Contains(flags, "O_CREAT") {
		t.ops = append(t.ops, Op{Kind: Create, Path: path})
	}
	if strings.Contains(flags, "O_TRUNC") {
		t.ops = append(t.ops, Op{Kind: Truncate, Path: path})
		t.size[path] = 0
	}
	return nil
}

// named handles calls on names.
func (t *reader) named(name string, args []string) error {
	op := Op{}
	var from, to string
	switch name {
	case "rename":
		op.Kind, from, to = Rename, args[0], args[1]
	case "renameat", "renameat2":
		op.Kind, from, to = Rename, args[1], args[3]
	case "unlink":
		op.Kind, from = Remove, args[0]
	case "unlinkat":
		op.Kind, from = Remove, args[1]
	case "mkdir":
		op.Kind, from = Mkdir, args[0]
	case "mkdirat":
		op.Kind, from = Mkdir, args[1]
	default:
		return nil
	}
	b, err := unhex(from)
	if err != nil {
		return err
	}
	op.Path = filepath.Clean(string(b))
	if op.Kind == Mkdir {
		t.made[op.Path] = true
	}
	if to != "" {
		if b, err = unhex(to); err != nil {
			return err
		}
		op.Path2 = filepath.Clean(string(b))
		t.size[op.Path2] = t.size[op.Path]
	}
	t.ops = append(t.ops, op)
	return nil
}

// descriptor splits `7</path>`, whose path strace may have written in hex.
func descriptor(s string) (fd, path string) {
	fd, rest, ok := strings.Cut(s, "<")
	if !ok {
		return s, ""
	}
	path = strings.TrimSuffix(rest, ">")
	if strings.HasPrefix(path, `\x`) {
		if b, err := unhex(`"` + path + `"`); err == nil {
			path = string(b)
		}
	}
	return fd, path
}

func isSocket(path string) bool {
	return strings.HasPrefix(path, "TCP") || strings.HasPrefix(path, "UNIX") || strings.HasPrefix(path, "socket:")
}

// unhex reads a string of strace -xx.
func unhex(s string) ([]byte, error) {
	if strings.HasSuffix(s, "...") {
		return nil, fmt.Errorf("strace cut a string short: %.60q", s)
	}
	s = strings.Trim(s, `"`)
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil {
		return nil, fmt.Errorf("read %.60q: %w", s, err)
	}
	return b, nil
}
