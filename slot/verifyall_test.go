package slot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVerifyGoesOn: who cannot be opened is named as damaged, and keeps nobody behind him from being
// verified and mended; a mail.db that is lost or no database is made of its copy, but not of the packs alone.
func TestVerifyGoesOn(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	for _, name := range []string{"anna", "berta", "carla", "dora"} {
		r.addUser(name)
		if err := r.deliver("A: 1\r\n\r\nquagga\r\n", name+"@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.client.Job(t.Context(), JobRequest{Job: JobSnapshot, Users: []string{"anna", "berta"}}, func(JobResult) {}); err != nil {
		t.Fatal(err)
	}
	file := func(user, name string) string {
		t.Helper()
		a, err := r.accounts.Lookup(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(c.Conf, a.ID.Dir(), name)
	}
	ruin := map[string]func() error{
		"anna":  func() error { return os.Remove(file("anna", "mail.db")) },
		"berta": func() error { return os.WriteFile(file("berta", "mail.db"), []byte("no database at all"), 0o600) },
		"carla": func() error { return os.Remove(file("carla", "mail.db")) },
	}
	r.stop()
	for _, do := range ruin {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	r = start(t, c, Options{})
	found := map[string]string{}
	if err := r.client.Verify(t.Context(), nil, func(f Finding) { found[f.User] += f.Where + ": " + f.What + "\n" }); err != nil {
		t.Error(err)
	}
	for user, want := range map[string]string{"anna": "mail: mail.db is lost", "berta": "mail: damage", "carla": "mail: mail.db is lost"} {
		if !strings.Contains(found[user], want) {
			t.Errorf("of %s was found %q, want %q", user, found[user], want)
		}
	}
	if len(found) != len(ruin) {
		t.Errorf("found: %q", found)
	}
	failed := map[string]string{}
	if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{"anna", "berta", "carla"}}, func(j JobResult) { failed[j.User] += j.Error }); err != nil {
		t.Fatal(err)
	}
	if failed["anna"]+failed["berta"] != "" || !strings.Contains(failed["carla"], "slotctl reconstruct") {
		t.Errorf("failed: %q", failed)
	}
	if err := r.client.Verify(t.Context(), []string{"nobody", "dora"}, func(f Finding) { t.Errorf("%+v", f) }); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("of somebody unknown: %v", err)
	}
	if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{"carla"}, Reconstruct: true}, func(j JobResult) {
		if j.Error != "" {
			t.Error(j.Error)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"anna", "berta", "dora"} {
		if n := r.hits(name, "quagga"); n != 1 {
			t.Errorf("%s has %d messages", name, n)
		}
	}
}
