package main

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"teraslot/bench/idle"
)

// idleSessions measures the memory of sessions that wait: 1,000, or N of them.
func idleSessions(b *bench) {
	n := 1000
	if text := os.Getenv("N"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		b.must(err)
	}
	r := idle.Run(b, filepath.Join(b.TempDir(), "slot"), n, 12*time.Second)
	row("sessions that idle under TLS, a user each", "%d, all told: %v, in %.1f s", n, r.Told == n, r.Telling.Seconds())
	row("resident memory of the server: none, idle, after", "%.1f MB, %.1f MB, %.1f MB", mb(r.Empty), mb(r.Idle), mb(r.After))
	row("a session", "%.1f kB; %d databases open", float64(r.Idle-r.Empty)/1000/float64(n), r.Databases)
}
