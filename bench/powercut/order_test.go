package powercut

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOrder holds the order in which a delivery reaches the disk, against a
// golden file: nothing is acknowledged before pack and WAL are synced.
func TestOrder(t *testing.T) {
	r := record(t, 3)
	acks := r.acknowledgements()
	if len(acks) != len(r.sent) {
		t.Fatalf("the trace shows %d acknowledgements of %d deliveries", len(acks), len(r.sent))
	}
	got := ""
	for i, name := range []string{"first delivery after a start", "a later delivery"} {
		from := 0
		if i > 0 {
			from = acks[0] + 1
		}
		got += "# " + name + "\n" + r.story(from, acks[i]+1) + "\n"
	}
	golden := filepath.Join("testdata", "order.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the order of a delivery's writes and syncs changed (-update writes it anew, if that is meant):\n%s\nwant\n%s", got, want)
	}
}

// story tells operations on the user's mail in words, repeated ones once.
func (r *recording) story(from, to int) string {
	var lines []string
	for _, op := range r.ops[from:to] {
		name := filepath.Base(op.Path)
		line := op.Kind.String() + " " + name
		switch {
		case op.Kind == Reply && bytes.Contains(op.Data, []byte("354")):
			lines = nil // what went before was the envelope
			continue
		case op.Kind == Reply && !bytes.HasPrefix(op.Data, []byte("250")):
			continue // a greeting, to whoever looked whether the slot listens: at any time
		case op.Kind == Reply:
			line = "reply"
		case !strings.HasPrefix(op.Path, r.root+"/slot/conf/users/") && !strings.HasPrefix(op.Path, r.root+"/slot/spool/users/"):
			continue
		case op.Kind == Create && strings.HasPrefix(name, "mail.db"): // whoever opens it first, at any time
			continue
		case strings.HasSuffix(name, "-shm") || strings.HasPrefix(name, "index."):
			continue
		case op.Kind == SyncDir || op.Kind == Mkdir:
			line = op.Kind.String()
		}
		if len(lines) == 0 || lines[len(lines)-1] != line {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
