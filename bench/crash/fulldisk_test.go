package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"teraslot/bench/daemon"
)

// TestFullDisk fills a small file system by deliveries and by APPEND: the
// clients are told to try again, what was acknowledged is there, and once there
// is room mail is taken again.
func TestFullDisk(t *testing.T) {
	root := filepath.Join(t.TempDir(), "slot")
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small tmpfs cannot be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	slot := daemon.New(t, root, "[squatter]\noff = true\n")
	t.Cleanup(slot.Kill) // before the unmount
	slot.AddUser(t, "anna", password)
	ballast := filepath.Join(root, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	slot.Start(t)

	acked := fill(t, slot)
	c, err := slot.DialIMAP("anna", password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	big := message("appended", 49)
	cmd := c.Append("INBOX", int64(len(big)), nil)
	cmd.Write(big)
	cmd.Close()
	if _, err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "NO") && !isNo(err) {
		t.Errorf("APPEND on a full disk: %v, want NO", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	d, err := daemon.DialLMTP(slot.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Deliver("anna@example.org", message("afterwards", 1)); err != nil {
		t.Errorf("delivery with room again: %v", err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if int(box.NumMessages) != acked+1 {
		t.Errorf("%d messages, %d were acknowledged", box.NumMessages, acked+1)
	}
	c.Close()
	slot.Stop(t)
	if out, err := slot.Run(context.Background(), t, "", "slotctl", "--config", slot.Config, "verify", "anna"); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	t.Logf("proof: the disk was full after %d deliveries; all are there, and mail is taken again", acked)
}

func isNo(err error) bool {
	e, ok := err.(*imap.Error)
	return ok && e.Type == imap.StatusResponseTypeNo
}

// fill delivers until the disk is full and returns how many messages were
// acknowledged. The refusal must be a temporary one.
func fill(t *testing.T, slot *daemon.Slot) int {
	t.Helper()
	d, err := daemon.DialLMTP(slot.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for n := range 10_000 {
		err := d.Deliver("anna@example.org", message(fmt.Sprintf("full%dq", n), 49))
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), `"45`) && !strings.Contains(err.Error(), `"43`) {
			t.Errorf("on a full disk: %v, want a temporary failure", err)
		}
		return n
	}
	t.Fatal("the disk never was full")
	return 0
}
