package idle

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"teraslot/account"
	"teraslot/bench/daemon"
	"teraslot/mailstore"
	"teraslot/slot"
)

const password = "correct horse"

// Result is what a run showed.
type Result struct {
	Empty     int64         // resident memory of the server before the first session, in bytes
	Idle      int64         // with all sessions idle
	After     int64         // after each was told of a message
	Databases int           // mail.db that the server held open while all were idle
	Told      int           // sessions that were told of their message
	Telling   time.Duration // from the first delivery to the last session told
}

// Run starts a slot with n users, each with one session that has INBOX selected and
// idles under TLS; then a message is delivered to each. Memory is looked at when the
// server has been quiet for rest.
func Run(tb daemon.TB, root string, n int, rest time.Duration) Result {
	tb.Helper()
	s := daemon.New(tb, root, "")
	s.Steps = "passwords" // to hash so many takes longer than all the rest
	AddUsers(tb, s, n)
	s.Start(tb)
	settle(tb, s, rest)
	r := Result{Empty: resident(tb, s)}
	sessions, err := open(s, n)
	defer func() {
		for _, c := range sessions {
			if c != nil {
				c.conn.Close()
			}
		}
	}()
	if err != nil {
		tb.Fatal(err, s.Log())
	}
	settle(tb, s, rest)
	r.Databases = fewDatabases(tb, s)
	settle(tb, s, rest)
	r.Idle = resident(tb, s)
	start := time.Now()
	told := make(chan error, n)
	for _, c := range sessions {
		go func() { told <- c.awaitExists() }()
	}
	deliver(tb, s, n)
	for range n {
		if err := <-told; err == nil {
			r.Told++
		} else {
			tb.Errorf("a session was not told: %v", err)
		}
	}
	r.Telling = time.Since(start)
	settle(tb, s, rest)
	r.After = resident(tb, s)
	return r
}

func user(i int) string { return "user" + strconv.Itoa(i) }

// AddUsers makes user0 to user(n-1), accounts and mail, without a process for each.
func AddUsers(tb daemon.TB, s *daemon.Slot, n int) {
	ctx := context.Background()
	s.AddUser(tb, user(0), password) // makes the roots
	check := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	config, err := slot.Load(s.Config)
	check(err)
	accounts, err := account.Open(ctx, filepath.Join(config.Conf, "slot.db"), account.Options{Cost: slot.CheapPasswords})
	check(err)
	store, err := mailstore.Open(ctx, config.MailstoreOptions())
	check(err)
	g := errgroup.Group{}
	g.SetLimit(8)
	for i := 1; i < n; i++ {
		g.Go(func() error {
			a, err := accounts.Add(ctx, user(i), password, account.Quota{})
			if err != nil {
				return err
			}
			return store.CreateUser(ctx, a.ID, mailstore.UserOptions{})
		})
	}
	check(g.Wait())
	check(store.Close())
	check(accounts.Close())
}

// session is a client that idles.
type session struct {
	conn net.Conn
	r    *bufio.Reader
}

// open brings n sessions to IDLE, some at a time.
func open(s *daemon.Slot, n int) ([]*session, error) {
	sessions := make([]*session, n)
	g := errgroup.Group{}
	g.SetLimit(16)
	for i := range n {
		g.Go(func() (err error) {
			sessions[i], err = dial(s.IMAP, i)
			return err
		})
	}
	return sessions, g.Wait()
}

// perAddress is how many sessions come from one address; the server bounds them.
const perAddress = 200

// dial logs in under TLS, selects INBOX and begins to idle.
func dial(addr string, i int) (*session, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/perAddress/250), byte(1+i/perAddress%250))}
	d := net.Dialer{LocalAddr: from, Timeout: time.Minute}
	plain, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &session{plain, bufio.NewReaderSize(plain, 512)}
	if _, err := c.r.ReadString('\n'); err != nil {
		return c, err
	}
	if err := c.do("a STARTTLS", "a OK"); err != nil {
		return c, err
	}
	// The certificate is the slot's own.
	c.conn = tls.Client(plain, &tls.Config{InsecureSkipVerify: true})
	c.r.Reset(c.conn)
	for _, step := range [][2]string{{"b LOGIN " + user(i) + ` "` + password + `"`, "b OK"}, {"c SELECT INBOX", "c OK"}, {"d IDLE", "+"}} {
		if err := c.do(step[0], step[1]); err != nil {
			return c, err
		}
	}
	return c, nil
}

// do sends a line and reads up to one that begins as wanted.
func (c *session) do(line, want string) error {
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	for {
		got, err := c.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if strings.HasPrefix(got, want) {
			return nil
		}
		if tag, _, _ := strings.Cut(line, " "); strings.HasPrefix(got, tag+" ") || strings.HasPrefix(got, "* BYE") {
			return fmt.Errorf("%s: %s", line, got)
		}
	}
}

// awaitExists reads until the mailbox has a message.
func (c *session) awaitExists() error {
	if err := c.conn.SetReadDeadline(time.Now().Add(10 * time.Minute)); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || line == "* 1 EXISTS\r\n" {
			return err
		}
	}
}

// deliver sends a message to each user, over one connection.
func deliver(tb daemon.TB, s *daemon.Slot, n int) {
	d, err := daemon.DialLMTP(s.LMTP)
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	for i := range n {
		if err := d.Deliver(user(i)+"@example.org", fmt.Appendf(nil, "Subject: for %d\r\n\r\nText.\r\n", i)); err != nil {
			tb.Fatal(err)
		}
	}
}

// settle waits until the server has nothing left to do: for that long it uses next
// to no processor time.
func settle(tb daemon.TB, s *daemon.Slot, rest time.Duration) {
	const step = 500 * time.Millisecond
	for before, quiet := s.CPU(tb), time.Duration(0); quiet < rest; quiet += step {
		time.Sleep(step)
		now := s.CPU(tb)
		if now-before > 20*time.Millisecond {
			quiet = -step
		}
		before = now
	}
}

// resident is the server's resident memory in bytes.
func resident(tb daemon.TB, s *daemon.Slot) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kb, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kb << 10
}

// fewDatabases waits until the server has closed all databases but a few, which it does
// when they are unused for some time, and returns how many are open then, or after a minute.
func fewDatabases(tb daemon.TB, s *daemon.Slot) int {
	for start := time.Now(); databases(tb, s) > few && time.Since(start) < time.Minute; {
		time.Sleep(time.Second)
	}
	return databases(tb, s)
}

// few databases may stay open, whoever idles.
const few = 32

// databases counts the mail.db that the server holds open.
func databases(tb daemon.TB, s *daemon.Slot) int {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	open := map[string]bool{}
	for _, l := range links {
		// One that was closed meanwhile is none.
		if to, err := os.Readlink(l); err == nil && filepath.Base(to) == "mail.db" {
			open[to] = true
		}
	}
	return len(open)
}
