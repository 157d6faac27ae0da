package oracle

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

func TestMain(m *testing.M) {
	code := m.Run()
	daemon.Clean()
	os.Exit(code)
}

const password = "correct horse"

// corpora are the archives, and which part of each is taken by default: every
// n-th message.
var corpora = []struct {
	name  string
	every int
}{{"mime-torture", 1}, {"spamassassin", 12}, {"kernel-list", 60}}

// TestPython asks a slot whose mail is indexed, half of it in one tier and half in
// another. COUNT is the number of queries; from 2,000 on, all messages are taken.
func TestPython(t *testing.T) {
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) {
			queries, every := environ("COUNT", 250), c.every
			if queries >= 2000 {
				every = 1
			}
			messages := corpus.Messages(t, c.name)
			slot := daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), "")
			slot.AddUser(t, "anna", password)
			half := len(messages) / 2
			importEvery(t, slot, messages[:half], every)
			run(t, slot, "squatter", "-C", slot.Config, "-i", "-r", "-u", "anna")
			run(t, slot, "squatter", "-C", slot.Config, "-z", "data", "-t", "temp", "-u", "anna")
			importEvery(t, slot, messages[half:], every)
			run(t, slot, "squatter", "-C", slot.Config, "-i", "-r", "-u", "anna")
			slot.Start(t)
			ask(t, slot, queries)
			slot.Stop(t)
			a := answered(t, slot)
			t.Logf("proof: %s: messages answered by the index %d, verified %d, scanned %d", c.name, a.indexed, a.verified, a.scanned)
			if a.scanned != 0 || a.indexed == 0 {
				t.Errorf("with an index that is whole, %+v", a)
			}
		})
	}
}

// TestPythonWithoutIndex asks a slot that has no index and makes none: the same
// answers by scanning.
func TestPythonWithoutIndex(t *testing.T) {
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) {
			queries, every := min(environ("COUNT", 100), 300), 3*c.every
			messages := corpus.Messages(t, c.name)
			slot := daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), "[squatter]\noff = true\n")
			slot.AddUser(t, "anna", password)
			importEvery(t, slot, messages, every)
			run(t, slot, "squatter", "-C", slot.Config, "-i", "-r", "-u", "anna")
			if err := os.RemoveAll(slot.Temp); err != nil {
				t.Fatal(err)
			}
			slot.Start(t)
			ask(t, slot, queries)
			slot.Stop(t)
			a := answered(t, slot)
			t.Logf("proof: %s, temp root deleted: messages answered by the index %d, verified %d, scanned %d", c.name, a.indexed, a.verified, a.scanned)
			if a.scanned == 0 || a.indexed+a.verified != 0 {
				t.Errorf("without an index, %+v", a)
			}
		})
	}
}

func environ(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// importEvery imports every n-th message from a directory of files, but for those of
// white space only, which the import refuses.
func importEvery(t *testing.T, slot *daemon.Slot, messages []corpus.Message, n int) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(messages); i += n {
		if len(bytes.TrimSpace(messages[i].Raw)) == 0 {
			continue
		}
		name := filepath.Join(dir, strconv.Itoa(1000000+i)+".eml")
		if err := os.WriteFile(name, messages[i].Raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, slot, "slotctl", "--config", slot.Config, "import", "anna", dir)
}

// run runs one of the commands.
func run(t *testing.T, slot *daemon.Slot, name string, args ...string) {
	t.Helper()
	if out, err := slot.Run(context.Background(), t, "", name, args...); err != nil {
		t.Fatal(out, err)
	}
}

// ask runs oracle.py; its closing lines are the proof.
func ask(t *testing.T, slot *daemon.Slot, queries int) {
	t.Helper()
	_, port, err := net.SplitHostPort(slot.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "oracle.py", "--port", port, "--user", "anna", "--password", password,
		"--queries", strconv.Itoa(queries), "--seed", strconv.Itoa(environ("SEED", 1)), "--judged", "judged.txt")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines[max(0, len(lines)-2):] {
		t.Log("proof: " + t.Name() + ": " + line)
	}
	if err != nil {
		t.Errorf("oracle.py: %v\n%s", err, strings.Join(lines[:min(400, len(lines))], "\n"))
		log := strings.Split(slot.Log(), "\n")
		t.Logf("the slot's last lines:\n%s", strings.Join(log[max(0, len(log)-20):], "\n"))
	}
}

// answers counts the messages that text keys were asked about, by what answered.
type answers struct{ indexed, verified, scanned int }

var searchLine = regexp.MustCompile(`indexed=(\d+) verified=(\d+) scanned=(\d+)`)

// answered adds up what the slot has logged of its searches.
func answered(t *testing.T, slot *daemon.Slot) (a answers) {
	t.Helper()
	for _, m := range searchLine.FindAllStringSubmatch(slot.Log(), -1) {
		for i, to := range []*int{&a.indexed, &a.verified, &a.scanned} {
			n, err := strconv.Atoi(m[i+1])
			if err != nil {
				t.Fatal(err)
			}
			*to += n
		}
	}
	return a
}
