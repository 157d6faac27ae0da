package mailstore

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"teraslot/disk"
)

// packSize is the size of the file of pack 1 in the user's directory.
func packSize(t *testing.T, d *packDir) int64 {
	t.Helper()
	info, err := d.fs.Stat(d.path(spoolPlace, 1))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// appendOne appends and commits one message.
func appendOne(t *testing.T, w *packWriter, body string) {
	t.Helper()
	if _, err := w.append(frameOf(body), source{memory: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	if err := w.sync(func(string) {}); err != nil {
		t.Fatal(err)
	}
	w.commit()
}

// TestAhead: a pack that is appended to seldom grows, never by more than its bound,
// and has its own size when it is closed.
func TestAhead(t *testing.T) {
	d := packsOn(t, disk.NewMemory())
	w, err := d.create(spoolPlace, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.ahead = true
	grown, last := 0, int64(0)
	for range 600 {
		appendOne(t, w, strings.Repeat("x", 5000))
		size := packSize(t, d)
		if size != w.room || size < w.end {
			t.Fatalf("the file has %d bytes, %d of them of messages; room is %d", size, w.end, w.room)
		}
		if most := max(minAhead, min(maxAhead, w.end)); size-w.end > most {
			t.Fatalf("%d zeros behind %d bytes", size-w.end, w.end)
		}
		if size != last {
			grown++
		}
		last = size
	}
	if grown > 20 {
		t.Errorf("the file grew %d times in 600 deliveries", grown)
	}
	end := w.end
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if size := packSize(t, d); size != end {
		t.Errorf("closed, the pack has %d bytes of %d", size, end)
	}
}

// TestAheadAfterCrash: zeros are taken over, all else is cut.
func TestAheadAfterCrash(t *testing.T) {
	for name, tc := range map[string]struct {
		tail string
		cut  bool
	}{
		"none":             {"", false},
		"zeros":            {strings.Repeat("\x00", maxAhead), false},
		"too many zeros":   {strings.Repeat("\x00", 2*maxAhead), true},
		"torn":             {strings.Repeat("\x00", 5000) + "torn" + strings.Repeat("\x00", 5000), true},
		"torn at the end":  {strings.Repeat("\x00", 5000) + "t", true},
		"torn at the head": {"t" + strings.Repeat("\x00", 5000), true},
	} {
		memory := disk.NewMemory()
		d := packsOn(t, memory)
		w, err := d.create(spoolPlace, 1)
		if err != nil {
			t.Fatal(err)
		}
		appendOne(t, w, "first")
		end := w.end
		if _, err := w.file.WriteAt([]byte(tc.tail), end); err != nil {
			t.Fatal(err)
		}
		again, cut, err := d.resume(spoolPlace, 1, end)
		if err != nil {
			t.Fatal(err)
		}
		want := end
		if !tc.cut {
			want += int64(len(tc.tail))
		}
		if size := packSize(t, d); size != want || again.room != want || (cut > 0) != tc.cut {
			t.Errorf("%s: %d bytes, room %d, cut %d; want %d", name, size, again.room, cut, want)
		}
		again.ahead = true
		appendOne(t, again, "second")
		l := &ledger{}
		l.held = []kept{{1, packHeaderSize, "first"}, {1, end, "second"}}
		l.check(t, d)
		if err := errors.Join(again.close(), w.file.Close()); err != nil {
			t.Error(err)
		}
	}
}

// full is a file on a disk that takes no more zeros.
type full struct {
	disk.File
	refused int
}

func (f *full) WriteAt(p []byte, at int64) (int, error) {
	if len(bytes.Trim(p, "\x00")) == 0 {
		f.refused++
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(p, at)
}

// TestAheadWithoutRoom: a disk that has room for the message and not for zeros
// takes the message.
func TestAheadWithoutRoom(t *testing.T) {
	d := packsOn(t, disk.NewMemory())
	w, err := d.create(spoolPlace, 1)
	if err != nil {
		t.Fatal(err)
	}
	f := &full{File: w.file}
	w.ahead, w.file = true, f
	l := &ledger{}
	for _, body := range []string{"one", "two", "three"} {
		l.held = append(l.held, kept{1, w.end, body})
		appendOne(t, w, body)
	}
	l.check(t, d)
	if f.refused != 3 {
		t.Errorf("zeros were refused %d times in 3 deliveries", f.refused)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

// TestAheadLeavesBroken: what may be referred to is not cut.
func TestAheadLeavesBroken(t *testing.T) {
	d := packsOn(t, disk.NewMemory())
	w, err := d.create(spoolPlace, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.ahead = true
	appendOne(t, w, "committed")
	start, err := w.append(frameOf("unknown"), source{memory: []byte("unknown")})
	if err == nil {
		err = w.sync(func(string) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.broken = true
	w.rollback()
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	l := &ledger{held: []kept{{1, start, "unknown"}}}
	l.check(t, d)
}
