package oracle

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/bench/corpus"
	"teraslot/bench/daemon"
)

// TestOrder asks a slot for every order and all threads of the real mail, and lets
// order.py make them from the messages. FULL takes all messages.
func TestOrder(t *testing.T) {
	for _, c := range corpora {
		t.Run(c.name, func(t *testing.T) {
			every := max(1, c.every/3)
			if os.Getenv("FULL") != "" || environ("COUNT", 0) >= 2000 {
				every = 1
			}
			messages := corpus.Messages(t, c.name)
			slot := daemon.New(t, filepath.Join(daemon.Scratch(t), "slot"), "")
			slot.AddUser(t, "anna", password)
			importEvery(t, slot, messages, every)
			slot.Start(t)
			_, port, err := net.SplitHostPort(slot.IMAP)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("python3", "order.py", "--port", port, "--user", "anna", "--password", password)
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			for _, line := range lines[max(0, len(lines)-2):] {
				t.Log("proof: " + t.Name() + ": " + line)
			}
			if err != nil {
				t.Errorf("order.py: %v\n%s", err, out)
			}
			slot.Stop(t)
		})
	}
}
