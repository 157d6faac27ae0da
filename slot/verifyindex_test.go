package slot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/squatter"
)

// TestVerifyNamesWhatIsGone: a database that is gone is named, unless it lay in temp, which a reboot empties; so is an
// activefile that is gone or empty although there are databases. Searches are right meanwhile, and a repair mends it.
func TestVerifyNamesWhatIsGone(t *testing.T) {
	c := newConfig(t, "[squatter]\noff = true\n")
	r := start(t, c, Options{})
	active := func(dir string) string { return filepath.Join(dir, "index.active") }
	for i, x := range []struct {
		tier  string // where the index lies
		what  string
		ruin  func(conf, database string) error
		named string // what verify names it by; "": it does not
	}{
		{"temp", "the database", func(_, database string) error { return os.RemoveAll(database) }, ""},
		{"meta", "the database", func(_, database string) error { return os.RemoveAll(database) }, "meta:1 ("},
		{"data", "the manifest", func(_, database string) error { return os.Remove(filepath.Join(database, "manifest")) }, "data:1 ("},
		{"archive", "the directory", func(_, database string) error { return os.RemoveAll(filepath.Dir(database)) }, "archive:1 ("},
		{"data", "the activefile", func(conf, _ string) error { return os.Remove(active(conf)) }, "index.active ("},
		{"temp", "the activefile", func(conf, _ string) error { return os.Remove(active(conf)) }, "index.active ("},
		{"data", "all of the activefile", func(conf, _ string) error { return os.Truncate(active(conf), 0) }, "index.active ("},
	} {
		t.Run(x.what+" of "+x.tier, func(t *testing.T) {
			name := fmt.Sprintf("user%d", i)
			r.addUser(name)
			a, err := r.accounts.Lookup(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			for n := range 3 {
				if err := r.deliver(fmt.Sprintf("Subject: %d\r\n\r\nquagga\r\n", n), name+"@example.org"); err != nil {
					t.Fatal(err)
				}
			}
			q := r.indexer()
			if _, err := q.IndexUser(t.Context(), a.ID, squatter.IndexOptions{}); err != nil {
				t.Fatal(err)
			}
			if x.tier != "temp" {
				if _, err := q.Compact(t.Context(), a.ID, squatter.CompactOptions{Sources: []string{"temp"}, Dest: x.tier}); err != nil {
					t.Fatal(err)
				}
			}
			root := map[string]string{"temp": c.Tiers.Temp, "meta": c.Tiers.Meta, "data": c.Tiers.Data, "archive": c.Tiers.Archive}[x.tier]
			check := func(when, named string) {
				t.Helper()
				found := ""
				if err := r.client.Verify(t.Context(), []string{name}, func(f Finding) { found += f.Where + ": " + f.What + "\n" }); err != nil {
					t.Error(err)
				}
				if (named == "") != (found == "") || !strings.HasPrefix(found, strings.TrimSuffix("index: "+named, "index: ")) {
					t.Errorf("%s: found %q, want %q", when, found, named)
				}
				if n := r.hits(name, "quagga"); n != 3 {
					t.Errorf("%s: %d of 3 messages are found", when, n)
				}
			}
			check("whole", "")
			if err := x.ruin(filepath.Join(c.Conf, a.ID.Dir()), filepath.Join(root, a.ID.Dir(), "1")); err != nil {
				t.Fatal(err)
			}
			check("ruined", x.named)
			if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{name}}, func(j JobResult) {
				if j.Error != "" {
					t.Error(j.Error)
				}
			}); err != nil {
				t.Fatal(err)
			}
			check("repaired", "")
			if audit, err := q.Audit(t.Context(), a.ID); err != nil || !audit.Whole() || audit.Indexed != 3 {
				t.Errorf("audit: %+v, %v", audit, err)
			}
			var gone []string
			stats, err := r.tiers.User(a.ID).Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range stats {
				if st.State != "" && st.Database.Tier != "temp" {
					gone = append(gone, st.Database.String())
				}
			}
			if gone != nil {
				t.Errorf("still listed: %v", gone)
			}
		})
	}
}
