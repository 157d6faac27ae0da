package account

import (
	"errors"
	"path/filepath"
	"testing"

	"teraslot/mailbox"
)

// TestPut: a user goes from one slot to another with id, password and quota, also when
// two have exchanged their names, and a removed one stays removed.
func TestPut(t *testing.T) {
	ctx := t.Context()
	a := open(t, filepath.Join(t.TempDir(), "a.db"), Options{Owner: true})
	b := open(t, filepath.Join(t.TempDir(), "b.db"), Options{Owner: true})
	anna, bert := add(t, a, "anna", "one"), add(t, a, "bert", "two")
	carry := func() {
		t.Helper()
		all, err := a.Entries(ctx)
		check(t, err)
		for _, e := range all {
			check(t, b.Put(ctx, e))
		}
		for _, e := range all {
			got, err := b.Entry(ctx, e.ID)
			check(t, err)
			if got != e || got.Digest() != e.Digest() {
				t.Errorf("carried %+v, want %+v", got, e)
			}
		}
	}
	carry()
	if got, err := b.Authenticate(ctx, "anna", "one"); err != nil || got.ID != anna.ID || !got.HasMail {
		t.Errorf("login at the other slot: %+v, %v", got, err)
	}
	check(t, a.Rename(ctx, "anna", "x"))
	check(t, a.Rename(ctx, "bert", "anna"))
	check(t, a.Rename(ctx, "x", "bert"))
	carry()
	if got, err := b.Lookup(ctx, "anna"); err != nil || got.ID != bert.ID {
		t.Errorf("anna is %+v, %v", got, err)
	}
	check(t, a.Remove(ctx, "bert"))
	carry()
	if _, err := b.Authenticate(ctx, "bert", "one"); !errors.Is(err, ErrCredentials) {
		t.Errorf("a removed user logs in: %v", err)
	}
	if e, err := b.Entry(ctx, anna.ID); err != nil || !e.Removed || e.Hash != "" {
		t.Errorf("a removed user is %+v, %v", e, err)
	}
}

// TestPutRefuses what no slot can have made.
func TestPutRefuses(t *testing.T) {
	ctx := t.Context()
	a := open(t, filepath.Join(t.TempDir(), "a.db"), Options{})
	acc := add(t, a, "anna", "one")
	good, err := a.Entry(ctx, acc.ID)
	check(t, err)
	for name, spoil := range map[string]func(*Entry){
		"id":    func(e *Entry) { e.ID = "../../etc" },
		"name":  func(e *Entry) { e.Name = "Anna" },
		"empty": func(e *Entry) { e.Name = "" },
		"hash":  func(e *Entry) { e.Hash = "$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA" },
		"quota": func(e *Entry) { e.Quota.Bytes = -1 },
	} {
		e := good
		spoil(&e)
		if err := a.Put(ctx, e); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := a.Entry(ctx, mailbox.User("00000000000000000000000000000000")); !errors.Is(err, ErrNoAccount) {
		t.Errorf("an unknown user: %v", err)
	}
	if now, err := a.Entry(ctx, acc.ID); err != nil || now != good {
		t.Errorf("after what was refused: %+v, %v", now, err)
	}
}

// TestDigestCoversAll: no field of an entry may differ unseen.
func TestDigestCoversAll(t *testing.T) {
	base := Entry{Account: Account{ID: "a", Name: "b"}, Hash: "c"}
	seen := map[[32]byte]string{base.Digest(): "base"}
	for name, change := range map[string]func(*Entry){
		"id": func(e *Entry) { e.ID = "x" }, "name": func(e *Entry) { e.Name = "x" }, "hash": func(e *Entry) { e.Hash = "x" },
		"border": func(e *Entry) { e.Name, e.Hash = "bc", "" }, "bytes": func(e *Entry) { e.Quota.Bytes = 1 },
		"messages": func(e *Entry) { e.Quota.Messages = 1 }, "created": func(e *Entry) { e.Created = clock() },
		"disabled": func(e *Entry) { e.Disabled = true }, "removed": func(e *Entry) { e.Removed = true },
	} {
		e := base
		change(&e)
		if other, had := seen[e.Digest()]; had {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[e.Digest()] = name
	}
}

// TestPutCallsOffARemoval: a user who was being removed, or was removed, when another slot's
// word came that he is there, is there. No start of the slot goes on removing him.
func TestPutCallsOffARemoval(t *testing.T) {
	ctx := t.Context()
	for _, finished := range []bool{false, true} {
		a := open(t, filepath.Join(t.TempDir(), "a.db"), Options{})
		acc := add(t, a, "anna", "one")
		e, err := a.Entry(ctx, acc.ID)
		check(t, err)
		check(t, a.BeginRemoval(ctx, "anna"))
		if finished {
			check(t, a.Remove(ctx, "anna"))
		}
		check(t, a.Put(ctx, e))
		if got, err := a.ByID(ctx, acc.ID); err != nil || got.Removing || got.Disabled || !got.HasMail {
			t.Errorf("after Put (finished %v): %+v, %v", finished, got, err)
		}
	}
}

// TestRemoveWhoLostHisName: whose name another user has got can be removed all the same.
func TestRemoveWhoLostHisName(t *testing.T) {
	ctx := t.Context()
	a := open(t, filepath.Join(t.TempDir(), "a.db"), Options{})
	old := add(t, a, "anna", "one")
	e, err := a.Entry(ctx, old.ID)
	check(t, err)
	e.ID = mailbox.User("ffffffffffffffffffffffffffffffff")
	check(t, a.Put(ctx, e))
	nameless, err := a.ByID(ctx, old.ID)
	check(t, err)
	if _, err := a.Lookup(ctx, nameless.Name); !errors.Is(err, ErrNoAccount) {
		t.Errorf("a name that was lost is found: %v", err)
	}
	check(t, a.BeginRemoval(ctx, nameless.Name))
	check(t, a.MadeMail(ctx, nameless.Name))
	check(t, a.Remove(ctx, nameless.Name))
	if got, err := a.Entry(ctx, old.ID); err != nil || !got.Removed {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := a.Lookup(ctx, "anna"); err != nil || got.ID != e.ID {
		t.Errorf("the other is %+v, %v", got, err)
	}
}

// TestSnapshotRemovesNobody: a copy of slot.db that is put back later may be of a moment when
// a removal was under way that was called off since.
func TestSnapshotRemovesNobody(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	a := open(t, filepath.Join(dir, "a.db"), Options{})
	acc := add(t, a, "anna", "one")
	check(t, a.BeginRemoval(ctx, "anna"))
	check(t, a.Snapshot(ctx, filepath.Join(dir, "b.db")))
	b := open(t, filepath.Join(dir, "b.db"), Options{})
	if got, err := b.ByID(ctx, acc.ID); err != nil || got.Removing || !got.Disabled {
		t.Errorf("in the copy: %+v, %v", got, err)
	}
	if got, err := a.ByID(ctx, acc.ID); err != nil || !got.Removing {
		t.Errorf("in the original: %+v, %v", got, err)
	}
}
