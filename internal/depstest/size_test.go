package depstest

import (
	"slices"
	"testing"
)

// closure counts the packages that one leads to, itself included, and the modules that they are of; the standard library is not counted.
func closure(t *testing.T, from string) (packages, modules int) {
	t.Helper()
	all, err := graph()
	if err != nil {
		t.Fatal(err)
	}
	seen, of := map[string]bool{from: true}, map[string]bool{}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := all[queue[0]]
		if p.Module.Path == "" {
			continue // the standard library, which leads to nothing else
		}
		packages++
		of[p.Module.Path] = true
		for _, i := range p.Imports {
			if !seen[i] {
				seen[i] = true
				queue = append(queue, i)
			}
		}
	}
	return packages, len(of)
}

// TestWeight: what a release is built from does not grow unnoticed. The bounds have room for a library or two; whoever needs more raises
// them, and says why in the commit. `make bench-footprint` writes down what it comes to in bytes.
func TestWeight(t *testing.T) {
	for _, c := range []struct {
		from              string
		packages, modules int
	}{
		{module + "/cmd/entente", 1100, 140},
		{module + "/gateway", 420, 70},
		{module + "/gateway/kube", 200, 45},
	} {
		packages, modules := closure(t, c.from)
		if packages < 2 {
			t.Fatalf("%s: %d packages: there is nothing to count", c.from, packages)
		}
		t.Logf("%s: %d packages of %d modules", c.from, packages, modules)
		if packages > c.packages || modules > c.modules {
			t.Errorf("%s is built from %d packages of %d modules: more than %d of %d", c.from, packages, modules, c.packages, c.modules)
		}
	}
}

// TestNoTemplates: a template may call any method by its name, so that the linker keeps every exported method of every type once a template
// can be executed: a quarter of the binary. Pages are written with internal/page. (hack/image tests that what is built is without.)
func TestNoTemplates(t *testing.T) {
	allowed := []string{
		"github.com/spf13/cobra", // executes templates of those who set some
		"cel.dev/cel-go/cel",     // of prompts for language models, which nobody asks it for
		"golang.org/x/net/trace", // comes with grpc, and stays away with the tag grpcnotrace
	}
	all, err := graph()
	if err != nil {
		t.Fatal(err)
	}
	for dependency, how := range paths(t, module+"/cmd/entente") {
		for _, i := range all[dependency].Imports {
			if (i == "text/template" || i == "html/template") && all[dependency].Module.Path != "" && !slices.Contains(allowed, dependency) {
				t.Errorf("%s imports %s", how, i)
			}
		}
	}
}
