package squatter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"teraslot/mailbox"
)

const mb = 1 << 20

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	night = time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)
	day   = 24 * time.Hour
)

// db writes a database for tests: "data:3 5MB 10d 31%" is 5 MB, made 10 days ago, 31 of its
// 100 documents dead; an E counts none as dead, a ? leaves them uncounted.
func db(now time.Time, s string) DatabaseState {
	var d DatabaseState
	var megabytes, days, dead int
	if _, err := fmt.Sscanf(s, "%s %dMB %dd %d%%", &d.Name, &megabytes, &days, &dead); err != nil {
		panic(s + ": " + err.Error())
	}
	d.Tier, _, _ = strings.Cut(d.Name, ":")
	d.Bytes, d.Docs, d.Dead, d.Counted = int64(megabytes)*mb, 100, dead, dead >= 0
	if d.Room = d.Bytes; megabytes == 0 {
		d.Docs, d.Room = 0, 4<<10 // its manifest
	}
	d.Dead = max(dead, 0)
	d.Made = now.Add(-time.Duration(days) * day)
	d.DeadSince = d.Made
	return d
}

func planUser(name string, now time.Time, dbs ...string) UserState {
	u := UserState{User: mailbox.User(name)}
	for _, s := range dbs {
		u.Databases = append(u.Databases, db(now, s))
	}
	return u
}

// inTemp puts a user's temp elsewhere.
func inTemp(name string, u UserState) UserState {
	u.Temp = name
	return u
}

// TestPlan is the policy, case by case.
func TestPlan(t *testing.T) {
	policy := Policy{TempSize: 100 * mb}
	for _, c := range []struct {
		name  string
		now   time.Time
		users func(now time.Time) []UserState
		want  []string // "user sources dest rule"
	}{
		{"nothing there", night, func(time.Time) []UserState { return nil }, nil},
		{"temp at half of its size waits for the night", noon, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:1 50MB 0d 0%")}
		}, nil},
		{"temp over half: the largest go, down to a quarter", noon, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:1 5MB 0d 0%"), planUser("b", now, "temp:1 30MB 0d 0%"), planUser("c", now, "temp:1 16MB 0d 0%"),
				planUser("d", now, "temp:1 0MB 0d 0%")}
		}, []string{"b temp,meta data full"}},
		{"temp far over: more than one goes, equal ones in order", noon, func(now time.Time) []UserState {
			return []UserState{planUser("b", now, "temp:1 40MB 0d 0%"), planUser("a", now, "temp:1 40MB 0d 0%"), planUser("c", now, "temp:1 20MB 0d 0%")}
		}, []string{"a temp,meta data full", "b temp,meta data full"}},
		{"at night everybody who has something new", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:1 1MB 0d 0%"), planUser("b", now, "temp:2 0MB 0d 0%", "data:1 9MB 3d 0%")}
		}, []string{"a temp,meta data quiet"}},
		{"by day what the last stop left in meta waits", noon, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:2 0MB 0d 0%", "meta:1 9MB 0d 0%")}
		}, nil},
		{"at night it is folded", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:2 0MB 0d 0%", "meta:1 9MB 0d 0%")}
		}, []string{"a temp,meta data quiet"}},
		{"a full temp takes meta along", noon, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:2 60MB 0d 0%", "meta:1 9MB 0d 0%")}
		}, []string{"a temp,meta data full"}},
		{"data is merged after a week", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:9 1MB 0d 0%", "data:3 1MB 2d 0%", "data:1 20MB 7d 0%"),
				planUser("b", now, "temp:9 1MB 0d 0%", "data:3 1MB 2d 0%", "data:1 20MB 6d 0%")}
		}, []string{"a temp,meta,data data merge", "b temp,meta data quiet"}},
		{"one database in data and nothing new: nothing to merge", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:9 0MB 0d 0%", "data:1 20MB 70d 0%")}
		}, nil},
		{"many databases in data are merged before", night, func(now time.Time) []UserState {
			dbs := []string{"temp:9 0MB 0d 0%"}
			for n := range 12 {
				dbs = append(dbs, fmt.Sprintf("data:%d 1MB 1d 0%%", 20-n))
			}
			return []UserState{planUser("a", now, dbs...)}
		}, []string{"a temp,meta,data data merge"}},
		{"over a fifth dead", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:9 0MB 0d 0%", "archive:1 20MB 1d 21%"), planUser("b", now, "temp:9 0MB 0d 0%", "archive:1 20MB 1d 20%")}
		}, []string{"a archive:1 archive dead"}},
		{"not by day", noon, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:9 0MB 0d 0%", "archive:1 20MB 40d 99%")}
		}, nil},
		{"what counts of temp is the room that its files take", noon, func(now time.Time) []UserState {
			u := planUser("a", now, "temp:9 1MB 0d 0%")
			u.Databases[0].Room = 51 * mb
			return []UserState{u}
		}, []string{"a temp,meta data full"}},
		{"databases without documents cannot be compacted, whatever they take", noon, func(now time.Time) []UserState {
			u := planUser("a", now, "temp:9 0MB 0d 0%")
			u.Databases[0].Room = 51 * mb
			return []UserState{u}
		}, nil},
		{"two temps that are half full each are not pressing", noon, func(now time.Time) []UserState {
			return []UserState{inTemp("x", planUser("a", now, "temp:1 50MB 0d 0%")), inTemp("y", planUser("b", now, "temp:1 50MB 0d 0%"))}
		}, nil},
		{"one temp over half is, however empty the other", noon, func(now time.Time) []UserState {
			return []UserState{inTemp("x", planUser("a", now, "temp:1 20MB 0d 0%")), inTemp("x", planUser("b", now, "temp:1 31MB 0d 0%")),
				inTemp("y", planUser("c", now, "temp:1 49MB 0d 0%"))}
		}, []string{"b temp,meta data full"}},
		{"each temp goes down to a quarter of its own", noon, func(now time.Time) []UserState {
			return []UserState{inTemp("x", planUser("a", now, "temp:1 60MB 0d 0%")), inTemp("y", planUser("b", now, "temp:1 40MB 0d 0%")),
				inTemp("y", planUser("c", now, "temp:1 20MB 0d 0%"))}
		}, []string{"a temp,meta data full", "b temp,meta data full"}},
		{"users of several partitions in one temp are counted together", noon, func(now time.Time) []UserState {
			return []UserState{inTemp("x", planUser("a", now, "temp:1 26MB 0d 0%")), inTemp("x", planUser("b", now, "temp:1 25MB 0d 0%"))}
		}, []string{"a temp,meta data full"}},
		{"who moves makes room in his own temp alone", noon, func(now time.Time) []UserState {
			u := inTemp("y", planUser("a", now, "temp:1 90MB 0d 0%"))
			u.Moved = true
			return []UserState{u, inTemp("x", planUser("b", now, "temp:1 60MB 0d 0%"))}
		}, []string{"b temp,meta data full", "a temp,meta,data,archive archive moved"}},
		{"30 days dead at the longest", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:9 0MB 0d 0%", "archive:1 20MB 30d 1%"), planUser("b", now, "temp:9 0MB 0d 0%", "archive:1 20MB 29d 1%"),
				planUser("c", now, "temp:9 0MB 0d 0%", "archive:1 20MB 90d 0%"), planUser("d", now, "temp:9 0MB 0d 0%", "archive:1 20MB 90d -1%")}
		}, []string{"a archive:1 archive expunged"}},
		{"seen without dead documents lately", night, func(now time.Time) []UserState {
			u := planUser("a", now, "temp:9 0MB 0d 0%", "archive:1 20MB 90d 1%")
			u.Databases[1].DeadSince = now.Add(-3 * day)
			return []UserState{u}
		}, nil},
		{"the writable database is not rewritten for its dead", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "data:9 10MB 90d 50%")}
		}, nil},
		{"a merge of data rewrites its dead ones, archive is on its own", night, func(now time.Time) []UserState {
			return []UserState{planUser("a", now, "temp:9 1MB 0d 0%", "data:2 1MB 8d 50%", "data:1 1MB 8d 50%", "archive:1 20MB 1d 50%")}
		}, []string{"a archive:1 archive dead", "a temp,meta,data data merge"}},
		{"a rename: all to archive, at any hour", noon, func(now time.Time) []UserState {
			u := planUser("a", now, "temp:9 1MB 0d 0%", "data:2 1MB 8d 0%")
			u.Moved = true
			v := planUser("b", now, "temp:9 0MB 0d 0%", "archive:2 1MB 8d 0%")
			v.Moved = true
			return []UserState{u, v}
		}, []string{"a temp,meta,data,archive archive moved"}},
		{"what a reboot emptied is dropped, a disk that is not there is waited for", night, func(now time.Time) []UserState {
			u := planUser("a", now, "temp:9 0MB 0d 0%", "temp:8 0MB 0d 0%", "data:2 0MB 8d 0%", "archive:1 1MB 1d 0%")
			u.Databases[1].State, u.Databases[2].State, u.Databases[3].State = "missing", "missing", "outdated"
			return []UserState{u}
		}, []string{"a temp:8 temp broken", "a archive:1 archive broken"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, d := range policy.Plan(State{Now: c.now, Users: c.users(c.now)}) {
				got = append(got, fmt.Sprintf("%s %s %s %s", d.User, strings.Join(d.Sources, ","), d.Dest, d.Rule))
				if d.Reason == "" {
					t.Errorf("%+v has no reason", d)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestStop(t *testing.T) {
	users := []UserState{planUser("a", noon, "temp:1 1MB 0d 0%"), planUser("b", noon, "temp:1 0MB 0d 0%", "data:1 5MB 0d 0%"), planUser("c", noon, "temp:1 9MB 0d 0%")}
	plan := Policy{}.Stop(State{Now: noon, Users: users})
	if len(plan) != 2 || plan[0].User != "c" || plan[1].User != "a" || plan[0].Dest != "meta" || !slices.Equal(plan[0].Sources, []string{"temp"}) {
		t.Errorf("got %+v", plan)
	}
}

func TestHours(t *testing.T) {
	at := func(h, m int) time.Time { return time.Date(2026, 1, 2, h, m, 0, 0, time.UTC) }
	for _, c := range []struct {
		h    Hours
		t    time.Time
		want bool
	}{
		{Hours{time.Hour, 5 * time.Hour}, at(0, 59), false},
		{Hours{time.Hour, 5 * time.Hour}, at(1, 0), true},
		{Hours{time.Hour, 5 * time.Hour}, at(4, 59), true},
		{Hours{time.Hour, 5 * time.Hour}, at(5, 0), false},
		{Hours{23 * time.Hour, 2 * time.Hour}, at(23, 30), true},
		{Hours{23 * time.Hour, 2 * time.Hour}, at(1, 59), true},
		{Hours{23 * time.Hour, 2 * time.Hour}, at(2, 0), false},
		{Hours{0, 24 * time.Hour}, at(12, 0), true},
		{Hours{0, 24 * time.Hour}, at(0, 0), true},
		{Hours{0, 24 * time.Hour}, at(23, 59), true},
	} {
		if got := c.h.Contain(c.t); got != c.want {
			t.Errorf("%s contains %s: %v", c.h, c.t.Format("15:04"), got)
		}
	}
}

// TestPlanHolds checks of any state what must hold of every plan.
func TestPlanHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := rapid.SampledFrom([]time.Time{noon, night}).Draw(t, "now")
		var users []UserState
		for n := range rapid.IntRange(0, 8).Draw(t, "users") {
			u := UserState{User: mailbox.User(fmt.Sprint(n)), Temp: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "temp"), Moved: rapid.IntRange(0, 9).Draw(t, "moved") == 0}
			for g := range rapid.IntRange(0, 5).Draw(t, "databases") {
				tier := rapid.SampledFrom([]string{"temp", "meta", "data", "archive"}).Draw(t, "tier")
				u.Databases = append(u.Databases, db(now, fmt.Sprintf("%s:%d %dMB %dd %d%%", tier, g,
					rapid.IntRange(0, 40).Draw(t, "size"), rapid.IntRange(0, 60).Draw(t, "age"), rapid.IntRange(-1, 100).Draw(t, "dead"))))
			}
			users = append(users, u)
		}
		p := Policy{TempSize: 100 * mb}.withDefaults()
		plan := p.Plan(State{Now: now, Users: users})
		total, taken := map[string]int64{}, map[string]int64{}
		for _, u := range users {
			total[u.Temp] += p.temp(u)
		}
		seen := map[string]bool{}
		for _, d := range plan {
			u := users[slices.IndexFunc(users, func(u UserState) bool { return u.User == d.User })]
			for _, x := range u.Databases {
				if slices.Contains(d.Sources, x.Tier) || slices.Contains(d.Sources, x.Name) {
					if key := string(d.User) + x.Name; seen[key] {
						t.Fatalf("%s of %s is compacted twice: %+v", x.Name, d.User, plan)
					} else {
						seen[key] = true
					}
					if x.Tier == p.Temp && d.AtAnyHour() {
						taken[u.Temp] += x.Room
					}
				}
			}
			if now == noon && !d.AtAnyHour() {
				t.Fatalf("not by day: %+v", d)
			}
		}
		const empty = 8 * 5 * 4 << 10 // what has no documents stays
		for name, held := range total {
			if over := held > 50*mb; over && held-taken[name] > 25*mb+empty {
				t.Fatalf("temp %s had %d bytes and is left with %d", name, held, held-taken[name])
			}
		}
		for _, d := range plan {
			if temp := users[slices.IndexFunc(users, func(u UserState) bool { return u.User == d.User })].Temp; d.Rule == RuleFull && total[temp] <= 50*mb {
				t.Fatalf("temp %s is not full: %+v", temp, d)
			}
		}
	})
}
