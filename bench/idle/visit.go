package idle

import (
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"teraslot/bench/daemon"
)

// Visits is what n users one after the other have cost a server.
type Visits struct {
	Empty       int64 // resident memory of the server before the first, in bytes
	Resident    int64 // the most of it, and what follows, at any look
	Descriptors int
	Databases   int // mail.db open
	Left        int // mail.db open when nobody has come for some time
	Wrong       int // searches that did not find the one message of their user
}

// lookEvery is after how many visits the server is looked at.
const lookEvery = 50

// Visit starts a slot with n users, delivers a message to each, and has each log in, search for
// it and go, some at a time: databases are opened on demand, of more users than stay open.
func Visit(tb daemon.TB, root string, n int) Visits {
	tb.Helper()
	s := daemon.New(tb, root, "")
	s.Steps = "passwords"
	AddUsers(tb, s, n)
	s.Start(tb)
	v := Visits{Empty: resident(tb, s)}
	look := func() {
		v.Resident, v.Databases = max(v.Resident, resident(tb, s)), max(v.Databases, databases(tb, s))
		v.Descriptors = max(v.Descriptors, descriptors(tb, s))
	}
	d, err := daemon.DialLMTP(s.LMTP)
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	var wrong atomic.Int64
	for from := 0; from < n; from += lookEvery {
		visitors := errgroup.Group{}
		visitors.SetLimit(16)
		for i := from; i < min(n, from+lookEvery); i++ {
			if err := d.Deliver(user(i)+"@example.org", fmt.Appendf(nil, "Subject: for %d\r\n\r\nthe word of number%dq\r\n", i, i)); err != nil {
				tb.Fatal(err)
			}
			visitors.Go(func() error {
				found, err := search(s, i)
				if err == nil && !found {
					wrong.Add(1)
				}
				return err
			})
		}
		if err := visitors.Wait(); err != nil {
			tb.Fatal(err)
		}
		look()
	}
	v.Wrong, v.Left = int(wrong.Load()), fewDatabases(tb, s)
	s.Stop(tb)
	return v
}

// search has a user log in, look for his message, and go.
func search(s *daemon.Slot, i int) (found bool, err error) {
	c, err := s.DialIMAP(user(i), password)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		return false, err
	}
	got, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{fmt.Sprintf("number%dq", i)}}, nil).Wait()
	return err == nil && len(got.AllUIDs()) == 1, err
}

// descriptors counts what the server holds open.
func descriptors(tb daemon.TB, s *daemon.Slot) int {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	return len(links)
}
