package oracle

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed *.py
var programs embed.FS

// Agreement is what order.py says of one order or one way of threading.
type Agreement struct {
	Equal   bool
	Refused bool   // the server does not know the command
	LeftOut int    // messages that were not asked for: their fields are not as they should be
	Why     string // where the two differ, or what the server said
}

// Orders asks the IMAP server at addr, which is on 127.0.0.1, for every order and all
// threads of a user's INBOX, and lets order.py make them from the messages. Keys are commands
// as far as their charset: "SORT (SUBJECT)", "THREAD REFS".
func Orders(ctx context.Context, addr, user, password string) (map[string]Agreement, error) {
	dir, err := os.MkdirTemp("", "teraslot-oracle")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, programs); err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "python3", filepath.Join(dir, "order.py"), "--port", port, "--user", user, "--password", password, "--answers")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("order.py: %w: %s", err, complaint.String())
	}
	return agreements(string(out))
}

// agreements reads what order.py printed.
func agreements(out string) (map[string]Agreement, error) {
	all := map[string]Agreement{}
	for line := range strings.Lines(out) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(parts) < 5 || parts[0] != "answer" {
			return nil, fmt.Errorf("order.py: %q is no answer", line)
		}
		n, err := strconv.Atoi(parts[3])
		if err != nil {
			return nil, fmt.Errorf("order.py: %q: %w", line, err)
		}
		all[parts[1]] = Agreement{Equal: parts[2] == "equal", Refused: parts[2] == "refused", LeftOut: n, Why: strings.Join(parts[4:], " ")}
	}
	return all, nil
}
