package slot

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestStoreMetrics: what the rules of a store name is exported by its master, and says how it stands; the documentation explains each rule.
func TestStoreMetrics(t *testing.T) {
	master, one, _ := startStore(t)
	for _, name := range []string{"anna", "brong"} {
		master.addUser(name)
	}
	if err := master.deliver("Subject: x\r\n\r\nlunch\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	master.replicate("")
	// The channels work in their own time: a user stays behind until its channel has looked
	// again at what somebody asked for meanwhile.
	is := func(name, replica string, value int) {
		t.Helper()
		line := fmt.Sprintf("\nteraslot_replication_%s{replica=%q} %d\n", name, replica, value)
		await(t, strings.TrimSpace(line), func() bool {
			_, text := master.get("/metrics")
			return strings.Contains(text, line)
		})
	}
	for _, replica := range []string{"b", "c"} {
		is("unreachable", replica, 0)
		is("uncompared", replica, 0)
		is("users_behind", replica, 0)
		is("messages_total", replica, 1)
		is("differences_total", replica, 0)
	}
	ask := func(what string, q ReplicationRequest) {
		t.Helper()
		if err := master.client.Replicate(t.Context(), what, q, func(ReplicationResult) {}); err != nil {
			t.Fatal(err)
		}
	}
	ask("skip", ReplicationRequest{Replica: "c", User: "brong"})
	is("users_left_out", "c", 1)
	is("users_held_up", "c", 0)
	a, err := master.accounts.Lookup(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	master.spoilMessage(a.ID, "lunch")
	ask("verify", ReplicationRequest{Replica: "c", User: "anna", Messages: true})
	is("differences_total", "c", 1)
	ask("heal", ReplicationRequest{Replica: "b", User: "anna"})
	is("healed_total", "b", 1)
	one.stop()
	if err := master.deliver("Subject: y\r\n\r\ndinner\r\n", "anna@example.org"); err != nil {
		t.Fatal(err)
	}
	await(t, "the replica is missed", func() bool {
		s, err := master.client.ReplicationStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Replicas[0].Line != ""
	})
	is("unreachable", "b", 1)

	_, exported := master.get("/metrics")
	for name := range namedMetrics(t, "../docs/operations/alerts-store.yml") {
		if !strings.Contains(exported, "\n# TYPE "+name+" ") {
			t.Errorf("%s is not exported", name)
		}
	}
	rules, err := os.ReadFile("../docs/operations/alerts-store.yml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		if _, name, ok := strings.Cut(line, "- alert: "); ok && !strings.Contains(string(page), "`"+strings.TrimSpace(name)+"`") {
			t.Errorf("docs/operations.md does not say what %s means", name)
		}
	}
}
