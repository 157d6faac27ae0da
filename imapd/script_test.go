package imapd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestScripts runs the dialogues of testdata/*.txt. A script is a list of lines:
//
//	# a comment
//	C: a NOOP            the client sends this and a line end
//	S: a OK …            the server says this; "…" stands for any text
//	S?: * 1 EXISTS       as S, but neighbouring S? lines may come in any order
//	C2: …, S2: …         the same on connection 2, and so on
//	connect 2            opens a connection and skips the greeting
//	greet 2              opens a connection and leaves the greeting to be expected
//	login 2 bob          opens a connection and logs in; alice without a name
//	select 2 INBOX       selects, and skips what is said
//	starttls 2           does the handshake after STARTTLS
//	deliver alice INBOX  appends the L lines that follow as another program would
//	closed 2             the server has closed the connection
//	L: text              a line of a literal or a delivered message
//	l: text              the same without a line end
//
// A client line that ends in {N}, {N+}, ~{N} or ~{N+} sends the L lines that follow as a
// literal (after "+", where it has to wait) and then the lines C+: of the same
// command. "{{x}}" stands for a word: the first time it takes any, and later it
// must be the same; in a client's line it is what was taken, or the character that
// "{{x=U+0301}}" gives it. "\r\n" is a line end, as in the server's literals.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			runScript(t, newHarness(t, Options{PlainLogin: true}), name, string(text))
		})
	}
}

// script is a running dialogue.
type script struct {
	t     *testing.T
	h     *harness
	name  string
	lines []string
	at    int // of the next line
	peers map[string]*peer
	vars  map[string]string
	wait  []string // S? lines not yet met
	on    string   // the connection they are for
}

func runScript(t *testing.T, h *harness, name, text string) {
	s := &script{t: t, h: h, name: name, lines: strings.Split(text, "\n"),
		peers: make(map[string]*peer), vars: make(map[string]string)}
	for s.at < len(s.lines) {
		line := s.lines[s.at]
		s.at++
		if strings.TrimSpace(line) != "" && line[0] != '#' {
			s.step(line)
		}
	}
	s.settle()
}

func (s *script) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.name, s.at, fmt.Sprintf(format, args...))
}

var speech = regexp.MustCompile(`^([CS])(\d*)(\??): ?(.*)$`)

func (s *script) step(line string) {
	m := speech.FindStringSubmatch(line)
	switch {
	case m == nil:
		s.settle()
		s.direct(strings.Fields(line))
	case m[1] == "C":
		s.settle()
		s.send(s.peer(m[2]), m[4])
	case m[3] == "?":
		if s.on != m[2] {
			s.settle()
		}
		s.on, s.wait = m[2], append(s.wait, m[4])
	default:
		s.settle()
		if got := s.hear(m[2]); !s.matches(m[4], got) {
			s.fatalf("server says\n\t%q, expected\n\t%q", got, m[4])
		}
	}
}

// settle reads the answers that may come in any order.
func (s *script) settle() {
	for len(s.wait) > 0 {
		got := s.hear(s.on)
		i := slices.IndexFunc(s.wait, func(want string) bool { return s.matches(want, got) })
		if i < 0 {
			s.fatalf("server says\n\t%q, expected one of\n\t%q", got, s.wait)
		}
		s.wait = slices.Delete(s.wait, i, i+1)
	}
}

// hear reads one response on a connection.
func (s *script) hear(name string) string {
	got, err := s.peer(name).tryResponse()
	if err != nil {
		s.fatalf("reading a response: %v after %q", err, got)
	}
	return got
}

func (s *script) direct(words []string) {
	arg := func(i int, otherwise string) string {
		if len(words) > i {
			return words[i]
		}
		return otherwise
	}
	name := strings.TrimPrefix(arg(1, ""), "1")
	switch words[0] {
	case "connect":
		s.peers[name] = s.h.dial(s.t)
		s.peers[name].response(s.t)
	case "greet":
		s.peers[name] = s.h.dial(s.t)
	case "login":
		s.peers[name] = s.h.login(s.t, arg(2, "alice"))
	case "select":
		s.peer(name).do(s.t, "SELECT "+arg(2, "INBOX"))
	case "starttls":
		s.peer(name).startTLS(s.t)
	case "deliver":
		s.h.deliver(s.t, words[1], arg(2, "INBOX"), s.literal())
	case "closed":
		if line, err := s.peer(name).r.ReadString('\n'); err != io.EOF {
			s.fatalf("the connection is open, and says %q (%v)", line, err)
		}
	default:
		s.fatalf("unknown directive %q", words[0])
	}
}

func (s *script) peer(name string) *peer {
	if name == "1" {
		name = ""
	}
	p := s.peers[name]
	if p == nil {
		s.peers[name] = s.h.dial(s.t)
		p = s.peers[name]
		p.response(s.t)
	}
	return p
}

var announced = regexp.MustCompile(`\{N(\+?)\}$`)

// send says a client's line with the literals that belong to it.
func (s *script) send(p *peer, line string) {
	line = s.fill(line)
	for {
		m := announced.FindStringSubmatch(line)
		if m == nil {
			p.say(s.t, line+"\r\n")
			return
		}
		data := s.literal()
		p.say(s.t, announced.ReplaceAllString(line, "{"+strconv.Itoa(len(data))+m[1]+"}")+"\r\n")
		if m[1] == "" {
			if got := p.response(s.t); !strings.HasPrefix(got, "+ ") {
				s.fatalf("server says %q instead of asking for the literal", got)
			}
		}
		p.say(s.t, data)
		line = ""
		if s.at < len(s.lines) && strings.HasPrefix(s.lines[s.at], "C+:") {
			line = s.fill(strings.TrimPrefix(s.lines[s.at], "C+:"))
			s.at++
		}
	}
}

// literal takes the L lines that come next.
func (s *script) literal() string {
	var b strings.Builder
	for ; s.at < len(s.lines); s.at++ {
		line := s.lines[s.at]
		if !strings.HasPrefix(line, "L:") && !strings.HasPrefix(line, "l:") {
			break
		}
		b.WriteString(strings.TrimPrefix(line[2:], " "))
		if line[0] == 'L' {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

var (
	variable  = regexp.MustCompile(`\{\{(\w+)\}\}`)
	character = regexp.MustCompile(`\{\{(\w+)=U\+([0-9A-F]+)\}\}`)
)

// fill puts variables into a client's line.
func (s *script) fill(line string) string {
	line = strings.ReplaceAll(line, `\r\n`, "\r\n")
	for _, m := range character.FindAllStringSubmatch(line, -1) {
		code, err := strconv.ParseInt(m[2], 16, 32)
		if err != nil {
			s.fatalf("%s: %v", m[0], err)
		}
		s.vars[m[1]] = string(rune(code))
	}
	line = character.ReplaceAllString(line, "{{$1}}")
	return variable.ReplaceAllStringFunc(line, func(v string) string {
		value, ok := s.vars[strings.Trim(v, "{}")]
		if !ok {
			s.fatalf("%s has no value yet", v)
		}
		return value
	})
}

var hole = regexp.MustCompile(`…|\{\{\w+\}\}`)

// matches compares a server's line with the expected one and takes variables.
func (s *script) matches(want, got string) bool {
	want = strings.ReplaceAll(want, `\r\n`, "\r\n")
	var names []string
	var b strings.Builder
	b.WriteString(`(?s)^`)
	at := 0
	for _, loc := range hole.FindAllStringIndex(want, -1) {
		b.WriteString(regexp.QuoteMeta(want[at:loc[0]]))
		at = loc[1]
		name := strings.Trim(want[loc[0]:loc[1]], "{}")
		value, known := s.vars[name]
		switch {
		case name == "…":
			b.WriteString(`.*?`)
		case known:
			b.WriteString(regexp.QuoteMeta(value))
		default:
			names = append(names, name)
			b.WriteString(`([^\s()\[\]]+)`)
		}
	}
	b.WriteString(regexp.QuoteMeta(want[at:]) + `$`)
	m := regexp.MustCompile(b.String()).FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, name := range names {
		s.vars[name] = m[i+1]
	}
	return true
}

// peer is a client's connection.
type peer struct {
	conn net.Conn
	r    *bufio.Reader
	tags int
}

func newPeer(c net.Conn) *peer { return &peer{conn: c, r: bufio.NewReader(c)} }

// patience is how long a test waits for the server before it fails.
const patience = 10 * time.Second

func (p *peer) say(t testing.TB, text string) {
	t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p.conn, text); err != nil {
		t.Fatalf("sending %q: %v", text, err)
	}
}

var serverLiteral = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// response reads one response with its literals, without the last line end.
func (p *peer) response(t testing.TB) string {
	t.Helper()
	s, err := p.tryResponse()
	if err != nil {
		t.Fatalf("reading a response after %q: %v", s, err)
	}
	return s
}

func (p *peer) tryResponse() (string, error) {
	p.conn.SetDeadline(time.Now().Add(patience))
	var all string
	for {
		line, err := p.r.ReadString('\n')
		all += line
		if err != nil {
			return all, err
		}
		m := serverLiteral.FindStringSubmatch(line)
		if m == nil {
			return strings.TrimSuffix(all, "\r\n"), nil
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return all, err
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(p.r, data); err != nil {
			return all, err
		}
		all += string(data)
	}
}

// do runs a command that has to succeed and returns the untagged responses.
func (p *peer) do(t testing.TB, command string) []string {
	t.Helper()
	untagged, completion := p.run(t, command)
	if !strings.HasPrefix(completion, "OK") {
		t.Fatalf("%s: %s", command, completion)
	}
	return untagged
}

// run runs a command and returns the untagged responses and the completion
// without its tag.
func (p *peer) run(t testing.TB, command string) (untagged []string, completion string) {
	t.Helper()
	p.tags++
	tag := "t" + strconv.Itoa(p.tags)
	p.say(t, tag+" "+command+"\r\n")
	for {
		line := p.response(t)
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, line)
	}
}
