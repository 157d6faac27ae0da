package tiers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"teraslot/activefile"
	"teraslot/text"
)

// damageKeys are looked for in damaged indexes: sure, to be verified, frequent,
// rare and absent ones.
func damageKeys() []text.Key {
	var out []text.Key
	for _, p := range []string{"common", "omm", "text with", "word3", "ber 17 a", "zebra", "7", ""} {
		out = append(out, text.NewKey(text.InBody, "", p), text.NewKey(text.InText, "", p))
	}
	return append(out, text.NewKey(text.InHeader, "subject", "message 1"), text.NewKey(text.InHeader, "to", ""))
}

// honest checks that a snapshot says nothing wrong of docsOf(0, n), whatever it
// does not say.
func honest(t *testing.T, s *Snapshot, n int) {
	t.Helper()
	ctx := context.Background()
	texts := docsOf(0, n)
	for _, k := range damageKeys() {
		sure, maybe, err := s.Match(ctx, k)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range s.Docs() {
			g := s.GUID(doc)
			if !s.Complete(doc) {
				continue
			}
			if g != guid(int(g[7])) || int(g[7]) >= n {
				t.Fatalf("a message %v is claimed that never was", g)
			}
			match := k.Match(texts[g[7]].Units)
			if match && !sure.Contains(doc) && !maybe.Contains(doc) || !match && sure.Contains(doc) {
				t.Fatalf("%+v: message %d matches: %v, sure %v, maybe %v", k, g[7], match, sure.Contains(doc), maybe.Contains(doc))
			}
		}
	}
	for doc := range s.Docs() {
		units, ok, err := s.Units(ctx, doc)
		if err != nil {
			t.Fatal(err)
		}
		if g := s.GUID(doc); ok && !slices.Equal(units, texts[g[7]].Units) {
			t.Fatalf("wrong text of message %d", g[7])
		}
	}
}

// damages are ways to spoil a file.
func damages(b []byte) map[string][]byte {
	out := map[string][]byte{"empty": {}}
	size := len(b)
	for i := range 40 {
		at := i * size / 40
		flipped := bytes.Clone(b)
		flipped[at] ^= 1 << (i % 8)
		out[fmt.Sprintf("bit %d of %d", i%8, at)] = flipped
		if i > 0 {
			out[fmt.Sprintf("cut at %d", at)] = b[:at]
		}
	}
	out["cut by one"] = b[:size-1]
	out["one too many"] = append(bytes.Clone(b), 0)
	zeroed := bytes.Clone(b)
	clear(zeroed[size/2:])
	out["half zeroed"] = zeroed
	return out
}

// Each file of an index is damaged in many ways: what is answered stays true, and
// the damage is reported, by the snapshot or at least by Verify.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := newSet(t, testOptions(dir)).User(testUser)
	commit(t, x, docsOf(0, 40)...)
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	commit(t, x, docsOf(40, 45)...)
	commit(t, x, docsOf(45, 50)...)
	x.set.Close()
	cases := 0
	for _, name := range tree(t, dir) {
		if base := filepath.Base(name); strings.HasPrefix(base, "index.") && base != "index.active" || base == lockName {
			continue // nothing here reads them
		}
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, spoiled := range damages(whole) {
			// A new file each time, as a copy from elsewhere would be.
			if err := errors.Join(os.Remove(path), os.WriteFile(path, spoiled, 0o600)); err != nil {
				t.Fatal(err)
			}
			cases++
			damageCase(t, dir, name+": "+what)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, whole, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		missing := newSet(t, testOptions(dir)).User(testUser)
		honest(t, snapshot(t, missing), 50)
		missing.set.Close()
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("proof: %d damaged indexes", cases)
	if got := find(t, newSet(t, testOptions(dir)).User(testUser), text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 50)) {
		t.Errorf("with all files whole again: found %v", got)
	}
}

func damageCase(t *testing.T, dir, name string) {
	t.Helper()
	s, err := New(testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x := s.User(testUser)
	snap, err := x.Snapshot(context.Background())
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	defer snap.Close()
	honest(t, snap, 50)
	reported := len(snap.Damaged())
	if err := x.Verify(context.Background(), func(*Damage) { reported++ }); err != nil {
		t.Errorf("%s: verify: %v", name, err)
	}
	if reported == 0 {
		t.Errorf("%s: nobody noticed", name)
	}
}

// A compaction leaves out what is damaged, says so, and what is indexed again
// afterwards is whole.
func TestCompactDamaged(t *testing.T) {
	for _, c := range []struct {
		ext    string
		stream int // of kept text
	}{{listsExt, 0}, {termsExt, 0}, {textExt, headStream}, {textExt, bodyStream}} {
		ext := c.ext
		t.Run(fmt.Sprintf("%s %d", ext, c.stream), func(t *testing.T) {
			dir := t.TempDir()
			x := newSet(t, testOptions(dir)).User(testUser)
			commit(t, x, docsOf(0, 40)...)
			compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
			commit(t, x, docsOf(40, 50)...)
			x.set.Close()
			data, _ := x.databaseDir(activefile.Database{Tier: "data", Generation: 1})
			name := segmentFile(data, mergedNumber, ext)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			at := len(keptMagic) + 100
			if ext == textExt {
				k, err := openKept(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					t.Fatal(err)
				}
				at = int(k.streams[c.stream].blocks[0].offset) + 20
			}
			b[at] ^= 4
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			o := testOptions(dir)
			o.Logger = testLogger(&log)
			x = newSet(t, o).User(testUser)
			res, lines := compact(t, x, CompactOptions{Sources: []string{"temp", "data"}, Dest: "archive"})
			if ext == textExt {
				// Kept text has a checksum for each block: without one of them, the
				// documents are verified by their messages.
				if res.Docs != 50 || len(res.Discarded) != 0 {
					t.Errorf("%+v", res)
				}
			} else if res.Docs != 10 || len(res.Discarded) != 1 || !strings.Contains(log.String(), "data:1") ||
				!slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "discarding data:1: ") }) {
				t.Errorf("%+v, lines %q, log %s", res, lines, log.String())
			}
			honest(t, snapshot(t, x), 50)
			commit(t, x, docsOf(0, 40)...)
			if got := find(t, x, text.NewKey(text.InBody, "", "commo")); !slices.Equal(got, numbers(0, 50)) {
				t.Errorf("after the messages were indexed again, found %v", got)
			}
			verify(t, x)
		})
	}
}

// The writable database is damaged: commits go to a new one.
func TestCommitDamaged(t *testing.T) {
	dir := t.TempDir()
	x := newSet(t, testOptions(dir)).User(testUser)
	commit(t, x, docsOf(0, 5)...)
	first, _ := x.databaseDir(activefile.Database{Tier: "temp", Generation: 1})
	if err := os.WriteFile(filepath.Join(first, manifestName), []byte("teraslot-database 1\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	commit(t, x, docsOf(5, 10)...)
	if got := activeOf(t, x); got != "temp:2 temp:1" {
		t.Errorf("active is %q", got)
	}
	s := snapshot(t, x)
	if got := search(t, s, text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(5, 10)) || len(s.Damaged()) != 1 {
		t.Errorf("found %v, damaged %v", got, s.Damaged())
	}
	compact(t, x, CompactOptions{Sources: []string{"temp"}, Dest: "data"})
	verify(t, x)
	noLeftovers(t, x)
}

// Files are cut short while they are mapped: no fault ends the process, and the
// answers stay true.
func TestFaultInUse(t *testing.T) {
	for _, ext := range []string{listsExt, termsExt, textExt} {
		t.Run(ext, func(t *testing.T) {
			var log bytes.Buffer
			o := testOptions(t.TempDir())
			o.Logger = testLogger(&log)
			x := newSet(t, o).User(testUser)
			commit(t, x, docsOf(0, 50)...)
			commit(t, x, docsOf(40, 50)...)
			s := snapshot(t, x)
			if s.Docs() != 60 {
				t.Fatalf("%d documents", s.Docs())
			}
			dir, _ := x.databaseDir(activefile.Database{Tier: "temp", Generation: 1})
			for _, name := range tree(t, dir) {
				if strings.HasSuffix(name, ext) {
					if err := os.Truncate(filepath.Join(dir, name), 1); err != nil {
						t.Fatal(err)
					}
				}
			}
			honest(t, s, 50)
			if doc, ok := s.Lookup(guid(7)); !ok || s.GUID(doc) != guid(7) {
				t.Errorf("lookup: %d, %v", doc, ok)
			}
			if !strings.Contains(log.String(), "index damaged") {
				t.Errorf("no damage is logged: %s", log.String())
			}
			if again := snapshot(t, x); again.Docs() != 0 || len(again.Damaged()) != 1 {
				t.Errorf("the next snapshot has %d documents, damaged %v", again.Docs(), again.Damaged())
			}
			commit(t, x, docsOf(0, 50)...)
			if got := search(t, snapshot(t, x), text.NewKey(text.InBody, "", "common")); !slices.Equal(got, numbers(0, 50)) {
				t.Errorf("after the messages were indexed again, found %v", got)
			}
		})
	}
}

// Files are written to while they are mapped, which nobody may: the next snapshot finds
// out, though their sizes and most of what is asked of them are as they were.
func TestWrittenToInUse(t *testing.T) {
	for _, ext := range []string{listsExt, termsExt} {
		t.Run(ext, func(t *testing.T) {
			x := newSet(t, testOptions(t.TempDir())).User(testUser)
			commit(t, x, docsOf(0, 5)...)
			s := snapshot(t, x)
			h := s.segments[0].h
			spoil(t, segmentFile(h.dir, h.info.Number, ext))
			if again := snapshot(t, x); len(again.Damaged()) != 1 || again.Docs() != 0 {
				t.Errorf("damaged: %v, documents %d", again.Damaged(), again.Docs())
			}
		})
	}
}
