package slot

import (
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // spoils mail.db

	"github.com/emersion/go-imap/v2"

	"teraslot/bench/behind"
)

// signalled is a log that says when a line came.
type signalled struct {
	lines
	text string
	seen chan struct{} // closed when text was logged
}

func (s *signalled) Write(p []byte) (int, error) {
	n, err := s.lines.Write(p)
	select {
	case <-s.seen:
	default:
		if strings.Contains(string(p), s.text) {
			close(s.seen)
		}
	}
	return n, err
}

// spoil changes a user's mail.db behind the slot's back. The slot does not run.
func spoil(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// searchOf is what a client gets for SEARCH in a mailbox.
func (r *running) searchOf(name, box string) (int, error) {
	r.t.Helper()
	c, err := r.login(name, "secret")
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Select(box, nil).Wait(); err != nil {
		return 0, err
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil {
		return 0, err
	}
	return len(found.AllUIDs()), nil
}

// TestDamagedRecord: a search where a record is damaged is refused, in that mailbox alone, and
// the log says what to do; where repairs are to be done at once, the next one is answered.
func TestDamagedRecord(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	for range 3 {
		if err := r.deliver("Subject: quagga\r\n\r\nquagga\r\n", "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	path := filepath.Join(c.Conf, a.ID.Dir(), "mail.db")
	spoil(t, path, `UPDATE message SET system = 5 WHERE id & 0xFFFFFFFF = 2`)

	var log lines
	r = start(t, c, Options{Logger: log.logger()})
	for range 3 {
		if n, err := r.searchOf("anna", "INBOX"); err == nil || !strings.Contains(err.Error(), "administrator") {
			t.Errorf("found %d, %v", n, err)
		}
		if _, err := r.searchOf("anna", "Drafts"); err != nil {
			t.Errorf("another mailbox: %v", err)
		}
	}
	if n := strings.Count(log.String(), "slotctl verify --repair"); n != 1 {
		t.Errorf("what to do is said %d times:\n%s", n, log.String())
	}
	r.end()

	c.Jobs.RepairAtOnce = true
	mended := &signalled{text: "the repair is done", seen: make(chan struct{})}
	r = start(t, c, Options{Logger: slog.New(slog.NewTextHandler(mended, nil))})
	if _, err := r.searchOf("anna", "INBOX"); err == nil {
		t.Error("answered before it was mended")
	}
	select {
	case <-mended.seen:
	case <-t.Context().Done():
		t.Fatal(mended.String())
	}
	if _, err := r.searchOf("anna", "INBOX"); err != nil {
		t.Errorf("after the repair: %v\n%s", err, mended.String())
	}
	if n := r.hits("anna", "quagga"); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// TestOtherVersions: at the start it is said whose mail.db is of another version; a later one
// is refused, its user alone.
func TestOtherVersions(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	path := map[string]string{}
	for _, name := range []string{"older", "later", "same"} {
		r.addUser(name)
		a, err := r.accounts.Lookup(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		path[name] = filepath.Join(c.Conf, a.ID.Dir(), "mail.db")
	}
	r.stop()
	spoil(t, path["older"], `PRAGMA user_version = 2; DROP TABLE setting; DROP TABLE grave`)
	before, err := os.ReadFile(path["later"])
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, path["later"], `PRAGMA user_version = 99`)
	var log lines
	r = start(t, c, Options{Logger: log.logger()})
	for _, want := range []string{"mail.db of an older version", "users=1", "made by a later program", "put mail of this one's back"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not said:\n%s", want, log.String())
		}
	}
	for name, ok := range map[string]bool{"older": true, "later": false, "same": true} {
		if err := r.deliver("A: 1\r\n\r\nx\r\n", name+"@example.org"); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.end()
	if err := os.WriteFile(path["later"], before, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, c, Options{})
}

// TestCommitsCutOffAreFound: the end of a user's WAL is cut off under the daemon. It does not go on from there, says so once, and ends his sessions for
// the repair, after which all his mail is there.
func TestCommitsCutOffAreFound(t *testing.T) {
	c := newConfig(t, "")
	var log lines
	r := start(t, c, Options{Logger: log.logger()})
	r.addUser("anna")
	a, err := r.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.Conf, a.ID.Dir(), "mail.db")
	var before int64
	for n := range 3 {
		if err := r.deliver(letterOf(n), "anna@example.org"); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if n < 2 {
			before = info.Size()
		}
	}
	session, err := r.login("anna", "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := behind.Exec(path); err != nil { // it writes, so that nobody has pages in memory that count
		t.Fatal(err)
	}
	if err := os.Truncate(path+"-wal", before); err != nil {
		t.Fatal(err)
	}
	await(t, "found", func() bool {
		_ = r.client.Verify(t.Context(), []string{"anna"}, func(Finding) {})
		return strings.Contains(log.String(), "not in it any longer")
	})
	if err := r.deliver(letterOf(3), "anna@example.org"); err == nil {
		t.Error("mail is taken")
	}
	found := 0
	if err := r.client.Verify(t.Context(), []string{"anna"}, func(Finding) { found++ }); err == nil && found == 0 {
		t.Error("nothing is found")
	}
	if n := strings.Count(log.String(), "nothing is written to it"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{"anna"}}, func(j JobResult) {
		if j.Error != "" {
			t.Error(j.Error)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.deliver(letterOf(4), "anna@example.org"); err != nil {
		t.Error(err)
	}
	if got := r.hits("anna", "heron"); got != 4 {
		t.Errorf("%d messages are found, of 4", got)
	}
	if err := r.client.Verify(t.Context(), nil, func(f Finding) { t.Errorf("after the repair: %s %s", f.Where, f.What) }); err != nil {
		t.Fatal(err)
	}
}
