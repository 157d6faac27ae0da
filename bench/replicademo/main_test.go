package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"testing"

	"teraslot/bench/daemon"
)

// TestDemo runs the demo by the files in docs/examples, on free ports.
func TestDemo(t *testing.T) {
	defer daemon.Clean()
	bin := filepath.Dir(daemon.Bin(t, "imapd"))
	if other := filepath.Dir(daemon.Bin(t, "slotctl")); other != bin {
		t.Fatalf("commands in %s and %s", bin, other)
	}
	var out bytes.Buffer
	d := &demo{bin: bin, examples: "../../docs/examples", root: filepath.Join(t.TempDir(), "store"), free: true, out: &out}
	if err := run(t.Context(), d, true); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{`b has all 50 messages, and finds`, `c has all 50 messages`, `c lets nobody change it`, `b is started again`, `\| equal`} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no match for %s in\n%s", want, &out)
		}
	}
}
