package squatter_test

import (
	"os"
	"path/filepath"
	"testing"

	"teraslot/squatter"
	"teraslot/tiers"
)

// harmActive makes the user's activefile one that cannot be read.
func (f *fixture) harmActive() {
	f.t.Helper()
	f.must(os.WriteFile(filepath.Join(f.path("conf"), user.Dir(), "index.active"), []byte("temp:1\n"), 0o600))
}

// A damaged activefile holds nobody up: the next run makes the index anew, also one that
// had indexed before.
func TestDamagedActivefileIsIndexedOver(t *testing.T) {
	for name, o := range map[string]squatter.IndexOptions{"what is new": {}, "all": {All: true}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, squatter.Options{})
			f.deliver(0, 10)
			f.index(10, squatter.IndexOptions{})
			f.harmActive()
			f.deliver(10, 12)
			f.index(12, o)
			if a := f.audit(); !a.Whole() || a.Indexed != 12 {
				t.Errorf("audit: %+v", a)
			}
		})
	}
}

// Repair mends a damaged activefile, also of a user who has no mail to be indexed.
func TestRepairOfActivefile(t *testing.T) {
	for _, messages := range []int{0, 5} {
		f := newFixture(t, squatter.Options{})
		f.must(f.tiers.User(user).Commit(t.Context(), []tiers.Doc{{GUID: [32]byte{1}}})) // of a message that is gone
		f.deliver(0, messages)
		f.index(messages, squatter.IndexOptions{})
		f.harmActive()
		done, err := f.q.Repair(t.Context(), user, nil)
		if err != nil {
			t.Fatalf("%d messages: %v", messages, err)
		}
		if len(done.Before.Damage) != 1 || !done.After.Whole() || done.Indexed != messages || len(done.Rewritten) != 1 {
			t.Errorf("%d messages: %+v", messages, done)
		}
	}
}
