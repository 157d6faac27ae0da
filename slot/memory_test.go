package slot

import (
	"runtime"
	"testing"
)

func TestMemoryWatch(t *testing.T) {
	const much = 1 << 30
	var w memoryWatch
	for i, look := range []struct {
		collections, heap uint64
		due               bool
	}{
		{1, much, false}, {5, much, false}, // busy
		{5, 1 << 20, false}, // quiet, with little to give
		{5, much, true},
		{6, much, false}, {6, much, false}, // given back: nothing came since
		{7, much, false}, {7, much, true}, // the next burst
	} {
		due := w.due(look.collections, look.heap)
		if due {
			w.given = look.collections + 1 // by the collection that gives back
		}
		if due != look.due {
			t.Errorf("look %d: due is %v", i, due)
		}
	}
}

// TestMemoryGivenBack: what a burst left is gone from the heap after two looks.
func TestMemoryGivenBack(t *testing.T) {
	burst := make([][]byte, 64)
	for i := range burst {
		burst[i] = make([]byte, 1<<20)
	}
	runtime.GC()
	_, before := memoryUse()
	runtime.KeepAlive(burst)
	var w memoryWatch
	w.look()
	w.look()
	if _, after := memoryUse(); before < 64<<20 || after > before-48<<20 {
		t.Errorf("the heap held %d bytes in a burst of 64 MiB and %d after it", before, after)
	}
}
