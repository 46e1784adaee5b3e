package charts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/e2e/stack"
	"github.com/entente-dev/entente/hack/gitops"
)

// checkGitOps: the lines of docs/operations/gitops.md work, and the rules of config/gitops say of real objects what they are.
func checkGitOps(t *testing.T, s *stack.Stack) {
	a := s.Agency(stack.Police)
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := s.Kubectl(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	waits := 0
	for _, step := range readPage(read(t, filepath.Join(root(t), "docs", "operations", "gitops.md"))) {
		if args := strings.Fields(step.text); len(args) > 1 && args[0] == "kubectl" && args[1] == "wait" {
			kubectl(args[1:]...)
			waits++
		}
	}
	if waits < 2 {
		t.Errorf("%d waits on the page", waits)
	}

	argo, err := gitops.ReadArgo()
	if err != nil {
		t.Fatal(err)
	}
	flux, err := gitops.ReadFlux()
	if err != nil {
		t.Fatal(err)
	}
	health := func(o *unstructured.Unstructured) (string, string) {
		t.Helper()
		byArgo, message, err := argo.Health(o)
		if err != nil {
			t.Fatal(err)
		}
		byFlux, err := flux.Health(o)
		if err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		t.Logf("%s %s: %s (%s), %s", o.GetKind(), o.GetName(), byArgo, message, byFlux)
		return byArgo, byFlux
	}
	var all unstructured.UnstructuredList
	get := func(what ...string) []unstructured.Unstructured {
		t.Helper()
		if err := json.Unmarshal([]byte(kubectl(append([]string{"get", "-n", a.Name, "-o", "json"}, what...)...)), &all); err != nil {
			t.Fatal(err)
		}
		return all.Items
	}
	kinds := map[string]bool{}
	for _, o := range get("agency,exchangeschema,dataset,sharingagreement") {
		kinds[o.GetKind()] = true
		if byArgo, byFlux := health(&o); byArgo != "Healthy" || byFlux != "Current" {
			t.Errorf("%s %s is well, and Argo CD says %s, Flux %s", o.GetKind(), o.GetName(), byArgo, byFlux)
		}
	}
	if len(kinds) != 4 {
		t.Errorf("only %v", kinds)
	}

	// A suspended one, and one that cannot be kept.
	if err := a.Decide(t.Context(), stack.Agreement, v1alpha1.DecisionSuspend); err != nil {
		t.Fatal(err)
	}
	terms, err := s.SampleTerms()
	if err != nil {
		t.Fatal(err)
	}
	terms.ID = "broken"
	terms.Clauses[0].Fields = append(terms.Clauses[0].Fields, "no_such_field")
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "entente.dev/v1alpha1", "kind": "SharingAgreement", "metadata": map[string]any{"name": "broken.v1"}, "spec": map[string]any{"terms": terms},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Apply(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	kubectl("wait", "-n", a.Name, "--for=condition=Suspended", "sharingagreement/"+stack.Agreement, "--timeout=120s")
	kubectl("wait", "-n", a.Name, "--for=condition=ResolvedRefs=false", "sharingagreement/broken.v1", "--timeout=120s")
	want := map[string][2]string{stack.Agreement: {"Suspended", "Current"}, "broken.v1": {"Degraded", "Failed"}}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		wrong := ""
		for _, o := range get("sharingagreement") {
			byArgo, byFlux := health(&o)
			if w := want[o.GetName()]; w != [2]string{byArgo, byFlux} {
				wrong += o.GetName() + ": Argo CD says " + byArgo + ", Flux " + byFlux + "\n"
			}
		}
		if wrong == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(wrong)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
