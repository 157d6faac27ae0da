package imapd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/mailbox"
	"teraslot/mailstore"
)

// fuzzLogin begins a user's session, and fuzzTail ends whatever a fuzzed client was in, so that a session has always
// something to read and never waits.
const (
	fuzzLogin = "in LOGIN dora \"" + password + "\"\r\nin SELECT INBOX\r\n"
	fuzzTail  = "\r\n\r\nDONE\r\nlast LOGOUT\r\n"
)

// FuzzSession sends anything to a session, of a stranger or of a user with a mailbox
// selected: it has to end, without a fault, with answers that are well-formed and count
// messages rightly, and leave the mail whole. All is in one process, and each input
// finds the same mail.
func FuzzSession(f *testing.F) {
	for _, seed := range sessionSeeds(f) {
		f.Add(seed, true)
	}
	for _, seed := range strangerSeeds(f) {
		f.Add(seed, false)
	}
	s := newFuzzSlot(f)
	f.Fuzz(func(t *testing.T, text string, user bool) {
		if len(text) > 4<<10 {
			return
		}
		if user {
			text = fuzzLogin + text
		}
		said := s.run(t, text+fuzzTail)
		if err := checkAnswers(said); err != nil {
			t.Errorf("%v in\n%s", err, said)
		}
		if log := s.h.log.take(); strings.Contains(log, "fault in a session") || strings.Contains(log, "command failed") {
			t.Errorf("the log says\n%s", log)
		}
		s.renew(t)
	})
}

// fuzzSlot is a slot with one user, whose mail is small.
type fuzzSlot struct {
	h     *harness
	user  mailbox.User
	fresh [32]byte // the fingerprint of the mail before an input
}

func newFuzzSlot(f *testing.F) *fuzzSlot {
	o := Options{PlainLogin: true, Limits: Limits{AuthDelay: 1, Idle: time.Second, PerUser: 1000}}
	s := &fuzzSlot{h: openSlot(f, &o)}
	s.h.srv = New(o)
	s.h.stop, s.h.ended = func() {}, make(chan struct{})
	close(s.h.ended) // nothing is served but what run does
	// Or a COPY 1:* INBOX said again and again would double the mailbox each time.
	s.h.addUser(f, "dora", account.Quota{Messages: 100, Bytes: 1 << 20})
	s.user = s.h.users["dora"]
	f.Cleanup(func() { s.h.close(f) })
	s.fill(f)
	return s
}

// run is one session, from greeting to end.
func (s *fuzzSlot) run(t testing.TB, text string) (said string) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c := newTape(text)
	p := &party{srv: s.h.srv, conns: make(map[*conn]struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.serve(ctx, ctx, c)
	}()
	patient := time.NewTimer(10 * patience)
	defer patient.Stop()
	select {
	case <-done:
	case <-patient.C:
		t.Error("the session does not end")
		c.Close()
		<-done
	}
	return c.said()
}

// renew gives the user the mail of the beginning, if the input has changed it; what it
// was made is verified first.
func (s *fuzzSlot) renew(t *testing.T) {
	if s.fingerprint(t) == s.fresh {
		return
	}
	ctx := context.Background()
	err := s.h.store.Verify(ctx, s.user, func(f mailstore.Finding) { t.Errorf("mail after the session: %+v", f) })
	if err != nil {
		t.Errorf("verifying: %v", err)
	}
	if err := s.h.store.RemoveUser(ctx, s.user); err != nil {
		t.Fatal(err)
	}
	if err := s.h.store.CreateUser(ctx, s.user, mailstore.UserOptions{Quota: mailstore.Quota{Messages: 100, Bytes: 1 << 20}}); err != nil {
		t.Fatal(err)
	}
	s.fill(t)
}

// fuzzMail are the messages that each input finds.
var fuzzMail = []string{
	mail("one"),
	"Date: Tue, 7 Nov 2023 10:00:00 +0100\r\nFrom: \"Ann Ex\" <ann@example.com>\r\nTo: friends: bob@example.org, carl@example.org;\r\n" +
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <2@example.com>\r\nReferences: <1@example.com>\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\nHello\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"a.html\"\r\n\r\nPGI+SGk8L2I+\r\n" +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--b--\r\n",
	"Subject: Re: one\r\n\r\nnul \x00 and \xff\r\n",
}

func (s *fuzzSlot) fill(t testing.TB) {
	for _, text := range fuzzMail {
		s.h.deliver(t, "dora", "INBOX", text)
	}
	// A first session takes the messages' \Recent, which is a change.
	if said := s.run(t, fuzzLogin+fuzzTail); !strings.Contains(said, "last OK") {
		t.Fatalf("the first session:\n%s", said)
	}
	s.fresh = s.fingerprint(t)
}

func (s *fuzzSlot) fingerprint(t testing.TB) [32]byte {
	ctx := context.Background()
	m, err := s.h.store.Acquire(ctx, s.user)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Release()
	snap, err := m.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return snap.Fingerprint
}

// sessionSeeds are the commands of the dialogues, each for itself, and some that go
// together.
func sessionSeeds(f *testing.F) []string {
	seeds := []string{
		"a APPEND INBOX {5+}\r\nabcde {3+}\r\nabc\r\nb IDLE\r\nDONE\r\nc UID FETCH 1:* (BODY[1.2.MIME]<0.5> BINARY[1])\r\n",
		"a STORE 1 +FLAGS (\\Deleted)\r\nb EXPUNGE\r\nc FETCH 1:* FLAGS\r\n",
		"a CREATE x\r\nb COPY 1:2 x\r\nc SELECT x\r\nd MOVE 1 INBOX\r\ne CLOSE\r\nf RENAME x y/z\r\ng LIST \"\" *\r\nh DELETE y/z\r\n",
		"a UID SEARCH RETURN (SAVE) ALL\r\nb FETCH $ (UID ENVELOPE BODYSTRUCTURE)\r\n",
		"a CLOSE\r\nb ENABLE IMAP4rev2\r\nc SELECT INBOX\r\nd SEARCH 1:*\r\n",
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	known := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, command := range scriptCommands(string(text)) {
			if !known[command] && len(command) < 600 {
				known[command] = true
				seeds = append(seeds, "a "+command)
			}
		}
	}
	return seeds
}

// scriptCommands are the commands of a dialogue with their literals, without tags.
func scriptCommands(text string) (out []string) {
	s := &script{lines: strings.Split(text, "\n")}
	for s.at < len(s.lines) {
		m := speech.FindStringSubmatch(s.lines[s.at])
		s.at++
		if m == nil || m[1] != "C" {
			continue
		}
		said := strings.ReplaceAll(variable.ReplaceAllString(m[4], "1"), `\r\n`, "\r\n")
		for announced.MatchString(said) {
			data := s.literal()
			said = announced.ReplaceAllString(said, "{"+strconv.Itoa(len(data))+"$1}") + "\r\n" + data
			if s.at < len(s.lines) && strings.HasPrefix(s.lines[s.at], "C+:") {
				said += strings.TrimPrefix(s.lines[s.at], "C+:")
				s.at++
			}
		}
		if _, command, ok := strings.Cut(said, " "); ok {
			out = append(out, command+"\r\n")
		}
	}
	return out
}

// strangerSeeds are what is said before login.
func strangerSeeds(f *testing.F) []string {
	var seeds []string
	for _, name := range []string{"authenticate", "login", "starttls", "capability"} {
		text, err := os.ReadFile("testdata/" + name + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		for _, command := range scriptCommands(string(text)) {
			seeds = append(seeds, "a "+command)
		}
	}
	return append(seeds, "a AUTHENTICATE PLAIN\r\nAGRvcmEAc8Opc2FtZQ==\r\nb SELECT INBOX\r\n", "a STARTTLS\r\n\x16\x03\x01\x00\x05hello")
}

// checkAnswers holds that what a server said is a sequence of well-formed responses,
// whose sequence numbers are of messages that the client was told of.
func checkAnswers(said string) error {
	exists := 0
	for rest := said; rest != ""; {
		response, after, err := cutResponse(rest)
		if err != nil {
			return err
		}
		rest = after
		m := numbered.FindStringSubmatch(response)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		switch {
		case err != nil:
			return fmt.Errorf("%q: %w", response, err)
		case m[2] == "EXISTS":
			exists = n
		case m[2] == "RECENT" && n <= exists: // how many, not which
		case n < 1 || n > exists:
			return fmt.Errorf("%q where the client knows of %d", response, exists)
		case m[2] == "EXPUNGE":
			exists--
		}
	}
	return nil
}

var (
	numbered = regexp.MustCompile(`^\* (\d+) ([A-Z]+)`)
	spoken   = regexp.MustCompile(`^(?:\+ |\* (?:OK|NO|BAD|BYE|PREAUTH) |[^\x00-\x20(){%*"\\\x7f-\xff]+ (?:OK|NO|BAD) |\* BAD )`)
	listed   = regexp.MustCompile(`^\* (?:\d+ )?[A-Z0-9]+[ \r]`)
)

// cutResponse takes the first response off.
func cutResponse(said string) (response, rest string, err error) {
	if spoken.MatchString(said) {
		line, rest, ok := strings.Cut(said, "\r\n")
		if !ok || strings.ContainsAny(line, "\r\n\x00") {
			return "", "", fmt.Errorf("no line: %q", line)
		}
		return line, rest, nil
	}
	if !listed.MatchString(said) {
		return "", "", fmt.Errorf("no response: %.200q", said)
	}
	end, err := dataEnd(said)
	if err != nil {
		return "", "", fmt.Errorf("%w in %.200q", err, said)
	}
	return said[:end], said[end+2:], nil
}

// dataEnd is where a data response ends: quotes closed, parentheses even, literals as
// long as they say.
func dataEnd(said string) (int, error) {
	depth := 0
	for i := 0; i < len(said); i++ {
		switch c := said[i]; {
		case c == '"':
			n := quotedEnd(said[i:])
			if n < 0 {
				return 0, fmt.Errorf("octet %d: a quoted string without an end", i)
			}
			i += n
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '{':
			var size int
			head, _, _ := strings.Cut(said[i:], "\r\n")
			if _, err := fmt.Sscanf(head, "{%d}", &size); err != nil || i+len(head)+2+size > len(said) {
				return 0, fmt.Errorf("octet %d: no literal %q", i, head)
			}
			i += len(head) + 1 + size
		case c == '\r' && depth == 0 && strings.HasPrefix(said[i:], "\r\n"):
			return i, nil
		case c < ' ' || depth < 0:
			return 0, fmt.Errorf("octet %d is %q, %d deep", i, c, depth)
		}
	}
	return 0, fmt.Errorf("a response without an end")
}

// quotedEnd is where the quoted string at the beginning of s has its last quote.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i
		case '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return -1
			}
		case '\r', '\n', 0:
			return -1
		}
	}
	return -1
}
