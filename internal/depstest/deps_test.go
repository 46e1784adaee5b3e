package depstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/entente-dev/entente"

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Module     struct{ Path string }
}

// graph is every package that this module's packages lead to, without tests.
var graph = sync.OnceValues(func() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Dir,GoFiles,Imports,Module", module+"/...")
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
})

// list gives this module's packages below a folder, by name.
func list(t *testing.T, folder string) []pkg {
	t.Helper()
	all, err := graph()
	if err != nil {
		t.Fatal(err)
	}
	var out []pkg
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if within(name, path.Join(module, folder)) {
			out = append(out, all[name])
		}
	}
	return out
}

// trusted brings net/http along (for its proxy settings) and calls nothing of it unasked: what it imports does not count.
const trusted = "k8s.io/apimachinery"

// paths gives, for every package that one leads to, how it does so.
func paths(t *testing.T, from string) map[string]string {
	t.Helper()
	all, err := graph()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{from: from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if within(at, trusted) {
			continue
		}
		for _, i := range all[at].Imports {
			if found[i] == "" {
				found[i] = found[at] + " → " + i
				queue = append(queue, i)
			}
		}
	}
	return found
}

// within says whether the package is the folder or below it.
func within(importPath, folder string) bool {
	return importPath == folder || strings.HasPrefix(importPath, folder+"/")
}

// outside is what does not belong in code that decides: whatever reaches beyond its arguments. (crypto/x509
// and CEL bring the package net along; they dial nothing.)
var outside = []string{
	"net/http",
	"os/exec",
	"database/sql",
	"google.golang.org/grpc",
	"k8s.io/client-go",
	"sigs.k8s.io/controller-runtime",
	"github.com/hashicorp/vault/api",
	"github.com/jackc/pgx/v5",
	"modernc.org/sqlite",
}

// TestForbidden: no package of the folders depends on any of these, directly or through others.
func TestForbidden(t *testing.T) {
	for _, rule := range []struct {
		folder string
		never  []string
		why    string
	}{
		{"api/v1alpha1", append(slices.Clone(outside), module+"/controllers", module+"/gateway"), "the API types are for everyone"},
		{"controllers/compile", outside, "what an agreement means depends on the resources and on nothing else"},
		{"controllers/signature", outside, "verifying a signature needs the signature and the keys"},
		{"controllers/words", outside, "what an agreement says is the same wherever it is read"},
		{"controllers/keys", outside, "it says what is needed of a key holder, and is none"},
		{"gateway/enforce", append(slices.Clone(outside), "k8s.io/apimachinery"), "a decision is a function of the request and the route"},
		{"gateway/filter", append(slices.Clone(outside), "k8s.io/apimachinery"), "a filter becomes SQL by its text alone"},
		{"gateway/route", append(slices.Clone(outside), "k8s.io/apimachinery"), "a route is self-contained"},
		{"gateway", []string{module + "/controllers"}, "a gateway must run without the operator's code, and its rights"},
		{"gateway", []string{"sigs.k8s.io/controller-runtime"}, "a gateway reads GatewayRoutes, and reconciles nothing"},
		{"gateway", []string{"k8s.io/client-go/kubernetes", "k8s.io/client-go/applyconfigurations"}, "a gateway knows routes and Leases: not the types of all of Kubernetes"},
	} {
		t.Run(rule.folder, func(t *testing.T) {
			found := list(t, rule.folder)
			if len(found) == 0 {
				t.Skipf("there is no package %s", rule.folder)
			}
			for _, p := range found {
				for dependency, how := range paths(t, p.ImportPath) {
					for _, never := range rule.never {
						if within(dependency, never) {
							t.Errorf("%s: %s", how, rule.why)
						}
					}
				}
			}
		})
	}
}

// TestVaultAPI: Vault's API is imported by the operator's client and the gateway's narrow reader, and by nobody else.
func TestVaultAPI(t *testing.T) {
	allowed := []string{module + "/controllers/vault", module + "/gateway/vault"}
	for _, p := range list(t, "") {
		for _, i := range p.Imports {
			if within(i, "github.com/hashicorp/vault/api") && !slices.ContainsFunc(allowed, func(a string) bool { return within(p.ImportPath, a) }) {
				t.Errorf("%s imports %s: only %s do", p.ImportPath, i, strings.Join(allowed, " and "))
			}
		}
	}
}

// TestPaths: the tests above see what is there.
func TestPaths(t *testing.T) {
	const from = module + "/controllers/compile"
	if len(list(t, "controllers/compile")) == 0 {
		t.Skip("there is no package controllers/compile")
	}
	found := paths(t, from)
	if got := found["crypto/ecdsa"]; !strings.HasPrefix(got, from+" → ") || !strings.HasSuffix(got, " → crypto/ecdsa") {
		t.Errorf("the way to crypto/ecdsa is %q", got)
	}
	for dependency, how := range found {
		if strings.Contains(how, trusted) && within(dependency, "net/http") {
			t.Errorf("%s is found through %s", dependency, trusted)
		}
	}
}
