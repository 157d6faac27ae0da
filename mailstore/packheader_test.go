package mailstore

import (
	"os"
	"strings"
	"testing"

	"teraslot/bench/behind"
	"teraslot/mailbox"
)

// headOf replaces the header of the patient's first pack and returns what it was.
func (p *patient) headOf(t *testing.T, change func(head []byte)) {
	t.Helper()
	path := packOf(t, p.s, Pack{N: 1})
	b, err := os.ReadFile(path)
	if err == nil {
		change(b[:packHeaderSize])
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A pack's header is checked like all else, and written anew: it says nothing that is not known.
func TestPackHeader(t *testing.T) {
	for _, at := range []int{0, 4, 5, 11, 20, 33, 47} {
		p := newPatient(t)
		p.headOf(t, func(head []byte) { head[at] ^= 0x10 })
		var found []Finding
		if err := p.s.Verify(t.Context(), user1, func(f Finding) { found = append(found, f) }); err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || found[0].Pack != 1 || !found[0].Harmless {
			t.Errorf("octet %d: found %+v", at, found)
		}
		if said := p.repair(t, 0); !strings.Contains(said, "pack 1: its header is written anew") {
			t.Errorf("octet %d: said\n%s", at, said)
		}
		p.look(t)
	}
}

// A header that is whole and says that the file is something else is named and stays.
func TestForeignPackHeader(t *testing.T) {
	p := newPatient(t)
	other := appendPackHeader(nil, 1, mailbox.User(strings.Repeat("ab", 16)))
	p.headOf(t, func(head []byte) { copy(head, other) })
	if said := p.repair(t, 1); strings.Contains(said, "written anew") {
		t.Errorf("said\n%s", said)
	}
	p.headOf(t, func(head []byte) {
		if string(head) != string(other) {
			t.Error("the header was changed")
		}
	})
}

// The copy of mail.db is checked with it, and made anew where it is damaged.
func TestCopyIsVerified(t *testing.T) {
	for name, ruin := range map[string]func(path string){
		"cut":    func(path string) { cut(t, path, 3*4096) },
		"header": func(path string) { flip(t, path, 3, 1) },
		"a row": func(path string) {
			if err := behind.Exec(path, "UPDATE mailbox SET uidnext = uidnext + 1"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			saved := savedOf(t, p.s)
			ruin(saved)
			var found []Finding
			if err := p.s.Verify(t.Context(), user1, func(f Finding) { found = append(found, f) }); err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || !found[0].Harmless || !strings.HasPrefix(found[0].String(), "mail.saved") {
				t.Errorf("found %+v", found)
			}
			if said := p.repair(t, 0); !strings.Contains(said, "the copy of mail.db is made anew") {
				t.Errorf("said\n%s", said)
			}
			p.look(t)
			if err := checkWhole(saved, user1); err != nil {
				t.Error(err)
			}
		})
	}
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}
