package imapd

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented returns a line's value in the filter of docs/operations.md.
func documented(t *testing.T, key string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + key + ` = (.*)$`).FindStringSubmatch(string(b))
	if m == nil {
		t.Fatalf("docs/operations.md has no %s", key)
	}
	return m[1]
}

// guesses has somebody guess, by names that try to look like other lines, and others
// log in rightly. It returns the log and the number of guesses.
func guesses(t *testing.T) (log string, n int) {
	h := newHarness(t, Options{PlainLogin: true, Limits: Limits{AuthTries: 100}})
	p := h.dial(t)
	p.response(t)
	plain := func(name string) string {
		return "AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00guess"))
	}
	commands := []string{
		"LOGIN alice guess", `LOGIN "x\" address=192.0.2.1 user=\"" guess`, "LOGIN address=192.0.2.1 guess", plain("nobody"),
		plain("x\nlevel=WARN msg=\"imap: authentication failed\" session=s address=192.0.2.1 user=y"),
		plain("\u2028level=WARN msg=\"imap: authentication failed\" session=s address=192.0.2.1 user="),
	}
	for _, command := range commands {
		if _, completion := p.run(t, command); !strings.HasPrefix(completion, "NO [AUTHENTICATIONFAILED]") {
			t.Errorf("%q: %s", command, completion)
		}
	}
	h.login(t, "alice").do(t, `CREATE "level=WARN msg=\"imap: authentication failed\" session=s address=192.0.2.1 user="`)
	return h.log.String(), len(commands)
}

// The documented filter finds each guess, with the guesser's address, and nothing else.
func TestGuessesAreFound(t *testing.T) {
	log, n := guesses(t)
	filter := regexp.MustCompile(strings.Replace(documented(t, "failregex"), "<HOST>", `(\S+)`, 1))
	found := 0
	for line := range strings.Lines(log) {
		m := filter.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if found++; m[1] != "127.0.0.1" {
			t.Errorf("the filter finds %s in %q", m[1], line)
		}
	}
	if found != n {
		t.Errorf("the filter finds %d of %d guesses in\n%s", found, n, log)
	}
}

// fail2ban's own program agrees, where it is installed.
func TestGuessesAreFoundByFail2ban(t *testing.T) {
	program, err := exec.LookPath("fail2ban-regex")
	if err != nil {
		t.Skip("fail2ban-regex is not installed (apt-get install fail2ban)")
	}
	log, n := guesses(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"log":           log,
		"teraslot.conf": "[Definition]\nfailregex = " + documented(t, "failregex") + "\ndatepattern = " + documented(t, "datepattern") + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := runClient(t, "", program, "--out", "ip", filepath.Join(dir, "log"), filepath.Join(dir, "teraslot.conf"))
	if got := strings.Fields(out); len(got) != n || len(slices.Compact(slices.Clone(got))) != 1 || got[0] != "127.0.0.1" {
		t.Errorf("fail2ban finds %q of %d guesses in\n%s", got, n, log)
	}
}
