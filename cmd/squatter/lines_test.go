package main

import (
	"regexp"
	"strings"
	"testing"
)

// referenceLines are what the reference system prints for
//
//	squatter -v -z archive -t temp,meta,data,archive -u brong
//
// in its order, as printf forms; the last but one says "renaming tempdir into place"
// where ours publishes. The generations are the user's own.
var referenceLines = []string{
	"compressing temp:%d,meta:%d,data:%d,archive:%d to archive:%d for user.brong (active temp:%d,meta:%d,data:%d,archive:%d)",
	"adding new initial search location temp:%d",
	"compacting databases",
	"Compressing messages for brong",
	"done %s",
	"renaming tempdir into place",
	"finished compact of user.brong (active temp:%d,archive:%d)",
}

// reference makes a pattern of a printf form.
func reference(form string) string {
	return strings.NewReplacer("%d", `(\d+)`, "%s", `/\S+`).Replace(regexp.QuoteMeta(form))
}

// TestReferenceLines: a compaction of all tiers to archive prints the reference
// system's lines and no others, and the generations in them belong together.
func TestReferenceLines(t *testing.T) {
	f := newFixture(t, "")
	for _, dest := range []string{"archive", "data", "meta", ""} {
		f.deliver("brong", "INBOX", 2)
		f.squatter(exitOK, "-i", "-u", "brong")
		if dest != "" {
			f.squatter(exitOK, "-z", dest, "-t", "temp", "-u", "brong")
		}
	}
	out, errs := f.squatter(exitOK, "-v", "-z", "archive", "-t", "temp,meta,data,archive", "-u", "brong")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(referenceLines) {
		t.Fatalf("%d lines, want %d:\n%s%s", len(lines), len(referenceLines), out, errs)
	}
	wants(t, errs, `time=\S+ level=INFO msg=compaction user=brong outcome=done from="\[temp meta data archive\]" to=archive database=archive:\d+ documents=8 .* rule=hand reason="by hand"`)
	if strings.Count(errs, "\n") != 1 {
		t.Errorf("the log has more than a line for the compaction:\n%s", errs)
	}
	var numbers [][]string
	for i, form := range referenceLines {
		m := regexp.MustCompile("^" + reference(form) + "$").FindStringSubmatch(lines[i])
		if m == nil {
			t.Fatalf("line %d is %q, want %s", i+1, lines[i], form)
		}
		numbers = append(numbers, m[1:])
	}
	sources, dest, before := numbers[0][:4], numbers[0][4], numbers[0][5:]
	if strings.Join(sources, " ") != strings.Join(before, " ") {
		t.Errorf("sources %v, active %v", sources, before)
	}
	if front := numbers[1][0]; numbers[6][0] != front || numbers[6][1] != dest || front == sources[0] || dest == sources[3] {
		t.Errorf("generations of %q", lines)
	}
	if !strings.HasSuffix(lines[4], "/"+dest) || !strings.HasPrefix(lines[4], "done "+f.config.Tiers.Archive+"/") {
		t.Errorf("%q does not name the directory of archive:%s", lines[4], dest)
	}
	f.squatter(exitOK, "-A", "-u", "brong")
}
