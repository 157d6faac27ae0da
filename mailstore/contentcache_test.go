package mailstore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"teraslot/mailbox"
)

// TestContentCache keeps within its bound, and counts what it keeps.
func TestContentCache(t *testing.T) {
	const limit = 40 * shelfSize
	c := newContentCache(limit)
	recs, at, data, spots := make([]mailbox.Record, 5000), make([]int, 5000), make([]string, 5000), make([]spot, 5000)
	for i := range recs {
		recs[i].Num, at[i], data[i], spots[i] = uint32(i+1), i, fmt.Sprint("structure ", i), spot{spoolPlace, 7, int64(i)}
	}
	for from := 0; from < len(recs); from += 100 {
		c.keepStructures("a", recs, at[from:from+100], data)
		c.keepSpots("a", recs, at[from:from+100], spots)
		c.keepStructures("b", recs, at[:10], data) // used again and again
		checkContents(t, c)
	}
	out, found := make([]string, len(recs)), make([]spot, len(recs))
	missing := c.structures("a", recs, out)
	if len(missing) == 0 || len(missing) == len(recs) || !slices.IsSorted(missing) {
		t.Errorf("%d of %d structures are missing", len(missing), len(recs))
	}
	if unknown := c.spots("a", recs, found); !slices.Equal(unknown, missing) {
		t.Errorf("%d places are missing, %d structures", len(unknown), len(missing))
	}
	for i := range recs {
		if gone := slices.Contains(missing, i); gone != (out[i] == "") || !gone && (out[i] != data[i] || found[i] != spots[i]) {
			t.Fatalf("content %d: %q and %+v", i+1, out[i], found[i])
		}
	}
	if got := c.structures("b", recs[:10], out); len(got) != 0 {
		t.Errorf("what was used last is missing: %v", got)
	}
	c.forget("a")
	if got := c.structures("a", recs, make([]string, len(recs))); len(got) != len(recs) {
		t.Errorf("%d structures of a user who was forgotten", len(recs)-len(got))
	}
	c.forget("b")
	if checkContents(t, c); c.size != 0 {
		t.Errorf("%d bytes are counted of nothing", c.size)
	}
}

func checkContents(t *testing.T, c *contentCache) {
	t.Helper()
	var size int64
	for e := c.order.Front(); e != nil; e = e.Next() {
		s := e.Value.(*shelf)
		size += shelfSize
		for _, text := range s.structures {
			size += int64(len(text))
		}
		if c.shelves[s.key] != e {
			t.Fatalf("shelf %+v is kept twice", s.key)
		}
	}
	if size != c.size || size > c.limit || len(c.shelves) != c.order.Len() {
		t.Fatalf("%d bytes in %d shelves, counted as %d in %d, of %d", size, c.order.Len(), c.size, len(c.shelves), c.limit)
	}
}

// TestOpenMoved opens messages whose places are remembered, before and after a repack
// has moved them, and reads what is damaged since as damage.
func TestOpenMoved(t *testing.T) {
	s, m, _ := withDead(t, Options{Conf: t.TempDir()}, 40)
	defer s.Close()
	defer m.Release()
	id := named(t, m, Inbox).ID
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	recs := v.Records
	var into Buffer
	opened := func() (texts []string) {
		t.Helper()
		for i, o := range m.OpenInto(t.Context(), id, recs, &into) {
			text, err := openedText(o.Content, o.Err)
			if err != nil || mailbox.GUIDOf([]byte(text)) != recs[i].GUID {
				t.Fatalf("UID %d: %d bytes, %v", recs[i].UID, len(text), err)
			}
			texts = append(texts, text)
		}
		return texts
	}
	before := opened()
	known := make([]spot, len(recs))
	if missing := m.s.contents.spots(m.user, recs, known); len(missing) > 0 {
		t.Fatalf("places that are not remembered: %v", missing)
	}
	if _, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(opened(), before) { // each is looked up anew
		t.Error("other messages after the repack")
	}
	opened()
	moved := make([]spot, len(recs))
	if missing := m.s.contents.spots(m.user, recs, moved); len(missing) > 0 || slices.Equal(moved, known) {
		t.Errorf("after the repack %d places are not remembered, or none has changed", len(missing))
	}
	wrong := slices.Clone(moved) // as if other messages lay there by now
	wrong[1], wrong[2] = moved[2], moved[1]
	m.s.contents.keepSpots(m.user, recs, []int{1, 2}, wrong)
	if !slices.Equal(opened(), before) {
		t.Error("other messages where the places were wrong")
	}
	spoil(t, m.packs.path(moved[3].where, moved[3].pack), moved[3].start+frameHeaderSize+20)
	var damage *Damage
	if o := m.OpenInto(t.Context(), id, recs, &into)[3]; !errors.As(o.Err, &damage) || damage.UID != recs[3].UID {
		t.Errorf("a damaged message whose place is remembered: %v", o.Err)
	}
}

// spoil changes a byte of a file.
func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStoreBefore: a change says up to where one had to know the mailbox, to know it all.
func TestStoreBefore(t *testing.T) {
	_, m := newStore(t, Options{Conf: memoryDir(t)})
	id := named(t, m, Inbox).ID
	for i := range 40 {
		appendText(t, m, id, mailText(i))
	}
	if _, err := m.View(t.Context(), id); err != nil { // the records are known from here on
		t.Fatal(err)
	}
	for i, op := range []FlagOp{AddFlags, RemoveFlags, ReplaceFlags, ReplaceFlags} {
		before := named(t, m, Inbox).HighestModSeq
		res, err := m.StoreFlags(t.Context(), "", id, mailbox.UIDRange(1, 1000), op, mailbox.Flags{System: mailbox.Seen}, nil)
		if err != nil || res.Before != before || len(res.Changed) != []int{40, 40, 40, 0}[i] {
			t.Fatalf("change %d: %d records, before %d, want %d; %v", i, len(res.Changed), res.Before, before, err)
		}
		v, err := m.View(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Changed) > 0 && !slices.Equal(v.Records, res.Changed) {
			t.Errorf("change %d: the view holds others than were changed", i)
		}
	}
}
