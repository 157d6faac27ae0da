package imapd

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"teraslot/disk"
	"teraslot/mailbox"
	"teraslot/message"
)

var sectionAnswer = regexp.MustCompile(`(?s)^\* \d+ FETCH \(UID \d+ BODY\[[^\]]*\](?:<\d+>)? (NIL|\{\d+\}\r\n(.*))\)$`)

// section fetches a section of a message; false if there is no such section.
func (p *peer) section(t testing.TB, uid mailbox.UID, section string) ([]byte, bool) {
	t.Helper()
	got := p.do(t, fmt.Sprintf("UID FETCH %d BODY.PEEK[%s", uid, section))
	if len(got) != 1 {
		t.Fatalf("BODY[%s of UID %d: %d responses", section, uid, len(got))
	}
	m := sectionAnswer.FindStringSubmatch(got[0])
	if m == nil {
		t.Fatalf("BODY[%s of UID %d: %.200q", section, uid, got[0])
	}
	return []byte(m[2]), m[1] != "NIL"
}

// checkSections compares every section of a message, whole and in pieces, with
// its octets.
func checkSections(t testing.TB, p *peer, uid mailbox.UID, raw []byte, random *rand.Rand) {
	t.Helper()
	st, err := message.Parse(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	check := func(section string, want []byte) {
		t.Helper()
		want = bytes.ReplaceAll(want, []byte{0}, []byte{0x80}) // as literals have it
		if got, ok := p.section(t, uid, section+"]"); !ok || !bytes.Equal(got, want) {
			t.Errorf("BODY[%s] of UID %d: %d octets (there: %v), not the %d right ones", section, uid, len(got), ok, len(want))
		}
		from := random.IntN(len(want) + 2)
		n := 1 + random.IntN(len(want)+2)
		part := want[min(from, len(want)):min(from+n, len(want))]
		if got, _ := p.section(t, uid, fmt.Sprintf("%s]<%d.%d>", section, from, n)); !bytes.Equal(got, part) {
			t.Errorf("BODY[%s]<%d.%d> of UID %d: %d octets, not the %d right ones", section, from, n, uid, len(got), len(part))
		}
	}
	check("", raw)
	check("HEADER", raw[:st.Root.BodyStart])
	check("TEXT", raw[st.Root.BodyStart:])
	paths := 0
	walkParts(st.Root, "", true, func(path string, part *message.Part) {
		if paths++; paths > 20 {
			return
		}
		check(path, raw[part.BodyStart:part.End])
		check(path+".MIME", raw[part.HeaderStart:part.BodyStart])
		if part.Message != nil {
			check(path+".HEADER", raw[part.Message.HeaderStart:part.Message.BodyStart])
			check(path+".TEXT", raw[part.Message.BodyStart:part.Message.End])
		}
	})
	if _, ok := p.section(t, uid, "99999]"); ok && len(st.Root.Children) < 99999 {
		t.Errorf("UID %d has a part 99999", uid)
	}
}

// walkParts calls fn for the numbered parts (RFC 9051 §6.4.5.1).
func walkParts(p *message.Part, prefix string, isMessage bool, fn func(string, *message.Part)) {
	switch {
	case len(p.Children) > 0:
		for i, c := range p.Children {
			path := prefix + strconv.Itoa(i+1)
			fn(path, c)
			walkParts(c, path+".", false, fn)
		}
	case isMessage:
		fn(prefix+"1", p)
		if p.Message != nil {
			walkParts(p.Message, prefix+"1.", true, fn)
		}
	case p.Message != nil:
		walkParts(p.Message, prefix, true, fn)
	}
}

func TestFetchSections(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	p := h.selected(t, "alice", "INBOX")
	random := rand.New(rand.NewPCG(1, 2))
	nested := "Content-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nA\r\n--x\r\n" +
		"Content-Type: message/rfc822\r\n\r\nSubject: deeper\r\n\r\nB\r\n--x--\r\n"
	for _, raw := range []string{
		mail("plain"),
		"Subject: no body\r\n",
		"Subject: no body\r\n\r\n",
		"no header at all",
		"\r\n\r\n",
		"a line without a colon\r\nSubject: x\r\n\r\nbody\r\n",
		"Subject: bare LF\n\nbody\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
		"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + nested + "\r\n--b\r\n\r\nend",
		nested,
		"Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 100_000),
	} {
		uid := h.deliver(t, "alice", "INBOX", raw)
		p.do(t, "NOOP")
		checkSections(t, p, uid, []byte(raw), random)
		p.do(t, fmt.Sprintf("UID FETCH %d (ENVELOPE BODYSTRUCTURE BODY)", uid))
	}
}

// TestFetchCorpus does the same to real and odd mail; COUNT messages of each archive.
func TestFetchCorpus(t *testing.T) {
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: no real mail to test with")
	}
	limit := 100
	if n, err := strconv.Atoi(os.Getenv("COUNT")); err == nil {
		limit = n
	}
	h := newHarness(t, Options{PlainLogin: true})
	p := h.selected(t, "alice", "INBOX")
	random := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"mime-torture.tar.xz", "spamassassin.tar.xz"} {
		n := 0
		eachMessage(t, filepath.Join(dir, name), func(raw []byte) bool {
			uid := h.deliver(t, "alice", "INBOX", string(raw))
			p.do(t, "NOOP")
			checkSections(t, p, uid, raw, random)
			p.do(t, fmt.Sprintf("UID FETCH %d (ENVELOPE BODYSTRUCTURE)", uid))
			n++
			return n < limit
		})
		t.Logf("%s: %d messages", name, n)
	}
}

// eachMessage calls fn for the messages of an archive until it returns false.
func eachMessage(t testing.TB, archive string, fn func([]byte) bool) {
	t.Helper()
	eachNamed(t, archive, func(_ string, raw []byte) bool { return fn(raw) })
}

// eachNamed is eachMessage with the name in the archive.
func eachNamed(t testing.TB, archive string, fn func(name string, raw []byte) bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "xz", "-dc", archive)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Skipf("xz: %v", err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it may have more to say than was wanted
		_ = cmd.Wait()
	}()
	for r := tar.NewReader(out); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 0 && !fn(head.Name, raw) {
			return
		}
	}
}

// A message whose octets are damaged is refused; the others of the command are sent.
func TestFetchOfDamagedMessage(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, subject := range []string{"first", "second", "third"} {
		h.deliver(t, "alice", "INBOX", mail(subject))
	}
	p := h.selected(t, "alice", "INBOX")
	h.damage(t, "Subject: second")
	untagged, completion := p.run(t, "FETCH 1:3 BODY[HEADER.FIELDS (SUBJECT)]")
	if !strings.HasPrefix(completion, "NO [CORRUPTION] ") {
		t.Errorf("completion %q", completion)
	}
	all := strings.Join(untagged, "\n")
	if !strings.Contains(all, "Subject: first") || !strings.Contains(all, "Subject: third") || strings.Contains(all, "* 2 FETCH") {
		t.Errorf("responses %q", untagged)
	}
	if got := p.do(t, "SEARCH UNSEEN"); got[0] != "* SEARCH 2" {
		t.Errorf("what could not be sent is seen: %q", got)
	}
	if line := h.log.String(); !strings.Contains(line, "stored mail is damaged") {
		t.Errorf("nothing in the log:\n%s", line)
	}
	if _, completion := p.run(t, "SEARCH BODY Hello"); !strings.HasPrefix(completion, "NO [CORRUPTION] ") {
		t.Errorf("a search that cannot read a message: %s", completion)
	}
	h.damaged = true
}

// A message whose record is damaged is named; the others are sent, and a search, which
// cannot tell whether it matches, is refused.
func TestFetchBesideDamagedRecord(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	for _, subject := range []string{"first", "second", "third"} {
		h.deliver(t, "alice", "INBOX", mail(subject))
	}
	h.damagedRecord(t, 2)
	p := h.selected(t, "alice", "INBOX")
	for _, command := range []string{"FETCH 1:3 ENVELOPE", "UID FETCH 1:* ENVELOPE"} {
		untagged, completion := p.run(t, command)
		if !strings.HasPrefix(completion, "NO [CORRUPTION] ") || !strings.Contains(completion, "UID 2 ") {
			t.Errorf("%s: completion %q", command, completion)
		}
		all := strings.Join(untagged, "\n")
		if !strings.Contains(all, "first") || !strings.Contains(all, "third") || strings.Contains(all, "* 2 FETCH") {
			t.Errorf("%s: responses %q", command, untagged)
		}
	}
	if _, completion := p.run(t, "FETCH 1,3 ENVELOPE"); !strings.HasPrefix(completion, "OK ") {
		t.Errorf("the others alone: %s", completion)
	}
	if _, completion := p.run(t, "SEARCH SUBJECT first"); !strings.HasPrefix(completion, "NO [CORRUPTION] ") {
		t.Errorf("a search beside a damaged record: %s", completion)
	}
	h.damaged = true
}

// damagedRecord changes the flags of the messages with a UID behind the server's back.
func (h *harness) damagedRecord(t *testing.T, uid int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.dir, "conf", "users", "*", "*", "mail.db"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, path := range found {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(`UPDATE message SET system = system + 16 WHERE id & 0xFFFFFFFF = ?`, uid); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A large message goes through the server in pieces, in and out.
func TestLargeMessageIsStreamed(t *testing.T) {
	const size = 40 << 20
	h := newHarness(t, Options{PlainLogin: true})
	p := h.login(t, "alice")
	head := "Subject: large\r\n\r\n"
	line := []byte(strings.Repeat("x", 1022) + "\r\n")
	var m0, m1, m2 runtime.MemStats
	runtime.ReadMemStats(&m0)
	p.say(t, fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s", len(head)+size, head))
	for range size / len(line) {
		if _, err := p.conn.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	p.say(t, "\r\n")
	if got := p.response(t); !strings.HasPrefix(got, "a OK ") {
		t.Fatal(got)
	}
	runtime.ReadMemStats(&m1)
	p.do(t, "SELECT INBOX")
	p.say(t, "b FETCH 1 BODY.PEEK[]\r\n")
	want := fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n", len(head)+size)
	if got, err := p.r.ReadString('\n'); err != nil || got != want {
		t.Fatalf("FETCH begins with %q, %v", got, err)
	}
	if _, err := io.CopyN(io.Discard, p.r, int64(len(head)+size)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.r.ReadString('\n'); err != nil || got != ")\r\n" {
		t.Fatalf("FETCH ends with %q, %v", got, err)
	}
	runtime.ReadMemStats(&m2)
	if in, out := m1.TotalAlloc-m0.TotalAlloc, m2.TotalAlloc-m1.TotalAlloc; in > size/4 || out > size/4 {
		t.Errorf("a message of %d bytes took %d bytes of memory to come and %d to go", size, in, out)
	}
}

// Mail can be read from a full disk, though \Seen cannot be stored.
func TestFetchWhereSeenCannotBeStored(t *testing.T) {
	var full atomic.Bool
	o := Options{PlainLogin: true}
	h := openSlotOn(t, &o, disk.OS(), func(context.Context, mailbox.User) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	})
	h.srv = New(o)
	h.serve(t, false)
	t.Cleanup(func() { h.close(t) })
	h.deliver(t, "alice", "INBOX", mail("one"))
	p := h.selected(t, "alice", "INBOX")
	full.Store(true)
	if got := p.do(t, "FETCH 1 BODY[TEXT]"); len(got) != 1 || got[0] != "* 1 FETCH (BODY[TEXT] {7}\r\nHello\r\n)" {
		t.Errorf("told %q", got)
	}
	if _, completion := p.run(t, `STORE 1 +FLAGS (\Seen)`); !strings.HasPrefix(completion, "NO [") {
		t.Errorf("STORE: %s", completion)
	}
	full.Store(false)
	if got := p.do(t, "SEARCH UNSEEN"); got[0] != "* SEARCH 1" {
		t.Errorf("unseen: %q", got)
	}
}

// damage changes an octet of a pack at the place of a text.
func (h *harness) damage(t *testing.T, text string) {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(h.dir, "conf", "users", "*", "*", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(packs, func(name string) bool {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(text))
		if at < 0 {
			return false
		}
		b[at] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return true
	})
	if i < 0 {
		t.Fatalf("no pack has %q", text)
	}
}

// Mail with NUL is stored as it came. A literal has 0x80 in its place, BINARY has it
// (RFC 3516).
func TestFetchOfNUL(t *testing.T) {
	h := newHarness(t, Options{PlainLogin: true})
	h.deliver(t, "alice", "INBOX", "Subject: a\x00b\r\n\r\none\x00two\r\n")
	p := h.selected(t, "alice", "INBOX")
	want := []string{"* 1 FETCH (RFC822.SIZE 25 BODY[] {25}\r\nSubject: a\x80b\r\n\r\none\x80two\r\n BODY[TEXT]<3> {2}\r\n\x80t)"}
	if got := p.do(t, "FETCH 1 (RFC822.SIZE BODY.PEEK[] BODY.PEEK[TEXT]<3.2>)"); !slices.Equal(got, want) {
		t.Errorf("BODY[]: %q", got)
	}
	want = []string{"* 1 FETCH (BINARY[] ~{25}\r\nSubject: a\x00b\r\n\r\none\x00two\r\n BINARY[1] ~{9}\r\none\x00two\r\n)"}
	if got := p.do(t, "FETCH 1 (BINARY.PEEK[] BINARY.PEEK[1])"); !slices.Equal(got, want) {
		t.Errorf("BINARY[]: %q", got)
	}
	if got := p.do(t, "FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"); strings.Contains(got[0], "\x00") || !strings.Contains(got[0], "a\x80b") {
		t.Errorf("ENVELOPE: %q", got)
	}
}
