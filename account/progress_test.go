package account

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"teraslot/sealed"
)

// TestProgress: an account says whether mail was made for it and whether its removal was
// begun, and goes on to after slot.db was closed.
func TestProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	a := open(t, path, Options{Owner: true})
	_, err := a.Add(t.Context(), "anna", "one", Quota{})
	check(t, err)
	expect := func(mail, disabled, removing bool) {
		t.Helper()
		for _, from := range []*Accounts{a, open(t, path, Options{})} {
			got, err := from.Lookup(t.Context(), "anna")
			check(t, err)
			if got.HasMail != mail || got.Disabled != disabled || got.Removing != removing {
				t.Errorf("%+v, want mail %v, disabled %v, removing %v", got, mail, disabled, removing)
			}
		}
	}
	expect(false, false, false)
	check(t, a.MadeMail(t.Context(), "Anna"))
	expect(true, false, false)
	check(t, a.Disable(t.Context(), "anna", true))
	expect(true, true, false)
	check(t, a.BeginRemoval(t.Context(), "anna"))
	expect(true, true, true)
	if _, err := a.Authenticate(t.Context(), "anna", "one"); !errors.Is(err, ErrCredentials) {
		t.Errorf("one who is to be gone logs in: %v", err)
	}
	check(t, a.Disable(t.Context(), "anna", true)) // once more calls nothing off
	expect(true, true, true)
	check(t, a.Disable(t.Context(), "anna", false))
	expect(true, false, false)
	for _, err := range []error{a.MadeMail(t.Context(), "berta"), a.BeginRemoval(t.Context(), "berta"), a.BeginRemoval(t.Context(), "\x00")} {
		if err == nil {
			t.Error("the change of an account that is not there had no error")
		}
	}
}

// TestFirstVersion: accounts of a program of version 1 are all there, and have mail.
func TestFirstVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slot.db")
	db, err := sql.OpenDB(sealed.Connector(dsn(path))), error(nil)
	check(t, err)
	for _, statement := range []string{`CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT UNIQUE, hash TEXT NOT NULL, quota_bytes INTEGER NOT NULL,
		quota_messages INTEGER NOT NULL, created INTEGER NOT NULL, disabled INTEGER NOT NULL) STRICT`, "PRAGMA user_version = 1",
		`INSERT INTO users VALUES ('0123456789abcdef0123456789abcdef', 'anna', 'x', 3, 4, 5, 1)`} {
		_, err := db.Exec(statement)
		check(t, err)
	}
	check(t, db.Close())
	a := open(t, path, Options{})
	got, err := a.Lookup(t.Context(), "anna")
	check(t, err)
	if got.ID != "0123456789abcdef0123456789abcdef" || got.Quota != (Quota{3, 4}) || !got.Disabled || !got.HasMail || got.Removing {
		t.Errorf("%+v", got)
	}
	added, err := a.Add(t.Context(), "berta", "one", Quota{})
	check(t, err)
	if added.HasMail {
		t.Error("a new account has mail before any was made")
	}
	all, err := a.List(t.Context())
	check(t, err)
	if len(all) != 2 || all[1].HasMail {
		t.Errorf("%+v", all)
	}
}
