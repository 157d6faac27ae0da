package slot

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryWatch gives memory back to the machine when a burst is over. What logins
// (19 MB each, for the password's hash), searches and deliveries leave behind, the
// runtime keeps for the next burst; with forty slots on a machine that adds up.
type memoryWatch struct {
	seen  uint64 // collections up to the last look
	given uint64 // collections up to when memory was given back last
}

const (
	// memoryLook is how often the watch looks: so long nothing may have been collected.
	memoryLook = 5 * time.Second
	// memorySpare is a heap in bytes that is left as it is.
	memorySpare = 8 << 20
)

func (w *memoryWatch) run(ctx context.Context) error {
	tick := time.NewTicker(memoryLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.look()
		}
	}
}

// look gives back what it can if the process is quiet.
func (w *memoryWatch) look() {
	if w.due(memoryUse()) {
		debug.FreeOSMemory()
		w.given, _ = memoryUse()
	}
}

// due reports whether a burst, in which memory was collected, is over. There is one
// collection more for it at most.
func (w *memoryWatch) due(collections, heap uint64) bool {
	quiet := collections == w.seen
	w.seen = collections
	return quiet && collections > w.given && heap > memorySpare
}

// memoryUse tells how many collections there were since the start, and how many bytes
// the heap holds.
func memoryUse() (collections, heap uint64) {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64(), s[1].Value.Uint64() + s[2].Value.Uint64() + s[3].Value.Uint64()
}
