package imapd

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStructuresAgainstPython compares ENVELOPE and BODYSTRUCTURE of all odd mail with what
// Python's email package reads. Each difference is judged in testdata/structure.judged,
// by message and place; docs/imap.md says what the judgements are. A difference that is not
// there, or is there and does not occur, fails the test.
func TestStructuresAgainstPython(t *testing.T) {
	python := needs(t, "python3")
	dir := os.Getenv("CORPUS")
	if dir == "" {
		t.Skip("CORPUS is not set: no odd mail to test with")
	}
	h := newHarness(t, Options{PlainLogin: true})
	p := h.selected(t, "alice", "INBOX")
	var in bytes.Buffer
	messages := 0
	eachNamed(t, filepath.Join(dir, "mime-torture.tar.xz"), func(name string, raw []byte) bool {
		h.deliver(t, "alice", "INBOX", string(raw))
		p.do(t, "NOOP")
		got := p.do(t, "FETCH * (ENVELOPE BODYSTRUCTURE)")
		in.WriteString(strings.ReplaceAll(name, " ", "_") + " " + base64.StdEncoding.EncodeToString(raw) + " " +
			base64.StdEncoding.EncodeToString([]byte(got[0])) + "\n")
		messages++
		return true
	})
	found := strings.Split(strings.TrimSpace(runClient(t, in.String(), python, "testdata/structure.py")), "\n")
	judged := judgements(t)
	for _, line := range found {
		place := placeOf(line)
		i := slices.IndexFunc(judged, func(j judgement) bool { return j.place == place })
		if i < 0 {
			t.Errorf("not judged: %s", line)
			continue
		}
		judged[i].met = true
	}
	reasons := map[string]int{}
	for _, j := range judged {
		if reasons[j.reason]++; !j.met {
			t.Errorf("judged, and does not occur: %s", j.place)
		}
	}
	t.Logf("proof: %d messages, %d differences judged: %v", messages, len(judged), reasons)
}

// judgement is a difference that was looked at.
type judgement struct {
	reason, place string
	met           bool
}

// placeOf is the part of a difference that names it: message, part and field.
func placeOf(line string) string {
	parts := strings.SplitN(line, ": ", 4)
	return strings.Join(parts[:min(3, len(parts))], ": ")
}

func judgements(t *testing.T) []judgement {
	t.Helper()
	b, err := os.ReadFile("testdata/structure.judged")
	if err != nil {
		t.Fatal(err)
	}
	var out []judgement
	reason := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "= "):
			reason = strings.TrimPrefix(line, "= ")
		case line != "" && !strings.HasPrefix(line, "#"):
			out = append(out, judgement{reason: reason, place: line})
		}
	}
	return out
}
