package teraslot

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers is the architecture: what each package may import of the others, besides
// the standard library and the modules in go.mod. Lowest first; a package may
// import only what stands above it here. docs/design.md says what each one owns.
var layers = []struct {
	pkg        string
	mayImport  string
	everything bool // whatever stands above
}{
	{pkg: "mailbox"},
	{pkg: "text"},
	{pkg: "disk"},
	{pkg: "accept"},
	{pkg: "sealed"},
	{pkg: "message", mayImport: "text"},
	{pkg: "activefile", mayImport: "disk mailbox"},
	{pkg: "synclog", mayImport: "disk mailbox"},
	{pkg: "tiers", mayImport: "disk mailbox text activefile"},
	{pkg: "account", mayImport: "mailbox disk sealed"},
	{pkg: "mailstore", mayImport: "disk mailbox message sealed"},
	{pkg: "backup", mayImport: "disk mailbox mailstore"},
	{pkg: "search", mayImport: "mailbox text message tiers mailstore"},
	{pkg: "squatter", mayImport: "disk mailbox text message synclog tiers mailstore"},
	{pkg: "replication", mayImport: "mailbox account synclog mailstore"},
	{pkg: "imapd/wire", mayImport: "mailbox text message"},
	{pkg: "imapd", mayImport: "imapd/wire accept mailbox text message account mailstore search"},
	{pkg: "lmtp", mayImport: "accept mailbox account mailstore"},
	{pkg: "jmap", mayImport: "accept mailbox text message account mailstore search"},
	{pkg: "slot", everything: true},
	{pkg: "bench", everything: true},
	{pkg: "cmd", everything: true},
}

const module = "teraslot"

// rowOf returns the row that a package stands in: the packages below bench and
// cmd are in theirs, and may share code among themselves.
func rowOf(pkg string) string {
	if first, _, _ := strings.Cut(pkg, "/"); first == "bench" || first == "cmd" {
		return first
	}
	return pkg
}

func sameRow(a, b string) bool { return rowOf(a) == rowOf(b) }

// allowed returns what a package may import, and whether the table has it.
func allowed(pkg string) (list []string, known bool) {
	row := rowOf(pkg)
	var above []string
	for _, l := range layers {
		if l.pkg != row {
			above = append(above, l.pkg)
			continue
		}
		if l.everything {
			return above, true
		}
		return strings.Fields(l.mayImport), true
	}
	return nil, false
}

// goFiles returns the Go files of this tree that are not tests, by package
// directory, relative and with slashes. The root's own tests are not a package.
func goFiles(t *testing.T, root string) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := e.Name()
		if e.IsDir() {
			hidden := strings.HasPrefix(base, ".") && name != root || base == "testdata" || base == "var"
			if hidden {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go") {
			rel, err := filepath.Rel(root, filepath.Dir(name))
			if err != nil {
				return err
			}
			pkg := filepath.ToSlash(rel)
			files[pkg] = append(files[pkg], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// imports returns the packages of this module that the files import.
func imports(t *testing.T, files []string) []string {
	t.Helper()
	var pkgs []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if rest, ok := strings.CutPrefix(p, module+"/"); ok {
				pkgs = append(pkgs, rest)
			}
		}
	}
	slices.Sort(pkgs)
	return slices.Compact(pkgs)
}

// breaches returns what is against the table in the tree at root.
func breaches(t *testing.T, root string) []string {
	var out []string
	for pkg, files := range goFiles(t, root) {
		list, known := allowed(pkg)
		if !known {
			out = append(out, pkg+" is not in the table of layers")
		}
		for _, p := range imports(t, files) {
			if known && !slices.Contains(list, rowOf(p)) && !sameRow(pkg, p) {
				out = append(out, pkg+" may not import "+p)
			}
		}
		if !slices.ContainsFunc(files, func(f string) bool { return path.Base(filepath.ToSlash(f)) == "doc.go" }) {
			out = append(out, pkg+" has no doc.go")
		}
	}
	slices.Sort(out)
	return out
}

func TestLayers(t *testing.T) {
	for _, b := range breaches(t, ".") {
		t.Error(b)
	}
}

// TestLayersAreOrdered checks the table itself: no row may point downwards.
func TestLayersAreOrdered(t *testing.T) {
	var above []string
	for _, l := range layers {
		for _, p := range strings.Fields(l.mayImport) {
			if !slices.Contains(above, p) {
				t.Errorf("%s may import %s, which does not stand above it", l.pkg, p)
			}
		}
		above = append(above, l.pkg)
	}
}

// TestLayersSeeBreaches gives the check a tree with one of each kind.
func TestLayersSeeBreaches(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"disk/doc.go":           "package disk\n\nimport _ \"teraslot/mailbox\"\n",
		"lmtp/doc.go":           "package lmtp\n\nimport _ \"teraslot/tiers\"\n",
		"lmtp/lmtp_test.go":     "package lmtp\n\nimport _ \"teraslot/slot\"\n",
		"lmtp/testdata/x/x.go":  "package x\n\nimport _ \"teraslot/slot\"\n",
		"stray/doc.go":          "package stray\n",
		"cmd/imapd/main.go":     "package main\n\nimport _ \"teraslot/slot\"\n",
		"imapd/wire/doc.go":     "package wire\n\nimport _ \"teraslot/mailstore\"\n",
		"tiers/doc.go":          "package tiers\n",
		"tiers/fine.go":         "package tiers\n\nimport _ \"teraslot/activefile\"\nimport _ \"os\"\n",
		".hidden/hidden.go":     "package hidden\n",
		"replication/client.go": "package replication\n\nimport _ \"example.org/slot\"\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"cmd/imapd has no doc.go",
		"disk may not import mailbox",
		"imapd/wire may not import mailstore",
		"lmtp may not import tiers",
		"replication has no doc.go",
		"stray is not in the table of layers",
	}
	if got := breaches(t, root); !slices.Equal(got, want) {
		t.Errorf("breaches:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestLayersAreDocumented compares the table with the one in docs/design.md.
func TestLayersAreDocumented(t *testing.T) {
	documented := documentedLayers(t)
	for _, l := range layers {
		want, ok := documented[l.pkg]
		switch {
		case l.pkg == "imapd/wire": // in imapd's row: the codec has no policy, so it gets less
			want, ok = "mailbox text message", true
		case l.pkg == "imapd":
			want = "imapd/wire " + want
		case want == "like imapd":
			want = documented["imapd"]
		case want == "all above", want == "all":
			if !l.everything {
				t.Errorf("%s: docs/design.md lets it import everything", l.pkg)
			}
			continue
		case want == "–":
			want = ""
		}
		if !ok || l.everything || l.mayImport != want {
			t.Errorf("%s may import %q; in docs/design.md %q", l.pkg, l.mayImport, want)
		}
	}
	// imapd/wire has no row of its own.
	if len(documented) != len(layers)-1 {
		t.Errorf("%d packages in docs/design.md, %d here", len(documented), len(layers)-1)
	}
}

// documentedLayers returns the third column of design §2's table by the names in
// the first.
func documentedLayers(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("docs", "design.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## 2. ")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		if len(cells) != 3 || !strings.HasPrefix(line, "| `") {
			continue
		}
		names, _, _ := strings.Cut(cells[0], " (")
		for name := range strings.SplitSeq(names, ",") {
			name = strings.TrimSuffix(strings.Trim(name, " `"), "/…")
			rows[name] = strings.TrimSpace(cells[2])
		}
	}
	return rows
}
