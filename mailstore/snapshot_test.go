package mailstore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"teraslot/mailbox"
)

// snapshotOf makes a snapshot and a store that reads it, with the packs of s.
func snapshotOf(t testing.TB, s *Store, m *Mail) (Snapshot, *Mail) {
	t.Helper()
	conf := t.TempDir()
	path := Options{Conf: conf}.DatabaseFile(m.user)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	snap, err := m.Snapshot(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(s.o.Spool, incoming), 0o700); err != nil {
		t.Fatal(err)
	}
	copied, err := Open(t.Context(), Options{Conf: conf, Spool: s.o.Spool, Archive: s.o.Archive, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	})
	out, err := copied.Acquire(t.Context(), m.user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Release)
	return snap, out
}

// TestSnapshot: a copy of mail.db is the mail of that moment, whatever comes after.
func TestSnapshot(t *testing.T) {
	s, m := newStore(t, Options{Archive: t.TempDir(), ArchiveSize: 5000})
	id := named(t, m, Inbox).ID
	for i := range 5 {
		if _, err := m.Append(t.Context(), "", Append{Mailbox: id, Message: spool(t, s, sized(i, i*2000))}); err != nil {
			t.Fatal(err)
		}
	}
	want, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	snap, old := snapshotOf(t, s, m)
	if live, err := m.Look(t.Context()); err != nil || live.Fingerprint != snap.Fingerprint || !slices.Equal(live.Packs, snap.Packs) {
		t.Errorf("the copy says %+v, mail.db %+v, %v", snap, live, err)
	}
	if len(snap.Packs) != 2 {
		t.Errorf("packs %+v", snap.Packs)
	}
	if _, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDRange(1, 9), AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	got, err := old.View(t.Context(), id)
	if err != nil || got.State != want.State || !slices.Equal(got.Records, want.Records) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for i, o := range old.OpenAll(t.Context(), id, got.Records) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		b, err := io.ReadAll(io.NewSectionReader(o.Content, 0, o.Content.Size))
		if err != nil || string(b) != sized(i, i*2000) {
			t.Errorf("message %d: %v", i, err)
		}
		if err := o.Content.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFingerprint changes with each kind of change, and with nothing else.
func TestFingerprint(t *testing.T) {
	now := time.Now()
	s, m := newStore(t, Options{Now: func() time.Time { return now }})
	ctx := t.Context()
	id := named(t, m, Inbox).ID
	look := func() Snapshot {
		t.Helper()
		l, err := m.Look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	last := look()
	all := mailbox.UIDRange(1, math.MaxUint32)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"append", func() error { return appendAs(t, s, m, id, 0, 0) }},
		{"flags", func() error {
			_, err := m.StoreFlags(ctx, "", id, mailbox.UIDRange(1, 1), AddFlags, mailbox.MakeFlags(`\Deleted`, "k"), nil)
			return err
		}},
		{"expunge", func() error { _, _, err := m.Expunge(ctx, "", id, nil); return err }},
		{"copy", func() error { _, err := m.Copy(ctx, "", id, all, id); return err }},
		{"create", func() error { _, err := m.Create(ctx, "", "New", ""); return err }},
		{"unsubscribe", func() error { return m.Subscribe(ctx, "", Inbox, false) }},
		{"rename", func() error { return m.Rename(ctx, "", "New", "Newer") }},
		{"quota", func() error { return m.SetQuota(ctx, Quota{Bytes: 1 << 40}) }},
		{"delete", func() error { return m.Delete(ctx, "", named(t, m, "Newer").ID) }},
		{"forget", func() error { _, err := m.Forget(ctx, now.Add(time.Hour)); return err }},
		{"repack", func() error { _, err := m.Repack(ctx, RepackOptions{All: true}); return err }},
		{"renew", func() error { return m.Renew(ctx) }},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		next := look()
		if next.Fingerprint == last.Fingerprint {
			t.Errorf("%s leaves the fingerprint as it was", step.what)
		}
		if again := look(); again.Fingerprint != next.Fingerprint {
			t.Errorf("after %s the fingerprint changes by itself", step.what)
		}
		last = next
	}
}

// TestScanPack checks every message, tells damage with its place, and copies all.
func TestScanPack(t *testing.T) {
	s, m := newStore(t, Options{})
	id := named(t, m, Inbox).ID
	for i := range 4 {
		if err := appendAs(t, s, m, id, mailbox.UID(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := m.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(packOf(t, s, l.Packs[0]))
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:l.Packs[0].End]
	size := int64(len(whole))
	scan := func(b []byte, from, to int64, goOn bool) (Scan, []int64, []byte, error) {
		var at []int64
		var copied bytes.Buffer
		got, err := ScanPack(&copied, bytes.NewReader(b[from:]), from, to, func(place int64, _ error) bool {
			at = append(at, place)
			return goOn
		})
		return got, at, copied.Bytes(), err
	}
	all, damage, copied, err := scan(whole, 0, size, true)
	if err != nil || len(damage) > 0 || all.Whole != size || !bytes.Equal(copied, whole) {
		t.Fatalf("%+v, damage at %v, %v", all, damage, err)
	}
	if mark, err := MarkAt(bytes.NewReader(whole), all.Last); err != nil || mark != all.Mark || mark == 0 {
		t.Errorf("mark %x, %v; scanned %x", mark, err, all.Mark)
	}
	frame := frameHeaderSize + int64(len(mailText(10)))
	second := packHeaderSize + frame
	if part, _, copied, err := scan(whole, second, size, true); err != nil || part != all || !bytes.Equal(copied, whole[second:]) {
		t.Errorf("from the second message on: %+v, %v", part, err)
	}
	// An octet of a message: that one alone is damaged.
	bad := bytes.Clone(whole)
	bad[second+frameHeaderSize+3] ^= 1
	got, damage, copied, err := scan(bad, 0, size, true)
	if err != nil || !slices.Equal(damage, []int64{second}) || got.Whole != second || got.Last != all.Last || !bytes.Equal(copied, bad) {
		t.Errorf("%+v, damage at %v, %v", got, damage, err)
	}
	if got, damage, _, err := scan(bad, 0, size, false); err != nil || len(damage) != 1 || got.Whole != second {
		t.Errorf("stopped: %+v, damage at %v, %v", got, damage, err)
	}
	// An octet of a header: where the next begins is not known, all is copied.
	bad = bytes.Clone(whole)
	bad[second+20] ^= 1
	if got, damage, copied, err := scan(bad, 0, size, true); err != nil || !slices.Equal(damage, []int64{second}) || got.Whole != second || !bytes.Equal(copied, bad) {
		t.Errorf("%+v, damage at %v, %v", got, damage, err)
	}
	// The end within a message, and octets that are missing.
	if got, damage, _, err := scan(whole, 0, size-5, true); err != nil || len(damage) != 1 || got.Whole != size-frame {
		t.Errorf("%+v, damage at %v, %v", got, damage, err)
	}
	if _, _, _, err := scan(whole[:size-5], 0, size, true); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("missing octets: %v", err)
	}
	if _, err := m.OpenPack(Pack{N: 99}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pack that is not there: %v", err)
	}
}

// TestRenew: what is there keeps its UIDs and flags; what clients may know from
// after the copy is never given again, and they are told of every message.
func TestRenew(t *testing.T) {
	s, m := newStore(t, Options{})
	ctx := t.Context()
	id := named(t, m, Inbox).ID
	if err := appendAs(t, s, m, id, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	full, err := m.Create(ctx, "", "Full", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := appendAs(t, s, m, full.ID, math.MaxUint32-2); err != nil {
		t.Fatal(err)
	}
	full = named(t, m, "Full")
	before, err := m.View(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	after, err := m.View(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if after.State.UIDValidity != before.State.UIDValidity || after.State.UIDNext < before.State.UIDNext+renewUIDs {
		t.Errorf("%+v became %+v", before.State, after.State)
	}
	for i, r := range after.Records {
		if r.ModSeq < before.State.HighestModSeq+renewModSeqs {
			t.Errorf("UID %d keeps mod-sequence %d", r.UID, r.ModSeq)
		}
		if r.ModSeq = before.Records[i].ModSeq; r != before.Records[i] {
			t.Errorf("record %+v became %+v", before.Records[i], r)
		}
	}
	changed, err := m.Changes(ctx, id, before.State.HighestModSeq+1000)
	if err != nil || len(changed) != 3 {
		t.Errorf("a client from after the copy is told of %d records, %v", len(changed), err)
	}
	if h, err := m.Horizon(ctx, id); err != nil || h < before.State.HighestModSeq+renewModSeqs {
		t.Errorf("horizon %d, %v", h, err)
	}
	if now := named(t, m, "Full"); now.UIDValidity == full.UIDValidity {
		t.Errorf("%+v has no UIDs left under its UIDVALIDITY", now)
	}
	if err := appendAs(t, s, m, id, 0); err != nil {
		t.Error(err)
	}
}

// TestExpungedSince: what was deleted can be found until it is forgotten.
func TestExpungedSince(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	s, m := newStore(t, Options{Now: func() time.Time { return now }})
	ctx := t.Context()
	id := named(t, m, Inbox).ID
	if err := appendAs(t, s, m, id, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for uid := range mailbox.UID(2) {
		now = now.Add(time.Hour)
		set := mailbox.UIDs(uid + 1)
		if _, err := m.StoreFlags(ctx, "", id, set, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Expunge(ctx, "", id, &set); err != nil {
			t.Fatal(err)
		}
	}
	for since, want := range map[time.Time]int{now: 1, now.Add(-time.Hour): 2, now.Add(time.Second): 0} {
		got, err := m.ExpungedSince(ctx, id, since)
		if err != nil || len(got) != want {
			t.Errorf("since %v: %v, %v; want %d", since, got, err, want)
		}
	}
}
