package exporter

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dovecot is a Dovecot 2.3 that serves one Maildir on its standard input.
type dovecot struct {
	root string // below which usr/lib/dovecot is; "/" where the package is installed
	dir  string
}

// newDovecot skips where there is none. DOVECOT names another root than "/", as
// dpkg -x makes one.
func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	d := &dovecot{root: "/"}
	if root := os.Getenv("DOVECOT"); root != "" {
		d.root = root
	}
	if _, err := os.Stat(d.imap()); err != nil {
		t.Skipf("no Dovecot: %v", err)
	}
	// Dovecot does not serve mail as root, and who serves has to reach the directory.
	var err error
	if d.dir, err = os.MkdirTemp("", "dovecot"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(d.dir) })
	if err := os.Chmod(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *dovecot) imap() string { return filepath.Join(d.root, "usr/lib/dovecot/imap") }

// say serves the Maildir d.dir/mail and returns what the server answers.
func (d *dovecot) say(t *testing.T, commands ...string) string {
	t.Helper()
	uid, gid := os.Getuid(), os.Getgid()
	attributes := &syscall.SysProcAttr{}
	if uid == 0 {
		uid, gid = 65534, 65534
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	config := filepath.Join(d.dir, "dovecot.conf")
	text := fmt.Sprintf("base_dir = %[1]s/run\nstate_dir = %[1]s/state\nlog_path = /dev/stderr\nmail_location = maildir:%[1]s/mail\n"+
		"mail_uid = %[2]d\nmail_gid = %[3]d\nfirst_valid_uid = 1\nfirst_valid_gid = 0\nssl = no\nmail_plugins = listescape\n"+
		"mail_plugin_dir = %[4]s/usr/lib/dovecot/modules\nnamespace inbox {\n  inbox = yes\n  separator = /\n}\n", d.dir, uid, gid, d.root)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", "-R", fmt.Sprintf("%d:%d", uid, gid), d.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(d.root, "usr/bin/doveconf"), "-f", "service=imap", "-c", config, "-m", "imap", "-e", d.imap())
	cmd.SysProcAttr = attributes
	cmd.Env = append(os.Environ(), "USER=nobody", "HOME="+d.dir, "LD_LIBRARY_PATH="+filepath.Join(d.root, "usr/lib/dovecot"))
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\r\n") + "\r\nz LOGOUT\r\n")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "z OK") {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// TestDovecotServesIt: Dovecot gives the exported mail with the UIDVALIDITY, UIDs,
// flags, keywords, dates, sizes, bytes, names and subscriptions that it has here, so
// a client that knew them downloads nothing again.
func TestDovecotServesIt(t *testing.T) {
	d := newDovecot(t)
	b := newBox(t)
	for i := range 4 {
		b.add("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n%d\r\n", i, i), morning.Add(time.Duration(-i)*time.Hour), "work")
	}
	b.flag("INBOX", 3, `\Seen`, `\Answered`, `\Flagged`, `\Draft`, "$Forwarded", "late")
	b.expunge("INBOX", 2)
	b.expunge("INBOX", 4)
	const name, encoded = `Lists/Grüße & v1.0\x`, `Lists/Gr&APwA3w-e &- v1.0\\x`
	odd := "Subject: odd\r\n\r\nFrom x\r\r\n"
	b.add(name, odd, morning)
	b.check(b.mail.Subscribe(t.Context(), "", name, true))
	b.must(filepath.Join(d.dir, "mail"), Options{})

	inbox, err := b.mail.MailboxNamed(t.Context(), "INBOX")
	b.check(err)
	lists, err := b.mail.MailboxNamed(t.Context(), name)
	b.check(err)
	got := d.say(t, `a LIST "" *`, `b LSUB "" *`, `c SELECT INBOX`, `d FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])`,
		`e SELECT "`+encoded+`"`, `f FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])`)
	utc := func(i int) string {
		return morning.Add(time.Duration(-i) * time.Hour).UTC().Format("02-Jan-2006 15:04:05 -0700")
	}
	for _, want := range []string{
		`* LIST (\HasNoChildren) "/" "` + encoded + `"`, `* LSUB () "/" "` + encoded + `"`, `* LSUB () "/" INBOX`,
		fmt.Sprintf("[UIDVALIDITY %d]", inbox.UIDValidity), "* 2 EXISTS\n", "[UIDNEXT 5]",
		`* 1 FETCH (UID 1 FLAGS (work) INTERNALDATE "` + utc(0) + `" RFC822.SIZE 17 BODY[] {17}` + "\nSubject: 0\n\n0\n)",
		`* 2 FETCH (UID 3 FLAGS (\Answered \Flagged \Seen \Draft $Forwarded late) INTERNALDATE "` + utc(2) + `" RFC822.SIZE 17 BODY[] {17}` + "\nSubject: 2\n\n2\n)",
		fmt.Sprintf("[UIDVALIDITY %d]", lists.UIDValidity), "[UIDNEXT 2]",
		fmt.Sprintf("* 1 FETCH (UID 1 FLAGS () INTERNALDATE %q RFC822.SIZE %d BODY[] {%d}\nSubject: odd\n\nFrom x\r\n)", utc(0), len(odd), len(odd)),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "RECENT") && !strings.Contains(got, "* 0 RECENT") {
		t.Errorf("messages are new to Dovecot:\n%s", got)
	}
}
