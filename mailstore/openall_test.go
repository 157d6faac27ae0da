package mailstore

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"teraslot/mailbox"
	"teraslot/message"
)

// reporter is what a test and a property have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// sameTogether checks that records, in any order and some of them twice, are
// opened and described together as they are one by one.
func sameTogether(t reporter, m *Mail, id mailbox.ID, recs []mailbox.Record) {
	t.Helper()
	ctx := context.Background()
	some := append(slices.Clone(recs), recs[:len(recs)/3]...)
	rand.New(rand.NewPCG(1, uint64(len(recs)))).Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for i, o := range m.OpenAll(ctx, id, some) {
		want, wantErr := openedText(m.Open(ctx, id, some[i]))
		got, err := openedText(o.Content, o.Err)
		if got != want || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("UID %d: together %d bytes and %v, alone %d bytes and %v", some[i].UID, len(got), err, len(want), wantErr)
		}
	}
	described := 0
	err := m.Structures(ctx, some, func(i int, s *message.Structure) error {
		described++
		return m.Structures(ctx, some[i:i+1], func(_ int, alone *message.Structure) error {
			a, errA := s.AppendBinary(nil)
			b, errB := alone.AppendBinary(nil)
			if errA != nil || errB != nil || !bytes.Equal(a, b) || s.Size != some[i].Size {
				t.Errorf("UID %d: another structure together than alone", some[i].UID)
			}
			return nil
		})
	})
	if err == nil && described != len(some) {
		t.Errorf("%d structures of %d records", described, len(some))
	}
}

// sameItems checks that all contents are opened together as they are one by one.
func sameItems(t *testing.T, m *Mail) {
	t.Helper()
	var items []Item
	if err := m.Contents(t.Context(), 0, func(it Item) error {
		items = append(items, it)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var into Buffer
	for chunk := range slices.Chunk(items, 7) {
		for i, o := range m.OpenItems(t.Context(), chunk, &into) {
			want, wantErr := openedText(m.OpenGUID(t.Context(), chunk[i].GUID))
			got, err := openedText(o.Content, o.Err)
			if got != want || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Errorf("content %d: together %d bytes and %v, alone %d bytes and %v", chunk[i].Num, len(got), err, len(want), wantErr)
			}
		}
	}
}

func openedText(c *Content, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var b strings.Builder
	_, err = c.WriteTo(&b)
	if e := c.Close(); err == nil {
		err = e
	}
	return b.String(), err
}

// Gaps, several packs, both places, and messages too large for memory.
func TestOpenAll(t *testing.T) {
	s, m := newStore(t, Options{Conf: t.TempDir(), Archive: t.TempDir(), PackSize: 20_000, ArchiveSize: 4000, MemoryMessage: 5000})
	id := named(t, m, Inbox).ID
	for i := range 60 {
		size := 300 + i*70
		if i == 40 {
			size = inMemory + 5000
		}
		appendText(t, m, id, sized(i, size))
	}
	v, err := m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	sameTogether(t, m, id, v.Records)
	var some []mailbox.Record
	for i := 0; i < len(v.Records); i += 1 + i%9 {
		some = append(some, v.Records[i])
	}
	sameTogether(t, m, id, some)
	sameTogether(t, m, id, nil)
	sameItems(t, m)

	// Expunged and forgotten while they are opened: as Open says.
	appendText(t, m, id, sized(100, 500), `\Deleted`)
	v, err = m.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Expunge(t.Context(), "", id, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Forget(t.Context(), s.o.Now().Add(1<<40)); err != nil {
		t.Fatal(err)
	}
	last := m.OpenAll(t.Context(), id, v.Records)[60]
	if _, err := openedText(last.Content, last.Err); err == nil {
		t.Error("a message that is gone was opened")
	}
}

// Of contents that are opened together, one that is damaged says so and leaves the
// others alone; so does one that is gone.
func TestOpenItemsDamaged(t *testing.T) {
	s, m, _ := withDead(t, Options{Conf: t.TempDir()}, 12)
	defer s.Close()
	defer m.Release()
	var c content
	err := m.read(t.Context(), func(db *conn) (err error) {
		c, _, err = m.findContent(db, "refs > ?", int64(0))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, m.packs.path(c.where, c.pack), c.start+frameHeaderSize+20)
	sameItems(t, m)
	if o := m.OpenItems(t.Context(), []Item{{Num: 3}, {Num: 1 << 20, GUID: mailbox.GUIDOf([]byte("gone"))}}, nil); !errors.Is(o[1].Err, ErrNoMessage) || !errors.Is(o[0].Err, ErrNoMessage) {
		t.Errorf("contents that are not there: %v, %v", o[0].Err, o[1].Err)
	}
}
