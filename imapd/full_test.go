package imapd

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"teraslot/disk"
)

// A full disk is a temporary failure, and nothing is stored by half.
func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	o := Options{PlainLogin: true}
	h := openSlotOn(t, &o, disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if full.Load() && op == disk.OpWrite && strings.HasSuffix(name, ".pack") {
			return syscall.ENOSPC
		}
		return nil
	}}), nil)
	h.srv = New(o)
	h.serve(t, false)
	t.Cleanup(func() { h.close(t) })
	p := h.selected(t, "alice", "INBOX")
	full.Store(true)
	if _, completion := p.run(t, "APPEND INBOX {9+}\r\nSubject:\n"); !strings.HasPrefix(completion, "NO [UNAVAILABLE] ") {
		t.Errorf("APPEND on a full disk: %s", completion)
	}
	full.Store(false)
	if got := p.do(t, "APPEND INBOX {9+}\r\nSubject:\n"); len(got) != 2 || got[0] != "* 1 EXISTS" {
		t.Errorf("after room was made: %q", got)
	}
}
