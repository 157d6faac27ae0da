package main

import (
	"strings"
	"testing"
	"time"
)

// TestParsePast: what was deleted since a time to come is nothing, and says so.
func TestParsePast(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"3d":               "2026-11-19 12:00:00",
		"2026-11-22":       "2026-11-22 00:00:00",
		"2026-11-22 12:00": "2026-11-22 12:00:00",
		"2026-11-22 12:01": "future",
		"2027-01-01":       "future",
		"20261122T120001Z": "future",
		"-1h":              "",
		"tomorrow":         "no time such as",
	} {
		got, err := parsePast(in, now)
		switch {
		case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
			if want != "" {
				t.Errorf("%s: %v, want %q", in, err, want)
			}
		case err == nil && got.Format(time.DateTime) != want:
			t.Errorf("%s is %v, want %q", in, got, want)
		}
	}
	o := restoreFlags{deletedSince: "2999-01-01"}
	if err := o.check(true); err == nil || !strings.Contains(err.Error(), "--deleted-since") {
		t.Errorf("a time to come: %v", err)
	}
}
