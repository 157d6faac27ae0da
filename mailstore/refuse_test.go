package mailstore

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// TestApplyRefuses: a change that would not make the mail equal, that lacks a message, that
// belongs to other mail or comes from a slot that does not know this one's changes is
// refused, and nothing of it is done.
func TestApplyRefuses(t *testing.T) {
	ctx := context.Background()
	a, b := newSide(t, "A", true), newSide(t, "B", false)
	deliver := func(s *side, text string) {
		t.Helper()
		inbox, err := s.m.MailboxNamed(ctx, Inbox)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := s.s.Spool(ctx, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer msg.Close()
		if _, err := s.m.Append(ctx, "", Append{Mailbox: inbox.ID, Message: msg}); err != nil {
			t.Fatal(err)
		}
	}
	deliver(a, "a: 1\r\n\r\n")
	if _, err := converge(ctx, a, b); err != nil {
		t.Fatal(err)
	}
	before, err := b.m.Image(ctx)
	if err != nil {
		t.Fatal(err)
	}
	deliver(a, "a: 2\r\n\r\n")
	change, _, err := a.m.Differ(ctx, &before, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.m.Apply(ctx, before.Digest(), &change); !errors.Is(err, ErrLacking) {
		t.Errorf("without its message: %v", err)
	}
	if err := supply(ctx, a, b, &change); err != nil {
		t.Fatal(err)
	}
	none := change
	none.Boxes = nil
	if err := b.m.Apply(ctx, before.Digest(), &none); !errors.Is(err, ErrChecksum) {
		t.Errorf("without its records: %v", err)
	}
	if err := b.m.Apply(ctx, Digest{1}, &change); !errors.Is(err, ErrChecksum) {
		t.Errorf("for other mail: %v", err)
	}
	foreign := change
	foreign.Image.Lineage = Lineage{{"C", change.Image.ModSeq}}
	if err := b.m.Apply(ctx, before.Digest(), &foreign); !errors.Is(err, ErrDiverged) {
		t.Errorf("of another lineage: %v", err)
	}
	if now, err := b.m.Image(ctx); err != nil || now.Digest() != before.Digest() {
		t.Errorf("something of a refused change was done: %v", err)
	}
	if err := b.m.Apply(ctx, before.Digest(), &change); err != nil {
		t.Fatal(err)
	}
	same(t, a, b)
}
