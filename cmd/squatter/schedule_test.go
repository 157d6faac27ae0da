package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"teraslot/slot"
)

// TestUnits asks systemd whether the units that are shipped are right.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the units are not verified")
	}
	// The programs need not be installed where the tests run.
	dir, bin := t.TempDir(), "/bin/true"
	var units []string
	for _, name := range []string{"teraslot.service", "teraslot-squatter.service", "teraslot-squatter.timer"} {
		b, err := os.ReadFile(filepath.Join("../../docs/operations/systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		b = regexp.MustCompile(`/usr/bin/(imapd|squatter)`).ReplaceAll(b, []byte(bin))
		b = regexp.MustCompile(`(?m)^(User|Group)=teraslot$`).ReplaceAll(b, []byte("$1=root"))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	bad := filepath.Join(dir, "bad.service")
	if err := os.WriteFile(bad, []byte("[Service]\nExecStart=relative\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", bad).CombinedOutput(); err == nil && len(out) == 0 {
		t.Error("systemd-analyze finds nothing wrong with a bad unit")
	}
}

// TestPlanApply: --plan says what --apply then does; neither beside a daemon that
// does it itself.
func TestPlanApply(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i")
	if _, errs := f.squatter(exitTempFail, "--apply"); !strings.Contains(errs, `compact.by to "timer"`) {
		t.Errorf("--apply beside a daemon says %q", errs)
	}

	f = newFixture(t, "[compact]\nby = \"timer\"\n")
	quiet := "quiet = \"00:00-00:00\"\n" // always
	b, err := os.ReadFile(f.file)
	f.must(err)
	f.must(os.WriteFile(f.file, append([]byte(quiet), b...), 0o600))
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i")
	for range 2 {
		out, _ := f.squatter(exitOK, "--plan")
		wants(t, out, `user\.brong +temp,meta to data +\d+ bytes +quiet: quiet hours 00:00-24:00`)
	}
	lock, err := f.config.LockSchedule()
	f.must(err)
	if _, errs := f.squatter(exitTempFail, "--apply"); !strings.Contains(errs, "another process") {
		t.Errorf("two of them: %q", errs)
	}
	f.must(lock.Close())
	out, _ := f.squatter(exitOK, "-v", "--apply")
	wants(t, out, `compressing temp:\d+ to data:\d+ for user\.brong .*`, `1 of 1 compactions done, \d+ bytes`)
	out, _ = f.squatter(exitOK, "--plan")
	wants(t, out, "nothing to do")
	f.squatter(exitOK, "-A")
}

// TestClock: hours and ages are those of the clock that the command is given: by day it plans nothing, at night what is new, and a week later the merge of
// what lies in data.
func TestClock(t *testing.T) {
	f := newFixture(t, "[compact]\nby = \"timer\"\nbandwidth = \"1GB\"\n")
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i")
	today := time.Now()
	at := func(days, hour int) {
		now := time.Date(today.Year(), today.Month(), today.Day()+days, hour, 0, 0, 0, time.Local)
		f.now = func() time.Time { return now }
	}
	at(0, 12)
	out, _ := f.squatter(exitOK, "--plan")
	wants(t, out, "nothing to do")
	out, _ = f.squatter(exitOK, "-v", "--apply")
	wants(t, out, `0 of 0 compactions done, 0 bytes`)
	for range 2 {
		at(1, 3)
		out, _ = f.squatter(exitOK, "--plan")
		wants(t, out, `user\.brong +temp,meta to data +\d+ bytes +quiet: quiet hours 01:00-05:00`)
		out, _ = f.squatter(exitOK, "-v", "--apply")
		wants(t, out, `compressing temp:\d+ to data:\d+ for user\.brong .*`, `1 of 1 compactions done, \d+ bytes`)
		f.deliver("brong", "INBOX", 2)
		f.squatter(exitOK, "-i")
	}
	at(9, 12)
	out, _ = f.squatter(exitOK, "--plan")
	wants(t, out, "nothing to do")
	at(9, 3)
	out, _ = f.squatter(exitOK, "--plan")
	wants(t, out, `user\.brong +temp,meta,data to data +\d+ bytes +\w+: the oldest of 2 databases in data is [89] days old`)
}

// lookout calls found when what is written has a text.
type lookout struct {
	bytes.Buffer
	text  string
	found func()
}

func (l *lookout) Write(b []byte) (int, error) {
	n, err := l.Buffer.Write(b)
	if strings.Contains(l.String(), l.text) {
		l.found()
	}
	return n, err
}

// slowSearches serves the admin socket of a daemon whose searches are slow; the function
// it returns ends that.
func (f *fixture) slowSearches() func() {
	t := f.t
	t.Helper()
	dir, err := os.Open(f.config.Conf) // the whole path may be too long for a socket's address
	f.must(err)
	defer dir.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(f.config.AdminSocket())))
	f.must(err)
	daemon := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewEncoder(w).Encode(slot.Status{SearchesSlow: true}); err != nil {
			t.Error(err)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- daemon.Serve(l) }()
	return func() {
		f.must(daemon.Close())
		<-served
	}
}

// waits runs the command until it says that it waits for searches, and fails the test if
// it compacts instead.
func (f *fixture) waits(args ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	out, errs := &bytes.Buffer{}, &lookout{text: "searches are slow; compacting waits", found: cancel}
	if code := run(ctx, append([]string{"-C", f.file, "-v"}, args...), options{stdout: out, stderr: errs}); code != exitTempFail || strings.Contains(out.String(), "compressing") ||
		!strings.Contains(errs.String(), errs.text) {
		f.t.Errorf("squatter %v: exit %d while searches are slow\n%s%s", args, code, out, errs)
	}
}

// TestApplyWaitsForSearches: --apply waits while the daemon says that searches are slow.
func TestApplyWaitsForSearches(t *testing.T) {
	f := newFixture(t, "[compact]\nby = \"timer\"\n")
	b, err := os.ReadFile(f.file)
	f.must(err)
	f.must(os.WriteFile(f.file, append([]byte("quiet = \"00:00-00:00\"\n"), b...), 0o600))
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i")
	end := f.slowSearches()
	f.waits("--apply")
	end()
	stdout, errs := f.squatter(exitOK, "-v", "--apply")
	wants(t, stdout, `1 of 1 compactions done, \d+ bytes`)
	wants(t, errs, `.* level=INFO msg=compaction user=brong outcome=done .* rule=quiet .*`)
}

// TestHandWaitsForSearches: so do compactions by hand, but for those at full speed.
func TestHandWaitsForSearches(t *testing.T) {
	f := newFixture(t, "[log]\nformat = \"json\"\n")
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i")
	end := f.slowSearches()
	f.waits("-z", "data", "-t", "temp", "-u", "brong")
	out, errs := f.squatter(exitOK, "-v", "--full-speed", "-z", "data", "-t", "temp", "-u", "brong")
	wants(t, out, `finished compact of user\.brong .*`)
	wants(t, errs, `{.*"level":"INFO","msg":"compaction","user":"brong","outcome":"done","from":\["temp"\],"to":"data",.*"rule":"hand",.*}`)
	end()
	if out, errs := f.squatter(exitOK, "-z", "archive", "-t", "data", "-u", "brong"); out+errs != "" {
		t.Errorf("without -v:\n%s%s", out, errs)
	}
	f.squatter(exitOK, "-A")
}

func TestStats(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i", "-u", "brong")
	f.squatter(exitOK, "-z", "data", "-t", "temp", "-u", "brong")
	f.deliver("brong", "INBOX", 1)
	f.squatter(exitOK, "-i", "-u", "brong")
	out, _ := f.squatter(exitOK, "--stats")
	wants(t, out, `USER +TIER +DATABASES +SEGMENTS +MESSAGES +BYTES +TERMS +LISTS +TEXT +ROOM +MAIL% +DEAD% .*`,
		`user\.brong +temp +1 +1 +1( +\d+){5} +[\d.]+ +0\.0 +\d{4}-\d\d-\d\d .*`, `user\.brong +data +1 +1 +3( +\d+){5} +[\d.]+ +0\.0 +.*`)
	wants(t, out, `user\.first\.last +-( +0){8} .*`)
}

// TestSynclogFile indexes whom a sync log names, ours or the reference system's.
func TestSynclogFile(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 2)
	f.deliver("first.last", "INBOX", 2)
	name := filepath.Join(t.TempDir(), "log")
	f.must(os.WriteFile(name, []byte("1 "+string(f.ids["brong"])+" - 12345678\n\nnonsense\nUSER nobody\n"), 0o600))
	out, errs := f.squatter(exitTempFail, "-v", "-f", name)
	wants(t, out, `Indexed 2 message\(s\) of user\.brong`)
	if strings.Contains(out, "first.last") || !strings.Contains(errs, ":3: ") || !strings.Contains(errs, ":4: ") {
		t.Errorf("got\n%s%s", out, errs)
	}
	f.must(os.WriteFile(name, []byte("APPEND user.first.last\nAPPEND \"user.first.last.Work\"\nUSER brong\n"), 0o600))
	out, _ = f.squatter(exitOK, "-v", "-f", name)
	wants(t, out, `Indexed 2 message\(s\) of user\.first\.last`, `Indexed 0 message\(s\) of user\.brong`)
	f.squatter(exitTempFail, "-f", name+".none")
	f.squatter(exitOK, "-A")
}

// TestCopy takes a single source over as it is, what is gone included.
func TestCopy(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 4)
	f.squatter(exitOK, "-i", "-u", "brong")
	f.forgetHalf("brong")
	out, _ := f.squatter(exitOK, "-v", "-z", "data", "-t", "temp,meta", "-o", "-u", "brong")
	wants(t, out, "only one source, copying directly to data", `compressing temp:\d+ to data:\d+ .*`)
	out, _ = f.squatter(exitOK, "-A", "-v", "-u", "brong")
	wants(t, out, `user\.brong: 2 messages held, 2 indexed, .* of the documents 2 are dead and 0 double`)
	out, _ = f.squatter(exitOK, "-A", "--repair", "-v", "-u", "brong")
	wants(t, out, `Repaired the index of user\.brong: 0 messages indexed, rewritten: data:\d+`, `user\.brong: .* 0 are dead and 0 double`)
}

// TestRepair mends an index that misses messages, has some twice, and is damaged.
func TestRepair(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 4)
	f.squatter(exitOK, "-i", "-u", "brong")
	f.squatter(exitOK, "-z", "data", "-t", "temp", "-u", "brong")
	f.squatter(exitOK, "-u", "brong") // once more, all of it: double
	f.deliver("brong", "INBOX", 2)
	out, _ := f.squatter(exitOK, "-A", "--repair", "-u", "brong")
	wants(t, out, `Repaired the index of user\.brong: 2 messages indexed, rewritten: .*temp:\d+.*`)
	out, _ = f.squatter(exitOK, "-A", "-v", "-u", "brong")
	wants(t, out, `user\.brong: 6 messages held, 6 indexed, .* 0 are dead and 0 double`)

	manifests, err := filepath.Glob(filepath.Join(f.config.Tiers.Data, f.ids["brong"].Dir(), "*", "manifest"))
	f.must(err)
	if len(manifests) != 1 {
		t.Fatalf("databases: %v", manifests)
	}
	f.must(os.WriteFile(manifests[0], []byte("nonsense"), 0o600))
	f.squatter(exitTempFail, "-A", "-u", "brong")
	f.squatter(exitOK, "-A", "--repair", "-u", "brong")
	out, _ = f.squatter(exitOK, "-A", "-v", "-u", "brong")
	wants(t, out, `user\.brong: 6 messages held, 6 indexed, .* 0 are dead and 0 double`)
}

// TestPartials: -p makes messages that cannot be indexed no failure of the run.
func TestPartials(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 2)
	packs, err := filepath.Glob(filepath.Join(f.config.Spool, f.ids["brong"].Dir(), "*.pack"))
	f.must(err)
	b, err := os.ReadFile(packs[0])
	f.must(err)
	at := bytes.Index(b, []byte("Subject: brong INBOX 1 0"))
	b[at] ^= 0xff
	f.must(os.WriteFile(packs[0], b, 0o600))
	if _, errs := f.squatter(exitTempFail, "-i", "-u", "brong"); !strings.Contains(errs, "could not be indexed") {
		t.Errorf("got %q", errs)
	}
	out, errs := f.squatter(exitOK, "-v", "-i", "-p", "-u", "brong")
	if !strings.Contains(out, "left to be searched by reading") || errs != "" {
		t.Errorf("got %q and %q", out, errs)
	}
	out, _ = f.squatter(exitOK, "--stats", "-u", "brong")
	wants(t, out, `user\.brong: message [0-9a-f]{64} is tried again at .* after 2 tries: .*`)
}
