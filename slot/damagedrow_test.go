package slot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// TestAccountsFromCopies: a daemon mends slot.db with the copy of the night, or one that it is given; none is made of a damaged slot.db, or
// where the archive partition is not mounted.
func TestAccountsFromCopies(t *testing.T) {
	c := newConfig(t, "")
	r := start(t, c, Options{})
	r.addUser("anna")
	snapshot := func() (did JobResult) {
		t.Helper()
		if err := r.client.Job(t.Context(), JobRequest{Job: JobSnapshot}, func(j JobResult) {
			if j.User == AccountsName {
				did = j
			}
		}); err != nil {
			t.Fatal(err)
		}
		return did
	}
	repair := func(copies ...AccountsCopy) (said string) {
		t.Helper()
		if err := r.client.Repair(t.Context(), RepairRequest{Users: []string{AccountsName}, Copies: copies}, func(j JobResult) { said += j.Did + j.Error + "\n" }); err != nil {
			t.Fatal(err)
		}
		return said
	}
	if did := snapshot(); did.Did != "slot.db saved" || did.Error != "" {
		t.Errorf("%+v", did)
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for _, at := range []string{c.AccountsCopy(), elsewhere} {
		r.stop()
		if err := behind.Exec(c.AccountsFile(), `UPDATE users SET quota_bytes = 4, quota_messages = 5`); err != nil {
			t.Fatal(err)
		}
		r = start(t, c, Options{})
		if did := snapshot(); !strings.Contains(did.Error, "does not match its CRC") {
			t.Errorf("of a damaged slot.db: %+v", did)
		}
		if at == elsewhere {
			if err := os.Rename(c.AccountsCopy(), elsewhere); err != nil {
				t.Fatal(err)
			}
			if said := repair(); !strings.Contains(said, "no copy of slot.db tells") {
				t.Errorf("without a copy: %s", said)
			}
			if said := repair(AccountsCopy{"mine", elsewhere + ".not"}); !strings.Contains(said, "mine: ") {
				t.Errorf("of a copy that is not there: %s", said)
			}
		}
		if said := repair(AccountsCopy{"mine", at}); !strings.Contains(said, "he is again as in ") {
			t.Errorf("with a copy: %s", said)
		}
		if err := r.deliver(letterOf(1), "anna@example.org"); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(filepath.Join(c.Archive, markName)); err != nil {
		t.Fatal(err)
	}
	if did := snapshot(); !strings.Contains(did.Error, ErrMissing.Error()) {
		t.Errorf("without the archive partition: %+v", did)
	}
	if _, err := os.Stat(c.AccountsCopy()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a copy was made below the mount point: %v", err)
	}
}
