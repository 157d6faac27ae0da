package mailstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/disk"
	"teraslot/mailbox"
)

// sizeOfPacks is the number of bytes in packs below a root, without zeros ahead.
func sizeOfPacks(t *testing.T, root string) int64 {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, user1.Dir(), "*"+packSuffix))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		sum += int64(len(bytes.TrimRight(b, "\x00")))
	}
	return sum
}

// TestRepack frees what is not held, only after Forget, and under open messages.
func TestRepack(t *testing.T) {
	o := Options{Conf: t.TempDir(), PackSize: 30_000}
	s, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	var recs []mailbox.Record
	for n := range 60 {
		recs = append(recs, appendText(t, m, id, sized(n, 2000)))
	}
	before := sizeOfPacks(t, o.Conf)
	if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDRange(1, 50), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	repack := func() Repacked {
		t.Helper()
		got, err := m.Repack(t.Context(), RepackOptions{})
		if err != nil {
			t.Fatal(err)
		}
		verify(t, s, user1)
		return got
	}
	if got := repack(); got.Packs != 0 {
		t.Errorf("a repack took bytes of retained records: %+v", got)
	}
	open, err := m.Open(t.Context(), id, recs[55])
	if err != nil {
		t.Fatal(err)
	}
	if n, err := m.Forget(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 50 {
		t.Fatalf("forgot %d: %v", n, err)
	}
	got := repack()
	after := sizeOfPacks(t, o.Conf)
	if before-after != got.Bytes || after > before/4 {
		t.Errorf("%d bytes before, %d after, %d said to be free", before, after, got.Bytes)
	}
	if b, err := io.ReadAll(io.NewSectionReader(open, 0, open.Size)); err != nil || string(b) != sized(55, 2000) {
		t.Errorf("a message that was open is not readable: %v", err)
	}
	if err := open.Close(); err != nil {
		t.Error(err)
	}
	for n := 50; n < 60; n++ {
		if bytesOf(t, m, id, recs[n]) != sized(n, 2000) {
			t.Errorf("message %d has other bytes", n)
		}
	}
	if got := repack(); got.Packs != 0 {
		t.Errorf("a second repack found %+v", got)
	}
	if _, err := m.Open(t.Context(), id, recs[0]); err == nil || strings.Contains(err.Error(), "damage") {
		t.Errorf("a forgotten message: %v", err)
	}
}

// TestArchive moves old mail to the archive partition.
func TestArchive(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o := Options{Conf: t.TempDir(), Archive: t.TempDir(), PackSize: 5000, Now: func() time.Time { return now }}
	_, m := newStore(t, o)
	id := named(t, m, Inbox).ID
	var recs []mailbox.Record
	for n := range 10 {
		recs = append(recs, appendText(t, m, id, sized(n, 2000)))
	}
	limit := now.Add(time.Hour)
	now = now.Add(2 * time.Hour)
	for n := 10; n < 20; n++ {
		recs = append(recs, appendText(t, m, id, sized(n, 2000)))
	}
	if _, err := m.Repack(t.Context(), RepackOptions{Archive: limit}); err != nil {
		t.Fatal(err)
	}
	old, young := sizeOfPacks(t, o.Archive), sizeOfPacks(t, o.Conf)
	if old < 16_000 || old > 21_000 || young < 19_000 {
		t.Errorf("%d bytes in the archive, %d in the spool", old, young)
	}
	for n, r := range recs {
		if bytesOf(t, m, id, r) != sized(n, 2000) {
			t.Errorf("message %d has other bytes", n)
		}
	}
}

// TestViewCacheBound keeps the views of many mailboxes within the limit.
func TestViewCacheBound(t *testing.T) {
	s, m := newStore(t, Options{Conf: memoryDir(t), CacheBytes: 20_000})
	for _, name := range strings.Fields("a b c d e f g h") {
		st, err := m.Create(t.Context(), "", name, "")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 30 {
			appendText(t, m, st.ID, mailText(n))
		}
		for range 2 {
			if _, err := m.View(t.Context(), st.ID); err != nil {
				t.Fatal(err)
			}
			appendText(t, m, st.ID, mailText(99), `\Seen`)
		}
	}
	sum := int64(0)
	for e := s.views.order.Front(); e != nil; e = e.Next() {
		it := e.Value.(*cacheItem)
		if it.size != sizeOf(it.view) {
			t.Errorf("an item of %d bytes counts as %d", sizeOf(it.view), it.size)
		}
		sum += it.size
	}
	if sum != s.views.size || sum > 20_000 || sum == 0 || len(s.views.items) != s.views.order.Len() {
		t.Errorf("%d bytes in %d items, counted %d", sum, len(s.views.items), s.views.size)
	}
}

// withDead is a store of messages of 5,000 bytes, of which every third is
// forgotten.
func withDead(t *testing.T, o Options, messages int) (s *Store, m *Mail, recs []mailbox.Record) {
	t.Helper()
	s, m = openFor(t, o)
	id := named(t, m, Inbox).ID
	for n := range messages {
		recs = append(recs, appendText(t, m, id, sized(n, 5000)))
	}
	for uid := 1; uid <= messages; uid += 3 {
		one := mailbox.UIDRange(mailbox.UID(uid), mailbox.UID(uid))
		if _, err := m.StoreFlags(t.Context(), "", id, one, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Forget(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return s, m, recs
}

func packsOf(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, user1.Dir(), "*"+packSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestRepackPassesDamage damages the first pack: it stays, no half of a new one is
// left, and the packs after it are rewritten.
func TestRepackPassesDamage(t *testing.T) {
	dir := t.TempDir()
	s, m, recs := withDead(t, Options{Conf: dir, PackSize: 12_000}, 9)
	defer s.Close()
	defer m.Release()
	first := m.packs.path(spoolPlace, 1)
	b, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-100] ^= 1 // in the third message
	if err := os.WriteFile(first, b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := len(packsOf(t, dir))
	got, err := m.Repack(t.Context(), RepackOptions{})
	var dm *Damage
	if !errors.As(err, &dm) || dm.Pack != 1 {
		t.Errorf("repack over damage: %v", err)
	}
	if got.Packs != 2 {
		t.Errorf("%d packs rewritten", got.Packs)
	}
	for range 3 {
		if got, err := m.Repack(t.Context(), RepackOptions{}); err == nil || got.Packs != 0 {
			t.Errorf("another repack: %+v, %v", got, err)
		}
	}
	if after := packsOf(t, dir); len(after) != before {
		t.Errorf("%d packs before, now %v", before, after)
	}
	for n, r := range recs {
		if n%3 != 0 && n != 2 && bytesOf(t, m, named(t, m, Inbox).ID, r) != sized(n, 5000) {
			t.Errorf("message %d has other bytes", n)
		}
	}
}

// TestDroppedPackStays has a dropped pack that cannot be removed: mail opens and
// is taken, and the pack goes when it can.
func TestDroppedPackStays(t *testing.T) {
	fail := true
	fsys := disk.WithFaults(disk.OS(), disk.Faults{Fail: func(op disk.Op, name string) error {
		if fail && op == disk.OpRemove && filepath.Base(name) == "1.pack" {
			return syscall.EROFS
		}
		return nil
	}})
	o := Options{Conf: t.TempDir(), FS: fsys}
	s, m, _ := withDead(t, o, 3)
	if _, err := m.Repack(t.Context(), RepackOptions{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("repack: %v", err)
	}
	for _, want := range []int{3, 2} {
		m.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, m = openFor(t, o)
		appendText(t, m, named(t, m, Inbox).ID, mailText(want))
		verify(t, s, user1)
		if got := packsOf(t, o.Conf); len(got) != want {
			t.Errorf("packs %v, want %d", got, want)
		}
		fail = false
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRepackKeepsUnknown puts an older mail.db back beside its packs. What lies in
// them of later mail is nowhere else, and no repack drops it.
func TestRepackKeepsUnknown(t *testing.T) {
	o := Options{Conf: t.TempDir(), Archive: t.TempDir(), PackSize: 12_000}
	s, m, _ := withDead(t, o, 2)
	db := s.databasePath(user1)
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	s, m = openFor(t, o)
	for n := range 6 {
		appendText(t, m, named(t, m, Inbox).ID, sized(100+n, 5000))
	}
	m.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(db, old, 0o600); err != nil {
		t.Fatal(err)
	}
	s, m = openFor(t, o)
	defer s.Close()
	defer m.Release()
	appendText(t, m, named(t, m, Inbox).ID, mailText(1))
	if _, err := m.Repack(t.Context(), RepackOptions{All: true, Archive: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, root := range []string{o.Conf, o.Archive} {
		for _, path := range packsOf(t, root) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
	}
	for n := range 6 {
		if !strings.Contains(all.String(), sized(100+n, 5000)) {
			t.Errorf("message %d is gone from every pack", n)
		}
	}
}
