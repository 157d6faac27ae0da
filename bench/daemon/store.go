package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"teraslot/replication"
)

// NewStore writes the configurations of a store of two slots below root, with more TOML
// before the tables of both. through is where the master is to reach the replica, given
// where that listens; nil: there.
func NewStore(tb TB, root, more string, through func(address string) string) (master, replica *Slot) {
	tb.Helper()
	keys := filepath.Join(root, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := replication.WriteIdentities(keys, time.Now(), "m", "r"); err != nil {
		tb.Fatal(err)
	}
	config := func(name, role, listen, peer, address string) string {
		return fmt.Sprintf("%s[replication]\nstore = \"test\"\nrole = %q\nlisten = %q\ncert = %q\nkey = %q\nauthority = %q\n"+
			"[[replication.peers]]\nname = %q\naddress = %q\n", more, role, listen, filepath.Join(keys, name+replication.CertSuffix),
			filepath.Join(keys, name+replication.KeySuffix), filepath.Join(keys, replication.AuthorityFile), peer, address)
	}
	listen := FreeAddress(tb)
	at := listen
	if through != nil {
		at = through(listen)
	}
	replica = New(tb, filepath.Join(root, "r"), config("r", "replica", listen, "m", "127.0.0.1:1"))
	return New(tb, filepath.Join(root, "m"), config("m", "master", "", "r", at)), replica
}
