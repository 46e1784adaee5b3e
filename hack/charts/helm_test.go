package charts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/entente-dev/entente/hack/testenv"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // what clients say of their own
	os.Exit(m.Run())
}

// root of the repository.
func root(t testing.TB) string {
	t.Helper()
	r, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// helmProgram is built once and kept in Go's build cache.
var helmProgram = sync.OnceValues(func() (string, error) {
	r, err := testenv.Root()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "tool", "-modfile=hack/tools/helm/go.mod", "-n", "helm")
	cmd.Dir = r
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build helm: %w: %s", err, &problems)
	}
	return strings.TrimSpace(string(out)), nil
})

// needHelm skips under -short: building Helm for the first time takes minutes.
func needHelm(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Helm, whose first build takes minutes")
	}
}

// helm is the real Helm, with folders and a cluster of its own; without a kubeconfig it has none.
type helm struct{ kubeconfig, home string }

func (h helm) run(ctx context.Context, args ...string) (string, error) {
	path, err := helmProgram()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "HELM_CACHE_HOME=" + h.home, "HELM_CONFIG_HOME=" + h.home, "HELM_DATA_HOME=" + h.home,
		"KUBECONFIG=" + h.kubeconfig,
	}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(problems.Bytes()))
	}
	return out.String(), nil
}

// must runs Helm and gives what it prints.
func (h helm) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func chart(t testing.TB, name string) string { return filepath.Join(root(t), "charts", name) }

// valueSets are the files in testdata/values, by name.
func valueSets(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no value sets: %v", err)
	}
	sets := map[string]string{}
	for _, f := range files {
		sets[strings.TrimSuffix(filepath.Base(f), ".yaml")] = f
	}
	return sets
}

// objects decodes documents of YAML.
func objects(t testing.TB, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		u := &unstructured.Unstructured{}
		err := d.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Object) > 0 {
			out = append(out, u)
		}
	}
}

// find the one object of a kind with a name.
func find(t testing.TB, all []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range all {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

// into converts an unstructured thing to a typed one, strictly enough for tests.
func into[T any](t testing.TB, from any) T {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	var to T
	if err := json.Unmarshal(data, &to); err != nil {
		t.Fatal(err)
	}
	return to
}
