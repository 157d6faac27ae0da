package mailstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"teraslot/bench/behind"
)

// damageDatabase does something to a user's mail.db that is closed, and opens the store again.
func (p *patient) damageDatabase(t *testing.T, do func(path string)) {
	t.Helper()
	p.close(t)
	do(p.o.DatabaseFile(user1))
	var err error
	if p.s, err = Open(t.Context(), p.o); err != nil {
		t.Fatal(err)
	}
}

// execAt runs statements on a database that nobody has open.
func execAt(t *testing.T, path string, statements ...string) {
	t.Helper()
	c, err := openConn(path, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements {
		if err := c.exec(sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
}

// flip changes bytes of a file, from one on, each so many.
func flip(t *testing.T, path string, from, each int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := from; at < len(b); at += each {
		b[at] ^= 0xff
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReconstructRefusesWhole: a mail.db that has all that it was given stays in its place, octet for octet, with
// what to do instead, whether there is a copy or not; by force it is replaced, and set aside.
func TestReconstructRefusesWhole(t *testing.T) {
	for _, how := range []string{"this version", "version 2", "version 4", "a later version", "packs lost"} {
		t.Run(how, func(t *testing.T) {
			p := newPatient(t)
			pack := packOf(t, p.s, Pack{N: 1})
			p.damageDatabase(t, func(path string) {
				var version int64
				if n, _ := fmt.Sscanf(how, "version %d", &version); n == 1 {
					age(t, path, version)
				}
				switch how {
				case "a later version":
					execAt(t, path, fmt.Sprint("PRAGMA user_version = ", schemaVersion+1))
				case "packs lost":
					if err := os.Remove(pack); err != nil {
						t.Fatal(err)
					}
				}
			})
			p.refused(t)
			if how == "packs lost" {
				return
			}
			said := p.reconstructWith(t, ReconstructOptions{Force: true})
			if !strings.Contains(said, "set aside") || !strings.Contains(said, "made of its copy") {
				t.Errorf("said\n%s", said)
			}
			p.look(t, 9, 10, 11, 12)
			p.m.Release()
			p.m = nil
			p.refused(t) // it is whole again
		})
	}
}

// refused has a reconstruction refused, and checks that nothing was done.
func (p *patient) refused(t *testing.T) {
	t.Helper()
	path := p.o.DatabaseFile(user1)
	e, err := p.s.reserve(t.Context(), user1) // closes it
	if err != nil {
		t.Fatal(err)
	}
	p.s.vanish(e)
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	aside, _ := filepath.Glob(path + ".damaged-*")
	err = p.s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(line string) { t.Errorf("said %s", line) })
	if !errors.Is(err, ErrWhole) || !strings.HasSuffix(err.Error(), "slotctl reconstruct --force to replace it nevertheless") {
		t.Errorf("mail that is whole: %v", err)
	}
	is, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(was, is) {
		t.Errorf("mail.db has changed: %v", err)
	}
	if now, _ := filepath.Glob(path + ".damaged-*"); len(now) != len(aside) {
		t.Errorf("set aside: %q, were %q", now, aside)
	}
}

// TestReconstructReplacesDamaged: whatever of mail.db is damaged, or not his, needs no force.
func TestReconstructReplacesDamaged(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"no octet": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
		"cut": func(t *testing.T, path string) {
			if err := os.Truncate(path, 3*4096); err != nil {
				t.Fatal(err)
			}
		},
		"no database":     func(t *testing.T, path string) { flip(t, path, 0, 1) },
		"pages":           func(t *testing.T, path string) { flip(t, path, 4096, 64) },
		"another program": func(t *testing.T, path string) { execAt(t, path, "PRAGMA application_id = 1") },
		"no table": func(t *testing.T, path string) {
			execAt(t, path, "DROP TABLE account")
		},
		"a row": func(t *testing.T, path string) {
			if err := behind.Exec(path, "UPDATE mailbox SET uidnext = uidnext + 1"); err != nil {
				t.Fatal(err)
			}
		},
		"another user": func(t *testing.T, path string) {
			execAt(t, path, "UPDATE account SET user = '"+strings.Repeat("0", len(user1))+"'")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			p.damageDatabase(t, func(path string) { damage(t, path) })
			if said := p.reconstruct(t); !strings.Contains(said, "set aside") || !strings.Contains(said, "made of its copy") {
				t.Errorf("said\n%s", said)
			}
			p.look(t, 9, 10, 11, 12)
		})
	}
}

// TestReconstructGoesOn: what an interrupted run has put in place has not the messages of
// the packs, and the next run needs no force; once they are in it, it is whole.
func TestReconstructGoesOn(t *testing.T) {
	for _, withCopy := range []bool{true, false} {
		p := newPatient(t)
		lost := []string{p.s.databasePath(user1)}
		if !withCopy {
			lost = append(lost, savedOf(t, p.s))
		}
		p.lose(t, lost...)
		e, err := p.s.reserve(t.Context(), user1)
		if err == nil {
			_, err = p.s.replaceDatabase(t.Context(), e, true, func(string) {})
		}
		p.s.vanish(e)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := p.s.Acquire(t.Context(), user1); err != nil { // it is served meanwhile
			t.Error(err)
		} else {
			m.Release()
		}
		p.reconstruct(t)
		p.m.Release()
		p.m = nil
		p.refused(t)
	}
}

// TestReconstructCannotLook: where mail.db cannot be read at all, that is not taken for damage.
func TestReconstructCannotLook(t *testing.T) {
	p := newPatient(t)
	p.damageDatabase(t, func(path string) {
		if err := errors.Join(os.Rename(path, path+".elsewhere"), os.Symlink(path+".loop", path), os.Symlink(path, path+".loop")); err != nil {
			t.Fatal(err)
		}
	})
	err := p.s.Reconstruct(t.Context(), user1, ReconstructOptions{}, func(line string) { t.Errorf("said %s", line) })
	if err == nil || errors.Is(err, ErrWhole) || !strings.HasSuffix(err.Error(), "force it") {
		t.Errorf("mail.db that cannot be opened: %v", err)
	}
	if err := os.Remove(p.o.DatabaseFile(user1) + ".loop"); err != nil {
		t.Fatal(err)
	}
}

// TestBeyondRepair: what is no database any longer is told from what Repair mends, and is made of its
// copy alone, where there is one; without it, all stays as it is.
func TestBeyondRepair(t *testing.T) {
	for name, ruin := range map[string]func(path string) error{
		"lost":     os.Remove,
		"cut":      func(path string) error { return os.Truncate(path, 3*4096) },
		"no magic": func(path string) error { flip(t, path, 0, 1); return nil },
		"schema":   func(path string) error { flip(t, path, 120, 900); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			p.damageDatabase(t, func(path string) {
				if err := ruin(path); err != nil {
					t.Fatal(err)
				}
			})
			err := p.s.Repair(t.Context(), user1, func(line string) { t.Errorf("said %s", line) })
			if !errors.Is(err, ErrBeyondRepair) {
				t.Fatalf("Repair: %v", err)
			}
			saved := savedOf(t, p.s)
			move(t, saved, saved+".away")
			was, _ := os.ReadFile(p.o.DatabaseFile(user1))
			err = p.s.Reconstruct(t.Context(), user1, ReconstructOptions{CopyOnly: true}, func(line string) { t.Errorf("said %s", line) })
			if is, _ := os.ReadFile(p.o.DatabaseFile(user1)); !errors.Is(err, ErrNoCopy) || !bytes.Equal(was, is) {
				t.Errorf("without a copy: %v; mail.db had %d octets, has %d", err, len(was), len(is))
			}
			move(t, saved+".away", saved)
			if said := p.reconstructWith(t, ReconstructOptions{CopyOnly: true}); !strings.Contains(said, "made of its copy") {
				t.Errorf("said\n%s", said)
			}
			p.look(t, 9, 10, 11, 12)
		})
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
