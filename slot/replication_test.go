package slot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"teraslot/replication"
)

// storeConfigs are a master and replicas, with certificates; the master comes last and
// learns the replicas' addresses when they run.
func storeConfig(t *testing.T, dir, name, role string, peers ...Peer) *Config {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "[replication]\nstore = \"s1\"\nrole = %q\ncert = %q\nkey = %q\nauthority = %q\n", role,
		filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"), filepath.Join(dir, "authority.crt"))
	if role == RoleReplica {
		b.WriteString("listen = \"127.0.0.1:0\"\n")
	}
	for _, p := range peers {
		fmt.Fprintf(&b, "[[replication.peers]]\nname = %q\naddress = %q\n", p.Name, p.Address)
	}
	return newConfig(t, b.String())
}

// startStore runs a master and two replicas.
func startStore(t *testing.T) (master, one, two *running) {
	t.Helper()
	dir := t.TempDir()
	if err := replication.WriteIdentities(dir, time.Now(), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	nowhere := Peer{"a", "127.0.0.1:1"}
	one = start(t, storeConfig(t, dir, "b", RoleReplica, nowhere), Options{})
	two = start(t, storeConfig(t, dir, "c", RoleReplica, nowhere), Options{})
	for _, r := range []*running{one, two} { // at the next start, too
		r.c.Replication.Listen = r.Addresses().Replication[0]
	}
	master = start(t, storeConfig(t, dir, "a", RoleMaster, Peer{"b", one.c.Replication.Listen}, Peer{"c", two.c.Replication.Listen}), Options{})
	return master, one, two
}

// replicate waits until the replicas have all of all users.
func (r *running) replicate(replica string) {
	r.t.Helper()
	err := r.client.Replicate(r.t.Context(), "sync", ReplicationRequest{Replica: replica}, func(x ReplicationResult) {
		if x.Error != "" {
			r.t.Errorf("%s: %s: %s", x.Replica, x.User, x.Error)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestStoreOfThree: what is delivered to the master is read and found on its replicas,
// which take no changes from anybody else; one that was away catches up.
func TestStoreOfThree(t *testing.T) {
	master, one, two := startStore(t)
	master.addUser("anna")
	if err := master.deliver("Subject: first\r\n\r\nthe word is elderberry\r\n", "anna"); err != nil {
		t.Fatal(err)
	}
	master.replicate("")
	for _, r := range []*running{one, two} {
		if n := r.hits("anna", "elderberry"); n != 1 {
			t.Errorf("a search on a replica found %d messages, want 1", n)
		}
		r.refusesChanges(t)
	}
	one.stop()
	if err := master.deliver("Subject: second\r\n\r\nthe word is damson\r\n", "anna"); err != nil {
		t.Fatal(err)
	}
	if err := master.client.Change(t.Context(), "rename", ChangeUser{Name: "anna", To: "anne"}); err != nil {
		t.Fatal(err)
	}
	master.replicate("c")
	again := start(t, one.c, Options{})
	master.replicate("b")
	for _, r := range []*running{again, two} {
		if n := r.hits("anne", "damson"); n != 1 {
			t.Errorf("a search on a replica found %d messages, want 1", n)
		}
	}
	found := 0
	err := master.client.Replicate(t.Context(), "verify", ReplicationRequest{Messages: true}, func(r ReplicationResult) {
		if r.Found != "" || r.Error != "" {
			t.Errorf("verify: %+v", r)
		}
		found++
	})
	if err != nil || found != 2 {
		t.Errorf("verify told of %d users and replicas, %v", found, err)
	}
	status, err := master.client.ReplicationStatus(t.Context())
	if err != nil || status.Role != RoleMaster || len(status.Replicas) != 2 {
		t.Errorf("status: %+v, %v", status, err)
	}
	if err := master.client.Change(t.Context(), "del", ChangeUser{Name: "anne"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		for _, r := range []*running{again, two} {
			if users, err := r.client.Users(t.Context()); err != nil || len(users) > 0 {
				return fmt.Errorf("users on a replica: %v, %v", users, err)
			}
		}
		return nil
	})
}

// eventually waits until what is asked for holds.
func eventually(t *testing.T, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// refusesChanges tries to change a replica in every way.
func (r *running) refusesChanges(t *testing.T) {
	t.Helper()
	c, err := r.login("anna", "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if len(data.PermanentFlags) != 0 {
		t.Errorf("permanent flags on a replica: %v", data.PermanentFlags)
	}
	appendTo := func() error {
		a := c.Append("INBOX", 5, nil)
		_, err := a.Write([]byte("a: b\n"))
		err2 := a.Close()
		_, err3 := a.Wait()
		return errors.Join(err, err2, err3)
	}
	uid := imap.UIDSetNum(1)
	for name, err := range map[string]error{
		"append":    appendTo(),
		"store":     c.Store(uid, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(),
		"copy":      waited(c.Copy(uid, "Trash")),
		"create":    c.Create("New", nil).Wait(),
		"delete":    c.Delete("Trash").Wait(),
		"rename":    c.Rename("Trash", "Bin", nil).Wait(),
		"subscribe": c.Subscribe("New").Wait(),
		"expunge":   c.Expunge().Close(),
	} {
		if err == nil {
			t.Errorf("%s was done on a replica", name)
		}
	}
	if err := r.deliver("Subject: x\r\n\r\nx\r\n", "anna"); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("a replica took a message: %v", err)
	}
	var remote *RemoteError
	if err := r.client.AddUser(t.Context(), AddUser{Name: "bert", Password: "secret"}); !errors.As(err, &remote) || remote.Status != http.StatusForbidden {
		t.Errorf("a replica made a user: %v", err)
	}
}

func waited(c *imapclient.CopyCommand) error {
	_, err := c.Wait()
	return err
}

// TestReplicationConfiguration: what cannot work is refused before anything is opened.
func TestReplicationConfiguration(t *testing.T) {
	for name, text := range map[string]string{
		"role":    "store = \"s\"\nrole = \"leader\"\n",
		"keys":    "store = \"s\"\n",
		"listen":  "store = \"s\"\ncert = \"a\"\nkey = \"b\"\nauthority = \"c\"\n[[replication.peers]]\nname = \"a\"\naddress = \"h:1\"\n",
		"peers":   "store = \"s\"\nrole = \"master\"\ncert = \"a\"\nkey = \"b\"\nauthority = \"c\"\n",
		"name":    "store = \"s\"\nrole = \"master\"\ncert = \"a\"\nkey = \"b\"\nauthority = \"c\"\n[[replication.peers]]\nname = \"../x\"\naddress = \"h:1\"\n",
		"address": "store = \"s\"\nrole = \"master\"\ncert = \"a\"\nkey = \"b\"\nauthority = \"c\"\n[[replication.peers]]\nname = \"a\"\naddress = \"h\"\n",
	} {
		_, err := Read(strings.NewReader("root = \".\"\n[replication]\n"+text), filepath.Join(t.TempDir(), "slot.toml"))
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
