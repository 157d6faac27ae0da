package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestCacheForgets: what changes a user is seen by the next Lookup, by whatever
// name it was asked for before.
func TestCacheForgets(t *testing.T) {
	ctx := t.Context()
	a := open(t, "", Options{Owner: true})
	is := func(name string, want Account, missing bool) {
		t.Helper()
		for range 2 { // from slot.db, and from memory
			got, err := a.Lookup(ctx, name)
			if missing != errors.Is(err, ErrNoAccount) || got != want {
				t.Errorf("Lookup(%q) = %+v, %v; want %+v", name, got, err, want)
			}
		}
	}
	is("anna", Account{}, true)
	anna := add(t, a, "anna", "one")
	is("anna", anna, false)
	is("ANNA", anna, false)
	anna.Quota = Quota{Bytes: 5, Messages: 6}
	check(t, a.SetQuota(ctx, "Anna", anna.Quota))
	is("anna", anna, false)
	is("ANNA", anna, false)
	anna.Disabled = true
	check(t, a.Disable(ctx, "anna", true))
	is("anna", anna, false)
	is("carla", Account{}, true)
	check(t, a.Rename(ctx, "anna", "carla"))
	anna.Name = "carla"
	is("anna", Account{}, true)
	is("carla", anna, false)
	check(t, a.Remove(ctx, "carla"))
	is("carla", Account{}, true)
	again := add(t, a, "carla", "two")
	is("carla", again, false)
	is("a b", Account{}, true)
}

// TestCacheRemembers: with an owner, what was asked before is not asked again;
// without one, what another process changed is seen at once.
func TestCacheRemembers(t *testing.T) {
	ctx := t.Context()
	for _, owner := range []bool{true, false} {
		a := open(t, "", Options{Owner: owner})
		before := add(t, a, "anna", "one")
		check(t, second(a.Lookup(ctx, "anna")))
		_, err := a.db.Exec("UPDATE users SET quota_bytes = 9")
		check(t, err)
		got, err := a.Lookup(ctx, "anna")
		check(t, err)
		if remembered := got == before; remembered != owner {
			t.Errorf("owner %v: %+v", owner, got)
		}
	}
}

// TestCacheLate: an answer that was read before a change is not kept after it.
func TestCacheLate(t *testing.T) {
	var c cache
	_, _, age := c.get("anna")
	c.forget()
	c.put("anna", answer{}, age)
	if _, found, _ := c.get("anna"); found {
		t.Error("an old answer was kept")
	}
	_, _, age = c.get("anna")
	c.put("anna", answer{err: ErrNoAccount}, age)
	if a, found, _ := c.get("anna"); !found || a.err != ErrNoAccount {
		t.Errorf("kept %v, %v", a, found)
	}
}

func TestCacheBounds(t *testing.T) {
	var c cache
	for i := range 2*maxKnown + 10 {
		c.put(fmt.Sprint(i), answer{}, 0)
	}
	if n := len(c.known); n > maxKnown || n == 0 {
		t.Errorf("%d answers are kept", n)
	}
	long := strings.Repeat("x", maxName+1)
	c.put(long, answer{}, 0)
	if _, found, _ := c.get(long); found {
		t.Error("a name of any length is kept")
	}
}

// TestCacheIsExact compares with a second Accounts on the same file that remembers
// nothing, after random changes.
func TestCacheIsExact(t *testing.T) {
	names := []string{"anna", "Anna", "bob", "bob@example.org", "carla", "no name"}
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		a := open(t, dir+"/slot.db", Options{Owner: true})
		plain := open(t, dir+"/slot.db", Options{})
		ctx := context.Background()
		name := rapid.SampledFrom(names)
		changes := []func(string) error{
			func(n string) error { return second(a.Add(ctx, n, "x", Quota{})) },
			func(n string) error { return a.Remove(ctx, n) },
			func(n string) error { return a.Rename(ctx, n, name.Draw(rt, "new name")) },
			func(n string) error {
				return a.SetQuota(ctx, n, Quota{Bytes: rapid.Int64Range(0, 9).Draw(rt, "bytes")})
			},
			func(n string) error { return a.Disable(ctx, n, rapid.Bool().Draw(rt, "disabled")) },
		}
		for range rapid.IntRange(1, 12).Draw(rt, "changes") {
			// Refusals (no such user, the name is taken) are changes like others.
			err := rapid.SampledFrom(changes).Draw(rt, "change")(name.Draw(rt, "name"))
			if err != nil && !slices.ContainsFunc([]error{ErrNoAccount, ErrExists, ErrName}, func(e error) bool { return errors.Is(err, e) }) {
				rt.Fatal(err)
			}
			for _, n := range names {
				got, err := a.Lookup(ctx, n)
				want, wantErr := plain.Lookup(ctx, n)
				if got != want || errors.Is(err, ErrNoAccount) != (wantErr != nil) {
					rt.Fatalf("Lookup(%q) = %+v, %v; slot.db has %+v, %v", n, got, err, want, wantErr)
				}
			}
		}
	})
}
