package crash

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// stepsInCode are the names of all steps that the packages of this tree tell of,
// as a command built with the tag "steps" meets them. A step that the code does
// not name by a constant fails the test.
func stepsInCode(t *testing.T) []string {
	t.Helper()
	root := filepath.Join("..", "..")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "bench" && e.Name() != "cmd" {
			stepsOf(t, filepath.Join(root, e.Name()), steps)
		}
	}
	return slices.Sorted(maps.Keys(steps))
}

// stepsOf adds the steps of the package in dir.
func stepsOf(t *testing.T, dir string, steps map[string]bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	consts := map[string]string{}
	set := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "hooks.go" { // which only passes steps on
			continue
		}
		f, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	hooks, err := parser.ParseFile(set, filepath.Join(dir, "hooks.go"), nil, 0)
	if err == nil {
		stringConsts(hooks, consts)
	}
	for _, f := range files {
		stringConsts(f, consts)
	}
	prefix := filepath.Base(dir)
	if prefix == "activefile" {
		prefix = "tiers" // which passes its own Step to it
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			arg := stepCall(n)
			if arg == nil {
				return true
			}
			if step, ok := constant(arg, consts); ok {
				steps[prefix+": "+step] = true
			} else {
				t.Errorf("%s: a step without a constant name: it cannot be killed at", set.Position(n.Pos()))
			}
			return true
		})
	}
}

// stepCall returns the argument of a call of o.Step, s.step or, where a function
// got a Step as an argument, step.
func stepCall(n ast.Node) ast.Expr {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return nil
	}
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		if fun.Sel.Name == "Step" || fun.Sel.Name == "step" {
			return call.Args[0]
		}
	case *ast.Ident:
		if fun.Name == "step" {
			return call.Args[0]
		}
	}
	return nil
}

// constant is the value of a literal or of one of the package's constants.
func constant(e ast.Expr, consts map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.Ident:
		s, ok := consts[e.Name]
		return s, ok
	}
	return "", false
}

// stringConsts adds the string constants of a file.
func stringConsts(f *ast.File, consts map[string]string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			for i, name := range v.Names {
				if i < len(v.Values) {
					if value, ok := constant(v.Values[i], nil); ok {
						consts[name.Name] = value
					}
				}
			}
		}
	}
}

// TestStepsInCode: steps of each package are found, by literal, constant and
// argument.
func TestStepsInCode(t *testing.T) {
	steps := stepsInCode(t)
	for _, want := range []string{"mailstore: pack synced", "mailstore: committed", "tiers: compact: frozen", "tiers: swapped",
		"synclog: aside", "backup: generation published", "slot: account disabled"} {
		if !slices.Contains(steps, want) {
			t.Errorf("%q is not among %q", want, steps)
		}
	}
}
