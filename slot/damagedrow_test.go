package slot

import (
	"errors"
	"testing"
	"time"

	"teraslot/account"
	"teraslot/bench/behind"
	"teraslot/replication"
)

// TestDamagedAccountIsHisAlone: while a row of slot.db is damaged, the slot starts and is well, the others get their mail
// and what is done for everybody; he whose row it is gets neither another's mail nor new mail of his own,
// and after the repair all of his.
func TestDamagedAccountIsHisAlone(t *testing.T) {
	t.Run("alone", func(t *testing.T) { damagedAccount(t, newConfig(t, "")) })
	t.Run("master", func(t *testing.T) { // its replica is not there
		dir := t.TempDir()
		if err := replication.WriteIdentities(dir, time.Now(), "a", "b"); err != nil {
			t.Fatal(err)
		}
		damagedAccount(t, storeConfig(t, dir, "a", RoleMaster, Peer{"b", "127.0.0.1:1"}))
	})
}

func damagedAccount(t *testing.T, c *Config) {
	t.Helper()
	r := start(t, c, Options{})
	r.addUser("anna")
	r.addUser("brong")
	for n, name := range []string{"anna", "brong"} {
		if err := r.deliver(letterOf(n), name+"@example.org"); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	if err := behind.Exec(c.AccountsFile(), `UPDATE users SET quota_bytes = quota_bytes + 4 WHERE name = 'anna'`); err != nil {
		t.Fatal(err)
	}
	r = start(t, c, Options{})
	if err := r.Slot.healthy(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	if err := r.deliver(letterOf(2), "brong@example.org"); err != nil {
		t.Errorf("to another: %v", err)
	}
	if err := r.deliver(letterOf(3), "anna@example.org"); err == nil {
		t.Error("mail was taken for a user whose row is damaged")
	}
	if _, err := r.accounts.Lookup(t.Context(), "anna"); !errors.Is(err, account.ErrDamaged) {
		t.Errorf("his account: %v", err)
	}
	did := map[string]string{}
	if err := r.client.Job(t.Context(), JobRequest{Job: JobExpire}, func(j JobResult) { did[j.User] = j.Error }); err != nil {
		t.Fatal(err)
	}
	if why, done := did["brong"]; len(did) != 1 || !done || why != "" {
		t.Errorf("a job for everybody: %q", did)
	}
	if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{AccountsName}}, func(j JobResult) {
		if j.Error != "" {
			t.Error(j.Error)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.deliver(letterOf(4), "anna@example.org"); err != nil {
		t.Error(err)
	}
	r.indexAll()
	if got := r.hits("anna", "heron"); got != 2 {
		t.Errorf("%d messages are found, of 2", got)
	}
	if err := r.client.Verify(t.Context(), nil, func(f Finding) { t.Errorf("after the repair: %s %s", f.Where, f.What) }); err != nil {
		t.Fatal(err)
	}
}
