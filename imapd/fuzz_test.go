package imapd

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/account"
)

// FuzzSession sends anything to a session that is logged in and has a mailbox
// selected: it has to end, without a fault, and leave the mail whole.
func FuzzSession(f *testing.F) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			if m := speech.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil && m[1] == "C" {
				said.WriteString(m[4] + "\r\n")
			}
		}
		f.Add(said.String())
	}
	f.Add("a APPEND INBOX {5+}\r\nabcde {3+}\r\nabc\r\nb IDLE\r\nDONE\r\nc UID FETCH 1:* (BODY[1.2.MIME]<0.5> BINARY[1])\r\n")
	h := newHarness(f, Options{PlainLogin: true, Limits: Limits{Login: time.Second, Idle: time.Second,
		Command: time.Second, Stall: time.Second, PerUser: 1000}})
	// Or a COPY 1:* INBOX said again and again would double the mailbox each time.
	h.addUser(f, "dora", account.Quota{Messages: 100, Bytes: 1 << 20})
	h.deliver(f, "dora", "INBOX", mail("one"))
	f.Fuzz(func(t *testing.T, text string) {
		p := h.login(t, "dora")
		p.do(t, "SELECT INBOX")
		p.conn.SetDeadline(time.Now().Add(patience))
		go func() {
			// The server may close before all is sent.
			_, _ = io.WriteString(p.conn, text+"\r\n\r\nDONE\r\nlast LOGOUT\r\n")
		}()
		if _, err := io.Copy(io.Discard, p.r); os.IsTimeout(err) {
			t.Error("the session did not end")
		}
		if log := h.log.take(); strings.Contains(log, "fault in a session") || strings.Contains(log, "command failed") {
			t.Errorf("the log says\n%s", log)
		}
	})
}
