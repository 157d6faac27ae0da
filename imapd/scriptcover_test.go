package imapd

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// uidCommands have a second form for UIDs.
var uidCommands = []string{"FETCH", "STORE", "SEARCH", "COPY", "MOVE", "EXPUNGE", "SORT", "THREAD"}

// offered are the commands that dispatch.go knows.
func offered(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("dispatch.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`case \*wire\.(\w+):`).FindAllStringSubmatch(string(b), -1) {
		name := strings.ToUpper(m[1])
		if name == "SELECT" {
			names = append(names, "EXAMINE")
		}
		if slices.Contains(uidCommands, name) {
			names = append(names, "UID "+name)
		}
		names = append(names, name)
	}
	if len(names) < 35 {
		t.Fatalf("dispatch.go has only %q", names)
	}
	return names
}

var (
	scriptCommand    = regexp.MustCompile(`^C\d*: (\S+) (UID )?(\S+)`)
	scriptCompletion = regexp.MustCompile(`^S\d*\??: (\S+) (OK|NO|BAD)\b`)
)

// scripted is how each command ends in the scripts.
func scripted(t *testing.T) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]map[string]bool{}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{} // the command of each tag
		for line := range strings.Lines(string(b)) {
			if m := scriptCommand.FindStringSubmatch(line); m != nil {
				said[m[1]] = strings.ToUpper(m[2] + m[3])
			} else if m := scriptCompletion.FindStringSubmatch(line); m != nil && said[m[1]] != "" {
				command := said[m[1]]
				if ends[command] == nil {
					ends[command] = map[string]bool{}
				}
				ends[command][m[2]] = true
			}
		}
	}
	return ends
}

// Every command that is offered has a dialogue in which it succeeds and one in
// which it does not, and stands in docs/imap.md.
func TestEveryCommandHasAScript(t *testing.T) {
	ends := scripted(t)
	doc, err := os.ReadFile("../docs/imap.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range offered(t) {
		if !ends[command]["OK"] {
			t.Errorf("no script in which %s succeeds", command)
		}
		if !ends[command]["NO"] && !ends[command]["BAD"] {
			t.Errorf("no script in which %s fails", command)
		}
		if !strings.Contains(string(doc), "`"+command+"`") {
			t.Errorf("docs/imap.md does not have %s", command)
		}
	}
}

// docs/imap.md names no script and no test that is not there, and every script.
func TestIMAPDocumentNamesItsProofs(t *testing.T) {
	doc, err := os.ReadFile("../docs/imap.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go", "../*/*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(b)
		}
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(doc), -1) {
		if !strings.Contains(tests.String(), "func "+m[1]+"(") {
			t.Errorf("docs/imap.md names %s, which is no test", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(\\w+)\\.txt`").FindAllStringSubmatch(string(doc), -1) {
		if _, err := os.Stat("testdata/" + m[1] + ".txt"); err != nil {
			t.Errorf("docs/imap.md names %s.txt: %v", m[1], err)
		}
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !strings.Contains(string(doc), "`"+filepath.Base(name)+"`") {
			t.Errorf("docs/imap.md does not name %s", name)
		}
	}
}
