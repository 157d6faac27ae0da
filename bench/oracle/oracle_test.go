package oracle

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// TestPython runs the oracle over each corpus, every n-th message of it by
// default and all of it where COUNT asks for 2,000 queries or more.
func TestPython(t *testing.T) {
	for _, c := range []struct {
		name  string
		every int
	}{{"mime-torture", 1}, {"spamassassin", 10}, {"kernel-list", 50}} {
		t.Run(c.name, func(t *testing.T) {
			queries, every := environ("COUNT", 250), c.every
			if queries >= 2000 {
				every = 1
			}
			messages := corpus.Messages(t, c.name)
			slot := daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), "")
			slot.AddUser(t, "anna", password)
			importEvery(t, slot, messages, every)
			slot.Start(t)
			ask(t, slot, queries)
			slot.Stop(t)
		})
	}
}

func environ(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// importEvery imports every n-th message from a directory of files.
func importEvery(t *testing.T, slot *daemon.Slot, messages []corpus.Message, n int) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(messages); i += n {
		name := filepath.Join(dir, strconv.Itoa(1000000+i)+".eml")
		if err := os.WriteFile(name, messages[i].Raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := slot.Run(context.Background(), t, "", "slotctl", "--config", slot.Config, "import", "anna", dir); err != nil {
		t.Fatal(out, err)
	}
}

// ask runs oracle.py; its closing line is the proof.
func ask(t *testing.T, slot *daemon.Slot, queries int) {
	t.Helper()
	_, port, err := net.SplitHostPort(slot.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "oracle.py", "--port", port, "--user", "anna", "--password", password,
		"--queries", strconv.Itoa(queries), "--seed", strconv.Itoa(environ("SEED", 1)), "--judged", "judged.txt").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
	if err != nil {
		t.Errorf("oracle.py: %v\n%s", err, strings.Join(lines[:min(400, len(lines))], "\n"))
	}
}
