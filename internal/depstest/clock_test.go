package depstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// TestNoClock: in code that decides, time and chance are arguments.
func TestNoClock(t *testing.T) {
	forbidden := map[string][]string{
		"time":                                 {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		"k8s.io/apimachinery/pkg/apis/meta/v1": {"Now", "NowMicro"},
		"math/rand":                            nil,
		"math/rand/v2":                         nil,
		"os":                                   nil,
		"net":                                  nil,
	}
	for _, folder := range []string{"controllers/compile", "controllers/signature", "controllers/words", "gateway/claims", "gateway/enforce", "gateway/filter", "gateway/obligations", "gateway/pushdown", "gateway/route"} {
		for _, p := range list(t, folder) {
			for _, name := range p.GoFiles {
				checkFile(t, filepath.Join(p.Dir, name), forbidden)
			}
		}
	}
}

// checkFile finds uses of forbidden functions; a package without any listed is forbidden as a whole.
func checkFile(t *testing.T, path string, forbidden map[string][]string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // as the file calls the package → its import path
	for _, i := range f.Imports {
		importPath := i.Path.Value[1 : len(i.Path.Value)-1]
		functions, listed := forbidden[importPath]
		if listed && functions == nil {
			t.Errorf("%s imports %s", files.Position(i.Pos()), importPath)
		}
		if name := filepath.Base(importPath); i.Name != nil {
			names[i.Name.Name] = importPath
		} else {
			names[name] = importPath
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && slices.Contains(forbidden[names[x.Name]], s.Sel.Name) {
			t.Errorf("%s uses %s.%s: take it as an argument", files.Position(s.Pos()), x.Name, s.Sel.Name)
		}
		return true
	})
}
