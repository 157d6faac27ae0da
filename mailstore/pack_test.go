package mailstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"hash/crc32"

	"teraslot/disk"
	"teraslot/mailbox"
)

// ledger stands for mail.db: what of the packs was committed.
type ledger struct {
	end  map[uint64]int64
	held []kept
	last uint64 // the current pack; 0 for none
}

type kept struct {
	pack  uint64
	start int64
	body  string
}

func (l *ledger) clone() ledger {
	next := ledger{end: map[uint64]int64{}, last: l.last, held: append([]kept(nil), l.held...)}
	for n, e := range l.end {
		next.end[n] = e
	}
	return next
}

func packsOn(t testing.TB, fs disk.FS) *packDir {
	t.Helper()
	d := &packDir{fs: fs, user: user1, ask: Options{Spool: "/spool", Archive: "/archive"}.rootsOf}
	d.make = func(p place) error { return disk.MkdirAll(fs, d.dir(p), 0o700) }
	if _, err := d.settle(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/spool", "/archive"} {
		if err := disk.MkdirAll(fs, dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func frameOf(body string) frame {
	return frame{Length: int64(len(body)), GUID: mailbox.GUIDOf([]byte(body)), UID: 7, UIDValidity: 8,
		Mailbox: "00112233445566778899aabb", Internal: mailbox.Date{Unix: -5, Zone: -120}, CRC: crc32.Checksum([]byte(body), castagnoli)}
}

func (l *ledger) check(t testing.TB, d *packDir) {
	t.Helper()
	for _, k := range l.held {
		c, err := d.read(spoolPlace, k.pack, k.start, mailbox.GUIDOf([]byte(k.body)), int64(len(k.body)))
		if err != nil {
			t.Fatalf("pack %d at %d: %v", k.pack, k.start, err)
		}
		var b strings.Builder
		_, err = c.WriteTo(&b)
		if err = errors.Join(err, c.Close()); err != nil || b.String() != k.body {
			t.Fatalf("pack %d at %d holds other bytes: %v", k.pack, k.start, err)
		}
	}
}

// TestPackPowerCut cuts the power at every step of random batches. What was
// committed must be there afterwards, and the pack must go on.
func TestPackPowerCut(t *testing.T) {
	for seed := range uint64(rounds(25)) {
		r := rand.New(rand.NewPCG(seed, 1))
		memory := disk.NewMemory()
		l := &ledger{end: map[uint64]int64{}}
		for round := range 4 {
			d := packsOn(t, memory)
			l.check(t, d)
			runBatches(t, r, memory, d, l)
			if t.Failed() {
				t.Fatalf("seed %d, round %d", seed, round)
			}
			memory.Crash(r.Uint64())
		}
		l.check(t, packsOn(t, memory))
	}
}

// runBatches appends a few batches as the committer does. At each step it looks
// at what a power cut right then would leave.
func runBatches(t *testing.T, r *rand.Rand, memory *disk.Memory, d *packDir, l *ledger) {
	t.Helper()
	cut := func(string) {
		after := packsOn(t, memory.Crashed(r.Uint64()))
		l.check(t, after)
		if n := l.last; n != 0 && l.end[n] > 0 {
			w, _, err := after.resume(spoolPlace, n, l.end[n])
			if err != nil {
				t.Fatal(err)
			}
			if err := w.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := continuePack(t, d, l)
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	for range 1 + r.IntN(4) {
		next := l.clone()
		for range 1 + r.IntN(5) {
			body := fmt.Sprintf("%d %s", r.Uint64(), strings.Repeat("x", r.IntN(3000)))
			start, err := w.append(frameOf(body), source{memory: []byte(body)})
			if err != nil {
				t.Fatal(err)
			}
			next.held = append(next.held, kept{w.n, start, body})
		}
		cut("appended")
		if r.IntN(4) == 0 {
			w.rollback() // the transaction failed
			continue
		}
		if err := w.sync(cut); err != nil {
			t.Fatal(err)
		}
		w.commit()
		next.end[w.n] = w.end
		*l = next
		cut("committed")
	}
}

func continuePack(t *testing.T, d *packDir, l *ledger) *packWriter {
	t.Helper()
	if n := l.last; n != 0 && l.end[n] > 0 {
		w, _, err := d.resume(spoolPlace, n, l.end[n])
		if err != nil {
			t.Fatal(err)
		}
		w.ahead = true
		return w
	}
	if l.last == 0 {
		l.last = 1
	}
	w, err := d.create(spoolPlace, l.last)
	if err != nil {
		t.Fatal(err)
	}
	w.ahead = true
	return w
}

// TestPackFaults makes each write and sync fail in turn: nothing that was
// committed may change, and after a failed sync the pack takes nothing more.
func TestPackFaults(t *testing.T) {
	failure := errors.New("injected")
	for _, op := range []disk.Op{disk.OpWrite, disk.OpSync, disk.OpSyncDir} {
		for at := 1; at <= 4; at++ {
			memory := disk.NewMemory()
			packsOn(t, memory)
			d := packsOn(t, memory)
			if err := disk.MkdirAll(memory, d.dir(spoolPlace), 0o700); err != nil {
				t.Fatal(err)
			}
			d.fs = disk.WithFaults(memory, disk.Faults{Fail: disk.FailAt(at, failure, op)})
			l := &ledger{end: map[uint64]int64{}}
			w, err := d.create(spoolPlace, 1)
			if errors.Is(err, failure) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			w.ahead = true
			for i := range 6 {
				body := fmt.Sprint("message ", i)
				start, err := w.append(frameOf(body), source{memory: []byte(body)})
				if err == nil {
					err = w.sync(func(string) {})
				}
				if err != nil && !errors.Is(err, failure) {
					t.Fatal(err)
				}
				if err != nil {
					if w.broken != (op != disk.OpWrite) {
						t.Errorf("%v: broken is %v", op, w.broken)
					}
					w.rollback()
					if w.broken {
						break
					}
					continue
				}
				w.commit()
				l.held = append(l.held, kept{1, start, body})
			}
			l.check(t, d)
			if err := w.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestResumeRefuses lists packs that must not be written to, and are left as they are.
func TestResumeRefuses(t *testing.T) {
	head := appendPackHeader(nil, 1, user1)
	whole := append(bytes.Clone(head), "0123456789"...)
	end := int64(len(whole))
	other := appendPackHeader(nil, 2, user1)
	foreign := appendPackHeader(nil, 1, "ffffffffffffffffffffffffffffffff")
	newer := bytes.Clone(head)
	newer[4] = 9
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"empty":           {nil, io.EOF},
		"shorter":         {whole[:end-1], errPack},
		"another number":  {append(other, whole[packHeaderSize:]...), errPack},
		"another user":    {append(foreign, whole[packHeaderSize:]...), errPack},
		"another version": {append(newer, whole[packHeaderSize:]...), ErrVersion},
	} {
		memory := disk.NewMemory()
		d := packsOn(t, memory)
		if err := disk.MkdirAll(memory, d.dir(spoolPlace), 0o700); err != nil {
			t.Fatal(err)
		}
		path := d.path(spoolPlace, 1)
		if err := disk.WriteSynced(memory, path, 0o600, func(w io.Writer) error { _, err := w.Write(tc.data); return err }); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.resume(spoolPlace, 1, end); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if got, err := disk.ReadFile(memory, path); err != nil || !bytes.Equal(got, tc.data) {
			t.Errorf("%s: the pack was changed: %v", name, err)
		}
	}
}

// TestContentReads holds ReadAt of small and large messages against bytes.Reader.
func TestContentReads(t *testing.T) {
	d := packsOn(t, disk.NewMemory())
	w, err := d.create(spoolPlace, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, size := range []int{0, 1, 1000, inMemory, inMemory + 1, 3 << 20} {
		body := strings.Repeat("0123456789abcdef!", size/17+1)[:size]
		start, err := w.append(frameOf(body), source{reader: strings.NewReader(body)})
		if err == nil {
			err = w.sync(func(string) {})
		}
		if err != nil {
			t.Fatal(err)
		}
		w.commit()
		c, err := d.read(spoolPlace, 1, start, mailbox.GUIDOf([]byte(body)), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReader(body)
		for _, off := range []int64{-1, 0, 1, int64(size) / 2, int64(size) - 1, int64(size), int64(size) + 1} {
			for _, n := range []int{0, 1, 10, size + 1} {
				a, b := make([]byte, n), make([]byte, n)
				na, erra := c.ReadAt(a, off)
				nb, errb := want.ReadAt(b, off)
				if na != nb || (erra == nil) != (errb == nil) || !bytes.Equal(a, b) {
					t.Errorf("size %d: ReadAt(%d, %d) = %d, %v; want %d, %v", size, n, off, na, erra, nb, errb)
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	one := frameOf("a message")
	f.Add(one.append(nil))
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFrame(b)
		if err != nil {
			return
		}
		if again := got.append(nil); !bytes.Equal(again[:5], b[:5]) || !bytes.Equal(again[6:80], b[6:80]) {
			t.Errorf("%x reads as %+v, which writes %x", b[:frameHeaderSize], got, again)
		}
	})
}

func FuzzParseFixed(f *testing.F) {
	f.Add(appendFixed(nil, &mailbox.Record{Num: 3, Size: 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r mailbox.Record
		if parseFixed(b, &r) && !bytes.Equal(appendFixed(nil, &r), b) {
			t.Errorf("%x reads as %+v", b, r)
		}
	})
}

// TestFormats holds the bytes of docs/formats.md still.
func TestFormats(t *testing.T) {
	f := frameOf("x")
	r := mailbox.Record{UID: 1, Num: 2, GUID: mailbox.GUIDOf([]byte("x")), Size: 1, ModSeq: 3, CreatedModSeq: 3,
		Flags: mailbox.MakeFlags(`\Seen`, "a"), InternalDate: mailbox.Date{Unix: 4, Zone: -60}, SentDate: mailbox.Date{Unix: 5, Zone: 60}, SaveDate: 6}
	c := content{num: 2, guid: r.GUID, size: 1, pack: 7, start: 48}
	got := fmt.Sprintf("pack %x\nframe %x\nfixed %x\nrecord CRC %08x\ncontent CRC %08x\nstructure CRC %08x\n",
		appendPackHeader(nil, 1, user1), f.append(nil), appendFixed(nil, &r), recordCRC(9, &r, appendFixed(nil, &r)), c.crc(), structureCRC(2, []byte("abc")))
	const golden = "testdata/formats.golden"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("a format has changed without a new version:\n%s\nwas\n%s", got, want)
	}
}

// TestIdleBuffer keeps a small buffer only, after a batch of large messages and
// after one that failed.
func TestIdleBuffer(t *testing.T) {
	fail := false
	s, m := newStore(t, Options{Conf: memoryDir(t), Fence: func(context.Context, mailbox.User) error {
		if fail {
			return ErrReadOnly
		}
		return nil
	}})
	id := named(t, m, Inbox).ID
	for range 2 {
		var items []Append
		for n := range 4 {
			items = append(items, Append{Mailbox: id, Message: spool(t, s, sized(n, 200_000))})
		}
		if _, err := m.Append(t.Context(), "", items...); (err != nil) != fail {
			t.Fatal(err)
		}
		if got := cap(m.current[spoolPlace].buf); got > idleBuffer {
			t.Errorf("a buffer of %d bytes is kept, batch failed: %v", got, fail)
		}
		fail = true
	}
	fail = false
}
