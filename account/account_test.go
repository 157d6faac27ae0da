package account

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"go.uber.org/goleak"

	"teraslot/mailbox"
	"teraslot/sealed"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(migrateEnv); path != "" {
		if err := openOld(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// cheap is a cost for tests that are not about it.
var cheap = Cost{Memory: 64, Passes: 1, Lanes: 1}

func clock() time.Time { return time.Unix(1_800_000_000, 5) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a slot.db, new unless a path is given.
func open(t *testing.T, path string, o Options) *Accounts {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "slot.db")
	}
	if o.Cost == (Cost{}) {
		o.Cost = cheap
	}
	o.Now = clock
	a, err := Open(t.Context(), path, o)
	check(t, err)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func add(t *testing.T, a *Accounts, name, password string) Account {
	t.Helper()
	acc, err := a.Add(t.Context(), name, password, Quota{})
	check(t, err)
	return acc
}

func TestAccounts(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "slot.db")
	a := open(t, path, Options{})
	anna, err := a.Add(ctx, "Anna@Example.org", "secret", Quota{Bytes: 1 << 30, Messages: 1000})
	check(t, err)
	want := Account{ID: anna.ID, Name: "anna@example.org", Quota: Quota{1 << 30, 1000}, Created: time.Unix(1_800_000_000, 0).UTC()}
	if anna != want {
		t.Errorf("added %+v, want %+v", anna, want)
	}
	if _, err := mailbox.ParseUser(string(anna.ID)); err != nil {
		t.Error(err)
	}
	bob := add(t, a, "bob", "x")
	if bob.ID == anna.ID {
		t.Error("two users with one id")
	}
	// Everything is there for another process, and for the next start.
	again := open(t, path, Options{})
	for name, get := range map[string]func() (Account, error){
		"Lookup":              func() (Account, error) { return again.Lookup(ctx, "anna@example.org") },
		"Lookup in capitals":  func() (Account, error) { return again.Lookup(ctx, "ANNA@EXAMPLE.ORG") },
		"Lookup, full width":  func() (Account, error) { return again.Lookup(ctx, "ａｎｎａ@example.org") },
		"ByID":                func() (Account, error) { return again.ByID(ctx, anna.ID) },
		"Authenticate":        func() (Account, error) { return again.Authenticate(ctx, "anna@example.org", "secret") },
		"Authenticate, Anna@": func() (Account, error) { return again.Authenticate(ctx, "Anna@example.org", "secret") },
	} {
		if got, err := get(); got != want || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	all, err := again.List(ctx)
	check(t, err)
	if !slices.Equal(all, []Account{anna, bob}) {
		t.Errorf("list %v", all)
	}
}

func TestChanges(t *testing.T) {
	ctx := t.Context()
	a := open(t, "", Options{})
	anna := add(t, a, "anna", "one")
	bob := add(t, a, "bob", "two")
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	_, err := a.Add(ctx, "ANNA", "three", Quota{})
	is(err, ErrExists)
	is(a.Rename(ctx, "bob", "Anna"), ErrExists)
	check(t, a.Rename(ctx, "anna", "Anna")) // to itself
	check(t, a.Rename(ctx, "anna", "carla"))
	is(second(a.Lookup(ctx, "anna")), ErrNoAccount)
	is(second(a.Authenticate(ctx, "anna", "one")), ErrCredentials)
	carla, err := a.Authenticate(ctx, "carla", "one")
	check(t, err)
	if carla.ID != anna.ID {
		t.Errorf("the rename changed the id to %s", carla.ID)
	}
	check(t, a.Passwd(ctx, "Carla", "four"))
	is(second(a.Authenticate(ctx, "carla", "one")), ErrCredentials)
	check(t, second(a.Authenticate(ctx, "carla", "four")))
	check(t, a.SetQuota(ctx, "carla", Quota{Bytes: 7, Messages: 8}))
	check(t, a.Disable(ctx, "carla", true))
	is(second(a.Authenticate(ctx, "carla", "four")), ErrCredentials)
	carla, err = a.Lookup(ctx, "carla")
	check(t, err)
	if !carla.Disabled || carla.Quota != (Quota{7, 8}) {
		t.Errorf("changed to %+v", carla)
	}
	check(t, a.Disable(ctx, "carla", false))
	check(t, second(a.Authenticate(ctx, "carla", "four")))
	check(t, a.Remove(ctx, "bob"))
	is(second(a.ByID(ctx, bob.ID)), ErrNoAccount)
	is(second(a.Authenticate(ctx, "bob", "two")), ErrCredentials)
	for _, err := range []error{
		a.Remove(ctx, "bob"), a.Passwd(ctx, "bob", "x"), a.Rename(ctx, "bob", "dora"), a.Disable(ctx, "bob", true),
		a.SetQuota(ctx, "bob", Quota{}),
	} {
		is(err, ErrNoAccount)
	}
	if err := a.SetQuota(ctx, "carla", Quota{Bytes: -1}); err == nil {
		t.Error("a negative quota was taken")
	}
}

func second[T any](_ T, err error) error { return err }

// TestIDsStayTaken: a removed user's name may be given again, the id not.
func TestIDsStayTaken(t *testing.T) {
	ids := append(bytes.Repeat([]byte{7}, saltBytes+16), bytes.Repeat([]byte{7}, saltBytes+16)...)
	a := open(t, "", Options{Rand: bytes.NewReader(ids)})
	first := add(t, a, "anna", "one")
	check(t, a.Remove(t.Context(), "anna"))
	if acc, err := a.Add(t.Context(), "anna", "two", Quota{}); err == nil {
		t.Errorf("id %s was given again: %v", first.ID, acc)
	}
	if _, err := a.Lookup(t.Context(), "anna"); !errors.Is(err, ErrNoAccount) {
		t.Errorf("half a user: %v", err)
	}
}

func TestFold(t *testing.T) {
	for name, want := range map[string]string{
		"anna": "anna", "ANNA": "anna", "Anna@Example.ORG": "anna@example.org", "ＡＮＮＡ": "anna", "Zoë": "zoë", "ZOE\u0308": "zoë",
		"ΑΝΝΑ": "αννα", "אנה": "אנה", "安娜": "安娜", "a.b_c-d": "a.b_c-d", "o~k=^": "o~k=^",
	} {
		if got, err := Fold(name); got != want || err != nil {
			t.Errorf("Fold(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", " ", "a b", "a+b", "a/b", "..", ".a", "-a", "../x", "a\x00b", "a\nb", "a\tb", "*", "%", "a\u00a0b", "a\u200bb", "\xff", "a\xffb",
		`"a"`, "a:b", "a,b", "#x", strings.Repeat("a", 321), "\u202ea", "🙂",
	} {
		if got, err := Fold(name); !errors.Is(err, ErrName) {
			t.Errorf("Fold(%q) = %q, %v", name, got, err)
		}
	}
}

// FuzzFold: folding twice is folding once, and what comes out is safe.
func FuzzFold(f *testing.F) {
	f.Add("Anna@Example.org")
	f.Add("ＡＮＮＡ")
	f.Fuzz(func(t *testing.T, name string) {
		folded, err := Fold(name)
		if err != nil {
			return
		}
		again, err := Fold(folded)
		if again != folded || err != nil {
			t.Errorf("%q folds to %q, that to %q, %v", name, folded, again, err)
		}
		if strings.ContainsAny(folded, notInNames+"\x00\r\n") || folded == "" {
			t.Errorf("%q folds to %q", name, folded)
		}
	})
}

// TestUnusableNamesAreUnknown: what can be nobody's name is treated as nobody's.
func TestUnusableNamesAreUnknown(t *testing.T) {
	a := open(t, "", Options{})
	for _, name := range []string{"", "a b", "\xff"} {
		if _, err := a.Lookup(t.Context(), name); !errors.Is(err, ErrNoAccount) || !errors.Is(err, ErrName) {
			t.Errorf("Lookup(%q): %v", name, err)
		}
		if _, err := a.Authenticate(t.Context(), name, "x"); err != ErrCredentials {
			t.Errorf("Authenticate(%q): %v", name, err)
		}
		for _, err := range []error{second(a.Add(t.Context(), name, "x", Quota{})), a.Remove(t.Context(), name),
			a.Rename(t.Context(), name, "x"), a.Rename(t.Context(), "x", name)} {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

func TestPasswords(t *testing.T) {
	ctx := t.Context()
	a := open(t, "", Options{})
	add(t, a, "anna", "ＡＢＣ pässword  with two spaces")
	for password, want := range map[string]bool{
		"ＡＢＣ pässword  with two spaces":           true,
		"ＡＢＣ pa\u0308ssword  with two spaces":     true, // composed otherwise
		"ＡＢＣ pässword\u00a0\u3000with two spaces": true, // typed with other spaces
		"ABC pässword  with two spaces":           false,
		"ＡＢＣ PÄSSWORD  with two spaces":           false,
		"ＡＢＣ pässword with two spaces":            false,
		"ＡＢＣ pässword  with two spaces ":          false,
		"":                                        false,
		"ＡＢＣ pässword  with two spaces\x00":       false,
		"\xff": false,
		strings.Repeat("ＡＢＣ pässword  with two ", 40): false,
	} {
		if _, err := a.Authenticate(ctx, "anna", password); (err == nil) != want || err != nil && err != ErrCredentials {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{"", "\x00", "a\nb", "\xff", strings.Repeat("x", 1025)} {
		_, err := a.Add(ctx, "bob", password, Quota{})
		if !errors.Is(err, ErrPassword) {
			t.Errorf("Add with %q: %v", password, err)
		}
		if password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("the error shows the password: %v", err)
		}
		if err := a.Passwd(ctx, "anna", password); !errors.Is(err, ErrPassword) {
			t.Errorf("Passwd with %q: %v", password, err)
		}
	}
}

// TestKnownHash is the output of the reference implementation of argon2
// (argon2 -id -t 2 -m 16 -p 1, from its own test file).
func TestKnownHash(t *testing.T) {
	h, err := parseHash("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	check(t, err)
	a := open(t, "", Options{})
	for password, want := range map[string]bool{"password": true, "differentpassword": false} {
		if ok, err := a.matches(t.Context(), h, password); ok != want || err != nil {
			t.Errorf("%s: %v, %v", password, ok, err)
		}
	}
}

func TestParseHash(t *testing.T) {
	good := "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h, err := parseHash(good)
	if err != nil || h.String() != good {
		t.Errorf("%v, %v", h, err)
	}
	for _, bad := range []string{
		"", "$", "x" + good, good + "$", good + "=", good[:len(good)-1], strings.Replace(good, "id", "i", 1), strings.Replace(good, "19", "16", 1),
		strings.Replace(good, "m=65536", "m=4294967295", 1), strings.Replace(good, "m=65536", "m=7", 1), strings.Replace(good, "m=65536", "m=065536", 1),
		strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "t=2", "t=4000000000", 1), strings.Replace(good, "p=1", "p=0", 1),
		strings.Replace(good, "p=1", "p=256", 1), strings.Replace(good, "c29tZXNhbHQ", "", 1), "$2y$10$abcdefghijklmnopqrstuv",
	} {
		if h, err := parseHash(bad); err == nil {
			t.Errorf("%q is read as %v", bad, h)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err == nil && (h.String() != s || h.cost.Memory > maxMemory) {
			t.Errorf("%q is read as %v", s, h)
		}
	})
}

// TestDamagedHash: what slot.db holds is not the client's fault.
func TestDamagedHash(t *testing.T) {
	a := open(t, "", Options{})
	add(t, a, "anna", "one")
	_, err := a.db.Exec("UPDATE users SET hash = 'x'")
	check(t, err)
	if _, err := a.Authenticate(t.Context(), "anna", "one"); !errors.Is(err, errHash) || !strings.Contains(err.Error(), "anna") {
		t.Errorf("error %v", err)
	}
}

func TestRehash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	a := open(t, path, Options{})
	add(t, a, "anna", "one")
	phc := func() (s string) {
		check(t, a.db.QueryRow("SELECT hash FROM users").Scan(&s))
		return s
	}
	before := phc()
	check(t, second(a.Authenticate(t.Context(), "anna", "one")))
	if phc() != before {
		t.Error("hashed anew without need")
	}
	dearer := open(t, path, Options{Cost: Cost{Memory: 128, Passes: 2, Lanes: 1}})
	if _, err := dearer.Authenticate(t.Context(), "anna", "two"); err != ErrCredentials || phc() != before {
		t.Errorf("a wrong password: %v", err)
	}
	check(t, second(dearer.Authenticate(t.Context(), "anna", "one")))
	if !strings.HasPrefix(phc(), "$argon2id$v=19$m=128,t=2,p=1$") {
		t.Errorf("hash %s", phc())
	}
	check(t, second(dearer.Authenticate(t.Context(), "anna", "one")))
}

// TestRehashFails: a login must not fail because the disk is full.
func TestRehashFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	add(t, open(t, path, Options{}), "anna", "one")
	var out bytes.Buffer
	a := open(t, path, Options{Cost: Cost{Memory: 128, Passes: 1, Lanes: 1}, Rand: bytes.NewReader(nil),
		Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if _, err := a.Authenticate(t.Context(), "anna", "one"); err != nil || !strings.Contains(out.String(), "anna") {
		t.Errorf("error %v, logged %q", err, &out)
	}
}

// TestUnknownUsersTakeAsLong compares the work done, in passwords hashed, not in
// seconds: for each attempt one, whoever it is for.
func TestUnknownUsersTakeAsLong(t *testing.T) {
	a := open(t, "", Options{Hashing: 1})
	add(t, a, "anna", "one")
	add(t, a, "disabled", "one")
	check(t, a.Disable(t.Context(), "disabled", true))
	if a.decoy.cost != a.o.Cost || len(a.decoy.sum) != hashBytes || len(a.decoy.salt) != saltBytes {
		t.Errorf("the decoy costs %+v", a.decoy.cost)
	}
	for _, name := range []string{"anna", "nobody", "disabled", "no name"} {
		for _, password := range []string{"wrong", "\xff", strings.Repeat("x", 2000)} {
			if err := waits(t, a, name, password); err != ErrCredentials {
				t.Errorf("%s, %.5q: %v", name, password, err)
			}
		}
	}
}

// waits authenticates while no place for hashing is free, and fails if that does
// not wait for one.
func waits(t *testing.T, a *Accounts, name, password string) error {
	t.Helper()
	a.hashing <- struct{}{}
	done := make(chan error)
	go func() {
		_, err := a.Authenticate(t.Context(), name, password)
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("%s, %.5q: answered without hashing: %v", name, password, err)
		<-a.hashing
		return err
	case <-time.After(20 * time.Millisecond):
	}
	<-a.hashing
	return <-done
}

// TestHashingIsBounded: with one place, attempts queue, and one that is cancelled
// leaves the queue.
func TestHashingIsBounded(t *testing.T) {
	a := open(t, "", Options{Hashing: 1})
	add(t, a, "anna", "one")
	a.hashing <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := a.Authenticate(ctx, "anna", "one"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	<-a.hashing
	check(t, second(a.Authenticate(t.Context(), "anna", "one")))
}

func TestVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	open(t, path, Options{})
	db, err := sql.OpenDB(sealed.Connector(dsn(path))), error(nil)
	check(t, err)
	_, err = db.Exec("PRAGMA user_version = 4")
	check(t, err)
	check(t, db.Close())
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// TestFile: nobody else may read it, and SQLite is set as documented.
func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b%20?#ü")
	check(t, os.Mkdir(dir, 0o755))
	path := filepath.Join(dir, "slot.db")
	a := open(t, path, Options{})
	add(t, a, "anna", "one")
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		info, err := e.Info()
		check(t, err)
		if info.Mode().Perm() != 0o600 || !strings.HasPrefix(e.Name(), "slot.db") {
			t.Errorf("%s %v", e.Name(), info.Mode())
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "user_version": "3", "integrity_check": "ok"} {
		var got string
		check(t, a.db.QueryRow("PRAGMA "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, want %s", pragma, got, want)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "no/slot.db"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a directory: %v", err)
	}
}

// TestConcurrentAdds has two processes' worth of handles add the same names.
func TestConcurrentAdds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	const names = 20
	var wg sync.WaitGroup
	added := make(chan Account, 2*names)
	for range 2 {
		a := open(t, path, Options{})
		wg.Go(func() {
			for i := range names {
				acc, err := a.Add(t.Context(), fmt.Sprintf("user%d", i), "x", Quota{})
				if err == nil {
					added <- acc
				} else if !errors.Is(err, ErrExists) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(added)
	if len(added) != names {
		t.Errorf("%d users added for %d names", len(added), names)
	}
	all, err := open(t, path, Options{}).List(t.Context())
	check(t, err)
	if len(all) != names {
		t.Errorf("%d users", len(all))
	}
}

func TestSASL(t *testing.T) {
	a := open(t, "", Options{})
	anna := add(t, a, "anna", "one")
	add(t, a, "bob", "two")
	for name, c := range map[string]struct {
		response string
		want     error
	}{
		"plain":                 {"\x00anna\x00one", nil},
		"as herself":            {"ANNA\x00anna\x00one", nil},
		"as another":            {"bob\x00anna\x00one", ErrIdentity},
		"as nobody":             {"a b\x00anna\x00one", ErrIdentity},
		"another's password":    {"\x00anna\x00two", ErrCredentials},
		"wrong as another":      {"anna\x00bob\x00one", ErrCredentials},
		"empty":                 {"\x00\x00", ErrCredentials},
		"no password":           {"\x00anna\x00", ErrCredentials},
		"not of three parts":    {"anna one", errAny},
		"of four parts":         {"\x00anna\x00one\x00", errAny},
		"nothing, not even \\0": {"", errAny},
	} {
		for _, initial := range []bool{true, false} {
			var got []Account
			s, err := a.SASL(t.Context(), "plain", func(acc Account) { got = append(got, acc) })
			check(t, err)
			if !initial {
				if challenge, done, err := s.Next(nil); len(challenge) > 0 || done || err != nil {
					t.Fatalf("%s: challenge %q, %v, %v", name, challenge, done, err)
				}
			}
			_, done, err := s.Next([]byte(c.response))
			switch {
			case c.want == nil && (err != nil || !done || len(got) != 1 || got[0] != anna):
				t.Errorf("%s: %v, %v", name, got, err)
			case c.want != nil && (err == nil || len(got) > 0 || c.want != errAny && err != c.want):
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
	if _, err := a.SASL(t.Context(), "CRAM-MD5", nil); !errors.Is(err, ErrMechanism) {
		t.Errorf("CRAM-MD5: %v", err)
	}
	for _, m := range a.Mechanisms() {
		check(t, second(a.SASL(t.Context(), m, nil)))
	}
}

var errAny = errors.New("any error")

// TestSASLClient is an exchange with the client of the library.
func TestSASLClient(t *testing.T) {
	a := open(t, "", Options{})
	anna := add(t, a, "anna", "one")
	_, response, err := sasl.NewPlainClient("", "anna", "one").Start()
	check(t, err)
	var got Account
	s, err := a.SASL(t.Context(), sasl.Plain, func(acc Account) { got = acc })
	check(t, err)
	if _, done, err := s.Next(response); !done || err != nil || got != anna {
		t.Errorf("%v, %v, %v", got, done, err)
	}
}

// BenchmarkAuthenticate is a login at the default cost, for a user who is there
// and for one who is not.
func BenchmarkAuthenticate(b *testing.B) {
	a, err := Open(b.Context(), filepath.Join(b.TempDir(), "slot.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Add(b.Context(), "anna", "one", Quota{}); err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"anna", "nobody"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := a.Authenticate(b.Context(), name, "two"); err != ErrCredentials {
					b.Fatal(err)
				}
			}
		})
	}
}
