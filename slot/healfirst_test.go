package slot

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
	"teraslot/mailstore"
	"teraslot/replication"
)

// spoilMessage changes an octet of a message in a user's packs.
func (r *running) spoilMessage(u mailbox.User, word string) {
	r.t.Helper()
	packs, err := filepath.Glob(filepath.Join(r.c.Spool, u.Dir(), "*.pack"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range packs {
		b, err := os.ReadFile(p)
		if err != nil {
			r.t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(word)); i >= 0 {
			b[i] ^= 0x40
			if err := os.WriteFile(p, b, 0o600); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
	r.t.Fatalf("%q is in no pack", word)
}

// spoilRecord takes from a record all by which it could be mended from its pack.
func (r *running) spoilRecord(u mailbox.User, uid mailbox.UID) {
	r.t.Helper()
	spoil(r.t, filepath.Join(r.c.Conf, u.Dir(), "mail.db"), fmt.Sprintf(`UPDATE message SET fixed = zeroblob(length(fixed)) WHERE id & 0xFFFFFFFF = %d`, uid))
}

// digest is that of a user's mail.
func (r *running) digest(u mailbox.User) mailstore.Digest {
	r.t.Helper()
	m, err := r.store.Acquire(r.t.Context(), u)
	if err != nil {
		r.t.Fatal(err)
	}
	defer m.Release()
	image, err := m.Image(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return image.Digest()
}

// repaired is what a repair of anna's mail says, and its error.
func (r *running) repaired(alone bool) (said, failed string) {
	r.t.Helper()
	err := r.client.Repair(r.t.Context(), RepairRequest{Users: []string{"anna"}, Alone: alone}, func(j JobResult) {
		said += j.Did + "\n"
		failed += j.Error
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return said, failed
}

// TestRepairTakesFromTheStore: what a slot has lost comes from another one, on the master and on a replica,
// and no client can tell; it is given up only where somebody says so.
func TestRepairTakesFromTheStore(t *testing.T) {
	dir := t.TempDir()
	if err := replication.WriteIdentities(dir, time.Now(), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	nowhere := func(name string) Peer { return Peer{name, "127.0.0.1:1"} }
	one := start(t, storeConfig(t, dir, "b", RoleReplica, nowhere("a"), nowhere("c")), Options{})
	two := start(t, storeConfig(t, dir, "c", RoleReplica, nowhere("a"), Peer{"b", one.Addresses().Replication[0]}), Options{})
	master := start(t, storeConfig(t, dir, "a", RoleMaster, Peer{"b", one.Addresses().Replication[0]}, Peer{"c", two.Addresses().Replication[0]}), Options{})
	master.addUser("anna")
	a, err := master.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	u := a.ID
	for _, word := range []string{"first", "second", "third"} {
		if err := master.deliver("Subject: "+word+"\r\n\r\nthe mark of the "+word+"\r\n", "anna@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	master.replicate("")
	before := master.digest(u)

	master.spoilMessage(u, "mark of the first")
	master.spoilRecord(u, 1)
	if said, failed := master.repaired(false); failed != "" || !strings.Contains(said, "was damaged and is slot b's now") {
		t.Errorf("the master's repair: %s%s", said, failed)
	}
	two.spoilMessage(u, "mark of the second")
	two.spoilRecord(u, 2)
	if said, failed := two.repaired(false); failed != "" || !strings.Contains(said, "was damaged and is slot b's now") {
		t.Errorf("the replica's repair: %s%s", said, failed)
	}
	for name, r := range map[string]*running{"master": master, "replica": two} {
		if r.digest(u) != before {
			t.Errorf("a client can tell the %s's repair", name)
		}
	}

	one.stop()
	two.stop()
	master.spoilMessage(u, "mark of the third")
	master.spoilRecord(u, 3)
	if said, failed := master.repaired(false); !strings.Contains(failed, "--alone") || master.digest(u) != before {
		t.Errorf("with nobody there to ask: %s%s", said, failed)
	}
	if _, failed := master.repaired(true); failed != "" || master.digest(u) == before {
		t.Errorf("alone, the record is kept: %s", failed)
	}
}
