package slot

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
)

// Who is removed or gets another password is logged out everywhere; others are not.
func TestSessionsEndWithTheirReason(t *testing.T) {
	r := start(t, newConfig(t, ""), Options{})
	for _, name := range []string{"anna", "bob", "carl"} {
		r.addUser(name)
	}
	sessions := make(map[string]*imapclient.Client)
	for _, name := range []string{"anna", "bob", "carl"} {
		c, err := r.login(name, "secret")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sessions[name] = c
	}
	if err := r.client.Change(t.Context(), "passwd", ChangeUser{Name: "anna", Password: "other"}); err != nil {
		t.Fatal(err)
	}
	if err := r.client.Change(t.Context(), "del", ChangeUser{Name: "bob"}); err != nil {
		t.Fatal(err)
	}
	for name, ended := range map[string]bool{"anna": true, "bob": true, "carl": false} {
		if err := sessions[name].Noop().Wait(); (err != nil) != ended {
			t.Errorf("NOOP in the session of %s: %v", name, err)
		}
	}
	c, err := r.login("anna", "other")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// A slot that never ran has not stopped uncleanly.
func TestFirstStartIsQuietAboutTheLastStop(t *testing.T) {
	var log bytes.Buffer
	r := start(t, newConfig(t, ""), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r.addUser("anna")
	if r.stop(); log.Len() == 0 || strings.Contains(log.String(), "not clean") {
		t.Errorf("the log of a first start:\n%s", &log)
	}
}

// The README's table names the capabilities that the server announces, before and
// after login, and no others.
func TestReadmeNamesTheCapabilities(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, row, ok := strings.Cut(string(text), "\n| IMAP: ")
	row, _, _ = strings.Cut(row, "\n")
	if !ok || !strings.HasSuffix(row, "| works |") {
		t.Fatalf("the README has no row for what of IMAP works, but %q", row)
	}
	var documented []string
	for i, word := range strings.Split(row, "`") {
		if i%2 == 1 {
			documented = append(documented, word)
		}
	}
	r := start(t, newConfig(t, ""), Options{})
	r.addUser("anna")
	c, err := imapclient.DialInsecure(r.Addresses().IMAP[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var announced []string
	for _, login := range []bool{false, true} {
		if login {
			if err := c.Login("anna", "secret").Wait(); err != nil {
				t.Fatal(err)
			}
		}
		caps, err := c.Capability().Wait()
		if err != nil {
			t.Fatal(err)
		}
		for name := range caps {
			what, _, configured := strings.Cut(string(name), "LIMIT=")
			if configured {
				what += "LIMIT" // APPENDLIMIT=, then max_message
			}
			announced = append(announced, what)
		}
	}
	for _, names := range [][]string{documented, announced} {
		slices.Sort(names)
	}
	if announced = slices.Compact(announced); !slices.Equal(documented, announced) {
		t.Errorf("README.md names\n%s\nthe server announces\n%s", strings.Join(documented, " "), strings.Join(announced, " "))
	}
}
