package main

import (
	"strconv"
	"strings"
	"testing"
)

// TestStatsLines: --stats has every component of what a user has in each tier, and they
// add up; a user without an index has a line, too.
func TestStatsLines(t *testing.T) {
	f := newFixture(t, "")
	f.deliver("brong", "INBOX", 20)
	f.squatter(exitOK, "-i", "-u", "brong")
	f.squatter(exitOK, "-z", "data", "-t", "temp", "-u", "brong")
	f.deliver("brong", "INBOX", 3)
	f.squatter(exitOK, "-i", "-u", "brong")
	f.forgetHalf("brong")
	out, _ := f.squatter(exitOK, "--stats")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	head := strings.Fields(lines[0])
	if want := "USER TIER DATABASES SEGMENTS MESSAGES BYTES TERMS LISTS TEXT ROOM MAIL% DEAD% OLDEST STATE"; strings.Join(head, " ") != want {
		t.Fatalf("head %q, want %q", head, want)
	}
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		words := strings.Fields(line)
		at := func(column string) (n int64) {
			for i, name := range head {
				if name == column {
					n, _ = strconv.ParseInt(words[i], 10, 64)
				}
			}
			return n
		}
		key := words[0] + " " + words[1]
		seen[key] = true
		if at("TERMS")+at("LISTS")+at("TEXT") != at("BYTES") || at("ROOM") < at("BYTES") {
			t.Errorf("%s: the components are not the sum: %s", key, line)
		}
		for _, column := range []string{"DATABASES", "SEGMENTS", "MESSAGES", "TERMS", "LISTS", "TEXT"} {
			if has := words[0] == "user.brong"; (at(column) > 0) != has {
				t.Errorf("%s: %s is %d", key, column, at(column))
			}
		}
		if key == "user.brong data" && (at("MESSAGES") != 20 || words[11] != "50.0") {
			t.Errorf("%s: want 20 messages, half of them dead", line)
		}
	}
	for _, key := range []string{"user.brong temp", "user.brong data", "user.first.last -"} {
		if !seen[key] {
			t.Errorf("no line of %s in\n%s", key, out)
		}
	}
}
