package mailstore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"teraslot/mailbox"
)

// put delivers a message to a mailbox.
func (s *side) put(t *testing.T, box, text string) mailbox.Record {
	t.Helper()
	st, err := s.m.MailboxNamed(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.s.Spool(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer msg.Close()
	recs, err := s.m.Append(t.Context(), "", Append{Mailbox: st.ID, Message: msg})
	if err != nil {
		t.Fatal(err)
	}
	return recs[0]
}

// TestThirdSlot: what a slot takes from a second in a merge is new to a third, which has had
// later states of the first without it. Its mailboxes are not held for deleted there, nor
// its messages for expunged, and they keep their UIDs.
func TestThirdSlot(t *testing.T) {
	ctx := context.Background()
	for name, write := range map[string]func(t *testing.T, b *side) (box string, r mailbox.Record){
		"mailbox": func(t *testing.T, b *side) (string, mailbox.Record) {
			if _, err := b.m.Create(ctx, "", "new", ""); err != nil {
				t.Fatal(err)
			}
			return "new", b.put(t, "new", "Subject: second\r\n\r\nof B\r\n")
		},
		"message": func(t *testing.T, b *side) (string, mailbox.Record) {
			return "Archive", b.put(t, "Archive", "Subject: second\r\n\r\nof B\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := newSideAt(t, "A", true, time.Now), newSideAt(t, "B", false, time.Now), newSideAt(t, "C", false, time.Now)
			join := func(from, to *side) {
				t.Helper()
				if _, err := reconcile(ctx, from, to); err != nil {
					t.Fatal(err)
				}
				same(t, from, to)
			}
			join(a, b)
			box, want := write(t, b)
			for i := range 20 {
				a.put(t, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\nof A\r\n", i))
			}
			join(a, c) // the third has a later mod-sequence than what B wrote
			c.put(t, "Drafts", "Subject: third\r\n\r\nof C\r\n")
			join(a, b)
			join(a, c)
			for _, s := range []*side{a, b, c} {
				st, err := s.m.MailboxNamed(ctx, box)
				if err != nil {
					if s == b {
						continue // has not heard of the last merge
					}
					t.Fatal(err)
				}
				entries, err := s.m.Entries(ctx, st.ID)
				if err != nil {
					t.Fatal(err)
				}
				if len(entries) != 1 || entries[0].Expunged || entries[0].UID != want.UID || entries[0].GUID != want.GUID {
					t.Errorf("%s has %+v, want UID %d of %s", box, entries, want.UID, want.GUID)
				}
			}
		})
	}
}

// TestApplyForgetsWhatNobodyHolds: a message of which an Apply removes the last record is
// forgotten with it, also where nothing was staged.
func TestApplyForgetsWhatNobodyHolds(t *testing.T) {
	ctx := context.Background()
	a, b := newSide(t, "A", true), newSide(t, "B", false)
	a.put(t, Inbox, "Subject: both\r\n\r\nhave it\r\n")
	if _, err := reconcile(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	b.put(t, "Archive", "Subject: one\r\n\r\nhad it\r\n")
	inbox, err := a.m.MailboxNamed(ctx, Inbox)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := a.m.MailboxNamed(ctx, "Archive")
	if err != nil {
		t.Fatal(err)
	}
	// a has given more than b lacks.
	next := named(t, b.m, "Archive").UIDNext - 1
	if err := a.m.RaiseUIDNext(ctx, "", archive.ID, next); err != nil {
		t.Fatal(err)
	}
	all := mailbox.UIDRange(1, next)
	if _, err := a.m.Copy(ctx, "", inbox.ID, all, archive.ID); err != nil { // the same UID
		t.Fatal(err)
	}
	if _, err := b.m.StoreFlags(ctx, "", archive.ID, all, AddFlags, mailbox.MakeFlags(`\Deleted`), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.m.Expunge(ctx, "", archive.ID, &all); err != nil {
		t.Fatal(err)
	}
	met, err := reconcile(ctx, a, b)
	if err != nil || met.SameUID != 1 {
		t.Fatalf("met %+v, %v", met, err)
	}
	same(t, a, b) // close verifies both
}
