package mailstore

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"os"
	"testing"
	"time"
)

// stalePage puts the root page of an index, as it is after the statements, into a mail.db
// in which they were undone: an older page that came back.
func (d damaged) stalePage(t *testing.T, index string, do, undo []string) {
	t.Helper()
	root := int64(0)
	c, err := openConn(d.db, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.one(`SELECT rootpage FROM sqlite_schema WHERE name = ?`, func(row []driver.Value) error {
		root = integer(row[0])
		return nil
	}, index); err != nil || root == 0 {
		t.Fatalf("page %d, %v", root, err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	d.exec(t, do...)
	older, err := os.ReadFile(d.db)
	if err != nil {
		t.Fatal(err)
	}
	d.exec(t, undo...)
	now, err := os.ReadFile(d.db)
	if err != nil {
		t.Fatal(err)
	}
	at := int(root-1) * 4096
	if bytes.Equal(now[at:][:4096], older[at:][:4096]) {
		t.Fatal("the page is the same: the test shows nothing")
	}
	copy(now[at:], older[at:][:4096])
	if err := os.WriteFile(d.db, now, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHeldIsNotForgotten: a content that is counted as held by nothing, by a bit of its row
// or by a stale page of the index, stays with its message, through the jobs of a night.
func TestHeldIsNotForgotten(t *testing.T) {
	for name, spoil := range map[string]func(d damaged, t *testing.T){
		"count": func(d damaged, t *testing.T) { d.exec(t, `UPDATE content SET refs = 0 WHERE num IN (2, 3)`) },
		"index": func(d damaged, t *testing.T) {
			d.stalePage(t, "content_unheld", []string{`UPDATE content SET refs = 0 WHERE num IN (2, 3)`}, []string{`UPDATE content SET refs = 1 WHERE num IN (2, 3)`})
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDamaged(t, 4)
			spoil(d, t)
			d.with(t, func(s *Store, m *Mail, err error) {
				if err != nil {
					t.Fatal(err)
				}
				d.night(t, m)
				d.whole(t, m)
				if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
					t.Fatal(err)
				}
				d.night(t, m)
				d.whole(t, m)
				verify(t, s, user1)
			})
		})
	}
}

// night does what frees bytes, whatever it says.
func (d damaged) night(t *testing.T, m *Mail) {
	t.Helper()
	if _, err := m.Forget(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Log(err)
	}
	if st, err := m.Create(t.Context(), "", "Short-lived", ""); err != nil {
		t.Log(err)
	} else if err := m.Delete(t.Context(), "", st.ID); err != nil {
		t.Log(err)
	}
	if _, err := m.Repack(t.Context(), RepackOptions{All: true}); err != nil {
		t.Log(err)
	}
}

// TestRepackCountsWhatItMoves: an index of contents that has lost rows of a pack does not
// make a repack drop the pack with their messages in it.
func TestRepackCountsWhatItMoves(t *testing.T) {
	d := newDamaged(t, 4)
	d.stalePage(t, "content_pack", []string{`UPDATE content SET pack = 9 WHERE num IN (2, 3)`}, []string{`UPDATE content SET pack = 1 WHERE num IN (2, 3)`})
	d.exec(t, `UPDATE pack SET state = 1, "end" = "end" + 1`) // a dead byte: it is to be rewritten
	d.with(t, func(s *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		var dm *Damage
		if _, err := m.Repack(t.Context(), RepackOptions{All: true}); !errors.As(err, &dm) || dm.Pack != 1 || !errors.Is(err, errHeld) {
			t.Errorf("repack: %v", err)
		}
		d.whole(t, m)
		if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
			t.Fatal(err)
		}
		d.night(t, m)
		d.whole(t, m)
		verify(t, s, user1)
	})
}

// TestRenewPassesOverDamage: mail that is put back with a damaged record in it is served
// but for that one, and Repair mends it.
func TestRenewPassesOverDamage(t *testing.T) {
	d := newDamaged(t, 4)
	d.exec(t, `UPDATE message SET system = 9 WHERE id & 0xFFFFFFFF = 2`)
	d.with(t, func(s *Store, m *Mail, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		v, err := m.View(t.Context(), d.inbox)
		if err != nil || len(v.Records) != 3 || len(v.Damaged) != 1 {
			t.Errorf("%+v, %v", v, err)
		}
		if err := s.Repair(t.Context(), user1, func(string) {}); err != nil {
			t.Fatal(err)
		}
		d.whole(t, m)
		verify(t, s, user1)
	})
}
