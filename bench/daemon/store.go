package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"teraslot/replication"
)

// Replica is what NewStore is told of a replica.
type Replica struct {
	Place Place
	// Through is where the master is to reach the replica, given where that listens; nil: there.
	Through func(address string) string
}

// NewStore writes the configurations of the slots of a store below root, in directories
// of the names m, r0, r1 …, with more TOML before the tables of each.
func NewStore(tb TB, root, more string, at Place, others ...Replica) (master *Slot, replicas []*Slot) {
	tb.Helper()
	keys := filepath.Join(root, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		tb.Fatal(err)
	}
	names := []string{"m"}
	for i := range others {
		names = append(names, fmt.Sprintf("r%d", i))
	}
	if err := replication.WriteIdentities(keys, time.Now(), names...); err != nil {
		tb.Fatal(err)
	}
	config := func(name, role, listen, peers string) string {
		return fmt.Sprintf("%s[replication]\nstore = \"test\"\nrole = %q\nlisten = %q\ncert = %q\nkey = %q\nauthority = %q\n%s", more, role, listen,
			filepath.Join(keys, name+replication.CertSuffix), filepath.Join(keys, name+replication.KeySuffix), filepath.Join(keys, replication.AuthorityFile), peers)
	}
	const peer = "[[replication.peers]]\nname = %q\naddress = %q\n"
	var peers strings.Builder
	for i := range others {
		o, name := &others[i], names[1+i]
		listen := o.Place.address(tb)
		replicas = append(replicas, NewAt(tb, o.Place, filepath.Join(root, name), config(name, "replica", listen, fmt.Sprintf(peer, "m", "127.0.0.1:1"))))
		if o.Through != nil {
			listen = o.Through(listen)
		}
		fmt.Fprintf(&peers, peer, name, listen)
	}
	return NewAt(tb, at, filepath.Join(root, "m"), config("m", "master", "", peers.String())), replicas
}
