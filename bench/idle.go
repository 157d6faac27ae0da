package main

import (
	"fmt"
	"path/filepath"
	"time"

	"teraslot/bench/idle"
)

// idleSessions measures the memory of sessions that wait: 1,000, or N of them.
func idleSessions(b *bench) {
	n := 1000
	if b.o.count > 0 {
		n = b.o.count
	}
	r := idle.Run(b, filepath.Join(b.TempDir(), "slot"), n, 12*time.Second)
	b.table.note("%d sessions under TLS, a user each; told: %d, in %.1f s; %d databases open", n, r.Told, r.Telling.Seconds(), r.Databases)
	for _, m := range []struct {
		what   string
		bytes  int64
		wanted string
	}{{"none", r.Empty, ""}, {"idle", r.Idle, "100 MB"}, {"after each was told", r.After, ""}} {
		b.table.row("resident memory of the server, sessions "+m.what, figure{ours: fmt.Sprintf("%.1f MB", mb(m.bytes)), wanted: m.wanted})
	}
	b.table.row("a session", figure{ours: fmt.Sprintf("%.1f kB", float64(r.Idle-r.Empty)/1000/float64(n))})
}
