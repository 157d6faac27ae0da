package mailstore

import (
	"fmt"
	"io"

	"teraslot/disk"
)

// A sync after a write that makes a file longer writes the file system's journal,
// too, and takes nearly twice as long as one after a write in place. So zeros are
// written ahead of the messages in a current pack: as much as has been appended to
// it since it was opened, so that a user of few messages does not occupy more than
// twice their room, and at most maxAhead. They go when the pack is closed; what a
// crash leaves of them is found by resume.

const (
	minAhead = 16 << 10
	maxAhead = 1 << 20
)

// zeros is what is written ahead at a time.
var zeros [64 << 10]byte

// reserve writes zeros behind what was just written, if that has used up those
// which were there. It is called before the sync of these bytes, which makes the
// size durable with them. An error is not the delivery's: without zeros it is slower.
func (w *packWriter) reserve() {
	if !w.ahead || w.at <= w.room {
		return
	}
	w.room = w.at
	goal := w.at + min(maxAhead, max(minAhead, w.at-w.began))
	for w.room < goal {
		n, err := w.file.WriteAt(zeros[:min(int64(len(zeros)), goal-w.room)], w.room)
		w.room += int64(n)
		if err != nil {
			return
		}
	}
}

// giveBack cuts the zeros of a pack that gets no more messages, or is closed. It
// is not synced: if they come back after a power cut, they do no harm.
func (w *packWriter) giveBack() error {
	if !w.ahead || w.broken || w.room <= w.end {
		return nil
	}
	if err := w.file.Truncate(w.end); err != nil {
		return fmt.Errorf("pack %d: %w", w.n, err)
	}
	w.room = w.end
	return nil
}

// onlyZeros reports whether a file has nothing but zeros from a position to its
// size, and no more of them than reserve leaves.
func onlyZeros(f disk.File, from, size int64) (bool, error) {
	if size-from > maxAhead+int64(len(zeros)) {
		return false, nil
	}
	b := make([]byte, size-from)
	if _, err := f.ReadAt(b, from); err != nil && err != io.EOF {
		return false, err
	}
	for _, c := range b {
		if c != 0 {
			return false, nil
		}
	}
	return true, nil
}
