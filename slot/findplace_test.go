package slot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlacementLost: a user who was moved and whose mail.partition or index.partition is lost or damaged takes no mail
// anywhere else; verify says so, --repair finds where he is, and all of his mail is there, with what came later.
func TestPlacementLost(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		spoil      func(path string) error
		refuses    bool
	}{
		{"mail lost", mailPlacement, os.Remove, true},
		{"mail damaged", mailPlacement, func(path string) error { return os.WriteFile(path, []byte("teraslot partition 1\nat othfr\n"), 0o600) }, true},
		{"mail empty", mailPlacement, func(path string) error { return os.Truncate(path, 0) }, true},
		{"index damaged", indexPlacement, func(path string) error { return os.Truncate(path, 9) }, false},
		{"index lost", indexPlacement, os.Remove, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newConfig(t, twoPartitions)
			r := start(t, c, Options{})
			r.addUser("brong")
			a := r.addMoved("anna", 4)
			r.stop()
			if err := tc.spoil(filepath.Join(c.Conf, a.ID.Dir(), tc.file)); err != nil {
				t.Fatal(err)
			}
			r = start(t, c, Options{})
			count := 4
			if err := r.deliver(letterOf(4), "anna@example.org"); err == nil {
				count++
			} else if !tc.refuses {
				t.Error(err)
			}
			if tc.refuses && count > 4 {
				t.Error("mail was taken, and nobody knows for where")
			}
			if packs, err := filepath.Glob(filepath.Join(c.Spool, a.ID.Dir(), "*.pack")); err != nil || len(packs) > 0 {
				t.Errorf("the slot's own partition has %q, %v", packs, err)
			}
			var found []string
			if err := r.client.Verify(t.Context(), []string{"anna"}, func(f Finding) { found = append(found, f.Where+" "+f.What) }); err != nil {
				t.Fatal(err)
			}
			if tc.refuses && (len(found) != 1 || !strings.Contains(found[0], "slotctl verify --repair")) {
				t.Errorf("verify finds %q", found)
			}
			if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{"anna"}}, func(j JobResult) {
				if j.Error != "" {
					t.Error(j.Error)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err := r.deliver(letterOf(5), "anna@example.org"); err != nil {
				t.Error(err)
			}
			r.indexAll()
			if got := r.hits("anna", "heron"); got != count+1 {
				t.Errorf("%d messages are found, of %d", got, count+1)
			}
			if packs, err := filepath.Glob(filepath.Join(c.Spool, a.ID.Dir(), "*.pack")); err != nil || len(packs) > 0 {
				t.Errorf("the slot's own partition has %q, %v", packs, err)
			}
			if err := r.client.Verify(t.Context(), []string{"anna"}, func(f Finding) { t.Errorf("after the repair: %s %s", f.Where, f.What) }); err != nil {
				t.Fatal(err)
			}
		})
	}
}
