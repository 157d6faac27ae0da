package account

import (
	"slices"
	"testing"

	"teraslot/mailbox"
)

// TestHeirs: of a user who was removed it is known who got his mailboxes, here alone; what stands there otherwise is an error.
func TestHeirs(t *testing.T) {
	ctx := t.Context()
	a := open(t, t.TempDir()+"/slot.db", Options{Owner: true, Cost: Cost{Memory: 8, Passes: 1, Lanes: 1}})
	anna, err := a.Add(ctx, "anna", "secret", Quota{})
	check(t, err)
	want := []Heir{{"0123456789abcdef01234567", "0123456789abcdef0123456789abcdef"}, {"abcdef0123456789abcdef01", "fedcba9876543210fedcba9876543210"}}
	e, err := a.Entry(ctx, anna.ID)
	check(t, err)
	if got, err := e.Heirs(); err != nil || got != nil {
		t.Errorf("of one who is there: %v, %v", got, err)
	}
	check(t, a.Remove(ctx, "anna", want...))
	e, err = a.Entry(ctx, anna.ID)
	check(t, err)
	if got, err := e.Heirs(); err != nil || !slices.Equal(got, want) || e.Hash != "" || !e.Removed {
		t.Errorf("%v of %+v, %v", got, e, err)
	}
	without := Entry{Account: e.Account, Removed: true}
	if e.Digest() != without.Digest() {
		t.Error("another slot, which does not know them, would be held for different")
	}
	for _, text := range []string{"x", "0123456789abcdef01234567", "0123456789abcdef01234567:x", ":" + string(mailbox.User("fedcba9876543210fedcba9876543210"))} {
		e.heirs = text
		if got, err := e.Heirs(); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
