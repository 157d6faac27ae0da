package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"teraslot/bench/behind"
	"teraslot/bench/daemon"
)

func TestMain(m *testing.M) {
	code := m.Run()
	daemon.Clean()
	os.Exit(code)
}

// TestScripts runs testdata/script: the commands as users meet them. Each
// script has a slot below its own directory, with slot.toml written for it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			bin := filepath.Dir(daemon.Bin(t, "slotctl"))
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			imap, lmtp := daemon.FreeAddress(t), daemon.FreeAddress(t)
			e.Setenv("LMTP", lmtp)
			e.Setenv("IMAP", imap)
			config := fmt.Sprintf("name = \"test\"\nroot = \"data\"\n[tiers]\ntemp = \"data/temp\"\n[imap]\nlisten = [%q]\nlisten_tls = []\n[lmtp]\nlisten = [%q]\n", imap, lmtp)
			return os.WriteFile(filepath.Join(e.WorkDir, "slot.toml"), []byte(config), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":     await,
			"terminate": terminate,
			"perms":     perms,
			"lose":      lose,
			"spoil":     spoil,
			"store":     func(ts *testscript.TestScript, _ bool, _ []string) { makeStore(t, ts) },
		},
	})
}

// makeStore makes slot.toml that of a store's master, and replica.toml that of its replica.
func makeStore(t *testing.T, ts *testscript.TestScript) {
	address := daemon.FreeAddress(t)
	master, err := os.ReadFile(ts.MkAbs("slot.toml"))
	ts.Check(err)
	keys := func(name, role, peer, at string) string {
		return fmt.Sprintf("[replication]\nstore = \"s1\"\nrole = %q\ncert = \"keys/%s.crt\"\nkey = \"keys/%[2]s.key\"\nauthority = \"keys/authority.crt\"\n"+
			"listen = %q\n[[replication.peers]]\nname = %q\naddress = %q\n", role, name, at, peer, address)
	}
	a := string(master) + keys("a", "master", "b", "127.0.0.1:0")
	b := fmt.Sprintf("name = \"b\"\nroot = \"there\"\n[tiers]\ntemp = \"there/temp\"\n[imap]\nlisten = [%q]\nlisten_tls = []\n[lmtp]\nlisten = []\n",
		daemon.FreeAddress(t)) + keys("b", "replica", "a", address)
	ts.Check(os.WriteFile(ts.MkAbs("slot.toml"), []byte(a), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("replica.toml"), []byte(b), 0o600))
}

// await waits until the daemon below a root, data if none is named, answers on its admin socket, the last it opens.
func await(ts *testscript.TestScript, _ bool, args []string) {
	root := "data"
	if len(args) > 0 {
		root = args[0]
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		c, err := net.Dial("unix", ts.MkAbs(root+"/conf/admin.sock"))
		if err == nil {
			ts.Check(c.Close())
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("the daemon does not answer: %v", err)
		}
	}
}

// terminate sends SIGTERM to the commands in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// lose removes the files of that name of every user, below any root.
func lose(ts *testscript.TestScript, _ bool, args []string) {
	found := 0
	for _, root := range []string{"conf", "spool", "archive"} {
		names, err := filepath.Glob(filepath.Join(ts.MkAbs("data"), root, "users", "*", "*", args[0]))
		ts.Check(err)
		for _, name := range names {
			ts.Check(os.Remove(name))
			found++
		}
	}
	if found == 0 {
		ts.Fatalf("there is no %s", args[0])
	}
}

// spoil runs a statement on slot.db of which no CRC knows.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(behind.Exec(ts.MkAbs("data/conf/slot.db"), args[0]))
}

// perms compares the permissions of a file: perms FILE 0600.
func perms(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != strings.TrimSpace(args[1]) {
		ts.Fatalf("%s is %s, not %s", args[0], got, args[1])
	}
}
