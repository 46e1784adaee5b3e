package main

import (
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/entente-dev/entente/api/v1alpha1"
	"github.com/entente-dev/entente/hack/testenv"
)

// TestAgreementCluster reads agreements from a real API server, as kubectl finds it.
func TestAgreementCluster(t *testing.T) {
	kube := testenv.RequireKube(t, testenv.KubeOptions{CRDDirs: []string{"../../config/crd"}})
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := kube.WriteAdminKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	if err := kube.EnsureNamespace(t.Context(), "labor"); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(kube.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	dir := agreementFolder(t)
	for file, o := range map[string]client.Object{
		"agency.yaml": &v1alpha1.Agency{}, "dataset.yaml": &v1alpha1.Dataset{},
		"anvil.v1.yaml": &v1alpha1.SharingAgreement{}, "anvil.v2.yaml": &v1alpha1.SharingAgreement{},
	} {
		text, err := readFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, o); err != nil {
			t.Fatal(err)
		}
		o.SetNamespace("labor")
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	at := []string{"--kubeconfig", kubeconfig, "-n", "labor"}
	try := func(code int, want string, args ...string) {
		t.Helper()
		out, got, err := runAgreement(t, append(args, at...)...)
		if err != nil {
			out += err.Error()
		}
		if got != code || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d, want %d; no %q in\n%s", args, got, code, want, out)
		}
	}
	try(0, "labor-inspectorate lets state-police see employer and monthly_wage", "show", "anvil.v1")
	try(1, "+ state-police may see bank_account", "diff", "anvil.v2")
	try(2, "not found", "diff", "anvil.v1", "anvil.v3")
	try(1, "2 of 2 parties", "verify", "anvil.v1")
	try(0, "clauses[wages].fields", "coverage", "anvil.v1")
	try(0, "## (K) Oversight", "export", "anvil.v1")
	try(0, "4 resources, 2 of them agreements: 0 errors", "lint")
	try(1, "see that its operator runs", "who-can-see", "wage-records")

	agency := &v1alpha1.Agency{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "labor", Name: "labor-inspectorate"}, agency); err != nil {
		t.Fatal(err)
	}
	agency.Status.Local = true
	if err := c.Status().Update(t.Context(), agency); err != nil {
		t.Fatal(err)
	}
	try(0, "No other agency may see dataset wage-records", "who-can-see", "wage-records")
}
