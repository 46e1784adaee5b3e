package charts

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the charts render into config/default")

// config/default/workloads.yaml is what the chart renders, without what config/rbac has and without what only Helm knows.
func TestWorkloadsOfDefault(t *testing.T) {
	needHelm(t)
	dir := filepath.Join(root(t), "config", "default")
	h := helm{home: t.TempDir()}
	text := h.must(t, "template", "entente", chart(t, "entente"), "-n", "state-police", "-f", filepath.Join(dir, "values.yaml"), "--no-hooks")
	var out strings.Builder
	out.WriteString("# Rendered from charts/entente with values.yaml: go test ./hack/charts -run TestWorkloadsOfDefault -update\n")
	for _, o := range objects(t, text) {
		if slices.Contains([]string{"Role", "RoleBinding", "ServiceAccount"}, o.GetKind()) {
			continue
		}
		labels := o.GetLabels()
		delete(labels, "helm.sh/chart")
		delete(labels, "app.kubernetes.io/managed-by")
		// The namespace says it, and an overlay need not change it everywhere.
		delete(labels, "entente.dev/agency")
		o.SetLabels(labels)
		unstructured.RemoveNestedField(o.Object, "spec", "template", "metadata", "labels", "entente.dev/agency")
		data, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n" + string(data))
	}
	file := filepath.Join(dir, "workloads.yaml")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, file) != out.String() {
		t.Errorf("%s is stale: go test ./hack/charts -run TestWorkloadsOfDefault -update", file)
	}
}
